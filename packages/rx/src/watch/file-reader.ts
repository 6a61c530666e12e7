/**
 * Finds what changed in one file since the last look. Another file that takes over the name has a reader of its own.
 *
 * @module
 */

import { isMmdError, MmapDict, MmdError } from '@mmdpickle/core';
import {
  COMMIT_NUMBER_OFFSET,
  decodeHeader,
  HEADER_SIZE,
  LIVE,
  mayHaveMoved,
  movedCommitNumber,
} from '@mmdpickle/core/format';
import type { StorageFile } from '@mmdpickle/core/storage';
import type { ChangeDraft } from './change.ts';
import { EntryReader, STRETCH } from './entry-reader.ts';
import { type DeadEntry, type IsSame, isFiller, type Known, type SeenEntry, sumOf, WatchLedger } from './ledger.ts';
import { RowCounts } from './row-counts.ts';
import { type Budget, type Summed, ValueSums } from './value-sums.ts';

/** Entries with fewer bytes than this on average are checked by reading stretches that cover several of them. */
const CLOSE = 4096;
/** Bytes compared at both ends of rows that may have moved. */
const COMPARED = 4096;
/** How often one look reads again what changes meanwhile, such as entries that die. */
const ROUNDS = 8;
/** The most in-place vacuums between two looks that are recognised by the commit number. */
const MOST_MOVES = 32;

/** Changes that are dropped at once while everything in a file is taken as known. */
const UNTOLD = 1024;

/** The pause between two slices of a sweep, in milliseconds. */
export const SLICE_PAUSE_MS = 10;

/** How the search for dead entries, a sweep, is spread over time. */
export interface SweepPace {
  /** Dicts of up to this many entries are swept at once, whatever time it takes. */
  readonly always: number;
  /** How long one look at a larger dict sweeps, in milliseconds, and how many entries it checks before it asks the clock. */
  readonly sliceMs: number;
  readonly step: number;
  readonly pauseMs: number;
  /** While others append, sweeps take at most one part in this many of the time, */
  readonly share: number;
  /** and after a commit that nothing else explains, one in this many. */
  readonly soonShare: number;
}

const PACE: SweepPace = { always: 1024, sliceMs: 2, step: 64, pauseMs: SLICE_PAUSE_MS, share: 200, soonShare: 10 };

/** Follows one inode. */
export class FileReader {
  readonly file: StorageFile;
  readonly dict: MmapDict;
  ledger: WatchLedger = new WatchLedger(HEADER_SIZE);
  commitNumber = -1;
  #size = -1;
  readonly #counts: RowCounts;
  readonly #entries: EntryReader;
  readonly #sums: ValueSums;
  /** How long the last sweep took, and when its last slice ended. */
  #sweepMs = 0;
  #sweptAt = -Infinity;
  /** The share of the time that the next sweep may take, as one part in so many; Infinity if none is due. */
  #sweepShare = Infinity;
  /** Appends explain all commits since the last sweep; but a writer killed in the middle of a deletion announced none. */
  #unswept = false;
  /** The entries that the sweep in progress has not reached. */
  #unreached: IterableIterator<[string, Known]> | undefined;
  readonly #pace: SweepPace;

  /**
   * @param file - owned by the reader; closed if it holds no dict and this throws
   * @param atOnce - how many growable arrays are checked for rows at each look; if there are more, they take turns
   */
  constructor(file: StorageFile, atOnce?: number, pace: SweepPace = PACE) {
    this.file = file;
    this.#pace = pace;
    try {
      this.dict = MmapDict.over(pinned(file), { mode: 'r' });
      this.#counts = new RowCounts(file, this.dict, atOnce);
      this.#entries = new EntryReader(file);
      this.#sums = new ValueSums(file, this.#entries);
    } catch (error) {
      file.close();
      throw error;
    }
  }

