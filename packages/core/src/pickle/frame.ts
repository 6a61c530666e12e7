/**
 * The containers that are being written.
 *
 * @module
 */

/** What a frame writes. */
export const LIST = 0;
export const DICT = 1;
export const SET = 2;
export const TUPLE = 3;
export const STEPS = 4;

/** A container that is being written. Kept and used again. */
export interface Frame {
  kind: number;
  /** What to write: items, keys and values in turn, or steps. Borrowed. */
  items: readonly unknown[];
  /** Owned by the frame: where entries are laid out that do not stand in an array. */
  readonly scratch: unknown[];
  index: number;
  batchStart: number;
  batchEnd: number;
  end: number;
  value: object | null;
}
