/**
 * Which files a row has, for a watcher that asks at every poll.
 *
 * @module
 */

import { dirname } from 'node:path';
import type { FilePattern } from '../rolling.ts';
import { statusOf } from './named-file.ts';

/** When a directory is listed again whose times have not changed. */
interface ListingPace {
  /** Always, if that takes no more than this, in milliseconds. */
  readonly quickMs: number;
  /** Else once this many times as long have passed: the clocks of file systems are coarse, so a file may appear without a new time. */
  readonly rest: number;
}

const PACE: ListingPace = { quickMs: 4, rest: 50 };

/** The numbers of a row's files. Listing a directory takes time in proportion to its files, of which a row may have any number. */
export class RowListing {
  readonly #pattern: FilePattern;
  readonly #pace: ListingPace;
  #numbers: readonly number[] = [];
  #state: string | undefined;
  #listedAt = -Infinity;
  #tookMs = 0;

  constructor(pattern: FilePattern, pace: ListingPace = PACE) {
    this.#pattern = pattern;
    this.#pace = pace;
  }

  /** The numbers of the existing files, in ascending order. @throws MmdError IO */
  numbers(): readonly number[] {
    const { quickMs, rest } = this.#pace;
    const started = performance.now();
    // Read before the files: what appears in between is found by the next call.
    const status = statusOf(dirname(this.#pattern.pattern));
    const state = status && `${status.dev} ${status.ino} ${status.mtimeNs} ${status.ctimeNs}`;
    const same = state !== undefined && state === this.#state;
    const resting = this.#tookMs > quickMs && started - this.#listedAt < this.#tookMs * rest;
    if (same && resting) return this.#numbers;
    this.#numbers = this.#pattern.numbers();
    this.#state = state;
    this.#listedAt = performance.now();
    this.#tookMs = this.#listedAt - started;
    return this.#numbers;
  }
}
