/**
 * Finds the growable arrays that may have more rows than were reported.
 *
 * @module
 */

import { isMmdError, type MmapDict } from '@mmdpickle/core';
import type { StorageFile } from '@mmdpickle/core/storage';
import type { Known, WatchLedger } from './ledger.ts';

/** How many arrays are checked at each look; if there are more, they take turns. */
const ASKED_AT_ONCE = 1024;
/** For every so many arrays whose turn it is, one more is checked at each look: those that grew last. */
const PER_LATELY = 16;
const COUNT_BYTES = 8;

/** The place of a row count in the file. */
interface CountPlace {
  readonly offset: number;
  /** The count read there when the array was last read. */
  readonly count: bigint | undefined;
}

/** An array whose rows must be read. */
export interface Ask {
  readonly key: string;
  readonly known: Known;
  readonly place: CountPlace | undefined;
}

/**
 * A row count changes in place, without a new entry. So the counts themselves are read, those of neighbours in one read,
 * and only arrays whose count has changed are read themselves.
 */
export class RowCounts {
  readonly #file: StorageFile;
  readonly #dict: MmapDict;
  /** By what is known of an array: a new object if the array has moved. */
  readonly #places = new WeakMap<Known, CountPlace>();
  readonly #lately = new Set<string>();
  #stretch = Buffer.alloc(0);
  #turns: Iterator<string> | undefined;
  #turnsOf: WatchLedger | undefined;
  /** How many have not had their turn since the last commit. */
  #waiting = 0;
  readonly #atOnce: number;

  /** @param atOnce - how many arrays are checked at each look */
  constructor(file: StorageFile, dict: MmapDict, atOnce: number = ASKED_AT_ONCE) {
    this.#file = file;
    this.#dict = dict;
    this.#atOnce = atOnce;
  }

  /** Whether arrays take turns. */
  inTurns({ growables }: WatchLedger): boolean {
    return growables.size > this.#atOnce;
  }

  /** Whether there are arrays that may have grown and have not been checked yet. */
  get waiting(): boolean {
    return this.#waiting > 0;
  }

  /** Called after a commit: all arrays must be checked again. */
  stirred(ledger: WatchLedger): void {
    this.#waiting = ledger.growables.size;
  }

  /** Records the rows read from an array; unless they match its count, it is read again. */
  told({ known, place }: Ask, rows: number): void {
    if (place?.count === BigInt(rows)) this.#places.set(known, place);
  }

  /** Records that an array grew: those that grew last are checked at each look. */
  grew(key: string): void {
    this.#lately.delete(key);
    this.#lately.add(key);
    if (this.#lately.size > this.#atOnce / PER_LATELY) this.#lately.delete(this.#lately.values().next().value!);
  }

  /**
   * The arrays, among those whose turn it is, whose rows may have changed since they were last read.
   * @param all - check all arrays
   * @param stretch - bytes per read, which may cover the counts of neighbours, too
   */
  *changed(ledger: WatchLedger, all: boolean, stretch: number): Generator<Ask> {
    let start = 0;
    let filled = 0;
    if (this.#stretch.length !== stretch) this.#stretch = Buffer.alloc(stretch);
    const countAt = (offset: number): bigint | undefined => {
      if (!(offset >= start && offset + COUNT_BYTES <= start + filled)) {
        start = offset;
        filled = this.#file.read(offset, this.#stretch);
      }
      return filled < COUNT_BYTES ? undefined : this.#stretch.readBigInt64LE(offset - start);
    };
    for (const key of this.#asked(ledger, all)) {
      const known = ledger.known(key);
      if (known === undefined) continue;
      const place = this.#places.get(known);
      // When all are checked, as at the start, a place need not be located.
      const offset = place?.offset ?? (all ? undefined : this.#find(key, known));
      // Read before the array itself: rows appended in between then change the count.
      const count = offset === undefined ? undefined : countAt(offset);
      if (place !== undefined && place.count === count) continue;
      yield { key, known, place: offset === undefined ? undefined : { offset, count } };
    }
  }

  *#asked(ledger: WatchLedger, all: boolean): Generator<string> {
    const { growables } = ledger;
    if (all || !this.inTurns(ledger)) {
      this.#waiting = 0;
      yield* growables;
      return;
    }
    if (this.#turnsOf !== ledger) this.#turns = undefined;
    this.#turnsOf = ledger;
    for (const key of this.#lately) if (growables.has(key)) yield key;
    for (let i = Math.min(this.#atOnce, this.#waiting); i > 0; i -= 1) {
      let next = this.#turns?.next();
      if (next === undefined || next.done === true) {
        this.#turns = growables.values();
        next = this.#turns.next();
      }
      this.#waiting -= 1;
      yield next.value as string;
    }
  }

  /** File offset of the count; undefined if the array was removed or sealed, or has moved. */
  #find(key: string, known: Known): number | undefined {
    try {
      const { entryOffset, countOffset } = this.#dict.core.growables.locate(key);
      return entryOffset === known.offset ? countOffset : undefined;
    } catch (error) {
      if (!isMmdError(error) || error.errno !== undefined) throw error;
      return undefined;
    }
  }
}
