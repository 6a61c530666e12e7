/** Arrays for these tests: every type of `DTYPES`, in both byte orders, any shape and order, with random bytes. */

import {
  type Descr,
  DTYPES,
  type DType,
  memoryOver,
  NDArray,
  parseDType,
  slice,
  TIME_UNITS,
} from '@mmdpickle/core/ndarray';
import type { Wire } from '@mmdpickle/test-support';
import fc from 'fast-check';

/** Any type that npy files can hold and numpy accepts, except object types. */
function dtypes(): fc.Arbitrary<DType> {
  const scalar = fc
    .record({
      row: fc.constantFrom(...DTYPES.filter((row) => row.kind !== 'O')),
      length: fc.integer({ min: 1, max: 5 }),
      big: fc.boolean(),
      unit: fc.constantFrom(...TIME_UNITS),
      count: fc.constantFrom('', '25'),
    })
    .map(({ row, length, big, unit, count }) => {
      const order = row.ordered ? (big ? '>' : '<') : '|';
      const time = row.kind === 'M' || row.kind === 'm' ? `[${count}${unit}]` : '';
      return `${order}${row.code}${row.flexible === true ? length : ''}${time}`;
    });
  const name = fc.string({
    unit: fc.constantFrom('a', 'b', "'", '"', '\\', ' ', 'é', '整'),
    minLength: 1,
    maxLength: 4,
  });
  const shape = fc.array(fc.integer({ min: 1, max: 3 }), { minLength: 1, maxLength: 2 });
  const fields = (type: fc.Arbitrary<Descr>): fc.Arbitrary<Descr> =>
    fc
      .uniqueArray(fc.record({ name, type, shape: fc.option(shape, { nil: undefined, freq: 3 }), gap: fc.nat(3) }), {
        minLength: 1,
        maxLength: 4,
        selector: (field) => field.name,
      })
      .map((list) =>
        list.flatMap(
          (field): Extract<Descr, unknown[]> => [
            ...(field.gap === 0 ? [['', '|V3'] as [string, string]] : []),
            field.shape === undefined ? [field.name, field.type] : [field.name, field.type, field.shape],
          ],
        ),
      );
  const flat = fields(scalar);
  return fc
    .oneof(
      { weight: 4, arbitrary: scalar },
      { weight: 1, arbitrary: flat },
      { weight: 1, arbitrary: fields(fc.oneof(scalar, flat)) },
    )
    .map((spec) => parseDType(spec));
}

/** Arrays of these types with 0 to 4 dimensions, including empty ones, in both orders, and views with gaps. */
export function arrays(types: fc.Arbitrary<DType> = dtypes()): fc.Arbitrary<NDArray> {
  return fc
    .record({
      type: types,
      shape: fc.array(fc.integer({ min: 0, max: 4 }), { maxLength: 4 }),
      order: fc.constantFrom('C' as const, 'F' as const),
      gaps: fc.boolean(),
      seed: fc.integer({ min: 1, max: 2 ** 31 - 1 }),
    })
    .map(({ type, shape, order, gaps, seed }) => {
      const whole = gaps ? shape.map((length) => length * 2) : shape;
      const array = arrayOf(type, whole, order, seed);
      return gaps ? array.slice(...whole.map(() => EVERY_OTHER)) : array;
    });
}

const EVERY_OTHER = slice(0, null, 2);

/** An array whose bytes depend only on the seed; text consists of valid code points. */
export function arrayOf(type: DType, shape: readonly number[], order: 'C' | 'F' = 'C', seed = 1): NDArray {
  const count = shape.reduce((product, length) => product * length, 1);
  const bytes = new Uint8Array(count * type.itemsize);
  let state = seed;
  for (let i = 0; i < bytes.length; i += 1) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    // Small values in the last byte of four make code points in both byte orders.
    bytes[i] = hasText(type) ? ((state >>> 24) % 8 === 0 ? 0x61 : 0) : state >>> 24;
  }
  return NDArray.over(memoryOver(bytes), type, shape, { order });
}

function hasText(type: DType): boolean {
  if (type.kind === 'U' || type.kind === 'b') return true;
  if (type.base !== undefined) return hasText(type.base);
  return type.fields?.some((field) => hasText(field.dtype)) ?? false;
}

/** The bytes of an array in its order. */
export function bytesOf(array: NDArray): Uint8Array {
  const bytes = new Uint8Array(array.nbytes);
  let done = 0;
  for (const piece of array.bytes()) {
    bytes.set(piece, done);
    done += piece.length;
  }
  return bytes;
}

/** The properties in which equal arrays must agree. */
export function describeArray(array: NDArray): {
  dtype: string;
  shape: readonly number[];
  order: string;
  bytes: Uint8Array;
} {
  return { dtype: JSON.stringify(array.type.spec), shape: array.shape, order: array.order, bytes: bytesOf(array) };
}

/** A description of an array for Python, which builds it with {@link PYTHON_ARRAYS}. */
export function toWire(array: NDArray): Wire {
  return { descr: array.type.descr as Wire, shape: [...array.shape], order: array.order, bytes: bytesOf(array) };
}

/** Python functions that build arrays from {@link toWire} and describe them in the same form. */
export const PYTHON_ARRAYS = `
import io, warnings
import numpy as np
warnings.simplefilter("ignore", UserWarning)
def fix(descr):
    if isinstance(descr, str): return descr
    return [(tuple(f[0]) if isinstance(f[0], list) else f[0], fix(f[1])) + ((tuple(f[2]),) if len(f) > 2 else ()) for f in descr]
def make(wire):
    dtype = np.lib.format.descr_to_dtype(fix(wire["descr"]))
    return np.ndarray(tuple(wire["shape"]), dtype, bytearray(wire["bytes"]), order=wire["order"])
def unfix(descr):
    if isinstance(descr, str): return descr
    return [[list(f[0]) if isinstance(f[0], tuple) else f[0], unfix(f[1])] + ([list(f[2])] if len(f) > 2 else []) for f in descr]
def raw(array):
    # Padding is part of the bytes; numpy copies fields only.
    return bytes(np.ndarray(array.nbytes, "u1", array).data) if array.nbytes else b""
def wire(array):
    order = "F" if array.flags.f_contiguous and not array.flags.c_contiguous else "C"
    return {"descr": unfix(np.lib.format.dtype_to_descr(array.dtype)), "shape": list(array.shape), "order": order, "bytes": raw(array.T if order == "F" else array)}
`;
