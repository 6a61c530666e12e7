/** Helpers of the commands for values that should be arrays. @module */

import { type DType, MaskedArray, NDArray, type SliceSpec } from '@mmdpickle/core';
import { usageError } from './errors.ts';

/** An array in a file, masked or not. */
export type AnyArray = NDArray | MaskedArray;

export function isArray(value: unknown): value is AnyArray {
  return value instanceof NDArray || value instanceof MaskedArray;
}

/** The value if it is an array; else throws an error that names the option that needs one. */
export function requireArray(value: unknown, key: string, option: string): AnyArray {
  if (isArray(value)) return value;
  throw usageError(`${option} needs an array, but ${JSON.stringify(key)} is not one`);
}

/** A part of an array; a single element is a 0-d array. */
export function sliceArray(value: unknown, specs: readonly SliceSpec[], key: string): AnyArray {
  const array = requireArray(value, key, '--slice');
  return array.slice(...specs) as AnyArray;
}

/** The data of a masked array, or the array itself. */
export function dataOf(array: AnyArray): NDArray {
  return array instanceof MaskedArray ? array.data : array;
}

/** Whether a type is or contains long doubles (float or complex), which JavaScript can only represent as bytes. */
export function isLong({ kind, itemsize, base, fields }: DType): boolean {
  if (base !== undefined) return isLong(base);
  if (fields !== undefined) return fields.some(({ dtype }) => isLong(dtype));
  return (kind === 'f' && itemsize > 8) || (kind === 'c' && itemsize > 16);
}

/** An array's bytes in C order: row by row if they are not stored in that order. */
export function* bytesInRows(array: NDArray): Generator<Uint8Array> {
  if (array.order === 'C') yield* array.bytes();
  else
    for (let row = 0; row < array.shape[0]!; row++)
      yield* array
        .rows(row, row + 1)
        .copy()
        .bytes();
}
