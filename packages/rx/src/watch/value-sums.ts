/**
 * Checksums of values, by which entries are known again in a file that was written anew.
 *
 * @module
 */

import { crc32 } from 'node:zlib';
import { ENTRY_TAIL_SIZE } from '@mmdpickle/core/format';
import type { StorageFile } from '@mmdpickle/core/storage';
import { type EntryReader, STRETCH } from './entry-reader.ts';
import type { Known } from './ledger.ts';

/** So many bytes of values are read at most to know entries again in a file that was written anew. */
const SUMMED_AT_ONCE = 2 ** 28;

/** What may still be read. */
export interface Budget {
  bytes: number;
  /** Entries lie close: what is read of one holds others, too. */
  readonly close: boolean;
}

/** What is known of an entry once it is summed. */
export type Summed = Pick<Known, 'sum' | 'summed'>;

/** Sums values of one inode. */
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

  /** Begins with sums of the file as it is now. */
  budget(close: boolean, bytes: number = SUMMED_AT_ONCE): Budget {
    // What was read before may have changed.
    this.#stretchLength = 0;
    return { bytes, close };
  }

  /** The checksum of a value; undefined where that is not to be had. */
  ofValue({ end, valueLength }: Pick<Known, 'end' | 'valueLength'>, budget: Budget): Summed | undefined {
    if (!afford(budget, valueLength)) return undefined;
    const sum = this.#sumBytes(end - ENTRY_TAIL_SIZE - valueLength, valueLength, 0, budget);
    return sum === undefined ? undefined : { sum, summed: undefined };
  }

  /**
   * The same of the first rows of a growable array. By the entry itself, which may be dead: the key may have another one by now.
   * @param before - rows that are summed already
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

  /** Bytes of the file from `pos` on, `length` at most, borrowed until the next call: small values are read many at a time. */
  #stretchAt(pos: number, length: number, { close }: Budget): Uint8Array {
    let start = pos - this.#stretchStart;
    if (start < 0 || start >= this.#stretchLength || start + Math.min(length, STRETCH) > this.#stretchLength) {
      if (this.#stretch.length === 0) this.#stretch = new Uint8Array(STRETCH);
      const wanted = close ? STRETCH : Math.min(length, STRETCH);
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
