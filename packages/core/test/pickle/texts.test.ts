import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { TextReader } from '../../src/bytes/text-reader.ts';
import { decodeUtf8, encodeUtf8, encodeUtf8Into } from '../../src/bytes/utf8.ts';
import { isMmdError } from '../../src/errors.ts';
import {
  dump,
  dumpEntry,
  type EmitOp,
  emit,
  type LoadOptions,
  load,
  loadEntry,
  PyDict,
  Tuple,
} from '../../src/pickle/index.ts';
import { characters } from '../../src/testing/arbitraries.ts';

const run = (ops: readonly EmitOp[], options?: LoadOptions): unknown => load(emit([...ops, 'STOP']), options);

function outcome(act: () => unknown): unknown {
  try {
    return act();
  } catch (error) {
    if (isMmdError(error)) return [error.code, error.offset];
    throw error;
  }
}

const text = fc.oneof(
  fc.string({ unit: characters(), maxLength: 90 }),
  fc.string({ unit: fc.constantFrom('a', 'z', '\u007f', '\u0080', 'é', 'ÿ'), maxLength: 90 }),
  fc.string({
    unit: fc.constantFrom('a', 'é', 'Ā', '日', '\ufeff', '😀', '\u{10ffff}', '\ud800', '\udfff'),
    maxLength: 90,
  }),
  fc.string({ unit: fc.constantFrom('a', 'b'), maxLength: 3000 }),
);

/** UTF-8 with one or two damaged bytes, or arbitrary bytes. */
const damaged = fc
  .tuple(text, fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })), { maxLength: 2 }))
  .map(([value, changes]) => {
    const bytes = encodeUtf8(value);
    for (const [at, byte] of changes) if (bytes.length > 0) bytes[at % bytes.length] = byte;
    return bytes;
  });

describe('a reader of texts', () => {
  it('decodes each text as if it stood alone, whatever surrounds it', () => {
    fc.assert(
      fc.property(fc.array(fc.oneof(damaged, fc.uint8Array({ maxLength: 8 })), { maxLength: 12 }), (parts) => {
        const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
        const reader = new TextReader();
        let pos = 0;
        for (const part of parts) {
          bytes.set(part, pos);
          pos += part.length;
        }
        reader.open(bytes, new DataView(bytes.buffer));
        pos = 0;
        for (const part of parts) {
          const start = pos;
          const end = (pos += part.length);
          expect(outcome(() => reader.decode(start, end))).toEqual(outcome(() => decodeUtf8(bytes, start, end)));
        }
      }),
      { numRuns: 2000 },
    );
  });

  it('cuts many texts out of windows, even if most bytes between them are something else', () => {
    for (const gap of [0, 3, 5000]) {
      const texts = Array.from({ length: 4000 }, (_, i) => `${i}`.padEnd(i % 40, '.'));
      const bytes = new Uint8Array(texts.reduce((sum, { length }) => sum + length + gap, 0)).fill(0xff);
      const starts: number[] = [];
      let pos = 0;
      for (const one of texts) {
        starts.push(pos);
        pos = encodeUtf8Into(one, bytes, pos) + gap;
      }
      const reader = new TextReader();
      for (let again = 0; again < 2; again++) {
        reader.open(bytes, new DataView(bytes.buffer));
        expect(texts.map((one, i) => reader.decode(starts[i]!, starts[i]! + one.length))).toEqual(texts);
      }
    }
  });
});

