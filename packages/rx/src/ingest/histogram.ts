/**
 * Quantiles of durations in constant memory.
 *
 * @module
 */

/** Buckets per doubling: a quantile is off by less than 1 part in 16. */
const PER_OCTAVE = 16;
/** Upper bound of the first bucket: 1 microsecond, in milliseconds. */
const SMALLEST = 0.001;
/** The buckets cover 1 microsecond to 2^34 microseconds, which is over four hours. */
const OCTAVES = 34;

/** Counts durations in logarithmic buckets. */
export class Histogram {
  readonly #counts: Float64Array = new Float64Array(OCTAVES * PER_OCTAVE + 1);
  #total = 0;

  /** Number of durations recorded. */
  get total(): number {
    return this.#total;
  }

  /** @param ms - a duration in milliseconds */
  record(ms: number): void {
    const bucket = ms <= SMALLEST ? 0 : Math.ceil(Math.log2(ms / SMALLEST) * PER_OCTAVE);
    const last = this.#counts.length - 1;
    this.#counts[Math.min(bucket, last)]! += 1;
    this.#total += 1;
  }

  /**
   * The `q` quantile of the recorded durations in milliseconds, rounded up to the end of its bucket; 0 if none was
   * recorded.
   */
  quantile(q: number): number {
    if (this.#total === 0) return 0;
    const rank = Math.max(1, Math.ceil(q * this.#total));
    let seen = 0;
    let bucket = 0;
    for (; bucket < this.#counts.length; bucket += 1) {
      seen += this.#counts[bucket]!;
      if (seen >= rank) break;
    }
    return SMALLEST * 2 ** (bucket / PER_OCTAVE);
  }

  /** Discards all records. */
  reset(): void {
    this.#counts.fill(0);
    this.#total = 0;
  }
}
