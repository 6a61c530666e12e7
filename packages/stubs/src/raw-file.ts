import { type DTypeLike, type FileRange, MmdError } from '@mmdpickle/core';
import { checkOptions, isAnything, type OptionTable } from '@mmdpickle/core/options';
import { ArrayStub, checkCount, STUB_OPTIONS, type StubOptions } from './array-stub.ts';

/** Position, shape and dtype of the array in the other file. */
export interface RawFileOptions extends StubOptions {
  readonly shape: readonly number[];
  /** Default `'float64'`. */
  readonly dtype?: DTypeLike;
  /** Byte offset of the first element in the file. Default 0. */
  readonly offset?: number;
}

const RAW_FILE_OPTIONS: OptionTable = { ...STUB_OPTIONS, shape: isAnything, dtype: isAnything, offset: isAnything };

/**
 * An array whose bytes are in another file; they are copied from file to file (sharing blocks where the filesystem
 * can), not through memory. If the file is missing or too short, setting the array throws.
 *
 * @example
 * ```ts
 * import { writeFileSync } from 'node:fs';
 * import { MmapDict } from '@mmdpickle/core/node';
 * import { RawFileNDArray } from '@mmdpickle/stubs';
 *
 * writeFileSync('camera.raw', new Uint8Array(8 + 2 * 6)); // an 8-byte header, then 2 x 3 uint16
 * using dict = MmapDict.open('imported.mmdpickle');
 * dict.set('image', new RawFileNDArray('camera.raw', { offset: 8, shape: [2, 3], dtype: 'uint16' }));
 * ```
 */
export class RawFileNDArray extends ArrayStub {
  readonly file: FileRange;

  /** @throws MmdError INVALID_ARGUMENT, UNSUPPORTED_DTYPE */
  constructor(path: string, options: RawFileOptions) {
    checkOptions(options, RAW_FILE_OPTIONS);
    const { shape, dtype = 'float64', offset: first = 0, ...own } = options;
    super(shape, dtype, own);
    if (typeof path !== 'string' || path === '' || path.includes('\0')) {
      throw new MmdError('INVALID_ARGUMENT', 'a raw file array needs the path of a file', { found: path });
    }
    const offset = checkCount(first, 'a byte offset');
    checkCount(offset + this.nbytes, 'the end of the array in the file');
    this.file = Object.freeze({ path, offset, length: this.nbytes });
  }
}
