/**
 * The dict: one file that maps keys to values, readable by stock Python at every moment.
 *
 * @module
 */

import { MmdError } from '../errors.ts';
import type { ValueMeta } from '../format/codecs.ts';
import { checkOptions, wrongArgument } from '../options.ts';
import { type FileIdentity, isSameFile, type StorageFile } from '../storage/storage-file.ts';
import { atOnce, batchLater, batchLocked } from './batch-later.ts';
import { DictCore } from './core.ts';
import { type EntryInfo, entryInfos } from './entry-info.ts';
import { type FsckOptions, type FsckResult, fsck } from './fsck.ts';
import type { GrowableArray, GrowableSource } from './growable-array.ts';
import type { GrowableMaskedArray, GrowableMaskedSource } from './growable-masked-array.ts';
import { writeIndex } from './index-writer.ts';
import {
  BATCH_ASYNC_OPTIONS,
  BATCH_OPTIONS,
  type DictMode,
  type DictOptions,
  FSCK_OPTIONS,
  PROGRESS_OPTIONS,
  SEAL_OPTIONS,
  SET_OPTIONS,
  type SetOptions,
  VACUUM_OPTIONS,
} from './options.ts';
import { rawValue } from './raw-value.ts';
import { reclaim } from './reclaim.ts';
import { type SalvageResult, salvage } from './salvage.ts';
import { seal, type VerifyResult, verify } from './seal.ts';
import { respell } from './spelling.ts';
import type { Repair } from './store.ts';
import { copyEntries, type ProgressOptions, type VacuumOptions, vacuum } from './vacuum.ts';
import { vacuumInPlace } from './vacuum-in-place.ts';

/** What {@link MmapDict.getMeta} returns. */
export interface EntryMeta extends ValueMeta {
  readonly key: string;
  /** File offset of the entry. */
  readonly entryOffset: number;
  /** File offset of the value; for arrays, of their data. */
  readonly offset: number;
  /** Bytes of the value, opcodes included. */
  readonly length: number;
}

/** A dict whose type says what is stored under a key. */
export interface Holds<K extends string, V> {
  get(key: K): V;
}

/**
 * A dict in a file. This class works on any {@link StorageFile}; `@mmdpickle/core/node` adds `MmapDict.open(path)`.
 *
 * Every change is one commit: after a crash the file holds the old or the new state, and stock Python loads it. Reads take no lock and see
 * other writers' commits.
 *
 * The errors listed here can come from every method, in addition to those that it lists itself.
 *
 * @throws CLOSED once it is closed; BAD_KEY for a key that is not a string; INVALID_ARGUMENT for arguments and options that make no
 * sense, and for operations that are not allowed inside a batch; CORRUPT if the data read is damaged; IO.
 * Changes: READ_ONLY; LOCKED after `lockTimeout`; NOT_FOUND if the file was removed; NO_SPACE. The file is then as it was.
 * Storing values: KEY_TOO_LONG, UNSUPPORTED_VALUE, UNSUPPORTED_DTYPE.
 *
 * @example
 * ```ts
 * import { MmapDict } from '@mmdpickle/core';
 * import { MemoryFile } from '@mmdpickle/core/storage';
 *
 * using dict = MmapDict.over(MemoryFile.of());
 * dict.set('gain', 2.5).get('gain'); // 2.5
 * ```
 */
export class MmapDict implements Iterable<[string, unknown]>, Disposable {
  /** @internal The implementation, for this package's own functions. */
  readonly core: DictCore;

  /** @internal Use {@link MmapDict.over}. */
  protected constructor(file: StorageFile, options: DictOptions = {}, openedAt?: number) {
    this.core = new DictCore(file, options, openedAt);
  }

  /**
   * Opens the dict in a file. An empty writable file becomes an empty dict.
   *
   * @param file - owned by the dict from now on, and closed with it
   * @throws NOT_A_PICKLE, NOT_MMDPICKLE, TRUNCATED, CORRUPT; ALREADY_EXISTS for mode `'w-'` and a file that is not empty
   */
  static over(file: StorageFile, options?: DictOptions): MmapDict {
    return new MmapDict(file, options);
  }

