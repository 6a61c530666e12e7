/**
 * Looks at one file: what changed since the last look. Another file that takes the name is another reader's matter.
 *
 * @module
 */

import { crc32 } from 'node:zlib';
import { isMmdError, MmapDict, MmdError } from '@mmdpickle/core';
import {
  answer,
  COMMIT_NUMBER_OFFSET,
  decodeHeader,
  ENTRY_HEAD_SIZE,
  ENTRY_TAIL_SIZE,
  entryEnd,
  type GrowableRows,
  getU64,
  growableRows,
  HEADER_SIZE,
  LIVE,
  mayHaveMoved,
  movedCommitNumber,
  type ScannedEntry,
  scanEntries,
  ValueReader,
} from '@mmdpickle/core/format';
import type { StorageFile } from '@mmdpickle/core/storage';
import type { ChangeDraft } from './change.ts';
import { type DeadEntry, type IsSame, isFiller, type Known, type SeenEntry, sumOf, WatchLedger } from './ledger.ts';
import { RowCounts } from './row-counts.ts';

/** The row count of a growable array is an opcode LONG1 of 8 bytes near the value's head. */
const LONG1 = 0x8a;
const HEAD = 128;
/** Entries closer than this on average are looked at through one read of a stretch. */
const CLOSE = 4096;
const STRETCH = 65_536;
/** So many bytes are compared at both ends of rows that may have moved. */
const COMPARED = 4096;
/** Looking for dead entries may take one part in so many of the time. */
const SWEEP_SHARE = 200;
/** How often one look goes after entries that die while it looks. */
const ROUNDS = 8;
/** So many entries are always looked at. */
const SWEEP_ALWAYS = 1024;
/** So many bytes of values are read at most to know entries again in a file that was written anew. */
const SUMMED_AT_ONCE = 2 ** 28;
/** Vacuums in place between two looks. */
const MOST_MOVES = 32;

/** Follows one inode. */
export class FileReader {
  readonly file: StorageFile;
  readonly dict: MmapDict;
  ledger: WatchLedger = new WatchLedger(HEADER_SIZE);
  commitNumber = -1;
  #size = -1;
  readonly #counts: RowCounts;
  readonly #head = new Uint8Array(HEAD);
  readonly #decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  #buffer = new Uint8Array(8192);
  #sweepMs = 0;
  #sweptAt = -Infinity;
  #sweepDue = false;
  /** Appends explain all commits since the last sweep, but one who was killed in the middle of a deletion told nobody of it. */
  #unswept = false;
  #stretch = new Uint8Array(0);
  #stretchStart = 0;
  #stretchLength = 0;

  /**
   * @param file - taken over, also where it holds no dict and this throws
   * @param atOnce - so many growable arrays are asked for rows at each look; where there are more they take turns
   */
  constructor(file: StorageFile, atOnce?: number) {
    this.file = file;
    try {
      this.dict = MmapDict.over(pinned(file), { mode: 'r' });
      this.#counts = new RowCounts(file, this.dict, atOnce);
    } catch (error) {
      file.close();
      throw error;
    }
  }

  /** Takes what is there now as known. */
  skip(): void {
    this.#note();
    this.#settle(this.ledger.appended(this.#entries(HEADER_SIZE), this.#goesOn));
  }

  /** Reports all that is there. */
  replay(): ChangeDraft[] {
    this.#note();
    return this.#settle(this.ledger.appended(this.#entries(HEADER_SIZE), this.#goesOn));
  }

  /** Goes on with what was known of this file. */
  goOn(ledger: WatchLedger, commitNumber = -1): ChangeDraft[] {
    this.ledger = ledger;
    this.commitNumber = commitNumber;
    // Who knew this may not have looked for dead entries yet.
    this.#sweepDue = true;
    return this.look();
  }

