/**
 * What every operation of a dict is built on: finding and reading entries, and changing them in transactions.
 *
 * @module
 */

import { encodeUtf8Into } from '../bytes/index.ts';
import { isMmdError, MmdError } from '../errors.ts';
import { arrayToWrite, encodeArray, isArrayValue } from '../format/array-codec.ts';
import { ArrayPreamble } from '../format/array-value.ts';
import { type ArrayLayout, CODECS, type EncodeContext, type ValueCodec, type ValueMeta } from '../format/codecs.ts';
import { type EncodedValue, encodedParts } from '../format/encoded-value.ts';
import { encodeEmptyFile, KEY_MAX } from '../format/layout.ts';
import { pickleCodec } from '../format/pickle-codec.ts';
import { tailKindOf } from '../format/tail-entry.ts';
import { ndarray } from '../ndarray/index.ts';
import { checkOptions, wrongArgument } from '../options.ts';
import { Decoder, EntryEncoder, type KeyedEntry } from '../pickle/index.ts';
import type { MapAccess, StorageFile } from '../storage/storage-file.ts';
import type { EntryPlace } from './catalog.ts';
import { DirectValues, ELSEWHERE } from './direct-values.ts';
import { EntryView, type ViewContext } from './entry-view.ts';
import { GrowableArray } from './growable-array.ts';
import { growableDict } from './growable-dict.ts';
import { GrowableAppender } from './growable-host.ts';
import { GrowableMaskedArray } from './growable-masked-array.ts';
import { checkKey, DICT_OPTIONS, type DictMode, type DictOptions, resolveOptions } from './options.ts';
import { lastGrowthCut } from './repair.ts';
import { DictStore } from './store.ts';
import { DictWriter } from './writer.ts';

/** How often a read is retried that other writers disturb. */
const ATTEMPTS = 100;

/** While an entry's bytes are being written by a source, which may be user code. */
const LAYING = 'a value cannot change the dict while being stored in it';

/** What codecs receive as context. */
class Encoding implements EncodeContext {
  /**
   * An empty array encoded for a file, which keeps the hidden classes of all objects involved alive. V8 drops a hidden class, and the code
   * compiled for it, at a garbage collection that finds no live object of it, and nothing of an array outlives the call that stores it.
   * @kept
   */
  static readonly kept: EncodedValue = encodeArray(arrayToWrite(ndarray(new Float64Array(0)))!, 'modern');
  readonly layout: ArrayLayout;
  readonly preamble: ArrayPreamble = new ArrayPreamble();
  readonly #core: DictCore;

  constructor(core: DictCore, layout: ArrayLayout) {
    this.#core = core;
    this.layout = layout;
  }

  get entries(): EntryEncoder {
    return this.#core.entries;
  }
}

/**
 * The implementation of one open dict. Objects that reading a few values does not need are created on first use: in a process that opens a
 * file once, each object costs microseconds of code that has never run before.
 */
export class DictCore {
  readonly mode: DictMode;
  readonly writable: boolean;
  readonly store: DictStore;
  readonly codecs: readonly ValueCodec[];
  /**
   * The last view, kept only for its hidden class: V8 drops a hidden class, and the code compiled for it, at a garbage collection that
   * finds no live object of it, and every get after that would start in the interpreter.
   */
  lastView: EntryView | undefined;
  /** The same for the last growable array. */
  lastGrowable: GrowableArray | undefined;
  closed = false;
  /** No user codecs come before the built-in ones. */
  readonly #plain: boolean;
  /** Why the dict cannot be changed now: an operation in progress is calling user code. */
  #busy: string | undefined;
  readonly #afterwards: (() => void)[] = [];
  #view: ViewContext | undefined;
  #writer: DictWriter | undefined;
  #keyBytes: Uint8Array | undefined;
  #entries: EntryEncoder | undefined;
  readonly #encodings: { [L in ArrayLayout]?: Encoding } = {};
  #decoder: Decoder | undefined;
  #strictDecoder: Decoder | undefined;
  #growables: GrowableAppender | undefined;
  #direct: DirectValues | undefined;

