/**
 * The dict in a real file: `MmapDict.open(path)`, and the node room's files, leases and errors.
 *
 * @module
 */

import { MmapDict as BaseDict } from './dict/mmap-dict.ts';
import type { DictOptions } from './dict/options.ts';
import { NodeFile } from './node/file.ts';

export { GrowableArray, type RowsLike } from './dict/growable-array.ts';
export { GrowableMaskedArray } from './dict/growable-masked-array.ts';
export type { EntryInfo, EntryMeta } from './dict/mmap-dict.ts';
export type { DictMode, DictOptions } from './dict/options.ts';
export * from './node/index.ts';

/** Options of {@link MmapDict.open}; the mode defaults to `'a'`. */
export type OpenOptions = DictOptions;

const FILE_MODES = { r: 'r', c: 'r', 'r+': 'r+', a: 'a', 'w-': 'create-new' } as const;

/**
 * A dict in a file of the operating system, memory-mapped.
 *
 * @example
 * ```ts
 * import { MmapDict } from '@mmdpickle/core/node';
 *
 * using dict = MmapDict.open('run.mmdpickle');
 * dict.set('operator', 'night shift').set('gain', 2.5);
 * dict.get('gain'); // 2.5
 * ```
 */
export class MmapDict extends BaseDict {
  /**
   * Opens or creates a file.
   *
   * @param path - a path or file URL
   * @param options - see {@link OpenOptions}
   * @throws NOT_FOUND, ALREADY_EXISTS, READ_ONLY, NOT_A_PICKLE, NOT_MMDPICKLE, TRUNCATED, CORRUPT, IO
   */
  static open(path: string | URL, options: OpenOptions = {}): MmapDict {
    const mode = options.mode ?? 'a';
    const file = NodeFile.open(path, FILE_MODES[mode]);
    try {
      return new MmapDict(file, { ...options, mode });
    } catch (error) {
      file.close();
      throw error;
    }
  }
}
