import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import { memoryOver, NDArray, ndarray } from '../../src/ndarray/index.ts';
import {
  check,
  Decoder,
  dump,
  type EmitOp,
  EntryEncoder,
  emit,
  FrozenSet,
  genops,
  load,
  loadEntry,
  OpaqueGlobal,
  OpaqueObject,
  PyDecimal,
  PyDict,
  PyException,
  type PyFloat,
  PyFraction,
  PySet,
  type PyString,
  Tuple,
} from '../../src/pickle/index.ts';

const bytes = (...list: number[]): Uint8Array => Uint8Array.from(list);
const refused = (code: string, limit?: string) =>
  expect.objectContaining(limit === undefined ? { code } : { code, limit });
const text = (value: string): EmitOp => ['UNICODE', value];
const int = (value: number): EmitOp => ['BININT1', value];
const call = (name: string, ...args: EmitOp[]): unknown =>
  load(emit([['PROTO', 4], ['GLOBAL', name], 'MARK', ...args, 'TUPLE', 'REDUCE', 'STOP']));

describe('corner cases of reading', () => {
  it('a pickle that ends before its STOP says so', () => {
    expect(() => load(emit(['NONE']))).toThrow(refused('TRUNCATED'));
    expect(() => load(emit(['NONE']), { offset: 100 })).toThrow(expect.objectContaining({ offset: 101 }));
  });

  it('escaped surrogates may follow escaped backslashes', () => {
    const kept = load(
      emit([['UNICODE', 'x'], 'POP', 'STOP']).length > 0
        ? new TextEncoder().encode('V\\\\u0041\\q\\ud83d\\ude00\n.')
        : bytes(),
      { lossless: true },
    ) as PyString;
    expect([...kept]).toEqual(['\\', '\\', 'u', '0', '0', '4', '1', '\\', 'q', '\ud83d', '\ude00']);
  });

  it('views of one buffer are distinguished', () => {
    const buffer = new Uint8Array([...emit([int(1)]), ...emit([['BINFLOAT', 2.5]])]).buffer;
    const decoder = new Decoder();
    const first = new Uint8Array(buffer, 0, 2);
    const second = new Uint8Array(buffer, 2, 9);
    expect(decoder.loadEntry(first, 0, 2)).toBe(1);
    expect(decoder.loadEntry(second, 0, 9)).toBe(2.5);
    expect(decoder.loadEntry(new Uint8Array(buffer, 2), 0, 9)).toBe(2.5);
    expect(decoder.loadEntry(new Uint8Array(buffer, 2, 9), 0, 9)).toBe(2.5);
    expect(decoder.loadEntry(new Uint8Array(buffer.slice(0)), 0, 2)).toBe(1);
    expect(decoder.loadEntry(new Uint8Array(buffer, 0, 2), 0, 2)).toBe(1);
  });

  it('a container that a constructor has read accepts later items', () => {
    const seen: number[] = [];
    const globals = {
      'm look': (args: readonly unknown[]) => {
        seen.push((args[0] as PyDict | PySet).size);
        return null;
      },
    };
    const dict = load(
      emit([
        ['GLOBAL', 'm look'],
        'EMPTY_DICT',
        ['BINPUT', 0],
        int(1),
        int(2),
        'SETITEM',
        'TUPLE1',
        'REDUCE',
        'POP',
        ['BINGET', 0],
        'NEWTRUE',
        int(3),
        'SETITEM',
        'STOP',
      ]),
      { globals },
    );
    expect(dict).toEqual(new Map([[1, 3]]));
    const set = load(
      emit([
        ['GLOBAL', 'm look'],
        'EMPTY_SET',
        ['BINPUT', 0],
        'MARK',
        int(1),
        'ADDITEMS',
        'TUPLE1',
        'REDUCE',
        'POP',
        ['BINGET', 0],
        'MARK',
        'NEWTRUE',
        int(4),
        'ADDITEMS',
        'STOP',
      ]),
      { globals },
    );
    expect(set).toEqual(new Set([1, 4]));
    expect(seen).toEqual([1, 1]);
  });

  it('genops reads a LONG without its L, and fails on a truncated length of eight bytes', () => {
    expect(Array.from(genops(new TextEncoder().encode('L12\n.')), ({ arg }) => arg)).toEqual([12, null]);
    expect(() => [...genops(bytes(0x8e, 1))]).toThrow('not enough data in stream to read uint8');
    expect(check(emit(['NONE', 'STOP'])).known).toBe(true);
  });

  it('the work that calls do on shared arguments is limited', () => {
    const shared = emit([
      'EMPTY_LIST',
      'MARK',
      ...new Array<EmitOp>(5000).fill(int(1)),
      'APPENDS',
      ['BINPUT', 0],
      'POP',
    ]);
    const calls = emit(
      new Array<EmitOp[]>(400).fill([['GLOBAL', 'builtins set'], ['BINGET', 0], 'TUPLE1', 'REDUCE', 'POP']).flat(),
    );
    const bomb = new Uint8Array([...emit([['PROTO', 4]]), ...shared, ...calls, ...emit(['NONE', 'STOP'])]);
    expect(() => load(bomb)).toThrow(refused('LIMIT_EXCEEDED', 'work'));
    expect(load(bomb, { limits: { work: 100_000 } })).toBeNull();
    const dtypes = emit(
      new Array<EmitOp[]>(400).fill([['GLOBAL', 'numpy dtype'], ['BINGET', 0], 'TUPLE1', 'REDUCE', 'POP']).flat(),
    );
    const fields = emit([
      'EMPTY_LIST',
      'MARK',
      ...Array.from({ length: 2000 }, (_, i): EmitOp[] => [text(`f${i}`), text('i4'), 'TUPLE2']).flat(),
      'APPENDS',
      ['BINPUT', 0],
      'POP',
    ]);
    expect(() =>
      load(new Uint8Array([...emit([['PROTO', 4]]), ...fields, ...dtypes, ...emit(['NONE', 'STOP'])])),
    ).toThrow(refused('LIMIT_EXCEEDED', 'work'));
  });
});

