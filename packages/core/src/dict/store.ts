/**
 * The file as a dict sees it: where entries stand, what changed since, and whether the name still names it.
 *
 * Readers take no lock. Each look compares the commit number (through a mapping, no system call) and,
 * at most once a millisecond, the file's size and identity; what was read in between is checked again after.
 *
 * @module
 */

import { isUtf8 } from '../bytes/index.ts';
import { MmdError } from '../errors.ts';
import type { Journal } from '../format/journal.ts';
import {
  COMMIT_NUMBER_OFFSET,
  decodeHeader,
  EMPTY_SIZE,
  ENTRY_HEAD_SIZE,
  entryEnd,
  HEADER_SIZE,
  LIVE,
  mayHaveMoved,
  putU32,
  stateOffset,
  TERMINATOR_SIZE,
} from '../format/layout.ts';
import { keyOf, type ScanEnd, type ScannedEntry } from '../format/scan.ts';
import type { StorageFile } from '../storage/storage-file.ts';
import { Anchor } from './anchor.ts';
import { BaseIndex } from './base-index.ts';
import { Catalog, type EntryPlace } from './catalog.ts';
import { IndexTable } from './index-table.ts';
import type { ResolvedOptions } from './options.ts';
import { type JournalPlace, journalOf, stillActive } from './stranded.ts';
import { type EntryTaker, lastOf, type Walk, walkAhead, walkTo, walkToEnd } from './walk.ts';

/** Attempts of a lock-free look at a file that changes; then the lock is taken. */
const ATTEMPTS = 20;

/** Bytes that one look ahead of the lock takes in: half a millisecond's work at most. */
const LOOK_AHEAD = 128 * 1024;

/** Places in the catalog that are made at once at most; a file may say that it has any number of keys. */
const EXPECTED_MAX = 2 ** 20;

/** An entry whose bytes the format does not explain. */
export interface DamagedEntry {
  readonly offset: number;
  readonly key: string | undefined;
}

/** What a writer put right that a killed one had left. */
export interface Repair {
  readonly kind: 'torn-tail' | 'unclaimed-bytes' | 'partial-commit' | 'journal' | 'unfinished-growth';
  readonly offset: number;
  /** Bytes cut off the file. */
  readonly bytes: number;
}

/** What a handle knows of its file. */
export class DictStore implements EntryTaker {
  file: StorageFile;
  readonly options: ResolvedOptions;
  /** As of the last look. */
  commitNumber = -1;
  /** File offset where the next entry goes: of the first tail entry, or else of the terminator. */
  end: number = HEADER_SIZE;
  /** File offset of the terminator. */
  terminator: number = HEADER_SIZE;
  /** The file's size at the last look. More than `terminator` + 11: bytes that no commit claimed. */
  size = 0;
  memoHint = 0;
  /** Another writer committed: entries known to be live may be dead by now. */
  statesUnknown = false;
  /** The terminator is one that a crash cut: it reads as one, but is to be written anew. */
  partial = false;
  damaged: DamagedEntry[] = [];
  readonly repairs: Repair[] = [];
  /** Why the walk did not reach a terminator. */
  torn: (ScanEnd & { kind: 'damage' }) | undefined;
  /** What a killed writer committed, but did not finish. */
  journal: Journal | undefined;
  /** Journals that another writer has appended behind, while they are not done. */
  stranded: readonly JournalPlace[] = [];
  /** The last entry, where a look found it: whoever wrote it may have been killed in the middle of growing it. */
  foundLast: EntryPlace | undefined;
  /** The index that stands for entries before `base.end`; absent once the file was walked. */
  base: BaseIndex | undefined;
  /** The newest index that the file holds, as far as is known; the next one may refer to it. */
  index: IndexTable | undefined;
  /** Keys deleted since, which the base still has. */
  readonly removed: Set<string> = new Set();
  #number: Uint8Array | undefined;
  /** Old inodes whose mappings arrays may still hold. */
  readonly #retired: StorageFile[] = [];
  /** Made when first asked for: with an index few keys, or none, are put there. */
  #catalog: Catalog | undefined;
  readonly #anchor = new Anchor();
  /** By `Date.now()`: the first use of `performance` takes Node 1.3 ms. */
  #lastFullLook: number;
  #stale = true;
  /** Entries of later commits than {@link DictStore.commitNumber} are known. */
  #ahead = false;
  /** Keeps the revision rising where the catalog or the file is replaced. */
  #rebuilt = 0;

  /** @param lookedAt - `Date.now()` of when the name was last seen to name the file */
  constructor(file: StorageFile, options: ResolvedOptions, lookedAt = 0) {
    this.file = file;
    this.options = options;
    this.#lastFullLook = lookedAt;
  }

