/**
 * Reads at equal distances, as a walk over frames of one size makes them.
 *
 * @module
 */

/** Bytes between two reads; for closer ones, neighbours are read along with them. */
const LEAST_STEP = 8192;
/** Bytes by which a distance may differ from the mean of its row: some entries are a little longer than others. */
const DRIFT = 512;
/** One read of so many in a row is timed, and the next one too if it was slow. */
const TIMED = 8;
/** A read that takes longer than this, in milliseconds, waited for the disk: one from the page cache takes a tenth. */
const SLOW_MS = 0.025;

/** How many reads ahead the system is told of. Disks and networks are as fast as this many requests at once allow. */
export const READS_AHEAD = 64;

/** How a read is made: as usual, timed, or with those that will follow it read ahead. */
export type ReadPlan = 'usual' | 'timed' | 'ahead';

/**
 * Recognises reads at equal distances. The kernel reads ahead where reads follow each other directly; those that pass over what is in
 * between would each wait for the disk.
 */
export class StridedReads {
  #rowStart = 0;
  #last = -1;
  #step = 0;
  #count = 0;
  /** The last timed read was slow: perhaps only because the process had to wait for a processor. */
  #slow = false;
  #ahead = false;

  /** How the next read, of `length` bytes at `offset`, is made. */
  plan(offset: number, length: number): ReadPlan {
    const step = offset - this.#last;
    if (Math.abs(step - this.#step) > DRIFT) {
      this.#rowStart = this.#last;
      this.#last = offset;
      this.#step = step;
      this.#count = 1;
      this.#slow = false;
      this.#ahead = false;
      return 'usual';
    }
    this.#last = offset;
    this.#count += 1;
    this.#step = (offset - this.#rowStart) / this.#count;
    if (step < LEAST_STEP || length > step / 2) return 'usual';
    if (this.#ahead) return 'ahead';
    return this.#slow || this.#count % TIMED === 0 ? 'timed' : 'usual';
  }

  /** Where the read after `count` more will probably begin. */
  after(count: number): number {
    return Math.round(this.#last + count * this.#step);
  }

  /** Reports how long a timed read took, in milliseconds. Returns true if those that will follow should be read ahead: after two slow ones. */
  took(ms: number): boolean {
    const slow = ms > SLOW_MS;
    this.#ahead = slow && this.#slow;
    this.#slow = slow;
    return this.#ahead;
  }
}
