/**
 * fast-check arbitraries for everything a pickle can hold. fast-check is an optional peer dependency: only tests need it.
 *
 * @module
 */

import * as fc from 'fast-check';
import { Complex } from '../ndarray/complex.ts';
import { MaskedArray } from '../ndarray/masked-array.ts';
import { memoryOver } from '../ndarray/memory-over.ts';
import { NDArray } from '../ndarray/nd-array.ts';
import {
  ByteArray,
  Counter,
  DefaultDict,
  Deque,
  ELLIPSIS,
  FrozenSet,
  NOT_IMPLEMENTED,
  NumpyScalar,
  OpaqueGlobal,
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
  Tuple,
} from '../pickle/index.ts';

/** The number of surrogates, which are no characters. */
const SURROGATES = 0x800;

/**
 * Any character of Unicode: what fast-check calls `binary`, without the table of all of them (85 MB) that it makes for that.
 */
export function characters(): fc.Arbitrary<string> {
  return fc.integer({ min: 0, max: 0x10ffff - SURROGATES }).map(
    (number) => String.fromCodePoint(number < 0xd800 ? number : number + SURROGATES),
    (character) => {
      const code = typeof character === 'string' ? character.codePointAt(0) : undefined;
      if (code === undefined || character !== String.fromCodePoint(code)) throw new Error('not one character');
      return code < 0xd800 ? code : code - SURROGATES;
    },
  );
}

/** Strings over all of Unicode, including lone surrogates; some are names with a special meaning in JavaScript. */
export function texts(): fc.Arbitrary<string> {
  return fc.oneof(
    { weight: 4, arbitrary: fc.string({ unit: characters(), maxLength: 12 }) },
    { weight: 2, arbitrary: fc.string({ unit: 'grapheme', maxLength: 8 }) },
    { weight: 1, arbitrary: fc.array(fc.integer({ min: 0xd800, max: 0xdbff }), { maxLength: 2 }).map(fromUnits) },
    { weight: 1, arbitrary: fc.constantFrom('__proto__', 'constructor', 'toString', '10', '', '\0', '\ufeff') },
    { weight: 1, arbitrary: fc.integer({ min: 250, max: 260 }).map((length) => 'é'.repeat(length)) },
  );
}

const fromUnits = (units: readonly number[]): string => String.fromCharCode(...units);

/** Numbers and bigints, including the limits of every opcode's range. */
export function numbers(): fc.Arbitrary<number | bigint> {
  const edge = fc.tuple(
    fc.constantFrom(7n, 8n, 15n, 16n, 31n, 32n, 52n, 53n, 63n, 64n, 127n, 2040n),
    fc.integer({ min: -2, max: 2 }),
    fc.boolean(),
  );
  return fc.oneof(
    fc.integer(),
    fc.maxSafeInteger(),
    fc.double(),
    fc.constantFrom(0, -0, Number.NaN, 1e22, 2 ** 53, -(2 ** 53), Number.MIN_VALUE),
    fc.bigInt(),
    edge.map(([power, offset, negative]) => ((1n << power) + BigInt(offset)) * (negative ? -1n : 1n)),
  );
}

/** Bytes as a Uint8Array. */
export function byteStrings(): fc.Arbitrary<Uint8Array> {
  return fc.oneof(
    fc.uint8Array({ maxLength: 20 }),
    fc.constantFrom(255, 256).map((length) => new Uint8Array(length).fill(7)),
  );
}

/** Values that may be dict keys or set items. */
export function pickleKeys(): fc.Arbitrary<unknown> {
  const { key } = fc.letrec((tie) => ({
    key: fc.oneof(
      { depthSize: 'small', withCrossShrink: true },
      texts(),
      numbers(),
      fc.boolean(),
      fc.constant(null),
      byteStrings(),
      fc.tuple(fc.double(), fc.double()).map(([re, im]) => new Complex(re, im)),
      fc.array(tie('key'), { maxLength: 4 }).map((items) => Tuple.from(items)),
      fc.array(tie('key'), { maxLength: 4 }).map((items) => new FrozenSet(items)),
    ),
  }));
  return key;
}