  /** Live entries; while there is a {@link DictStore.base}, only those that were looked up or came since. */
  get catalog(): Catalog {
    return (this.#catalog ??= new Catalog());
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
    const size = this.file.size();
    if (size < EMPTY_SIZE || !this.#useIndex(commitNumber, size)) this.#look(false, true);
  }

  /**
   * Notices what others did since the last look.
   * @param locked - the lock is held: nobody changes anything now
   * @returns true if anything changed
   */
  refresh(locked = false): boolean {
    const now = Date.now();
    const quiet = !this.#stale && !this.#ahead && now === this.#lastFullLook;
    if (quiet && this.file.loadI32(COMMIT_NUMBER_OFFSET) === this.commitNumber) return false;
    return this.#fullLook(locked, now);
  }

  /**
   * Takes in a piece of what others appended, as far as that needs neither the lock nor a closer look: while the lock is
   * waited for, so that little is left to do once it is there. The next look goes on from here.
   * @returns true where there is more of it
   */
  lookAhead(): boolean {
    const { file, base, end } = this;
    const commitNumber = file.loadI32(COMMIT_NUMBER_OFFSET);
    if (this.#stale || base !== undefined || commitNumber === this.commitNumber) return false;
    if (mayHaveMoved(this.commitNumber, commitNumber)) return false;
    const size = file.size();
    if (size < end + TERMINATOR_SIZE || !this.#anchor.holds(this.read)) return false;
    const piece = Math.min(size, end + LOOK_AHEAD);
    const walk = walkAhead(file, end, piece, this);
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

  /** This handle committed an append: entries up to the terminator at `end` are known. */
  advanced(end: number, commitNumber: number, lastOffset: number, lastFrameLength: number): void {
    this.end = end;
    this.terminator = end;
    this.size = end + TERMINATOR_SIZE;
    this.commitNumber = commitNumber;
    this.foundLast = undefined;
    this.#anchor.wrote(lastOffset, lastFrameLength);
  }

  /** Stores the commit number, by which other handles see that the file changed. */
  announce(): void {
    const { file, commitNumber } = this;
    if (this.options.durability !== 'commit') {
      file.storeI32(COMMIT_NUMBER_OFFSET, commitNumber);
      return;
    }
    // The page is on its way to the disk with every commit: a store through the mapping would fault, and wait for that.
    const number = (this.#number ??= new Uint8Array(4));
    putU32(number, 0, commitNumber);
    file.write(COMMIT_NUMBER_OFFSET, number);
  }

  /** This handle put the terminator over the first tail entry. */
  dropped(): void {
    this.terminator = this.end;
    this.size = this.end + TERMINATOR_SIZE;
    this.journal = undefined;
    this.index = this.standing;
  }

  /** The index is all that stands between the last entry and the terminator. */
  get endsWithIndex(): boolean {
    const { index } = this;
    return index !== undefined && index.entry === this.end && index.end === this.terminator;
  }

  /** It has so many keys that it is better left where it is when an entry is appended. */
  get indexStays(): boolean {
    return this.endsWithIndex && this.index!.size >= this.options.standingIndex;
  }

  /** The next entry goes behind the index. */
  leaveIndex(): void {
    this.end = this.terminator;
  }

  /** The newest index that entries were appended behind, so that nobody drops it. */
  get standing(): IndexTable | undefined {
    const { index } = this;
    if (index === undefined || index.entry < this.end) return index;
    const older = index.older();
    return older === 'torn' ? undefined : older;
  }

  /** Like {@link DictStore.find}, where the key's UTF-8 is at hand. */
  findBytes(key: string, bytes: Uint8Array, length: number): number {
    const slot = this.catalog.findBytes(bytes, 0, length);
    return slot >= 0 || this.base === undefined ? slot : this.find(key);
  }

  /** The slot of a key that the catalog has, or -1; a {@link DictStore.base} is not asked. */
  findKnown(key: string): number {
    return this.#catalog === undefined ? -1 : this.#catalog.find(key);
  }

  /** The slot of a live entry in the catalog, or -1. */
  find(key: string): number {
    const slot = this.findKnown(key);
    if (slot >= 0 || this.base === undefined || this.removed.has(key)) return slot;
    const place = this.base.find(key);
    if (place === undefined) return -1;
    if (place === 'torn') {
      this.walkAll();
      // The next index is made of what was walked.
      this.index = undefined;
      return this.catalog.find(key);
    }
    this.catalog.loadKey(key, place.offset, place.frameLength);
    return this.catalog.find(key);
  }

  /** The key's entry is dead, or about to be. */
  remove(key: string): void {
    this.catalog.remove(key);
    if (this.base !== undefined) this.removed.add(key);
  }

  /** Makes the catalog hold every live entry. What was appended but not committed stays in it. */
  walkAll(): void {
    const { base, catalog: known } = this;
    if (base === undefined) return;
    const removed = [...this.removed];
    this.base = undefined;
    this.#rebuilt += known.changes + 1;
    this.#catalog = new Catalog();
    const { end } = base;
    this.expect(base.newest.footer.keys);
    const result = walkTo(this.file, HEADER_SIZE, end, this);
    known.each((slot, bytes, start, stop) => {
      const { offset, frameLength } = known.place(slot);
      if (offset >= end) this.catalog.put(bytes, start, stop, offset, frameLength);
    });
    for (const key of removed) if (known.find(key) < 0) this.catalog.remove(key);
    this.removed.clear();
    if (result.kind === 'damage') this.#stale = true;
  }

  /** All bytes of a range of the file; fewer at its end. */
  readonly read = (offset: number, length: number): Uint8Array => {
    const bytes = new Uint8Array(length);
    const count = this.file.read(offset, bytes);
    return count === length ? bytes : bytes.subarray(0, count);
  };

  /** Whether the file holds an entry with the key, as long as that, where it is known to be. */
  stands(key: string, { offset, keyLength }: EntryPlace): boolean {
    const head = this.read(offset, ENTRY_HEAD_SIZE + keyLength);
    const slot = this.findKnown(key);
    return head.length === ENTRY_HEAD_SIZE + keyLength && slot >= 0 && this.catalog.isEntry(slot, head);
  }

  /** Whether the entry's state byte says live now. */
  isLive(place: EntryPlace): boolean {
    const byte = new Uint8Array(1);
    this.file.read(stateOffset(place.offset, place.frameLength), byte);
    return byte[0] === LIVE && this.journal?.deaths.includes(stateOffset(place.offset, place.frameLength)) !== true;
  }

  /** The catalog holds exactly the live entries. */
  settle(): void {
    if (this.base !== undefined) this.walkAll();
    if (this.statesUnknown || this.#stale) this.#look(false, true);
  }

  /** Changes whenever a key, or where it stands, may have changed. */
  get revision(): number {
    return this.#rebuilt + (this.#catalog?.changes ?? 0);
  }

  /** A killed writer left something to finish or to cut off. */
  get needsRepair(): boolean {
    const { torn, partial, journal, size, terminator } = this;
    return torn !== undefined || partial || journal !== undefined || size > terminator + TERMINATOR_SIZE;
  }

  /** Throws what the last walk found wrong, unless the dict was opened leniently. */
  checkIntact(): void {
    const { torn, options, file, catalog } = this;
    if (torn === undefined || options.lenient) return;
    throw new MmdError(
      torn.truncated ? 'TRUNCATED' : 'CORRUPT',
      `${file.name}: ${torn.message} at ${torn.offset} (expected ${torn.expected}, found ${torn.found}); ${catalog.size} keys before it are readable: open with { lenient: true }, or salvage(src, dst)`,
      { offset: torn.offset, expected: torn.expected, found: torn.found, path: file.name },
    );
  }

  /** Closes the file and those that vacuums left behind. */
  close(): void {
    for (const file of this.#retired) file.close();
    this.#retired.length = 0;
    this.file.close();
    if (this.#catalog !== undefined) this.#catalog = new Catalog();
    // The index itself stays, for its hidden class, as the dict does.
    this.base?.forget();
    this.removed.clear();
  }

  /** The dict goes on in another file, which has the old one's name. */
  replaceFile(file: StorageFile, locked: boolean): void {
    this.#rebuilt++;
    this.#retired.push(this.file);
    this.file = file;
    // Should the look fail: nothing of what is known is true of the new file.
    this.#stale = true;
    this.#look(locked, true);
  }

  #useIndex(commitNumber: number, size: number): boolean {
    const base = BaseIndex.of(this.file, size, commitNumber);
    if (base === undefined) return false;
    const { newest } = base;
    this.#reset();
    this.base = base;
    this.index = newest;
    this.end = base.end;
    this.terminator = size - TERMINATOR_SIZE;
    this.size = size;
    this.commitNumber = commitNumber;
    this.memoHint = newest.memoHint;
    this.#stale = false;
    this.#anchor.offset = this.end;
    if (newest.entry === this.end) this.#anchor.takeFrom(newest.head);
    else this.#anchor.take(this.read, this.terminator);
    return true;
  }

  #reset(): void {
    this.#ahead = false;
    this.#catalog?.clear();
    this.base = undefined;
    this.index = undefined;
    this.removed.clear();
    this.end = HEADER_SIZE;
    this.memoHint = 0;
    this.damaged = [];
    this.stranded = [];
    this.#anchor.clear();
    this.foundLast = undefined;
    this.statesUnknown = false;
  }

  #fullLook(locked: boolean, now: number): boolean {
    const named = this.file.identityOfName();
    const own = this.file.identity();
    if (named !== undefined && (named.ino !== own.ino || named.dev !== own.dev)) {
      // Under the lock of a file that lost its name nothing is to be done: the caller locks the new one.
      if (locked) throw new FileReplaced();
      const file = this.file.open(this.file.name, this.file.writable ? 'r+' : 'r');
      this.replaceFile(file, false);
      this.#lastFullLook = now;
      return true;
    }
    const commitNumber = this.file.loadI32(COMMIT_NUMBER_OFFSET);
    const size = this.file.size();
    this.#lastFullLook = now;
    if (!this.#stale && !this.#ahead && commitNumber === this.commitNumber && size === this.size) return false;
    // What is known is of a later commit where it was looked ahead.
    const whole =
      this.#stale ||
      mayHaveMoved(this.commitNumber, commitNumber) ||
      (this.#ahead && commitNumber === this.commitNumber) ||
      size < this.end + TERMINATOR_SIZE ||
      !this.#anchor.holds(this.read);
    if (whole && this.base !== undefined && this.#useIndex(commitNumber, size)) return true;
    this.#look(locked, whole || !this.#baseHolds());
    return true;
  }

  /** Whether the base can still be asked: others drop an index that stands last, or leave it there for good. */
  #baseHolds(): boolean {
    const newest = this.base?.newest;
    return newest === undefined || newest.kept || newest.entry < this.end || newest.stands();
  }

  /**
   * Reads what is new (or all). Without the lock a commit may come in between: what was read up to a terminator is
   * then still true, but for entries that died meanwhile; only a vacuum in place starts it over.
   */
  #look(locked: boolean, whole: boolean): void {
    let held = false;
    try {
      for (let attempt = 0; ; attempt++) {
        const commitNumber = this.file.loadI32(COMMIT_NUMBER_OFFSET);
        const size = this.file.size();
        const end = this.#scan(whole, size);
        const after = this.file.loadI32(COMMIT_NUMBER_OFFSET);
        whole = mayHaveMoved(commitNumber, after) || this.file.size() < size;
        if (end.kind === 'terminator' && !whole) {
          this.commitNumber = commitNumber;
          this.size = size;
          this.#ahead = false;
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
    const { walk, end: result } = walkToEnd(this.file, this.end, size, this);
    if (walk.indexEnd > 0) this.index = IndexTable.before(this.file, walk.indexEnd) ?? this.index;
    const { tailStart, stranded } = walk;
    if (stranded.length > 0) this.stranded = [...this.stranded, ...stranded];
    const atTail = tailStart >= 0 && result.kind === 'terminator';
    this.partial = result.kind === 'terminator' && result.partial;
    this.terminator = result.offset;
    this.#reached(walk, atTail ? tailStart : result.offset);
    this.#readJournals(atTail && walk.tail === 'journal' ? walk.lastTail : -1);
    return result;
  }

  /** The next look goes on at `end`, if what the walk met last still stands there. */
  #reached(walk: Walk, end: number): void {
    this.end = end;
    const last = lastOf(walk);
    if (last === undefined) return;
    this.foundLast = last;
    this.#anchor.offset = last.offset;
    this.#anchor.frameLength = last.frameLength;
    this.#anchor.take(this.read, end);
  }

  expect(count: number): void {
    this.catalog.expect(Math.min(count, EXPECTED_MAX));
  }

  take(entry: ScannedEntry): void {
    if (entry.memoHint > this.memoHint) this.memoHint = entry.memoHint;
    if (entry.state === 'dead') return;
    const { bytes, keyPos, keyLength, offset, frameLength } = entry;
    if (entry.state === 'damaged' || !isUtf8(bytes, keyPos, keyPos + keyLength)) {
      this.damaged.push({ offset, key: keyOf(entry) });
      return;
    }
    this.catalog.load(bytes, keyPos, keyPos + keyLength, offset, frameLength);
    if (this.removed.size > 0) this.removed.delete(keyOf(entry)!);
  }

  /** What journals say counts as done. */
  #readJournals(atTail: number): void {
    this.stranded = stillActive(this.stranded, this.read);
    this.journal = journalOf(atTail < 0 ? this.stranded : [...this.stranded, [atTail, this.terminator]], this.read);
    if (this.journal === undefined || this.journal.deaths.length === 0) return;
    const deaths = new Set(this.journal.deaths);
    const gone: string[] = [];
    this.catalog.each((slot) => {
      const { offset: entry, frameLength } = this.catalog.place(slot);
      if (deaths.has(stateOffset(entry, frameLength))) gone.push(this.catalog.key(slot));
    });
    for (const key of gone) this.remove(key);
  }
}

/** The name names another file now. Internal: the writer locks that one instead. */
export class FileReplaced extends Error {}
