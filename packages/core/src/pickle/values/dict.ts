/**
 * Python's dict.
 *
 * @module
 */

import { inspectAs, showAs } from './inspect.ts';
import { KeyIndex, type Slot } from './key-index.ts';
import { checkHashable, KeySpace, nativeKey } from './keys.ts';

/** Numbers go into a native Map only in small dicts, where chosen collisions cost nothing. */
const NATIVE_NUMBERS = 256;

/**
 * A Map whose keys are equal as in Python: `true`, `1`, `1.0` and `1n` are one key, bytes, tuples and frozensets
 * compare by value, opaque objects by identity, NaN never. The first key and the last value stay. Lists, dicts, sets
 * and bytearrays cannot be keys.
 *
 * It is a Map by prototype (`instanceof Map`) and by all its methods, and its `constructor` is `Map`, so that
 * deep-equality helpers compare it as one; but the engine's own Map is made only when it is first looked at, because
 * most loaded dicts never are. Where the engine looks inside, as in `structuredClone`, hand over `new Map(dict)`.
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
export class PyDict<K = unknown, V = unknown> implements Map<K, V> {
  /** null: nothing yet. An array: keys and values in turn, as loaded. */
  #state: null | unknown[] | Map<K, V> | KeyIndex<K, V> = null;
  /** Where keys are compared, if one is no plain text; else where a writer remembers this dict, a number. */
  #space: KeySpace | number | undefined;

  static {
    Object.setPrototypeOf(PyDict, Map);
    Object.setPrototypeOf(PyDict.prototype, Map.prototype);
    // A field or accessor of this name cannot be declared.
    Object.defineProperty(PyDict.prototype, 'constructor', { value: Map, writable: true, configurable: true });
    showAs(PyDict, (self, depth, options, inspect) =>
      inspectAs(`dict(${self.size})`, new Map(self), depth, options, inspect),
    );
  }

  constructor(entries?: Iterable<readonly [K, V]> | null) {
    if (entries) for (const [key, value] of entries) this.set(key, value);
  }

  get [Symbol.toStringTag](): string {
    return 'Map';
  }

  /**
   * Adds the keys and values that alternate in `items` from `start` to `end`; the fast path of the machine.
   * @param space - shared by all dicts of one pickle
   * @throws MmdError BAD_KEY, and the dict is as it was
   */
  static fill(dict: PyDict, items: readonly unknown[], start: number, end: number, space: () => KeySpace): void {
    for (let i = start; i < end; i += 2) {
      const key = items[i];
      if (typeof key === 'string') continue;
      if (typeof key !== 'number') checkHashable(key, space);
      if (typeof dict.#space !== 'object') dict.#space = space();
    }
    const state = dict.#state;
    if (state === null) dict.#state = items.slice(start, end);
    else if (Array.isArray(state)) for (let i = start; i < end; i++) state.push(items[i]);
    else for (let i = start; i < end; i += 2) dict.#put(items[i], items[i + 1]);
  }

  /** Keys and values that alternate, as loaded and not yet looked at; undefined once they were. Borrowed. */
  static pairs(dict: PyDict): readonly unknown[] | undefined {
    return Array.isArray(dict.#state) ? dict.#state : undefined;
  }

  /** Remembers a number for a writer, which must be able to tell that it is its own; false if this dict cannot. */
  static mark(dict: PyDict, mark: number): boolean {
    if (typeof dict.#space === 'object') return false;
    dict.#space = mark;
    return true;
  }

  /** The number that a writer left, or -1. */
  static marked(dict: PyDict): number {
    return typeof dict.#space === 'number' ? dict.#space : -1;
  }

  #ownSpace(): KeySpace {
    if (typeof this.#space !== 'object') this.#space = new KeySpace();
    return this.#space;
  }

  /** The entries where they can be looked up. */
  #settle(): Map<K, V> | KeyIndex<K, V> {
    const state = this.#state;
    if (state instanceof Map || state instanceof KeyIndex) return state;
    this.#state = new Map();
    if (state !== null) for (let i = 0; i < state.length; i += 2) this.#put(state[i] as K, state[i + 1] as V);
    return this.#state;
  }

  #put(key: K, value: V): void {
    let state = this.#state as Map<K, V> | KeyIndex<K, V>;
    if (state instanceof Map) {
      if (isNative(key, state.size)) {
        state.set(key, value);
        return;
      }
      const index = new KeyIndex<K, V>(this.#ownSpace());
      for (const [name, item] of state) index.set(name, item);
      this.#state = state = index;
    }
    state.set(key, value);
  }

  get size(): number {
    return this.#settle().size;
  }

  get(key: K): V | undefined {
    const state = this.#settle();
    return state instanceof Map ? state.get(nativeKey(key)) : state.get(key)?.value;
  }

  has(key: K): boolean {
    const state = this.#settle();
    return state instanceof Map ? state.has(nativeKey(key)) : state.get(key) !== undefined;
  }

  set(key: K, value: V): this {
    if (typeof key !== 'string') checkHashable(key, () => this.#ownSpace());
    this.#settle();
    this.#put(key, value);
    return this;
  }

  delete(key: K): boolean {
    const state = this.#settle();
    return state instanceof Map ? state.delete(nativeKey(key)) : state.delete(key);
  }

  clear(): void {
    this.#state = null;
  }

  forEach(callback: (value: V, key: K, map: Map<K, V>) => void, thisArg?: unknown): void {
    for (const [key, value] of this) callback.call(thisArg, value, key, this);
  }

  entries(): MapIterator<[K, V]> {
    const state = this.#settle();
    return state instanceof Map ? state.entries() : (slotEntries(state) as MapIterator<[K, V]>);
  }

  keys(): MapIterator<K> {
    const state = this.#settle();
    return state instanceof Map ? state.keys() : (slotKeys(state) as MapIterator<K>);
  }

  values(): MapIterator<V> {
    const state = this.#settle();
    return state instanceof Map ? state.values() : (slotValues(state) as MapIterator<V>);
  }

  [Symbol.iterator](): MapIterator<[K, V]> {
    return this.entries();
  }
}

/** A key that a native Map of `size` entries compares as Python does. */
export function isNative(key: unknown, size: number): boolean {
  if (typeof key === 'string' || key === null) return true;
  return typeof key === 'number' && size < NATIVE_NUMBERS && !Number.isNaN(key) && !Object.is(key, -0);
}

function* slotEntries<K, V>(slots: Iterable<Slot<K, V>>): Generator<[K, V], undefined> {
  for (const { key, value } of slots) yield [key, value];
}

function* slotKeys<K, V>(slots: Iterable<Slot<K, V>>): Generator<K, undefined> {
  for (const { key } of slots) yield key;
}

function* slotValues<K, V>(slots: Iterable<Slot<K, V>>): Generator<V, undefined> {
  for (const { value } of slots) yield value;
}

/**
 * Keeps the hidden class, and the code compiled for it, alive while no dict is: see `KEPT` in machine.ts.
 * @kept
 */
export const KEPT_DICT: PyDict = new PyDict();