  /**
   * Goes on with what was known of another file.
   * @param anew - it may have been this one, before it was written anew
   */
  succeed(ledger: WatchLedger, anew: boolean): ChangeDraft[] {
    this.#note();
    this.ledger = ledger;
    const entries = this.#allEntries();
    return this.#settle(
      anew
        ? ledger.moved(entries, HEADER_SIZE, this.#sameBySum(), this.#goesOn)
        : ledger.replacedBy(entries, HEADER_SIZE, this.#goesOn),
    );
  }

  /** Takes checksums of values that have none, as many as may be read at once, so that they are known again elsewhere. */
  sumUp(bytes: number = SUMMED_AT_ONCE): void {
    const budget = this.#budget(bytes);
    const sums: [Known, Summed][] = [];
    for (const [, known] of this.ledger.entries()) {
      if (sumOf(known) !== undefined) continue;
      const found =
        known.rows === undefined ? this.#sumValue(known, budget) : this.#sumRows(known, known.rows, budget, known);
      if (found !== undefined) sums.push([known, found]);
    }
    // Of what a vacuum in place moved meanwhile something else was read.
    const number = this.#number();
    if (number === undefined || mayHaveMoved(this.commitNumber, number)) return;
    for (const [known, found] of sums) Object.assign(known, found);
  }

  /** Whether the commit number is another one than at the last look, which tells if there is none any more. */
  get stirred(): boolean {
    return this.#number() !== this.commitNumber;
  }

  /**
   * Reports what happened since the last look.
   * @param last - nobody commits here any more who would tell of what one did that was killed before it told of it
   */
  look(last = false): ChangeDraft[] {
    const before = { commitNumber: this.commitNumber, size: this.#size };
    this.#note();
    const commits = this.commitNumber - before.commitNumber;
    if (commits === 0 && this.#size === before.size && !last) {
      const grown = this.#counts.waiting ? this.#grown(false) : [];
      const now = this.#sweepDue ? this.#mayTakeTime() : this.#unswept && this.#rested();
      return now ? [...grown, ...this.#sweep()] : grown;
    }
    const { ledger } = this;
    this.#counts.stirred(ledger);
    const moved = before.commitNumber >= 0 && mayHaveMoved(before.commitNumber, this.commitNumber);
    const entries = moved ? undefined : this.#appended();
    // A vacuum in place, or somebody has written something else over it.
    if (entries === undefined) {
      decodeHeader(this.#read(0, HEADER_SIZE), this.file.name);
      const all = this.#allEntries();
      const same = onlyMoved(before.commitNumber, this.commitNumber) ? sameByShape : this.#sameBySum();
      return this.#settle(ledger.moved(all, HEADER_SIZE, same, this.#goesOn));
    }
    const left = this.#rowsLeft(entries);
    const changes = this.#settle([...left, ...ledger.appended(entries, this.#goesOn)]);
    const settled = changes.length;
    // Of what a reader knows that has looked at nothing yet all may be old.
    changes.push(...this.#grown(last || before.size < 0));
    const grown = left.length > 0 || changes.length > settled;
    // One commit that appended entries did nothing else: a batch raises the number once more for what it deletes.
    const added = entries.some((entry) => !isFiller(entry));
    if (before.commitNumber >= 0 && commits === 1 && added && !grown) {
      this.#unswept = true;
      return changes;
    }
    this.#sweepDue = true;
    if (changes.length === 0 || this.#mayTakeTime()) changes.push(...this.#sweep());
    return changes;
  }

  /** Ends with the file. */
  close(): void {
    this.dict.close();
  }

  /**
   * Tells which dead entries were removed. An entry dies after the one that replaces it is committed: so what came
   * since the dead ones were read is looked at first.
   */
  #settle(changes: ChangeDraft[], dead: DeadEntry[] = this.ledger.takeDead()): ChangeDraft[] {
    const { ledger } = this;
    for (let round = 0; dead.length > 0; round += 1) {
      if (round === ROUNDS) {
        // Others commit faster than this can follow: a later sweep finds these again.
        this.#sweepDue = true;
        break;
      }
      const entries = this.#appended();
      if (entries === undefined) {
        this.#sweepDue = true;
        break;
      }
      changes.push(...this.#rowsLeft(entries), ...ledger.appended(entries, this.#goesOn), ...this.#rowsLeft(dead));
      for (const entry of dead) changes.push(...ledger.died(entry));
      dead = ledger.takeDead();
    }
    return changes;
  }

  /**
   * Rows that came in place.
   * @param all - ask every array, not only those whose turn it is
   */
  #grown(all: boolean): ChangeDraft[] {
    const { ledger } = this;
    const changes: ChangeDraft[] = [];
    for (const ask of this.#counts.changed(ledger, all, this.#close ? STRETCH : 8)) {
      const { key } = ask;
      const meta = this.dict.getMeta(key);
      const rows = meta?.shape?.[0] ?? 0;
      const news = ledger.grew(key, meta?.entryOffset ?? 0, rows);
      if (meta?.entryOffset === ask.known.offset) this.#counts.told(ask, rows);
      if (news.length > 0) this.#counts.grew(key);
      changes.push(...news);
    }
    return changes;
  }

  /** Rows of arrays that leave their place before it was their turn: nobody will ask there any more. */
  #rowsLeft(leaving: Iterable<{ readonly key: string }>): ChangeDraft[] {
    const { ledger } = this;
    if (!this.#counts.inTurns(ledger)) return [];
    const changes: ChangeDraft[] = [];
    for (const { key } of leaving) {
      const known = ledger.known(key);
      if (known?.rows === undefined) continue;
      const found = this.#growableAt(known.offset);
      if (found === undefined || (known.kind ?? found.kind) !== found.kind) continue;
      changes.push(...ledger.grew(key, known.offset, found.rows));
    }
    return changes;
  }

  /** The entries behind the last one that is known; `undefined` where that one is not there any more. */
  #appended(): SeenEntry[] | undefined {
    const { ledger } = this;
    const { last } = ledger;
    if (last === undefined) return this.#entries(HEADER_SIZE);
    const [anchor, ...entries] = this.#entries(last.offset, last.offset);
    if (anchor === undefined || anchor.offset !== last.offset || anchor.key !== last.key) return undefined;
    if (anchor.end !== ledger.end && !ledger.stretched(anchor.end, this.#rowsOf(anchor)?.rows)) return undefined;
    return entries;
  }

  /** All entries, again where a vacuum in place moved them meanwhile. */
  #allEntries(): SeenEntry[] {
    for (let round = 0; ; round += 1) {
      const entries = this.#entries(HEADER_SIZE);
      const { commitNumber } = this;
      this.#note();
      if (!mayHaveMoved(commitNumber, this.commitNumber) || round === ROUNDS) {
        // What was committed since is for the next look.
        this.commitNumber = commitNumber;
        return entries;
      }
    }
  }

  #note(): void {
    // The number first: a commit in between is then seen as a change at the next look.
    const number = this.#number();
    const size = this.file.size();
    if (number === undefined) {
      const { name: path } = this.file;
      throw new MmdError('TRUNCATED', `${path}: somebody cut the file to ${size} bytes while it was watched`, {
        path,
        expected: HEADER_SIZE,
        found: size,
      });
    }
    this.commitNumber = number;
    this.#size = size;
  }

  /** The commit number; undefined where the file was cut before it. */
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
    return this.#entries(HEADER_SIZE);
  }

  /**
   * @param known - file offset of an entry whose rows are not asked for
   */
  #entries(from: number, known?: number): SeenEntry[] {
    const seen: SeenEntry[] = [];
    const visit = (entry: ScannedEntry): void => {
      const { offset, frameLength, keyLength } = entry;
      // Damage, or an array that grew in place while this went from its head to where its end was: the next look sees it whole.
      if (entry.state === 'damaged' && offset !== known) return;
      const key = this.#keyOf(entry);
      if (key === undefined) return;
      const live = entry.state === 'live';
      // What the dict's scan says, too: the value lies between the key and an entry's last 8 bytes.
      const valueLength = frameLength - keyLength - 10;
      const end = entryEnd(offset, frameLength);
      // Of dead ones too: an array that moved on was replaced, and its rows go on where these end.
      const found =
        offset !== known && this.#mayGrow(entry, valueLength) ? this.#rowsOf({ end, valueLength }) : undefined;
      const grows = found && { ...found, dataOffset: end - ENTRY_TAIL_SIZE - valueLength + found.dataPos };
      seen.push({ offset, end, key, live, valueLength, ...grows });
    };
    answer(scanEntries(from, this.file.size(), visit), this.#read);
    return seen;
  }

  #keyOf({ bytes, keyPos, keyLength, offset }: ScannedEntry): string | undefined {
    let text = '';
    for (let pos = keyPos; pos < keyPos + keyLength && bytes[pos]! < 0x80; pos += 1)
      text += String.fromCharCode(bytes[pos]!);
    // Most keys are ASCII, and a decoder's call costs more than all of this.
    if (text.length === keyLength) return text;
    try {
      return this.#decoder.decode(bytes.subarray(keyPos, keyPos + keyLength));
    } catch {
      // Lone surrogates are legal in keys, and only the dict's own decoder takes them.
      return this.dict.scan(offset).next().value?.key;
    }
  }

  /** Bytes of the file, borrowed until the next call. */
  readonly #read = (offset: number, length: number): Uint8Array => {
    if (length > this.#buffer.length) this.#buffer = new Uint8Array(length);
    const bytes = this.#buffer.subarray(0, length);
    return bytes.subarray(0, this.file.read(offset, bytes));
  };

  /** Whether a value begins as those of growable arrays do; most do not, and need no closer look. */
  #mayGrow({ bytes, keyPos, keyLength, offset }: ScannedEntry, valueLength: number): boolean {
    const wanted = Math.min(HEAD, valueLength);
    let head = bytes;
    let start = keyPos + keyLength;
    if (start + wanted > bytes.length) {
      // The scanner did not need to read so far.
      head = this.#head;
      start = 0;
    }
    const count =
      head === bytes ? wanted : Math.min(this.file.read(offset + ENTRY_HEAD_SIZE + keyLength, head), wanted);
    for (let pos = start + 1; pos < start + count; pos += 1) {
      if (head[pos] === 8 && head[pos - 1] === LONG1) return true;
    }
    return false;
  }

  /** The growable array whose entry begins at `offset`. */
  #growableAt(offset: number) {
    const head = this.#read(offset, ENTRY_HEAD_SIZE);
    if (head.length < ENTRY_HEAD_SIZE) return undefined;
    const start = offset + head.length + head[ENTRY_HEAD_SIZE - 1]!;
    const end = entryEnd(offset, getU64(head, 1));
    const found = this.#rowsOf({ end, valueLength: end - ENTRY_TAIL_SIZE - start });
    const maskOffset = found?.maskPos === undefined ? undefined : start + found.maskPos;
    return found && { ...found, dataOffset: start + found.dataPos, maskOffset };
  }

