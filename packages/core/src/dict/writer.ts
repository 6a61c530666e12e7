/**
 * Changes to the file: each is planned, written after the terminator, and committed by one small write.
 *
 * The order of writes is that of docs/format.md, "Committing": at whatever instruction a process is killed, stock Python loads the old or
 * the new dict, and the next writer can finish or undo whatever it finds.
 *
 * @module
 */

import { MmdError } from '../errors.ts';
import type { EncodedValue } from '../format/encoded-value.ts';
import { encodeJournal } from '../format/journal.ts';
import {
  ENTRY_HEAD_SIZE,
  ENTRY_TAIL_SIZE,
  entryEnd,
  frameLengthOf,
  LIVE,
  putEntryTail,
  putTerminator,
  TERMINATOR_SIZE,
  terminator,
  toSectorEnd,
  u64Bytes,
} from '../format/layout.ts';
import { tailEntryFrame } from '../format/tail-entry.ts';
import type { KeyedEntry } from '../pickle/index.ts';
import { type AppendBuffer, AT_ONCE, writeBorderless } from './append-buffer.ts';
import type { EntryPlace } from './catalog.ts';
import { OwnEntries } from './chain.ts';
import { ChangesInPlace, kill, storeCount } from './changes-in-place.ts';
import { EntryAppender, PIECE } from './entry-appender.ts';
import type { GrowablePlace } from './growable-array.ts';
import { ReadAhead } from './read-ahead.ts';
import { checkEnd, reachesOver, repair } from './repair.ts';
import { canResize, resize } from './resize.ts';
import { type DictStore, FileReplaced } from './store.ts';
import { dropTail, finishJournal } from './tail.ts';
import type { FileReader } from './walk.ts';

const HALF_WAY = 'a change in this batch failed halfway; nothing was committed';

/** The changes of one handle, on their way to a commit. */
export class DictWriter {
  readonly #store: DictStore;
  readonly #durable: boolean;
  readonly #appender: EntryAppender;
  readonly #buffer: AppendBuffer;
  /** How many begin() are open; the outermost commits. */
  #depth = 0;
  /** A change failed half way; such a batch cannot commit. */
  #broken = false;
  /** Number of changes since the outermost begin(), and what it was at each begin() inside it. */
  #edits = 0;
  readonly #marks: number[] = [];
  /** A nested batch threw after it had changed something: that cannot be rolled back on its own. */
  #spoiled = false;
  /** The commit number at the outermost begin(). */
  #number = 0;
  readonly #changes = new ChangesInPlace();
  #changed = false;
  /** File offset of the tail entry that the commit appends; -1 for none. */
  #tailStart = -1;
  readonly #own = new OwnEntries();
  /** Called under the lock before anything is written; throws to refuse. */
  guard: (() => void) | undefined;

  constructor(store: DictStore) {
    this.#store = store;
    this.#durable = store.durable;
    this.#appender = new EntryAppender(store);
    this.#buffer = this.#appender.buffer;
  }

  /** As {@link EntryAppender.interruptible}. */
  interruptible<T>(signal: AbortSignal | undefined, change: () => T): T {
    return this.#appender.interruptible(signal, change);
  }

  /** True between begin() and the outermost commit(). */
  get active(): boolean {
    return this.#depth > 0;
  }

  /** True once this handle committed a change. */
  get changed(): boolean {
    return this.#changed;
  }

  /** Takes the lock, refreshes, and repairs what a killed writer left. Can be nested. */
  begin(lockTimeout: number = this.#store.options.lockTimeout): void {
    if (this.#depth > 0) {
      this.#depth++;
      this.#marks.push(this.#edits);
      return;
    }
    const store = this.#store;
    for (;;) {
      const { file } = store;
      file.lock(lockTimeout);
      try {
        this.guard?.();
        store.refresh(true);
        if (store.needsRepair || store.foundLast !== undefined) repair(store);
        this.#own.begin(store);
        break;
      } catch (error) {
        file.unlock();
        if (!(error instanceof FileReplaced)) throw error;
        store.lookAgain();
      }
    }
    this.#depth = 1;
    this.#number = store.commitNumber;
    this.#buffer.begin(store.file, store.end);
  }

