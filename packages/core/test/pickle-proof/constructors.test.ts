import { Python, pythons } from '@mmdpickle/test-support';
import * as fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { MmdError } from '../../src/errors.ts';
import { parseDType } from '../../src/ndarray/index.ts';
import * as pickle from '../../src/pickle/index.ts';

const { dump } = pickle;
const LONG = process.env.MMDPICKLE_LONG === '1';

/** Arguments of the right and of the wrong kinds. */
// biome-ignore format: a table
const ARGUMENTS: readonly unknown[] = [
  undefined, null, true, 0, -0, 1, -1, 5, 1.5, 255, Number.NaN, Infinity, 2 ** 40, 2 ** 60, 10n, -5n, 2n ** 70n,
  '', 'x', '1.5', 'u', 'd', 'B', 'ValueError', 'SyntaxError', 'NoSuchError', 'PosixPath', 'REDUCE', 'NEWOBJ_EX', 'EXT', 'PERSID', 'Ellipsis',
  'builtins', 'list', 'a\nb', '\ud800', '12345678-1234-5678-1234-567812345678',
  Symbol('s'), () => 1, [], [1, 2], ['a', 'b'], [['a', 1]], {}, { hour: 5 }, { year: 2024, month: 2, day: 30 },
  { year: 2024, month: 2, day: 29, tzinfo: 5 }, new Map([['a', 1]]), new Set([1]), new Date(Number.NaN),
  new Uint8Array(0), new Uint8Array(4), Uint8Array.of(0xff, 0xfe, 0, 0), new Uint8Array(8),
  parseDType('i4'), parseDType([['a', '<i4']]), new pickle.PyTimeDelta(0, 3600), new pickle.PyFloat(2),
  new pickle.PyDict([['a', 1]]), new pickle.PyDict([[1, 'a']]), new pickle.PyDict([['__class__', 1]]),
  new pickle.PyException('KeyError', ['k']), new pickle.OpaqueGlobal('builtins', 'list'),
];

type Maker = (...args: never[]) => unknown;

/** Makes values of arguments. Whether Python can load opaque names and objects is known to their owner only. */
const MAKERS: Readonly<Record<string, Maker>> = {
  Complex: (...args: [number, number]) => new pickle.Complex(...args),
  Counter: (...args: [[]]) => new pickle.Counter(...args),
  'Counter with attributes': (attributes) => Object.assign(new pickle.Counter(), { attributes }),
  DefaultDict: (...args: [unknown, []]) => new pickle.DefaultDict(...args),
  'Deque with a bound': (maxlen) => Object.assign(pickle.Deque.over([1, 2]), { maxlen }),
  FrozenSet: (...args: [[]]) => new pickle.FrozenSet(...args),
  NumpyScalar: (...args: [never, never]) => new pickle.NumpyScalar(...args),
  OrderedDict: (...args: [[]]) => new pickle.OrderedDict(...args),
  'OrderedDict with attributes': (attributes) => Object.assign(new pickle.OrderedDict(), { attributes }),
  OutOfBandBuffer: (...args: [Uint8Array]) => new pickle.OutOfBandBuffer(...args),
  PyArray: (...args: [string, number, Uint8Array]) => new pickle.PyArray(...args),
  PyComplex: (...args: [never, never]) => new pickle.PyComplex(...args),
  PyConstant: (...args: [never]) => new pickle.PyConstant(...args),
  PyDate: (...args: [number, number, number]) => new pickle.PyDate(...args),
  PyDateTime: (...args: [never]) => new pickle.PyDateTime(...args),
  PyDecimal: (...args: [string]) => new pickle.PyDecimal(...args),
  PyDict: (...args: [[]]) => new pickle.PyDict(...args),
  PyException: (...args: [string, []]) => new pickle.PyException(...args),
  'PyException with attributes': (attributes) => Object.assign(new pickle.PyException('Warning'), { attributes }),
  PyFloat: (...args: [number]) => new pickle.PyFloat(...args),
  PyFraction: (...args: [number, number]) => new pickle.PyFraction(...args),
  PyPath: (...args: [[], never]) => new pickle.PyPath(...args),
  PyRange: (...args: [number, number, number]) => new pickle.PyRange(...args),
  PySet: (...args: [[]]) => new pickle.PySet(...args),
  PySlice: (...args: [unknown, unknown, unknown]) => new pickle.PySlice(...args),
  PyString: (...args: [never, never]) => new pickle.PyString(...args),
  PyTime: (...args: [never]) => new pickle.PyTime(...args),
  PyTimeDelta: (...args: [number, number, number]) => new pickle.PyTimeDelta(...args),
  PyTimeZone: (...args: [never, never]) => new pickle.PyTimeZone(...args),
  PyUuid: (...args: [string]) => new pickle.PyUuid(...args),
  RecordType: (...args: [never]) => new pickle.RecordType(...args),
};

const OPAQUE: Readonly<Record<string, Maker>> = {
  OpaqueGlobal: (...args: [string, string]) => new pickle.OpaqueGlobal(...args),
  OpaqueObject: (...args: [never, unknown, []]) => new pickle.OpaqueObject(...args),
};

