/**
 * The memo of the machine.
 *
 * @module
 */

/**
 * Slots by index. Any index from 0 to 2^32 - 1 is legal, so it is a map by meaning; indices that come in order, as
 * picklers write them, stay in an array for speed. Every index lives in exactly one of the two.
 */
export class Memo {
  #dense: unknown[] = [];
  #sparse = new Map<number, unknown>();

  /** Slots in use. */
  get size(): number {
    return this.#dense.length + this.#sparse.size;
  }

  set(index: number, value: unknown): void {
    const dense = this.#dense;
    if (index < dense.length) dense[index] = value;
    else if (index === dense.length && (this.#sparse.size === 0 || !this.#sparse.has(index))) dense.push(value);
    else this.#sparse.set(index, value);
  }

  has(index: number): boolean {
    return index < this.#dense.length || (this.#sparse.size > 0 && this.#sparse.has(index));
  }

  /** The value of a slot that is in use. */
  get(index: number): unknown {
    return index < this.#dense.length ? this.#dense[index] : this.#sparse.get(index);
  }

  clear(): void {
    if (this.#dense.length > 0) this.#dense = [];
    if (this.#sparse.size > 0) this.#sparse = new Map();
  }
}
