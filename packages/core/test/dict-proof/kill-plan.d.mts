/** The target that a step is applied to. */
export interface Target {
  set(key: string, value: unknown): void;
  delete(key: string): void;
  batch(change: () => void): void;
  rows(): number;
  append(count: number): void;
  vacuum(): void;
  reclaim(): void;
  reopen(): void;
}
export function apply(step: number, target: Target): void;
export function rowsFrom(first: number, count: number): Float64Array;
export const emptyRows: {
  readonly arraySource: true;
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly capacity: number;
};
/** Number of keys that nobody changes. */
export const STILL: number;