describe('memoized texts', () => {
  const short: EmitOp = ['SHORT_BINUNICODE', 'a'];
  const long = 'long '.repeat(100);

  it.each<[string, EmitOp[], unknown]>([
    ['SHORT_BINUNICODE by MEMOIZE', [short, 'MEMOIZE', 'POP', ['BINGET', 0]], 'a'],
    [
      'SHORT_BINUNICODE of many bytes',
      [['SHORT_BINUNICODE', 'b'.repeat(99)], 'MEMOIZE', 'POP', ['BINGET', 0]],
      'b'.repeat(99),
    ],
    ['BINUNICODE by BINPUT', [['BINUNICODE', long], ['BINPUT', 0], 'POP', ['BINGET', 0]], long],
    ['BINUNICODE by LONG_BINPUT', [['BINUNICODE', 'é'], ['LONG_BINPUT', 0], 'POP', ['BINGET', 0]], 'é'],
    ['BINUNICODE by MEMOIZE', [['BINUNICODE', 'é'], 'MEMOIZE', 'POP', ['BINGET', 0]], 'é'],
    ['BINUNICODE in another slot', [['BINUNICODE', 'é'], ['BINPUT', 3], 'POP', ['BINGET', 3]], 'é'],
    ['after slots out of order', ['NONE', ['BINPUT', 9], 'POP', short, 'MEMOIZE', 'POP', ['BINGET', 1]], 'a'],
    [
      'read twice',
      [short, 'MEMOIZE', ['BINGET', 0], ['BINGET', 0], 'TUPLE3', ['BINGET', 0], 'TUPLE2', 'POP', ['BINGET', 0]],
      'a',
    ],
    ['replaced by a number', [short, 'MEMOIZE', ['BININT1', 5], ['BINPUT', 0], 'POP', 'POP', ['BINGET', 0]], 5],
    ['beside numbers', [['BININT1', 5], 'MEMOIZE', short, 'MEMOIZE', 'POP', 'POP', ['BINGET', 0]], 5],
    ['beside a number in a far slot', [['BINFLOAT', 0.5], ['LONG_BINPUT', 77], 'POP', ['BINGET', 77]], 0.5],
    ['beside a number after it', [['BININT1', 5], ['BINPUT', 1], 'MEMOIZE', 'MEMOIZE', 'POP', ['BINGET', 1]], 5],
  ])('%s', (_, ops, value) => {
    expect(run(ops)).toBe(value);
  });

  it('count towards every budget like single opcodes', () => {
    const ops: EmitOp[] = [short, 'MEMOIZE', short, 'MEMOIZE', 'TUPLE2'];
    const offset = (limits: LoadOptions['limits']): unknown => outcome(() => run(ops, { limits }));
    expect(offset({ memo: 1 })).toEqual(['LIMIT_EXCEEDED', 7]);
    expect(offset({ opcodes: 1 })).toEqual(['LIMIT_EXCEEDED', 0]);
    expect(offset({ opcodes: 3 })).toEqual(['LIMIT_EXCEEDED', 4]);
    expect(offset({ stack: 1 })).toEqual(['LIMIT_EXCEEDED', 4]);
    expect(outcome(() => loadEntry(emit([short, 'MEMOIZE'])))).toEqual(['BAD_OPCODE', 3]);
    expect(outcome(() => load(emit([short, 'MEMOIZE'])))).toEqual(['TRUNCATED', 4]);
    expect(
      outcome(() =>
        load(
          emit([
            ['BINUNICODE', 'a'],
            ['BINPUT', 0],
          ]),
        ),
      ),
    ).toEqual(['TRUNCATED', 8]);
  });
});

