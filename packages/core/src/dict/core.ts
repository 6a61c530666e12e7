/**
 * What every operation of a dict stands on: finding and reading entries, and changing them in transactions.
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

/** Attempts of a read that other writers disturb. */
const ATTEMPTS = 100;

/** An entry's bytes are being written, by a source that may be user code. */
const LAYING = 'the bytes of a value cannot change the dict they are stored in';

/** What codecs are given. */
class Encoding implements EncodeContext {
  /**
   * An empty array on its way to a file, for the hidden classes of all that takes part. V8 drops one, and the code compiled for
   * it, at a collection that finds no object of it alive, and nothing of an array outlives the call that stores it.
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
 * The machinery of one open dict. What reading a few values does not need is made when it is first asked for: in a
 * process that opens a file once, each object costs microseconds of code that was never run before.
 */
export class DictCore {
  readonly mode: DictMode;
  readonly writable: boolean;
  readonly store: DictStore;
  readonly codecs: readonly ValueCodec[];
  /**
   * The last view is kept only for its class: V8 drops a hidden class, and the code compiled for it, at a collection
   * that finds no object of it alive, and every get after it would start in the interpreter.
   */
  lastView: EntryView | undefined;
  /** The same for the last growable array. */
  lastGrowable: GrowableArray | undefined;
  closed = false;
  /** No codec of the user's is asked before ours. */
  readonly #plain: boolean;
  /** Why nothing can be changed now: user code is called in the middle of something. */
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