describe('corner cases of calls', () => {
  it.each<[string, EmitOp[]]>([
    ['fractions Fraction', [int(1), int(2), int(3)]],
    ['fractions Fraction', [text('1'.repeat(20_000))]],
    ['fractions Fraction', [['LONG4', 1n << 20_000n], int(1)]],
    ['numpy reshape', [int(1)]],
    ['numpy dtype', ['EMPTY_TUPLE']],
    ['numpy dtype', [text('i4'), 'TUPLE1']],
  ])('%s with such arguments stays opaque', (name, args) => {
    expect(call(name, ...args)).toBeInstanceOf(OpaqueObject);
  });

  it('a dtype that is nested too deeply stays opaque', () => {
    const nested = Array.from({ length: 60 }, (): EmitOp[] => [int(1), 'TUPLE1', 'TUPLE2']).flat();
    expect(call('numpy dtype', text('i1'), ...nested)).toBeInstanceOf(OpaqueObject);
    expect(
      call('numpy dtype', ['GLOBAL', 'numpy dtype'], text('i2'), 'TUPLE1', 'REDUCE', int(3), 'TUPLE1', 'TUPLE2'),
    ).toMatchObject({ itemsize: 6 });
  });

  it('a dtype of fields with metadata stays opaque', () => {
    const state: EmitOp[] = [
      'MARK',
      int(4),
      text('|'),
      'NONE',
      text('a'),
      'TUPLE1',
      'EMPTY_DICT',
      int(1),
      int(1),
      int(16),
      'EMPTY_DICT',
      text('k'),
      'NONE',
      'SETITEM',
      'TUPLE',
      'BUILD',
    ];
    const made = load(
      emit([
        ['PROTO', 4],
        ['GLOBAL', 'numpy dtype'],
        text('V1'),
        'NEWFALSE',
        'NEWTRUE',
        'TUPLE3',
        'REDUCE',
        ...state,
        'STOP',
      ]),
    );
    expect(made).toBeInstanceOf(OpaqueObject);
  });

  it.each([
    ['a negative', ['BININT', -1]],
    ['a large', ['LONG1', 1n << 128n]],
    ['no', 'NONE'],
  ] as [string, EmitOp][])('a UUID of %s integer stays opaque', (_name, value) => {
    expect(
      load(
        emit([
          ['PROTO', 4],
          ['GLOBAL', 'uuid UUID'],
          'EMPTY_TUPLE',
          'NEWOBJ',
          'EMPTY_DICT',
          text('int'),
          value,
          'SETITEM',
          'BUILD',
          'STOP',
        ]),
      ),
    ).toBeInstanceOf(OpaqueObject);
  });

  it('a masked array accepts fill values in every spelling; with an unknown state it stays opaque', () => {
    const flat = (data: Uint8Array, dtype: string): EmitOp[] => [
      ['GLOBAL', 'numpy frombuffer'],
      ['SHORT_BINBYTES', data],
      text(dtype),
      'TUPLE2',
      'REDUCE',
    ];
    const masked = (fill: EmitOp): unknown =>
      load(
        emit([
          ['PROTO', 4],
          ['GLOBAL', 'numpy.ma MaskedArray'],
          'MARK',
          ...flat(new Uint8Array(8), '<f8'),
          ...flat(bytes(0), '?'),
          'NONE',
          'NEWFALSE',
          'NEWTRUE',
          int(0),
          fill,
          'TUPLE',
          'REDUCE',
          'STOP',
        ]),
        { lossless: true },
      );
    expect(masked(['BINFLOAT', 3])).toMatchObject({ fillValue: 3 });
    expect(masked(['BINFLOAT', 3.5])).toMatchObject({ fillValue: 3.5 });
    const state: EmitOp[] = [
      ['GLOBAL', 'numpy.ma.core _mareconstruct'],
      ['GLOBAL', 'numpy.ma.core MaskedArray'],
      ['GLOBAL', 'numpy ndarray'],
      int(0),
      'TUPLE1',
      text('b'),
      'MARK',
    ];
    const made = (...ops: EmitOp[]): unknown =>
      load(
        emit([
          ['PROTO', 4],
          ['GLOBAL', 'numpy.ma.core _mareconstruct'],
          'MARK',
          ['GLOBAL', 'numpy.ma.core MaskedArray'],
          ['GLOBAL', 'numpy ndarray'],
          int(0),
          'TUPLE1',
          text('b'),
          'TUPLE',
          'REDUCE',
          ...ops,
          'BUILD',
          'STOP',
        ]),
      );
    expect(state.length).toBe(7);
    for (const ops of [
      ['NONE'],
      ['EMPTY_TUPLE'],
      ['MARK', ...new Array<EmitOp>(7).fill('NONE'), 'TUPLE'],
    ] as EmitOp[][])
      expect(made(...ops)).toBeInstanceOf(OpaqueObject);
  });

  it('an array of floats accepts the marked floats of lossless mode', () => {
    const array = load(
      emit([
        ['PROTO', 2],
        ['GLOBAL', 'array array'],
        text('d'),
        'EMPTY_LIST',
        ['BINFLOAT', 1],
        'APPEND',
        'TUPLE2',
        'REDUCE',
        'STOP',
      ]),
      { lossless: true },
    );
    expect(array).toMatchObject({ typecode: 'd', format: 16 });
  });

  it('a reshape that would copy stays opaque', () => {
    const order: EmitOp[] = [
      ['GLOBAL', 'numpy._core.numeric _frombuffer'],
      'MARK',
      ['BYTEARRAY8', bytes(1, 2, 3, 4)],
      text('u1'),
      int(2),
      int(2),
      'TUPLE2',
      text('K'),
      int(1),
      int(0),
      'TUPLE2',
      'TUPLE',
      'REDUCE',
    ];
    expect(call('numpy reshape', ...order, int(4), 'TUPLE1')).toBeInstanceOf(OpaqueObject);
  });
});

