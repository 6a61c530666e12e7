/**
 * What a dict can store as an array: dtype, shape and order are known at once, bytes come later or never.
 *
 * `NDArray` and `MaskedArray` are sources; so are the stubs of `@mmdpickle/stubs`, which
 * allocate arrays on disk that were never in memory.
 *
 * @module
 */

import type { DTypeLike } from './dtypes.ts';
import { checkOrder, invalid, notAShape } from './shapes.ts';

/** A range of rows of the first axis; `end` is exclusive. */
export interface RowRange {
  readonly start: number;
  readonly end: number;
}

/** Where the bytes of an array are stored in another file. */
export interface FileRange {
  readonly path: string;
  readonly offset: number;
  readonly length: number;
}

/**
 * An array that can be stored. At most one of `bytes` and `file` is given; with neither, the array
 * reads as zeros and takes no disk space until it is written.
 */
export interface ArraySource {
  /** Marks the object as a source; nothing is guessed from the other properties. */
  readonly arraySource: true;
  readonly dtype: DTypeLike;
  /** For growable arrays the first dimension counts the committed rows. */
  readonly shape: readonly number[];
  readonly order?: 'C' | 'F' | undefined;
  /** Allocate the disk space when the array is set, so that a full disk is an error then. */
  readonly reserve?: boolean | undefined;
  /** Growable arrays: how many rows of the first axis to make room for. */
  readonly capacity?: number | undefined;
  /**
   * The array's bytes in `order`, in pieces of any size that together make exactly the array;
   * borrowed until the next piece is requested.
   */
  bytes?(): Iterable<Uint8Array>;
  /** Where the array's bytes are stored in `order`; they are copied without passing through memory. */
  readonly file?: FileRange | undefined;
  /** Masked arrays: a source of dtype bool and the same shape; true hides the element. */
  readonly mask?: ArraySource | undefined;
  /** Masked arrays: the fill value; null lets numpy choose. */
  readonly fillValue?: unknown;
}

/**
 * Whether a value is an {@link ArraySource}, by its mark.
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

/** Checks the properties of a source that no other check covers. @throws INVALID_ARGUMENT */
export function checkSource({ shape, order, bytes, file }: ArraySource): void {
  if (!Array.isArray(shape)) throw notAShape(shape);
  if (order !== undefined) checkOrder(order);
  if (bytes !== undefined && typeof bytes !== 'function')
    throw invalid('bytes of an array source must be a function', bytes);
  if (file === null) throw invalid('file of an array source must be a range of a file', file);
  if (bytes !== undefined && file !== undefined) throw invalid('an array source has bytes or a file, not both', file);
}

/**
 * The pieces of a source that has `bytes`, which together must make exactly the array.
 * @throws INVALID_ARGUMENT for pieces that are not bytes, and if they add up to more or less than `nbytes`
 */
export function* exactBytes(source: ArraySource, nbytes: number): Generator<Uint8Array> {
  let sum = 0;
  const pieces: unknown = source.bytes!();
  if (typeof (pieces as Iterable<unknown> | undefined)?.[Symbol.iterator] !== 'function') {
    throw invalid('bytes() of an array source must return an iterable of Uint8Arrays', pieces);
  }
  for (const piece of pieces as Iterable<unknown>) {
    // Anything else that has a length would be copied as zeros, or element by element.
    if (!isBytes(piece)) throw invalid('bytes() of an array source must yield Uint8Arrays', piece);
    sum += piece.length;
    if (sum > nbytes) break;
    yield piece;
  }
  if (sum !== nbytes) {
    const more = sum > nbytes ? ' or more' : '';
    throw invalid(`the array source gave ${sum} bytes${more}, but its shape needs ${nbytes}`, sum, nbytes);
  }
}

/** Whether a value is a Uint8Array, from any realm. */
export const isBytes = (value: unknown): value is Uint8Array => typedArrayName(value) === 'Uint8Array';

/** The engine's name for the kind of a typed array, whatever its realm and class; undefined for anything else, including Proxies. */
export const typedArrayName = (value: unknown): string | undefined => TYPED_ARRAY_NAME.call(value);

const TYPED_ARRAY_NAME = Object.getOwnPropertyDescriptor(
  Object.getPrototypeOf(Uint8Array.prototype),
  Symbol.toStringTag,
)!.get as (this: unknown) => string | undefined;
