import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import { isMmdError } from '../../src/errors.ts';
import { NDArray, ndarray, parseDType } from '../../src/ndarray/index.ts';
import {
  ByteArray,
  Counter,
  DefaultDict,
  Deque,
  dump,
  ELLIPSIS,
  type EmitOp,
  emit,
  FrozenSet,
  genops,
  load,
  NOT_IMPLEMENTED,
  NumpyScalar,
  OpaqueGlobal,
  OpaqueObject,
  OrderedDict,
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
  PySlice,
  PyTime,
  PyTimeDelta,
  PyTimeZone,
  PyUuid,
  RecArray,
  RecordType,
  Tuple,
  UTC,
} from '../../src/pickle/index.ts';

const bytes = (...list: number[]): Uint8Array => Uint8Array.from(list);
const refused = (code: string) => expect.objectContaining({ code });

/** Stand-ins that must round-trip in every protocol, with the text they print. */
const VALUES: readonly (readonly [name: string, value: unknown, text?: string | undefined])[] = [
  ['range', new PyRange(0, 10, 2), 'range(0, 10, 2)'],
  ['range of step 1', new PyRange(1, 5), 'range(1, 5)'],
  ['range from -0', new PyRange(-0, 5), 'range(0, 5)'],
  ['range beyond 2^53', new PyRange(0, 2n ** 70n), 'range(0, 1180591620717411303424)'],
  ['slice', new PySlice(1, null, 'x')],
  ['Ellipsis', ELLIPSIS, 'Ellipsis'],
  ['NotImplemented', NOT_IMPLEMENTED, 'NotImplemented'],
  ['date', new PyDate(2024, 2, 29), '2024-02-29'],
  ['the last date', new PyDate(9999, 12, 31), '9999-12-31'],
  ['time', new PyTime({ hour: 1, minute: 2, second: 3, microsecond: 4 }), '01:02:03.000004'],
  ['time with fold and zone', new PyTime({ hour: 23, fold: 1, tzinfo: UTC }), '23:00:00+00:00'],
  ['datetime', new PyDateTime({ year: 1, month: 1, day: 1 }), '0001-01-01T00:00:00'],
  [
    'datetime with everything',
    new PyDateTime({
      year: 2024,
      month: 12,
      day: 31,
      hour: 23,
      minute: 59,
      second: 59,
      microsecond: 999_999,
      fold: 1,
      tzinfo: new PyTimeZone(new PyTimeDelta(-1, 81_000), 'X'),
    }),
    '2024-12-31T23:59:59.999999-01:30',
  ],
  ['timedelta', new PyTimeDelta(-1, 86_399, 999_999), 'timedelta(days=-1, seconds=86399, microseconds=999999)'],
  ['timezone', new PyTimeZone(new PyTimeDelta(0, 3601, 5)), 'UTC+01:00:01.000005'],
  ['timezone west', new PyTimeZone(new PyTimeDelta(-1, 86_390)), 'UTC-00:00:10'],
  ['timezone with a name', new PyTimeZone(new PyTimeDelta(0), 'GMT'), 'GMT'],
  ['UTC', UTC, 'UTC'],
  ['Decimal', new PyDecimal('-1.50E+7'), '-1.50E+7'],
  ['Decimal NaN', new PyDecimal('sNaN123'), 'sNaN123'],
  ['Fraction', new PyFraction(-6, 4), '-3/2'],
  ['Fraction of bigints', new PyFraction(2n ** 80n, -3n), `-${2n ** 80n}/3`],
  ['UUID', new PyUuid('urn:uuid:12345678-1234-1234-1234-123456789ABC'), '12345678-1234-1234-1234-123456789abc'],
  ['path', new PyPath(['/', 'a', 'b']), '/a/b'],
  ['relative path', new PyPath(['a//./b', 'c']), 'a/b/c'],
  ['empty path', new PyPath([]), '.'],
  ['POSIX path with two slashes', new PyPath(['//a']), '//a'],
  ['absolute after relative', new PyPath(['x', '/a', 'b'], 'PosixPath'), '/a/b'],
  ['Windows path', new PyPath(['C:\\', 'a/b'], 'PureWindowsPath'), 'C:\\a\\b'],
  ['Windows share', new PyPath(['\\\\host\\share\\x'], 'PureWindowsPath'), '\\\\host\\share\\x'],
  ['Windows share alone', new PyPath(['//host/share'], 'PureWindowsPath'), '\\\\host\\share\\'],
  ['incomplete Windows share', new PyPath(['\\\\host'], 'PureWindowsPath'), '\\\\host'],
  ['Windows share of two segments', new PyPath(['//host', 'share', 'a'], 'PureWindowsPath'), '\\\\host\\share\\a'],
  ['Windows share without a host', new PyPath(['///y'], 'PureWindowsPath'), '\\\\\\y'],
  ['Windows share by its long name', new PyPath(['//?/unc/h/s'], 'PureWindowsPath'), '\\\\?\\unc\\h\\s\\'],
  ['Windows device', new PyPath(['//./x'], 'PureWindowsPath'), '\\\\.\\x'],
  ['Windows path joined from shares', new PyPath(['\\\\h/s', '//h/s', '/'], 'PureWindowsPath'), '\\\\h\\s\\'],
  ['Windows name like a drive', new PyPath(['./a:b'], 'PureWindowsPath'), '.\\a:b'],
  ['Windows path on a drive', new PyPath(['c:a\\b'], 'PureWindowsPath'), 'c:a\\b'],
  ['Windows path above a drive', new PyPath(['c:..\\x'], 'WindowsPath'), 'c:..\\x'],
  ['Windows path of two parts on a drive', new PyPath(['c:', 'a'], 'PureWindowsPath'), 'c:a'],
  ['Windows path twice on a drive', new PyPath(['c:a', 'c:b'], 'PureWindowsPath'), 'c:a\\b'],
  ['Windows path on another drive', new PyPath(['c:/a', 'd:b', 'e'], 'PureWindowsPath'), 'd:b\\e'],
  ['Windows drive', new PyPath(['c:'], 'PureWindowsPath'), 'c:'],
  ['POSIX path that begins like a drive', new PyPath(['c:', 'a']), 'c:/a'],
  ['Windows root on the same drive', new PyPath(['c:a', '/b'], 'PureWindowsPath'), 'c:\\b'],
  ['relative Windows path', new PyPath(['a\\b'], 'PureWindowsPath'), 'a\\b'],
  [
    'OrderedDict',
    new OrderedDict([
      ['b', 1],
      ['a', 2],
    ]),
  ],
  ['Counter', new Counter([['x', 3]])],
  ['defaultdict', new DefaultDict(new OpaqueGlobal('builtins', 'list'), [['k', [1]]])],
  ['defaultdict without a factory', new DefaultDict()],
  ['deque', Deque.over([1, 2])],
  ['bounded deque', Deque.over(['a'], 5)],
  ['exception', new PyException('OSError', [2, 'no such file']), 'OSError'],
  ['exception with text', new PyException('ValueError', ['bad']), 'ValueError: bad'],
  ['array.array', new PyArray('i', 8, bytes(1, 0, 0, 0, 255, 255, 255, 255))],
  ['numpy scalar', NumpyScalar.of(1.5, 'float32'), '1.5'],
  ['numpy bool', NumpyScalar.of(true, 'bool'), 'true'],
  ['numpy text', NumpyScalar.of('aé', 'U2'), 'aé'],
  ['numpy record', new NumpyScalar(parseDType([['a', '<i2']]), bytes(1, 2), true), "[('a', '<i2')] scalar"],
  ['record type', new RecordType(parseDType([['a', '<i2']])), "(numpy.record, [('a', '<i2')])"],
  ['global', new OpaqueGlobal('m', 'A.b'), 'm.A.b'],
  ['bytearray', new ByteArray([1, 2])],
];

