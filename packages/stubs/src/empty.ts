/**
 * Arrays that are allocated on disk in constant time, regardless of size.
 *
 * @module
 */

import type { DTypeLike } from '@mmdpickle/core';
import { checkOptions, isAnything, isFlag, type OptionTable } from '@mmdpickle/core/options';
import { ArrayStub, checkShape, STUB_OPTIONS, type StubOptions } from './array-stub.ts';
import { FullNDArray } from './full.ts';

/**
 * An array without content: it reads as zeros and takes no disk space until it is written (`{ reserve: true }` takes it at once).
 *
 * @example
 * ```ts
 * import { MmapDict } from '@mmdpickle/core/node';
 * import { EmptyNDArray } from '@mmdpickle/stubs';
 *
 * using dict = MmapDict.open('run.mmdpickle');
 * dict.set('cube', new EmptyNDArray([300, 300, 300])); // allocates 216 MB of float64, none of it in memory
 * ```
 */
export class EmptyNDArray extends ArrayStub {
  /**
   * @param shape - whole numbers from 0 on; `[]` is a 0-d array
   * @param dtype - default `'float64'`, as in Python
   * @throws MmdError INVALID_ARGUMENT, UNSUPPORTED_DTYPE
   */
  constructor(shape: readonly number[], dtype: DTypeLike = 'float64', options: StubOptions = {}) {
    super(shape, dtype, options);
  }
}

/** An array of zeros. The same as {@link EmptyNDArray}, but the zeros are part of its contract. */
export class ZerosNDArray extends EmptyNDArray {}

/** Options of {@link EmptyMaskedArray}. */
export interface MaskedStubOptions extends StubOptions {
  /** The value that `filled()` puts in place of masked elements; null (default) lets numpy choose. */
  readonly fillValue?: unknown;
  /** Whether all elements start masked. Default false. */
  readonly masked?: boolean;
}

const MASKED_STUB_OPTIONS: OptionTable = { ...STUB_OPTIONS, fillValue: isAnything, masked: isFlag };

/**
 * A masked array without content, its mask all false or all true.
 *
 * @example
 * ```ts
 * import { MmapDict } from '@mmdpickle/core/node';
 * import { EmptyMaskedArray } from '@mmdpickle/stubs';
 *
 * using dict = MmapDict.open('masked.mmdpickle');
 * dict.set('spectra', new EmptyMaskedArray([100, 2048], 'float32', { fillValue: -1, masked: true }));
 * ```
 */
export class EmptyMaskedArray extends EmptyNDArray {
  readonly mask: ArrayStub;
  readonly fillValue: unknown;

  /** @throws MmdError INVALID_ARGUMENT, UNSUPPORTED_DTYPE; a fill value that the dtype cannot hold is reported when the array is set */
  constructor(shape: readonly number[], dtype: DTypeLike = 'float64', options: MaskedStubOptions = {}) {
    checkOptions(options, MASKED_STUB_OPTIONS);
    const { masked = false, fillValue = null, ...own } = options;
    super(shape, dtype, own);
    checkShape(this.shape, this.type.itemsize + 1);
    this.mask = masked ? new FullNDArray(shape, true, 'bool', own) : new EmptyNDArray(shape, 'bool', own);
    this.fillValue = fillValue;
  }
}