/** Classes that accept what their JavaScript base class accepts, and exports that make no value. */
const OTHERS: readonly string[] = ['ByteArray', 'Decoder', 'Deque', 'EntryEncoder', 'RecArray', 'Tuple'];

const someArguments = fc.array(fc.constantFrom(...ARGUMENTS), { maxLength: 3 });

/** The pickle of a value made of arguments; undefined if they, or the value, were refused as they should be. */
function written(make: Maker, args: readonly unknown[], protocol: 2 | 4): Uint8Array | undefined {
  try {
    return dump(make(...(args as never[])), { protocol });
  } catch (error) {
    if (error instanceof MmdError) return undefined;
    throw error;
  }
}

it('the tables name every class of values', () => {
  const classes = Object.entries(pickle).filter(([name, is]) => typeof is === 'function' && /^[A-Z]/.test(name));
  const told = [...Object.keys(MAKERS), ...Object.keys(OPAQUE), ...OTHERS].filter((name) => !name.includes(' '));
  expect(told.sort()).toEqual(classes.map(([name]) => name).sort());
});

it.each(Object.entries(OPAQUE))('an %s of any arguments is refused, or can be read again', (_name, make) => {
  fc.assert(
    fc.property(someArguments, fc.constantFrom(2, 4), (args, protocol) => {
      const bytes = written(make, args, protocol);
      if (bytes !== undefined) pickle.load(bytes);
    }),
    { numRuns: LONG ? 20_000 : 500 },
  );
});

it.each([
  ['UnicodeDecodeError', ['utf-8', Uint8Array.of(0xff), 0, 1, 'why'], ['utf-8', 'text', 0, 1, 'why']],
  ['UnicodeEncodeError', ['ascii', 'é', 0, 1, 'why'], ['ascii', Uint8Array.of(0xff), 0, 1, 'why']],
  ['UnicodeTranslateError', ['é', 0, 1, 'why'], [Uint8Array.of(0xff), 0, 1, 'why']],
])('an %s is an entry if Python 3 can make one of its arguments', (type, good, bad) => {
  const made = pickle.loadEntry(pickle.dumpEntry(new pickle.PyException(type, good)));
  expect(made).toEqual(new pickle.PyException(type, good));
  const float = good.map((item) => (item === 0 ? -0 : item));
  expect(() => new pickle.PyException(type, float)).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }));
  const old = new pickle.PyException(type, bad);
  expect(() => pickle.dumpEntry(old)).toThrow(expect.objectContaining({ code: 'UNSUPPORTED_VALUE' }));
  expect(pickle.load(dump(old))).toEqual(old);
});

const raised = (type: string, args: readonly unknown[] = [], attributes: readonly [string, unknown][] = []): unknown =>
  Object.assign(new pickle.PyException(type, args), { attributes: new pickle.PyDict(attributes) });
const boom = new pickle.PyException('ValueError', ['boom']);
const stop = new pickle.PyException('KeyboardInterrupt');

it.each<[string, () => unknown]>([
  ['bytes as the message of a group', () => raised('ExceptionGroup', [Uint8Array.of(65), [boom]])],
  ['a BaseException in an ExceptionGroup', () => raised('ExceptionGroup', ['all', [boom, stop]])],
  ['a fraction as the characters of a BlockingIOError', () => raised('BlockingIOError', [11, 'later', 1.5])],
  [
    'negative zero as the characters of an OSError that becomes a BlockingIOError',
    () => raised('OSError', [11, 'later', -0]),
  ],
  ['a long integer', () => raised('IOError', [11, 'later', 2n ** 63n])],
  ['a Decimal', () => raised('EnvironmentError', [11, 'later', new pickle.PyDecimal('1')])],
  ['arguments as an attribute', () => raised('KeyError', [], [['args', 5]])],
  ['an invalid cause', () => raised('KeyError', [], [['__cause__', 'x']])],
  ['an invalid context', () => raised('KeyError', [], [['__context__', []]])],
  ['a traceback', () => raised('KeyError', [], [['__traceback__', 'x']])],
  ['an invalid flag', () => raised('KeyError', [], [['__suppress_context__', 1]])],
  ['characters that are not a number', () => raised('OSError', [], [['characters_written', 'x']])],
  ['an invalid start', () => raised('UnicodeEncodeError', ['ascii', 'é', 0, 1, 'why'], [['start', 'x']])],
  ['the message of a group', () => raised('ExceptionGroup', ['all', [boom]], [['message', 'x']])],
])('%s of an exception is refused, as Python refuses it', (_name, make) => {
  expect(() => dump(make())).toThrow(MmdError);
});

/** A copy with other parts, of the same class. */
const changed = <T extends object>(value: T, parts: object): T =>
  Object.assign(Object.create(Object.getPrototypeOf(value) as object), value, parts) as T;

/** A Map that reports other keys than it has. */
class OtherMap extends Map<unknown, unknown> {
  override keys(): ReturnType<Map<unknown, unknown>['keys']> {
    return new Map<unknown, unknown>([['a', 1]]).keys();
  }
}

