/**
 * Changes to the file: each is planned, written behind the terminator, and committed by one small write.
 *
 * The order of writes is that of docs/format.md, "Committing": whatever instruction a process dies at, stock Python
 * loads the old or the new dict, and the next writer finds nothing that it cannot finish or undo.
 *
 * @module
 */

import { MmdError } from '../errors.ts';
import { type ArrayBody, type EncodedValue, partLength } from '../format/encoded-value.ts';
import { encodeFiller } from '../format/filler.ts';
import {
  COMMIT_NUMBER_OFFSET,
  DEAD,
  ENTRY_HEAD_SIZE,
  ENTRY_TAIL_SIZE,
  frameLengthOf,
  KEY_LENGTH_LIKE_STOP,
  LIVE,
  nextCommitNumber,
  putEntryHead,
  putEntryTail,
  SECTOR,
  stateOffset,
  TERMINATOR_SIZE,
  terminator,
} from '../format/layout.ts';
import { AppendBuffer, writeBorderless } from './append-buffer.ts';
import type { EntryPlace } from './catalog.ts';
import { type DictStore, FileReplaced } from './store.ts';

const DEAD_BYTE = Uint8Array.of(DEAD);

/** The changes of one handle, on their way to a commit. */
export class DictWriter {
  readonly #store: DictStore;
  readonly #buffer: AppendBuffer;
  /** How many begin() are open; the outermost commits. */
  #depth = 0;
  /** What broke a change half way; such a batch cannot commit. */
  #broken: unknown;
  /** State bytes of entries that have a successor: they die after the commit. */
  #tombstones: EntryPlace[] = [];
  /** State bytes of deleted entries: their death is the change. */
  #deletes: EntryPlace[] = [];
  /** Row counts to store: offset and count. */
  readonly #counts = new Map<number, number>();
  #lastOffset = 0;
  #lastFrameLength = 0;
  #changed = false;
  /** Called under the lock before anything is written; throws to refuse. */
  guard: (() => void) | undefined;

  constructor(store: DictStore) {
    this.#store = store;
    this.#buffer = new AppendBuffer(store.file);
  }

  /** True between begin() and the outermost commit(). */
  get active(): boolean {
    return this.#depth > 0;
  }

  /** True once this handle committed a change. */
  get changed(): boolean {
    return this.#changed;
  }

  /** Takes the lock, looks at the file as it is now, and repairs what a killed writer left. Nests. */
  begin(lockTimeout: number = this.#store.options.lockTimeout): void {
    if (this.#depth > 0) {
      this.#depth++;
      return;
    }
    const store = this.#store;
    for (;;) {
      const { file } = store;
      file.lock(lockTimeout);
      try {
        this.guard?.();
        store.refresh(true);
        this.#repair();
        break;
      } catch (error) {
        file.unlock();
        if (!(error instanceof FileReplaced)) throw error;
        store.refresh();
      }
    }
    this.#depth = 1;
    this.#buffer.begin(store.file, store.end);
  }

  /** Ends one begin(); the outermost commits everything and unlocks. */
  commit(): void {
    if (this.#depth > 1) {
      this.#depth--;
      // The caller may change its bytes before the outermost commit.
      if (this.#buffer.borrowed) this.#writing(() => this.#buffer.flush());
      return;
    }
    if (this.#broken !== undefined) {
      const cause = this.#broken;
      this.rollback();
      throw new MmdError('UNSUPPORTED_VALUE', 'a change of this batch failed half way: nothing of it was committed', {
        cause,
      });
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

  /** Ends one begin() by giving up everything since the outermost one. */
  rollback(): void {
    if (this.#depth > 1) {
      this.#depth--;
      return;
    }
    try {
      this.#undo();
    } finally {
      this.#end();
    }
  }

  /** Everything appended so far stands in the file, so that it can be read. */
  settle(): void {
    if (this.#depth > 0 && !this.#buffer.empty) this.#writing(() => this.#buffer.flush());
  }

  /** Appends an entry; an earlier one with the key dies. */
  set(key: string, keyBytes: Uint8Array, keyLength: number, value: EncodedValue): void {
    this.#writing(() => {
      const { catalog } = this.#store;
      const offset = this.#entry(keyBytes, keyLength, value);
      const old = catalog.find(key);
      if (old >= 0) this.#bury(key, catalog.place(old), this.#tombstones);
      catalog.replace(key, offset, this.#lastFrameLength, keyLength);
    });
  }

  /** Marks a key's entry dead. Returns false if there is none. */
  delete(key: string): boolean {
    const { catalog } = this.#store;
    const slot = catalog.find(key);
    if (slot < 0) return false;
    this.#writing(() => {
      this.#bury(key, catalog.place(slot), this.#deletes);
      catalog.remove(key);
    });
    return true;
  }

  /** Stores a row count at the commit. */
  count(offset: number, rows: number): void {
    this.#counts.set(offset, rows);
  }

  /** The row count that the commit will store at `offset`. */
  pendingCount(offset: number): number | undefined {
    return this.#counts.size === 0 ? undefined : this.#counts.get(offset);
  }

  /** Gives back disk that was reserved ahead. */
  trim(): void {
    this.#buffer.trim();
  }

  #end(): void {
    this.#depth = 0;
    this.#broken = undefined;
    if (this.#tombstones.length > 0) this.#tombstones = [];
    if (this.#deletes.length > 0) this.#deletes = [];
    if (this.#counts.size > 0) this.#counts.clear();
    this.#store.file.unlock();
  }

  /** A change that fails half way leaves the buffer in pieces: the batch around it must not commit. */
  #writing(change: () => void): void {
    try {
      change();
    } catch (error) {
      this.#broken = error;
      throw error;
    }
  }

  #entry(keyBytes: Uint8Array, keyLength: number, value: EncodedValue): number {
    const buffer = this.#buffer;
    const { arena } = buffer;
    if (buffer.empty && SECTOR - (buffer.base % SECTOR) === ENTRY_HEAD_SIZE - 1) {
      // A head whose last byte lies beyond a sector's border commits only if that byte stays the same.
      this.#filler(ENTRY_HEAD_SIZE + KEY_LENGTH_LIKE_STOP + 1 + ENTRY_TAIL_SIZE, KEY_LENGTH_LIKE_STOP);
    }
    const filler = value.fillerBefore?.(buffer.cursor, keyLength) ?? 0;
    if (filler > 0) this.#filler(filler, 0);
    const offset = buffer.cursor;
    const parts = value.place(offset + ENTRY_HEAD_SIZE + keyLength);
    let valueLength = 0;
    for (const part of parts) valueLength += partLength(part);
    const frameLength = frameLengthOf(keyLength, valueLength);
    let pos = buffer.room(ENTRY_HEAD_SIZE + keyLength);
    pos = putEntryHead(arena, pos, frameLength, keyLength);
    for (let i = 0; i < keyLength; i++) arena[pos + i] = keyBytes[i]!;
    for (const part of parts) {
      if (part instanceof Uint8Array) buffer.bytes(part);
      else this.#body(part);
    }
    const store = this.#store;
    if (value.memoHint > store.memoHint) store.memoHint = value.memoHint;
    putEntryTail(arena, buffer.room(ENTRY_TAIL_SIZE), store.memoHint, LIVE);
    this.#lastOffset = offset;
    this.#lastFrameLength = frameLength;
    return offset;
  }

  #filler(size: number, keyLength: number): void {
    this.#buffer.bytes(encodeFiller(size, keyLength, this.#store.memoHint));
  }

