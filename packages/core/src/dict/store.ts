/**
 * The file as a dict sees it: where entries stand, what changed since, and whether the name still names it.
 *
 * Readers take no lock. Each look compares the commit number (through a mapping, no system call) and,
 * at most once a millisecond, the file's size and identity; what was read in between is checked again after.
 *
 * @module
 */

import { decodeUtf8 } from '../bytes/index.ts';
import { MmdError } from '../errors.ts';
import {
  COMMIT_NUMBER_OFFSET,
  decodeHeader,
  EMPTY_SIZE,
  ENTRY_HEAD_SIZE,
  entryEnd,
  getU64,
  HEADER_SIZE,
  LIVE,
  stateOffset,
  TERMINATOR_SIZE,
} from '../format/layout.ts';
import { answer, type ScanEnd, type ScannedEntry, scanEntries } from '../format/scan.ts';
import type { StorageFile } from '../storage/storage-file.ts';
import { Catalog, type EntryPlace } from './catalog.ts';
import type { ResolvedOptions } from './options.ts';

/** Attempts of a lock-free look at a file that changes; then the lock is taken. */
const ATTEMPTS = 20;

/** Bytes of the last entry that must still be there for what is known of the file to hold. */
const ANCHOR_SIZE = 64;

/** An entry whose bytes the format does not explain. */
export interface DamagedEntry {
  readonly offset: number;
  readonly key: string | undefined;
}

/** What a handle knows of its file. */
export class DictStore {
  file: StorageFile;
  readonly options: ResolvedOptions;
  readonly catalog: Catalog = new Catalog();
  /** As of the last look. */
  commitNumber = -1;
  /** File offset of the terminator. */
  end: number = HEADER_SIZE;
  /** The file's size at the last look. More than `end` + 11: bytes that no commit claimed. */
  size = 0;
  memoHint = 0;
  /** Another writer committed: entries known to be live may be dead by now. */
  statesUnknown = false;
  damaged: DamagedEntry[] = [];
  /** Why the walk did not reach a terminator; only after a lenient open. */
  torn: (ScanEnd & { kind: 'damage' }) | undefined;
  /** Rises whenever the catalog was built anew: slots of before mean nothing. */
  generation = 0;
  /** Old inodes whose mappings arrays may still hold. */
  readonly #retired: StorageFile[] = [];
  #anchorOffset = 0;
  #anchorFrameLength = 0;
  #anchor: Uint8Array = new Uint8Array(0);
  #lastFullLook = 0;
  #stale = true;

  constructor(file: StorageFile, options: ResolvedOptions) {
    this.file = file;
    this.options = options;
  }

  /** Reads the header and walks the entries. */
  load(): void {
    const head = new Uint8Array(HEADER_SIZE);
    const count = this.file.read(0, head);
    decodeHeader(head.subarray(0, count), this.file.name);
    this.#look(false, true);
  }

