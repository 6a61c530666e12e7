/**
 * The file as a dict sees it: where its entries are, what changed since the last refresh, and whether the name still refers to it.
 *
 * Readers take no lock. Each refresh compares the commit number (through a mapping, without a system call) and, at most once a millisecond,
 * the file's size and identity; what was read meanwhile is verified afterwards.
 *
 * @module
 */

import { newBytes } from '../bytes/index.ts';
import { MmdError } from '../errors.ts';
import type { Journal } from '../format/journal.ts';
import {
  COMMIT_NUMBER_OFFSET,
  decodeHeader,
  EMPTY_SIZE,
  entryEnd,
  FRAME_SIZE,
  HEADER_SIZE,
  LIVE,
  mayHaveMoved,
  nextCommitNumber,
  putU32,
  stateOffset,
  TERMINATOR_SIZE,
  terminator,
} from '../format/layout.ts';
import { answer, type ScanEnd } from '../format/scan.ts';
import { isSameFile, type StorageFile } from '../storage/storage-file.ts';
import { ANCHOR_SIZE, Anchor, type LastEntry } from './anchor.ts';
import { BaseIndex } from './base-index.ts';
import type { EntryPlace } from './catalog.ts';
import { cleanUp } from './clean-up.ts';
import { IndexTable } from './index-table.ts';
import { type EntriesHost, KnownEntries } from './known-entries.ts';
import type { ResolvedOptions } from './options.ts';
import { type JournalPlace, journalOf, stillActive, tailJournal } from './stranded.ts';
import { checkByIndex, type FileReader, lastOf, type Walk, walkAhead, walkToEnd } from './walk.ts';

/** How often a lock-free refresh of a changing file is tried before the lock is taken. */
const ATTEMPTS = 20;

/** Bytes that one {@link DictStore.lookAhead} reads: half a millisecond's work at most. */
const LOOK_AHEAD = 128 * 1024;

/** How many commit numbers a handle writes before it stores them through a mapping, which takes as long to create and drop. */
const WRITTEN_NUMBERS = 100;

/** What a writer repaired after a killed one. */
export interface Repair {
  readonly kind: 'torn-tail' | 'unclaimed-bytes' | 'partial-commit' | 'journal' | 'unfinished-growth';
  readonly offset: number;
  /** Bytes cut off the end of the file. */
  readonly bytes: number;
}

type Damage = ScanEnd & { readonly kind: 'damage' };

/** What a handle knows of its file. */
export class DictStore implements EntriesHost {
  file: StorageFile;
  readonly options: ResolvedOptions;
  /** Each commit is flushed to disk. */
  readonly durable: boolean;
  readonly entries: KnownEntries;
  /** As of the last refresh. */
  commitNumber = -1;
  /** File offset where the next entry goes: of the first tail entry, or else of the terminator. */
  end: number = HEADER_SIZE;
  /** File offset of the terminator. */
  terminator: number = HEADER_SIZE;
  /** The file's size at the last refresh. More than `terminator` + 11: there are bytes that no commit claimed. */
  size = 0;
  /** Another writer committed: entries known to be live may be dead by now. */
  statesUnknown = false;
  /** A crash interrupted the commit write: the terminator reads as one, but must be rewritten. */
  partial = false;
  readonly repairs: Repair[] = [];
  /** Why the walk did not reach a terminator. */
  torn: Damage | undefined;
  /** Why another walk did not, if there was no refresh since. */
  #walkEnd: Damage | undefined;
  /** What a killed writer committed, but did not finish. */
  journal: Journal | undefined;
  /** Unfinished journals that another writer has appended after. */
  stranded: readonly JournalPlace[] = [];
  /** The last entry, if others may have changed it: a writer may have been killed while changing its length. */
  foundLast: LastEntry | undefined;
  /** The newest known index in the file; the next one may refer to it. */
  index: IndexTable | undefined;
  #number: Uint8Array | undefined;
  #announced = 0;
  /** Old inodes, while arrays mapped from them are still held. */
  #retired: WeakRef<StorageFile>[] = [];
  readonly #anchor = new Anchor();
  /** When size and identity were last checked, by `Date.now()`: the first use of `performance` takes Node 1.3 ms. */
  lookedAt: number;
  #stale = true;
  /** The name was gone at the last refresh. Whether the file was moved or removed is checked only before it is changed. */
  #nameless = false;
  /**
   * What is known was read, or written, under the lock. Otherwise a change may have been seen half done, by a writer that was killed before
   * it raised the commit number for the rest.
   */
  #certain = false;
  /** Since the file was opened, there was a change that this handle had not made: there are other writers. */
  #shared = false;
  /** The terminator's last bytes, `d.`. */
  #opcodes: Uint8Array | undefined;
  /** Entries of commits later than {@link DictStore.commitNumber} are known. */
  #ahead = false;