  get mode(): DictMode {
    return this.core.mode;
  }

  /** The file's name. */
  get name(): string {
    return this.core.name;
  }

  /** The file's path. */
  get path(): string {
    return this.core.name;
  }

  get writable(): boolean {
    return this.core.writable;
  }

  get closed(): boolean {
    return this.core.closed;
  }

  /** Raised by every commit of any writer; wraps to 0 after 2^31-1. */
  get commitNumber(): number {
    this.refresh();
    return this.core.store.commitNumber;
  }

  /** The number of keys that {@link MmapDict.keys} lists. */
  get size(): number {
    this.core.settled();
    const damaged = this.core.damagedKeys().length;
    return this.core.store.entries.catalog.size + damaged;
  }

  /** The identity of the file that this handle has open. */
  get identity(): FileIdentity {
    return this.core.store.file.identity();
  }

  /** The file's size in bytes. */
  get fileSize(): number {
    return this.core.store.file.size();
  }

  /** File offset where the next entry will go. */
  get tailOffset(): number {
    this.refresh();
    return this.core.store.end;
  }

  /** What this handle repaired after a killed writer. */
  get repairs(): readonly Repair[] {
    return this.core.store.repairs;
  }

  /** Takes in other writers' commits, as every read does. Returns true if there were any. */
  refresh(): boolean {
    return this.core.refresh();
  }

  has(key: string): boolean {
    return this.core.find(key) !== undefined;
  }

  /**
   * The value of a key, or `undefined`. Arrays are NDArray, MaskedArray or GrowableArray over the mapping; their bytes
   * are not read. Everything else is a copy.
   */
  get(key: string): unknown {
    return this.core.get(key);
  }

  /** The type, shape and place of a value, without reading its data; `undefined` if the key is missing. */
  getMeta(key: string): EntryMeta | undefined {
    return this.core.consistent(key, (view) => {
      const [, meta] = this.core.describe(view);
      const { offset, length, place } = view;
      // Not a spread: Object.assign onto a literal of fixed shape takes 4.4 us instead of 7.7.
      return Object.assign({ key, entryOffset: place.offset, offset: meta.dataOffset ?? offset, length }, meta);
    });
  }

  /**
   * Stores a value and commits.
   *
   * @param key - any string of at most 255 bytes in UTF-8, except the three that the format reserves for tail entries
   * @param value - anything that can be pickled, typed arrays, and everything that implements ArraySource
   * @param options - the array layout, if not the dict's
   * @throws BAD_KEY also for those three; KEY_TOO_LONG, UNSUPPORTED_VALUE, UNSUPPORTED_DTYPE, READ_ONLY, LOCKED, NOT_FOUND, NO_SPACE, IO:
   * the file is then unchanged
   */
  set<K extends string, S extends GrowableSource>(
    key: K,
    value: S,
    options?: SetOptions,
  ): Holds<K, GrowableArray> & this;
  set<K extends string, S extends GrowableMaskedSource>(
    key: K,
    value: S,
    options?: SetOptions,
  ): Holds<K, GrowableMaskedArray> & this;
  set(key: string, value: unknown, options?: SetOptions): this;
  set(key: string, value: unknown, options?: SetOptions): this {
    if (options !== undefined) checkOptions(options, SET_OPTIONS);
    this.core.set(key, value, options?.layout);
    return this;
  }

  /** Deletes a key and commits. Returns false if it was missing. */
  delete(key: string): boolean {
    const { core } = this;
    return core.transact(() => core.find(key) !== undefined && core.writer.delete(key));
  }

  /** Deletes all keys, in one commit. */
  clear(): this {
    const { core } = this;
    core.transact(() => {
      core.settled();
      core.checkNoKeyDamaged();
      core.writer.clear();
    });
    return this;
  }

  /**
   * Deletes a key and returns its value, or `fallback` if it is missing. An array keeps its bytes until a reclaim or an in-place vacuum.
   */
  pop<T = undefined>(key: string, fallback?: T): unknown {
    return this.batch(() => {
      const value = this.get(key);
      return this.delete(key) ? value : fallback;
    });
  }

