/**
 * What the dict can store as an array: dtype, shape and order now, bytes later or never.
 *
 * `NDArray` and `MaskedArray` are sources; so are the stubs of `@mmdpickle/stubs`, which
 * allocate arrays on disk that were never in memory.
 *
 * @module
 */

import type { DTypeLike } from './dtypes.ts';

/** A range of rows of the first axis; `end` is exclusive. */
export interface RowRange {
  readonly start: number;
  readonly end: number;
}

/** Where bytes of an array stand in another file. */
export interface FileRange {
  readonly path: string;
  readonly offset: number;
  readonly length: number;
}

/**
 * An array that can be stored. At most one of `bytes` and `file` is given; with neither, the array
 * reads as zeros and takes no disk until it is written.
 */
export interface ArraySource {
  /** Marks the object; nothing is guessed from the other properties. */
  readonly arraySource: true;
  readonly dtype: DTypeLike;
  /** For growable arrays the first dimension counts the committed rows. */
  readonly shape: readonly number[];
  readonly order?: 'C' | 'F' | undefined;
  /** Take the disk space when the array is set, so that a full disk is an error then. */
  readonly reserve?: boolean | undefined;
  /** Growable: how many rows of the first axis to make room for. */
  readonly capacity?: number | undefined;
  /**
   * The array's bytes in `order`, in pieces of any size that together make exactly the array;
   * borrowed until the next piece is asked for.
   */
  bytes?(): Iterable<Uint8Array>;
  /** The array's bytes in `order` stand in this file; they are copied without passing through memory. */
  readonly file?: FileRange | undefined;
  /** Masked arrays: a source of dtype bool and the same shape; true hides the element. */
  readonly mask?: ArraySource | undefined;
  /** Masked arrays: the fill value; null lets numpy choose. */
  readonly fillValue?: unknown;
}

/**
 * Tells an {@link ArraySource} by its mark.
 *
 * @example
 * ```ts
 * import { isArraySource, NDArray } from '@mmdpickle/core/ndarray';
 *
 * isArraySource(NDArray.zeros([2])); // true
 * isArraySource(new Float64Array(2)); // false
 * ```
 */
export function isArraySource(value: unknown): value is ArraySource {
  return typeof value === 'object' && value !== null && (value as { arraySource?: unknown }).arraySource === true;
}
