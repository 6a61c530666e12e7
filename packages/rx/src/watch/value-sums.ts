/**
 * Checksums of values, by which entries are recognised in a file that was rewritten.
 *
 * @module
 */

import { crc32 } from 'node:zlib';
import { ENTRY_TAIL_SIZE } from '@mmdpickle/core/format';
import type { StorageFile } from '@mmdpickle/core/storage';
import { type EntryReader, STRETCH } from './entry-reader.ts';
import type { Known } from './ledger.ts';

/** The most bytes of values that are read to recognise entries in a file that was rewritten. */
const SUMMED_AT_ONCE = 2 ** 28;

/** How much may still be read. */
export interface Budget {
  bytes: number;
  /** Entries are close together: one read covers several of them. */
  readonly close: boolean;
}

/** The result of computing an entry's checksum. */
export type Summed = Pick<Known, 'sum' | 'summed'>;

/** Computes checksums of the values in one inode. */
export class ValueSums {
  readonly #file: StorageFile;
  readonly #entries: EntryReader;
  #stretch = new Uint8Array(0);
  #stretchStart = 0;
  #stretchLength = 0;

  /** @param entries - of the file */
  constructor(file: StorageFile, entries: EntryReader) {
    this.#file = file;
    this.#entries = entries;
  }

  /** Starts a round of checksums of the file as it is now. */
  budget(close: boolean, bytes: number = SUMMED_AT_ONCE): Budget {
    // What was read before may have changed.
    this.#stretchLength = 0;
    return { bytes, close };
  }

  /** The checksum of a value; undefined if it is beyond the budget or cannot be read. */
  ofValue({ end, valueLength }: Pick<Known, 'end' | 'valueLength'>, budget: Budget): Summed | undefined {
    if (!afford(budget, valueLength)) return undefined;
    const sum = this.#sumBytes(end - ENTRY_TAIL_SIZE - valueLength, valueLength, 0, budget);
    return sum === undefined ? undefined : { sum, summed: undefined };
  }

  /**
   * The checksum of the first rows of a growable array. Read from the entry itself, which may be dead: its key may have
   * another entry by now.
   * @param before - a checksum of some of these rows, to continue from
   */
  ofRows({ offset }: Pick<Known, 'offset'>, rows: number, budget: Budget, before?: Known): Summed | undefined {
    const found = this.#entries.growableAt(offset);
    if (found === undefined || found.rows < rows) return undefined;
    const { kind, dataOffset, rowBytes, maskOffset, maskBytes } = found;
    const done = maskOffset === undefined && before?.sum !== undefined ? (before.summed ?? 0) : 0;
    if (!afford(budget, (rows - done) * (rowBytes + maskBytes))) return undefined;
    const seed = done > 0 ? before?.sum : crc32(kind);
    const sum = this.#sumBytes(dataOffset + done * rowBytes, (rows - done) * rowBytes, seed ?? 0, budget);
    const all =
      maskOffset === undefined || sum === undefined ? sum : this.#sumBytes(maskOffset, rows * maskBytes, sum, budget);
    return all === undefined ? undefined : { sum: all, summed: rows };
  }

  #sumBytes(start: number, length: number, seed: number, budget: Budget): number | undefined {
    let sum = seed;
    for (let pos = start; pos < start + length; ) {
      const bytes = this.#stretchAt(pos, start + length - pos, budget);
      if (bytes.length === 0) return undefined;
      sum = crc32(bytes, sum);
      pos += bytes.length;
    }
    return sum;
  }

  /** At most `length` bytes of the file from `pos` on, borrowed until the next call: one read may cover many small values. */
  #stretchAt(pos: number, length: number, { close }: Budget): Uint8Array {
    let start = pos - this.#stretchStart;
    if (start < 0 || start >= this.#stretchLength || start + Math.min(length, STRETCH) > this.#stretchLength) {
      if (this.#stretch.length === 0) this.#stretch = new Uint8Array(STRETCH);
      const wanted = close ? STRETCH : Math.min(length, STRETCH);
      // If the read fails, no bytes are known.
      this.#stretchLength = 0;
      this.#stretchStart = pos;
      this.#stretchLength = this.#file.read(pos, this.#stretch.subarray(0, wanted));
      start = 0;
    }
    return this.#stretch.subarray(start, Math.min(start + length, this.#stretchLength));
  }
}

function afford(budget: Budget, bytes: number): boolean {
  if (bytes > budget.bytes) return false;
  budget.bytes -= bytes;
  return true;
}