describe('writing', () => {
  it('texts of all kinds round-trip in every protocol', () => {
    fc.assert(
      fc.property(fc.array(text, { maxLength: 5 }), fc.constantFrom(2, 3, 4, 5), (texts, protocol) => {
        const read = load(dump(texts, { protocol: protocol as 2 })) as string[];
        expect(read.map((one) => decodeUtf8(encodeUtf8(one), 0, encodeUtf8(one).length))).toEqual(
          texts.map((one) => decodeUtf8(encodeUtf8(one), 0, encodeUtf8(one).length)),
        );
      }),
      { numRuns: 500 },
    );
  });

  it('distinguishes dicts that another writer met in another order', () => {
    const [a, b, c] = [1, 2, 3].map((n) => new PyDict([['n', n]])) as [PyDict, PyDict, PyDict];
    const expected = dump([c, b, a].map((dict) => new Map(dict)));
    dump([a, b, c]);
    expect(dump([c, b, a])).toEqual(expected);
    expect(load(dump([b, a, b]))).toEqual([b, a, b]);
    const [first, , third] = load(dump([b, a, b])) as [unknown, unknown, unknown];
    expect(third).toBe(first);
  });

  it('distinguishes tuples that another writer met in another order, or meets in between', () => {
    const [a, b, c] = [1, 2, 3].map((n) => new Tuple(n, [n])) as [Tuple, Tuple, Tuple];
    const fresh = dump([new Tuple(3, [3]), new Tuple(2, [2]), new Tuple(1, [1])]);
    dump([a, b, c]);
    expect(dump([c, b, a])).toEqual(fresh);
    const between = {
      a,
      get late() {
        dump([c, b, a]);
        return [b, a];
      },
    };
    const [first, record] = load(dump([b, between])) as [Tuple, Map<string, unknown[]>];
    expect(record.get('late')).toEqual([b, a]);
    expect(record.get('late')?.[0]).toBe(first);
    expect(record.get('late')?.[1]).toBe(record.get('a'));
  });

  it('shares arrays that were turned into tuples from outside, even if they contain themselves', () => {
    const list: unknown[] = [];
    const made = Object.setPrototypeOf([1, list], Tuple.prototype) as Tuple;
    const [one, other] = load(dump([made, made])) as [Tuple, Tuple];
    expect(one).toBeInstanceOf(Tuple);
    expect(other).toBe(one);
    list.push(made);
    const again = load(dump(made)) as Tuple;
    expect((again[1] as unknown[])[0]).toBe(again);
  });

  it('shares dicts with keys of other kinds, and many of them', () => {
    const odd = new PyDict<unknown, unknown>([[1n << 70n, 'x']]);
    const plain = Array.from({ length: 100 }, (_, i) => new PyDict([[`k${i % 7}`, i]]));
    const read = load(dump([odd, ...plain, odd, ...plain])) as unknown[];
    for (let i = 0; i <= 100; i++) expect(read[101 + i]).toBe(read[i]);
  });

  it.each([52n, 53n, 54n, 55n, 56n, 62n, 63n, 64n, 71n])('integers around 2^%i round-trip', (exponent) => {
    for (const sign of [1n, -1n]) {
      for (const more of [-1n, 0n, 1n]) {
        const value = sign * (2n ** exponent + more);
        const read = load(dump(value));
        expect(BigInt(read as bigint)).toBe(value);
        expect(typeof read).toBe(Number.isSafeInteger(Number(value)) ? 'number' : 'bigint');
      }
    }
  });

  it('a long list is written like its items', () => {
    const list = Array.from({ length: 5000 }, (_, i) => (i % 2 === 0 ? i : `text ${i}`));
    expect(load(dump(list))).toEqual(list);
  });

  it.each([
    255,
    256,
    65_535,
    65_536,
    -1,
    2 ** 31,
    2 ** 40,
    2 ** 46,
    2 ** 52,
    -(2 ** 40),
    -(2 ** 52),
    -0,
    0.5,
    'é'.repeat(127),
    'é'.repeat(128),
  ])('a record of %s is written like the same dict in a list', (value) => {
    const record = { a: value, b: null };
    expect(load(dump(record), { lossless: true })).toEqual((load(dump([record]), { lossless: true }) as unknown[])[0]);
    expect(loadEntry(dumpEntry(record))).toEqual(new Map(Object.entries(record)));
  });

  it('a record is written in one step only if it is flat, short and has own keys only', () => {
    const wide = Object.fromEntries(Array.from({ length: 33 }, (_, i) => [`k${i}`, i]));
    const inherited = Object.create({ other: 1 }) as object;
    const records = [
      { a: true, b: false, c: null },
      { a: 'x'.repeat(256), b: 1 },
      { ['k'.repeat(300)]: 1, b: 1 },
      { a: 1, b: [1] },
      { a: 1 },
      wide,
    ];
    for (const record of records) expect(load(dump(record))).toEqual(new Map(Object.entries(record)));
    expect(() => dump(inherited)).toThrow(/class/);
  });

  it('the frames of a long pickle have the lengths that they state, whatever its last part is', () => {
    // Every number of bytes after a value that ends a frame.
    for (let more = 0; more < 24; more++) {
      for (const count of [7281, 7282, 7283, 14_564, 30_000]) {
        const list = Array.from({ length: count }, () => 0.5);
        const value = [...list, ...Array.from({ length: more }, () => 'x'.repeat(more))];
        const bytes = dump(value);
        // `toEqual` takes a microsecond for each element.
        const read = load(bytes) as unknown[];
        expect(read.length).toBe(value.length);
        expect(value.findIndex((item, i) => read[i] !== item)).toBe(-1);
        expect(bytes.length).toBeGreaterThan(65_536);
      }
    }
    for (let length = 65_480; length < 65_560; length++) {
      const value = [0.5, 'x'.repeat(length)];
      expect(load(dump(value))).toEqual(value);
      expect(load(dump([value, 1]))).toEqual([value, 1]);
    }
  });
});
