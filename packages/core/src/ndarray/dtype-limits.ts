/**
 * Limits for types from files, and the errors for types that are refused.
 *
 * @module
 */

import { MmdError } from '../errors.ts';

/** The limits in {@link DTYPE_LIMITS}. */
export interface DTypeLimits {
  /** Characters of the text of a structured type. */
  readonly maxTextLength: number;
  /** Nesting of types. */
  readonly maxDepth: number;
  /** Fields of a type, including nested ones. */
  readonly maxFields: number;
  /** Bytes of one element. */
  readonly maxItemsize: number;
  /** Dimensions of a sub-array field. */
  readonly maxSubarrayDims: number;
}

/** Limits for types from files. numpy itself limits an element to 2^31 - 1 bytes and a shape to 32 dimensions. */
export const DTYPE_LIMITS: DTypeLimits = {
  maxTextLength: 1_000_000,
  maxDepth: 32,
  maxFields: 16_384,
  maxItemsize: 2 ** 31 - 1,
  maxSubarrayDims: 32,
};

/** The error for a description that numpy has no type for. */
export const unsupported = (message: string, found: unknown): MmdError =>
  new MmdError('UNSUPPORTED_DTYPE', `dtype: ${message}`, { found });

/** The error for a type beyond {@link DTYPE_LIMITS}. */
export const overLimit = (limit: keyof DTypeLimits, found: number): MmdError =>
  new MmdError('LIMIT_EXCEEDED', `dtype: ${limit} is ${DTYPE_LIMITS[limit]}, found ${found}`, {
    limit,
    maximum: DTYPE_LIMITS[limit],
    found,
  });

/** Checks a number of bytes or elements in a description. @throws UNSUPPORTED_DTYPE, LIMIT_EXCEEDED */
export function count(value: unknown, what: string): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) {
    throw unsupported(`${what} must be a non-negative integer`, value);
  }
  if (value > DTYPE_LIMITS.maxItemsize) throw overLimit('maxItemsize', value);
  // -0 would be pickled as a float, which numpy does not accept as a dimension.
  return value + 0;
}
