/**
 * Which growable arrays may have more rows than were told.
 *
 * @module
 */

import { isMmdError, type MmapDict } from '@mmdpickle/core';
import type { StorageFile } from '@mmdpickle/core/storage';
import type { Known, WatchLedger } from './ledger.ts';

/** So many arrays are asked at each look; where there are more they take turns. */
const ASKED_AT_ONCE = 1024;
/** Of so many one more is asked at every look, whosever turn it is: those that grew last. */
const PER_LATELY = 16;
const COUNT_BYTES = 8;

/** A row count, where it stands. */
interface CountPlace {
  readonly offset: number;
  /** What stood there when the array said that it has so many rows. */
  readonly count: bigint | undefined;
}

/** An array that is to be asked itself. */
export interface Ask {
  readonly key: string;
  readonly known: Known;
  readonly place: CountPlace | undefined;
}

/**
 * A row count changes in place, without an entry that tells of it. So the counts themselves are read, those of neighbours
 * by one read, and only arrays whose count is another one are asked.
 */
export class RowCounts {
  readonly #file: StorageFile;
  readonly #dict: MmapDict;
  /** Of what is known of each array: where one stands elsewhere that is known anew. */
  readonly #places = new WeakMap<Known, CountPlace>();
  readonly #lately = new Set<string>();
  #stretch = Buffer.alloc(0);
  #turns: Iterator<string> | undefined;
  #turnsOf: WatchLedger | undefined;
  /** So many have not had their turn since the last commit. */
  #waiting = 0;
  readonly #atOnce: number;

  /** @param atOnce - so many arrays are asked at each look */
  constructor(file: StorageFile, dict: MmapDict, atOnce: number = ASKED_AT_ONCE) {
    this.#file = file;
    this.#dict = dict;
    this.#atOnce = atOnce;
  }

  /** Whether arrays take turns. */
  inTurns({ growables }: WatchLedger): boolean {
    return growables.size > this.#atOnce;
  }

  /** Arrays may have grown that were not asked yet. */
  get waiting(): boolean {
    return this.#waiting > 0;
  }

  /** Something was committed: all are to be asked again. */
  stirred(ledger: WatchLedger): void {
    this.#waiting = ledger.growables.size;
  }

  /** What an array said: unless that is what its count says, it is asked again. */
  told({ known, place }: Ask, rows: number): void {
    if (place?.count === BigInt(rows)) this.#places.set(known, place);
  }

  /** The array grew: it is asked at each look from now on, as are the others that grew last. */
  grew(key: string): void {
    this.#lately.delete(key);
    this.#lately.add(key);
    if (this.#lately.size > this.#atOnce / PER_LATELY) this.#lately.delete(this.#lately.values().next().value!);
  }

  /**
   * The arrays whose rows may be others than when they were asked last, of those whose turn it is.
   * @param all - it is everybody's turn
   * @param stretch - bytes that one read takes, for the counts of neighbours, too
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
      // Who asks all at once, at the start, has no use for a place yet.
      const offset = place?.offset ?? (all ? undefined : this.#find(key, known));
      // Before the array is asked: what comes meanwhile is another count then.
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

  /** Where the count stands; undefined where the array was removed, or sealed, or has moved. */
  #find(key: string, known: Known): number | undefined {
    try {
      const { entryOffset, countOffset } = this.#dict.core.growables.locate(key);
      return entryOffset === known.offset ? countOffset : undefined;
    } catch (error) {
      if (isMmdError(error)) return undefined;
      throw error;
    }
  }
}
