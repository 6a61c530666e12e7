/**
 * What is refused of types, and how large one from a file may be.
 *
 * @module
 */

import { MmdError } from '../errors.ts';

/** What {@link DTYPE_LIMITS} limits. */
export interface DTypeLimits {
  /** Characters of the text of a structured type. */
  readonly maxTextLength: number;
  /** Types within types. */
  readonly maxDepth: number;
  /** Fields of a type, nested ones included. */
  readonly maxFields: number;
  /** Bytes of one element. */
  readonly maxItemsize: number;
  /** Dimensions of a sub-array field. */
  readonly maxSubarrayDims: number;
}

/** Budgets for types from files. numpy itself ends an element at 2^31 - 1 bytes and a shape at 32 dimensions. */
export const DTYPE_LIMITS: DTypeLimits = {
  maxTextLength: 1_000_000,
  maxDepth: 32,
  maxFields: 16_384,
  maxItemsize: 2 ** 31 - 1,
  maxSubarrayDims: 32,
};

/** Of what numpy has no type for. */
export const unsupported = (message: string, found: unknown): MmdError =>
  new MmdError('UNSUPPORTED_DTYPE', `dtype: ${message}`, { found });

/** Of a type that is larger than {@link DTYPE_LIMITS} allow. */
export const overLimit = (limit: keyof DTypeLimits, found: number): MmdError =>
  new MmdError('LIMIT_EXCEEDED', `dtype: ${limit} is ${DTYPE_LIMITS[limit]}, found ${found}`, {
    limit,
    maximum: DTYPE_LIMITS[limit],
    found,
  });

/** A number of bytes or elements that a description says. @throws UNSUPPORTED_DTYPE, LIMIT_EXCEEDED */
export function count(value: unknown, what: string): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) {
    throw unsupported(`${what} must be a non-negative integer`, value);
  }
  if (value > DTYPE_LIMITS.maxItemsize) throw overLimit('maxItemsize', value);
  // -0 would be pickled as a float, which is no dimension to numpy.
  return value + 0;
}
