import { inspect } from 'node:util';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isMmdError } from '../../src/errors.ts';
import { ndarray, parseDType } from '../../src/ndarray/index.ts';
import {
  ByteArray,
  Complex,
  Counter,
  dump,
  dumpEntry,
  ELLIPSIS,
  EntryEncoder,
  FrozenSet,
  load,
  NumpyScalar,
  OpaqueGlobal,
  OpaqueObject,
  OrderedDict,
  OutOfBandBuffer,
  PyArray,
  PyDate,
  PyDateTime,
  PyDecimal,
  PyDict,
  PyException,
  PyFloat,
  PyFraction,
  PyPath,
  PyRange,
  PySet,
  PySlice,
  PyString,
  PyTime,
  PyTimeDelta,
  PyTimeZone,
  PyUuid,
  RecordType,
  Tuple,
  UTC,
} from '../../src/pickle/index.ts';
import { KeySpace, KINDS } from '../../src/pickle/values/keys.ts';

/** The canonical string of a value in its own key space. */
const canonicalForm = (value: unknown): string => new KeySpace().key(value);
const bytes = (...list: number[]): Uint8Array => Uint8Array.from(list);
const hour = new PyTimeZone(new PyTimeDelta(0, 3600));
const zone = new OpaqueObject('REDUCE', new OpaqueGlobal('zoneinfo', 'ZoneInfo'), Tuple.of('Europe/Berlin'));
/** A scalar over its bytes, in hexadecimal. */
const scalar = (dtype: string, hex: string): NumpyScalar =>
  new NumpyScalar(parseDType(dtype), Uint8Array.from(Buffer.from(hex, 'hex')));
const nine = { year: 2024, month: 1, day: 2, hour: 9 };

