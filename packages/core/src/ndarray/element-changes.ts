/**
 * Conversions that elements need besides `get` and `set` when they are stored as another type: a time count means nothing without its
 * unit, and the bytes of a long double mean nothing without their order.
 *
 * @module
 */

import { MmdError } from '../errors.ts';
import type { DType } from './dtypes.ts';
import { swapInPlace } from './swap.ts';

const SECOND = 10n ** 18n;
/** Units of fixed length, in attoseconds. */
const LENGTHS: ReadonlyMap<string, bigint> = new Map([
  ['W', 604_800n * SECOND],
  ['D', 86_400n * SECOND],
  ['h', 3600n * SECOND],
  ['m', 60n * SECOND],
  ['s', SECOND],
  ['ms', 10n ** 15n],
  ['us', 10n ** 12n],
  ['ns', 10n ** 9n],
  ['ps', 10n ** 6n],
  ['fs', 1000n],
  ['as', 1n],
]);
/** The other units, in months. */
const MONTHS: ReadonlyMap<string, bigint> = new Map([
  ['Y', 12n],
  ['M', 1n],
]);

/** Converts an element of one type to another type. @throws UNSUPPORTED_VALUE if that cannot represent the time */
type Change = (value: unknown) => unknown;

/**
 * The conversion that elements of one type need to be stored as another; undefined if none. As in numpy, counts are kept if one
 * type has no unit, and between datetime64 and timedelta64. Fields are matched by name.
 * @throws UNSUPPORTED_VALUE for a field that the other type does not have: it would be lost
 */
export function changeOf(from: DType, to: DType): Change | undefined {
  if (from.fields !== undefined && to.fields !== undefined) return changeOfFields(from.fields, to.fields);
  if (from.base !== undefined && to.base !== undefined) {
    const change = changeOf(from.base, to.base);
    const each: Change = (value) => (Array.isArray(value) ? value.map(each) : change!(value));
    return change && each;
  }
  if (isLongDouble(from) && isLongDouble(to) && from.kind === to.kind && from.byteorder !== to.byteorder) return turned;
  const [a, b] = [from.unit, to.unit];
  if (a === undefined || b === undefined || from.kind !== to.kind || (a.base === b.base && a.count === b.count))
    return undefined;
  const lengths = [LENGTHS, MONTHS].find((table) => table.has(a.base) && table.has(b.base));
  const refuse = (value: unknown): never => {
    throw new MmdError(
      'UNSUPPORTED_VALUE',
      `${String(value)} of ${from.name} cannot be converted to ${to.name} exactly`,
      {
        expected: to.name,
        found: value,
      },
    );
  };
  return (value) => {
    if (typeof value !== 'bigint') return value;
    if (lengths === undefined) return refuse(value);
    const length = value * lengths.get(a.base)! * BigInt(a.count);
    const unit = lengths.get(b.base)! * BigInt(b.count);
    return length % unit === 0n ? length / unit : refuse(value);
  };
}

/** Whether elements are numbers that can only be represented by their raw bytes. */
const isLongDouble = ({ kind, itemsize }: DType): boolean => itemsize === (kind === 'f' ? 16 : kind === 'c' ? 32 : -1);

/** Swaps the byte order of a long double in place: an element is already a copy. */
const turned: Change = (value) => {
  swapInPlace(value as Uint8Array, 16);
  return value;
};

function changeOfFields(from: NonNullable<DType['fields']>, to: NonNullable<DType['fields']>): Change | undefined {
  const lost = from.find(({ name }) => !to.some((field) => field.name === name));
  if (lost !== undefined) {
    const expected = to.map(({ name }) => name);
    const text = `the field ${JSON.stringify(lost.name)} does not exist in the target type, which has ${JSON.stringify(expected)}`;
    throw new MmdError('UNSUPPORTED_VALUE', text, { expected, found: lost.name });
  }
  const changes = new Map<string, Change>();
  for (const { name, dtype } of to) {
    const source = from.find((field) => field.name === name);
    const change = source && changeOf(source.dtype, dtype);
    if (change !== undefined) changes.set(name, change);
  }
  if (changes.size === 0) return undefined;
  return (record) =>
    Object.fromEntries(
      Object.entries(record as object).map(([name, value]) => [name, changes.get(name)?.(value) ?? value]),
    );
}
