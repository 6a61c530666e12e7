/**
 * numpy's default fill values of masked arrays (`numpy.ma.default_fill_value`).
 *
 * @module
 */

import { Complex } from './complex.ts';
import type { DType, DTypeKind } from './dtypes.ts';

const ASCII: ReadonlyMap<DTypeKind, string> = new Map([
  ['S', 'N/A'],
  ['V', '???'],
]);

/**
 * What numpy fills masked elements of a type with, as an element: cut to the type as numpy stores it (999999 is 63 as
 * int8, infinity as float16). NaT for times, which numpy leaves undefined for timedelta64.
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
      const bits = itemsize * 8;
      const wrapped = kind === 'i' ? BigInt.asIntN(bits, 999_999n) : BigInt.asUintN(bits, 999_999n);
      return itemsize === 8 ? wrapped : Number(wrapped);
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

/** 1e20 in x87 extended precision: a 64-bit significand with its leading one, then sign and exponent. */
function longDouble(type: DType): Uint8Array {
  const bytes = new Uint8Array(16);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0, 100_000_000_000_000_000_000n >> 3n, true);
  view.setUint16(8, 16_383 + 66, true);
  return type.byteorder === '>' ? bytes.reverse() : bytes;
}

function fillShape(value: unknown, [length = 0, ...rest]: readonly number[]): unknown {
  const item = rest.length === 0 ? value : fillShape(value, rest);
  return new Array<unknown>(length).fill(item);
}