/** Groups of keys that are equal in Python; no key equals one of another group. */
const GROUPS: readonly (readonly unknown[])[] = [
  [
    1,
    true,
    1n,
    new PyFloat(1),
    new Complex(1, 0),
    new PyDecimal('1.00'),
    new PyFraction(3, 3),
    NumpyScalar.of(1, 'int32'),
    scalar('<f16', '0000000000000080ff3f0000abcdef01'),
    scalar('>f16', '0000000000003fff8000000000000000'),
    new NumpyScalar(parseDType('>f16'), Buffer.from('ff0000000000003fff8000000000000000', 'hex').subarray(1)),
    scalar('<c32', '0000000000000080ff3f00000000000000000000000000000000000000000000'),
  ],
  [0, -0, false, 0n, new PyDecimal('-0E+5'), new PyFloat(-0)],
  [0.5, new PyDecimal('0.50'), new PyFraction(1, 2), NumpyScalar.of(0.5, 'float32')],
  [-2.25, new PyFraction(-9, 4), new PyDecimal('-225E-2')],
  [2 ** 60, 2n ** 60n, new PyDecimal(String(2n ** 60n))],
  [2n ** 60n + 1n, new PyDecimal(String(2n ** 60n + 1n))],
  [5e-324, new PyFraction(1, 2n ** 1074n), scalar('<f16', '0000000000000080cd3b000000000000')],
  [new PyFraction(1, 2n ** 1075n), scalar('<f16', '0000000000000080cc3b000000000000')],
  [new PyFraction(2n ** 52n + 1n, 2n ** 1074n), (2 ** 52 + 1) * 5e-324],
  [1e300, BigInt(1e300)],
  [-(2 ** 70), scalar('<f16', '000000000000008045c0000000000000')],
  [new PyFraction(1, 3)],
  // Bytes, and the long float of the same bytes.
  [bytes(0, 0, 0, 0, 0, 0, 0, 0xc0, 0, 0x40, 0, 0, 0, 0, 0, 0)],
  [3, scalar('<f16', '00000000000000c00040000000000000')],
  [new Complex(3, 1), scalar('<c32', '00000000000000c000400000000000000000000000000080ff3f000000000000')],
  [new PyDecimal('0.1')],
  [new PyDecimal('1E+5000')],
  [new PyDecimal('-1E+5000')],
  [Number.POSITIVE_INFINITY, new PyDecimal('Infinity'), scalar('<f16', '0000000000000080ff7f000000000000')],
  [Number.NEGATIVE_INFINITY, new PyDecimal('-inf'), scalar('<f16', '0000000000000080ffff000000000000')],
  [new Complex(1, 2), new Complex(1, 2)],
  ['1', '1'],
  ['None'],
  ['😀'],
  [
    new PyString(bytes(0xed, 0xa0, 0xbd, 0xed, 0xb8, 0x80), '😀'),
    new PyString(bytes(0xed, 0xa0, 0xbd, 0xed, 0xb8, 0x80), '😀'),
  ],
  [null],
  [bytes(1, 2), bytes(1, 2)],
  [bytes()],
  [new Tuple(), new Tuple()],
  [new Tuple(1, 'a'), new Tuple(true, 'a')],
  [new Tuple(new Tuple(1), 2), new Tuple(new Tuple(1n), 2)],
  [new FrozenSet([1, 2]), new FrozenSet([2, 1, true])],
  [new FrozenSet([new FrozenSet()]), new FrozenSet([new FrozenSet(), new FrozenSet()])],
  [new Tuple(new FrozenSet(['x']))],
  [new PyRange(0, 10, 2), new PyRange(0, 9, 2)],
  [new PyRange(0, 0), new PyRange(5, 1, 3)],
  [new PyRange(4, 5), new PyRange(4, 6, 7)],
  [new PyRange(5, 0, -2), new PyRange(5, -0, -2)],
  [new PyRange(2, 2n ** 4000n, 3), new PyRange(2n, 2n ** 4000n + 1n, 3n)],
  [new PySlice(1, 2), new PySlice(true, 2n)],
  [new Tuple(1, 2, null)],
  [new FrozenSet([1, 2, null])],
  [new PySlice(1, 2, 1)],
  [new PySlice(null, new Tuple(1), new PySlice(1, 2)), new PySlice(null, new Tuple(1n), new PySlice(1, 2))],
  [ELLIPSIS],
  [new OpaqueGlobal('a', 'b.c'), new OpaqueGlobal('a', 'b.c')],
  [new OpaqueGlobal('a.b', 'c')],
  [zone],
  [new OpaqueObject('NEWOBJ', new OpaqueGlobal('a', 'b'), Tuple.of())],
  [new PyException('ValueError', ['x'])],
  [new PyException('ValueError', ['x'])],
  [new PyDate(2024, 1, 2), new PyDate(2024, 1, 2)],
  [new PyDateTime(nine), new PyDateTime({ ...nine, fold: 1 })],
  [new PyDateTime({ ...nine, tzinfo: hour }), new PyDateTime({ ...nine, hour: 8, tzinfo: UTC })],
  [new PyDateTime({ ...nine, tzinfo: zone })],
  [new PyTime({ hour: 9 }), new PyTime({ hour: 9 })],
  [new PyTime({ hour: 9, tzinfo: hour }), new PyTime({ hour: 8, tzinfo: UTC })],
  [new PyTime({ hour: 9, tzinfo: zone })],
  [new PyTimeDelta(0, 3600), new PyTimeDelta(0, 0, 3_600_000_000)],
  [hour, new PyTimeZone(new PyTimeDelta(0, 3600), 'X')],
  [new PyUuid('12345678-1234-1234-1234-123456789abc'), new PyUuid('{12345678123412341234123456789ABC}')],
  [new PyPath(['/', 'a']), new PyPath(['/a/.'], 'PosixPath')],
  [new PyPath(['C:\\A'], 'PureWindowsPath'), new PyPath(['c:/a'], 'PureWindowsPath')],
  [NumpyScalar.of(5n, 'datetime64[s]'), NumpyScalar.of(5n, 'datetime64[s]')],
  [NumpyScalar.of(-5n, '<m8[s]'), NumpyScalar.of(-5n, '>m8[s]')],
  [NumpyScalar.of(5n, 'm8[s]')],
  [NumpyScalar.of(5n, 'M8[ms]')],
  [NumpyScalar.of('ab', 'U2'), 'ab', NumpyScalar.of('ab', '>U7')],
  [NumpyScalar.of('y'.repeat(99), 'U99'), 'y'.repeat(99), NumpyScalar.of('y'.repeat(99), '>U100')],
  [NumpyScalar.of(new Uint8Array(99).fill(9), 'S99'), new Uint8Array(99).fill(9)],
  [scalar('<U2', '61000000ffffff7f'), scalar('>U3', '000000617fffffff00000000')],
  [scalar('<U2', '62000000ffffff7f')],
  [parseDType('f8'), parseDType('<f8')],
  [new RecordType(parseDType([['a', '<i4']])), parseDType([['a', '<i4']])],
];

