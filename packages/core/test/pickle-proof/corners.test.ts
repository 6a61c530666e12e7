import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import { isMmdError } from '../../src/errors.ts';
import { type ArraySource, NDArray, ndarray, parseDType } from '../../src/ndarray/index.ts';
import {
  Decoder,
  dump,
  EntryEncoder,
  type LoadOptions,
  load,
  loadEntry,
  OpaqueGlobal,
  OpaqueObject,
  PyDecimal,
  PyDict,
  PyFraction,
  type PySet,
  PyString,
  Tuple,
} from '../../src/pickle/index.ts';
import { asm, call, dict, global, int, list, type Part, pickle, str, tuple } from './assembler.ts';

/** The code of the error, and the budget it names. */
function refusal(bytes: Uint8Array, options: LoadOptions = {}): readonly [string, string | undefined] {
  try {
    load(bytes, options);
  } catch (error) {
    if (isMmdError(error)) return [error.code, error.limit];
    throw error;
  }
  throw new Error('nothing was refused');
}

const joined = (parts: readonly Uint8Array[]): Uint8Array => Uint8Array.from(parts.flatMap((part) => [...part]));

describe('the work budget', () => {
  const shared = asm('MARK', new Uint8Array(20_000).fill(0x4e), 'LIST', ['BINPUT', 0], 'POP');
  const calls = (name: string, count: number): Part => [
    shared,
    'MARK',
    Array.from({ length: count }, () => [global(name), ['BINGET', 0], 'TUPLE1', 'REDUCE'] as const),
    'LIST',
  ];

  it.each(['builtins set', 'collections deque', 'builtins frozenset'])('ends %s over one long list', (name) => {
    expect(load(pickle(calls(name, 5)))).toHaveLength(5);
    expect(refusal(pickle(calls(name, 50)))).toEqual(['LIMIT_EXCEEDED', 'work']);
    expect(load(pickle(calls(name, 50)), { limits: { work: 10_000 } })).toHaveLength(50);
  });

  it('is not mistaken for refused arguments: the load ends, and no opaque object is made', () => {
    const name = 'x'.repeat(20_000);
    const field = tuple(str(name), str('<f8'));
    const types = Array.from({ length: 500 }, () => call('numpy dtype', list(field, tuple(str('b'), ['BINGET', 0]))));
    const bytes = pickle(call('numpy dtype', list(tuple(str(name), str('<f8')))), ['BINPUT', 0], 'POP', list(types));
    expect(refusal(bytes, { limits: { work: 0 } })).toEqual(['LIMIT_EXCEEDED', 'work']);
  });
});

describe('arguments that are almost supported', () => {
  const opaque: Readonly<Record<string, Part>> = {
    'a Fraction of long text': call('fractions Fraction', str('7'.repeat(9000))),
    'a Fraction of text': call('fractions Fraction', str('a/b')),
    'a Fraction of floats': call('fractions Fraction', ['BINFLOAT', 1.5], int(2)),
    'a Fraction of long ints': call('fractions Fraction', ['LONG4', 1n << 20_000n], int(3)),
    'a Fraction over a long int': call('fractions Fraction', int(3), ['LONG4', 1n << 20_000n]),
    'a Fraction of three arguments': call('fractions Fraction', int(1), int(2), int(3)),
    'a reshape of one argument': call('numpy reshape', str('x')),
    'a dtype list that nests 50 deep': call(
      'numpy dtype',
      Array.from({ length: 50 }, () => ['MARK', 'MARK', str('a')] as const),
      str('<f8'),
      Array.from({ length: 50 }, () => ['TUPLE', 'LIST'] as const),
    ),
    'a structured dtype with metadata': [
      call('numpy dtype', str('V8'), 'NEWFALSE', 'NEWTRUE'),
      tuple(
        int(4),
        str('|'),
        'NONE',
        tuple(str('a')),
        dict([str('a'), tuple(call('numpy dtype', str('f8')), int(0))]),
        int(8),
        int(1),
        int(0),
        dict([str('unit'), str('m')]),
      ),
      'BUILD',
    ],
  };

  it.each(Object.entries(opaque))('%s stays opaque', (_, part) => {
    const value = load(pickle(part));
    expect(value).toBeInstanceOf(OpaqueObject);
    expect(load(dump(value))).toBeInstanceOf(OpaqueObject);
  });

  it('a fill value of a masked array may be a float in lossless mode', () => {
    const array = (type: string, bytes: string): Part =>
      call('numpy ndarray', tuple(int(1)), str(type), ['BYTEARRAY8', bytes]);
    const fill: Part = ['BINFLOAT', 1];
    const args = tuple(array('<f8', '12345678'), array('|b1', '\0'), 'NONE', 'NEWFALSE', 'NEWTRUE', int(0), fill);
    const masked = load(pickle(global('numpy.ma MaskedArray'), args, 'REDUCE'), { lossless: true });
    expect(masked).toMatchObject({ fillValue: 1 });
  });
});