  /** The value of a key; if the key is missing, `value` is stored first. */
  setDefault(key: string, value: unknown): unknown {
    return this.batch(() => {
      if (!this.has(key)) this.set(key, value);
      return this.get(key);
    });
  }

  /** Stores many keys, in one commit. */
  update(items: Iterable<readonly [string, unknown]> | { readonly [key: string]: unknown }): this {
    return this.batch(() => {
      const pairs = pairsOf(items);
      for (const pair of pairs) {
        if (!Array.isArray(pair))
          throw new MmdError('INVALID_ARGUMENT', 'update takes [key, value] pairs', { found: pair });
        this.set(pair[0], pair[1]);
      }
      return this;
    });
  }

  /**
   * Runs changes as one commit: all of them or, if `change` throws, none. The lock is held meanwhile. Reads inside see the changes;
   * growable arrays show new rows after the commit.
   *
   * @param options - `lockTimeout` in milliseconds, if not the dict's; 0 tries once
   * @throws what `change` throws; INVALID_ARGUMENT if it returns a promise
   */
  batch<T>(change: () => T, options?: { readonly lockTimeout?: number }): T {
    if (options !== undefined) checkOptions(options, BATCH_OPTIONS);
    checkFunction(change, 'batch');
    return this.core.transact(() => atOnce(change()), options?.lockTimeout);
  }

