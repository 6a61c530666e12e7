/**
 * How sub-array types were made.
 *
 * @module
 */

import type { DType } from './dtype.ts';

/** How a sub-array type was made: of which type, which may be a sub-array itself, and of which shape. */
export const PARTS: unique symbol = Symbol('sub-array');

/** What stands behind {@link PARTS}. */
export interface SubarrayParts {
  readonly item: DType;
  readonly dims: readonly number[];
}

/** The parts of a sub-array type; undefined of other types. */
export const partsOf = (type: DType): SubarrayParts | undefined =>
  (type as unknown as { readonly [PARTS]?: SubarrayParts })[PARTS];

/** Tells a sub-array whose items are sub-arrays; its `shape` is that of both. */
export const isSubarrayOfSubarrays = (type: DType): boolean => partsOf(type)?.item.shape !== undefined;