/** Datetimes, dates, times, timedeltas and time zones, within Python's limits. */
export function pickleTimes(): fc.Arbitrary<unknown> {
  const span = fc
    .tuple(fc.integer({ min: -999_999_998, max: 999_999_998 }), fc.integer({ min: 0, max: 86_399 }), fc.nat(999_999))
    .map((parts) => new PyTimeDelta(...parts));
  const zone = fc
    .tuple(fc.integer({ min: -86_399, max: 86_399 }), fc.option(fc.string({ maxLength: 5 })))
    .map(([seconds, name]) => new PyTimeZone(new PyTimeDelta(0, seconds), name));
  const date = fc.record({
    year: fc.integer({ min: 1, max: 9999 }),
    month: fc.integer({ min: 1, max: 12 }),
    day: fc.integer({ min: 1, max: 28 }),
  });
  const time = fc.record({
    hour: fc.nat(23),
    minute: fc.nat(59),
    second: fc.nat(59),
    microsecond: fc.nat(999_999),
    fold: fc.nat(1),
    tzinfo: fc.option(zone),
  });
  return fc.oneof(
    span,
    zone,
    date.map(({ year, month, day }) => new PyDate(year, month, day)),
    time.map((parts) => new PyTime(parts)),
    fc.tuple(date, time).map(([day, clock]) => new PyDateTime({ ...day, ...clock })),
    fc.date({ min: new Date('0001-01-01T00:00:00Z'), max: new Date('9999-12-31T23:59:59Z'), noInvalidDate: true }),
  );
}

/** Arrays of all plain dtypes, in C and Fortran order; masked arrays, scalars, and JavaScript's typed arrays. */
export function pickleArrays(): fc.Arbitrary<unknown> {
  const dtype = fc.constantFrom(
    '|b1',
    '|i1',
    '|u1',
    '<i2',
    '<u4',
    '<i8',
    '<f4',
    '<f8',
    '<c16',
    '|S3',
    '<U2',
    '|V5',
    '<M8[ns]',
    '<m8[D]',
  );
  const array = fc
    .tuple(
      dtype,
      fc.array(fc.nat(3), { maxLength: 3 }),
      fc.constantFrom('C' as const, 'F' as const),
      fc.uint8Array({ minLength: 1, maxLength: 16 }),
    )
    .map(([type, shape, order, seed]) => {
      const size = shape.reduce((product, dim) => product * dim, 1);
      const bytes = new Uint8Array(size * itemsizeOf(type)).map((_, i) => byteFor(type, seed, i));
      return NDArray.over(memoryOver(bytes), type, shape, { order });
    });
  return fc.oneof(
    { weight: 3, arbitrary: array },
    {
      weight: 1,
      arbitrary: array.map((data) => new MaskedArray(data, NDArray.zeros(data.shape, 'bool', { order: data.order }))),
    },
    { weight: 1, arbitrary: fc.double().map((value) => NumpyScalar.of(value, 'float64')) },
    { weight: 1, arbitrary: fc.integer().map((value) => NumpyScalar.of(value, '<i4')) },
    { weight: 1, arbitrary: fc.float64Array({ maxLength: 5 }) },
    { weight: 1, arbitrary: fc.int16Array({ maxLength: 5 }) },
  );
}

const itemsizeOf = (dtype: string): number => {
  const count = Number(/^..(\d+)/.exec(dtype)?.[1]);
  return dtype[1] === 'U' ? 4 * count : count;
};

/** A byte of a valid element: booleans are 0 or 1, text is within the first Unicode plane. */
function byteFor(dtype: string, seed: Uint8Array, i: number): number {
  const byte = seed[i % seed.length] as number;
  if (dtype[1] === 'b') return byte & 1;
  return dtype[1] === 'U' && i % 4 > 0 ? 0 : byte;
}

/** Values of Python's standard library. */
export function pickleObjects(): fc.Arbitrary<unknown> {
  const names = fc.constantFrom('int', 'list', 'dict', 'len', 'ValueError');
  const parts = fc.array(fc.stringMatching(/^[a-z]{1,4}$/), { maxLength: 3 });
  const items = fc.array(fc.oneof(fc.integer(), texts()), { maxLength: 4 });
  const pairs = fc.array(fc.tuple(pickleKeys(), fc.integer()), { maxLength: 4 });
  return fc.oneof(
    fc.tuple(fc.bigInt(), fc.nat(999)).map(([whole, part]) => new PyDecimal(`${whole}.${part}`)),
    fc
      .constantFrom('NaN', 'sNaN', 'Infinity', '-Infinity', '-0', '0.10', '1E+30', '1E-30')
      .map((text) => new PyDecimal(text)),
    fc.tuple(fc.bigInt(), fc.bigInt({ min: 1n })).map(([top, bottom]) => new PyFraction(top, bottom)),
    fc.uuid().map((text) => new PyUuid(text)),
    parts.map((list) => new PyPath(list)),
    names.map((name) => new OpaqueGlobal('builtins', name)),
    fc.constantFrom(ELLIPSIS, NOT_IMPLEMENTED, new PyFloat(1), new PyFloat(-0)),
    fc.tuple(fc.option(fc.integer()), fc.option(texts()), fc.constant(null)).map((list) => new PySlice(...list)),
    pairs.map((list) => new OrderedDict(list)),
    pairs.map((list) => new Counter(list)),
    fc
      .tuple(fc.option(names), pairs)
      .map(([name, list]) => new DefaultDict(name === null ? null : new OpaqueGlobal('builtins', name), list)),
    fc.tuple(items, fc.option(fc.integer({ min: 4, max: 9 }))).map(([list, maxlen]) => Deque.over(list, maxlen)),
    items.map((list) => new PyException('ValueError', list)),
    fc.uint8Array({ maxLength: 9 }).map((bytes) => new PyArray('B', 0, bytes)),
    fc.float64Array({ maxLength: 4 }).map((list) => new PyArray('d', 16, new Uint8Array(list.buffer))),
  );
}

