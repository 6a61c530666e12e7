/**
 * The one synchronous IO interface: everything the dict asks of a file.
 *
 * Three classes implement it: `NodeFile` (real files, `node/file.ts`),
 * {@link MemoryFile} (bytes in memory) and `CrashFile` (`testing/`, records,
 * drops, tears and fails). Offsets are absolute; lengths count bytes; every
 * method either does all it was asked or throws an {@link MmdError}.
 *
 * @module
 */

import type { ArrayMemory } from '../ndarray/array-memory.ts';

/** What tells whether a path still names the file that was opened. */
export interface FileIdentity {
  readonly dev: bigint;
  readonly ino: bigint;
}

/**
 * Whether two paths or descriptors stand for one file, by what `stat` with `bigint: true` says of them, or `StorageFile.identity`.
 *
 * @example
 * ```ts
 * import { isSameFile } from '@mmdpickle/core/storage';
 *
 * isSameFile({ dev: 1n, ino: 7n }, { dev: 1n, ino: 8n }); // false
 * ```
 */
export function isSameFile(a: FileIdentity, b: FileIdentity): boolean {
  return a.dev === b.dev && a.ino === b.ino;
}

/** How a mapping treats stores: refused in the API, kept in memory, or written through to the file. */
export type MapAccess = 'read' | 'copy-on-write' | 'write';

/** A sparse file's stretch that holds data; `end` is exclusive. */
export interface DataRange {
  readonly offset: number;
  readonly end: number;
}

/** A file open for positional IO. There is no shared cursor. */
export interface StorageFile extends Disposable {
  /** The path, or a label, for error messages. */
  readonly name: string;
  readonly writable: boolean;
  readonly closed: boolean;

  /** The current size in bytes. */
  size(): number;
  /** Which file this handle has open. */
  identity(): FileIdentity;
  /** Which file the path names now; `undefined` when it names none. */
  identityOfName(): FileIdentity | undefined;
  /** Whether no name leads to this file any more: what is written to it nobody else will ever read. */
  removed(): boolean;

  /**
   * Fills `into` from `offset`, retrying short counts.
   * @returns the bytes read: `into.length`, or fewer only at the end of the file
   */
  read(offset: number, into: Uint8Array): number;
  /**
   * Whether these few bytes stand at the end of a file that is appended to: without a system call where a mapping for
   * {@link StorageFile.storePair} lies over them, or once the same ones are asked for often. The caller knows that the file
   * was that long a moment ago.
   * @throws READ_ONLY, CLOSED
   */
  endsWith(offset: number, bytes: Uint8Array): boolean;
  /** Writes `bytes` (the first `length` of them) at `offset`, retrying short counts. `bytes` is borrowed for the call only. */
  write(offset: number, bytes: Uint8Array, length?: number): void;
  /** Writes the parts one behind the other, in one system call where the platform can (pwritev). */
  writeParts(offset: number, parts: readonly Uint8Array[]): void;
  /**
   * Stores 4 bytes (int32, little-endian) inside the file through a mapping: no system call, one
   * machine store, atomic where `offset` is a multiple of 4. Seen by every mapping and later read.
   * @throws INVALID_ARGUMENT when the bytes do not lie inside the file; READ_ONLY; CLOSED
   */
  storeI32(offset: number, value: number): void;
  /** Like {@link StorageFile.storeI32} with 8 bytes (int64, little-endian). */
  storeI64(offset: number, value: bigint): void;
  /**
   * Stores 4 bytes at `offset` (int32, little-endian), in any order, and then 2 bytes at `halfOffset` (int16) in one machine store,
   * without a system call. Both lie on one page, which the caller wrote to: unlike {@link StorageFile.storeI32} this serves
   * the end of a growing file.
   * @returns false, and nothing is stored, where the two bytes cross a multiple of 4: there no store is sure to be one
   * @throws INVALID_ARGUMENT when the bytes do not lie inside the file; READ_ONLY; CLOSED
   */
  storePair(offset: number, word: number, halfOffset: number, half: number): boolean;
  /** Loads what {@link StorageFile.storeI32} stores; through the mapping, without a system call, once it is asked for often. */
  loadI32(offset: number): number;
  /** Loads what {@link StorageFile.storeI64} stores. */
  loadI64(offset: number): bigint;
  /** Sets the file's size. Never used to cut off what another process may have mapped. */
  truncate(size: number): void;
  /** fdatasync: returns when written data is on the disk. A failure poisons the handle (semantics 40). */
  sync(): void;

  /**
   * Reserves disk so that later writes and page faults cannot meet a full disk.
   * `keepSize` leaves the file size alone. NO_SPACE when the disk cannot hold it.
   */
  allocate(offset: number, length: number, options?: { readonly keepSize?: boolean }): void;
  /** Gives disk blocks back; the range reads as zeros. Returns false where the filesystem cannot. */
  punchHole(offset: number, length: number): boolean;
  /** The stretches of `[offset, end)` that hold data, in order (SEEK_DATA, SEEK_HOLE); one stretch where the filesystem cannot tell. */
  dataRanges(offset: number, end: number): DataRange[];
  /**
   * Copies `length` bytes from another file. Real files share blocks where the filesystem can and both places agree within
   * a block; holes stay holes.
   * @param buffer - to copy through where there is no other way, for callers that copy often; 2 MiB are fastest
   */
  copyFrom(source: StorageFile, sourceOffset: number, offset: number, length: number, buffer?: Uint8Array): void;

  /**
   * A borrowed view of a stretch of the file that follows later writes.
   * May reach past the end of the file: what lies there reads as zero, and stores there are lost, until the stretch is asked
   * for again after the file has grown.
   * Views stay safe to touch after `close()` (they read as zeros then).
   */
  map(offset: number, length: number, access: MapAccess): ArrayMemory;

  /**
   * Takes the exclusive advisory lock (flock LOCK_EX), re-entrant in this handle.
   * @param timeoutMs - how long to wait; 0 tries once; LOCKED when it runs out
   */
  lock(timeoutMs: number): void;
  /** Like `lock(0)`, but says false instead of LOCKED; also where others of this handle wait for the lock. */
  tryLock(): boolean;
  /**
   * Like {@link StorageFile.lock}, waiting without blocking the event loop.
   * @param meanwhile - may be called while others hold the lock: for what can be made ready without it; true where it
   *   has more to do, so that it is called again soon
   * @param work - called as soon as the lock is had, and not while this handle has it for something else; it unlocks. Between the
   *   two nobody's code runs that could wait for the lock. What it throws is the rejection.
   */
  lockAsync(timeoutMs: number, signal?: AbortSignal, meanwhile?: () => boolean, work?: () => void): Promise<void>;
  unlock(): void;

  /**
   * Opens another file of the same kind of storage, beside this one. A new one gets this one's permissions, and its owner
   * where the system allows it.
   */
  open(name: string, mode: 'r' | 'r+' | 'create-new'): StorageFile;
  /** Renames the file this handle has open over `name`, atomically, and makes the rename durable. */
  renameOver(name: string): void;
  /** Removes a name of this kind of storage; no error when it is not there. */
  remove(name: string): void;
  close(): void;
}