  /** Takes everything in the file as known. */
  skip(): void {
    // A file may have millions of entries: what is not to be told must not pile up.
    this.#takeAll(() => {
      if (this.ledger.untold >= UNTOLD) this.ledger.takeNews();
    });
  }

  /** Reports everything in the file. */
  replay(): ChangeDraft[] {
    return this.#takeAll(() => undefined);
  }

  /** @param each - called after each entry */
  #takeAll(each: () => void): ChangeDraft[] {
    this.#note();
    this.#entries.each(HEADER_SIZE, (entry) => {
      this.ledger.append(entry, this.#goesOn);
      each();
    });
    return this.#settled();
  }

  /** Continues from what was known of this file. */
  goOn(ledger: WatchLedger, commitNumber = -1): ChangeDraft[] {
    this.ledger = ledger;
    this.commitNumber = commitNumber;
    // The watcher that knew this may not have searched for dead entries yet.
    this.#sweepShare = 0;
    return this.look(false, true);
  }

  /**
   * Continues from what was known of another file. If it throws, that ledger has not changed.
   * @param anew - this file may be a rewritten version of that one
   */
  succeed(ledger: WatchLedger, anew: boolean): ChangeDraft[] {
    this.#note();
    this.ledger = ledger;
    const entries = this.#allEntries();
    this.ledger = anew
      ? ledger.moved(entries, HEADER_SIZE, this.#sameBySum(), this.#goesOn)
      : ledger.replacedBy(entries, HEADER_SIZE, this.#goesOn);
    return this.#settled();
  }

  /** What was found by a look that failed. The next look reports it too, unless it is taken before. */
  takeNews(): ChangeDraft[] {
    return this.ledger.takeNews();
  }

  /**
   * Computes missing checksums, up to `bytes` of values, so that values can be recognised in a rewritten file.
   * @throws what reading a value failed with; the checksums of the others are kept
   */
  sumUp(bytes?: number): void {
    const budget = this.#budget(bytes);
    const sums: [Known, Summed][] = [];
    const failures: unknown[] = [];
    for (const [, known] of this.ledger.entries()) {
      if (sumOf(known) !== undefined) continue;
      try {
        const found =
          known.rows === undefined
            ? this.#sums.ofValue(known, budget)
            : this.#sums.ofRows(known, known.rows, budget, known);
        if (found !== undefined) sums.push([known, found]);
      } catch (error) {
        failures.push(error);
      }
    }
    // If an in-place vacuum moved values meanwhile, other bytes were read.
    const number = this.#number();
    if (number === undefined || mayHaveMoved(this.commitNumber, number)) return;
    for (const [known, found] of sums) Object.assign(known, found);
    if (failures.length > 0) throw failures[0];
  }

  /** Whether the commit number differs from that of the last look; also if it cannot be read: a look reports why. */
  get stirred(): boolean {
    try {
      return this.#number() !== this.commitNumber;
    } catch {
      return true;
    }
  }

  /**
   * Reports what happened since the last look. If reading fails, what was found is kept for the next look, which looks for
   * the rest.
   * @param last - nobody will commit here any more, so changes by a writer that was killed before its commit are looked for now
   * @param whole - search for dead entries now, among all
   */
  look(last = false, whole: boolean = last): ChangeDraft[] {
    const { ledger } = this;
    const before = { commitNumber: this.commitNumber, size: this.#size };
    try {
      this.#look(before, last, whole);
    } catch (error) {
      if (this.ledger === ledger) {
        this.commitNumber = before.commitNumber;
        this.#size = before.size;
      }
      this.#counts.stirred(this.ledger);
      this.#sweepAgain(0);
      throw error;
    }
    return this.takeNews();
  }

  #look(before: { readonly commitNumber: number; readonly size: number }, last: boolean, whole: boolean): void {
    this.#note();
    const commits = this.commitNumber - before.commitNumber;
    if (commits === 0 && this.#size === before.size && !last) {
      if (this.#counts.waiting) this.#grown(false);
      const now = this.#sweepDue ? this.#maySweep() : this.#unswept && this.#restLeft(this.#pace.share) === 0;
      if (now) this.#sweep(whole);
      return;
    }
    const { ledger } = this;
    this.#counts.stirred(ledger);
    const moved = before.commitNumber >= 0 && mayHaveMoved(before.commitNumber, this.commitNumber);
    const entries = moved ? undefined : this.#appended();
    // An in-place vacuum, or the file was overwritten.
    if (entries === undefined) {
      decodeHeader(this.#entries.read(0, HEADER_SIZE), this.file.name);
      this.#unreached = undefined;
      const all = this.#allEntries();
      const same = onlyMoved(before.commitNumber, this.commitNumber) ? sameByShape : this.#sameBySum();
      this.ledger = ledger.moved(all, HEADER_SIZE, same, this.#goesOn);
      this.#settle();
      return;
    }
    const known = ledger.untold;
    const left = this.#rowsLeft(entries);
    ledger.appended(entries, this.#goesOn);
    this.#settle();
    // At a reader's first look, everything it knows may be out of date.
    const grown = this.#grown(last || before.size < 0) || left;
    // A single commit that appended entries did nothing else: a batch raises the number once more for its deletions.
    const added = entries.some((entry) => !isFiller(entry));
    const explained = before.commitNumber >= 0 && commits === 1 && added && !grown;
    if (explained) this.#unswept = true;
    else this.#sweepAgain(ledger.untold === known ? this.#pace.soonShare : this.#pace.share);
    // Even if this commit is explained: if others commit exactly once between any two looks, no other look would ever search.
    if (whole || (this.#sweepDue && this.#maySweep())) this.#sweep(whole);
  }

  /** Closes the file. */
  close(): void {
    this.dict.close();
  }

  /** What {@link FileReader.ledger} reports, once it is determined which dead entries were removed. */
  #settled(): ChangeDraft[] {
    this.#settle();
    return this.takeNews();
  }

  /**
   * Records which dead entries were removed. An entry dies after its replacement is committed, so entries appended since
   * the dead ones were read are processed first.
   */
  #settle(dead: DeadEntry[] = this.ledger.takeDead()): void {
    const { ledger } = this;
    for (let round = 0; dead.length > 0; round += 1) {
      const entries = round === ROUNDS ? undefined : this.#appended();
      if (entries === undefined) {
        // Others moved entries, or commit faster than this can follow: a later sweep finds these again.
        this.#sweepAgain();
        return;
      }
      this.#rowsLeft(entries);
      ledger.appended(entries, this.#goesOn);
      this.#rowsLeft(dead);
      for (const entry of dead) ledger.died(entry);
      dead = ledger.takeDead();
    }
  }

  /**
   * Records rows that were appended in place. Returns true if there are any.
   * @param all - check every array, not only those whose turn it is
   */
  #grown(all: boolean): boolean {
    const { ledger } = this;
    let grown = false;
    for (const ask of this.#counts.changed(ledger, all, this.#close ? STRETCH : 8)) {
      const { key } = ask;
      const meta = this.dict.getMeta(key);
      const rows = meta?.shape?.[0] ?? 0;
      const grew = ledger.grew(key, meta?.entryOffset ?? 0, rows);
      if (meta?.entryOffset === ask.known.offset) this.#counts.told(ask, rows);
      if (grew) this.#counts.grew(key);
      grown ||= grew;
    }
    return grown;
  }

  /**
   * Records the rows of arrays that are moved, replaced or removed before their turn came: their old place is not read
   * again. Returns true if there are any.
   */
  #rowsLeft(leaving: Iterable<{ readonly key: string }>): boolean {
    const { ledger } = this;
    let grown = false;
    if (!this.#counts.inTurns(ledger)) return grown;
    for (const { key } of leaving) {
      const known = ledger.known(key);
      if (known?.rows === undefined) continue;
      const found = this.#entries.growableAt(known.offset);
      if (found === undefined || (known.kind ?? found.kind) !== found.kind) continue;
      grown = ledger.grew(key, known.offset, found.rows) || grown;
    }
    return grown;
  }

  /** The entries after the last known one; `undefined` if that one is no longer there. */
  #appended(): SeenEntry[] | undefined {
    const { ledger } = this;
    const { last } = ledger;
    if (last === undefined) return this.entries();
    const [anchor, ...entries] = this.#entries.entries(last.offset, last.offset);
    if (anchor === undefined || anchor.offset !== last.offset || anchor.key !== last.key) return undefined;
    if (anchor.end !== ledger.end && !ledger.stretched(anchor.end, this.#entries.rowsOf(anchor)?.rows))
      return undefined;
    return entries;
  }

  /** All entries, read again if an in-place vacuum moved them meanwhile. */
  #allEntries(): SeenEntry[] {
    for (let round = 0; ; round += 1) {
      const entries = this.entries();
      const { commitNumber } = this;
      this.#note();
      if (!mayHaveMoved(commitNumber, this.commitNumber) || round === ROUNDS) {
        // What was committed since is left to the next look.
        this.commitNumber = commitNumber;
        return entries;
      }
    }
  }

  #note(): void {
    // The number is read first: a commit in between is then seen as a change at the next look.
    const number = this.#number();
    const size = this.file.size();
    if (number === undefined) {
      const { name: path } = this.file;
      throw new MmdError('TRUNCATED', `${path}: the file was truncated to ${size} bytes while it was watched`, {
        path,
        expected: HEADER_SIZE,
        found: size,
      });
    }
    this.commitNumber = number;
    this.#size = size;
  }

  /** The commit number; undefined if the file was cut before it. */
  #number(): number | undefined {
    try {
      return this.file.loadI32(COMMIT_NUMBER_OFFSET);
    } catch (error) {
      if (isMmdError(error, 'INVALID_ARGUMENT')) return undefined;
      throw error;
    }
  }

  /** All entries of the file. */
  entries(): SeenEntry[] {
    return this.#entries.entries(HEADER_SIZE);
  }

  #budget(bytes?: number): Budget {
    return this.#sums.budget(this.#close, bytes);
  }

  /** Entries are the same if their value has the known checksum; without a known checksum they are not. */
  #sameBySum(): IsSame {
    const budget = this.#budget();
    return (known, entry) => {
      const wanted = sumOf(known);
      if (wanted === undefined || !sameByShape(known, entry)) return false;
      const found =
        known.rows === undefined ? this.#sums.ofValue(entry, budget) : this.#sums.ofRows(entry, known.rows, budget);
      return found?.sum === wanted;
    };
  }

  /**
   * Whether an array continues the rows of the previous one, of the same kind: it outgrew its place, where the old rows
   * still are. An array known from a cursor is compared by its checksum, or else read at its old offset.
   */
  readonly #goesOn: IsSame = (known, entry) => {
    const { dataOffset, rows = 0 } = known;
    const wanted = dataOffset === undefined ? sumOf(known) : undefined;
    const found = wanted === undefined ? undefined : this.#sums.ofRows(entry, rows, this.#budget())?.sum;
    if (found !== undefined) return found === wanted;
    const before = dataOffset === undefined ? this.#entries.growableAt(known.offset) : known;
    const { dataOffset: from, kind } = before ?? {};
    const { dataOffset: to, rowBytes = 0 } = entry;
    if (from === undefined || to === undefined || kind !== entry.kind) return false;
    const size = rows * rowBytes;
    const length = Math.min(size, COMPARED);
    return [from, from + size - length].every((start) => {
      const before = this.#entries.read(start, length).slice();
      return Buffer.compare(before, this.#entries.read(start - from + to, length)) === 0;
    });
  };

  get #close(): boolean {
    return (this.ledger.end - HEADER_SIZE) / Math.max(1, this.ledger.size) < CLOSE;
  }

  /** Whether a sweep is in progress: the next look continues it. */
  get sweeping(): boolean {
    return this.#unreached !== undefined;
  }

  /** In how many milliseconds a sweep may begin, or the one in progress continue; Infinity if none is due. */
  get sweepIn(): number {
    if (!this.#sweepDue) return Infinity;
    return this.sweeping ? this.#left(this.#pace.pauseMs) : this.#restLeft(this.#sweepShare);
  }

  get #sweepDue(): boolean {
    return this.sweeping || this.#sweepShare < Infinity;
  }

  /** Whether a sweep that is due may begin, or the one in progress continue, now. */
  #maySweep(): boolean {
    return (!this.sweeping && this.ledger.size <= this.#pace.always) || this.sweepIn === 0;
  }

  /** What is left of the rest after the last sweep, in milliseconds, if sweeps may take one part in `share` of the time. */
  #restLeft(share: number): number {
    return this.#left(this.#sweepMs * share);
  }

  #left(pauseMs: number): number {
    return Math.max(0, this.#sweptAt + pauseMs - performance.now());
  }

  #sweepAgain(share: number = this.#pace.share): void {
    this.#sweepShare = Math.min(this.#sweepShare, share);
  }

  /**
   * Checks the state bytes of live entries: in a large dict only for a slice of time, from where the last slice ended.
   * @param whole - of all entries, in any case
   */
  #sweep(whole: boolean): void {
    const started = performance.now();
    const { ledger, file } = this;
    const { always, sliceMs, step } = this.#pace;
    const sliced = !whole && ledger.size > always;
    if (whole) this.#unreached = undefined;
    if (this.#unreached === undefined) {
      // Whatever dies from here on is announced by a later commit.
      this.#sweepShare = Infinity;
      this.#unswept = false;
      this.#sweepMs = 0;
    }
    // A Map's iterator passes over what is deleted meanwhile, and reaches what is added.
    const unreached = this.#unreached ?? ledger.entries();
    const stretch = new Uint8Array(this.#close ? STRETCH : 1);
    let start = -1;
    let filled = 0;
    let checked = 0;
    const dead: DeadEntry[] = [];
    this.#unreached = undefined;
    for (let next = unreached.next(); next.done !== true; next = unreached.next()) {
      const [key, { offset, end }] = next.value;
      const state = end - 2;
      if (!(state >= start && state < start + filled)) {
        start = state;
        filled = file.read(state, stretch);
      }
      if (filled > 0 && stretch[state - start] !== LIVE) dead.push({ key, offset });
      if (sliced && ++checked % step === 0 && performance.now() - started > sliceMs) {
        this.#unreached = unreached;
        break;
      }
    }
    // A growable array that grew in place meanwhile has data where its state byte was.
    const moved = mayHaveMoved(this.commitNumber, file.loadI32(COMMIT_NUMBER_OFFSET));
    const standing = dead.filter(({ key, offset }) => !moved && this.#entries.endOf(offset) === ledger.known(key)?.end);
    if (standing.length < dead.length) this.#sweepAgain();
    this.#sweptAt = performance.now();
    this.#sweepMs += this.#sweptAt - started;
    this.#settle(standing);
  }
}

/** Whether an entry's value is as long as the known one; a growable array's, which has spare room, must have no fewer rows. */
const sameByShape: IsSame = (known, entry) =>
  known.rows === undefined || entry.rows === undefined
    ? known.rows === entry.rows && entry.valueLength === known.valueLength
    : entry.rows >= known.rows;

/** Whether the only commits between two numbers moved entries: each of those makes the number leap once. */
function onlyMoved(known: number, found: number): boolean {
  let number = known;
  for (let i = 0; i < MOST_MOVES; i += 1) {
    number = movedCommitNumber(number);
    if (number === found) return true;
  }
  return false;
}

/** The file, as if its name always referred to it: a dict over it stays with this inode. */
function pinned(file: StorageFile): StorageFile {
  return new Proxy(file, {
    get(target, name) {
      if (name === 'identityOfName') return () => target.identity();
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}
