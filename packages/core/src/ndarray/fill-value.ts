/**
 * numpy's default fill values of masked arrays (`numpy.ma.default_fill_value`).
 *
 * @module
 */

import { decodeLatin1 } from '../bytes/index.ts';
import { isMmdError, MmdError } from '../errors.ts';
import { Complex } from './complex.ts';
import type { DType, DTypeKind } from './dtypes.ts';
import { sameDType } from './make-dtype.ts';
import { NDArray } from './nd-array.ts';
import { repeated } from './shapes.ts';
import { isSubarrayOfSubarrays } from './subarray-parts.ts';

const ASCII: ReadonlyMap<DTypeKind, string> = new Map([
  ['S', 'N/A'],
  ['V', '???'],
]);

/**
 * numpy's default fill value for a type, as an element. Integers wrap and text is truncated as numpy stores them (999999 is 63 as
 * int8); 1e20 becomes infinity when stored as float16. NaT for times, which numpy leaves undefined for timedelta64.
 *
 * @example
 * ```ts
 * import { defaultFillValue, parseDType } from '@mmdpickle/core/ndarray';
 *
 * defaultFillValue(parseDType('float64')); // 1e20
 * defaultFillValue(parseDType('int8')); // 63
 * ```
 */
export function defaultFillValue(type: DType): unknown {
  const { kind, itemsize, fields } = type;
  if (fields !== undefined) {
    const record: { [name: string]: unknown } = Object.create(null);
    for (const { name, dtype } of fields) record[name] = defaultFillValue(dtype);
    return Object.freeze(record);
  }
  if (type.base !== undefined && type.shape !== undefined) return fillShape(defaultFillValue(type.base), type.shape);
  switch (kind) {
    case 'b':
      return true;
    case 'i':
    case 'u': {
      const integer = wrapped(999_999n, type);
      return itemsize === 8 ? integer : Number(integer);
    }
    case 'f':
      return itemsize === 16 ? longDouble(type) : 1e20;
    case 'c': {
      if (itemsize !== 32) return new Complex(1e20);
      const bytes = new Uint8Array(32);
      bytes.set(longDouble(type));
      return bytes;
    }
    case 'U':
      return 'N/A'.slice(0, itemsize / 4);
    case 'S':
    case 'V':
      return new TextEncoder().encode(ASCII.get(kind)?.slice(0, itemsize));
    case 'O':
      return '?';
    default:
      return null;
  }
}

/**
 * Checks that numpy can make masked arrays of a type. For a structured type, numpy makes a default fill value, whatever fill value is
 * given, and a mask with the same field names; if it cannot, it refuses the array, and so the whole file.
 * @throws UNSUPPORTED_DTYPE
 */
export function checkMaskable(type: DType): void {
  for (const { name, dtype } of (type.base ?? type).fields ?? []) {
    const element = dtype.base ?? dtype;
    const time = 'mM'.includes(element.kind) && element.unit?.count !== 1;
    const why =
      (name === '' && 'has no name') ||
      (time && 'has a time type without a unit, or with a multiple of one') ||
      (isSubarrayOfSubarrays(dtype) && 'is a sub-array of sub-arrays');
    if (why !== false) {
      const text = `numpy does not support masked arrays of ${type.name}: its field ${JSON.stringify(name)} ${why}`;
      throw new MmdError('UNSUPPORTED_DTYPE', text, { found: type.name });
    }
    checkMaskable(dtype);
  }
}

/**
 * The fill value that every numpy version has after loading a masked array: cast to the array's type. Unlike in `set`, text is
 * truncated and typed integers wrap.
 *
 * @param value - an element, not null
 * @param from - its type, if it has one: a Python int does not wrap in numpy 2
 * @returns undefined for values that numpy refuses, and for casts not implemented here: numbers to text, times to other units
 */
export function castFillValue(value: unknown, from: DType | undefined, type: DType): unknown {
  if (from !== undefined && sameDType(from, type)) return value;
  const { kind, itemsize, fields } = type;
  const number = typeof value === 'number' || typeof value === 'bigint' || typeof value === 'boolean';
  if (fields !== undefined) return from === undefined ? elementOf(value, type) : undefined;
  switch (kind) {
    case 'U': {
      const text = value instanceof Uint8Array && isText(from) && isAscii(value) ? decodeLatin1(value) : value;
      return typeof text === 'string'
        ? Array.from(text)
            .slice(0, itemsize / 4)
            .join('')
        : undefined;
    }
    case 'S':
    case 'V': {
      const bytes = typeof value === 'string' && kind === 'S' ? new TextEncoder().encode(value) : value;
      const plain = isText(from) || (kind === 'V' && from?.kind === 'V' && from.fields === undefined);
      const known = bytes instanceof Uint8Array && plain && (typeof value !== 'string' || isAscii(bytes));
      return known ? elementOf(bytes.subarray(0, itemsize), type) : undefined;
    }
    case 'b':
      return number ? Number(value) !== 0 : undefined;
    case 'i':
    case 'u': {
      if (!number || !Number.isFinite(Number(value))) return undefined;
      const integer = typeof value === 'bigint' ? value : BigInt(Math.trunc(Number(value)));
      const element = elementOf(
        from !== undefined && 'iu'.includes(from.kind) ? wrapped(integer, type) : integer,
        type,
      );
      return element !== undefined && from === undefined && Number.isInteger(value) ? value : element;
    }
    case 'f':
    case 'c':
      // Of numbers that JavaScript cannot represent, only the default is known.
      if (itemsize > (kind === 'f' ? 8 : 16)) return isDefault(value) ? defaultFillValue(type) : undefined;
      return number || (kind === 'c' && value instanceof Complex) ? elementOf(value, type) : undefined;
    default:
      // numpy accepts no number for a time without a unit.
      if (type.unit === undefined || !(from === undefined || 'iu'.includes(from.kind))) return undefined;
      return elementOf(value, type) === undefined ? undefined : value;
  }
}

/** The value as it reads back from an array of the type; undefined if it does not fit. */
function elementOf(value: unknown, type: DType): unknown {
  try {
    return NDArray.zeros([], type).set(value).get();
  } catch (error) {
    if (isMmdError(error)) return undefined;
    throw error;
  }
}

/** Bytes of other types, such as long doubles, are not text. */
const isText = (from: DType | undefined): boolean => from === undefined || 'SU'.includes(from.kind);

const isAscii = (bytes: Uint8Array): boolean => bytes.every((byte) => byte < 0x80);

const isDefault = (value: unknown): boolean =>
  value === 1e20 || (value instanceof Complex && value.re === 1e20 && value.im === 0);

function wrapped(integer: bigint, { kind, itemsize }: DType): bigint {
  return kind === 'i' ? BigInt.asIntN(8 * itemsize, integer) : BigInt.asUintN(8 * itemsize, integer);
}

/** 1e20 in x87 extended precision: a 64-bit significand with its leading one, then sign and exponent. */
function longDouble(type: DType): Uint8Array {
  const bytes = new Uint8Array(16);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0, 100_000_000_000_000_000_000n >> 3n, true);
  view.setUint16(8, 16_383 + 66, true);
  return type.byteorder === '>' ? bytes.reverse() : bytes;
}

function fillShape(value: unknown, [length = 0, ...rest]: readonly number[]): unknown {
  return repeated(rest.length === 0 ? value : fillShape(value, rest), length);
}
