/** The dict over any storage. @module */

export { GrowableArray, type RowsLike } from './growable-array.ts';
export { GrowableMaskedArray } from './growable-masked-array.ts';
export { type EntryInfo, type EntryMeta, MmapDict } from './mmap-dict.ts';
export type { DictMode, DictOptions } from './options.ts';
