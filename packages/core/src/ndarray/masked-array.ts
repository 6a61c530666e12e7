/**
 * numpy's masked array: data, and a mask that hides elements.
 *
 * @module
 */

import type { ArraySource } from './array-source.ts';
import type { DType } from './dtypes.ts';
import type { SliceSpec } from './indexing.ts';
import type { NDArray } from './nd-array.ts';
import { invalid, type Order } from './shapes.ts';

/** Options of a {@link MaskedArray}. */
export interface MaskedArrayOptions {
  /** What `filled()` puts in place of masked elements; null (default) lets numpy's default for the type apply. */
  readonly fillValue?: unknown;
}

/**
 * An array with a mask of equal shape: where the mask is true, the element counts as missing.
 *
 * @example
 * ```ts
 * import { MaskedArray, ndarray } from '@mmdpickle/core/ndarray';
 *
 * const m = new MaskedArray(ndarray(new Float64Array([1, 2, 3])), ndarray([false, true, false]));
 * m.get(1); // null
 * m.sum(); // 4
 * ```
 */
export class MaskedArray implements ArraySource {
  readonly arraySource = true as const;
  readonly data: NDArray;
  readonly mask: NDArray;
  readonly fillValue: unknown;

  constructor(data: NDArray, mask: NDArray, options: MaskedArrayOptions = {}) {
    if (mask.type.kind !== 'b') throw invalid('a mask must be of type bool', mask.dtype, 'bool');
    const same = mask.ndim === data.ndim && mask.shape.every((dim, axis) => dim === data.shape[axis]);
    if (!same) throw invalid('the mask must have the shape of the data', [...mask.shape], [...data.shape]);
    this.data = data;
    this.mask = mask;
    this.fillValue = options.fillValue ?? null;
  }

  get shape(): readonly number[] {
    return this.data.shape;
  }

  get dtype(): string {
    return this.data.dtype;
  }

  get type(): DType {
    return this.data.type;
  }

  get order(): Order {
    return this.data.order;
  }

  get ndim(): number {
    return this.data.ndim;
  }

  get size(): number {
    return this.data.size;
  }

  get writable(): boolean {
    return this.data.writable && this.mask.writable;
  }

  bytes(): Generator<Uint8Array> {
    return this.data.bytes();
  }

  get(...indices: number[]): unknown {
    return this.mask.get(...indices) === true ? null : this.data.get(...indices);
  }

  set(...args: [...indices: number[], value: unknown]): this {
    const indices = args.slice(0, -1) as number[];
    const value = args[args.length - 1];
    if (value === null) this.mask.set(...indices, true);
    else {
      this.data.set(...indices, value);
      this.mask.set(...indices, false);
    }
    return this;
  }

  slice(...specs: SliceSpec[]): MaskedArray {
    return new MaskedArray(this.data.slice(...specs), this.mask.slice(...specs), { fillValue: this.fillValue });
  }
}