  #body(body: ArrayBody): void {
    const buffer = this.#buffer;
    const { file } = this.#store;
    const start = buffer.cursor;
    if (body.reserve) {
      buffer.flush();
      file.allocate(start, body.nbytes);
    }
    let done = 0;
    if (body.file !== undefined) {
      buffer.flush();
      using source = file.open(body.file.path, 'r');
      file.copyFrom(source, body.file.offset, start, body.file.length);
      done = body.file.length;
      buffer.wrote(done);
    } else if (body.chunks !== undefined) {
      for (const chunk of body.chunks()) {
        if (buffer.borrowed) buffer.flush();
        buffer.bytes(chunk);
        done += chunk.length;
        // The piece stays ours until the next one is asked for: the last one need not be written now.
        if (done === body.nbytes) break;
      }
    }
    buffer.hole(body.nbytes - done);
  }

  /** The entry dies, and before it those that it hid: were it to die first, they would show. */
  #bury(key: string, place: EntryPlace, later: EntryPlace[]): void {
    const { catalog } = this.#store;
    const hidden = catalog.shadowed.get(key);
    if (hidden !== undefined) {
      for (const other of hidden) this.#kill(other);
      catalog.shadowed.delete(key);
    }
    if (place.offset < this.#buffer.base) later.push(place);
    else {
      this.#buffer.flush();
      this.#kill(place);
    }
  }

  #kill({ offset, frameLength }: EntryPlace): void {
    this.#store.file.write(stateOffset(offset, frameLength), DEAD_BYTE);
  }

  #commitAll(): void {
    const store = this.#store;
    const { file } = store;
    const durable = store.options.durability === 'commit';
    const buffer = this.#buffer;
    if (!buffer.empty) {
      const end = buffer.commit(durable);
      store.advanced(end, nextCommitNumber(store.commitNumber), this.#lastOffset, this.#lastFrameLength);
      file.storeI32(COMMIT_NUMBER_OFFSET, store.commitNumber);
      this.#changed = true;
      for (const place of this.#tombstones) this.#kill(place);
    }
    if (this.#deletes.length === 0 && this.#counts.size === 0) return;
    for (const place of this.#deletes) this.#kill(place);
    if (this.#counts.size > 0 && durable) file.sync();
    for (const [offset, rows] of this.#counts) file.storeI64(offset, BigInt(rows));
    if (durable) file.sync();
    store.commitNumber = nextCommitNumber(store.commitNumber);
    file.storeI32(COMMIT_NUMBER_OFFSET, store.commitNumber);
    this.#changed = true;
  }

  /** Puts the terminator back where it was and drops what was written behind it. */
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
      // The error that brought us here is the one to report; the next begin() finds the tail and repairs it.
    }
  }

  /** Cuts off what no commit claimed, and writes the terminator that a torn append lacks. */
  #repair(): void {
    const store = this.#store;
    const { file, torn } = store;
    if (torn !== undefined) {
      store.checkIntact();
    } else if (store.size > store.end + TERMINATOR_SIZE) {
      file.truncate(store.end + TERMINATOR_SIZE);
      store.size = store.end + TERMINATOR_SIZE;
    }
  }
}
