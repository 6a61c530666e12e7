/**
 * The file as a dict sees it: where entries stand, what changed since, and whether the name still names it.
 *
 * Readers take no lock. Each look compares the commit number (through a mapping, no system call) and,
 * at most once a millisecond, the file's size and identity; what was read in between is checked again after.
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
import { IndexTable } from './index-table.ts';
import { type EntriesHost, KnownEntries } from './known-entries.ts';
import type { ResolvedOptions } from './options.ts';
import { type JournalPlace, journalOf, stillActive, tailJournal } from './stranded.ts';
import { checkByIndex, lastOf, type Walk, walkAhead, walkToEnd } from './walk.ts';

/** Attempts of a lock-free look at a file that changes; then the lock is taken. */
const ATTEMPTS = 20;

/** Bytes that one look ahead of the lock takes in: half a millisecond's work at most. */
const LOOK_AHEAD = 128 * 1024;

/** Commit numbers that a handle writes before it stores them through a mapping, which takes as long to make and to drop. */
const WRITTEN_NUMBERS = 100;

/** What a writer put right that a killed one had left. */
export interface Repair {
  readonly kind: 'torn-tail' | 'unclaimed-bytes' | 'partial-commit' | 'journal' | 'unfinished-growth';
  readonly offset: number;
  /** Bytes cut off the file. */
  readonly bytes: number;
}

type Damage = ScanEnd & { readonly kind: 'damage' };

/** What a handle knows of its file. */
export class DictStore implements EntriesHost {
  file: StorageFile;
  readonly options: ResolvedOptions;
  /** Commits are to reach the disk one by one. */
  readonly durable: boolean;
  readonly entries: KnownEntries;
  /** As of the last look. */
  commitNumber = -1;
  /** File offset where the next entry goes: of the first tail entry, or else of the terminator. */
  end: number = HEADER_SIZE;
  /** File offset of the terminator. */
  terminator: number = HEADER_SIZE;
  /** The file's size at the last look. More than `terminator` + 11: bytes that no commit claimed. */
  size = 0;
  /** Another writer committed: entries known to be live may be dead by now. */
  statesUnknown = false;
  /** The terminator is one that a crash cut: it reads as one, but is to be written anew. */
  partial = false;
  readonly repairs: Repair[] = [];
  /** Why the walk did not reach a terminator. */
  torn: Damage | undefined;
  /** Why another walk did not, if nobody has looked since. */
  #walkEnd: Damage | undefined;
  /** What a killed writer committed, but did not finish. */
  journal: Journal | undefined;
  /** Journals that another writer has appended behind, while they are not done. */
  stranded: readonly JournalPlace[] = [];
  /** The last entry, where others may have been at it: whoever was may have been killed in the middle of changing its length. */
  foundLast: LastEntry | undefined;
  /** The newest index that the file holds, as far as is known; the next one may refer to it. */
  index: IndexTable | undefined;
  #number: Uint8Array | undefined;
  #announced = 0;
  /** Old inodes, as far as arrays that are mapped of them are held. */
  #retired: WeakRef<StorageFile>[] = [];
  readonly #anchor = new Anchor();
  /** When size and identity were looked at last, by `Date.now()`: the first use of `performance` takes Node 1.3 ms. */
  lookedAt: number;
  #stale = true;
  /** The name was gone at the last look, and nobody has asked yet whether the file has another: who changes it does. */
  #nameless = false;
  /**
   * What is known was looked at, or written, under the lock. Without it a change may have been met half way, by one who was killed
   * before the commit number told of the rest.
   */
  #certain = false;
  /** Something came up since the file was opened that this handle had not done: others are at work. */
  #shared = false;
  /** The terminator's last bytes, `d.`. */
  #opcodes: Uint8Array | undefined;
  /** Entries of later commits than {@link DictStore.commitNumber} are known. */
  #ahead = false;

  /** @param lookedAt - `Date.now()` of when the name was last seen to name the file */
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