  /**
   * Notices what others did since the last look.
   * @param locked - the lock is held: nobody changes anything now
   * @returns true if anything changed
   */
  refresh(locked = false): boolean {
    const now = Date.now();
    if (!this.#stale && now === this.#lastFullLook && this.file.loadI32(COMMIT_NUMBER_OFFSET) === this.commitNumber)
      return false;
    return this.#fullLook(locked, now);
  }

  /** Whether the last look still holds, without a system call. */
  unchanged(): boolean {
    return !this.#stale && this.file.loadI32(COMMIT_NUMBER_OFFSET) === this.commitNumber;
  }

  /** What is known is not to be trusted: the next look walks the file. */
  invalidate(): void {
    this.#stale = true;
  }

  /** This handle committed an append: entries up to the terminator at `end` are known. */
  advanced(end: number, commitNumber: number, lastOffset: number, lastFrameLength: number): void {
    this.end = end;
    this.size = end + TERMINATOR_SIZE;
    this.commitNumber = commitNumber;
    this.#anchorOffset = lastOffset;
    this.#anchorFrameLength = lastFrameLength;
    this.#anchor = EMPTY;
  }

  /** All bytes of a range of the file; fewer at its end. */
  readonly read = (offset: number, length: number): Uint8Array => {
    const bytes = new Uint8Array(length);
    const count = this.file.read(offset, bytes);
    return count === length ? bytes : bytes.subarray(0, count);
  };

  /** Whether the entry's state byte says live now. */
  isLive(place: EntryPlace): boolean {
    const byte = new Uint8Array(1);
    this.file.read(stateOffset(place.offset, place.frameLength), byte);
    return byte[0] === LIVE;
  }

  /** Walks all entries anew if other writers may have deleted some. */
  settleStates(): void {
    if (this.statesUnknown) this.#look(false, true);
  }

  /** Closes the file and those that vacuums left behind. */
  close(): void {
    for (const file of this.#retired) file.close();
    this.file.close();
  }

  /** The dict goes on in another file, which has the old one's name. */
  replaceFile(file: StorageFile, locked: boolean): void {
    this.#retired.push(this.file);
    this.file = file;
    this.#look(locked, true);
  }

  #fullLook(locked: boolean, now: number): boolean {
    const named = this.file.identityOfName();
    const own = this.file.identity();
    if (named !== undefined && (named.ino !== own.ino || named.dev !== own.dev)) {
      // Under the lock of a file that lost its name there is nothing to be done: the caller opens it anew and locks that.
      if (locked) throw new FileReplaced();
      const file = this.file.open(this.file.name, this.file.writable ? 'r+' : 'r');
      this.replaceFile(file, false);
      this.#lastFullLook = now;
      return true;
    }
    const commitNumber = this.file.loadI32(COMMIT_NUMBER_OFFSET);
    const size = this.file.size();
    this.#lastFullLook = now;
    if (!this.#stale && commitNumber === this.commitNumber && size === this.size) return false;
    // Vacuum by Python starts the numbers again, and moves entries.
    const whole =
      this.#stale || commitNumber < this.commitNumber || size < this.end + TERMINATOR_SIZE || !this.#anchored();
    this.#look(locked, whole);
    return true;
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
        whole = after < commitNumber || this.file.size() < size;
        if (end.kind === 'terminator' && !whole) {
          this.commitNumber = commitNumber;
          this.size = size;
          if (after !== commitNumber) this.statesUnknown = true;
          this.#stale = false;
          this.torn = undefined;
          return;
        }
        if (end.kind === 'damage' && (locked || held)) return this.#fail(end, commitNumber, size);
        if (attempt === ATTEMPTS) {
          this.file.lock(this.options.lockTimeout);
          held = true;
        }
      }
    } finally {
      if (held) this.file.unlock();
    }
  }

  #fail(end: ScanEnd & { kind: 'damage' }, commitNumber: number, size: number): void {
    this.torn = end;
    this.commitNumber = commitNumber;
    this.size = size;
    if (this.options.lenient) {
      this.#stale = false;
      return;
    }
    this.#stale = true;
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

  #scan(whole: boolean, size: number): ScanEnd {
    const { catalog } = this;
    if (whole) {
      catalog.clear();
      this.end = HEADER_SIZE;
      this.memoHint = 0;
      this.damaged = [];
      this.generation++;
      this.#anchorOffset = 0;
      this.statesUnknown = false;
    } else this.statesUnknown = true;
    let last = this.#anchorOffset;
    const visit = (entry: ScannedEntry): void => {
      last = entry.offset;
      if (entry.memoHint > this.memoHint) this.memoHint = entry.memoHint;
      if (entry.state === 'dead') return;
      const key = keyOf(entry);
      if (entry.state === 'damaged' || key === undefined) this.damaged.push({ offset: entry.offset, key });
      else catalog.load(key, entry.offset, entry.frameLength, entry.keyLength);
    };
    const end = answer(scanEntries(this.end, size, visit), this.read);
    this.end = end.offset;
    this.#anchorOffset = last;
    this.#anchor = EMPTY;
    this.#takeAnchor();
    return end;
  }

  /** Remembers the last entry's first bytes: if they stand there later, the file before them is what it was. */
  #takeAnchor(): void {
    if (this.#anchorOffset === 0) return;
    this.#anchor = this.read(this.#anchorOffset, Math.min(ANCHOR_SIZE, this.end - this.#anchorOffset));
  }

  #anchored(): boolean {
    if (this.#anchorOffset === 0) return true;
    if (this.#anchor.length === 0) {
      // This handle wrote the last entry itself, and took no copy.
      const head = this.read(this.#anchorOffset, ENTRY_HEAD_SIZE);
      return head.length === ENTRY_HEAD_SIZE && head[9] === 0x8c && getU64(head, 1) === this.#anchorFrameLength;
    }
    const found = this.read(this.#anchorOffset, this.#anchor.length);
    return found.length === this.#anchor.length && found.every((byte, i) => byte === this.#anchor[i]);
  }
}

const EMPTY = new Uint8Array(0);

/** The name names another file now. Internal: the writer locks that one instead. */
export class FileReplaced extends Error {}

/** The key as text; `undefined` where its bytes are not UTF-8. */
function keyOf({ bytes, keyPos, keyLength }: ScannedEntry): string | undefined {
  try {
    return decodeUtf8(bytes, keyPos, keyPos + keyLength);
  } catch {
    return undefined;
  }
}

export { EMPTY_SIZE, entryEnd };