  /** By the value itself: the dict may not know of the entry yet. */
  #rowsOf({ end, valueLength }: Pick<SeenEntry, 'end' | 'valueLength'>): GrowableRows | undefined {
    const { file } = this;
    const start = end - ENTRY_TAIL_SIZE - valueLength;
    const fetch = (pos: number, length: number): Uint8Array => {
      const bytes = new Uint8Array(Math.max(length, HEAD));
      return bytes.subarray(0, file.read(start + pos, bytes));
    };
    for (let round = 0; ; round += 1) {
      const commitNumber = file.loadI32(COMMIT_NUMBER_OFFSET);
      let rows: GrowableRows | undefined;
      try {
        rows = growableRows(valueLength, (length) => new ValueReader(start, length, fetch));
      } catch (error) {
        // What looked like an array was cut off, or overwritten, while it was looked at.
        if (!isMmdError(error)) throw error;
      }
      const quiet = file.loadI32(COMMIT_NUMBER_OFFSET) === commitNumber;
      if (rows !== undefined || quiet || round === ROUNDS) return rows;
    }
  }

  /** Entries are the same whose values have the checksum that is known; where there is none, nothing is. */
  #sameBySum(): IsSame {
    const budget = this.#budget();
    return (known, entry) => {
      const wanted = sumOf(known);
      if (wanted === undefined || !sameByShape(known, entry)) return false;
      const found = known.rows === undefined ? this.#sumValue(entry, budget) : this.#sumRows(entry, known.rows, budget);
      return found?.sum === wanted;
    };
  }

  /**
   * Whether an array goes on with the rows of the one before, of the same kind: it outgrew its place, where those still are. Of one
   * that a cursor knew the checksum is known, or it is asked for where it stood.
   */
  readonly #goesOn: IsSame = (known, entry) => {
    const { dataOffset, rows = 0 } = known;
    const wanted = dataOffset === undefined ? sumOf(known) : undefined;
    const found = wanted === undefined ? undefined : this.#sumRows(entry, rows, this.#budget())?.sum;
    if (found !== undefined) return found === wanted;
    const before = dataOffset === undefined ? this.#growableAt(known.offset) : known;
    const { dataOffset: from, kind } = before ?? {};
    const { dataOffset: to, rowBytes = 0 } = entry;
    if (from === undefined || to === undefined || kind !== entry.kind) return false;
    const size = rows * rowBytes;
    const length = Math.min(size, COMPARED);
    return [from, from + size - length].every((start) => {
      const before = this.#read(start, length).slice();
      return Buffer.compare(before, this.#read(start - from + to, length)) === 0;
    });
  };

  #budget(bytes: number = SUMMED_AT_ONCE): Budget {
    // What was read before may have changed.
    this.#stretchLength = 0;
    return { bytes };
  }

  #sumValue({ end, valueLength }: Pick<Known, 'end' | 'valueLength'>, budget: Budget): Summed | undefined {
    if (!afford(budget, valueLength)) return undefined;
    const sum = this.#sumBytes(end - ENTRY_TAIL_SIZE - valueLength, valueLength, 0);
    return sum === undefined ? undefined : { sum, summed: undefined };
  }

  /**
   * By the entry itself, which may be dead: the key may have another one by now.
   * @param before - rows that are summed already
   */
  #sumRows({ offset }: Pick<Known, 'offset'>, rows: number, budget: Budget, before?: Known): Summed | undefined {
    const found = this.#growableAt(offset);
    if (found === undefined || found.rows < rows) return undefined;
    const { kind, dataOffset, rowBytes, maskOffset, maskBytes } = found;
    const done = maskOffset === undefined && before?.sum !== undefined ? (before.summed ?? 0) : 0;
    if (!afford(budget, (rows - done) * (rowBytes + maskBytes))) return undefined;
    const seed = done > 0 ? before?.sum : crc32(kind);
    const sum = this.#sumBytes(dataOffset + done * rowBytes, (rows - done) * rowBytes, seed ?? 0);
    const all = maskOffset === undefined || sum === undefined ? sum : this.#sumBytes(maskOffset, rows * maskBytes, sum);
    return all === undefined ? undefined : { sum: all, summed: rows };
  }

  #sumBytes(start: number, length: number, seed: number): number | undefined {
    let sum = seed;
    for (let pos = start; pos < start + length; ) {
      const bytes = this.#stretchAt(pos, start + length - pos);
      if (bytes.length === 0) return undefined;
      sum = crc32(bytes, sum);
      pos += bytes.length;
    }
    return sum;
  }

  /** Bytes of the file from `pos` on, `length` at most, borrowed until the next call: small values are read many at a time. */
  #stretchAt(pos: number, length: number): Uint8Array {
    let start = pos - this.#stretchStart;
    if (start < 0 || start >= this.#stretchLength || start + Math.min(length, STRETCH) > this.#stretchLength) {
      if (this.#stretch.length === 0) this.#stretch = new Uint8Array(STRETCH);
      const wanted = this.#close ? STRETCH : Math.min(length, STRETCH);
      this.#stretchStart = pos;
      this.#stretchLength = this.file.read(pos, this.#stretch.subarray(0, wanted));
      start = 0;
    }
    return this.#stretch.subarray(start, Math.min(start + length, this.#stretchLength));
  }

  /** Where the entry at `offset` ends now. */
  #endOf(offset: number): number {
    const head = this.#read(offset, ENTRY_HEAD_SIZE);
    return head.length < ENTRY_HEAD_SIZE ? offset : entryEnd(offset, getU64(head, 1));
  }

  get #close(): boolean {
    return (this.ledger.end - HEADER_SIZE) / Math.max(1, this.ledger.size) < CLOSE;
  }

  #mayTakeTime(): boolean {
    return this.ledger.size <= SWEEP_ALWAYS || this.#rested();
  }

  #rested(): boolean {
    return performance.now() - this.#sweptAt > this.#sweepMs * SWEEP_SHARE;
  }

  /** Looks at the state byte of every live entry. */
  #sweep(): ChangeDraft[] {
    const started = performance.now();
    const { ledger, file } = this;
    const stretch = new Uint8Array(this.#close ? STRETCH : 1);
    let start = -1;
    let filled = 0;
    const dead: DeadEntry[] = [];
    for (const [key, { offset, end }] of ledger.entries()) {
      const state = end - 2;
      if (!(state >= start && state < start + filled)) {
        start = state;
        filled = file.read(state, stretch);
      }
      if (filled > 0 && stretch[state - start] !== LIVE) dead.push({ key, offset });
    }
    this.#sweepDue = false;
    this.#unswept = false;
    // A growable array that grew in place meanwhile has data where its state was.
    const moved = mayHaveMoved(this.commitNumber, file.loadI32(COMMIT_NUMBER_OFFSET));
    const standing = dead.filter(({ key, offset }) => !moved && this.#endOf(offset) === ledger.known(key)?.end);
    if (standing.length < dead.length) this.#sweepDue = true;
    this.#sweptAt = performance.now();
    this.#sweepMs = this.#sweptAt - started;
    return this.#settle([], standing);
  }
}

interface Budget {
  bytes: number;
}

type Summed = Pick<Known, 'sum' | 'summed'>;

function afford(budget: Budget, bytes: number): boolean {
  if (bytes > budget.bytes) return false;
  budget.bytes -= bytes;
  return true;
}

/** Whether an entry is as long as the one that is known. An array that grows has lost no row: its room says nothing. */
const sameByShape: IsSame = (known, entry) =>
  known.rows === undefined || entry.rows === undefined
    ? known.rows === entry.rows && entry.valueLength === known.valueLength
    : entry.rows >= known.rows;

/** Whether nothing was committed between two numbers but entries that moved, each by one leap of the number. */
function onlyMoved(known: number, found: number): boolean {
  let number = known;
  for (let i = 0; i < MOST_MOVES; i += 1) {
    number = movedCommitNumber(number);
    if (number === found) return true;
  }
  return false;
}

/** The file, as if its name could not come to name another one: a dict over it stays with this inode. */
function pinned(file: StorageFile): StorageFile {
  return new Proxy(file, {
    get(target, name) {
      if (name === 'identityOfName') return () => target.identity();
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}