const UNHASHABLE: readonly unknown[] = [
  [],
  [1],
  new Map(),
  new PyDict(),
  new Set(),
  new PySet(),
  {},
  Object.create(null),
  { pyKey: 1 },
  { pySlice: 1 },
  { pyFrozen: 1, constructor: null },
  runInNewContext('({ a: 1 })'),
  Object.create(Array.prototype),
  undefined,
  new ByteArray(2),
  new Float64Array(1),
  ndarray(new Float64Array(2)),
  new PySlice([], 2),
  new Tuple(new PySlice(1, new PySlice(2, new Map()))),
  new PyDecimal('-sNaN7'),
  new NumpyScalar(parseDType('V2'), bytes(1, 2)),
  new NumpyScalar(parseDType([['a', '<u2']]), bytes(1, 2)),
  new NumpyScalar(parseDType('<u2'), bytes(1, 2), true),
  new Tuple(undefined),
  Symbol('s'),
  new PyArray('B', 0, bytes(1)),
  new OutOfBandBuffer(bytes(1)),
  new Tuple([1]),
  new Tuple(new Tuple(new Tuple(new Map()))),
  new Tuple(...new Array<number>(40).fill(1), new Tuple([])),
];

describe('keys of a PyDict', () => {
  it('are one if Python has them equal, and several if not; the first key and the last value are kept', () => {
    const dict = new PyDict();
    GROUPS.forEach((group, at) => {
      for (const key of group) dict.set(key, at);
    });
    expect(dict.size).toBe(GROUPS.length);
    GROUPS.forEach((group, at) => {
      for (const key of group) {
        expect(dict.has(key), inspect(key)).toBe(true);
        expect(dict.get(key), inspect(key)).toBe(at);
      }
    });
    expect([...dict.keys()].map((key, at) => Object.is(key, GROUPS[at]?.[0])).every(Boolean)).toBe(true);
    expect([...dict.values()]).toEqual(GROUPS.map((_group, at) => at));
    for (const group of GROUPS) expect(dict.delete(group.at(-1))).toBe(true);
    expect(dict.size).toBe(0);
  });

  it('are looked up among texts and numbers without an index', () => {
    const dict = new PyDict<unknown, string>([
      ['a', 'A'],
      [1, 'one'],
      [2.5, 'two'],
      [null, 'none'],
    ]);
    expect([true, 1n, new PyFloat(2.5), null, 'a'].map((key) => dict.get(key))).toEqual([
      'one',
      'one',
      'two',
      'none',
      'A',
    ]);
    for (const key of [2n ** 70n, new Tuple(1), Number.NaN, bytes(1)]) expect(dict.get(key)).toBeUndefined();
    expect(dict.delete(1n)).toBe(true);
    expect(dict.size).toBe(3);
  });

  it('are distinct if they are NaN', () => {
    const dict = new PyDict([
      [Number.NaN, 1],
      [Number.NaN, 2],
    ]);
    expect(dict.size).toBe(2);
    expect(dict.has(Number.NaN)).toBe(false);
    expect(new PySet([new Tuple(Number.NaN), new Tuple(Number.NaN)]).size).toBe(2);
  });

  it.each<[string, () => unknown]>([
    ['a marked float', () => new PyFloat(0x7ff8000000000001n)],
    ['a complex number', () => new Complex(Number.NaN, 0)],
    ['a complex number with a NaN imaginary part', () => new Complex(1, Number.NaN)],
    ['a Decimal', () => new PyDecimal('NaN')],
    ['a float32', () => NumpyScalar.of(Number.NaN, 'f4')],
    ['a complex64', () => NumpyScalar.of(new Complex(0, Number.NaN), 'c8')],
    ['a float128', () => scalar('<f16', '00000000000000c0ff7f000000000000')],
    ['a complex256', () => scalar('<c32', `${'00000000000000c0ff7f000000000000'}${'00'.repeat(16)}`)],
    ['a datetime64', () => NumpyScalar.of(null, 'M8[s]')],
    ['a timedelta64', () => NumpyScalar.of(null, 'm8')],
  ])('are one if they are the same object, and two if they are equal objects, for a NaN as %s', (_name, make) => {
    const [first, second] = [make(), make()];
    const dict = new PyDict([first, second, first].map((key, at) => [key, at]));
    expect([...dict]).toEqual([
      [first, 2],
      [second, 1],
    ]);
    expect(new PySet([new Tuple(first), new Tuple(first), new Tuple(second)]).size).toBe(2);
    expect(dict.has(make())).toBe(false);
  });

  it('are distinguished whatever a text looks like: long ones, and those of other kinds', () => {
    const letters = Object.values(KINDS);
    expect(new Set(letters).size).toBe(letters.length);
    for (const letter of letters) expect(letter).toHaveLength(1);
    const long = 'A'.repeat(70);
    const data = Uint8Array.from(long, (letter) => letter.charCodeAt(0));
    const big = BigInt(`0x${'1'.repeat(70)}`);
    const others: unknown[] = [data, big, new PyDecimal('1E+5000'), new PySlice(1, 2), new OpaqueGlobal('m', long)];
    const texts = others.flatMap((other) => {
      const forms = [canonicalForm(other), `b${long}`, `i0x${'1'.repeat(70)}`, `x${'1'.repeat(70)}`];
      return forms.flatMap((form) => [form, `!${form}`, form.slice(1), `s${form}`]);
    });
    const keys = [...others, ...new Set(texts)];
    for (const wrap of [
      (key: unknown) => key,
      (key: unknown) => new Tuple(key),
      (key: unknown) => new FrozenSet([key]),
    ]) {
      expect(new PySet(keys.map(wrap)).size).toBe(keys.length);
    }
  });

  it('find the float that an integer beyond 2^53 is equal to', () => {
    const dict = new PyDict<unknown, string>([
      [2 ** 70, 'x'],
      [Number.MAX_VALUE, 'y'],
    ]);
    expect(dict.get(2n ** 70n)).toBe('x');
    expect(dict.get(new PyDecimal(String(2n ** 70n)))).toBe('x');
    expect(dict.get(BigInt(Number.MAX_VALUE))).toBe('y');
    expect(dict.has(2n ** 70n + 1n)).toBe(false);
    expect(dict.has(10n ** 400n)).toBe(false);
    expect(dict.delete(2n ** 70n)).toBe(true);
    expect(new PySet<unknown>([-(2 ** 70)]).has(-(2n ** 70n))).toBe(true);
  });

  it('may be moments: a Date equals every datetime of that moment with an offset', () => {
    const dict = new PyDict<unknown, string>([[new Date(1234), 'a']]);
    expect(dict.get(PyDateTime.fromDate(new Date(1234)))).toBe('a');
    expect(dict.set(new Date(1234), 'b').size).toBe(1);
    expect(dict.has(new Date(Number.NaN))).toBe(false);
    expect((load(dump(dict)) as PyDict).get(new Date(1234))).toBe('b');
  });

  it('may be very many integers', () => {
    const dict = new PyDict(Array.from({ length: 2000 }, (_, i): [number, number] => [i * 2 ** 20, i]));
    expect(dict.size).toBe(2000);
    expect(dict.get(1999 * 2 ** 20)).toBe(1999);
    expect(new PySet(dict.values()).has(1999)).toBe(true);
  });

  it.each(
    UNHASHABLE.filter((key) => typeof key === 'object').map((key) => [inspect(key, { depth: 4 }).slice(0, 60), key]),
  )('cannot be %s in a written Map or Set either: Python would refuse the whole pickle', (_name, key) => {
    for (const value of [
      new Map([
        ['a', 1],
        [key, 2],
      ] as [unknown, unknown][]),
      new Set(['a', key]),
    ]) {
      for (const protocol of [2, 4] as const) {
        expect(() => dump([value], { protocol })).toThrow(expect.objectContaining({ code: 'BAD_KEY' }));
      }
      expect(() => new EntryEncoder().encode(value)).toThrow(expect.objectContaining({ code: 'BAD_KEY' }));
    }
  });

  it('are not slices in an entry, which must also load in Python before 3.12', () => {
    const slice = new PySlice(1, 2);
    const keys = [slice, new Tuple(1, new Tuple(slice)), new FrozenSet([slice])];
    for (const key of keys) {
      const dicts = [new Map([[key, 1]]), new PyDict([[key, 1]]), new OrderedDict([[key, 1]]), new Counter([[key, 1]])];
      for (const value of [...dicts, new Set([key]), new PySet([key]), new FrozenSet([key])]) {
        expect(() => dumpEntry([key, value])).toThrow(expect.objectContaining({ code: 'BAD_KEY' }));
        expect(load(dump(value))).toBeDefined();
      }
    }
    expect(dumpEntry([slice, new Map([[1, new Tuple(slice)]])])).toBeDefined();
  });

  it.each([
    [1, true],
    [0n, false],
    [2, 2n],
    [1.5, new PyFloat(1.5)],
    [Tuple.of(1, 'a'), Tuple.of(true, 'a')],
    [Uint8Array.of(1), Uint8Array.of(1)],
    [new Date(0), new Date(0)],
    [Tuple.of(new Date(5)), Tuple.of(PyDateTime.fromDate(new Date(5)))],
  ])('that JavaScript distinguishes and Python does not, %s and %s, are refused: one would be lost', (a, b) => {
    const map = new Map<unknown, unknown>([
      [a, 'one'],
      ['between', null],
      [b, 'other'],
    ]);
    for (const value of [map, new Set(map.keys())])
      expect(() => dump(value)).toThrow(expect.objectContaining({ code: 'BAD_KEY' }));
    map.delete(b);
    expect(() => dump(map)).not.toThrow();
  });

  it.each(UNHASHABLE.map((key) => [inspect(key, { depth: 4 }).slice(0, 60), key]))('cannot be %s', (_name, key) => {
    const dict = new PyDict<unknown, unknown>([['kept', 1]]);
    const set = new PySet<unknown>(['kept']);
    for (const attempt of [
      () => dict.set(key, 2),
      () => set.add(key),
      () => new FrozenSet([key]),
      () => dict.get(key),
    ]) {
      let thrown: unknown;
      try {
        attempt();
      } catch (error) {
        thrown = error;
      }
      expect(isMmdError(thrown, 'BAD_KEY')).toBe(true);
    }
    expect([...dict]).toEqual([['kept', 1]]);
    expect([...set]).toEqual(['kept']);
  });

  it('with deep nesting or much sharing are compared without recursion, each part once', () => {
    let deep: Tuple = new Tuple();
    let wide = new FrozenSet<unknown>();
    for (let i = 0; i < 20_000; i++) deep = new Tuple(deep, new PySlice(deep, deep));
    for (let i = 0; i < 2000; i++) wide = new FrozenSet([wide, i]);
    const dict = new PyDict([
      [deep, 'deep'],
      [wide, 'wide'],
    ] as [unknown, string][]);
    expect(dict.get(deep)).toBe('deep');
    expect(dict.get(wide)).toBe('wide');
    expect(dict.has(new Tuple(deep))).toBe(false);
  });
});

