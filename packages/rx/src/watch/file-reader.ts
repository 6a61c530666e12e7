/**
 * Looks at one file: what changed since the last look. Another file that takes the name is another reader's matter.
 *
 * @module
 */

import { MmapDict } from '@mmdpickle/core';
import type { StorageFile } from '@mmdpickle/core/storage';
import type { ChangeDraft } from './change.ts';
import { type SeenEntry, WatchLedger } from './ledger.ts';

/** File offset of the commit number, and of the first entry: docs/format.md, "Layout". */
const COMMIT_NUMBER_OFFSET = 18;
const FIRST_ENTRY = 24;
/** State byte of a live entry, two bytes before its end. */
const LIVE = 0x88;
/** The row count of a growable array is an opcode LONG1 of 8 bytes near the value's head. */
const LONG1 = 0x8a;
const HEAD = 128;
/** Entries closer than this on average are looked at through one read of a stretch. */
const CLOSE = 4096;
const STRETCH = 65_536;
/** Looking for dead entries may take one part in so many of the time. */
const SWEEP_SHARE = 200;
/** So many entries are always looked at. */
const SWEEP_ALWAYS = 1024;

/** Follows one inode. */
export class FileReader {
  readonly file: StorageFile;
  readonly dict: MmapDict;
  ledger: WatchLedger = new WatchLedger(FIRST_ENTRY);
  commitNumber = -1;
  #size = -1;
  readonly #head = new Uint8Array(HEAD);
  #sweepMs = 0;
  #sweptAt = -Infinity;
  #sweepDue = false;

  /** @param file - taken over */
  constructor(file: StorageFile) {
    this.file = file;
    this.dict = MmapDict.over(pinned(file), { mode: 'r' });
  }

  /** Takes what is there now as known. */
  skip(): void {
    this.#note();
    this.ledger.appended(this.#entries(FIRST_ENTRY));
  }

  /** Reports all that is there. */
  replay(): ChangeDraft[] {
    this.#note();
    return this.ledger.appended(this.#entries(FIRST_ENTRY));
  }

  /** Goes on with what was known of another file, whose place this one took. */
  succeed(ledger: WatchLedger): ChangeDraft[] {
    this.#note();
    this.ledger = ledger;
    return ledger.moved(this.#entries(FIRST_ENTRY), FIRST_ENTRY);
  }

  /** Whether the commit number is another one than at the last look. No system call. */
  get stirred(): boolean {
    return this.file.loadI32(COMMIT_NUMBER_OFFSET) !== this.commitNumber;
  }

  /** Reports what happened since the last look. */
  look(): ChangeDraft[] {
    const before = { commitNumber: this.commitNumber, size: this.#size };
    this.#note();
    const commits = this.commitNumber - before.commitNumber;
    if (commits === 0 && this.#size === before.size) {
      return this.#sweepDue && this.#mayTakeTime() ? this.#sweep() : [];
    }
    const { ledger } = this;
    const entries = this.#entries(ledger.last?.offset ?? FIRST_ENTRY);
    if (ledger.last !== undefined) {
      const anchor = entries.shift();
      if (anchor === undefined || anchor.offset !== ledger.last.offset || anchor.key !== ledger.last.key) {
        // A vacuum in place, as Python's mmappickle does it.
        return ledger.moved(this.#entries(FIRST_ENTRY), FIRST_ENTRY);
      }
      if (anchor.end !== ledger.end) ledger.stretched(anchor.end);
    }
    const changes = ledger.appended(entries);
    const grown = [...ledger.growables()].flatMap((key) => ledger.grew(key, this.dict.getMeta(key)?.shape?.[0] ?? 0));
    changes.push(...grown);
    // One commit that appended entries did nothing else: a batch raises the number once more for what it deletes.
    if (before.commitNumber >= 0 && commits === 1 && entries.length > 0 && grown.length === 0) return changes;
    this.#sweepDue = true;
    if (changes.length === 0 || this.#mayTakeTime()) changes.push(...this.#sweep());
    return changes;
  }

  /** Ends with the file. */
  close(): void {
    this.dict.close();
  }

  #note(): void {
    // The number first: a commit in between is then seen as a change at the next look.
    this.commitNumber = this.file.loadI32(COMMIT_NUMBER_OFFSET);
    this.#size = this.file.size();
  }

  /** All entries of the file. */
  entries(): SeenEntry[] {
    return this.#entries(FIRST_ENTRY);
  }

  #entries(from: number): SeenEntry[] {
    const seen: SeenEntry[] = [];
    for (const { offset, end, key, live, valueOffset, valueLength } of this.dict.scan(from)) {
      if (key === undefined) continue;
      const rows = live && this.#mayGrow(valueOffset, valueLength) ? this.#rowsOf(key, offset) : undefined;
      seen.push({ offset, end, key, live, valueLength, rows });
    }
    return seen;
  }

  /** Whether a value begins as those of growable arrays do; most do not, and need no closer look. */
  #mayGrow(valueOffset: number, valueLength: number): boolean {
    const head = this.#head;
    const count = Math.min(this.file.read(valueOffset, head), valueLength);
    for (let pos = 1; pos < count; pos += 1) if (head[pos] === 8 && head[pos - 1] === LONG1) return true;
    return false;
  }

  #rowsOf(key: string, offset: number): number | undefined {
    const meta = this.dict.getMeta(key);
    return meta?.capacity === undefined || meta.entryOffset !== offset ? undefined : meta.shape?.[0];
  }

  #mayTakeTime(): boolean {
    return this.ledger.size <= SWEEP_ALWAYS || performance.now() - this.#sweptAt > this.#sweepMs * SWEEP_SHARE;
  }

  /** Looks at the state byte of every live entry. */
  #sweep(): ChangeDraft[] {
    const started = performance.now();
    const { ledger, file } = this;
    const close = (ledger.end - FIRST_ENTRY) / Math.max(1, ledger.size) < CLOSE;
    const stretch = new Uint8Array(close ? STRETCH : 1);
    let start = -1;
    let filled = 0;
    const dead: string[] = [];
    for (const [key, { end }] of ledger.entries()) {
      const offset = end - 2;
      if (!(offset >= start && offset < start + filled)) {
        start = offset;
        filled = file.read(offset, stretch);
      }
      if (filled > 0 && stretch[offset - start] !== LIVE) dead.push(key);
    }
    this.#sweepDue = false;
    this.#sweptAt = performance.now();
    this.#sweepMs = this.#sweptAt - started;
    return dead.flatMap((key) => ledger.died(key));
  }
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