  /**
   * Like {@link MmapDict.batch}, but waits for the lock without blocking the event loop. If nobody holds it, `change` runs before this
   * returns; waiting calls run in order, each as a commit of its own.
   *
   * @param options - `signal` ends the wait, and its reason is thrown; `lockTimeout` in milliseconds, if not the dict's
   * @throws LOCKED, CLOSED if the dict was closed meanwhile, and what `change` throws
   */
  batchAsync<T>(
    change: () => T,
    options: { readonly signal?: AbortSignal; readonly lockTimeout?: number } = {},
  ): Promise<T> {
    // Not an async function: if there is nothing to wait for, that would cause half of the garbage of a small put.
    try {
      const { core } = this;
      core.changing();
      checkOptions(options, BATCH_ASYNC_OPTIONS);
      checkFunction(change, 'batchAsync');
      options.signal?.throwIfAborted();
      // Called inside a batch, this is still a commit of its own, after that batch.
      if (core.writer.active || !core.store.file.tryLock()) return batchLater(core, change, options);
      const done = batchLocked(core, change, core.store.file);
      return done === undefined ? batchLater(core, change, options) : Promise.resolve(done.result);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /**
   * All keys, in Python's order, read as the iterator advances: the first of many costs no more. A key that others add or delete meanwhile
   * may or may not be included; one that they replace is. Keys whose entries are damaged come last, unless the dict was opened leniently:
   * asking for one of them is CORRUPT.
   */
  *keys(): IterableIterator<string> {
    const { core } = this;
    core.settled();
    const damaged = core.damagedKeys();
    for (const key of core.store.entries.catalog.keys()) {
      core.alive();
      // After a batch that threw, the store still knows the entries as that batch had left them.
      if (!core.store.unchanged()) core.refresh();
      // By an index a key that is being replaced may be missing for a moment: find() checks again.
      if (core.store.entries.find(key) >= 0 || core.find(key) !== undefined) yield key;
    }
    yield* damaged;
  }

  *values(): IterableIterator<unknown> {
    for (const [, value] of this.entries()) yield value;
  }

  *entries(): IterableIterator<[string, unknown]> {
    for (const key of this.keys()) {
      const value = this.get(key);
      if (value !== undefined || this.has(key)) yield [key, value];
    }
  }

  [Symbol.iterator](): IterableIterator<[string, unknown]> {
    return this.entries();
  }

  forEach(visit: (value: unknown, key: string, dict: this) => void): void {
    checkFunction(visit, 'forEach');
    for (const [key, value] of this) visit(value, key, this);
  }

  /**
   * All entries in file order, including dead ones, read as the iterator advances. One that others append, or mark dead, meanwhile may or
   * may not be shown so; a vacuum that replaces the file leaves the iterator with the old one.
   * @param from - file offset of an entry, or of the terminator, such as a former `tailOffset`
   * @throws CORRUPT if a vacuum in place moves entries meanwhile
   */
  *scan(from?: number): IterableIterator<EntryInfo> {
    this.refresh();
    yield* entryInfos(this.core.store, from);
  }

  /** Renames a key, in one commit. The value's bytes are copied, not decoded. @throws NOT_FOUND; the reason of the signal */
  rename(from: string, to: string, options: ProgressOptions = {}): this {
    checkOptions(options, PROGRESS_OPTIONS);
    const { core } = this;
    const move = (): void => {
      const view = core.find(from);
      if (view === undefined) throw missing(this.name, from);
      if (from === to) return;
      core.encodeNewKey(to);
      core.put(to, rawValue(view));
      core.writer.delete(from);
      options.onProgress?.({ done: 1, total: 1 });
    };
    core.transact(() => core.writer.interruptible(options.signal, move));
    return this;
  }

  /**
   * Copies values into another dict, in one commit there; array bytes do not pass through JavaScript.
   * @throws NOT_FOUND; UNSUPPORTED_VALUE, BAD_KEY, CORRUPT and what else reading and `set` throw, for a value with which Python could not
   * load the other dict
   */
  copy(keys: Iterable<string>, target: MmapDict, options: ProgressOptions = {}): this {
    checkOptions(options, PROGRESS_OPTIONS);
    checkDict(target, 'copy', this);
    if (typeof keys === 'string' || typeof (keys as Iterable<string> | null)?.[Symbol.iterator] !== 'function')
      throw wrongArgument('keys', 'a list of keys', keys);
    copyEntries(this.core, [...new Set(keys)], target.core, false, options);
    return this;
  }

  /** Copies all values of another dict into this one, in one commit. @throws as `copy` */
  merge(from: MmapDict, options: ProgressOptions = {}): this {
    checkOptions(options, PROGRESS_OPTIONS);
    checkDict(from, 'merge', this);
    copyEntries(from.core, [...from.keys()], this.core, false, options);
    return this;
  }

  /**
   * Drops dead entries: the live ones are copied, byte for byte, to a new file that is renamed over the old one. Other handles keep what
   * they have mapped, and continue in the new file. Unused room of growable arrays is dropped too.
   *
   * @throws NOT_FOUND, unless in place, if the file was moved while it was open; CORRUPT if a damaged entry would be lost
   */
  vacuum(options: VacuumOptions = {}): this {
    checkOptions(options, VACUUM_OPTIONS);
    if (options.inPlace) vacuumInPlace(this.core, options);
    else vacuum(this.core, options);
    return this;
  }

  /**
   * Frees the disk space of dead entries without moving anything. Returns the number of bytes. Arrays of such an entry that somebody still
   * holds (it was popped, replaced, or moved as it grew) read as zeros from then on, except for less than a page at either end.
   */
  reclaim(options: ProgressOptions = {}): number {
    checkOptions(options, PROGRESS_OPTIONS);
    return reclaim(this.core, options);
  }

  /**
   * Checks structure and values. With `repair` it finishes or cuts off what a crash left, including an entry that the end of the file cuts
   * in two; it never drops a complete entry. Never prints.
   */
  fsck(options: FsckOptions = {}): FsckResult {
    checkOptions(options, FSCK_OPTIONS);
    return fsck(this.core, options);
  }

  /**
   * Writes the tail index and, with `checksums`, a CRC-32C of every live entry, so that {@link MmapDict.verify} can name
   * damaged ones. The next change drops both; stores into mapped arrays count as damage.
   */
  seal(options: ProgressOptions & { readonly checksums?: boolean } = {}): this {
    checkOptions(options, SEAL_OPTIONS);
    seal(this.core, options);
    return this;
  }

  /**
   * Compares every live entry with the checksums of the last seal; mismatches are checked again under the lock.
   * @throws LOCKED if there is a mismatch and another writer holds the lock for longer than the timeout
   */
  verify(options: ProgressOptions = {}): VerifyResult {
    checkOptions(options, PROGRESS_OPTIONS);
    return verify(this.core, options);
  }

  /**
   * Copies every intact entry of this (leniently opened) dict into another, in one commit. @throws NOT_A_PICKLE, NOT_MMDPICKLE, TRUNCATED
   * for a file that is not a dict
   */
  salvage(target: MmapDict, options: ProgressOptions = {}): SalvageResult {
    checkOptions(options, PROGRESS_OPTIONS);
    checkDict(target, 'salvage', this);
    return salvage(this.core, target.core, options);
  }

  /** Makes legacy arrays loadable by every numpy, in place, without moving their data. Returns how many were changed. */
  upgrade(): number {
    return respell(this.core, 'legacy', 'upgraded');
  }

  /** The reverse of {@link MmapDict.upgrade}: Python's mmappickle 1.0 maps these arrays again. */
  downgrade(): number {
    return respell(this.core, 'upgraded', 'legacy');
  }

  /** fdatasync: returns when every commit is on the disk. */
  flush(): void {
    this.core.alive();
    if (this.core.store.file.writable) this.core.store.file.sync();
  }

  /**
   * Releases file, lock and mappings. Closing twice does nothing.
   * @throws INVALID_ARGUMENT inside a batch, whose bytes would stay after the terminator
   */
  close(): void {
    if (this.core.closed) return;
    const { core } = this;
    core.outsideBatch('close');
    try {
      if (core.changed) {
        if (core.store.options.index) writeIndex(core);
        core.writer.trim();
      }
    } finally {
      core.closed = true;
      core.store.close();
      MmapDict.lastClosed = this;
    }
  }

  /**
   * Keeps the hidden classes of a handle's objects alive. V8 drops a hidden class, and the code compiled for it, at a garbage collection
   * that finds no live object of it: a program that opens one file after another would keep starting in the interpreter (two to three times
   * as slow). Nothing ever reads this; only empty tables are left of what the handle held.
   * @kept
   */
  protected static lastClosed: MmapDict | undefined;

  [Symbol.dispose](): void {
    this.close();
  }
}

function checkFunction(value: unknown, of: string): void {
  if (typeof value === 'function') return;
  throw new MmdError('INVALID_ARGUMENT', `${of} takes a function, found ${typeof value}`, { found: value });
}

/** Checks for another dict: copied onto itself, a file would double. */
function checkDict(value: unknown, of: string, self: MmapDict): asserts value is MmapDict {
  const refuse = (found: string): MmdError =>
    new MmdError('INVALID_ARGUMENT', `${of} takes another dict, found ${found}`, { found: value });
  if (!(value instanceof MmapDict)) throw refuse(typeof value);
  const [a, b] = [value.identity, self.identity];
  // Every MemoryDisk numbers its files from 1.
  const same = value.core === self.core || (a.dev !== 0n && isSameFile(a, b));
  if (same) throw refuse('the same one');
}

function pairsOf(items: unknown): Iterable<readonly [string, unknown]> {
  if (items instanceof Map) return entriesOf(items);
  if (typeof items === 'object' && items !== null && !ArrayBuffer.isView(items)) {
    return Symbol.iterator in items ? (items as Iterable<readonly [string, unknown]>) : Object.entries(items);
  }
  throw new MmdError('INVALID_ARGUMENT', `update takes an object, a Map or pairs, found ${typeof items}`, {
    found: items,
  });
}

function entriesOf(map: Map<string, unknown>): Iterable<readonly [string, unknown]> {
  try {
    return map.entries();
  } catch (cause) {
    throw new MmdError('INVALID_ARGUMENT', 'update: the entries of a Proxy of a Map cannot be read', { cause });
  }
}

function missing(name: string, key: string): MmdError {
  return new MmdError('NOT_FOUND', `${name}: no key ${JSON.stringify(key)}`, { key, path: name });
}