  /** The file is the empty one that this handle has just written under the lock: nothing is to be read. */
  created(): void {
    this.commitNumber = 0;
    this.size = EMPTY_SIZE;
    this.#stale = false;
    this.#certain = true;
  }

  /**
   * Notices what others did since the last look.
   * @param locked - the lock is held: nobody changes anything now
   * @returns true if anything changed
   */
  refresh(locked = false): boolean {
    const now = Date.now();
    const quiet =
      !this.#stale && !this.#ahead && now === this.lookedAt && (!locked || (this.#certain && !this.#nameless));
    if (quiet && this.file.loadI32(COMMIT_NUMBER_OFFSET) === this.commitNumber && (!locked || this.#endStands()))
      return false;
    const changed = this.#fullLook(locked, now);
    // Who has the lock is about to repair what can be.
    if (this.torn !== undefined && !locked) this.checkIntact();
    return changed;
  }

  /**
   * Takes in a piece of what others appended, as far as that needs neither the lock nor a closer look: while the lock is
   * waited for, so that little is left to do once it is there. The next look goes on from here.
   * @returns true where there is more of it
   */
  lookAhead(): boolean {
    const { file, entries, end } = this;
    const commitNumber = file.loadI32(COMMIT_NUMBER_OFFSET);
    if (this.#stale || entries.base !== undefined || commitNumber === this.commitNumber) return false;
    if (mayHaveMoved(this.commitNumber, commitNumber)) return false;
    const size = file.size();
    if (size < end + TERMINATOR_SIZE || !this.#anchor.holds(this.read)) return false;
    const piece = Math.min(size, end + LOOK_AHEAD);
    const walk = walkAhead(file, end, piece, entries);
    if (walk.last < 0) return false;
    this.terminator = entryEnd(walk.last, walk.frameLength);
    this.#reached(walk, this.terminator);
    this.#ahead = true;
    this.statesUnknown = true;
    if (mayHaveMoved(commitNumber, file.loadI32(COMMIT_NUMBER_OFFSET)) || file.size() < size) this.#stale = true;
    return piece < size && !walk.closer && !this.#stale;
  }

  /** Looks at size and identity too, however short ago the last look was. */
  lookAgain(): boolean {
    return this.#fullLook(false, Date.now());
  }

  /** Whether the last look still holds, without a system call. */
  unchanged(): boolean {
    return !this.#stale && !this.#ahead && this.file.loadI32(COMMIT_NUMBER_OFFSET) === this.commitNumber;
  }

  /** What is known is not to be trusted: the next look walks the file. */
  invalidate(): void {
    this.#stale = true;
  }

  /** A walk did not come to its end. Without the lock others may be the reason: the next look tells. */
  walkBroken(damage: Damage): void {
    this.#stale = true;
    this.#walkEnd = damage;
  }

  /** This handle committed an append, and is to announce it: entries up to the terminator at `end` are known. */
  advanced(end: number, lastOffset: number, lastFrameLength: number): void {
    this.end = end;
    this.terminator = end;
    this.size = end + TERMINATOR_SIZE;
    this.foundLast = undefined;
    this.#anchor.wrote(lastOffset, lastFrameLength);
  }

  /**
   * Raises the commit number: behind a change in place, and ahead of one that others would not notice half done. Should this
   * process be killed in the middle of that, who takes the lock next looks at all that it relies on. A write, since it may be the
   * first of a change: on a file that was made immutable, or a disk that went read-only, a store would end the process by SIGBUS.
   */
  raise(): void {
    this.commitNumber = nextCommitNumber(this.commitNumber);
    this.#writeNumber();
  }

  /**
   * Raises the commit number, by which other handles see that the file changed. For a change that began with a write, once it is
   * committed. So it does not throw: who was told that a row was not appended would append it again.
   */
  announce(): void {
    this.commitNumber = nextCommitNumber(this.commitNumber);
    try {
      // Durable commits send the page to the disk each time: a store through the mapping would fault, and wait for that.
      if (this.durable || ++this.#announced <= WRITTEN_NUMBERS) this.#writeNumber();
      else this.file.storeI32(COMMIT_NUMBER_OFFSET, this.commitNumber);
    } catch {
      // A full disk that copies what is overwritten. Others see it as they see the last change of one who was killed here.
      this.invalidate();
    }
  }

  #writeNumber(): void {
    const number = (this.#number ??= new Uint8Array(4));
    putU32(number, 0, this.commitNumber);
    this.file.write(COMMIT_NUMBER_OFFSET, number);
  }

  /** This handle put the terminator over the first tail entry. */
  dropped(): void {
    this.terminator = this.end;
    this.size = this.end + TERMINATOR_SIZE;
    this.journal = undefined;
    this.index = this.standing;
  }

  /**
   * Whether the index is all that stands between the last entry and the terminator. The file is asked, for a writer that was killed,
   * or gave up its change, may have dropped it and left no other trace: call it under the lock.
   */
  endsWithIndex(): boolean {
    const { index } = this;
    return index !== undefined && index.entry === this.end && index.end === this.terminator && index.stands();
  }

  /**
   * Whether that index has so many keys that it is better left where it is when an entry is appended. Behind one whose entry is
   * damaged nobody would find anything.
   */
  indexStays(): boolean {
    const { index } = this;
    const large = index !== undefined && index.size >= this.options.standingIndex;
    return large && !this.hasSums && index.passable && this.endsWithIndex();
  }

  /**
   * Sums stand before the index, which is the way past them: whether they are damaged nobody knows who has not walked. They go before
   * the index is out of date, or followed by entries, since a walk would end there. Of an index that is damaged nothing is known.
   */
  get hasSums(): boolean {
    return this.terminator !== this.end && this.index?.entry !== this.end;
  }

  /** The next index is to be made of what was walked. */
  indexTorn(): void {
    this.index = undefined;
  }

  /** The next entry goes behind the index. */
  leaveIndex(): void {
    this.end = this.terminator;
  }

  /** The newest index that entries were appended behind, so that nobody drops it. */
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

  /** Whether the entry's state byte says live now. */
  isLive(place: EntryPlace): boolean {
    const byte = new Uint8Array(1);
    this.file.read(stateOffset(place.offset, place.frameLength), byte);
    return byte[0] === LIVE && this.journal?.deaths.has(stateOffset(place.offset, place.frameLength)) !== true;
  }

  /**
   * The catalog holds the live entries: exactly those, but for keys that came or went during the walk, which may be in it or not.
   * One that was only replaced is, since its successor is looked for.
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
      } finally {
        if (locking) file.unlock();
      }
    }
    this.checkIntact();
  }

  /** The same inside a transaction, where nobody else changes anything. */
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

  /** Throws what the last look found wrong, unless the dict was opened leniently. */
  checkIntact(): void {
    this.#refuse(this.torn);
  }

  /** The same for a walk inside a transaction, where nobody else can be the reason. */
  checkWalked(): void {
    this.#refuse(this.#walkEnd ?? this.torn);
  }

  /**
   * For who writes, or takes what a walk under the lock found for all there is: what stands behind a break would be lost.
   * @throws READ_ONLY where the dict was opened leniently
   */
  checkWhole(): void {
    this.checkWalked();
    if ((this.#walkEnd ?? this.torn) === undefined) return;
    const path = this.file.name;
    throw new MmdError('READ_ONLY', `${path}: damaged, opened leniently: salvage it first`, { path });
  }

  #refuse(torn: Damage | undefined): void {
    const { options, file, entries } = this;
    if (torn === undefined || options.lenient) return;
    throw new MmdError(
      torn.truncated ? 'TRUNCATED' : 'CORRUPT',
      `${file.name}: ${torn.message} at ${torn.offset} (expected ${torn.expected}, found ${torn.found}); ${entries.catalog.size} keys before it are readable: open with { lenient: true }, or salvage(src, dst)`,
      { offset: torn.offset, expected: torn.expected, found: torn.found, path: file.name },
    );
  }

  /** Closes the file and those that vacuums left behind. */
  close(): void {
    for (const file of this.#retired) file.deref()?.close();
    this.#retired = [];
    this.file.close();
    this.entries.close();
  }

  /** The dict goes on in another file, which has the old one's name. */
  replaceFile(file: StorageFile, locked: boolean): void {
    this.entries.fileReplaced();
    this.#retired = this.#retired.filter((retired) => retired.deref() !== undefined);
    this.#retired.push(new WeakRef(this.file));
    this.file = file;
    // Should the look fail: nothing of what is known is true of the new file.
    this.#stale = true;
    this.torn = undefined;
    this.journal = undefined;
    this.partial = false;
    this.#walkEnd = undefined;
    this.#lookAtAll(this.#checkHeader(), locked);
  }

  /** Reads the tail index of a file that nothing is known of, or else all entries. */
  #lookAtAll(commitNumber: number, locked: boolean): void {
    const size = this.file.size();
    if (size >= EMPTY_SIZE && this.#useIndex(commitNumber, size)) this.#certain = locked;
    else this.#look(locked, true);
  }

  /**
   * Others may have put anything where the dict was.
   * @returns the commit number; none has -1, which stands for that of a file that is to be rescued
   * @throws NOT_A_PICKLE, NOT_MMDPICKLE, TRUNCATED
   */
  #checkHeader(): number {
    return this.options.salvage ? -1 : decodeHeader(this.read(0, HEADER_SIZE), this.file.name).commitNumber;
  }

  #useIndex(commitNumber: number, size: number): boolean {
    const base = BaseIndex.of(this.file, size, commitNumber);
    if (base === undefined) return false;
    const { newest } = base;
    this.#reset();
    this.entries.useBase(base);
    this.index = newest;
    this.end = base.end;
    this.terminator = size - TERMINATOR_SIZE;
    this.size = size;
    this.commitNumber = commitNumber;
    this.entries.memoHint = newest.memoHint;
    this.#stale = false;
    const last = newest.entry === this.end;
    this.#anchor.takeTail(
      this.end,
      last ? newest.head : this.read(this.end, Math.min(ANCHOR_SIZE, newest.entry - this.end)),
    );
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

  /** Goes on in the file that has the name, where that is another one by now. Returns true if it is. */
  follow(): boolean {
    const named = this.file.identityOfName();
    if (named === undefined || isSameFile(named, this.file.identity())) return false;
    this.replaceFile(this.file.open(this.file.name, this.file.writable ? 'r+' : 'r'), false);
    return true;
  }

  #fullLook(locked: boolean, now: number): boolean {
    const named = this.file.identityOfName();
    if (named !== undefined && !isSameFile(named, this.file.identity())) {
      // Under the lock of a file that lost its name nothing is to be done: the caller locks the new one.
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
      // Opened to be rescued: it has no commit number, either.
      return false;
    }
    const commitNumber = this.file.loadI32(COMMIT_NUMBER_OFFSET);
    this.lookedAt = now;
    // Found under the lock: nothing else is to be found until somebody commits, or repairs it.
    const known = this.torn !== undefined && commitNumber === this.commitNumber && size === this.size;
    if (known && !locked && !this.options.lenient) return false;
    if (!this.#stale && !this.#ahead && commitNumber === this.commitNumber && size === this.size) {
      if (!locked) return false;
      if ((this.#certain || this.#anchor.holds(this.read)) && this.#endStands()) {
        // One who was killed may have let an entry die after the number told of it, and after the last look met it alive.
        if (!this.#certain && this.#shared) this.statesUnknown = true;
        this.#certain = true;
        return false;
      }
      this.#stale = true;
    }
    this.#shared = true;
    // What is known is of a later commit where it was looked ahead.
    const whole =
      this.#stale ||
      mayHaveMoved(this.commitNumber, commitNumber) ||
      (this.#ahead && commitNumber === this.commitNumber) ||
      size < this.end + TERMINATOR_SIZE ||
      !this.#anchor.holds(this.read);
    if (whole) this.#checkHeader();
    if (whole && this.entries.base !== undefined && this.#useIndex(commitNumber, size)) {
      this.#certain = locked;
      return true;
    }
    this.#look(locked, whole);
    return true;
  }

  /** What has no name any more would be written for nobody; what was moved away has another one. */
  #checkNotRemoved(): void {
    const { name: path } = this.file;
    if (!this.file.removed()) return;
    const message = `${path}: the file was removed while it was open; nobody could ever read what is written to it now`;
    throw new MmdError('NOT_FOUND', message, { path });
  }

  /** Whether the terminator is where it is known to be: one who was killed may have committed over it, and told nobody. */
  #endStands(): boolean {
    const { terminator: offset } = this;
    if (this.torn !== undefined || offset + TERMINATOR_SIZE > this.size) return true;
    // Its FRAME may have any length: a commit that was cut there is overwritten whole.
    return this.file.endsWith(offset + FRAME_SIZE, (this.#opcodes ??= terminator().subarray(FRAME_SIZE)));
  }

  /** The index of the base where it stands last in the file: others drop it, or leave it there for good. */
  #lastIndex(): IndexTable | undefined {
    const newest = this.entries.base?.newest;
    return newest === undefined || newest.kept || newest.entry < this.end ? undefined : newest;
  }

  /**
   * Reads what is new (or all). Without the lock a commit may come in between: what was read up to a terminator is
   * then still true, but for entries that died meanwhile; only a vacuum in place starts it over.
   */
  #look(locked: boolean, whole: boolean): void {
    let held = false;
    this.#walkEnd = undefined;
    try {
      for (let attempt = 0; ; attempt++) {
        const commitNumber = this.file.loadI32(COMMIT_NUMBER_OFFSET);
        const size = this.file.size();
        // Since it was decided that what is known still holds, entries may have moved.
        whole ||= mayHaveMoved(this.commitNumber, commitNumber);
        const index = whole ? undefined : this.#lastIndex();
        const met = this.#scan(whole, size);
        const end = whole ? checkByIndex(this.file, met, this.end, size, commitNumber) : met;
        const after = this.file.loadI32(COMMIT_NUMBER_OFFSET);
        // Where the last entry changed its room meanwhile, the walk may have gone on inside it, and even met the old terminator.
        whole =
          end !== met ||
          mayHaveMoved(commitNumber, after) ||
          this.file.size() < size ||
          !this.#anchor.holds(this.read) ||
          index?.stands() === false;
        if (end.kind === 'terminator' && !whole) {
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
          // Nothing more is to be found by looking again, until somebody commits.
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

  #scan(whole: boolean, size: number): ScanEnd {
    if (whole) this.#reset();
    else this.statesUnknown = true;
    // One that stands last may be gone.
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

  /** The next look goes on at `end`, if what the walk met last still stands there. */
  #reached(walk: Walk, end: number): void {
    this.end = end;
    const last = lastOf(walk);
    this.foundLast = last ?? this.#anchor.entry;
    if (last === undefined) return;
    this.#anchor.takeMet(this.read, last, end);
  }

  /** What journals say counts as done. */
  #readJournals(last: JournalPlace | undefined): void {
    this.stranded = answer(stillActive(this.stranded), this.read);
    this.journal = answer(journalOf(last === undefined ? this.stranded : [...this.stranded, last]), this.read);
    if (this.journal === undefined || this.journal.deaths.size === 0) return;
    this.entries.died(this.journal.deaths);
  }
}

/** The name names another file now. Internal: the writer locks that one instead. */
export class FileReplaced extends Error {}
