/**
 * The dict: one file, one mapping from keys to values, readable by stock Python at every moment.
 *
 * @module
 */

import { decodeUtf8, encodeUtf8Into } from '../bytes/index.ts';
import { MmdError } from '../errors.ts';
import { CODECS, type EncodeContext, type ValueCodec, type ValueMeta } from '../format/codecs.ts';
import type { EncodedValue } from '../format/encoded-value.ts';
import { encodeEmptyFile, entryEnd, KEY_MAX } from '../format/layout.ts';
import { answer, scanEntries } from '../format/scan.ts';
import type { ArraySource, FileRange } from '../ndarray/index.ts';
import { Decoder, EntryEncoder } from '../pickle/index.ts';
import type { FileIdentity, StorageFile } from '../storage/storage-file.ts';
import { EntryView, type ViewContext } from './entry-view.ts';
import { GrowableArray, type GrowablePlace } from './growable-array.ts';
import { GrowableAppender } from './growable-host.ts';
import { GrowableMaskedArray } from './growable-masked-array.ts';
import type { DictMode, DictOptions, ResolvedOptions } from './options.ts';
import { DictStore } from './store.ts';
import { DictWriter } from './writer.ts';

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

/** An entry in file order, dead ones too. */
export interface EntryInfo {
  readonly offset: number;
  readonly end: number;
  /** `undefined` where the key's bytes are not UTF-8. */
  readonly key: string | undefined;
  readonly state: 'live' | 'dead' | 'damaged';
  readonly live: boolean;
  readonly valueOffset: number;
  readonly valueLength: number;
  readonly memoHint: number;
}

const DEFAULTS = {
  layout: 'modern',
  durability: 'none',
  lockTimeout: 10_000,
  codecs: [],
  load: {},
  lenient: false,
  index: true,
} as const satisfies Partial<ResolvedOptions>;

/** A value that exists, so that `undefined` can be stored's absence. */
const ATTEMPTS = 100;