describe('stand-ins', () => {
  it.each([
    ['dict', new PyDict([[-0, 1]])],
    ['OrderedDict', new OrderedDict([[-0, 1]])],
    ['Counter', new Counter([[-0, 1]])],
  ])('a %s keeps a negative zero among its keys', (_name, value) => {
    expect([...(load(dump(value)) as PyDict<number>).keys()]).toEqual([-0]);
  });

  it.each(VALUES)('%s: round-trips in every protocol', (_name, value, text) => {
    for (const protocol of [2, 3, 4, 5] as const) {
      const again = load(dump(value, { protocol }), { lossless: true });
      expect(Object.getPrototypeOf(again)).toBe(Object.getPrototypeOf(value));
      expect(inspect(again, { depth: 9 })).toBe(inspect(value, { depth: 9 }));
      expect(dump(again, { protocol })).toEqual(dump(value, { protocol }));
    }
    if (text !== undefined) expect(String(value)).toBe(text);
    expect(typeof inspect([value], { depth: 0 })).toBe('string');
  });

  it.each<[string, () => unknown]>([
    ['a 30th of February', () => new PyDate(2024, 2, 30)],
    ['a year 0', () => new PyDate(0, 1, 1)],
    ['a month 13', () => new PyDate(2024, 13, 1)],
    ['an hour 24', () => new PyTime({ hour: 24 })],
    ['a fold of 2', () => new PyDateTime({ year: 2024, month: 1, day: 1, fold: 2 })],
    ['a time with a field that it does not have', () => new PyTime({ hours: 5 } as object)],
    ['a datetime with such a field', () => new PyDateTime({ year: 1, month: 1, day: 1, minutes: 5 } as never)],
    ['a timedelta of NaN', () => new PyTimeDelta(Number.NaN)],
    ['a timedelta of 10^9 days', () => new PyTimeDelta(1e9)],
    ['a timezone with an offset of one day', () => new PyTimeZone(new PyTimeDelta(1))],
    ['a Decimal of letters', () => new PyDecimal('abc')],
    ['a Decimal of empty text', () => new PyDecimal('')],
    ['a fraction over 0', () => new PyFraction(1, 0)],
    ['a UUID that is too short', () => new PyUuid('12')],
    ['a scalar of too many bytes', () => new NumpyScalar(parseDType('i1'), bytes(1, 2))],
    ['a scalar of an object', () => new NumpyScalar(parseDType('O'), new Uint8Array(8))],
  ])('refuse %s', (_name, make) => {
    expect(make).toThrow(refused('INVALID_ARGUMENT'));
  });

  it('give their value in JavaScript', () => {
    expect(new PyTimeDelta(1, 2, 500).toMilliseconds()).toBe(86_402_000.5);
    expect(new PyDate(2024, 1, 2).toDate().toISOString()).toBe('2024-01-02T00:00:00.000Z');
    const stamp = new PyDateTime({
      year: 1969,
      month: 12,
      day: 31,
      hour: 23,
      microsecond: 999,
      tzinfo: new PyTimeZone(new PyTimeDelta(0, 3600)),
    });
    expect(stamp.toDate().toISOString()).toBe('1969-12-31T22:00:00.000Z');
    expect(PyDateTime.fromDate(new Date(-1)).toDate().getTime()).toBe(-1);
    expect(new PyDateTime({ year: 1969, month: 12, day: 31, microsecond: 1 }).toDate().getTime()).toBe(-86_400_000);
    expect(['1.5', '-Infinity', 'inf', 'nan'].map((text) => new PyDecimal(text).toNumber())).toEqual([
      1.5,
      Number.NEGATIVE_INFINITY,
      Number.POSITIVE_INFINITY,
      Number.NaN,
    ]);
    expect(
      JSON.stringify([
        new PyDate(2024, 1, 2),
        new PyTime(),
        new PyDateTime({ year: 2024, month: 1, day: 2 }),
        new PyDecimal('1'),
        new PyFraction(1, 2),
        new PyUuid('0'.repeat(32)),
        new PyPath(['a']),
        new PyFloat(2),
        NumpyScalar.of(1n, 'int64'),
        NumpyScalar.of(2, 'int8'),
      ]),
    ).toBe(
      '["2024-01-02","00:00:00","2024-01-02T00:00:00","1","1/2","00000000-0000-0000-0000-000000000000","a",2,"1",2]',
    );
    expect(Number(NumpyScalar.of(1.5, 'float64')) * 2).toBe(3);
    expect(Number(new PyFloat(2)) + 1).toBe(3);
    expect([new PyFloat(1), new PyFloat(1.5), new PyFloat(0x7ff8000000000001n)].map(String)).toEqual([
      '1.0',
      '1.5',
      'NaN',
    ]);
    expect(Deque.over([1, 2, 3], 2).map((n) => n)).toEqual([1, 2, 3]);
    expect([new PyRange(0, 5).length, new PyRange(5, 0, -2).length, new PyRange(5, 0).length]).toEqual([5n, 3n, 0n]);
  });

  it.each<[string, number, Uint8Array, (number | bigint | string)[]]>([
    ['B', 0, bytes(255), [255]],
    ['b', 1, bytes(255), [-1]],
    ['H', 2, bytes(1, 2), [0x201]],
    ['H', 3, bytes(1, 2), [0x102]],
    ['h', 5, bytes(255, 254), [-2]],
    ['I', 6, bytes(1, 0, 0, 0), [1]],
    ['i', 9, bytes(255, 255, 255, 254), [-2]],
    ['Q', 10, bytes(1, 0, 0, 0, 0, 0, 0, 0), [1n]],
    ['q', 13, bytes(255, 255, 255, 255, 255, 255, 255, 255), [-1n]],
    ['f', 14, bytes(0, 0, 192, 63), [1.5]],
    ['d', 17, bytes(63, 248, 0, 0, 0, 0, 0, 0), [1.5]],
    ['u', 18, bytes(97, 0), ['a']],
    ['u', 20, bytes(97, 0, 0, 0), ['a']],
    ['w', 21, bytes(0, 1, 0xf6, 0), ['😀']],
  ])('an array of type code %s in machine format %i gives its items', (typecode, format, data, items) => {
    const array = new PyArray(typecode, format, data);
    expect(array.toArray()).toEqual(items);
    for (const protocol of [2, 4] as const)
      expect((load(dump(array, { protocol })) as PyArray).toArray()).toEqual(items);
  });
});

