/**
 * Entries by canonical string, for keys that a native Map does not compare as Python does.
 *
 * @module
 */

import type { KeySpace } from './keys.ts';

/** One key with its value. */
export interface Slot<K, V> {
  readonly key: K;
  value: V;
}

/** An insertion-ordered index: of equal keys, the first key and the last value stay. */
export class KeyIndex<K, V> {
  readonly #space: KeySpace;
  readonly #slots = new Map<string, Slot<K, V>>();
  /** The entry while it is the only one: nothing needs to be compared, however deep its key is. */
  #only: Slot<K, V> | null = null;

  constructor(space: KeySpace) {
    this.#space = space;
  }

  /** The entries in a form in which they can be looked up. */
  #open(): Map<string, Slot<K, V>> {
    if (this.#only !== null) {
      this.#slots.set(this.#space.key(this.#only.key), this.#only);
      this.#only = null;
    }
    return this.#slots;
  }

  set(key: K, value: V): void {
    if (this.#only === null && this.#slots.size === 0) {
      this.#only = { key, value };
      return;
    }
    const slots = this.#open();
    const canonical = this.#space.key(key);
    const slot = slots.get(canonical);
    if (slot === undefined) slots.set(canonical, { key, value });
    else slot.value = value;
  }

  get(key: K): Slot<K, V> | undefined {
    return this.#open().get(this.#space.key(key));
  }

  delete(key: K): boolean {
    return this.#open().delete(this.#space.key(key));
  }

  get size(): number {
    return this.#only === null ? this.#slots.size : 1;
  }

  *[Symbol.iterator](): Generator<Slot<K, V>, undefined> {
    if (this.#only !== null) yield this.#only;
    else yield* this.#slots.values();
  }
}
