/**
 * The dict: one file, one mapping from keys to values, readable by stock Python at every moment.
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

/** What {@link MmapDict.getMeta} tells. */
export interface EntryMeta extends ValueMeta {
  readonly key: string;
  /** File offset of the entry. */
  readonly entryOffset: number;
  /** File offset of the value; for arrays of their data. */
  readonly offset: number;
  /** Bytes of the value, opcodes included. */
  readonly length: number;
}

/** A dict of which it is known what is under a key. */
export interface Holds<K extends string, V> {
  get(key: K): V;
}

/**
 * A dict in a file. This class stands on any {@link StorageFile}; `@mmdpickle/core/node` adds `MmapDict.open(path)`.
 *
 * Every change is one commit: after a crash the file holds the old or the new state, and stock Python loads it.
 * Reads take no lock and see other writers' commits.
 *
 * What is said here holds for every method, beside what it says itself.
 *
 * @throws CLOSED once it is closed; BAD_KEY for a key that is no string; INVALID_ARGUMENT for arguments and options that make no
 * sense, and for what cannot be done inside a batch; CORRUPT where what is looked at is damaged; IO.
 * Changes: READ_ONLY; LOCKED after `lockTimeout`; NOT_FOUND where the file was removed; NO_SPACE. The file is then as it was.
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
  /** @internal The machinery, for this package's own functions. */
  readonly core: DictCore;

  /** @internal Use {@link MmapDict.over}. */
  protected constructor(file: StorageFile, options: DictOptions = {}, openedAt?: number) {
    this.core = new DictCore(file, options, openedAt);
  }

  /**
   * Opens the dict in a file. An empty writable file becomes an empty dict.
   *
   * @param file - taken over: closed with the dict
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

  /** Rises with every commit, of anyone; wraps to 0 after 2^31-1. */
  get commitNumber(): number {
    this.refresh();
    return this.core.store.commitNumber;
  }

  /** The number of keys. */
  get size(): number {
    this.core.settled();
    return this.core.store.entries.catalog.size;
  }

  /** Which file this handle has open. */
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

  /** What this handle put right that a killed writer had left. */
  get repairs(): readonly Repair[] {
    return this.core.store.repairs;
  }

  /** Notices other writers' commits, as every read does. Returns true if there were any. */
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

  /** What is known of a value without reading its data; `undefined` where the key is missing. */
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
   * @param key - any string of at most 255 bytes in UTF-8, but for the three that the format keeps for tail entries
   * @param value - anything that pickles, typed arrays, and everything that implements ArraySource
   * @param options - the array layout, where it is not to be the dict's
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

  /** Removes a key and commits. Returns false if it was not there. */
  delete(key: string): boolean {
    const { core } = this;
    return core.transact(() => core.find(key) !== undefined && core.writer.delete(key));
  }

  /** Removes all keys, in one commit. */
  clear(): this {
    return this.batch(() => {
      for (const key of [...this.keys()]) this.delete(key);
      return this;
    });
  }

  /** The value of a key, which is removed; `fallback` where it is missing. Arrays keep their bytes until a reclaim or a vacuum in place. */
  pop<T = undefined>(key: string, fallback?: T): unknown {
    return this.batch(() => {
      const value = this.get(key);
      return this.delete(key) ? value : fallback;
    });
  }

  /** The value of a key; where it is missing, `value` is stored first. */
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
          throw new MmdError('INVALID_ARGUMENT', 'update takes pairs of key and value', { found: pair });
        this.set(pair[0], pair[1]);
      }
      return this;
    });
  }

  /**
   * Runs changes as one commit: all of them or, if `change` throws, none. The lock is held meanwhile. Reads inside see
   * the changes; arrays that grow show new rows after the commit.
   *
   * @param options - `lockTimeout` in milliseconds, where it is not to be the dict's; 0 tries once
   * @throws what `change` throws; INVALID_ARGUMENT where it returns a promise
   */
  batch<T>(change: () => T, options?: { readonly lockTimeout?: number }): T {
    if (options !== undefined) checkOptions(options, BATCH_OPTIONS);
    checkFunction(change, 'batch');
    return this.core.transact(() => atOnce(change()), options?.lockTimeout);
  }

  /**
   * Like {@link MmapDict.batch}; waits for the lock without blocking the event loop. Where nobody holds it, `change`
   * runs before this returns; calls that wait have their turns in order, each a commit of its own.
   *
   * @param options - `signal` ends the waiting, with its reason; `lockTimeout` in milliseconds, where it is not to be the dict's
   * @throws LOCKED, CLOSED where the dict was closed meanwhile, and what `change` throws
   */
  batchAsync<T>(
    change: () => T,
    options: { readonly signal?: AbortSignal; readonly lockTimeout?: number } = {},
  ): Promise<T> {
    // Not an async function: where nothing is waited for, that would make half of the garbage of a small put.
    try {
      const { core } = this;
      core.changing();
      checkOptions(options, BATCH_ASYNC_OPTIONS);
      checkFunction(change, 'batchAsync');
      options.signal?.throwIfAborted();
      // Inside a batch it is a commit of its own all the same, after that one.
      if (core.writer.active || !core.store.file.tryLock()) return batchLater(core, change, options);
      const done = batchLocked(core, change, core.store.file);
      return done === undefined ? batchLater(core, change, options) : Promise.resolve(done.result);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** All keys, in Python's order, each when it is asked for: the first one costs no more among many. One that others add or delete meanwhile may be among them or not; one that they replace is. */
  *keys(): IterableIterator<string> {
    const { core } = this;
    core.settled();
    for (const key of core.store.entries.catalog.keys()) {
      core.alive();
      // Behind a batch that threw, what is known is what it had come to.
      if (!core.store.unchanged()) core.refresh();
      if (core.store.entries.find(key) >= 0) yield key;
    }
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
   * All entries in file order, dead ones too.
   * @param from - file offset of an entry, or of the terminator, such as a former `tailOffset`
   */
  *scan(from?: number): IterableIterator<EntryInfo> {
    this.refresh();
    yield* entryInfos(this.core.store, from);
  }

  /** Gives a value another key, in one commit. Its bytes are copied, not decoded. @throws NOT_FOUND; the reason of the signal */
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
   * @throws NOT_FOUND; UNSUPPORTED_VALUE, BAD_KEY, CORRUPT and what else reading and `set` throw, for a value with which Python
   *   would not load the other dict
   */
  copy(keys: Iterable<string>, target: MmapDict, options: ProgressOptions = {}): this {
    checkOptions(options, PROGRESS_OPTIONS);
    checkDict(target, 'copy', this);
    if (typeof keys === 'string' || typeof (keys as Iterable<string> | null)?.[Symbol.iterator] !== 'function')
      throw wrongArgument('what is copied', 'a list of keys', keys);
    copyEntries(this.core, [...new Set(keys)], target.core, false, options);
    return this;
  }

  /** Takes over all values of another dict, in one commit. @throws as `copy` */
  merge(from: MmapDict, options: ProgressOptions = {}): this {
    checkOptions(options, PROGRESS_OPTIONS);
    checkDict(from, 'merge', this);
    copyEntries(from.core, [...from.keys()], this.core, false, options);
    return this;
  }

  /**
   * Drops dead entries: the live ones are copied, byte for byte, to a new file that is renamed over the old one.
   * Other handles keep what they have mapped, and go on in the new file. Room that growable arrays do not use is dropped too.
   *
   * @throws NOT_FOUND, unless in place, where the file was moved while it was open; CORRUPT where a damaged entry would be lost
   */
  vacuum(options: VacuumOptions = {}): this {
    checkOptions(options, VACUUM_OPTIONS);
    if (options.inPlace) vacuumInPlace(this.core, options);
    else vacuum(this.core, options);
    return this;
  }

  /**
   * Gives the disk of dead entries back without moving anything. Returns how many bytes. Arrays that somebody still holds of such an
   * entry (popped, replaced, or moved as they grew) read as zeros from then on, but for less than a page at either end.
   */
  reclaim(options: ProgressOptions = {}): number {
    checkOptions(options, PROGRESS_OPTIONS);
    return reclaim(this.core, options);
  }

  /**
   * Checks structure and values. With `repair` it finishes or cuts off what a crash left, an entry that the end of the file
   * cuts in two included; it never drops a whole one. Never prints.
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
   * Compares every live entry with the checksums of the last seal; what differs is looked at again under the lock.
   * @throws LOCKED where something differs, and somebody is in the middle of a change for long
   */
  verify(options: ProgressOptions = {}): VerifyResult {
    checkOptions(options, PROGRESS_OPTIONS);
    return verify(this.core, options);
  }

  /** Copies every intact entry of this (leniently opened) dict into another, in one commit. @throws NOT_A_PICKLE, NOT_MMDPICKLE, TRUNCATED for what is none */
  salvage(target: MmapDict, options: ProgressOptions = {}): SalvageResult {
    checkOptions(options, PROGRESS_OPTIONS);
    checkDict(target, 'salvage', this);
    return salvage(this.core, target.core, options);
  }

  /** Makes legacy arrays loadable by every numpy, in place, without moving their data. Returns how many there were. */
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
   * Gives file, lock and mappings back. Closing twice does nothing.
   * @throws INVALID_ARGUMENT inside a batch, whose bytes would stay behind the end of the file
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
   * Kept for the hidden classes of all that a handle is made of. V8 drops one, and the code compiled for it, at a collection
   * that finds no object of it alive: a program that opens one file after the other would go on in the interpreter (twice
   * to three times as slow). Nothing ever reads it; of what it held only empty tables are left.
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

/** Another dict: onto itself a file would double. */
function checkDict(value: unknown, of: string, self: MmapDict): asserts value is MmapDict {
  const refuse = (found: string): MmdError =>
    new MmdError('INVALID_ARGUMENT', `${of} takes another dict, found ${found}`, { found: value });
  if (!(value instanceof MmapDict)) throw refuse(typeof value);
  const [a, b] = [value.identity, self.identity];
  // Each disk in memory counts its files from 1 on.
  const same = value.core === self.core || (a.dev !== 0n && isSameFile(a, b));
  if (same) throw refuse('the file itself');
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
    throw new MmdError('INVALID_ARGUMENT', 'update: a Proxy of a Map keeps its entries to itself', { cause });
  }
}

function missing(name: string, key: string): MmdError {
  return new MmdError('NOT_FOUND', `${name}: no key ${JSON.stringify(key)}`, { key, path: name });
}