describe('PyDict', () => {
  it.each([...GROUPS.map(([key]) => key)].map((key) => [inspect(key), key]))(
    'keeps a single key without an array of its own, and accepts more keys: %s',
    (_, key) => {
      const space = new KeySpace();
      const make = (): PyDict => {
        const dict = new PyDict();
        PyDict.fill(dict, [key, 'value'], 0, 2, () => space);
        return dict;
      };
      const [dict, grown, set, cleared] = [make(), make(), make(), make()];
      expect(PyDict.pairs(dict)).toBeUndefined();
      expect(dump(dict)).toEqual(dump(new PyDict([[key, 'value']])));
      expect([...dict]).toEqual([[key, 'value']]);
      PyDict.fill(grown, ['other key', 2], 0, 2, () => space);
      expect([...grown]).toEqual([...set.set('other key', 2)]);
      expect(grown.get(key)).toBe(Number.isNaN(key) ? undefined : 'value');
      cleared.clear();
      expect(cleared.size).toBe(0);
    },
  );

  it('behaves like a Map', () => {
    const dict = new PyDict<unknown, number>([
      ['a', 1],
      ['b', 2],
    ]);
    expect(dict instanceof Map).toBe(true);
    expect(Object.prototype.toString.call(dict)).toBe('[object Map]');
    expect(dict).toEqual(
      new Map([
        ['a', 1],
        ['b', 2],
      ]),
    );
    expect([...dict.keys()]).toEqual(['a', 'b']);
    expect([...dict.values()]).toEqual([1, 2]);
    expect([...dict.entries()]).toEqual([...dict]);
    const seen: unknown[] = [];
    dict.forEach(function (this: unknown, value, key, map) {
      seen.push(this, value, key, map === dict);
    }, 'self');
    expect(seen).toEqual(['self', 1, 'a', true, 'self', 2, 'b', true]);
    expect(dict.set('c', 3).delete('a')).toBe(true);
    expect(dict.has('a')).toBe(false);
    expect(inspect(dict)).toMatch(/^dict\(2\) Map\(2\)/);
    dict.clear();
    expect(dict.size).toBe(0);
    expect(new PyDict(null).size).toBe(0);
  });

  it('also does so with keys that need an index', () => {
    const pair = new Tuple(1, 2);
    const dict = new PyDict<unknown, number>([[pair, 1]]);
    expect(dict.size).toBe(1);
    expect([...dict]).toEqual([[pair, 1]]);
    dict.set(bytes(1), 2).set('x', 3);
    expect([...dict.keys()]).toEqual([pair, bytes(1), 'x']);
    expect([...dict.values()]).toEqual([1, 2, 3]);
    expect(dict.get(new Tuple(1, 2))).toBe(1);
    dict.clear();
    expect([...dict]).toEqual([]);
  });

  it('gets an existing value, or inserts one', () => {
    const dict = new PyDict<unknown, number>([[new Tuple(1), 1]]);
    expect(dict.getOrInsert(new Tuple(true), 2)).toBe(1);
    expect(dict.getOrInsert('x', 2)).toBe(2);
    expect(dict.getOrInsertComputed('y', (key) => (key === 'y' ? 3 : 4))).toBe(3);
    expect([...dict.values()]).toEqual([1, 2, 3]);
    expect(() => dict.getOrInsertComputed('y', 3 as never)).toThrow(
      expect.objectContaining({ code: 'INVALID_ARGUMENT' }),
    );
  });

  it("and PySet override every method of the engine's Map and Set", () => {
    const missing = (ours: object, theirs: object) =>
      Object.getOwnPropertyNames(theirs).filter((name) => !Object.hasOwn(ours, name));
    expect(missing(PyDict.prototype, Map.prototype)).toEqual([]);
    expect(missing(PySet.prototype, Set.prototype)).toEqual([]);
  });
});