describe('corner cases of keys', () => {
  it('long texts, bytes and integers inside tuples are distinguished, and equal ones are one key', () => {
    const long = 'x'.repeat(5000);
    const data = new Uint8Array(5000);
    const big = 1n << 40_000n;
    const dict = new PyDict<unknown, number>();
    for (let i = 0; i < 3; i++) {
      for (const part of [long, data, big, new Tuple(long, i)])
        dict.set(new Tuple(part, i), i).set(new FrozenSet([part, i]), i);
    }
    expect(dict.size).toBe(24);
    expect(dict.get(new Tuple('x'.repeat(5000), 2))).toBe(2);
    expect(dict.get(new Tuple(new Uint8Array(5000), 1))).toBe(1);
    expect(dict.get(new Tuple(1n << 40_000n, 0))).toBe(0);
    expect(dict.has(new Tuple(`!b${long}`, 0))).toBe(false);
    dict.set(data, 7).set(big, 8);
    expect([dict.get(data), dict.get(big)]).toEqual([7, 8]);
  });

  it('a frozenset that was read compares like one that was not', () => {
    const looked = new FrozenSet([1, 'a']);
    expect(looked.size).toBe(2);
    const dict = new PyDict<unknown, number>([[looked, 1]]);
    dict.set(new FrozenSet([2]), 2);
    expect(dict.get(new FrozenSet(['a', true]))).toBe(1);
  });

  it('objects of foreign classes, and opaque ones, are equal to themselves', () => {
    class Thing {}
    const thing = new Thing();
    const dict = new PyDict<unknown, number>([
      [thing, 1],
      [new PyException('Exception'), 2],
    ] as [unknown, number][]);
    expect(dict.get(thing)).toBe(1);
    expect(dict.get(new Thing())).toBeUndefined();
    expect(new PySet([thing, thing, new Date(0)]).size).toBe(2);
  });

  it('exact numbers equal the same integers and floats', () => {
    const dict = new PyDict<unknown, string>([
      [1000, 'thousand'],
      ['x', ''],
    ]);
    expect(dict.get(new PyDecimal('1E+3'))).toBe('thousand');
    expect(dict.get(new PyFraction(2000, 2))).toBe('thousand');
    const long = new PyDecimal(`0.${'1'.repeat(2000)}`);
    expect(new PyDict([[long, 1]]).get(new PyDecimal(long.text))).toBe(1);
    expect(new PySet([new PyDecimal('.5'), 0.5]).size).toBe(1);
  });
});