describe('keys that are expensive', () => {
  const long = 'k'.repeat(100);

  it('are equal by value, however long, alone and inside tuples', () => {
    const bytes = new TextEncoder().encode(long);
    const dictionary = new PyDict<unknown, number>([
      [Tuple.of(long, 1), 1],
      [Tuple.of(bytes, 1), 2],
      [Tuple.of(1n << 500n, 1), 3],
      [bytes, 4],
    ]);
    expect(dictionary.get(Tuple.of(long, 1))).toBe(1);
    expect(dictionary.get(Tuple.of(bytes.slice(), 1))).toBe(2);
    expect(dictionary.get(Tuple.of(1n << 500n, 1))).toBe(3);
    expect(dictionary.get(bytes)).toBe(4);
    expect(dictionary.get(Tuple.of(bytes, 1))).toBe(2);
    expect(dictionary.get(Tuple.of(`b${long}`, 1))).toBeUndefined();
  });

  it('are compared by identity if they are objects, of whatever class', () => {
    class Own {}
    const [one, other] = [new Own(), new Own()];
    const dictionary = new PyDict<unknown, number>([
      [one, 1],
      [other, 2],
    ]);
    expect([dictionary.get(one), dictionary.get(other), dictionary.get(new Own())]).toEqual([1, 2, undefined]);
  });

  it('equal the same numbers if they are decimals of any length', () => {
    const digits = '7'.repeat(2000);
    const dictionary = new PyDict<unknown, number>([
      [new PyDecimal(digits), 1],
      [new PyDecimal('1.50E+3'), 2],
      [new PyDecimal('0.25'), 3],
      [new PyFraction(1, 3), 4],
    ]);
    expect(dictionary.get(BigInt(digits))).toBe(1);
    expect(dictionary.get(1500)).toBe(2);
    expect(dictionary.get(new PyFraction(1, 4))).toBe(3);
    expect(dictionary.get(new PyFraction(2, 6))).toBe(4);
  });

  it('are found in a dict and a set that were read further after a first lookup', () => {
    const looks: unknown[] = [];
    const globals = {
      'app look': ([value]: readonly unknown[]) => {
        looks.push((value as PyDict | PySet<unknown>).size);
        return 'looked';
      },
    };
    const look: Part = [global('app look'), ['BINGET', 0], 'TUPLE1', 'REDUCE', 'POP'];
    const read = (empty: 'EMPTY_DICT' | 'EMPTY_SET', first: Part, second: Part): unknown =>
      load(pickle(empty, ['BINPUT', 0], first, look, second), { globals });
    const map = read('EMPTY_DICT', ['MARK', int(1), int(2), 'SETITEMS'], ['MARK', int(3), int(4), 'SETITEMS']);
    expect([...(map as PyDict)]).toEqual([
      [1, 2],
      [3, 4],
    ]);
    const set = read('EMPTY_SET', ['MARK', int(1), 'ADDITEMS'], ['MARK', int(1), int(3), 'ADDITEMS']);
    expect([...(set as PySet)]).toEqual([1, 3]);
    expect(looks).toEqual([1, 1]);
    const keyed = new PyDict<unknown, unknown>([[load(pickle(call('builtins frozenset', list(int(1), int(1))))), 1]]);
    expect(keyed.size).toBe(1);
  });
});

