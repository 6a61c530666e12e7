/**
 * Python's set and frozenset.
 *
 * @module
 */

import { MmdError } from '../../errors.ts';
import { nativeKey, nativeNumber, newSpace } from './dict.ts';
import type { KeySpace } from './keys.ts';

const NATIVE_NUMBERS = 256;

interface Index<T> {
  readonly items: Map<string, T>;
  readonly space: KeySpace;
}

/**
 * A Set whose items are equal as in Python: see `PyDict`. Its `constructor` is `Set`, so that deep-equality helpers
 * compare it as the Set it is.
 */
export class PySet<T = unknown> extends Set<T> {
  /** null: all in the native Set. */
  #index: Index<T> | null = null;

  constructor(items?: Iterable<T> | null) {
    super();
    if (items) for (const item of items) this.#put(item, newSpace);
  }

  /**
   * Adds `items` from `start` on.
   * @param space - shared by all sets of one pickle
   * @throws MmdError BAD_KEY
   */
  static fill(set: PySet, items: readonly unknown[], start: number, space: () => KeySpace): void {
    for (let i = start; i < items.length; i++) set.#put(items[i], space);
  }

  // biome-ignore lint/complexity/useLiteralKeys: a plain `constructor` would be the constructor
  override get ['constructor'](): SetConstructor {
    return Set;
  }

  #put(item: T, space: () => KeySpace): void {
    if (this.#index === null) {
      if (typeof item === 'string' || (nativeNumber(item) && super.size < NATIVE_NUMBERS)) {
        super.add(item);
        return;
      }
      const index: Index<T> = { items: new Map(), space: space() };
      // Refused before anything moves: an item that cannot be hashed leaves the set as it was.
      index.space.key(item);
      super.forEach((other) => {
        index.items.set(index.space.key(other), other);
      });
      super.clear();
      this.#index = index;
    }
    const canonical = this.#index.space.key(item);
    if (!this.#index.items.has(canonical)) this.#index.items.set(canonical, item);
  }

  override get size(): number {
    return this.#index === null ? super.size : this.#index.items.size;
  }

  override has(item: T): boolean {
    return this.#index === null ? super.has(nativeKey(item)) : this.#index.items.has(this.#index.space.key(item));
  }

  override add(item: T): this {
    this.#put(item, newSpace);
    return this;
  }

  override delete(item: T): boolean {
    if (this.#index === null) return super.delete(nativeKey(item));
    return this.#index.items.delete(this.#index.space.key(item));
  }

  override clear(): void {
    this.#index = null;
    super.clear();
  }

  override forEach(callback: (value: T, again: T, set: Set<T>) => void, thisArg?: unknown): void {
    for (const item of this) callback.call(thisArg, item, item, this);
  }

  override values(): SetIterator<T> {
    return this.#index === null ? super.values() : (this.#index.items.values() as unknown as SetIterator<T>);
  }

  override keys(): SetIterator<T> {
    return this.values();
  }

  override *entries(): Generator<[T, T], undefined> {
    for (const item of this.values()) yield [item, item];
  }

  override [Symbol.iterator](): SetIterator<T> {
    return this.values();
  }
}

/**
 * An immutable set; it can be a dict key and an item of other sets.
 *
 * @example
 * ```ts
 * import { FrozenSet, PyDict } from '@mmdpickle/core/pickle';
 *
 * const dict = new PyDict([[new FrozenSet([1, 2]), 'both']]);
 * dict.get(new FrozenSet([2, 1])); // 'both'
 * ```
 */
export class FrozenSet<T = unknown> extends PySet<T> {
  /** Tells a frozenset from a set where keys are compared. */
  readonly pyFrozen: true = true;

  // biome-ignore lint/complexity/useLiteralKeys: a plain `constructor` would be the constructor
  override get ['constructor'](): SetConstructor {
    return FrozenSet as unknown as SetConstructor;
  }

  /** @throws MmdError UNSUPPORTED_VALUE: a frozenset never changes */
  override add(_item: T): this {
    throw frozen();
  }

  /** @throws MmdError UNSUPPORTED_VALUE: a frozenset never changes */
  override delete(_item: T): boolean {
    throw frozen();
  }

  /** @throws MmdError UNSUPPORTED_VALUE: a frozenset never changes */
  override clear(): void {
    throw frozen();
  }
}

function frozen(): MmdError {
  return new MmdError('UNSUPPORTED_VALUE', 'a frozenset cannot change');
}