describe('corner cases of writing', () => {
  it('a dict that was loaded and never read is written unchanged', () => {
    for (const value of [
      new Map([['a', [1]]]),
      new Map(),
      new Map<unknown, unknown>([
        [1, 'x'],
        [null, 2],
      ]),
    ]) {
      const bytesOfIt = dump(value);
      expect(dump(load(bytesOfIt))).toEqual(bytesOfIt);
      expect(dump([load(bytesOfIt)])).toEqual(dump([value]));
    }
    const empty = load(emit(['EMPTY_DICT', 'MARK', 'SETITEMS', 'STOP']));
    expect(load(dump(empty))).toEqual(new Map());
  });

  it('a record of plain values is written like any other dict', () => {
    const record = Object.assign(Object.create({ inherited: 1 }), {}) as object;
    expect(() => dump(record)).toThrow(refused('UNSUPPORTED_VALUE'));
    const values: Record<string, unknown>[] = [
      { a: 1, b: 'x', c: true, d: null, e: 2.5 },
      { only: 1 },
      { a: 1, b: [2] },
      { a: 'y'.repeat(300), b: 1 },
      { ['k'.repeat(300)]: 1, b: 1 },
      Object.fromEntries(Array.from({ length: 40 }, (_, i) => [`k${i}`, i])),
    ];
    for (const value of values) {
      expect(load(dump(value))).toEqual(new Map(Object.entries(value)));
      expect(load(dump([value]))).toEqual([new Map(Object.entries(value))]);
      expect(dump(value, { protocol: 2 })).toEqual(dump(new Map(Object.entries(value)), { protocol: 2 }));
    }
    Object.defineProperty(Object.prototype, 'polluted', {
      value: 1,
      enumerable: true,
      configurable: true,
      writable: true,
    });
    try {
      expect(load(dump({ a: 1, b: 2 }))).toEqual(
        new Map([
          ['a', 1],
          ['b', 2],
        ]),
      );
    } finally {
      Reflect.deleteProperty(Object.prototype, 'polluted');
    }
  });

  it('the parts of an entry, joined, are the entry', () => {
    const encoder = new EntryEncoder();
    const big = new Uint8Array(70_000).fill(3);
    const shared = [1];
    const many = Array.from({ length: 300 }, (_, i) => [i]);
    for (const value of [
      1,
      [1, 2],
      big,
      [big, 'after', big],
      [shared, big, shared],
      [...many, big, ...many],
      ndarray(new Float64Array(20_000)),
    ]) {
      const parts = encoder.encodeParts(value).map((part) => part.slice());
      const joined = new Uint8Array(parts.flatMap((part) => [...part]));
      expect(joined).toEqual(encoder.encode(value).slice());
      loadEntry(joined);
    }
    expect(encoder.encodeParts(big, 5).some((part) => part.buffer === big.buffer)).toBe(true);
  });

  it('an encoder starts afresh after a pickle of many frames', () => {
    const encoder = new EntryEncoder();
    expect(loadEntry(encoder.encode(Array.from({ length: 30_000 }, (_, i) => `text ${i}`)))).toHaveLength(30_000);
    expect(loadEntry(encoder.encode(1))).toBe(1);
  });

  it('an array over windows is written in pieces', () => {
    const array = NDArray.over(
      memoryOver(
        Uint8Array.from({ length: 200 }, (_, i) => i),
        { maxWindow: 64 },
      ),
      'u1',
      [200],
    );
    for (const protocol of [2, 4, 5] as const)
      expect((load(dump([array], { protocol })) as [NDArray])[0].get(199)).toBe(199);
  });

  it('arguments that are not a tuple are written as one', () => {
    const made = new OpaqueObject('REDUCE', new OpaqueGlobal('m', 'f'), [1, 2]);
    expect((load(dump(made)) as OpaqueObject).args).toEqual(new Tuple(1, 2));
  });

  it('elements that are objects come only from an NDArray, in the order of its axes', () => {
    const turned = NDArray.ofObjects(['a', 'b', 'c', 'd'], [2, 2]).transpose(1, 0);
    expect((load(dump(turned)) as NDArray).toNested()).toEqual([
      ['a', 'c'],
      ['b', 'd'],
    ]);
    const source = { arraySource: true as const, dtype: 'O', shape: [1] };
    expect(() => dump(source)).toThrow(refused('UNSUPPORTED_DTYPE'));
  });
});

