/**
 * Arrays to which rows are appended: capacity is reserved, and the shape gives the committed rows.
 *
 * @module
 */

import type { DTypeLike } from '@mmdpickle/core';
import { checkOptions, isAnything, type OptionTable } from '@mmdpickle/core/options';
import { ArrayStub, checkShape, isRows, ROW_STUB_OPTIONS, type StubOptions, storableDType } from './array-stub.ts';

/** Bytes of rows to make room for if no capacity is given. */
const DEFAULT_CAPACITY_BYTES = 1 << 20;

/** Options of the growable stubs. */
export interface GrowableOptions extends Omit<StubOptions, 'order'> {
  /** The number of rows to make room for initially; it grows as rows are appended. Default: about 1 MiB of rows. */
  readonly capacity?: number;
}

const GROWABLE_OPTIONS: OptionTable = { ...ROW_STUB_OPTIONS, capacity: isRows };
const GROWABLE_MASKED_OPTIONS: OptionTable = { ...GROWABLE_OPTIONS, fillValue: isAnything };

/**
 * A growable array without rows. Reading it back from the dict returns an array with `append`.
 *
 * @example
 * ```ts
 * import { MmapDict } from '@mmdpickle/core/node';
 * import { GrowableNDArray } from '@mmdpickle/stubs';
 *
 * using dict = MmapDict.open('growing.mmdpickle');
 * dict.set('temperature', new GrowableNDArray([4], 'float32', { capacity: 1000 }));
 * ```
 */
export class GrowableNDArray extends ArrayStub {
  readonly rowShape: readonly number[];
  readonly capacity: number;

  /**
   * @param rowShape - the shape of one row; `[]` for a column of scalars
   * @param dtype - default `'float64'`
   * @throws MmdError INVALID_ARGUMENT (also if the capacity takes more than 2^53 - 2^24 bytes), UNSUPPORTED_DTYPE
   */
  constructor(rowShape: readonly number[], dtype: DTypeLike = 'float64', options: GrowableOptions = {}) {
    checkOptions(options, GROWABLE_OPTIONS);
    const { itemsize } = storableDType(dtype);
    const row = checkShape(rowShape, itemsize);
    const capacity = options.capacity ?? defaultCapacity(row, itemsize);
    checkShape([capacity, ...row], itemsize);
    super([0, ...row], dtype, { reserve: options.reserve ?? false });
    this.rowShape = row;
    this.capacity = capacity;
  }
}

/** Options of {@link GrowableMaskedArray}. */
export interface GrowableMaskedOptions extends GrowableOptions {
  /** The value that `filled()` puts in place of masked elements; null (default) lets numpy choose. */
  readonly fillValue?: unknown;
}

/** A growable masked array without rows: one 8-byte write commits rows and their mask together. */
export class GrowableMaskedArray extends GrowableNDArray {
  readonly mask: GrowableNDArray;
  readonly fillValue: unknown;

  /** @throws MmdError INVALID_ARGUMENT, UNSUPPORTED_DTYPE; a fill value that the dtype cannot hold is reported when the array is set */
  constructor(rowShape: readonly number[], dtype: DTypeLike = 'float64', options: GrowableMaskedOptions = {}) {
    checkOptions(options, GROWABLE_MASKED_OPTIONS);
    const { fillValue = null, ...own } = options;
    super(rowShape, dtype, own);
    checkShape([this.capacity, ...this.rowShape], this.type.itemsize + 1);
    this.mask = new GrowableNDArray(rowShape, 'bool', { capacity: this.capacity, reserve: this.reserve });
    this.fillValue = fillValue;
  }
}

function defaultCapacity(rowShape: readonly number[], itemsize: number): number {
  const rowBytes = rowShape.reduce((product, dim) => product * dim, itemsize);
  return Math.max(1, Math.floor(DEFAULT_CAPACITY_BYTES / Math.max(1, rowBytes)));
}