/** Bytes that shrink to none. */
function shrinking(length: number): [Uint8Array, () => void] {
  const buffer = Reflect.construct(ArrayBuffer, [length, { maxByteLength: length }]) as ArrayBuffer & {
    resize: (length: number) => void;
  };
  return [new Uint8Array(buffer), () => buffer.resize(1)];
}

it.each<[string, () => unknown]>([
  ['the factory of a DefaultDict', () => Object.assign(new pickle.DefaultDict(), { factory: 5 })],
  ['the type of an exception', () => Object.assign(new pickle.PyException('KeyError'), { type: 'MyError' })],
  ['the arguments of an exception', () => Object.assign(new pickle.PyException('KeyError'), { args: 'ab' })],
  [
    'the list of a group',
    () => {
      const list = [boom];
      const group = new pickle.PyException('ExceptionGroup', ['all', list]);
      list.pop();
      return group;
    },
  ],
  [
    'the bytes of a PyString',
    () => {
      const text = new pickle.PyString(Uint8Array.of(0xed, 0xa0, 0xbd, 0xed, 0xb8, 0x80), '😀');
      text.utf8[0] = 0xff;
      return text;
    },
  ],
  [
    'the buffer of an array',
    () => {
      const [bytes, shrink] = shrinking(4);
      const array = new pickle.PyArray('i', 8, bytes);
      shrink();
      return array;
    },
  ],
  [
    'the buffer of a scalar',
    () => {
      const [bytes, shrink] = shrinking(4);
      const one = new pickle.NumpyScalar(parseDType('i4'), bytes);
      shrink();
      return one;
    },
  ],
  ['a date', () => changed(new pickle.PyDate(2024, 1, 31), { month: 2 })],
  ['a time', () => changed(new pickle.PyTime(), { hour: 24 })],
  ['a datetime', () => changed(new pickle.PyDateTime({ year: 2024, month: 1, day: 31 }), { month: 2 })],
  ['a timedelta', () => changed(new pickle.PyTimeDelta(1), { days: 'x' })],
  ['a timezone', () => changed(pickle.UTC, { name: 5 })],
  ['a range', () => changed(new pickle.PyRange(1, 2), { step: 0 })],
  ['a Decimal', () => changed(new pickle.PyDecimal('1'), { text: 'x' })],
  ['a Fraction', () => changed(new pickle.PyFraction(1, 2), { denominator: 0n })],
  ['a UUID', () => changed(new pickle.PyUuid('0'.repeat(32)), { text: 'x' })],
  [
    'an extension code',
    () => {
      const args = [5];
      const object = new pickle.OpaqueObject('EXT', null, args);
      args[0] = Number.NaN;
      return object;
    },
  ],
  [
    'a Map of another size',
    () =>
      Object.defineProperty(
        new OtherMap([
          [1, 2],
          [3, 4],
        ]),
        'size',
        { value: 1 },
      ),
  ],
  ['a Map of other keys', () => new OtherMap([[[], 2]])],
  ['a path', () => changed(new pickle.PyPath(['a']), { segments: [5] })],
])('%s is refused after a change to something that no Python loads', (_name, make) => {
  const value = make();
  expect(() => dump(value)).toThrow(MmdError);
});

it('a persistent id is refused in an entry, because pickle.load cannot resolve it', () => {
  const object = new pickle.OpaqueObject('BINPERSID', null, ['id']);
  expect(() => pickle.dumpEntry([object])).toThrow(expect.objectContaining({ code: 'UNSUPPORTED_VALUE' }));
  expect(pickle.load(dump(object))).toEqual(object);
});

it('a copy with other valid parts is written', () => {
  const copy = changed(new pickle.PyDate(2024, 1, 31), { month: 3 });
  expect(pickle.load(dump(copy))).toEqual(new pickle.PyDate(2024, 3, 31));
  expect(new pickle.PyTimeDelta(-0, -0, -0)).toEqual(new pickle.PyTimeDelta(0));
});

describe.each(pythons())('anything written from values is loaded by Python $version with numpy $numpy', (info) => {
  const python = new Python(info);
  afterAll(() => python[Symbol.asyncDispose]());

  it.each(Object.entries(MAKERS))('for any arguments of a %s that are not refused', async (_name, make) => {
    const pickles: Uint8Array[] = [];
    const given: string[] = [];
    fc.assert(
      fc.property(someArguments, fc.constantFrom(2, 4), (args, protocol) => {
        const bytes = written(make, args, protocol);
        if (bytes === undefined) return;
        pickles.push(bytes);
        given.push(fc.stringify(args));
      }),
      { numRuns: LONG ? 20_000 : 200 },
    );
    const said = await python.run<(string | null)[]>(
      `import pickle
def problem(data):
    try:
        pickle.loads(data)
    except Exception as error:
        return repr(error)
result = [problem(data) for data in args["pickles"]]`,
      { pickles },
    );
    expect(given.filter((_, i) => said[i] !== null).map((args, i) => `${args}: ${said[i]}`)).toEqual([]);
  });
});
