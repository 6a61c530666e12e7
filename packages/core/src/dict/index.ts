/** The dict over any storage. @module */

export { DictLookup } from './dict-lookup.ts';
export { DictReader, type DictReaderOptions } from './dict-reader.ts';
export type { EntryInfo } from './entry-info.ts';
export type { FsckOptions, FsckResult } from './fsck.ts';
export { GrowableArray, type GrowableSource, type RowsLike } from './growable-array.ts';
export { GrowableMaskedArray, type GrowableMaskedSource } from './growable-masked-array.ts';
export { type EntryMeta, type Holds, MmapDict } from './mmap-dict.ts';
export type { DictMode, DictOptions, SetOptions } from './options.ts';
export type { UnreadableRange } from './rescue-source.ts';
export type { SalvageResult } from './salvage.ts';
export type { VerifyResult } from './seal.ts';
export type { Repair } from './store.ts';
export type { ProgressOptions, VacuumOptions } from './vacuum.ts';