describe('reused readers and writers', () => {
  it('a decoder reads another view of the same bytes', () => {
    const decoder = new Decoder();
    const bytes = dump([1.5, 'text']);
    const shifted = new Uint8Array([...bytes, ...bytes]);
    for (const view of [bytes, new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length), shifted]) {
      expect(decoder.load(view)).toEqual([1.5, 'text']);
    }
    const second = new Uint8Array(shifted.buffer, bytes.length, bytes.length);
    expect(decoder.load(second)).toEqual([1.5, 'text']);
    expect(decoder.load(new Uint8Array(shifted.buffer, 0, bytes.length))).toEqual([1.5, 'text']);
  });

  it('the parts that an encoder gives for an entry make up the entry', () => {
    const encoder = new EntryEncoder();
    const shared = [7];
    const large = new Uint8Array(70_000).fill(1);
    for (const value of [new Map([['a', 1]]), [large, shared, shared], large, [shared, shared], 7, [large, [large]]]) {
      for (const memoBase of [0, 300]) {
        const whole = encoder.encode(value, memoBase).slice();
        expect(joined(encoder.encodeParts(value, memoBase))).toEqual(whole);
        expect(loadEntry(joined(encoder.encodeParts(value)))).toEqual(value);
      }
    }
  });

  it('a record of plain values is written like any dict', () => {
    class Parent {
      inherited = 1;
    }
    const record = { a: 1, b: null, c: true, d: 'x' };
    expect(dump(record)).toEqual(dump(new Map(Object.entries(record))));
    expect(load(dump({ only: 1 }))).toEqual(new Map([['only', 1]]));
    expect(load(dump({ ['k'.repeat(5000)]: 1, b: 2 }))).toHaveProperty('size', 2);
    expect(() => dump(new Parent())).toThrow(/class Parent/);
    const polluted = Object.setPrototypeOf({ a: 1, b: 2 }, null) as object;
    expect(load(dump(polluted))).toEqual(new Map(Object.entries({ a: 1, b: 2 })));
  });

  it('frames, large payloads and sharing can be combined', () => {
    const rows = Array.from({ length: 6000 }, (_, i) => [i, `row ${i}`, i / 3]);
    const large = new Uint8Array(70_000).fill(3);
    const value = [rows, large, rows[17], large, rows, 'x'.repeat(80_000)];
    for (const protocol of [2, 3, 4, 5] as const) {
      const again = load(dump(value, { protocol })) as unknown[];
      expect(again).toEqual(value);
      expect(again[0]).toBe(again[4]);
      expect(again[1]).toBe(again[3]);
    }
  });
});

describe('sources that are not arrays', () => {
  const source = (fields: Partial<ArraySource>): ArraySource => ({
    arraySource: true,
    dtype: '<u2',
    shape: [2],
    ...fields,
  });

  it('are written in pieces in every protocol', () => {
    const bytes = () => [Uint8Array.of(1, 0, 2), Uint8Array.of(0)];
    for (const protocol of [2, 3, 4, 5] as const) {
      expect((load(dump(source({ bytes }), { protocol })) as NDArray).toNested()).toEqual([1, 2]);
      expect((load(dump(source({}), { protocol })) as NDArray).toNested()).toEqual([0, 0]);
    }
  });

  it('cannot hold objects', () => {
    expect(() => dump(source({ dtype: 'O' }))).toThrow(expect.objectContaining({ code: 'UNSUPPORTED_DTYPE' }));
    const objects = NDArray.ofObjects(['a', null, 2n ** 70n, 2.5], [2, 2], { order: 'F' });
    for (const array of [objects, objects.transpose(1, 0), objects.slice(null, 1)]) {
      expect((load(dump(array)) as NDArray).toNested()).toEqual(array.toNested());
    }
  });

  it('share equal plain types, wherever they were parsed', () => {
    const array = ndarray(new Float64Array([1]));
    const types = [parseDType('float64'), parseDType('<f8'), array.type];
    const bytes = dump(types, { protocol: 2 });
    expect(dump(load(bytes), { protocol: 2 })).toEqual(bytes);
  });
});

describe('other corner cases', () => {
  it('an opaque object made by user code may have any list as its arguments', () => {
    const made = new OpaqueObject('REDUCE', new OpaqueGlobal('app', 'f'), [1, 2]);
    expect(load(dump([made, made]))).toMatchObject([{ args: Tuple.of(1, 2) }, { args: Tuple.of(1, 2) }]);
  });

  it('is shown one level deep, and at unlimited depth', () => {
    const made = load(pickle(call('app f'), 'NONE', 'BUILD'));
    expect(inspect(made)).toContain('operations');
    expect(inspect(made, { depth: null })).toContain('operations');
    expect(inspect([[made]], { depth: 1 })).not.toContain('operations');
  });

  it('raw-unicode-escape with backslashes around a surrogate pair', () => {
    const text = load(asm(['UNICODE', '\\\\u0041\\ud83d\\ude00\\n'], 'STOP'), { lossless: true });
    expect(text).toBeInstanceOf(PyString);
    expect(String(text)).toBe('\\\\u0041\u{1f600}\\n');
    expect(load(dump(text), { lossless: true })).toEqual(text);
  });
});
