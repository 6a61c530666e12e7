/**
 * The one synchronous IO interface: everything the dict needs from a file.
 *
 * Three classes implement it: `NodeFile` (real files, `node/file.ts`),
 * {@link MemoryFile} (bytes in memory) and `CrashFile` (`testing/`: records
 * changes, to compute every state after a crash). Offsets are absolute; lengths are in bytes;
 * every method either completes in full or throws an {@link MmdError}.
 *
 * @module
 */

import type { ArrayMemory } from '../ndarray/array-memory.ts';

/** Identifies a file: shows whether a path still names the file that was opened. */
export interface FileIdentity {
  readonly dev: bigint;
  readonly ino: bigint;
}

/**
 * Whether two paths or descriptors refer to the same file, given their `stat` with `bigint: true` or their `StorageFile.identity`.
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

/** What a mapping does with stores: refuses them in the API, keeps them in memory, or writes them through to the file. */
export type MapAccess = 'read' | 'copy-on-write' | 'write';

/** A range of a sparse file that holds data; `end` is exclusive. */
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
  /** The file that this handle has open. */
  identity(): FileIdentity;
  /** The file that the path names now; `undefined` when it names none. */
  identityOfName(): FileIdentity | undefined;
  /** Whether the file has been unlinked: no name is left, so nobody will be able to open it and read what is written to it. */
  removed(): boolean;

  /**
   * Fills `into` from `offset`, retrying short counts.
   * @returns the number of bytes read: `into.length`, or fewer only at the end of the file
   */
  read(offset: number, into: Uint8Array): number;
  /**
   * Whether a file that is being appended to has these few bytes at `offset`, at its end. Takes no system call where the mapping for
   * {@link StorageFile.storePair} covers them, or once the same offset was asked for often. The caller knows that the file
   * was that long a moment ago.
   * @throws READ_ONLY, CLOSED
   */
  endsWith(offset: number, bytes: Uint8Array): boolean;
  /** Writes `bytes` (the first `length` of them) at `offset`, retrying short counts. `bytes` is borrowed for the call only. */
  write(offset: number, bytes: Uint8Array, length?: number): void;
  /** Writes the parts one after another, in one system call where the platform has it (pwritev). */
  writeParts(offset: number, parts: readonly Uint8Array[]): void;
  /**
   * Stores 4 bytes (int32, little-endian) inside the file through a mapping: no system call, one
   * machine store, atomic where `offset` is a multiple of 4. Visible to every mapping and later read.
   * @throws INVALID_ARGUMENT when the bytes do not lie inside the file; READ_ONLY; CLOSED
   */
  storeI32(offset: number, value: number): void;
  /** Like {@link StorageFile.storeI32} with 8 bytes (int64, little-endian). */
  storeI64(offset: number, value: bigint): void;
  /**
   * Stores 4 bytes at `offset` (int32, little-endian), in any order, and then 2 bytes at `halfOffset` (int16) in one machine store,
   * without a system call. Both lie on one page, which the caller has written to: unlike {@link StorageFile.storeI32} this is for
   * the end of a growing file.
   * @returns false, with nothing stored, where the two bytes cross a multiple of 4: such a store is not certain to be atomic
   * @throws INVALID_ARGUMENT when the bytes do not lie inside the file; READ_ONLY; CLOSED
   */
  storePair(offset: number, word: number, halfOffset: number, half: number): boolean;
  /** Loads what {@link StorageFile.storeI32} stores; after a number of calls through the mapping, without a system call. */
  loadI32(offset: number): number;
  /** Loads what {@link StorageFile.storeI64} stores. */
  loadI64(offset: number): bigint;
  /** Sets the file's size. Never used to cut off bytes that another process may have mapped. */
  truncate(size: number): void;
  /** fdatasync: returns once written data is on disk. A failure poisons the handle (semantics 40). */
  sync(): void;

  /**
   * Reserves disk space so that later writes and page faults cannot run out of it.
   * `keepSize` leaves the file size unchanged. NO_SPACE when the disk has too little.
   */
  allocate(offset: number, length: number, options?: { readonly keepSize?: boolean }): void;
  /** Frees disk blocks; the range then reads as zeros. Returns false where the filesystem does not support it. */
  punchHole(offset: number, length: number): boolean;
  /** The ranges of `[offset, end)` that hold data, in order (SEEK_DATA, SEEK_HOLE); a single range where the filesystem cannot tell. */
  dataRanges(offset: number, end: number): DataRange[];
  /**
   * Copies `length` bytes from another file. Real files share blocks (reflink) where the filesystem supports it and both offsets are
   * equal modulo the block size; holes stay holes.
   * @param buffer - to copy through where there is no other way, for callers that copy often; 2 MiB is fastest
   */
  copyFrom(source: StorageFile, sourceOffset: number, offset: number, length: number, buffer?: Uint8Array): void;

  /**
   * A borrowed view of a range of the file, in which later writes are visible.
   * It may reach past the end of the file: there it reads as zeros and stores are lost until the range is requested
   * again after the file has grown.
   * Views stay safe to access after `close()` (they read as zeros then).
   */
  map(offset: number, length: number, access: MapAccess): ArrayMemory;

  /**
   * Takes the exclusive advisory lock (flock LOCK_EX), re-entrant in this handle.
   * @param timeoutMs - how long to wait; 0 tries once; LOCKED when it expires
   */
  lock(timeoutMs: number): void;
  /** Like `lock(0)`, but returns false instead of throwing LOCKED; also false while earlier callers on this handle wait for the lock. */
  tryLock(): boolean;
  /**
   * Like {@link StorageFile.lock}, but waits without blocking the event loop.
   * @param meanwhile - may be called while others hold the lock, to prepare what can be prepared without it; returns true if it
   *   has more to do and should be called again soon
   * @param work - called as soon as the lock is acquired, and not while this handle holds it for something else; it must unlock.
   *   No other code that could wait for the lock runs in between. What it throws becomes the rejection.
   */
  lockAsync(timeoutMs: number, signal?: AbortSignal, meanwhile?: () => boolean, work?: () => void): Promise<void>;
  unlock(): void;

  /**
   * Opens another file in the same kind of storage. A new file gets the permissions of this one, and its owner
   * where the system allows it.
   */
  open(name: string, mode: 'r' | 'r+' | 'create-new'): StorageFile;
  /** Atomically renames the file this handle has open to `name`, replacing it, and makes the rename durable. */
  renameOver(name: string): void;
  /** Removes a name from this kind of storage; no error if it does not exist. */
  remove(name: string): void;
  close(): void;
}
