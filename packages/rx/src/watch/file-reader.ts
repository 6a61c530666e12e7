/**
 * Looks at one file: what changed since the last look. Another file that takes the name is another reader's matter.
 *
 * @module
 */

import { MmapDict } from '@mmdpickle/core';
import {
  answer,
  COMMIT_NUMBER_OFFSET,
  ENTRY_HEAD_SIZE,
  entryEnd,
  HEADER_SIZE,
  LIVE,
  type ScannedEntry,
  scanEntries,
} from '@mmdpickle/core/format';
import type { StorageFile } from '@mmdpickle/core/storage';
import type { ChangeDraft } from './change.ts';
import { type DeadEntry, type SeenEntry, WatchLedger } from './ledger.ts';

/** The row count of a growable array is an opcode LONG1 of 8 bytes near the value's head. */
const LONG1 = 0x8a;
const HEAD = 128;
/** Entries closer than this on average are looked at through one read of a stretch. */
const CLOSE = 4096;
const STRETCH = 65_536;
/** Looking for dead entries may take one part in so many of the time. */
const SWEEP_SHARE = 200;
/** How often one look goes after entries that die while it looks. */
const ROUNDS = 8;
/** So many entries are always looked at. */
const SWEEP_ALWAYS = 1024;

/** Follows one inode. */
export class FileReader {
  readonly file: StorageFile;
  readonly dict: MmapDict;
  ledger: WatchLedger = new WatchLedger(HEADER_SIZE);
  commitNumber = -1;
  #size = -1;
  readonly #head = new Uint8Array(HEAD);
  readonly #decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  #buffer = new Uint8Array(8192);
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
    this.#settle(this.ledger.appended(this.#entries(HEADER_SIZE)));
  }

  /** Reports all that is there. */
  replay(): ChangeDraft[] {
    this.#note();
    return this.#settle(this.ledger.appended(this.#entries(HEADER_SIZE)));
  }

  /** Goes on with what was known of another file, whose place this one took. */
  succeed(ledger: WatchLedger): ChangeDraft[] {
    this.#note();
    this.ledger = ledger;
    return this.#settle(ledger.moved(this.#entries(HEADER_SIZE), HEADER_SIZE));
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
    const entries = this.#entries(ledger.last?.offset ?? HEADER_SIZE, ledger.last?.offset);
    if (ledger.last !== undefined) {
      const anchor = entries.shift();
      if (anchor === undefined || anchor.offset !== ledger.last.offset || anchor.key !== ledger.last.key) {
        // A vacuum in place, as Python's mmappickle does it.
        return this.#settle(ledger.moved(this.#entries(HEADER_SIZE), HEADER_SIZE));
      }
      if (anchor.end !== ledger.end) ledger.stretched(anchor.end);
    }
    const changes = this.#settle(ledger.appended(entries));
    const settled = changes.length;
    for (const key of ledger.growables) changes.push(...ledger.grew(key, this.dict.getMeta(key)?.shape?.[0] ?? 0));
    const grown = changes.length > settled;
    // One commit that appended entries did nothing else: a batch raises the number once more for what it deletes.
    if (before.commitNumber >= 0 && commits === 1 && entries.length > 0 && !grown) return changes;
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
      changes.push(...ledger.appended(this.#entries(ledger.last?.offset ?? HEADER_SIZE)));
      for (const entry of dead) changes.push(...ledger.died(entry));
      dead = ledger.takeDead();
    }
    return changes;
  }

  #note(): void {
    // The number first: a commit in between is then seen as a change at the next look.
    this.commitNumber = this.file.loadI32(COMMIT_NUMBER_OFFSET);
    this.#size = this.file.size();
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
      const key = this.#keyOf(entry);
      if (key === undefined) return;
      const live = entry.state === 'live';
      // What the dict's scan says, too: the value lies between the key and an entry's last 8 bytes.
      const valueLength = frameLength - keyLength - 10;
      const rows =
        live && offset !== known && this.#mayGrow(entry, valueLength) ? this.#rowsOf(key, offset) : undefined;
      seen.push({ offset, end: entryEnd(offset, frameLength), key, live, valueLength, rows });
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
    const close = (ledger.end - HEADER_SIZE) / Math.max(1, ledger.size) < CLOSE;
    const stretch = new Uint8Array(close ? STRETCH : 1);
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
    this.#sweptAt = performance.now();
    this.#sweepMs = this.#sweptAt - started;
    return this.#settle([], dead);
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