describe('an array of objects', () => {
  it('keeps its memory order, with its elements listed in index order', () => {
    const array = NDArray.ofObjects(Array.from('uvwxyz'), [2, 3], { order: 'F' });
    for (const protocol of [2, 5] as const) {
      const bytes = dump(array, { protocol });
      expect([...genops(bytes)].flatMap(({ arg }) => (/^[u-z]$/.test(String(arg)) ? [arg] : []))).toEqual([
        'u',
        'w',
        'y',
        'v',
        'x',
        'z',
      ]);
      const found = load(bytes) as NDArray;
      expect([found.order, found.toNested()]).toEqual(['F', array.toNested()]);
    }
  });
});

describe('a numpy scalar of invalid text', () => {
  const scalar = new NumpyScalar(parseDType('<U2'), bytes(0x50, 0x20, 0x78, 0xa4, 0x32, 0x44, 0x5f, 0x21));
  const record = new NumpyScalar(
    parseDType([
      ['a', '<U1'],
      ['b', '<i8'],
    ]),
    new Uint8Array(12).fill(0xff),
  );

  it('can be used in every way except for its value', () => {
    for (const value of [scalar, record]) {
      expect(String(value)).toBe(`${value.dtype.name} scalar`);
      expect(JSON.parse(JSON.stringify(value))).toEqual(Object.fromEntries(value.bytes.entries()));
      expect(inspect(value)).toContain('Uint8Array');
      expect(() => value.value).toThrow(refused('CORRUPT'));
    }
  });

  it('is refused if it is one character, which numpy refuses too', () => {
    for (const [type, ...code] of [
      ['<U1', 0, 0, 0x11, 0],
      ['>U2', 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0],
    ] as const) {
      const data = bytes(...code);
      expect(() => new NumpyScalar(parseDType(type), data)).toThrow(refused('INVALID_ARGUMENT'));
      const call = new OpaqueObject('REDUCE', new OpaqueGlobal('numpy.core.multiarray', 'scalar'), [
        parseDType(type),
        data,
      ]);
      expect(load(dump(call))).toBeInstanceOf(OpaqueObject);
    }
  });

  it('leaves an array opaque if it is the fill value', () => {
    const array = new OpaqueObject('REDUCE', new OpaqueGlobal('numpy.ma', 'MaskedArray'), [
      ndarray(['ab'], [1], 'U2'),
      ndarray([false]),
      null,
      false,
      true,
      0,
      scalar,
    ]);
    expect(load(dump(array))).toBeInstanceOf(OpaqueObject);
  });

  it('may be a key, as in Python', () => {
    const key = Buffer.from(
      '80047d636e756d70792e636f72652e6d756c746961727261790a7363616c61720a636e756d70790a64747970650a580200000055' +
        '3285524308502078a432445f2186524b01732e',
      'hex',
    );
    const dict = load(key) as PyDict<unknown, number>;
    expect([...dict.values()]).toEqual([1]);
    expect(dict.get(scalar)).toBe(1);
    expect(dict.set(scalar, 2).set(NumpyScalar.of('x', 'U2'), 3).size).toBe(2);
  });
});