  /** @param lookedAt - `Date.now()` of when the name was last seen to refer to the file */
  constructor(file: StorageFile, options: ResolvedOptions, lookedAt = 0) {
    this.file = file;
    this.options = options;
    this.durable = options.durability === 'commit';
    this.entries = new KnownEntries(this);
    this.lookedAt = lookedAt;
  }

  /** Reads the header, and the tail index or else all entries. */
  load(): void {
    const head = this.read(0, HEADER_SIZE);
    const commitNumber = this.options.salvage ? -1 : decodeHeader(head, this.file.name).commitNumber;
    if (head.length < HEADER_SIZE) {
      const { length: found } = head;
      this.torn = {
        kind: 'damage',
        offset: found,
        truncated: true,
        message: 'the header is cut off',
        expected: HEADER_SIZE,
        found,
      };
      return;
    }
    this.#lookAtAll(commitNumber, false);
  }

  /** This handle has just written the empty dict under the lock: nothing needs to be read. */
  created(): void {
    this.commitNumber = 0;
    this.size = EMPTY_SIZE;
    this.#stale = false;
    this.#certain = true;
  }

  /**
   * Takes in what others changed since the last refresh.
   * @param locked - the lock is held: nobody else can change anything now
   * @returns true if anything changed
   */
  refresh(locked = false): boolean {
    const now = Date.now();
    const quiet =
      !this.#stale && !this.#ahead && now === this.lookedAt && (!locked || (this.#certain && !this.#nameless));
    if (quiet && this.file.loadI32(COMMIT_NUMBER_OFFSET) === this.commitNumber && (!locked || this.#endStands()))
      return false;
    const changed = this.#fullLook(locked, now);
    // With the lock held, the caller is about to repair what can be repaired.
    if (this.torn !== undefined && !locked) this.checkIntact();
    return changed;
  }

  /**
   * Takes in a part of what others appended, as far as that requires neither the lock nor a closer check. Called while waiting for the
   * lock, so that little is left to do once it is held. The next refresh continues from there.
   * @returns true if there is more
   */
  lookAhead(): boolean {
    const { file, entries, end } = this;
    const commitNumber = file.loadI32(COMMIT_NUMBER_OFFSET);
    if (this.#stale || entries.base !== undefined || commitNumber === this.commitNumber) return false;
    if (mayHaveMoved(this.commitNumber, commitNumber)) return false;
    const size = file.size();
    if (!this.#reaches(size) || !this.#anchor.holds(this.read)) return false;
    const piece = Math.min(size, end + LOOK_AHEAD);
    // Until the walk is complete: what it took would be taken again, and an entry would seem to hide its own successor.
    this.#stale = true;
    const walk = walkAhead(file, end, piece, entries);
    if (walk.last < 0) {
      this.#stale = false;
      return false;
    }
    this.terminator = entryEnd(walk.last, walk.frameLength);
    this.#reached(walk, this.terminator);
    this.#ahead = true;
    this.statesUnknown = true;
    this.#stale = mayHaveMoved(commitNumber, file.loadI32(COMMIT_NUMBER_OFFSET)) || !this.#reaches(file.size());
    return piece < size && !walk.closer && !this.#stale;
  }

  /** Refreshes, checking size and identity too, however recent the last refresh was. */
  lookAgain(): boolean {
    return this.#fullLook(false, Date.now());
  }

  /** Whether the last refresh is still current, without a system call. */
  unchanged(): boolean {
    return !this.#stale && !this.#ahead && this.file.loadI32(COMMIT_NUMBER_OFFSET) === this.commitNumber;
  }

  /** Marks what is known as stale: the next refresh walks the file again. */
  invalidate(): void {
    this.#stale = true;
  }

  /** A walk did not reach the terminator. Without the lock, another writer may be the reason: the next refresh finds out. */
  walkBroken(damage: Damage): void {
    this.#stale = true;
    this.#walkEnd = damage;
  }

  /** This handle committed an append, and will announce it: all entries up to the terminator at `end` are known. */
  advanced(end: number, lastOffset: number, lastFrameLength: number): void {
    this.end = end;
    this.terminator = end;
    this.size = end + TERMINATOR_SIZE;
    this.foundLast = undefined;
    this.#anchor.wrote(lastOffset, lastFrameLength);
  }

  /**
   * Raises the commit number: after a change in place, and ahead of one that others would not notice half done. If this process is killed
   * during that change, the next holder of the lock verifies everything it relies on. A write, since it may be the first one of a change:
   * on a file that was made immutable, or a disk that went read-only, a store would kill the process with SIGBUS.
   */
  raise(): void {
    const next = nextCommitNumber(this.commitNumber);
    this.#writeNumber(next);
    // Only now: if the write failed, another writer's commit may bring the number to this one.
    this.commitNumber = next;
  }

  /**
   * Raises the commit number, by which other handles see that the file changed. For a change that began with a write, and only after it is
   * committed. It therefore does not throw: a caller told that a row was not appended would append it again.
   */
  announce(): void {
    this.commitNumber = nextCommitNumber(this.commitNumber);
    try {
      // Durable commits flush the page each time: a store through the mapping would fault, and wait for that flush.
      if (this.durable || ++this.#announced <= WRITTEN_NUMBERS) this.#writeNumber(this.commitNumber);
      else this.file.storeI32(COMMIT_NUMBER_OFFSET, this.commitNumber);
    } catch {
      // A full disk on a copy-on-write file system. To other handles this looks as if the process had been killed here.
      this.invalidate();
    }
  }

  #writeNumber(commitNumber: number): void {
    const number = (this.#number ??= new Uint8Array(4));
    putU32(number, 0, commitNumber);
    this.file.write(COMMIT_NUMBER_OFFSET, number);
  }

  /** This handle overwrote the first tail entry with the terminator. */
  dropped(): void {
    this.terminator = this.end;
    this.size = this.end + TERMINATOR_SIZE;
    this.journal = undefined;
    this.index = this.standing;
  }

  /**
   * Whether there is nothing but the index between the last entry and the terminator. Reads the file, since a writer that was killed, or
   * rolled back, may have dropped the index without any other trace: call it under the lock.
   */
  endsWithIndex(): boolean {
    const { index } = this;
    return index !== undefined && index.entry === this.end && index.end === this.terminator && index.stands();
  }

  /** Whether that index is large enough to stay when an entry is appended. A walk would find nothing after one whose entry is damaged. */
  indexStays(): boolean {
    const { index } = this;
    const large = index !== undefined && index.size >= this.options.standingIndex;
    return large && !this.hasSums && index.passable && this.endsWithIndex();
  }

  /**
   * Whether checksums may precede the index; so they may before a damaged index, of which nothing is known. A handle that opened by the
   * index has not walked over them, and their entry may be damaged: they are dropped before the index goes out of date or entries are
   * appended after it, since a walk would stop there.
   */
  get hasSums(): boolean {
    return this.terminator !== this.end && this.index?.entry !== this.end;
  }

  /** The next index must be built from a walk. */
  indexTorn(): void {
    this.index = undefined;
  }

  /** The next entry goes after the index. */
  leaveIndex(): void {
    this.end = this.terminator;
  }

  /** The newest index that entries were appended after, so that it will not be dropped. */
  get standing(): IndexTable | undefined {
    const { index } = this;
    return index === undefined || index.entry < this.end ? index : index.olderIfWhole();
  }

  /** All bytes of a range of the file; fewer at its end. */
  readonly read = (offset: number, length: number): Uint8Array => {
    const bytes = newBytes(length, 'a range');
    const count = this.file.read(offset, bytes);
    return count === length ? bytes : bytes.subarray(0, count);
  };

  /** Whether the entry is live now, by its state byte and the journal. */
  isLive({ offset, frameLength }: EntryPlace, read: FileReader = this.read): boolean {
    const state = stateOffset(offset, frameLength);
    return read(state, 1)[0] === LIVE && this.journal?.deaths.has(state) !== true;
  }

  /**
   * Makes the catalog hold the live entries: exactly those, except that keys added or deleted during the walk may or may not be included. A
   * key that was only replaced is included, since its successor is looked for.
   */
  settle(): void {
    this.entries.walkAll();
    if ((this.statesUnknown || this.#stale) && this.file.size() >= HEADER_SIZE) this.#look(false, true);
    for (let attempt = 0; attempt <= ATTEMPTS && this.torn === undefined && !this.unchanged(); attempt++) {
      const { file } = this;
      const locking = attempt === ATTEMPTS;
      if (locking) file.lock(this.options.lockTimeout);
      try {
        this.#fullLook(false, Date.now());
        // If the file was replaced, the new one's index is in use.
        this.entries.walkAll();
      } finally {
        if (locking) file.unlock();
      }
    }
    this.checkIntact();
  }

  /** Like {@link DictStore.settle}, inside a transaction, where nobody else changes anything. */
  settleLocked(): void {
    this.checkWalked();
    if (!this.statesUnknown) return;
    this.entries.walkAgain();
    this.statesUnknown = false;
    this.checkWalked();
  }

  /** A killed writer left something to finish or to cut off. */
  get needsRepair(): boolean {
    const { torn, partial, journal, size, terminator } = this;
    return torn !== undefined || partial || journal !== undefined || size > terminator + TERMINATOR_SIZE;
  }

  /** Throws what the last refresh found damaged, unless the dict was opened leniently. */
  checkIntact(): void {
    this.#refuse(this.torn);
  }

  /** Like {@link DictStore.checkIntact}, for a walk inside a transaction, where no other writer can be the reason. */
  checkWalked(): void {
    this.#refuse(this.#walkEnd ?? this.torn);
  }

  /**
   * For callers that write, or rely on a walk under the lock having found everything: entries after a break would be lost.
   * @throws READ_ONLY if the dict was opened leniently
   */
  checkWhole(): void {
    this.checkWalked();
    if ((this.#walkEnd ?? this.torn) === undefined) return;
    const path = this.file.name;
    throw new MmdError('READ_ONLY', `${path}: damaged, and opened leniently; salvage it first`, { path });
  }

  #refuse(torn: Damage | undefined): void {
    const { options, file, entries } = this;
    if (torn === undefined || options.lenient) return;
    throw new MmdError(
      torn.truncated ? 'TRUNCATED' : 'CORRUPT',
      `${file.name}: ${torn.message} at ${torn.offset} (expected ${torn.expected}, found ${torn.found}); ${entries.catalog.size} keys before it are readable; open with { lenient: true }, or use salvage(src, dst)`,
      { offset: torn.offset, expected: torn.expected, found: torn.found, path: file.name },
    );
  }

  /** Closes the file, and the old ones that vacuums replaced. */
  close(): void {
    for (const file of this.#retired) cleanUp(() => file.deref()?.close());
    this.#retired = [];
    this.file.close();
    this.entries.close();
  }

  /** Continues in another file, which has taken the old one's name. */
  replaceFile(file: StorageFile, locked: boolean): void {
    this.entries.fileReplaced();
    this.#retired = this.#retired.filter((retired) => retired.deref() !== undefined);
    this.#retired.push(new WeakRef(this.file));
    this.file = file;
    // In case the refresh fails: nothing that is known is true of the new file.
    this.#stale = true;
    this.#lookAtAll(this.#checkHeader(), locked);
  }

  /** Reads the tail index of a file about which nothing is known yet, or else all entries. */
  #lookAtAll(commitNumber: number, locked: boolean): void {
    const size = this.file.size();
    if (size >= EMPTY_SIZE && this.#useIndex(commitNumber, size)) this.#certain = locked;
    else this.#look(locked, true);
  }

  /**
   * Others may have put any file in the dict's place.
   * @returns the commit number; -1, which no dict has, for a file that is opened to be salvaged
   * @throws NOT_A_PICKLE, NOT_MMDPICKLE, TRUNCATED
   */
  #checkHeader(): number {
    return this.options.salvage ? -1 : decodeHeader(this.read(0, HEADER_SIZE), this.file.name).commitNumber;
  }

  #useIndex(commitNumber: number, size: number): boolean {
    const base = BaseIndex.of(this.file, size, commitNumber);
    if (base === undefined) return false;
    const { newest } = base;
    this.#stale = true;
    this.#reset();
    // Whatever the last refresh found after the entries, or wrong, is of another state: a journal's deaths would kill other entries.
    this.journal = undefined;
    this.partial = false;
    this.torn = undefined;
    this.#walkEnd = undefined;
    this.entries.useBase(base);
    this.index = newest;
    this.end = base.end;
    this.terminator = size - TERMINATOR_SIZE;
    this.size = size;
    this.commitNumber = commitNumber;
    this.entries.memoHint = newest.memoHint;
    const last = newest.entry === this.end;
    this.#anchor.takeTail(
      this.end,
      last ? newest.head : this.read(this.end, Math.min(ANCHOR_SIZE, newest.entry - this.end)),
    );
    this.#stale = false;
    return true;
  }

  #reset(): void {
    this.#ahead = false;
    this.entries.clear();
    this.index = undefined;
    this.end = HEADER_SIZE;
    this.stranded = [];
    this.#anchor.clear();
    this.foundLast = undefined;
    this.statesUnknown = false;
  }

  /** Continues in the file that has the name, if that is another one by now. Returns true if it is. */
  follow(): boolean {
    const named = this.file.identityOfName();
    if (named === undefined || isSameFile(named, this.file.identity())) return false;
    this.replaceFile(this.file.open(this.file.name, this.file.writable ? 'r+' : 'r'), false);
    return true;
  }

  #fullLook(locked: boolean, now: number): boolean {
    const named = this.file.identityOfName();
    if (named !== undefined && !isSameFile(named, this.file.identity())) {
      // With only the old file locked, nothing may be done: the caller must lock the new one.
      if (locked) throw new FileReplaced();
      this.follow();
      this.lookedAt = now;
      return true;
    }
    if (locked && named === undefined) this.#checkNotRemoved();
    this.#nameless = !locked && named === undefined;
    const size = this.file.size();
    if (size < HEADER_SIZE) {
      this.#checkHeader();
      // Opened for salvage: such a file has no commit number, either.
      return false;
    }
    const commitNumber = this.file.loadI32(COMMIT_NUMBER_OFFSET);
    this.lookedAt = now;
    // The damage was found under the lock: nothing else can be found until somebody commits, or repairs it.
    const known = this.torn !== undefined && commitNumber === this.commitNumber && size === this.size;
    if (known && !locked && !this.options.lenient) return false;
    if (!this.#stale && !this.#ahead && commitNumber === this.commitNumber && size === this.size) {
      if (!locked) return false;
      if ((this.#certain || this.#anchor.holds(this.read)) && this.#endStands()) {
        // A killed writer may have marked an entry dead after it raised the number, and after the last refresh saw that entry live.
        if (!this.#certain && this.#shared) this.statesUnknown = true;
        this.#certain = true;
        return false;
      }
      this.#stale = true;
    }
    this.#shared = true;
    // After lookAhead(), what is known may be of a later commit.
    const whole =
      this.#stale ||
      mayHaveMoved(this.commitNumber, commitNumber) ||
      (this.#ahead && commitNumber === this.commitNumber) ||
      !this.#reaches(size) ||
      !this.#anchor.holds(this.read);
    if (whole) this.#checkHeader();
    if (whole && this.entries.base !== undefined && this.#useIndex(commitNumber, size)) {
      this.#certain = locked;
      return true;
    }
    this.#look(locked, whole);
    return true;
  }

  /** A file without a name would be written in vain; one that was moved has another name. */
  #checkNotRemoved(): void {
    const { name: path } = this.file;
    if (!this.file.removed()) return;
    const message = `${path}: the file was removed while it was open; anything written to it now would be lost`;
    throw new MmdError('NOT_FOUND', message, { path });
  }

  /** Whether the terminator is still where it is known to be: a killed writer may have committed over it without raising the number. */
  #endStands(): boolean {
    const { terminator: offset } = this;
    if (this.torn !== undefined || offset + TERMINATOR_SIZE > this.size) return true;
    // Its FRAME may have any length: a commit write that was interrupted there is overwritten as a whole.
    return this.file.endsWith(offset + FRAME_SIZE, (this.#opcodes ??= terminator().subarray(FRAME_SIZE)));
  }

  /** The base's newest index, if it comes after all entries: others may drop it, or leave it in place for good. */
  #lastIndex(): IndexTable | undefined {
    const newest = this.entries.base?.newest;
    return newest === undefined || newest.kept || newest.entry < this.end ? undefined : newest;
  }

  /**
   * Reads what is new (or everything). Without the lock others may commit meanwhile: what was read up to a terminator is still true then,
   * except for entries that died since; only an in-place vacuum forces a restart.
   */
  #look(locked: boolean, whole: boolean): void {
    let held = false;
    this.#walkEnd = undefined;
    try {
      for (let attempt = 0; ; attempt++) {
        const commitNumber = this.file.loadI32(COMMIT_NUMBER_OFFSET);
        const size = this.file.size();
        // Since the caller decided that what is known still holds, entries may have moved.
        whole ||= mayHaveMoved(this.commitNumber, commitNumber);
        // Perhaps because another handle put a new index in the place of the one that was known.
        if (attempt > 0 && whole && this.entries.base !== undefined && this.#useIndex(commitNumber, size)) {
          this.#certain = locked || held;
          return;
        }
        const index = whole ? undefined : this.#lastIndex();
        // Until the walk is complete: if a read fails, what is known is neither the old state nor the new one.
        this.#stale = true;
        const met = this.#scan(whole, size);
        const end = whole ? checkByIndex(this.file, met, this.end, size, commitNumber) : met;
        const after = this.file.loadI32(COMMIT_NUMBER_OFFSET);
        const sizeAfter = this.file.size();
        // If the last entry was resized meanwhile, the walk may have continued inside it, and may even have met the old terminator.
        whole =
          end !== met ||
          mayHaveMoved(commitNumber, after) ||
          (sizeAfter < size && (end.kind !== 'terminator' || !this.#reaches(sizeAfter))) ||
          !this.#anchor.holds(this.read) ||
          index?.stands() === false;
        // A journal, or an index, that was cut off meanwhile takes no entry with it.
        if (end.kind === 'terminator' && !whole && sizeAfter >= size) {
          this.commitNumber = commitNumber;
          this.size = size;
          this.#ahead = false;
          this.#certain = locked || held;
          if (after !== commitNumber) this.statesUnknown = true;
          this.#stale = false;
          this.torn = undefined;
          return;
        }
        if (end.kind === 'damage' && (locked || held)) {
          this.torn = end;
          this.commitNumber = commitNumber;
          this.size = size;
          // Reading again finds nothing more until somebody commits.
          this.#stale = !this.options.lenient;
          return;
        }
        if (attempt >= ATTEMPTS && !held) {
          this.file.lock(this.options.lockTimeout);
          held = true;
          whole = true;
        }
      }
    } finally {
      if (held) this.file.unlock();
    }
  }

  /** Whether a file of this size still has room for the entries that are known, and a terminator. */
  #reaches(size: number): boolean {
    return size >= this.end + TERMINATOR_SIZE;
  }

  #scan(whole: boolean, size: number): ScanEnd {
    if (whole) this.#reset();
    else this.statesUnknown = true;
    // An index at the end of the file may be gone.
    this.index = this.standing;
    const { walk, end: result } = walkToEnd(this.file, this.end, size, this.entries);
    if (walk.indexEnd > 0) this.index = IndexTable.before(this.file, walk.indexEnd) ?? this.index;
    const { tailStart, stranded } = walk;
    if (stranded.length > 0) this.stranded = [...this.stranded, ...stranded];
    const atTail = tailStart >= 0 && result.kind === 'terminator';
    this.partial = result.kind === 'terminator' && result.partial;
    this.terminator = result.offset;
    this.#reached(walk, atTail ? tailStart : result.offset);
    this.#readJournals(tailJournal(walk, result));
    return result;
  }

  /** The next refresh continues at `end`, if the last entry of the walk is still there. */
  #reached(walk: Walk, end: number): void {
    this.end = end;
    const last = lastOf(walk);
    this.foundLast = last ?? this.#anchor.entry;
    if (last === undefined) return;
    this.#anchor.takeMet(this.read, last, end);
  }

  /** Reads the journals, whose changes count as done. */
  #readJournals(last: JournalPlace | undefined): void {
    this.stranded = answer(stillActive(this.stranded), this.read);
    this.journal = answer(journalOf(last === undefined ? this.stranded : [...this.stranded, last]), this.read);
    if (this.journal === undefined || this.journal.deaths.size === 0) return;
    this.entries.died(this.journal.deaths);
  }
}

/** The name refers to another file now. Internal: the writer then locks that file instead. */
export class FileReplaced extends Error {}