  /** @param openedAt - `Date.now()` of when the file was opened by its name, where that was just now */
  constructor(file: StorageFile, options: DictOptions, openedAt?: number) {
    checkOptions(options, DICT_OPTIONS);
    if (typeof (file as Partial<StorageFile> | undefined)?.read !== 'function') {
      throw new MmdError(
        'INVALID_ARGUMENT',
        `a dict stands over a storage file, found ${typeof file}: give MemoryFile.of(bytes), or open a path with MmapDict.open of @mmdpickle/core/node`,
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
    // One that was opened by its name was made for this handle, perhaps with its header in it.
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

  /** Notices other writers' commits; inside a transaction there are none. */
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
      // After the value: a codec is user code, and may have set something else, by the same key buffer.
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

  /** An error says for which key: who stores a thousand values finds the one. */
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

  /** The same for a key that {@link DictCore.encodeKey} has just encoded. */
  place(key: string, keyLength: number, value: EncodedValue): void {
    this.#busy = LAYING;
    try {
      this.writer.set(key, this.keyBytes, keyLength, value);
    } finally {
      this.#busy = undefined;
    }
  }

  /** Runs work that calls user code, which must not change the dict, nor close it, in between. */
  alone<T>(operation: string, work: () => T): T {
    this.#busy = `${operation} is under way: what it calls cannot change the dict`;
    try {
      return work();
    } finally {
      this.#busy = undefined;
    }
  }

  /** @throws INVALID_ARGUMENT inside a batch, or where something calls user code in its middle */
  outsideBatch(operation: string): void {
    this.idle();
    if (!this.inTransaction()) return;
    throw new MmdError('INVALID_ARGUMENT', `${this.name}: ${operation} inside a batch: end the batch first`, {
      path: this.name,
    });
  }

  /** @throws INVALID_ARGUMENT where something calls user code in its middle */
  idle(): void {
    if (this.#busy === undefined) return;
    throw new MmdError('INVALID_ARGUMENT', `${this.name}: ${this.#busy}`, { path: this.name });
  }

  /** What the first codec that claims an entry says of it. */
  describe(view: EntryView): readonly [codec: ValueCodec, meta: ValueMeta] {
    for (const codec of this.codecs) {
      const meta = codec.describe(view);
      if (meta !== undefined) return [codec, meta];
    }
    throw new MmdError('CORRUPT', `no codec reads the value of ${JSON.stringify(view.key)}`, { key: view.key });
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

  /** Makes an empty dict of an empty file. */
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

  /** The array at the end is not whole: whoever appends behind it, and knows nothing of that, hides what they append from Python. */
  #growthCut(): boolean {
    const { foundLast } = this.store;
    if (!this.writable || foundLast === undefined) return false;
    try {
      return lastGrowthCut(this.store, foundLast) !== undefined;
    } catch (error) {
      // Others changed it while it was looked at; the first change of this handle looks again, under the lock.
      if (isMmdError(error, 'IO')) throw error;
      return false;
    }
  }

  /** A tail that no commit claimed is repaired when the file is opened for writing. */
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
   * @param attempt - how often others came in between
   */
  find(key: string, attempt = 0): EntryView | undefined {
    checkKey(key);
    this.refresh();
    const { store } = this;
    // Asked before: where the index turns out to be torn, the file is walked, later than it was looked at.
    const walked = store.entries.base === undefined;
    const slot = store.entries.find(key);
    // The index led to an entry that is dead, but may have a successor that came since.
    if (slot < 0) {
      if (this.inTransaction()) store.checkWalked();
      const told = walked || this.inTransaction() || store.unchanged();
      return told || attempt === ATTEMPTS ? this.#missing(key) : this.find(key, attempt + 1);
    }
    if (this.inTransaction()) this.writer.settle();
    const place = store.entries.catalog.place(slot);
    if (store.statesUnknown && !store.isLive(place)) {
      // By the length that it had before it grew, the byte is any byte of the data.
      if (!store.entries.stands(key, place)) store.invalidate();
      store.entries.remove(key);
      // Replaced, not deleted, where its successor stands behind what was seen so far: that came before the death.
      return !this.inTransaction() && store.lookAgain() ? this.find(key, attempt) : undefined;
    }
    return this.view(key, place);
  }

  /** Nobody is told that a key is missing whose entry is there, but damaged: what comes of that is lost for good. */
  #missing(key: string): undefined {
    const { store } = this;
    const { entries, file, options } = store;
    if (!entries.damaged.has(key) || options.lenient) return undefined;
    if (!this.inTransaction()) {
      // It may have been met while somebody was at it.
      store.invalidate();
      store.settle();
    }
    const offset = entries.damaged.get(key);
    if (offset === undefined) return undefined;
    const message = `${file.name}: the entry of ${JSON.stringify(key)} at ${offset} is damaged: salvage(src, dst), or open with { lenient: true }`;
    throw new MmdError('CORRUPT', message, { offset, key, path: file.name });
  }

  /**
   * The value of the entry at `place`.
   * @param counts - row counts that are to be stored count as stored, by whoever it is to be: a journal of one who was killed, or
   *   the open batch
   */
  view(key: string, place: EntryPlace, counts: ReadonlyMap<number, number> | undefined = this.#counts()): EntryView {
    return (this.lastView = new EntryView(this.#context(), key, place, counts));
  }

  #counts(): ReadonlyMap<number, number> | undefined {
    return this.inTransaction() ? this.writer.pendingCounts : this.store.journal?.stores;
  }

  /** The same of a value that is refused where anything in it is not known. */
  strictView(key: string, place: EntryPlace): EntryView {
    const decoder = (this.#strictDecoder ??= new Decoder({
      ...this.store.options.load,
      borrow: true,
      unknown: 'error',
    }));
    return (this.lastView = new EntryView({ ...this.#context(), decoder }, key, place, this.#counts()));
  }

  /** Reads an entry; again if it was changed by another writer meanwhile. */
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
   * What was read is what the entry holds: nobody committed meanwhile, and it stands where it was known to. For what is known
   * may be out of date where commit number and size came back to what they were.
   */
  #undisturbed({ key, place }: EntryView): boolean {
    const { store } = this;
    if (!store.unchanged()) return false;
    // Again after that: a vacuum in place may have put the entry there anew since, where something else was read.
    if (store.entries.stands(key, place)) return store.unchanged();
    store.invalidate();
    return false;
  }

  /**
   * Appends of others do not disturb: the entry is where it was, as long as it was, and alive.
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
        `a key has at most ${KEY_MAX} bytes in UTF-8: ${JSON.stringify(key.slice(0, 40))}...`,
        {
          key,
          maximum: KEY_MAX,
        },
      );
    }
    return length;
  }

  /**
   * The same of a key that is to be set. Where other writers have set those of tail entries, they are copied and deleted as any other.
   * @throws BAD_KEY for them, too: once it is dead, such an entry would be cut off under those who have mapped it
   */
  encodeNewKey(key: unknown): number {
    // While a source gives its bytes, the buffer holds the key that they are stored under.
    if (this.#busy !== undefined) this.idle();
    const length = this.encodeKey(key);
    const kind = tailKindOf(this.keyBytes, 0, length);
    if (kind === undefined) return length;
    throw new MmdError('BAD_KEY', `${JSON.stringify(key)} is what the file's own entries for its ${kind} are called`, {
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
      throw wrongArgument(`what codec ${codec.name} gives`, 'an EncodedValue, or undefined', encoded);
    }
    throw new MmdError('UNSUPPORTED_VALUE', 'no codec takes this value', { found: value });
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
      throw new MmdError('READ_ONLY', `${this.name}: opened with mode '${this.mode}'`, { path: this.name });
    }
  }
}