describe('a value that was changed, or holds something that Python cannot have', () => {
  it.each<[string, unknown]>([
    ['attributes that are not a dict', Object.assign(new OrderedDict(), { attributes: 5 })],
    [
      'attributes of an exception without names',
      Object.assign(new PyException('Warning'), { attributes: new Map([[1, 2]]) }),
    ],
    ['a bound that is not a number', Object.assign(Deque.over([1]), { maxlen: 'x' })],
    ['a bound that is a float to Python', Object.assign(Deque.over([]), { maxlen: -0 })],
    ['characters beyond the last one', new PyArray('u', 20, bytes(0xff, 0xff, 0xff, 0xff))],
  ])('%s is refused when it is written', (_what, value) => {
    expect(() => dump(value)).toThrow(expect.objectContaining({ code: 'UNSUPPORTED_VALUE' }));
  });
});

describe('attributes', () => {
  it.each<[string, { attributes: unknown }]>([
    ['OrderedDict', new OrderedDict([['a', 1]])],
    ['Counter', new Counter()],
    ['exception', new PyException('ValueError')],
  ])('of a %s round-trip', (_name, value) => {
    value.attributes = new Map([['note', 'x']]);
    const again = load(dump(value)) as typeof value;
    expect(again.attributes).toEqual(new Map([['note', 'x']]));
  });
});

