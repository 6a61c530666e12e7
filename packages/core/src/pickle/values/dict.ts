/**
 * Python's dict.
 *
 * @module
 */

import { KeySpace } from './keys.ts';

/** Numbers go to the native Map only in small dicts, where chosen collisions cost nothing. */
const NATIVE_NUMBERS = 256;

interface Slot<K, V> {
  readonly key: K;
  value: V;
}

/** Entries by canonical string, for keys that are not all plain strings. */
class Index<K, V> {
  readonly slots = new Map<string, Slot<K, V>>();
  readonly space: KeySpace;

  constructor(space: KeySpace) {
    this.space = space;
  }

  set(key: K, value: V): void {
    const canonical = this.space.key(key);
    const slot = this.slots.get(canonical);
    if (slot === undefined) this.slots.set(canonical, { key, value });
    else slot.value = value;
  }
}

/**
 * A Map whose keys are equal as in Python: `true`, `1`, `1.0` and `1n` are one key, bytes, tuples and frozensets
 * compare by value, opaque objects by identity, NaN never. The first key and the last value stay. Lists, dicts, sets
 * and bytearrays cannot be keys.
 *
 * Its `constructor` is `Map`, so that deep-equality helpers compare it as the Map it is. Entries of a loaded dict are
 * indexed at first use; `new Map(dict)` before `structuredClone`.
 *
 * @example
 * ```ts
 * import { PyDict, Tuple } from '@mmdpickle/core/pickle';
 *
 * const dict = new PyDict<unknown, string>([[1, 'one'], [new Tuple(1, 2), 'pair']]);
 * dict.get(true); // 'one'
 * dict.get(new Tuple(1, 2)); // 'pair'
 * ```
 */
export class PyDict<K = unknown, V = unknown> extends Map<K, V> {
  /** null: all in the native Map. An array: keys and values as loaded, all keys strings, not yet in the Map. */
  #state: null | unknown[] | Index<K, V> = null;

  constructor(entries?: Iterable<readonly [K, V]> | null) {
    super();
    if (entries) for (const [key, value] of entries) this.set(key, value);
  }

  /**
   * Adds keys and values that alternate in `items` from `start` on; the fast path of the machine.
   * @param space - shared by all dicts of one pickle
   * @throws MmdError BAD_KEY
   */
  static fill(dict: PyDict, items: readonly unknown[], start: number, space: () => KeySpace): void {
    const end = items.length;
    let i = start;
    while (i < end && typeof items[i] === 'string') i += 2;
    if (i >= end) {
      const state = dict.#state;
      if (state === null && dict.#nativeSize() === 0) {
        dict.#state = items.slice(start);
        return;
      }
      if (Array.isArray(state)) {
        for (i = start; i < end; i++) state.push(items[i]);
        return;
      }
    }
    dict.#settle();
    for (i = start; i < end; i += 2) dict.#put(items[i], items[i + 1], space);
  }

  /** Keys and values that alternate, as loaded and not yet looked at; undefined once they were. Borrowed. */
  static pairs(dict: PyDict): readonly unknown[] | undefined {
    return Array.isArray(dict.#state) ? dict.#state : undefined;
  }

  // biome-ignore lint/complexity/useLiteralKeys: a plain `constructor` would be the constructor
  override get ['constructor'](): MapConstructor {
    return Map;
  }

  #nativeSize(): number {
    return super.size;
  }

  /** Moves loaded pairs into the native Map. */
  #settle(): Index<K, V> | null {
    const state = this.#state;
    if (!Array.isArray(state)) return state;
    this.#state = null;
    for (let i = 0; i < state.length; i += 2) super.set(state[i] as K, state[i + 1] as V);
    return null;
  }

  #put(key: K, value: V, space: () => KeySpace): void {
    let index = this.#state as Index<K, V> | null;
    if (index === null) {
      if (typeof key === 'string' || (nativeNumber(key) && super.size < NATIVE_NUMBERS)) {
        super.set(key, value);
        return;
      }
      index = new Index(space());
      // Refused before anything moves: a key that cannot be hashed leaves the dict as it was.
      index.set(key, value);
      index.slots.clear();
      super.forEach((item, name) => {
        (index as Index<K, V>).set(name, item);
      });
      super.clear();
      this.#state = index;
    }
    index.set(key, value);
  }

  override get size(): number {
    const index = this.#settle();
    return index === null ? super.size : index.slots.size;
  }

  override get(key: K): V | undefined {
    const index = this.#settle();
    return index === null ? super.get(nativeKey(key)) : index.slots.get(index.space.key(key))?.value;
  }

  override has(key: K): boolean {
    const index = this.#settle();
    return index === null ? super.has(nativeKey(key)) : index.slots.has(index.space.key(key));
  }

  override set(key: K, value: V): this {
    this.#settle();
    this.#put(key, value, newSpace);
    return this;
  }

  override delete(key: K): boolean {
    const index = this.#settle();
    return index === null ? super.delete(nativeKey(key)) : index.slots.delete(index.space.key(key));
  }

  override clear(): void {
    this.#state = null;
    super.clear();
  }

  override forEach(callback: (value: V, key: K, map: Map<K, V>) => void, thisArg?: unknown): void {
    for (const [key, value] of this) callback.call(thisArg, value, key, this);
  }

  override entries(): MapIterator<[K, V]> {
    const index = this.#settle();
    return index === null ? super.entries() : (slotEntries(index.slots) as MapIterator<[K, V]>);
  }

  override keys(): MapIterator<K> {
    const index = this.#settle();
    return index === null ? super.keys() : (slotKeys(index.slots) as MapIterator<K>);
  }

  override values(): MapIterator<V> {
    const index = this.#settle();
    return index === null ? super.values() : (slotValues(index.slots) as MapIterator<V>);
  }

  override [Symbol.iterator](): MapIterator<[K, V]> {
    return this.entries();
  }
}

/** A space of its own for a dict that was not loaded. */
export const newSpace = (): KeySpace => new KeySpace();

/** Numbers that a native Map compares as Python does. */
export function nativeNumber(key: unknown): boolean {
  return typeof key === 'number' && !Number.isNaN(key) && !Object.is(key, -0);
}

/** The key under which a native Map of strings and numbers would hold a key; what is equal to none becomes undefined. */
export function nativeKey<K>(key: K): K {
  if (typeof key === 'string' || typeof key === 'number') return key;
  const canonical = newSpace().key(key);
  if (canonical.startsWith('i0x') || !/^[fi]/.test(canonical)) return undefined as K;
  return Number(canonical.slice(1)) as K;
}

function* slotEntries<K, V>(slots: Map<string, Slot<K, V>>): Generator<[K, V], undefined> {
  for (const { key, value } of slots.values()) yield [key, value];
}

function* slotKeys<K, V>(slots: Map<string, Slot<K, V>>): Generator<K, undefined> {
  for (const { key } of slots.values()) yield key;
}

function* slotValues<K, V>(slots: Map<string, Slot<K, V>>): Generator<V, undefined> {
  for (const { value } of slots.values()) yield value;
}