  /** Ends one begin(); the outermost commits everything and unlocks. */
  commit(): void {
    if (this.#depth > 1) {
      this.#depth--;
      this.#marks.pop();
      // The caller may change its bytes before the outermost commit.
      if (this.#buffer.borrowed) this.settle();
      return;
    }
    if (this.#broken || this.#spoiled) {
      const message = this.#broken ? HALF_WAY : 'a nested batch threw after changing something; nothing was committed';
      this.rollback();
      throw new MmdError('UNSUPPORTED_VALUE', message);
    }
    try {
      this.#commitAll();
    } catch (error) {
      this.#undo();
      throw error;
    } finally {
      this.#end();
    }
  }

  /** Ends the outermost begin() without a commit, after the dict moved to another file that is locked too. */
  moved(): void {
    this.#buffer.begin(this.#store.file, this.#store.end);
    this.#end();
  }

  /**
   * Appends tail entries, which describe the file as it is then; there must be no others. Must be the only change between begin() and
   * commit().
   */
  appendTail(parts: readonly Uint8Array[]): void {
    this.#broken = true;
    this.#tailStart = this.#buffer.cursor;
    for (const part of parts) this.#buffer.bytes(part);
    this.#broken = false;
  }

  /** The file ends with up-to-date tail entries: closing need not write an index. */
  settled(): void {
    this.#changed = false;
  }

  /** Ends one begin() and discards everything since the outermost one. */
  rollback(): void {
    if (this.#depth > 1) {
      this.#depth--;
      this.#spoiled ||= this.#marks.pop() !== this.#edits;
      return;
    }
    try {
      // If nothing was changed, keep what is known: otherwise the next refresh would walk the file.
      const { empty, touched } = this.#buffer;
      if (!empty || touched || this.#edits > 0 || this.#broken || this.#store.commitNumber !== this.#number)
        this.#undo();
    } finally {
      this.#end();
    }
  }

  /** Writes everything appended so far to the file, so that it can be read. */
  settle(): void {
    if (this.#depth === 0 || this.#buffer.empty) return;
    const broken = this.#broken;
    this.#broken = true;
    this.#buffer.flush();
    this.#broken = broken;
  }

  /** Like {@link DictWriter.settle}, if bytes are borrowed: for callers that append many values, so that these need not be kept. */
  settleBorrowed(): void {
    if (this.#buffer.borrowed) this.settle();
  }

  /** Appends an entry; an earlier one with the key is marked dead. */
  set(key: string, keyBytes: Uint8Array, keyLength: number, value: EncodedValue): void {
    this.#startChange();
    if (this.#buffer.empty) this.#clearTail();
    const offset = this.#appender.entry(keyBytes, keyLength, value);
    this.#enter(key, keyBytes, keyLength, offset);
  }

  /** Where the next entry will begin, for {@link DictWriter.takeBack}; `undefined` for the first of a batch. */
  get mark(): number | undefined {
    return this.#buffer.empty ? undefined : this.#buffer.cursor;
  }

  /**
   * Undoes a {@link DictWriter.set} that failed while it was copying from another file, so that the batch can go on. Everything appended
   * before the copy has been written by then.
   * @param mark - as it was before the set
   */
  takeBack(mark: number | undefined): void {
    if (!this.#broken) return;
    this.#buffer.cut(mark ?? this.#buffer.base);
    this.#broken = false;
  }

  /**
   * Like {@link DictWriter.set}, for a small plain value in one piece.
   * @returns false if it is not, with nothing done
   */
  setPiece(key: string, keyLength: number, { sink, memoEnd }: KeyedEntry): boolean {
    if (!sink.whole || sink.length > PIECE) return false;
    this.#startChange();
    if (this.#buffer.empty) this.#clearTail();
    const { bytes, length } = sink;
    this.#enter(key, bytes, keyLength, this.#appender.piece(bytes, length, keyLength, memoEnd));
    return true;
  }

  /**
   * A change that fails half way leaves the buffer, or the end of the file, incomplete: the batch around it must not commit, whatever
   * follows. A change that is complete resets `#broken`.
   */
  #startChange(): void {
    if (this.#broken) throw new MmdError('UNSUPPORTED_VALUE', HALF_WAY);
    this.#broken = true;
  }

  /** Adds an appended entry to the catalog; an earlier one with the key is marked dead, at the commit if it was committed. */
  #enter(key: string, keyBytes: Uint8Array, keyLength: number, offset: number): void {
    this.#edits++;
    const { entries } = this.#store;
    const old = entries.findBytes(key, keyBytes, keyLength);
    const place = old < 0 ? undefined : entries.catalog.place(old);
    if (place !== undefined && this.#bury(key, place)) this.#changes.tombstones.set(key, place);
    const { lastFrameLength } = this.#appender;
    if (old < 0) entries.addMissing(keyBytes, keyLength, offset, lastFrameLength);
    else entries.catalog.put(keyBytes, 0, keyLength, offset, lastFrameLength);
    this.#broken = false;
  }

  /**
   * Appends the small entry of a new key and commits it, at less cost than {@link DictWriter.set} and a commit: one write, then machine
   * stores. Must be the only change between begin() and commit().
   * @returns false if that is not possible, with nothing done
   */
  setAtOnce(key: string, keyLength: number, { sink, memoEnd }: KeyedEntry): boolean {
    const store = this.#store;
    const buffer = this.#buffer;
    const { entries } = store;
    if (
      this.#depth !== 1 ||
      sink.length > AT_ONCE ||
      store.terminator !== store.end ||
      toSectorEnd(store.end) < ENTRY_HEAD_SIZE ||
      this.#durable ||
      !sink.whole ||
      !buffer.empty ||
      this.#tailStart >= 0
    ) {
      return false;
    }
    if (entries.findBytes(key, sink.bytes, keyLength) >= 0) return false;
    const frameLength = frameLengthOf(keyLength, sink.length - keyLength);
    if (memoEnd > entries.memoHint) entries.memoHint = memoEnd;
    const tail = sink.reserve(ENTRY_TAIL_SIZE + TERMINATOR_SIZE);
    const { bytes } = sink;
    const length = putTerminator(bytes, putEntryTail(bytes, tail, entries.memoHint, LIVE));
    const offset = buffer.base;
    this.#changed = true;
    // If the write fails, rollback() sees that the buffer touched the file.
    const end = buffer.commitPiece(bytes, length, frameLength, keyLength);
    store.advanced(end, offset, frameLength);
    entries.addMissing(bytes, keyLength, offset, frameLength);
    store.announce();
    buffer.begin(store.file, end);
    return true;
  }

  /**
   * Marks a key's entry dead. Returns false if there is none.
   * @throws CORRUPT if its length is wrong, or that of an earlier entry which it hides, and which would reappear
   */
  delete(key: string, readHead?: FileReader): boolean {
    const { entries } = this.#store;
    const slot = entries.find(key);
    if (slot < 0) return false;
    for (const hidden of entries.catalog.shadowed.get(key) ?? []) checkEnd(this.#store, key, hidden);
    this.#edits++;
    this.#startChange();
    const place = entries.catalog.place(slot);
    // The predecessor of an entry of this very batch was to be marked dead as replaced: now its deletion is the change.
    const { tombstones } = this.#changes;
    const committed = this.#bury(key, place, readHead) ? place : tombstones.get(key);
    tombstones.delete(key);
    if (committed !== undefined) this.#changes.delete(key, committed);
    entries.remove(key);
    this.#broken = false;
    return true;
  }

  /** Deletes all keys; the catalog must hold them all. @throws as {@link DictWriter.delete} */
  clear(): void {
    const { file, read, entries } = this.#store;
    const readHead = new ReadAhead().reader(file, read);
    for (const key of entries.catalog.keys()) this.delete(key, readHead);
  }

  /** Overwrites 8 bytes whose value follows from others, in place and immediately. */
  patch(offset: number, value: number): void {
    this.#store.file.write(offset, u64Bytes(value));
  }

  /** Overwrites bytes at the commit. */
  overwrite(offset: number, bytes: Uint8Array): void {
    this.#edits++;
    this.#changes.overwrite(offset, bytes);
  }

  /** Overwrites after this reach the disk after those before. */
  barrier(): void {
    this.#changes.barrier();
  }

  /** Stores a row count at the commit. */
  count(key: string, place: GrowablePlace, rows: number): void {
    this.#edits++;
    if (place.countOffset < this.#buffer.base) {
      this.#changes.count(key, place, rows);
      return;
    }
    // The array's entry itself is not committed yet: its count may be written immediately.
    this.settle();
    this.patch(place.countOffset, rows);
  }

  /** Stores a row count, and commits it. Must be the only change between begin() and commit(), and commits must not be durable. */
  countAtOnce(offset: number, rows: number): void {
    this.#changed = true;
    storeCount(this.#store.file, offset, rows);
    this.#store.announce();
  }

  /** Row counts that the commit will store, by file offset. */
  get pendingCounts(): ReadonlyMap<number, number> {
    return this.#changes.counts;
  }

  /** The row count that the commit will store at `offset`. */
  pendingCount(offset: number): number | undefined {
    return this.#changes.pendingCount(offset);
  }

  /**
   * Changes the room for data of the last entry's array without moving it (docs/format.md, "Growable arrays"). Call between begin() and
   * commit(), before anything was appended.
   * @returns false if it is not the last entry, or a length field could be torn
   */
  resizeLast(key: string, entry: EntryPlace, dataOffset: number, dataLength: number, newLength: number): boolean {
    const store = this.#store;
    const growth = { entry, dataOffset, dataLength, newLength };
    if (!this.#buffer.empty || !canResize(store, growth)) return false;
    this.#startChange();
    dropTail(store);
    let frameLength: number;
    store.raise();
    try {
      frameLength = resize(store, growth, this.#durable);
    } catch (error) {
      store.invalidate();
      throw error;
    }
    const newEnd = entryEnd(entry.offset, frameLength);
    store.advanced(newEnd, entry.offset, frameLength);
    store.announce();
    store.entries.resized(key, entry, frameLength);
    this.#changed = true;
    this.#buffer.begin(store.file, newEnd);
    this.#broken = false;
    return true;
  }

  /**
   * Frees the disk space of unused bytes in an entry. Checksums of the entry may cover them, with rows that were never committed there: so
   * this is a commit. Call between begin() and commit().
   */
  giveBack(offset: number, length: number): void {
    this.#changed = true;
    this.unseal();
    this.#store.raise();
    this.#store.file.punchHole(offset, length);
  }

  /** Frees disk space that was reserved ahead. */
  trim(): void {
    this.#buffer.trim();
  }

  #end(): void {
    this.#depth = 0;
    this.#tailStart = -1;
    this.#broken = false;
    if (this.#edits > 0) this.#forgetEdits();
    this.#changes.clear();
    this.#store.file.unlock();
  }

  #forgetEdits(): void {
    this.#edits = 0;
    this.#marks.length = 0;
    this.#spoiled = false;
  }

  /**
   * Marks the entry dead, and before it those that it hid: otherwise they would reappear.
   * @returns true if it is committed: then marking it has to wait for the commit
   * @throws CORRUPT if its length is wrong
   */
  #bury(key: string, place: EntryPlace, readHead?: FileReader): boolean {
    const { file, entries } = this.#store;
    const committed = place.offset < this.#buffer.base;
    this.#own.check(this.#store, key, place, readHead);
    const older = committed ? entries.hiddenInBase(key, place) : undefined;
    if (older !== undefined) this.#killHidden(older);
    const { shadowed } = entries.catalog;
    const hidden = shadowed.get(key);
    if (hidden !== undefined) {
      for (const other of hidden) this.#killHidden(other);
      shadowed.delete(key);
    }
    if (committed) {
      this.#changes.forgetCount(key);
      return true;
    }
    this.#buffer.flush();
    kill(file, place);
    return false;
  }

  /** Marks a hidden entry dead; not if its length is wrong, since the state byte there belongs to another entry. */
  #killHidden(place: EntryPlace): void {
    if (!reachesOver(this.#store, place)) kill(this.#store.file, place);
  }

  #commitAll(): void {
    const buffer = this.#buffer;
    const { size } = this.#changes;
    if (buffer.empty && size === 0) return;
    this.#changed = true;
    if (buffer.empty && this.#changes.oneWrite) this.#changeInPlace();
    else if (size === 0) this.#commitAppend();
    else this.#commitWithJournal();
  }

  /** The commit write, and the commit number right after it: from then on other writers see the new end. */
  #commitAppend(): void {
    const store = this.#store;
    const end = this.#buffer.commit(this.#durable);
    if (this.#tailStart >= 0) {
      store.terminator = end;
      store.size = end + TERMINATOR_SIZE;
      store.announce();
      return;
    }
    store.advanced(end, this.#appender.lastOffset, this.#appender.lastFrameLength);
    store.announce();
    const { tombstones } = this.#changes;
    if (tombstones.size === 0) return;
    try {
      for (const place of tombstones.values()) kill(store.file, place);
    } catch {
      // The change is committed: later entries win. The next change of these keys marks the old ones again.
      store.invalidate();
    }
  }

  /** One delete, or one row count: the write is the commit. */
  #changeInPlace(): void {
    const { file } = this.#store;
    const durable = this.#durable;
    this.unseal();
    if (!this.#changes.countsOnly) this.#store.raise();
    // Rows must be on disk before their count, and deaths of replaced entries before that of their successor.
    if (durable) file.sync();
    this.#changes.apply(file);
    if (durable) file.sync();
    this.#store.announce();
  }

  /** Changes in several places: a journal lists them, and its commit is the commit; then they are carried out, and it is dropped. */
  #commitWithJournal(): void {
    const store = this.#store;
    const buffer = this.#buffer;
    const journal = this.#changes.journal();
    if (buffer.empty) dropTail(store);
    const start = buffer.cursor;
    const last = this.#appender.lastOffset;
    const payload = encodeJournal(journal);
    const program = this.#changes.program((key) => store.entries.find(key) >= 0);
    const { prefix, suffix } = tailEntryFrame('journal', payload.length, store.entries.memoHint, program);
    buffer.bytes(prefix);
    buffer.bytes(payload);
    buffer.bytes(suffix);
    const terminator = buffer.commit(this.#durable);
    if (start > buffer.base) store.advanced(start, last, this.#appender.lastFrameLength);
    store.terminator = terminator;
    store.size = terminator + TERMINATOR_SIZE;
    store.journal = journal;
    store.announce();
    try {
      finishJournal(store, journal);
      store.raise();
    } catch {
      // The change is committed; the journal stays, and its changes count as done. The next writer carries them out.
      store.invalidate();
    }
  }

  /** Makes room for an entry after the last one. */
  #clearTail(): void {
    const store = this.#store;
    if (store.terminator === store.end) return;
    if (store.indexStays()) {
      store.leaveIndex();
      this.#buffer.begin(store.file, store.end);
    } else dropTail(store);
  }

  /**
   * Drops the checksums before the first byte that they cover changes, even if it is in rows not yet committed: otherwise a kill, or a
   * batch that is rolled back, would leave checksums of other bytes. Call between begin() and commit().
   */
  unseal(): void {
    if (!this.#store.hasSums) return;
    this.#changed = true;
    dropTail(this.#store);
  }

  /**
   * Marks entries dead that later ones with their keys hide, which a killed writer did not get to. A handle that opens by the index would
   * not know of them, and bring them back by deleting what hides them. Call between begin() and commit().
   * @param isReadable - whether the key's value is: if not, the hidden entry may be all that is left of the key
   */
  buryHidden(isReadable: (key: string) => boolean): void {
    const { file, entries } = this.#store;
    const hidden = entries.allHiddenInBase();
    const { shadowed } = entries.catalog;
    for (const [key, places] of shadowed) {
      if (!isReadable(key)) continue;
      hidden.push(...places);
      shadowed.delete(key);
      // Without them the key comes where its last entry is in the order of keys: the next refresh walks.
      this.#store.invalidate();
    }
    if (hidden.length === 0) return;
    if (this.#durable) file.sync();
    for (const place of hidden) this.#killHidden(place);
  }

  /** Puts the terminator back where it was and drops what was written after it. */
  #undo(): void {
    const store = this.#store;
    const { file } = store;
    const buffer = this.#buffer;
    store.invalidate();
    if (!buffer.touched) return;
    try {
      writeBorderless(file, buffer.base, terminator(), false);
      file.truncate(buffer.base + TERMINATOR_SIZE);
    } catch {
      // The error that led here is the one to report; the next begin() finds what is left and repairs it.
    }
  }
}