describe('calls on the allow-list with unsupported arguments', () => {
  const call = (name: string, ...args: EmitOp[]): unknown =>
    load(emit([['PROTO', 4], ['GLOBAL', name], 'MARK', ...args, 'TUPLE', 'REDUCE', 'STOP']));
  const text = (value: string): EmitOp => ['UNICODE', value];
  const int = (value: number): EmitOp => ['BININT1', value];
  it.each<[string, EmitOp[]]>([
    ['builtins complex', [int(1)]],
    ['builtins complex', [int(1), int(2), int(3)]],
    ['builtins complex', [text('1'), int(1)]],
    ['_codecs encode', [text('a')]],
    ['_codecs encode', ['NONE', text('latin1')]],
    ['_codecs encode', [text('a'), text('rot13')]],
    ['_codecs encode', [text('ā'), text('latin1')]],
    ['builtins bytes', [int(5)]],
    ['builtins bytes', ['NONE', 'NONE']],
    ['builtins bytearray', [int(5)]],
    ['builtins bytearray', [text('a'), text('ascii')]],
    ['builtins bytearray', ['NONE', 'NONE', 'NONE']],
    ['builtins set', ['NONE']],
    ['builtins set', ['EMPTY_LIST', 'NONE']],
    ['builtins frozenset', [text('abc')]],
    ['builtins range', [int(1), int(2), int(0)]],
    ['builtins range', [int(1), int(2)]],
    ['builtins range', [int(1), text('2'), int(3)]],
    ['builtins slice', [int(1)]],
    ['datetime datetime', [['SHORT_BINBYTES', new Uint8Array(9)]]],
    ['datetime datetime', [['SHORT_BINBYTES', new Uint8Array(10)]]],
    ['datetime datetime', [['SHORT_BINBYTES', bytes(7, 232, 1, 2, 0, 0, 0, 0, 0, 0)], int(1)]],
    ['datetime datetime', [['SHORT_BINBYTES', bytes(7, 232, 1, 2, 0, 0, 0, 0, 0, 0)], 'NONE', 'NONE']],
    ['datetime date', [['SHORT_BINBYTES', new Uint8Array(4)]]],
    ['datetime date', [int(1), int(2), int(3)]],
    ['datetime date', [['SHORT_BINBYTES', bytes(7, 232, 1, 2)], 'NONE']],
    ['datetime time', [['SHORT_BINBYTES', bytes(24, 0, 0, 0, 0, 0)]]],
    ['datetime time', ['NONE']],
    ['datetime timedelta', [int(1), int(2)]],
    ['datetime timedelta', [int(1), int(2), 'NONE']],
    ['datetime timedelta', [['LONG1', 10 ** 10], int(2), int(3)]],
    ['datetime timezone', [int(1)]],
    ['datetime timezone', [['GLOBAL', 'datetime timedelta'], int(0), int(0), int(0), 'TUPLE3', 'REDUCE', 'NONE']],
    ['decimal Decimal', [int(1)]],
    ['decimal Decimal', [text('x')]],
    ['fractions Fraction', [int(1), int(0)]],
    ['fractions Fraction', [text('1/0')]],
    ['fractions Fraction', [text('x')]],
    ['fractions Fraction', ['NONE']],
    ['uuid UUID', [text('x')]],
    ['uuid UUID', [int(1)]],
    ['copyreg _reconstructor', ['NONE', 'NONE', 'NONE']],
    ['copyreg _reconstructor', [['GLOBAL', 'uuid UUID'], ['GLOBAL', 'builtins object'], 'NONE', 'NONE']],
    ['pathlib PosixPath', [int(1)]],
    ['collections OrderedDict', ['NONE']],
    ['collections OrderedDict', ['EMPTY_LIST', 'EMPTY_TUPLE', 'APPEND']],
    ['collections Counter', ['EMPTY_LIST']],
    ['collections Counter', []],
    ['collections defaultdict', [int(1)]],
    ['collections defaultdict', ['NONE', 'NONE']],
    ['collections deque', ['NONE']],
    ['collections deque', ['EMPTY_LIST', text('5')]],
    ['collections deque', ['EMPTY_LIST', 'NONE', 'NONE']],
    ['array array', [text('i')]],
    ['array array', [text('z'), 'EMPTY_LIST']],
    ['array array', [text('b'), 'EMPTY_LIST', ['BININT2', 300], 'APPEND']],
    ['array array', [text('B'), 'EMPTY_LIST', ['BININT', -1], 'APPEND']],
    ['array array', [text('i'), 'EMPTY_LIST', 'NONE', 'APPEND']],
    ['array array', [text('d'), 'EMPTY_LIST', text('x'), 'APPEND']],
    ['array array', [text('u'), 'EMPTY_LIST', text('ab'), 'APPEND']],
    ['array array', [text('u'), 'EMPTY_LIST', text(''), 'APPEND']],
    ['array array', [text('u'), 'EMPTY_LIST', int(1), 'APPEND']],
    ['array _array_reconstructor', [['GLOBAL', 'array array'], text('i'), int(99), ['SHORT_BINBYTES', bytes()]]],
    ['array _array_reconstructor', [['GLOBAL', 'os system'], text('i'), int(8), ['SHORT_BINBYTES', bytes()]]],
    ['array _array_reconstructor', [['GLOBAL', 'array array'], text('i'), int(8), ['BYTEARRAY8', bytes()]]],
    ['array _array_reconstructor', [['GLOBAL', 'array array'], text('z'), int(8), ['SHORT_BINBYTES', bytes()]]],
    [
      'numpy.core.multiarray _reconstruct',
      [['GLOBAL', 'numpy matrix'], int(0), 'TUPLE1', ['SHORT_BINBYTES', bytes(98)]],
    ],
    [
      'numpy.core.multiarray _reconstruct',
      [['GLOBAL', 'numpy ndarray'], int(1), 'TUPLE1', ['SHORT_BINBYTES', bytes(98)]],
    ],
    ['numpy.core.multiarray _reconstruct', ['NONE', 'NONE', 'NONE']],
    ['numpy.core.multiarray scalar', ['NONE']],
    ['numpy.core.multiarray scalar', [text('i4'), ['SHORT_BINBYTES', bytes(1)]]],
    ['numpy.core.multiarray scalar', [text('i4'), 'NONE']],
    ['numpy._core.numeric _frombuffer', ['NONE', text('i4'), int(1), text('C')]],
    ['numpy._core.numeric _frombuffer', [['SHORT_BINBYTES', bytes(1)], text('i4'), int(1), text('C')]],
    ['numpy._core.numeric _frombuffer', [['SHORT_BINBYTES', bytes(1)], text('u1'), int(1), text('Z')]],
    ['numpy._core.numeric _frombuffer', [['SHORT_BINBYTES', bytes(1)], text('u1'), int(1), text('K'), int(5)]],
    ['numpy._core.numeric _frombuffer', [['SHORT_BINBYTES', bytes(1)], text('u1'), int(1), text('K'), 'NONE']],
    ['numpy._core.numeric _frombuffer', [['SHORT_BINBYTES', bytes(1)], text('u1'), int(1), text('C'), int(5)]],
    ['numpy._core.numeric _frombuffer', [['SHORT_BINBYTES', bytes(1)], text('u1'), int(1), text('C'), 'NONE', int(1)]],
    ['numpy ndarray', [int(1), text('u1')]],
    ['numpy ndarray', [int(9), text('u1'), ['SHORT_BINBYTES', bytes(1)]]],
    ['numpy ndarray', [int(1), text('u1'), ['SHORT_BINBYTES', bytes(1)], int(1)]],
    ['numpy ndarray', [int(1), text('u1'), ['SHORT_BINBYTES', bytes(1)], int(0), int(1)]],
    ['numpy ndarray', [int(1), text('u1'), ['SHORT_BINBYTES', bytes(1)], int(0), 'NONE', text('X')]],
    ['numpy ndarray', [int(1), text('u1'), ['SHORT_BINBYTES', bytes(1)], int(0), 'NONE', text('C'), 'NONE']],
    ['numpy ndarray', [['BININT', -1], text('u1'), ['SHORT_BINBYTES', bytes(1)]]],
    ['numpy ndarray', ['NONE', text('u1'), ['SHORT_BINBYTES', bytes(1)]]],
    ['numpy frombuffer', [['SHORT_BINBYTES', bytes(1)], text('S0')]],
    ['numpy frombuffer', [['SHORT_BINBYTES', bytes(1)], text('nonsense')]],
    ['numpy frombuffer', [['SHORT_BINBYTES', bytes(1, 2, 3)], text('u2')]],
    ['numpy frombuffer', [['SHORT_BINBYTES', bytes(1)]]],
    ['numpy reshape', ['NONE', int(1)]],
    [
      'numpy reshape',
      [['GLOBAL', 'numpy frombuffer'], ['SHORT_BINBYTES', bytes(1)], text('u1'), 'TUPLE2', 'REDUCE', int(7)],
    ],
    ['numpy.ma MaskedArray', ['NONE', 'NONE']],
    ['numpy.ma.core _mareconstruct', ['NONE', 'NONE', 'NONE', 'NONE']],
    ['numpy dtype', [int(1)]],
    ['numpy dtype', [text('f8'), 'NEWTRUE', 'NEWTRUE']],
    ['numpy dtype', [text('f8'), 'NEWFALSE']],
    ['numpy dtype', [text('nonsense')]],
    ['numpy dtype', ['EMPTY_LIST', 'NONE', 'APPEND']],
    ['numpy dtype', ['EMPTY_LIST', 'NONE', text('i4'), 'TUPLE2', 'APPEND']],
    ['numpy dtype', ['EMPTY_LIST', text('a'), 'NONE', 'TUPLE2', 'APPEND']],
    ['numpy dtype', ['EMPTY_DICT']],
    ['numpy dtype', [['GLOBAL', 'numpy record'], text('nonsense'), 'TUPLE2']],
    ['numpy dtype', [['GLOBAL', 'numpy record'], 'TUPLE1']],
    ['numpy dtype', ['NONE', int(2), 'TUPLE2']],
  ])('%s stays opaque', (name, args) => {
    const made = call(name, ...args);
    expect(made).toBeInstanceOf(OpaqueObject);
    expect(load(dump(made))).toEqual(made);
  });

  it('NEWOBJ of a class that only a call can make stays opaque', () => {
    for (const name of ['builtins ValueError', 'builtins complex']) {
      expect(
        load(emit([['PROTO', 4], ['GLOBAL', name], ['BININT1', 1], ['BININT1', 2], 'TUPLE2', 'NEWOBJ', 'STOP'])),
      ).toBeInstanceOf(OpaqueObject);
    }
    expect(load(emit([['PROTO', 4], ['GLOBAL', 'uuid UUID'], 'NONE', 'TUPLE1', 'NEWOBJ', 'STOP']))).toBeInstanceOf(
      OpaqueObject,
    );
  });

  it('other spellings of the same values are known', () => {
    expect(String(call('fractions Fraction', text('-3/6')))).toBe('-1/2');
    expect(String(call('fractions Fraction', text('7')))).toBe('7/1');
    expect(call('builtins bytearray', text('é'), text('latin-1'))).toEqual(new ByteArray([0xe9]));
    expect(call('_codecs encode', text('é'), text('utf-8'))).toEqual(bytes(0xc3, 0xa9));
    expect(call('builtins bytes', ['SHORT_BINBYTES', bytes(1)])).toEqual(bytes(1));
    expect(call('builtins frozenset', 'EMPTY_SET')).toEqual(new FrozenSet());
    expect(
      call('collections OrderedDict', 'EMPTY_LIST', 'EMPTY_LIST', 'MARK', text('k'), int(1), 'APPENDS', 'APPEND'),
    ).toEqual(new OrderedDict([['k', 1]]));
    expect(call('array array', text('d'), 'EMPTY_LIST', int(1), 'APPEND')).toEqual(
      new PyArray('d', 16, bytes(0, 0, 0, 0, 0, 0, 240, 63)),
    );
    const k = call(
      'numpy._core.numeric _frombuffer',
      ['BYTEARRAY8', bytes(1, 2)],
      text('u1'),
      int(1),
      int(2),
      'TUPLE2',
      text('K'),
      int(1),
      int(0),
      'TUPLE2',
    ) as NDArray;
    expect(k.toNested()).toEqual([[1], [2]]);
    const grown = call('numpy ndarray', int(1), text('u1'), ['BYTEARRAY8', bytes(1, 2, 3)]) as NDArray;
    expect(grown.toNested()).toEqual([1]);
  });
});

