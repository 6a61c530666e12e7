/**
 * Storage: files in memory, read-only byte sources, and the interfaces that real files implement too.
 *
 * @module
 */

export { blobSource } from './blob-source.ts';
export type { ByteSource } from './byte-source.ts';
export { bytesSource } from './bytes-source.ts';
export { type HttpSourceOptions, httpSource } from './http-source.ts';
export { MemoryDisk, type MemoryDiskOptions, MemoryFile } from './memory-file.ts';
export { type DataRange, type FileIdentity, isSameFile, type MapAccess, type StorageFile } from './storage-file.ts';