describe('corner cases of printing', () => {
  it('shows operations, and any depth', () => {
    const made = new OpaqueObject('REDUCE', new OpaqueGlobal('m', 'f'), Tuple.of([1]));
    OpaqueObject.operate(made, { op: 'APPEND', items: [2] });
    expect(inspect(made, { depth: null })).toContain("op: 'APPEND'");
    expect(inspect(made, { depth: -1 })).toBe('[<REDUCE m.f>]');
    expect(inspect([new PyException('Warning', [1])])).toContain('Warning ');
    expect(String(load(bytes(0x47, 0x3f, 0xf0, 0, 0, 0, 0, 0, 0, 0x2e), { lossless: true }) as PyFloat)).toBe('1.0');
  });
});

describe('inputs and payloads beyond 2^31 and 2^32 bytes', () => {
  // Pages that are never touched use no memory.
  it('a frame of more than 2 GiB is read, and its payload is a view', () => {
    const length = 2 ** 31 + 1000;
    const input = new Uint8Array(length);
    const view = new DataView(input.buffer);
    input.set([0x80, 4, 0x95]);
    view.setBigUint64(3, BigInt(length - 11), true);
    input[11] = 0x8e;
    view.setBigUint64(12, BigInt(length - 21), true);
    input[length - 1] = 0x2e;
    const payload = load(input) as Uint8Array;
    expect([payload.length, payload.byteOffset, payload.buffer === input.buffer]).toEqual([length - 21, 20, true]);
  });

  it('bytes of 4 GiB are written in the long form, uncopied', () => {
    const [head, payload] = new EntryEncoder().encodeParts(new Uint8Array(2 ** 32)) as [Uint8Array, Uint8Array];
    expect([...head]).toEqual([0x8e, 0, 0, 0, 0, 1, 0, 0, 0]);
    expect(payload.length).toBe(2 ** 32);
  });
});

describe('the work of finishing a dtype', () => {
  it('is limited, however small the pickle', () => {
    const fields = Array.from({ length: 1500 }, (_, i): EmitOp[] => [text(`field${i}`), text('i4'), 'TUPLE2']).flat();
    const type: EmitOp[] = [
      ['GLOBAL', 'numpy dtype'],
      'EMPTY_LIST',
      'MARK',
      ...fields,
      'APPENDS',
      'TUPLE1',
      'REDUCE',
      ['BINPUT', 0],
      'POP',
    ];
    const shared: EmitOp[] = [
      'EMPTY_DICT',
      text('a'),
      ['BINGET', 0],
      int(0),
      'TUPLE2',
      'SETITEM',
      ['BINPUT', 1],
      'POP',
    ];
    const outer: EmitOp[] = [
      ['GLOBAL', 'numpy dtype'],
      text('V6000'),
      'NEWFALSE',
      'NEWTRUE',
      'TUPLE3',
      'REDUCE',
      'MARK',
      int(3),
      text('|'),
      'NONE',
      text('a'),
      'TUPLE1',
      ['BINGET', 1],
      ['BININT2', 6000],
      int(1),
      int(16),
      'TUPLE',
      'BUILD',
      'POP',
    ];
    const bomb = emit([
      ['PROTO', 4],
      ...type,
      ...shared,
      ...new Array<EmitOp[]>(600).fill(outer).flat(),
      'NONE',
      'STOP',
    ]);
    expect(() => load(bomb)).toThrow(refused('LIMIT_EXCEEDED', 'work'));
  });
});