describe('dtypes', () => {
  it.each<[string, Parameters<typeof parseDType>[0]]>([
    ['numbers', '>f8'],
    ['text', '<U5'],
    ['dates', 'M8[25us]'],
    ['objects', 'O'],
    [
      'fields',
      [
        ['a', '<i4'],
        ['b', '<f8', [2, 3]],
        [['title', 'c'], 'S3'],
      ],
    ],
    ['padding', { names: ['a', 'b'], formats: ['i1', '<f8'], offsets: [0, 8], itemsize: 24 }],
    ['alignment', { names: ['a', 'b'], formats: ['i1', '<f8'], offsets: [0, 8], itemsize: 16, aligned: true }],
    ['sub-arrays', ['<f8', [2, 3]]],
    ['fields in fields', [['outer', [['inner', '<i2']]]]],
  ])('of %s round-trip', (_name, spec) => {
    const dtype = parseDType(spec);
    for (const protocol of [2, 5] as const)
      expect((load(dump(dtype, { protocol })) as typeof dtype).name).toBe(dtype.name);
  });

  const state = (typestr: EmitOp, ...parts: EmitOp[]): unknown =>
    load(
      emit([
        ['PROTO', 4],
        ['GLOBAL', 'numpy dtype'],
        typestr,
        'NEWFALSE',
        'NEWTRUE',
        'TUPLE3',
        'REDUCE',
        'MARK',
        ...parts,
        'TUPLE',
        'BUILD',
        'STOP',
      ]),
    );
  const tail: EmitOp[] = ['NONE', 'NONE', 'NONE', ['BININT', -1], ['BININT', -1], ['BININT1', 0]];
  const code = (text: string): EmitOp => ['UNICODE', text];
  it.each<[string, EmitOp, EmitOp[]]>([
    ['an old version', code('f8'), [['BININT1', 2], code('<'), ...tail]],
    ['an unknown byte order', code('f8'), [['BININT1', 3], code('?'), ...tail]],
    ['a byte order that is not text', code('f8'), [['BININT1', 3], 'NONE', ...tail]],
    ['metadata', code('f8'), [['BININT1', 4], code('<'), ...tail, 'EMPTY_DICT', code('a'), 'NONE', 'SETITEM']],
    ['a date without its unit', code('M8'), [['BININT1', 4], code('<'), ...tail, 'NONE']],
    [
      'a date with an unknown unit',
      code('M8'),
      [
        ['BININT1', 4],
        code('<'),
        ...tail,
        'NONE',
        'MARK',
        ['BININT1', 1],
        ['BININT1', 1],
        ['BININT1', 1],
        ['BININT1', 1],
        'TUPLE',
        'TUPLE2',
      ],
    ],
    [
      'a date with an unknown divisor',
      code('M8'),
      [
        ['BININT1', 4],
        code('<'),
        ...tail,
        'NONE',
        'MARK',
        code('s'),
        ['BININT1', 1],
        ['BININT1', 1],
        ['BININT1', 2],
        'TUPLE',
        'TUPLE2',
      ],
    ],
    ['a date whose unit is not a tuple', code('M8'), [['BININT1', 4], code('<'), ...tail, 'NONE', 'NONE', 'TUPLE2']],
    [
      'fields without their dict',
      code('V4'),
      [['BININT1', 3], code('|'), 'NONE', code('a'), 'TUPLE1', 'NONE', ['BININT1', 4], ['BININT1', 1], ['BININT1', 16]],
    ],
    [
      'a field that is missing',
      code('V4'),
      [
        ['BININT1', 3],
        code('|'),
        'NONE',
        code('a'),
        'TUPLE1',
        'EMPTY_DICT',
        ['BININT1', 4],
        ['BININT1', 1],
        ['BININT1', 16],
      ],
    ],
    [
      'a sub-array with names',
      code('V4'),
      [
        ['BININT1', 3],
        code('|'),
        code('i4'),
        'EMPTY_TUPLE',
        'TUPLE2',
        code('a'),
        'TUPLE1',
        'NONE',
        ['BININT1', 4],
        ['BININT1', 1],
        ['BININT1', 16],
      ],
    ],
    ['a type that does not exist', code('q9'), [['BININT1', 3], code('<'), ...tail]],
  ])('with %s stay opaque', (_name, typestr, parts) => {
    const made = state(typestr, ...parts);
    expect(made).toBeInstanceOf(OpaqueObject);
    expect((made as OpaqueObject).state).toBeInstanceOf(Tuple);
  });

  it('whose state is not a tuple stay opaque, native order is little-endian', () => {
    expect(
      load(
        emit([
          ['PROTO', 4],
          ['GLOBAL', 'numpy dtype'],
          code('f8'),
          'NEWFALSE',
          'NEWTRUE',
          'TUPLE3',
          'REDUCE',
          'NONE',
          'BUILD',
          'STOP',
        ]),
      ),
    ).toBeInstanceOf(OpaqueObject);
    expect(state(code('f8'), ['BININT1', 3], code('='), ...tail)).toMatchObject({ name: 'float64' });
    const objects: EmitOp[] = [...tail.slice(0, -1), ['BININT1', 63]];
    expect(state(code('O8'), ['BININT1', 3], code('|'), ...objects)).toMatchObject({ kind: 'O' });
  });
});

