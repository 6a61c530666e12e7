/**
 * The memo of the machine.
 *
 * @module
 */

/** What the slots grow by: V8 grows an array by half, which for a million slots moves three times as many, into fresh pages. */
const GROWTH = 4;
/** Beyond, V8 grows: it makes a hash table of an array whose length is set above 2^25. */
const GROWN = 2 ** 23;

/**
 * Slots by index. Any index from 0 to 2^32 - 1 is legal, so it is a map by meaning; indices that come in order, as
 * picklers write them, stay in an array for speed. Every index lives in exactly one of the two.
 */
export class Memo {
  /** Slots from 0 to `#count`; what follows is room. */
  #dense: unknown[] = [];
  #count = 0;
  #sparse = new Map<number, unknown>();

  /** Slots in use. */
  get size(): number {
    return this.#count + this.#sparse.size;
  }

  set(index: number, value: unknown): void {
    if (index < this.#count) this.#dense[index] = value;
    else if (index === this.#count && (this.#sparse.size === 0 || !this.#sparse.has(index))) {
      if (index === this.#dense.length && index < GROWN) this.#dense.length = Math.max(64, index * GROWTH);
      this.#dense[index] = value;
      this.#count = index + 1;
    } else this.#sparse.set(index, value);
  }

  has(index: number): boolean {
    return index < this.#count || (this.#sparse.size > 0 && this.#sparse.has(index));
  }

  /** The value of a slot that is in use. */
  get(index: number): unknown {
    return index < this.#count ? this.#dense[index] : this.#sparse.get(index);
  }

  clear(): void {
    if (this.#dense.length > KEPT) this.#dense = [];
    else this.#dense.fill(undefined, 0, this.#count);
    this.#count = 0;
    if (this.#sparse.size > 0) this.#sparse = new Map();
  }
}

/** A small memo keeps its room for the next pickle. */
const KEPT = 64;
