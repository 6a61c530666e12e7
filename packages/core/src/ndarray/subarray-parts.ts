/**
 * How sub-array types were made.
 *
 * @module
 */

import type { DType } from './dtype.ts';

/** How a sub-array type was made: from which item type, which may be a sub-array itself, and which shape. */
export const PARTS: unique symbol = Symbol('sub-array');

/** The value of {@link PARTS}. */
export interface SubarrayParts {
  readonly item: DType;
  readonly dims: readonly number[];
}

/** The parts of a sub-array type; undefined for other types. */
export const partsOf = (type: DType): SubarrayParts | undefined =>
  (type as unknown as { readonly [PARTS]?: SubarrayParts })[PARTS];

/** Whether a type is a sub-array of sub-arrays; its `shape` combines those of both. */
export const isSubarrayOfSubarrays = (type: DType): boolean => partsOf(type)?.item.shape !== undefined;