describe('arrays', () => {
  it('of records keep their class', () => {
    const records = new RecArray({ memory: NDArray.zeros([4], 'u1').memory, dtype: [['a', '<i2']], shape: [2] });
    for (const protocol of [2, 5] as const) expect(load(dump(records, { protocol }))).toBeInstanceOf(RecArray);
  });

  it('round-trip in every order and layout', () => {
    const base = ndarray(
      Float64Array.from({ length: 12 }, (_, i) => i),
      [3, 4],
    );
    const fortran = base.copy({ order: 'F' });
    for (const array of [
      base,
      fortran,
      base.transpose(1, 0),
      base.slice(null, 1),
      NDArray.zeros([]),
      NDArray.zeros([0, 3]),
      ndarray(new Int16Array(3)),
      NDArray.zeros([2], 'M8[s]'),
    ]) {
      for (const protocol of [2, 3, 4, 5] as const) {
        const again = load(dump([array], { protocol })) as [NDArray];
        expect(again[0].toNested()).toEqual(array.toNested());
        expect(again[0].dtype).toBe(array.dtype);
      }
    }
    expect((load(dump(fortran, { protocol: 5 })) as NDArray).order).toBe('F');
  });

  it('that are views of a bytearray are bytes in the older protocols', () => {
    const array = load(dump(new Uint16Array([1, 2]), { protocol: 5 })) as NDArray;
    for (const protocol of [2, 3, 4] as const)
      expect((load(dump(array, { protocol })) as NDArray).toNested()).toEqual([1, 2]);
  });

  it('with wrong states stay opaque', () => {
    const made = (...state: EmitOp[]): unknown =>
      load(
        emit([
          ['PROTO', 4],
          ['GLOBAL', 'numpy.core.multiarray _reconstruct'],
          ['GLOBAL', 'numpy ndarray'],
          ['BININT1', 0],
          'TUPLE1',
          ['SHORT_BINBYTES', bytes(98)],
          'TUPLE3',
          'REDUCE',
          ...state,
          'BUILD',
          'STOP',
        ]),
      );
    const u1: EmitOp[] = [['GLOBAL', 'numpy dtype'], ['UNICODE', 'u1'], 'TUPLE1', 'REDUCE'];
    const good = (shape: EmitOp[], dtype: EmitOp[], flag: EmitOp, data: EmitOp[]): EmitOp[] => [
      'MARK',
      ['BININT1', 1],
      ...shape,
      ...dtype,
      flag,
      ...data,
      'TUPLE',
    ];
    const one: EmitOp[] = [['BININT1', 1], 'TUPLE1'];
    const byte: EmitOp[] = [['SHORT_BINBYTES', bytes(7)]];
    expect((made(...good(one, u1, 'NEWFALSE', byte)) as NDArray).toNested()).toEqual([7]);
    for (const state of [
      ['NONE'] as EmitOp[],
      good(['NONE'], u1, 'NEWFALSE', byte),
      good([['BININT1', 1]], u1, 'NEWFALSE', byte),
      good(one, ['NONE'], 'NEWFALSE', byte),
      good(one, u1, 'NONE', byte),
      good(one, u1, 'NEWFALSE', ['NONE']),
      good(one, u1, 'NEWFALSE', ['EMPTY_LIST']),
      good([['BININT1', 2], 'TUPLE1'], u1, 'NEWFALSE', byte),
    ]) {
      expect(made(...state)).toBeInstanceOf(OpaqueObject);
    }
    expect(isMmdError(new Error('x'))).toBe(false);
  });
});