/** Values other than containers of arbitrary values. */
export function pickleAtoms(): fc.Arbitrary<unknown> {
  const bound = fc.integer({ min: -1000, max: 1000 });
  return fc.oneof(
    { weight: 2, arbitrary: pickleTimes() },
    { weight: 2, arbitrary: pickleArrays() },
    { weight: 2, arbitrary: pickleObjects() },
    { weight: 3, arbitrary: texts() },
    { weight: 3, arbitrary: numbers() },
    { weight: 1, arbitrary: fc.constantFrom(null, true, false) },
    { weight: 1, arbitrary: byteStrings() },
    { weight: 1, arbitrary: byteStrings().map((bytes) => new ByteArray(bytes)) },
    { weight: 1, arbitrary: fc.tuple(fc.double(), fc.double()).map(([re, im]) => new Complex(re, im)) },
    {
      weight: 1,
      arbitrary: fc
        .tuple(
          bound,
          bound,
          bound.filter((step) => step !== 0),
        )
        .map((parts) => new PyRange(...parts)),
    },
  );
}

/** One container of a graph before it is filled: `picks` lists the atoms and other containers that it holds. */
interface Plan {
  readonly kind: 'list' | 'tuple' | 'dict' | 'map' | 'record' | 'set' | 'frozenset';
  readonly picks: readonly (readonly [key: unknown, atom: unknown, reference: number])[];
}

/**
 * Nested values with shared references, and with cycles through lists and dicts. They include plain objects, Maps, arrays,
 * Sets and all stand-ins.
 *
 * @example
 * ```ts
 * import { dump, load } from '@mmdpickle/core/pickle';
 * import { pickleValues } from '@mmdpickle/core/testing';
 * import * as fc from 'fast-check';
 *
 * fc.assert(fc.property(pickleValues(), (value) => dump(load(dump(value))) instanceof Uint8Array), { numRuns: 20 });
 * ```
 */
export function pickleValues(): fc.Arbitrary<unknown> {
  const plan: fc.Arbitrary<Plan> = fc.record({
    kind: fc.constantFrom('list', 'list', 'tuple', 'dict', 'map', 'record', 'set', 'frozenset'),
    picks: fc.array(fc.tuple(pickleKeys(), pickleAtoms(), fc.integer({ min: -20, max: 12 })), { maxLength: 5 }),
  });
  return fc.oneof(
    { weight: 1, arbitrary: pickleAtoms() },
    { weight: 4, arbitrary: fc.array(plan, { minLength: 1, maxLength: 8 }).map(build) },
  );
}

function build(plans: readonly Plan[]): unknown {
  const made: unknown[] = plans.map(({ kind, picks }) => {
    if (kind === 'list') return [];
    if (kind === 'dict') return new PyDict();
    if (kind === 'map') return new Map();
    if (kind === 'record') return {};
    if (kind === 'set') return new Set(picks.map(([key]) => key).filter(isText));
    return kind === 'frozenset' ? new FrozenSet(picks.map(([key]) => key)) : undefined;
  });
  // Tuples are immutable, so they refer only backwards; mutable containers may refer to anything.
  for (const [at, { kind, picks }] of plans.entries()) {
    const item = ([, atom, reference]: Plan['picks'][number], reach: number): unknown =>
      reference >= 0 && reference < reach ? made[reference] : atom;
    if (kind === 'tuple') made[at] = Tuple.from(picks.map((pick) => item(pick, at)));
  }
  for (const [at, { kind, picks }] of plans.entries()) {
    const target = made[at];
    for (const [key, atom, reference] of picks) {
      const value = reference >= 0 && reference < made.length ? made[reference] : atom;
      if (kind === 'list') (target as unknown[]).push(value);
      else if (kind === 'dict') (target as PyDict).set(key, value);
      else if (kind === 'map' && isText(key)) (target as Map<unknown, unknown>).set(key, value);
      else if (kind === 'record' && isText(key)) {
        Object.defineProperty(target, key, { value, enumerable: true, configurable: true, writable: true });
      }
    }
  }
  return made.at(-1);
}

const isText = (key: unknown): key is string => typeof key === 'string';