describe('PySet and FrozenSet', () => {
  it('behave like Sets', () => {
    const set = new PySet<unknown>(['a', 1]);
    expect(set instanceof Set).toBe(true);
    expect(set).toEqual(new Set(['a', 1]));
    expect([...set.entries()]).toEqual([
      ['a', 'a'],
      [1, 1],
    ]);
    expect([...set.keys()]).toEqual(['a', 1]);
    expect(set.has(true)).toBe(true);
    expect(set.delete(1n)).toBe(true);
    expect(set.add('b').add('b').size).toBe(2);
    const seen: unknown[] = [];
    set.forEach((value, again, all) => {
      seen.push(value, again, all === set);
    });
    expect(seen).toEqual(['a', 'a', true, 'b', 'b', true]);
    set.add(new Tuple(1)).add(new Tuple(1)).add('c');
    expect(set.size).toBe(4);
    expect([...set]).toEqual(['a', 'b', new Tuple(1), 'c']);
    expect(set.delete(new Tuple(true))).toBe(true);
    expect(inspect(set)).toMatch(/^set\(3\) Set\(3\)/);
    set.clear();
    expect(set.size).toBe(0);
    expect(new PySet(null).size).toBe(0);
  });

  it('support union, intersection and comparison like sets', () => {
    const universe = [1, 2, 'a', 'b', new Tuple(1), 2n ** 70n];
    const some = fc.subarray(universe);
    const kinds = [PySet, FrozenSet, Set, (items: unknown[]) => new Map(items.map((item) => [item, 0]))] as const;
    const other = fc.tuple(some, fc.integer({ min: 0, max: kinds.length - 1 }));
    fc.assert(
      fc.property(some, other, (ours, [theirs, kind]) => {
        const set = new PySet(ours);
        const make = kinds[kind] as typeof Set;
        const b = kind === 3 ? (kinds[3] as (items: unknown[]) => Map<unknown, number>)(theirs) : new make(theirs);
        const those = (test: (mine: boolean, his: boolean) => boolean) =>
          new Set(universe.filter((item) => test(ours.includes(item), theirs.includes(item))));
        expect(new Set(set.union(b))).toEqual(those((mine, his) => mine || his));
        expect(new Set(set.intersection(b))).toEqual(those((mine, his) => mine && his));
        expect(new Set(set.difference(b))).toEqual(those((mine, his) => mine && !his));
        expect(new Set(set.symmetricDifference(b))).toEqual(those((mine, his) => mine !== his));
        expect(set.isSubsetOf(b)).toBe(those((mine, his) => mine && !his).size === 0);
        expect(set.isSupersetOf(b)).toBe(those((mine, his) => his && !mine).size === 0);
        expect(set.isDisjointFrom(b)).toBe(those((mine, his) => mine && his).size === 0);
      }),
    );
    expect([
      ...new PySet<unknown>([1]).union(new PySet([true, new Tuple(1)])).union(new PySet([new Tuple(true)])),
    ]).toEqual([1, new Tuple(1)]);
  });

  it('compare items of plain Sets and Maps like their own: tuples by their items', () => {
    const set = new PySet<unknown>([1, new Tuple(1, 2)]);
    for (const other of [new Set([true, new Tuple(1, 2)]), new Map(set.entries()), new PySet(set)]) {
      expect([...set.intersection(other)]).toEqual([1, new Tuple(1, 2)]);
      expect([...set.difference(other), ...set.symmetricDifference(other)]).toEqual([]);
      expect([set.isSubsetOf(other), set.isSupersetOf(other), set.isDisjointFrom(other)]).toEqual([true, true, false]);
    }
  });

  it('do not iterate an infinite set, and refuse a value that is not a set: an array has keys, too', () => {
    const keys = () => {
      throw new Error('asked');
    };
    const even = { size: Infinity, has: (item: unknown) => item === 2, keys };
    const set = new PySet<unknown>([1, 2]);
    expect([...set.intersection(even), ...set.difference(even)]).toEqual([2, 1]);
    expect([set.isSubsetOf(even), set.isSupersetOf(even), set.isDisjointFrom(even)]).toEqual([false, false, false]);
    const wrong: readonly unknown[] = [[1], null, undefined, 5, 'ab', { ...even, size: NaN }, { ...even, size: -1 }];
    const methods = ['union', 'intersection', 'difference', 'symmetricDifference'] as const;
    const tests = ['isSubsetOf', 'isSupersetOf', 'isDisjointFrom'] as const;
    for (const other of [...wrong, { ...even, has: 1 }, { ...even, keys: undefined }]) {
      for (const method of [...methods, ...tests]) {
        expect(() => set[method](other as never)).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }));
      }
    }
  });

  it('keep a frozenset as one', () => {
    const frozen = new FrozenSet([1, 2]);
    expect([frozen.size, frozen.has(2), frozen instanceof Set]).toEqual([2, true, true]);
    for (const change of [() => frozen.add(3), () => frozen.delete(1), () => frozen.clear()]) {
      expect(change).toThrow(expect.objectContaining({ code: 'UNSUPPORTED_VALUE' }));
    }
    const [one, three] = [new Set([1]), new Set([3])];
    const made = [
      frozen.union(three),
      frozen.intersection(one),
      frozen.difference(one),
      frozen.symmetricDifference(one),
    ];
    expect(made).toEqual([new FrozenSet([1, 2, 3]), new FrozenSet([1]), new FrozenSet([2]), new FrozenSet([2])]);
    expect(made.every((each) => each instanceof FrozenSet)).toBe(true);
    expect(inspect(frozen)).toMatch(/^frozenset\(2\)/);
  });
});

describe('Tuple', () => {
  it('is a frozen array, from which plain arrays derive', () => {
    const one = new Tuple(5);
    expect([one.length, one[0], Array.isArray(one), Object.isFrozen(one)]).toEqual([1, 5, true, true]);
    expect(Tuple.from(new Set([1, 2]))).toEqual(Tuple.of(1, 2));
    expect(Tuple.of(1, 2) instanceof Tuple).toBe(true);
    const mapped = Tuple.of(1, 2).map((n) => n + 1);
    expect([mapped, mapped instanceof Tuple]).toEqual([[2, 3], false]);
    expect(() => (one as unknown[]).push(1)).toThrow(TypeError);
    expect(inspect(one)).toContain('Tuple');
  });
});
