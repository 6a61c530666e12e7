/**
 * Reads entries, and the rows of growable arrays, from the file itself: the dict may not know of them yet.
 *
 * @module
 */

import { isMmdError } from '@mmdpickle/core';
import {
  answer,
  COMMIT_NUMBER_OFFSET,
  ENTRY_HEAD_SIZE,
  ENTRY_TAIL_SIZE,
  entryEnd,
  type GrowableRows,
  getU64,
  growableRows,
  keyOf,
  type ScannedEntry,
  scanEntries,
  ValueReader,
} from '@mmdpickle/core/format';
import type { StorageFile } from '@mmdpickle/core/storage';
import type { SeenEntry } from './ledger.ts';

/** The row count of a growable array is an opcode LONG1 of 8 bytes near the value's head. */
const LONG1 = 0x8a;
const HEAD = 128;
/** How often an array is reread if others change it meanwhile. */
const ROUNDS = 8;

/** Bytes per read if entries are close together. */
export const STRETCH = 65_536;

/** A growable array, and the file offsets of its rows and their mask. */
type FoundRows = GrowableRows & { readonly dataOffset: number; readonly maskOffset: number | undefined };

/** Reads entries of one inode. */
export class EntryReader {
  readonly #file: StorageFile;
  readonly #head = new Uint8Array(HEAD);

  constructor(file: StorageFile) {
    this.#file = file;
    this.read = pieceReader(file);
    this.#scanned = pieceReader(file);
  }

  /**
   * All entries from a given one on.
   * @param from - file offset of the first
   * @param known - file offset of an entry whose rows need not be read
   */
  entries(from: number, known?: number): SeenEntry[] {
    const seen: SeenEntry[] = [];
    this.each(from, (entry) => seen.push(entry), known);
    return seen;
  }

  /** Calls `take` for each of the {@link EntryReader.entries}; it may read the file. */
  each(from: number, take: (entry: SeenEntry) => void, known?: number): void {
    const visit = (entry: ScannedEntry): void => {
      const { offset, frameLength, keyLength } = entry;
      // Damage, or an array that grew in place between the reads of its head and of its old end: the next look sees it whole.
      if (entry.state === 'damaged' && offset !== known) return;
      const key = textOf(entry);
      if (key === undefined) return;
      const live = entry.state === 'live';
      // As in the dict's scan: the value lies between the key and the entry's last 8 bytes.
      const valueLength = frameLength - keyLength - 10;
      const end = entryEnd(offset, frameLength);
      // For dead entries too: an array that moved was replaced by one whose rows continue where these end.
      const found =
        offset !== known && this.#mayGrow(entry, valueLength) ? this.rowsOf({ end, valueLength }) : undefined;
      const grows = found && { ...found, dataOffset: end - ENTRY_TAIL_SIZE - valueLength + found.dataPos };
      take({ offset, end, key, live, valueLength, ...grows });
    };
    answer(scanEntries(from, this.#file.size(), visit), this.#scanned);
  }

  /** Bytes of the file, borrowed until the next call. */
  readonly read: PieceReader;
  /** The same for a scan: what is called for its entries may read, too. */
  readonly #scanned: PieceReader;

  /** Whether a value may be a growable array, judging by its first bytes; most are not, and need no further reads. */
  #mayGrow({ bytes, keyPos, keyLength, offset }: ScannedEntry, valueLength: number): boolean {
    const wanted = Math.min(HEAD, valueLength);
    let head = bytes;
    let start = keyPos + keyLength;
    if (start + wanted > bytes.length) {
      // The scanner did not need to read this far.
      head = this.#head;
      start = 0;
    }
    const count =
      head === bytes ? wanted : Math.min(this.#file.read(offset + ENTRY_HEAD_SIZE + keyLength, head), wanted);
    for (let pos = start + 1; pos < start + count; pos += 1) {
      if (head[pos] === 8 && head[pos - 1] === LONG1) return true;
    }
    return false;
  }

  /** The growable array whose entry begins at `offset`. */
  growableAt(offset: number): FoundRows | undefined {
    const head = this.read(offset, ENTRY_HEAD_SIZE);
    if (head.length < ENTRY_HEAD_SIZE) return undefined;
    const start = offset + head.length + head[ENTRY_HEAD_SIZE - 1]!;
    const end = entryEnd(offset, getU64(head, 1));
    const found = this.rowsOf({ end, valueLength: end - ENTRY_TAIL_SIZE - start });
    const maskOffset = found?.maskPos === undefined ? undefined : start + found.maskPos;
    return found && { ...found, dataOffset: start + found.dataPos, maskOffset };
  }

  /** The rows of a growable array, read from the value itself: the dict may not know of the entry yet. */
  rowsOf({ end, valueLength }: Pick<SeenEntry, 'end' | 'valueLength'>): GrowableRows | undefined {
    const file = this.#file;
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
        // What looked like an array was cut off or overwritten while it was read.
        if (!isMmdError(error) || error.errno !== undefined) throw error;
      }
      const quiet = file.loadI32(COMMIT_NUMBER_OFFSET) === commitNumber;
      if (rows !== undefined || quiet || round === ROUNDS) return rows;
    }
  }

  /** Where the entry at `offset` ends now. */
  endOf(offset: number): number {
    const head = this.read(offset, ENTRY_HEAD_SIZE);
    return head.length < ENTRY_HEAD_SIZE ? offset : entryEnd(offset, getU64(head, 1));
  }
}

/** The key of an entry; undefined if its bytes are not a string. */
function textOf(entry: ScannedEntry): string | undefined {
  const { bytes, keyPos, keyLength } = entry;
  let text = '';
  for (let pos = keyPos; pos < keyPos + keyLength && bytes[pos]! < 0x80; pos += 1)
    text += String.fromCharCode(bytes[pos]!);
  // Most keys are ASCII, and calling a decoder costs more than this loop.
  return text.length === keyLength ? text : keyOf(entry);
}

type PieceReader = (offset: number, length: number) => Uint8Array;

/** Reads one piece after another into one buffer. */
function pieceReader(file: StorageFile): PieceReader {
  let buffer = new Uint8Array(8192);
  return (offset, length) => {
    if (length > buffer.length) buffer = new Uint8Array(length);
    const bytes = buffer.subarray(0, length);
    return bytes.subarray(0, file.read(offset, bytes));
  };
}