/**
 * A dict in a file. This class stands on any {@link StorageFile}; `@mmdpickle/core/node` adds `MmapDict.open(path)`.
 *
 * Every change is one commit: after a crash the file holds the old or the new state, and stock Python loads it.
 * Reads take no lock and see other writers' commits.
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
  readonly mode: DictMode;
  protected readonly store: DictStore;
  protected readonly writer: DictWriter;
  readonly #codecs: readonly ValueCodec[];
  readonly #encode: EncodeContext;
  readonly #legacy: EncodeContext;
  readonly #modern: EncodeContext;
  readonly #decoder: Decoder;
  readonly #growables: GrowableAppender;
  readonly #keyBytes = new Uint8Array(KEY_MAX * 3 + 3);
  #afterwards: (() => void)[] = [];
  #view: ViewContext | undefined;
  #closed = false;

  /** @internal Use {@link MmapDict.over}. */
  protected constructor(file: StorageFile, options: DictOptions = {}) {
    const mode = options.mode ?? (file.writable ? 'r+' : 'r');
    const resolved: ResolvedOptions = { ...DEFAULTS, ...options, mode };
    this.mode = mode;
    this.store = new DictStore(file, resolved);
    this.writer = new DictWriter(this.store);
    this.#codecs = [...resolved.codecs, ...CODECS];
    const entries = new EntryEncoder();
    this.#modern = { layout: 'modern', entries };
    this.#legacy = { layout: 'legacy', entries };
    this.#encode = resolved.layout === 'legacy' ? this.#legacy : this.#modern;
    this.#decoder = new Decoder({ ...resolved.load, borrow: true });
    this.#growables = new GrowableAppender({
      view: (key) => this.#find(key),
      begin: () => this.#begin(),
      commit: () => this.#commit(),
      rollback: () => this.#rollback(),
      count: (place, rows) => this.writer.count(place.countOffset, rows),
      pendingCount: ({ countOffset }) =>
        this.writer.pendingCount(countOffset) ?? this.store.journal?.stores.get(countOffset),
      afterwards: (task) => this.#afterwards.push(task),
      growReserve: (key, place, rows) => this.#growReserve(key, place, rows),
      finishGrow: (place) => this.writer.patch(place.dataOffset - 8, place.dataLength),
      sealReserve: (key) => this.#sealReserve(key),
      map: (place, offset, length) => place.file.map(offset, length, this.#access),
    });
    this.#initialise(file);
    this.store.load();
    if (this.store.needsRepair) this.#recover();
  }

  /**
   * Opens the dict in a file. An empty writable file becomes an empty dict.
   *
   * @param file - taken over: closed with the dict
   * @throws NOT_A_PICKLE, NOT_MMDPICKLE, TRUNCATED, CORRUPT
   */
  static over(file: StorageFile, options?: DictOptions): MmapDict {
    return new MmapDict(file, options);
  }

  /** The file's name. */
  get name(): string {
    return this.store.file.name;
  }

  /** The file's path. */
  get path(): string {
    return this.store.file.name;
  }

  get writable(): boolean {
    return this.mode !== 'r' && this.mode !== 'c';
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** Rises with every commit, of anyone; wraps to 0 after 2^31-1. */
  get commitNumber(): number {
    this.refresh();
    return this.store.commitNumber;
  }

  /** The number of keys. */
  get size(): number {
    this.#settled();
    return this.store.catalog.size;
  }

  /** Which file this handle has open. */
  get identity(): FileIdentity {
    return this.store.file.identity();
  }

  /** The file's size in bytes. */
  get fileSize(): number {
    return this.store.file.size();
  }

  /** File offset where the next entry will go. */
  get tailOffset(): number {
    this.refresh();
    return this.store.end;
  }

  /** Notices other writers' commits, as every read does. Returns true if there were any. */
  refresh(): boolean {
    this.#alive();
    return this.writer.active ? false : this.store.refresh();
  }

  has(key: string): boolean {
    return this.#find(key) !== undefined;
  }

  /**
   * The value of a key, or `undefined`. Arrays are NDArray, MaskedArray or GrowableArray over the mapping; their bytes
   * are not read. Everything else is a copy.
   */
  get(key: string): unknown {
    return this.#consistent(key, (view) => {
      for (const codec of this.#codecs) {
        const meta = codec.describe(view);
        if (meta !== undefined) return codec.decode(view, meta);
      }
      return undefined;
    });
  }

  /** What is known of a value without reading its data; `undefined` where the key is missing. */
  getMeta(key: string): EntryMeta | undefined {
    return this.#consistent(key, (view) => {
      for (const codec of this.#codecs) {
        const meta = codec.describe(view);
        if (meta === undefined) continue;
        const { offset, length, place } = view;
        return { ...meta, key, entryOffset: place.offset, offset: meta.dataOffset ?? offset, length };
      }
      return undefined;
    });
  }

  /**
   * Stores a value and commits.
   *
   * @param key - any string of at most 255 bytes in UTF-8
   * @param value - anything that pickles, typed arrays, and everything that implements ArraySource
   * @param options - the array layout, where it is not to be the dict's
   * @throws BAD_KEY, KEY_TOO_LONG, UNSUPPORTED_VALUE, UNSUPPORTED_DTYPE, READ_ONLY, LOCKED, NO_SPACE, IO: the file is then unchanged
   */
  set(key: string, value: unknown, options?: { readonly layout?: 'modern' | 'legacy' }): this {
    this.#changing();
    const keyLength = this.#encodeKey(key);
    const encoded = this.#encodeValue(value, options?.layout);
    this.#begin();
    try {
      this.writer.set(key, this.#keyBytes, keyLength, encoded);
    } catch (error) {
      this.#rollback();
      throw error;
    }
    this.#commit();
    return this;
  }

  /** Removes a key and commits. Returns false if it was not there. */
  delete(key: string): boolean {
    this.#changing();
    this.#begin();
    let found: boolean;
    try {
      found = this.#find(key) !== undefined && this.writer.delete(key);
    } catch (error) {
      this.#rollback();
      throw error;
    }
    this.#commit();
    return found;
  }

  /** Removes all keys, in one commit. */
  clear(): this {
    return this.batch(() => {
      for (const key of [...this.keys()]) this.delete(key);
      return this;
    });
  }

  /** The value of a key, which is removed; `fallback` where it is missing. Arrays keep their bytes until a vacuum. */
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
      const pairs = Symbol.iterator in items ? (items as Iterable<readonly [string, unknown]>) : Object.entries(items);
      for (const [key, value] of pairs) this.set(key, value);
      return this;
    });
  }

  /**
   * Runs changes as one commit: all of them or, if `change` throws, none. The lock is held meanwhile. Reads inside see
   * the changes; arrays that grow show new rows after the commit.
   *
   * @param options - `lockTimeout` in milliseconds, where it is not to be the dict's; 0 tries once
   */
  batch<T>(change: () => T, options: { readonly lockTimeout?: number } = {}): T {
    this.#changing();
    this.#begin(options.lockTimeout);
    return this.#run(change);
  }

  /** Like {@link MmapDict.batch}; waits for the lock without blocking the event loop. */
  async batchAsync<T>(
    change: () => T,
    options: { readonly signal?: AbortSignal; readonly lockTimeout?: number } = {},
  ): Promise<T> {
    this.#changing();
    const { file } = this.store;
    await file.lockAsync(options.lockTimeout ?? this.store.options.lockTimeout, options.signal);
    try {
      return this.batch(change);
    } finally {
      if (!file.closed) file.unlock();
    }
  }

  #run<T>(change: () => T): T {
    let result: T;
    try {
      result = change();
    } catch (error) {
      this.#rollback();
      throw error;
    }
    this.#commit();
    return result;
  }

  *keys(): IterableIterator<string> {
    this.#settled();
    for (const key of [...this.store.catalog.keys()]) {
      if (this.store.catalog.find(key) >= 0) yield key;
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
    for (const [key, value] of this) visit(value, key, this);
  }

  /**
   * All entries in file order, dead ones too.
   * @param from - file offset of an entry, or of the terminator, such as a former `tailOffset`
   */
  *scan(from?: number): IterableIterator<EntryInfo> {
    this.refresh();
    const found: EntryInfo[] = [];
    const { store } = this;
    const requests = scanEntries(from ?? 24, store.file.size(), (entry) => {
      const { offset, frameLength, keyLength, state, memoHint } = entry;
      let key: string | undefined;
      try {
        key = decodeUtf8(entry.bytes, entry.keyPos, entry.keyPos + keyLength);
      } catch {
        key = undefined;
      }
      found.push({
        offset,
        end: entryEnd(offset, frameLength),
        key,
        state,
        live: state === 'live',
        valueOffset: offset + 11 + keyLength,
        valueLength: frameLength - 10 - keyLength,
        memoHint,
      });
    });
    answer(requests, store.read);
    yield* found;
  }

  /** fdatasync: returns when every commit is on the disk. */
  flush(): void {
    this.#alive();
    if (this.store.file.writable) this.store.file.sync();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    try {
      if (this.writable && !this.store.file.closed) this.writer.trim();
    } finally {
      this.store.close();
    }
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #begin(lockTimeout?: number): void {
    this.#changing();
    this.writer.begin(lockTimeout);
  }

  #commit(): void {
    try {
      this.writer.commit();
    } finally {
      this.#runAfterwards();
    }
  }

  #rollback(): void {
    try {
      this.writer.rollback();
    } finally {
      this.#runAfterwards();
    }
  }

  #runAfterwards(): void {
    if (this.writer.active || this.#afterwards.length === 0) return;
    for (const task of this.#afterwards.splice(0)) task();
  }

  /** Makes room for at least `rows` rows: in place if the array is the last entry, else in a new entry. */
  #growReserve(key: string, place: GrowablePlace, rows: number): void {
    const entry = { offset: place.entryOffset, frameLength: place.frameLength, keyLength: place.keyLength };
    const { file, dataOffset, dataLength, rowBytes, maskOffset, rowShape, type } = place;
    const wanted = Math.max(rows * rowBytes, dataLength + 4096);
    const length = Math.ceil(wanted / rowBytes) * rowBytes;
    if (maskOffset === undefined && this.writer.resizeLast(key, entry, dataOffset, dataLength, length)) return;
    const committed = this.#growables.rows(place);
    this.writer.settle();
    const part = (offset: number, nbytes: number): FileRange => ({ path: file.name, offset, length: nbytes });
    const shape = [committed, ...rowShape];
    const mask = committed * (rowBytes / type.itemsize);
    const source: ArraySource = {
      arraySource: true,
      dtype: type,
      shape,
      capacity: rows,
      file: part(dataOffset, committed * rowBytes),
      ...(maskOffset !== undefined && {
        mask: { arraySource: true, dtype: 'bool', shape, file: part(maskOffset, mask) },
        fillValue: this.getMeta(key)?.fillValue,
      }),
    };
    const keyLength = this.#encodeKey(key);
    this.writer.set(key, this.#keyBytes, keyLength, this.#encodeValue(source, 'modern'));
  }

  /** Cuts off the room that is not used; where it cannot, its disk blocks are given back. */
  #sealReserve(key: string): void {
    this.#begin();
    try {
      const place = this.#growables.locate(key);
      const used = this.#growables.rows(place) * place.rowBytes;
      const entry = { offset: place.entryOffset, frameLength: place.frameLength, keyLength: place.keyLength };
      const { dataOffset, dataLength, file, maskOffset } = place;
      const trimmed =
        maskOffset === undefined &&
        !place.unfinished &&
        this.writer.resizeLast(key, entry, dataOffset, dataLength, used);
      if (!trimmed) file.punchHole(dataOffset + used, dataLength - used);
    } catch (error) {
      this.#rollback();
      throw error;
    }
    this.#commit();
  }

  #initialise(file: StorageFile): void {
    if (!this.writable || file.size() > 0) return;
    file.lock(this.store.options.lockTimeout);
    try {
      if (file.size() === 0) file.write(0, encodeEmptyFile());
    } finally {
      file.unlock();
    }
  }

  /** A tail that no commit claimed is repaired when the file is opened for writing. */
  #recover(): void {
    if (!this.writable) return this.store.checkIntact();
    this.writer.begin();
    this.writer.commit();
    this.store.checkIntact();
  }

  #settled(): void {
    this.refresh();
    if (!this.writer.active) this.store.settle();
    else if (this.store.base !== undefined) {
      this.writer.settle();
      this.store.walkAll();
    }
  }

  get #access(): 'read' | 'write' | 'copy-on-write' {
    return this.mode === 'r' ? 'read' : this.mode === 'c' ? 'copy-on-write' : 'write';
  }

  #context(): ViewContext {
    const { file } = this.store;
    if (this.#view?.file !== file) {
      this.#view = {
        file,
        access: this.#access,
        decoder: this.#decoder,
        growable: (key, type, rowShape, masked) =>
          masked === undefined
            ? new GrowableArray(this.#growables, key, type, rowShape)
            : new GrowableMaskedArray(this.#growables, key, masked.fillValue),
      };
    }
    return this.#view;
  }

  /** The live entry with the key. */
  #find(key: string): EntryView | undefined {
    this.refresh();
    const { store } = this;
    const slot = store.find(key);
    if (slot < 0) return undefined;
    if (this.writer.active) this.writer.settle();
    const place = store.catalog.place(slot);
    if (store.statesUnknown && !store.isLive(place)) {
      store.remove(key);
      return undefined;
    }
    return new EntryView(this.#context(), key, place, store.journal?.stores);
  }

  /** Reads an entry; again if it was changed by another writer meanwhile. */
  #consistent<T>(key: string, read: (view: EntryView) => T): T | undefined {
    for (let attempt = 0; ; attempt++) {
      const view = this.#find(key);
      if (view === undefined) return undefined;
      try {
        const result = read(view);
        if (this.writer.active || this.store.unchanged() || attempt === ATTEMPTS || this.#stillThere(view))
          return result;
      } catch (error) {
        if (this.writer.active || this.store.unchanged() || attempt === ATTEMPTS) throw error;
      }
    }
  }

  /** Appends of others do not disturb: the entry is where it was, and alive. */
  #stillThere(view: EntryView): boolean {
    const again = this.#find(view.key);
    return again !== undefined && again.file === view.file && again.place.offset === view.place.offset;
  }

  #encodeKey(key: unknown): number {
    if (typeof key !== 'string') {
      throw new MmdError('BAD_KEY', `a key is a string, found ${typeof key}`, { found: key });
    }
    const length = key.length <= KEY_MAX ? encodeUtf8Into(key, this.#keyBytes, 0) : Infinity;
    if (length > KEY_MAX) {
      throw new MmdError(
        'KEY_TOO_LONG',
        `a key has at most ${KEY_MAX} bytes in UTF-8: ${JSON.stringify(key.slice(0, 40))}...`,
        {
          key,
          maximum: KEY_MAX,
        },
      );
    }
    return length;
  }

  #encodeValue(value: unknown, layout: 'modern' | 'legacy' | undefined): EncodedValue {
    const context = layout === undefined ? this.#encode : layout === 'legacy' ? this.#legacy : this.#modern;
    for (const codec of this.#codecs) {
      const encoded = codec.encode(value, context);
      if (encoded !== undefined) return encoded;
    }
    throw new MmdError('UNSUPPORTED_VALUE', 'no codec takes this value', { found: value });
  }

  #alive(): void {
    if (this.#closed) throw new MmdError('CLOSED', `${this.name}: the dict is closed`, { path: this.name });
  }

  #changing(): void {
    this.#alive();
    if (!this.writable) {
      throw new MmdError('READ_ONLY', `${this.name}: opened with mode '${this.mode}'`, { path: this.name });
    }
  }
}
