import { createContext, runInContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import { MmapDict } from '../../src/dict/index.ts';
import { MaskedArray, NDArray, ndarray, slice } from '../../src/ndarray/index.ts';
import {
  ByteArray,
  Decoder,
  type DumpOptions,
  dump,
  dumpEntry,
  EntryEncoder,
  emit,
  FrozenSet,
  genops,
  load,
  loadEntry,
  NumpyScalar,
  OpaqueGlobal,
  OpaqueObject,
  OutOfBandBuffer,
  type PyDateTime,
  PyDict,
  PyException,
  PyString,
  Tuple,
} from '../../src/pickle/index.ts';
import { MemoryFile } from '../../src/storage/index.ts';

/** Not yet in the lib.d.ts of our target. */
type Resizable = ArrayBuffer & { resize(size: number): void };

const bytes = (...list: number[]): Uint8Array => Uint8Array.from(list);
const names = (data: Uint8Array): string[] => Array.from(genops(data), ({ name }) => name);
const refused = (code: string) => expect.objectContaining({ code });
const PROTOCOLS = [2, 3, 4, 5] as const;
const both = (value: unknown): unknown[] => PROTOCOLS.map((protocol) => load(dump(value, { protocol })));

describe('numbers', () => {
  it.each([
    0,
    1,
    255,
    256,
    65_535,
    65_536,
    -1,
    2 ** 31 - 1,
    2 ** 31,
    -(2 ** 31),
    -(2 ** 31) - 1,
    2 ** 39 - 1,
    2 ** 39,
    -(2 ** 39),
    -(2 ** 39) - 1,
    2 ** 47,
    -(2 ** 47) - 1,
    2 ** 53 - 1,
    -(2 ** 53) + 1,
    0.5,
    -0,
    1e300,
    Number.NaN,
    Number.POSITIVE_INFINITY,
    2 ** 53,
    -(2 ** 63),
  ])('%s round-trips, alone and in a list', (value) => {
    for (const again of both([value, [value, value], new Map([[1, value]])])) {
      expect(again).toEqual([value, [value, value], new Map([[1, value]])]);
    }
  });

  it.each([0n, 5n, -(2n ** 31n), 2n ** 53n, -(2n ** 53n), 2n ** 2040n, -(2n ** 2047n)])(
    'the bigint %s is an int',
    (value) => {
      expect(BigInt(load(dump(value)) as number | bigint)).toBe(value);
    },
  );

  it('lists of many numbers, mixed with other values, round-trip', () => {
    const list = Array.from({ length: 2500 }, (_, i) =>
      i % 7 === 0 ? i * 0.5 : i % 11 === 0 ? `t${i}` : i % 13 === 0 ? 2 ** 40 + i : i - 1000,
    );
    for (const again of both(list)) expect(again).toEqual(list);
  });
});

describe('text and bytes', () => {
  it.each([
    '',
    'a',
    'é'.repeat(127),
    'é'.repeat(128),
    'é'.repeat(200),
    'x'.repeat(255),
    'x'.repeat(256),
    '\ud800',
    '😀'.repeat(300),
  ])('text %# round-trips', (text) => {
    for (const again of both(new Map([[text, text]]))) expect(again).toEqual(new Map([[text, text]]));
  });

  it.each([0, 1, 255, 256, 70_000, 300_000])('%i bytes and a bytearray of the same length round-trip', (length) => {
    const data = Uint8Array.from({ length }, (_, i) => i);
    const array = new ByteArray(data);
    for (const again of both([data, array, data, array, 'after']) as [
      Uint8Array,
      ByteArray,
      Uint8Array,
      ByteArray,
      string,
    ][]) {
      expect(Buffer.compare(again[0], data)).toBe(0);
      expect(again[1]).toBeInstanceOf(ByteArray);
      expect(Buffer.compare(again[1], data)).toBe(0);
      expect(again[3]).toBe(again[1]);
      expect(again[4]).toBe('after');
    }
  });

  it('a Buffer is bytes, and a text long enough is written in the long form', () => {
    expect(load(dump(Buffer.from('ab')))).toEqual(bytes(97, 98));
    const long = new PyString(new TextEncoder().encode('é'.repeat(200)), 'é'.repeat(200));
    for (const again of both(long)) expect(again).toBe('é'.repeat(200));
  });
});

describe('containers', () => {
  it.each<[string, unknown, unknown]>([
    [
      'a Map',
      new Map<unknown, unknown>([
        [1, 'a'],
        [null, 'b'],
      ]),
      new Map<unknown, unknown>([
        [1, 'a'],
        [null, 'b'],
      ]),
    ],
    ['an empty Map', new Map(), new Map()],
    [
      'a plain object',
      { a: 1, b: [2] },
      new Map<string, unknown>([
        ['a', 1],
        ['b', [2]],
      ]),
    ],
    ['an empty object', {}, new Map()],
    ['an object without prototype', Object.assign(Object.create(null), { a: 1 }), new Map([['a', 1]])],
    ['a Set', new Set([1, 'a']), new Set([1, 'a'])],
    ['an empty Set', new Set(), new Set()],
    ['a subclass of Array', Object.setPrototypeOf([1, 2], class More extends Array {}.prototype), [1, 2]],
    ['a subclass of Map', new (class More extends Map<string, number> {})([['a', 1]]), new Map([['a', 1]])],
    ['a long tuple', new Tuple(1, 2, 3, 4, 5), new Tuple(1, 2, 3, 4, 5)],
    [
      'tuples of one to three',
      [new Tuple(), new Tuple(1), new Tuple(1, 2), new Tuple(1, 2, 3)],
      [new Tuple(), new Tuple(1), new Tuple(1, 2), new Tuple(1, 2, 3)],
    ],
    [
      'a dict of 2001 entries',
      new Map(Array.from({ length: 2001 }, (_, i): [string, number] => [`k${i}`, i])),
      new Map(Array.from({ length: 2001 }, (_, i): [string, number] => [`k${i}`, i])),
    ],
    ['a list of 1001 items', Array.from({ length: 1001 }, () => 'x'), Array.from({ length: 1001 }, () => 'x')],
  ])('%s round-trips', (_name, value, wanted) => {
    for (const again of both(value)) expect(again).toEqual(wanted);
  });

  it('of another realm work like ours', () => {
    const realm = createContext({});
    expect(load(dump(runInContext('({ a: [1, 2] })', realm)))).toEqual(new Map([['a', [1, 2]]]));
    const [text, floats] = runInContext('[new Uint8Array([97, 98]), new Float64Array([1.5])]', realm) as unknown[];
    for (const again of both(new Map([[text, floats]])) as Map<Uint8Array, NDArray>[])
      expect([...again].map(([key, value]) => [key, value.toNested()])).toEqual([[bytes(97, 98), [1.5]]]);
    const dict = MmapDict.over(MemoryFile.of()).set('bytes', text);
    expect([dict.get('bytes'), dict.getMeta('bytes')?.kind]).toEqual([bytes(97, 98), 'pickle']);
    expect(ndarray([text]).dtype).toBe('|S2');
  });

  it('of another realm or class remain one object, also inside themselves', () => {
    for (const value of [new (class More extends Map {})(), runInContext('({})', createContext({})), new PyDict()]) {
      if (value instanceof Map) value.set('self', value);
      else value.self = value;
      for (const [one, other] of both([value, value]) as [Map<string, unknown>, unknown][]) {
        expect(one).toBe(other);
        expect(one.get('self')).toBe(one);
      }
    }
  });

  it('that misreport themselves are written as they are, or refused', () => {
    const ends = (length: unknown): unknown =>
      new Proxy([1, 2], { get: (list, key) => (key === 'length' ? length : list[key as never]) });
    for (const length of ['2', 2.5]) for (const again of both(ends(length))) expect(again).toEqual([1, 2]);
    for (const again of both(Object.defineProperty(bytes(1, 2, 3), 'length', { value: 2 })))
      expect(again).toEqual(bytes(1, 2, 3));
    class Doubled extends Float32Array {}
    for (const again of both(Doubled.of(1, 2)) as NDArray[]) expect(again.toNested()).toEqual([1, 2]);
    class Lists extends Set<number> {
      override *[Symbol.iterator](): SetIterator<number> {
        yield [] as never;
      }
    }
    for (const again of both(new Lists([1]))) expect(again).toEqual(new Set([1]));
    for (const value of [
      new Proxy(bytes(1), {}),
      new Proxy(new Float64Array(1), {}),
      Object.create(Uint8Array.prototype),
      new Proxy(new Date(0), {}),
      ends(-1),
    ]) {
      expect(() => dump([value])).toThrow(refused('UNSUPPORTED_VALUE'));
    }
  });

  it('a frozenset round-trips in every protocol', () => {
    for (const again of both(new FrozenSet([1, new Tuple('a')]))) {
      expect(again).toBeInstanceOf(FrozenSet);
      expect((again as FrozenSet).has(new Tuple('a'))).toBe(true);
    }
  });

  it.each<[string, unknown]>([
    ['undefined', undefined],
    ['undefined in a list', [undefined]],
    ['a hole', new Array(1)],
    ['a function', () => 1],
    ['a symbol', Symbol('x')],
    ['a regular expression', /x/],
    ['an error', new Error('x')],
    ['an instance of an unknown class', new (class Thing {})()],
    ['an object with a hidden class', Object.create(Object.create({ constructor: 1 }))],
    ['an invalid Date', new Date(Number.NaN)],
    ['a promise', Promise.resolve()],
  ])('%s cannot be written', (_name, value) => {
    expect(() => dump(value)).toThrow(refused('UNSUPPORTED_VALUE'));
  });

  it('a dict that cannot be written does not affect the encoder', () => {
    const encoder = new EntryEncoder();
    expect(() => encoder.encode([{ a: [undefined] }])).toThrow(refused('UNSUPPORTED_VALUE'));
    expect(loadEntry(encoder.encode([1]))).toEqual([1]);
  });

  it.each([new Map([['a', 1]]), new Set([1])])('a Proxy of a %s, whose entries cannot be read, is refused', (keyed) => {
    expect(() => dump([new Proxy<object>(keyed, {})])).toThrow(refused('UNSUPPORTED_VALUE'));
  });
});

describe('sharing and cycles', () => {
  it('shared values are written once', () => {
    const shared = new Tuple('a', [1]);
    for (const again of both([shared, shared, { shared }]) as unknown[][]) {
      expect(again[0]).toBe(again[1]);
      expect((again[2] as Map<string, unknown>).get('shared')).toBe(again[0]);
    }
  });

  it('more than 256 shared objects use long memo indices', () => {
    const objects = Array.from({ length: 300 }, (_, i) => [i]);
    for (const again of both([...objects, ...objects]) as unknown[][]) {
      expect(again[299]).toBe(again[599]);
      expect(again[0]).toBe(again[300]);
    }
    expect(names(dump([...objects, ...objects]))).toContain('LONG_BINPUT');
  });

  it('repeated dict keys are written once, from the second dict on', () => {
    const records = Array.from({ length: 3 }, (_, i) => ({ identifier: i, other: 1 }));
    const data = dump(records, { protocol: 2 });
    expect(names(data).filter((name) => name === 'BINUNICODE').length).toBe(4);
    expect(load(data)).toEqual(records.map((record) => new Map(Object.entries(record))));
    const many = Array.from({ length: 2 }, () =>
      Object.fromEntries(Array.from({ length: 5000 }, (_, i) => [`k${i}`, i])),
    );
    expect((load(dump(many)) as Map<string, number>[])[1]?.get('k4999')).toBe(4999);
  });

  it.each([1, 2, 3, 4])('a tuple of %i that contains itself round-trips', (length) => {
    const list: unknown[] = [];
    const tuple = new Tuple(list, ...new Array<number>(length - 1).fill(0));
    list.push(tuple);
    for (const again of both(tuple) as Tuple[]) expect((again[0] as unknown[])[0]).toBe(again);
    for (const again of both(list) as unknown[][]) expect((again[0] as Tuple)[0]).toBe(again);
  });

  it('a dict, an opaque object and an exception that contain themselves round-trip', () => {
    const dict = new Map<string, unknown>();
    dict.set('self', dict);
    const thing = new OpaqueObject('NEWOBJ', new OpaqueGlobal('m', 'C'), Tuple.of());
    OpaqueObject.operate(thing, { op: 'BUILD', state: new Map([['self', thing]]) });
    const args: unknown[] = [];
    const error = new PyException('ValueError', [args]);
    args.push(error);
    const frozen: unknown[] = [];
    const set = new FrozenSet([new OpaqueObject('REDUCE', new OpaqueGlobal('m', 'f'), Tuple.of(frozen))]);
    frozen.push(set);
    for (const protocol of PROTOCOLS) {
      const again = load(dump(dict, { protocol })) as typeof dict;
      expect(again.get('self')).toBe(again);
      const object = load(dump(thing, { protocol })) as OpaqueObject;
      expect((object.state as typeof dict).get('self')).toBe(object);
      const raised = load(dump(error, { protocol })) as PyException;
      expect((raised.args[0] as unknown[])[0]).toBe(raised);
      const [inside] = [...(load(dump(set, { protocol })) as FrozenSet<OpaqueObject>)] as [OpaqueObject];
      expect(((inside.args[0] as unknown[])[0] as FrozenSet).size).toBe(1);
    }
  });

  it('nesting of a million levels is written without recursion, unless the depth is limited', () => {
    let deep: unknown = 1;
    for (let i = 0; i < 100_000; i++) deep = i % 2 === 0 ? [deep] : new Tuple(deep);
    expect(dump(deep).length).toBeGreaterThan(100_000);
    expect(() => dump([[[[1]]]], { limits: { depth: 3 } })).toThrow(
      expect.objectContaining({ code: 'LIMIT_EXCEEDED', limit: 'depth' }),
    );
    expect(() => dumpEntry([[[[1]]]], { limits: { depth: 3 } })).toThrow(refused('LIMIT_EXCEEDED'));
    expect(() => new EntryEncoder({ limits: { depth: 3 } }).encode([[[[1]]]])).toThrow(refused('LIMIT_EXCEEDED'));
  });
});

describe('opcodes', () => {
  it('of a protocol are those that it defines', () => {
    const value = [
      bytes(1),
      new ByteArray(1),
      new Set([1]),
      'x',
      new OpaqueGlobal('m', 'A.b'),
      new OpaqueObject('NEWOBJ_EX', new OpaqueGlobal('m', 'C'), Tuple.of(), new Map([['k', 1]])),
      new Float64Array(2),
    ];
    for (const protocol of PROTOCOLS) {
      const data = dump(value, { protocol });
      expect(Math.max(...Array.from(genops(data), ({ opcode }) => opcode.proto))).toBeLessThanOrEqual(protocol);
    }
  });

  it('of an entry are only those that an entry may contain', () => {
    const shared = [1];
    const data = dumpEntry([shared, shared, new Float64Array(20_000), { a: 1 }, { a: 2 }], { memoBase: 7 });
    const found = names(new Uint8Array([...data, 0x2e]));
    for (const name of ['PROTO', 'FRAME', 'MEMOIZE']) expect(found).not.toContain(name);
    expect(Array.from(genops(new Uint8Array([...data, 0x2e]))).find(({ name }) => name === 'BINPUT')?.arg).toBe(7);
    expect((loadEntry(data) as unknown[])[0]).toEqual([1]);
  });

  it('frames hold everything except large payloads, and none is tiny', () => {
    const data = dump([
      Array.from({ length: 60_000 }, (_, i) => `text ${i}`),
      new Uint8Array(100_000),
      [[1], [1]],
      new Uint8Array(70_000),
    ]);
    const frames = Array.from(genops(data)).filter(({ name }) => name === 'FRAME');
    expect(frames.length).toBeGreaterThan(10);
    for (const { arg } of frames) expect(Number(arg)).toBeGreaterThanOrEqual(4);
    expect((load(data) as unknown[])[2]).toEqual([[1], [1]]);
    expect(names(dump(1))).toEqual(['PROTO', 'BININT1', 'STOP']);
  });

  it('are the same for the same value', () => {
    const value = () =>
      new Map<unknown, unknown>([
        ['a', [1, { b: 2 }, { b: 3 }]],
        [new Tuple(1), new Set(['x'])],
      ]);
    for (const protocol of PROTOCOLS) expect(dump(value(), { protocol })).toEqual(dump(value(), { protocol }));
  });

  it('of names whose joined text is equal are distinguished', () => {
    const pairs = ['a\nb c', 'a b\nc', 'a b c', '1 a bc', 'abc '].flatMap((text) =>
      Array.from({ length: text.length + 1 }, (_, at) => [text.slice(0, at), text.slice(at)] as const),
    );
    const globals = pairs.flatMap(([module, name]) => [new OpaqueGlobal(module, name), new OpaqueGlobal(module, name)]);
    expect(load(dump(globals))).toEqual(globals);
  });

  it('of dotted names and newlines follow the protocol', () => {
    expect(
      names(dump(new OpaqueGlobal('m', 'A.b.c'), { protocol: 2 })).filter((name) => name === 'REDUCE').length,
    ).toBe(2);
    expect(names(dump(new OpaqueGlobal('m', 'A.b.c')))).toContain('STACK_GLOBAL');
    expect(() => dump(new OpaqueGlobal('m\n', 'x'), { protocol: 3 })).toThrow(refused('UNSUPPORTED_VALUE'));
    expect(load(dump(new OpaqueGlobal('m\n', 'x')))).toEqual(new OpaqueGlobal('m\n', 'x'));
    expect(String(load(dump(new OpaqueGlobal('builtins', 'range'), { protocol: 2 })))).toBe('builtins.range');
    expect(new TextDecoder().decode(dump(new OpaqueGlobal('builtins', 'range'), { protocol: 2 }))).toContain(
      '__builtin__\nxrange\n',
    );
    expect(new TextDecoder().decode(dump(new OpaqueGlobal('numpy._core.multiarray', 'scalar')))).not.toContain('_core');
    expect(new TextDecoder().decode(dump(new OpaqueGlobal('numpy.random', 'x')))).toContain('numpy.random');
  });

  it.each<[string, DumpOptions]>([
    ['protocol 1', { protocol: 1 as never }],
    ['protocol 6', { protocol: 6 as never }],
    ['buffers below protocol 5', { bufferCallback: () => undefined }],
  ])('%s is refused', (_name, options) => {
    expect(() => dump(1, options)).toThrow(refused('INVALID_ARGUMENT'));
  });
});

describe('an EntryEncoder', () => {
  it('reports where its memo ends', () => {
    const encoder = new EntryEncoder();
    const shared = [1];
    const first = encoder.encode([shared, shared], 3).slice();
    expect(encoder.memoEnd).toBe(4);
    expect(loadEntry(first)).toEqual([[1], [1]]);
    encoder.encode('x');
    expect(encoder.memoEnd).toBe(0);
    expect(loadEntry(encoder.encode(new Uint8Array(100_000)))).toHaveLength(100_000);
  });
});

describe('buffers', () => {
  it('go out of band if requested, and in band otherwise', () => {
    const value = [
      ndarray(new Float64Array([1, 2])),
      new OutOfBandBuffer(bytes(7)),
      new OutOfBandBuffer(bytes(8), 0, true),
    ];
    const buffers: Uint8Array[] = [];
    const data = dump(value, { protocol: 5, bufferCallback: (buffer) => void buffers.push(buffer) });
    expect(buffers.map(({ length }) => length)).toEqual([16, 1, 1]);
    const [array, writable, readonly] = load(data, { buffers }) as [NDArray, OutOfBandBuffer, OutOfBandBuffer];
    expect([array.get(1), writable.readonly, readonly.readonly]).toEqual([2, false, true]);
    const kept = dump(value, { protocol: 5, bufferCallback: () => true });
    expect(names(kept)).not.toContain('NEXT_BUFFER');
    for (const protocol of PROTOCOLS) {
      const [, first, second] = load(dump(value, { protocol })) as [unknown, ByteArray, Uint8Array];
      expect([first, second]).toEqual([new ByteArray([7]), bytes(8)]);
    }
  });
});

describe('a shared value', () => {
  const long = 'é'.repeat(4000);
  const PAIR = [0xed, 0xa0, 0xbd, 0xed, 0xb8, 0x80];
  it.each([
    ['a long text', long],
    ['a long integer', 3n ** 20_000n],
    ['a long negative integer', -(3n ** 20_000n)],
    [
      'a text with pairs of surrogates',
      new PyString(
        new Uint8Array(6000).map((_, i) => PAIR[i % 6]!),
        '\u{1f600}'.repeat(1000),
      ),
    ],
    ['a writable buffer', new OutOfBandBuffer(new Uint8Array(8000))],
    ['a read-only buffer', new OutOfBandBuffer(new Uint8Array(8000), 0, true)],
  ])('is written once: %s, as item, key and value', (_what, value) => {
    const lists = [
      [value, value],
      Tuple.of(value, value),
      new Map<unknown, unknown>([
        ['a', value],
        ['b', value],
      ]),
    ];
    if (!(value instanceof OutOfBandBuffer)) lists.push(new Map([[value, value]]), new Map([[value, 1]]));
    for (const protocol of PROTOCOLS) {
      const one = dump(value, { protocol });
      const all = dump(lists, { protocol });
      expect(all.length).toBeLessThan(one.length + 300);
      expect(dump(load(all, { lossless: true }), { protocol })).toEqual(all);
      const [list] = load(all, { lossless: true }) as [unknown[]];
      expect(list[1]).toEqual(load(one, { lossless: true }));
    }
    expect(dumpEntry(lists, { memoBase: 300 }).length).toBeLessThan(dumpEntry(value).length + 300);
  });
});

describe('a shared value, beyond the number that is remembered', () => {
  it('is written again: the 4097th long text', () => {
    const texts = Array.from({ length: 4097 }, (_, i) => `${i}`.padEnd(256, '.'));
    const once = dump(texts).length;
    const twice = dump([texts, texts.slice()]);
    expect(twice.length - once).toSatisfy((more: number) => more > 256 && more < 10 * 4096 + 600);
    expect(load(twice)).toEqual([texts, texts]);
  });
});

describe('arrays', () => {
  it.each(PROTOCOLS)('share their type, even a long one: protocol %i', (protocol) => {
    const fields = Array.from({ length: 1000 }, (_, i): [string, string] => [`f${i}`, 'f8']);
    const array = NDArray.zeros([0], fields);
    const alone = dump(array, { protocol }).length;
    const many = Array.from({ length: 100 }, () => NDArray.over(array.memory, array.type, [0]));
    expect(dump(many, { protocol }).length).toBeLessThan(2 * alone);
  });

  it('nested in values are still arrays, masked ones with their fill value', () => {
    const masked = new MaskedArray(ndarray(new Int16Array([1, 2])), ndarray([false, true]), { fillValue: -9 });
    const bare = new MaskedArray(ndarray(new Float32Array([1.5])), ndarray([true]));
    for (const again of both({
      masked,
      bare,
      typed: new BigInt64Array([5n]),
      clamped: new Uint8ClampedArray([9]),
    }) as Map<string, NDArray & MaskedArray>[]) {
      expect([again.get('masked')?.get(0), again.get('masked')?.get(1), again.get('masked')?.fillValue]).toEqual([
        1,
        null,
        -9,
      ]);
      expect(again.get('bare')?.fillValue).toBeNull();
      expect(again.get('typed')?.toNested()).toEqual([5n]);
      expect(again.get('clamped')?.dtype).toBe('uint8');
    }
  });

  it('from any source are written: in pieces, without bytes, or with a mask', () => {
    const source = { arraySource: true as const, dtype: 'uint8', shape: [4], bytes: () => [bytes(1, 2), bytes(3, 4)] };
    const zeros = { arraySource: true as const, dtype: '<i2', shape: [2] };
    const masked = { ...source, mask: { arraySource: true as const, dtype: 'bool', shape: [4] }, fillValue: null };
    class Stub {
      readonly arraySource = true as const;
      readonly dtype = 'float32';
      readonly shape = [1];
    }
    const [a, b, c, d] = load(dump([source, zeros, masked, new Stub()])) as [NDArray, NDArray, MaskedArray, NDArray];
    expect([a.toNested(), b.toNested(), c.get(3), d.toNested()]).toEqual([[1, 2, 3, 4], [0, 0], 4, [0]]);
  });

  it('that are large are copied once, outside of frames', () => {
    const big = ndarray(new Float64Array(20_000).fill(1.5));
    for (const again of both([big, big.slice(slice(0, null, 2))]) as [NDArray, NDArray][]) {
      expect([again[0].get(19_999), again[1].get(9999)]).toEqual([1.5, 1.5]);
    }
    expect((load(dump(NDArray.ofObjects([[1], 'a']))) as NDArray).get(0)).toEqual([1]);
  });
});

describe('dates', () => {
  it('a Date is a datetime in UTC', () => {
    const date = new Date('2026-11-21T01:02:03.004Z');
    const again = load(dump(date)) as PyDateTime;
    expect([again.toDate(), String(again)]).toEqual([date, '2026-11-21T01:02:03.004000+00:00']);
    expect(NumpyScalar.of(1n, 'datetime64[s]').value).toBe(1n);
  });
});

describe('user callbacks', () => {
  it('that change the buffer of bytes still to be placed leave no pickle of another length', () => {
    const size = 100_000;
    for (const [measure, make] of [
      ['length', (buffer: ArrayBuffer) => new Uint8Array(buffer)],
      ['nbytes', (buffer: ArrayBuffer) => ndarray(new Float64Array(buffer))],
    ] as const) {
      for (const [change, code] of [
        [(buffer: Resizable) => buffer.resize(2 * size), undefined],
        [(buffer: Resizable) => buffer.resize(size - 8), 'INVALID_ARGUMENT'],
        [(buffer: Resizable) => structuredClone(buffer, { transfer: [buffer] }), 'INVALID_ARGUMENT'],
      ] as const) {
        const write = (writer: (value: unknown) => unknown) => () => {
          const buffer = new (ArrayBuffer as unknown as new (size: number, options: object) => Resizable)(size, {
            maxByteLength: 2 * size,
          });
          return writer([
            make(buffer),
            {
              get late() {
                change(buffer);
                return 1;
              },
            },
          ]);
        };
        const dict = MmapDict.over(MemoryFile.of());
        for (const writer of [write((value) => load(dump(value))), write((value) => dict.set('k', value).get('k'))]) {
          if (code === undefined) expect(writer()).toMatchObject([{ [measure]: size }, new Map([['late', 1]])]);
          else expect(writer).toThrow(refused(code));
        }
        if (code !== undefined) expect(dict.size).toBe(0);
      }
    }
  });

  it('may write and read other values meanwhile', () => {
    const encoder = new EntryEncoder();
    const inner: unknown[] = [];
    const value = {
      list: [1],
      get late() {
        inner.push(loadEntry(encoder.encode([[2], { a: [3] }])));
        encoder.encode([inner, inner]);
        inner.push(encoder.memoEnd);
        return [4];
      },
    };
    expect(loadEntry(encoder.encode([value]))).toEqual([
      new Map([
        ['list', [1]],
        ['late', [4]],
      ]),
    ]);
    expect(inner).toEqual([[[2], new Map([['a', [3]]])], 1]);
    const decoder: Decoder = new Decoder({
      persistentLoad: (id) => [id, decoder.loadEntry(dumpEntry(['inner']), 0, 99)],
    });
    const outer = emit(['MARK', 'NONE', 'BINPERSID', ['BININT1', 7], 'LIST', 'STOP']);
    expect(decoder.load(outer)).toEqual([[null, ['inner']], 7]);
    const same: Decoder = new Decoder({
      persistentLoad: (id) => (id === null ? same.load(emit([['PERSID', 'x'], 'STOP'])) : id),
    });
    expect(same.load(outer)).toEqual(['x', 7]);
  });
});