  /** @param openedAt - `Date.now()` of when the file was opened by name, if that was just now */
  constructor(file: StorageFile, options: DictOptions, openedAt?: number) {
    checkOptions(options, DICT_OPTIONS);
    if (typeof (file as Partial<StorageFile> | undefined)?.read !== 'function') {
      throw new MmdError(
        'INVALID_ARGUMENT',
        `a dict needs a storage file, found ${typeof file}: use MemoryFile.of(bytes), or open a path with MmapDict.open of @mmdpickle/core/node`,
        {
          found: file,
        },
      );
    }
    const mode = options.mode ?? (file.writable ? 'r+' : 'r');
    const resolved = resolveOptions(options, mode);
    this.mode = mode;
    this.writable = mode !== 'r' && mode !== 'c';
    this.store = new DictStore(file, resolved, openedAt);
    this.codecs = resolved.codecs.length === 0 ? CODECS : [...resolved.codecs, ...CODECS];
    this.#plain = resolved.codecs.length === 0;
    // A file opened by name was created for this handle, and may already have its header.
    if (mode === 'w-' && openedAt === undefined && file.size() > 0) {
      throw new MmdError('ALREADY_EXISTS', `${file.name}: the file is not empty`, { path: file.name });
    }
    if (this.#initialise(file)) this.store.created();
    else {
      this.store.load();
      if (this.store.needsRepair || this.#growthCut()) this.#recover();
    }
  }

  get writer(): DictWriter {
    return (this.#writer ??= new DictWriter(this.store));
  }

  /** Between begin() and the outermost commit(). */
  inTransaction(): boolean {
    return this.#writer?.active === true;
  }

  /** True once this handle committed a change. */
  get changed(): boolean {
    return this.#writer?.changed === true;
  }

  /** The last key that {@link DictCore.encodeKey} encoded. */
  get keyBytes(): Uint8Array {
    return (this.#keyBytes ??= new Uint8Array(KEY_MAX * 3 + 3));
  }

  get decoder(): Decoder {
    return (this.#decoder ??= new Decoder({ ...this.store.options.load, borrow: true }));
  }

  get growables(): GrowableAppender {
    return (this.#growables ??= new GrowableAppender(growableDict(this)));
  }

  get name(): string {
    return this.store.file.name;
  }

  /** Takes in other writers' commits; inside a transaction there are none. */
  refresh(): boolean {
    this.alive();
    return this.inTransaction() ? false : this.store.refresh();
  }

  /** Runs `change` as (a part of) one commit. */
  transact<T>(change: () => T, lockTimeout?: number): T {
    this.begin(lockTimeout);
    let result: T;
    try {
      result = change();
    } catch (error) {
      this.rollback();
      throw error;
    }
    this.commit();
    return result;
  }

  /** Stores a value and commits. */
  set(key: string, value: unknown, layout: 'modern' | 'legacy' | undefined): void {
    this.changing();
    if (!this.#plain || isArrayValue(value)) {
      const encoded = this.encodeValue(value, layout);
      // Encoded after the value: a codec is user code, and may have set another key, which uses the same key buffer.
      const keyLength = this.encodeNewKey(key);
      this.#setEncoded(key, keyLength, encoded);
      return;
    }
    const keyLength = this.encodeNewKey(key);
    const entry = this.#encodePlain(key, keyLength, value);
    const { sink } = entry;
    this.begin();
    try {
      if (!this.writer.setAtOnce(key, keyLength, entry) && !this.writer.setPiece(key, keyLength, entry)) {
        for (let i = 0; i < keyLength; i++) this.keyBytes[i] = sink.bytes[i]!;
        this.place(key, keyLength, encodedParts(pickleCodec.name, sink.parts(keyLength), entry.memoEnd));
      }
    } catch (error) {
      this.rollback();
      throw error;
    }
    this.commit();
  }

  /** Adds the key to an error, so that a caller who stores a thousand values can find the one that failed. */
  #encodePlain(key: string, keyLength: number, value: unknown): KeyedEntry {
    try {
      return this.entries.encodeKeyed(this.keyBytes, keyLength, value);
    } catch (error) {
      if (error instanceof MmdError && error.key === undefined) Object.assign(error, { key, path: this.name });
      throw error;
    }
  }

  #setEncoded(key: string, keyLength: number, encoded: EncodedValue): void {
    this.begin();
    try {
      this.place(key, keyLength, encoded);
    } catch (error) {
      this.rollback();
      throw error;
    }
    this.commit();
  }

  /** Appends or replaces an entry; between begin() and commit(). */
  put(key: string, value: EncodedValue): void {
    this.place(key, this.encodeKey(key), value);
  }

  /** Like {@link DictCore.put}, for a key that {@link DictCore.encodeKey} has just encoded. */
  place(key: string, keyLength: number, value: EncodedValue): void {
    this.#busy = LAYING;
    try {
      this.writer.set(key, this.keyBytes, keyLength, value);
    } finally {
      this.#busy = undefined;
    }
  }

  /** Runs work that calls user code, which must not change or close the dict meanwhile. */
  alone<T>(operation: string, work: () => T): T {
    this.#busy = `${operation} is running; the functions it calls cannot change the dict`;
    try {
      return work();
    } finally {
      this.#busy = undefined;
    }
  }

  /** @throws INVALID_ARGUMENT inside a batch, or while an operation is calling user code */
  outsideBatch(operation: string): void {
    this.idle();
    if (!this.inTransaction()) return;
    throw new MmdError('INVALID_ARGUMENT', `${this.name}: ${operation} inside a batch; end the batch first`, {
      path: this.name,
    });
  }

  /** @throws INVALID_ARGUMENT while an operation is calling user code */
  idle(): void {
    if (this.#busy === undefined) return;
    throw new MmdError('INVALID_ARGUMENT', `${this.name}: ${this.#busy}`, { path: this.name });
  }

  /** The first codec that claims an entry, and its description of the value. */
  describe(view: EntryView): readonly [codec: ValueCodec, meta: ValueMeta] {
    for (const codec of this.codecs) {
      const meta = codec.describe(view);
      if (meta !== undefined) return [codec, meta];
    }
    throw new MmdError('CORRUPT', `no codec can read the value of ${JSON.stringify(view.key)}`, { key: view.key });
  }

  meta(key: string): ValueMeta | undefined {
    return this.consistent(key, (view) => this.describe(view)[1]);
  }

  begin(lockTimeout?: number): void {
    this.changing();
    if (this.#busy !== undefined) this.idle();
    this.writer.begin(lockTimeout);
  }

  commit(): void {
    try {
      this.writer.commit();
    } finally {
      if (this.#afterwards.length > 0) this.#runAfterwards();
    }
  }

  rollback(): void {
    try {
      this.writer.rollback();
    } finally {
      this.#runAfterwards();
    }
  }

  /** Runs a task after the outermost commit or rollback. */
  afterwards(task: () => void): void {
    this.#afterwards.push(task);
  }

  #runAfterwards(): void {
    if (this.inTransaction()) return;
    for (const task of this.#afterwards.splice(0)) task();
  }

  /** Writes an empty dict into an empty file. */
  #initialise(file: StorageFile): boolean {
    if (!this.writable || file.size() > 0 || this.store.options.salvage) return false;
    file.lock(this.store.options.lockTimeout);
    try {
      if (file.size() > 0) return false;
      file.write(0, encodeEmptyFile());
      if (this.store.durable) file.sync();
      return true;
    } finally {
      file.unlock();
    }
  }

  /** Whether a crash cut short the growth of the array at the end: a writer unaware of it would hide from Python what it appends. */
  #growthCut(): boolean {
    const { foundLast } = this.store;
    if (!this.writable || foundLast === undefined) return false;
    try {
      return lastGrowthCut(this.store, foundLast) !== undefined;
    } catch (error) {
      // Another writer changed it during the check; this handle's first change checks again, under the lock.
      if (isMmdError(error, 'IO')) throw error;
      return false;
    }
  }

  /** If the file is open for writing, repairs what a killed writer left after the last commit. */
  #recover(): void {
    if (this.writable && !this.store.options.lenient) {
      this.writer.begin();
      this.writer.commit();
    }
    this.store.checkIntact();
  }

  settled(): void {
    this.refresh();
    const { store } = this;
    if (!this.inTransaction()) {
      store.settle();
      return;
    }
    if (store.entries.base !== undefined) {
      this.writer.settle();
      store.entries.walkAll();
    }
    store.settleLocked();
  }

  /** How arrays of the dict are mapped. */
  access(): MapAccess {
    return this.mode === 'r' ? 'read' : this.mode === 'c' ? 'copy-on-write' : 'write';
  }

  #context(): ViewContext {
    const { file } = this.store;
    if (this.#view?.file !== file) {
      this.#view = {
        file,
        access: this.access(),
        decoder: this.decoder,
        growable: (key, type, rowShape, masked) =>
          masked === undefined
            ? (this.lastGrowable = new GrowableArray(this.growables, key, type, rowShape))
            : new GrowableMaskedArray(this.growables, key, masked.fillValue),
      };
    }
    return this.#view;
  }

  /** The value of a key, or `undefined`. */
  get(key: string): unknown {
    if (typeof key === 'string' && !this.inTransaction()) {
      this.alive();
      const direct = (this.#direct ??= new DirectValues(this.store, this.codecs, this.access()));
      const value = direct.get(key);
      if (value !== ELSEWHERE) return value;
    }
    return this.consistent(key, (view) => {
      const [codec, meta] = this.describe(view);
      return codec.decode(view, meta);
    });
  }

  /**
   * The live entry with the key.
   * @param attempt - how often another writer has interfered so far
   */
  find(key: string, attempt = 0): EntryView | undefined {
    checkKey(key);
    this.refresh();
    const { store } = this;
    // Determined first: if the index turns out to be damaged, find() walks the file, which is later than the refresh.
    const walked = store.entries.base === undefined;
    const slot = store.entries.find(key);
    // The index led to a dead entry, which may have a successor that was appended since.
    if (slot < 0) {
      if (this.inTransaction()) store.checkWalked();
      const told = walked || this.inTransaction() || store.unchanged();
      return told || attempt === ATTEMPTS ? this.#missing(key) : this.find(key, attempt + 1);
    }
    if (this.inTransaction()) this.writer.settle();
    const place = store.entries.catalog.place(slot);
    if (store.statesUnknown && !store.isLive(place)) {
      // If the entry has grown since, its old length leads to some byte of the data instead of the state byte.
      if (!store.entries.stands(key, place)) store.invalidate();
      store.entries.remove(key);
      // If it was replaced, not deleted, its successor is after what is known so far, and was appended before this entry died.
      return !this.inTransaction() && store.lookAgain() ? this.find(key, attempt) : undefined;
    }
    return this.view(key, place);
  }

  /**
   * Keys that {@link DictCore.find} throws for, since their entries are damaged; none if the dict was opened leniently. The catalog must be
   * settled.
   */
  damagedKeys(): readonly string[] {
    const { store } = this;
    if (store.entries.damaged.size === 0 || store.options.lenient) return [];
    this.#settleDamaged();
    return store.entries.damagedKeys();
  }

  /** For calls that would leave out, or rely on, all entries. @throws CORRUPT for the first of {@link DictCore.damagedKeys} */
  checkNoKeyDamaged(): void {
    for (const key of this.damagedKeys()) this.find(key);
  }

  #settleDamaged(): void {
    if (this.inTransaction()) return;
    // The walk may have met an entry while another writer was changing it.
    this.store.invalidate();
    this.store.settle();
  }

  /** Throws for a key whose entry is present but damaged: a caller told that the key is missing might lose the value for good. */
  #missing(key: string): undefined {
    const { store } = this;
    const { entries, file, options } = store;
    if (!entries.damaged.has(key) || options.lenient) return undefined;
    this.#settleDamaged();
    const offset = entries.damaged.get(key);
    if (offset === undefined) return undefined;
    const message = `${file.name}: the entry of ${JSON.stringify(key)} at ${offset} is damaged; use salvage(src, dst), or open with { lenient: true }`;
    throw new MmdError('CORRUPT', message, { offset, key, path: file.name });
  }

  /**
   * The value of the entry at `place`.
   * @param counts - row counts to be read as stored already: those of a killed writer's journal, or of the open batch
   */
  view(key: string, place: EntryPlace, counts: ReadonlyMap<number, number> | undefined = this.#counts()): EntryView {
    return (this.lastView = new EntryView(this.#context(), key, place, counts));
  }

  #counts(): ReadonlyMap<number, number> | undefined {
    return this.inTransaction() ? this.writer.pendingCounts : this.store.journal?.stores;
  }

  /** Like {@link DictCore.view}, but the value is refused if anything in it is unknown. */
  strictView(key: string, place: EntryPlace): EntryView {
    const decoder = (this.#strictDecoder ??= new Decoder({
      ...this.store.options.load,
      borrow: true,
      unknown: 'error',
    }));
    return (this.lastView = new EntryView({ ...this.#context(), decoder }, key, place, this.#counts()));
  }

  /** Reads an entry; retries if another writer changed it meanwhile. */
  consistent<T>(key: string, read: (view: EntryView) => T): T | undefined {
    for (let attempt = 0; ; attempt++) {
      const view = this.find(key);
      if (view === undefined) return undefined;
      const { generation } = this.store.entries;
      try {
        const result = read(view);
        if (this.inTransaction() || this.#undisturbed(view) || attempt === ATTEMPTS) return result;
        if (this.#stillThere(view, generation)) return result;
      } catch (error) {
        if (this.inTransaction() || this.#undisturbed(view) || attempt === ATTEMPTS) throw error;
      }
    }
  }

  /**
   * Whether what was read is what the entry holds: nobody committed meanwhile, and the entry is still where it was known to be. The second
   * check is needed because known places may be out of date if commit number and size returned to former values.
   */
  #undisturbed({ key, place }: EntryView): boolean {
    const { store } = this;
    if (!store.unchanged()) return false;
    // Checked again afterwards: an in-place vacuum may have put the entry there only after something else was read there.
    if (store.entries.stands(key, place)) return store.unchanged();
    store.invalidate();
    return false;
  }

  /**
   * Whether only other entries changed: this one is alive, with the same place and length.
   * @param generation - as of when it was found: another entry may have moved there since
   */
  #stillThere(view: EntryView, generation: number): boolean {
    const again = this.find(view.key);
    if (again === undefined || again.file !== view.file || this.store.entries.generation !== generation) return false;
    return again.place.offset === view.place.offset && again.place.frameLength === view.place.frameLength;
  }

  encodeKey(key: unknown): number {
    checkKey(key);
    const length = key.length <= KEY_MAX ? encodeUtf8Into(key, this.keyBytes, 0) : Infinity;
    if (length > KEY_MAX) {
      throw new MmdError(
        'KEY_TOO_LONG',
        `a key can have at most ${KEY_MAX} bytes in UTF-8: ${JSON.stringify(key.slice(0, 40))}...`,
        {
          key,
          maximum: KEY_MAX,
        },
      );
    }
    return length;
  }

  /**
   * Like {@link DictCore.encodeKey}, for a key to be set. A tail entry's key that another writer has set can be copied and deleted.
   * @throws BAD_KEY for tail entries' keys, too: once dead, such an entry would be cut off even if its bytes are mapped
   */
  encodeNewKey(key: unknown): number {
    // While a source writes its bytes, the buffer holds the key of their entry.
    if (this.#busy !== undefined) this.idle();
    const length = this.encodeKey(key);
    const kind = tailKindOf(this.keyBytes, 0, length);
    if (kind === undefined) return length;
    throw new MmdError('BAD_KEY', `${JSON.stringify(key)} is reserved for the file's own ${kind} entry`, {
      found: key,
    });
  }

  encodeValue(value: unknown, layout: 'modern' | 'legacy' | undefined): EncodedValue {
    const spelling = layout ?? this.store.options.layout;
    const context = (this.#encodings[spelling] ??= new Encoding(this, spelling));
    for (const codec of this.codecs) {
      const encoded = codec.encode(value, context);
      if (encoded === undefined) continue;
      if (typeof encoded?.place === 'function') return encoded;
      throw wrongArgument(`what codec ${codec.name} returns`, 'an EncodedValue or undefined', encoded);
    }
    throw new MmdError('UNSUPPORTED_VALUE', 'no codec accepts this value', { found: value });
  }

  /** The encoder of plain values. */
  get entries(): EntryEncoder {
    return (this.#entries ??= new EntryEncoder());
  }

  alive(): void {
    if (this.closed) throw new MmdError('CLOSED', `${this.name}: the dict is closed`, { path: this.name });
  }

  changing(): void {
    if (this.closed) this.alive();
    if (!this.writable) {
      throw new MmdError('READ_ONLY', `${this.name}: read-only, opened with mode '${this.mode}'`, { path: this.name });
    }
  }
}
