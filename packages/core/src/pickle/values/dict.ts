/**
 * Python's dict.
 *
 * @module
 */

import { inspectAs, showAs } from '../../inspect.ts';
import { checkArgument, isIterable } from './check.ts';
import { KeyIndex, type Slot } from './key-index.ts';
import { checkHashable, KeySpace, nativeKey } from './keys.ts';
import { ROW, Shape, Shapes } from './shapes.ts';

/** The shape of every dict with one key, of any kind: the key is in the second field, where others have a value. */
const PAIR = new Shape(['']);
/** Number keys go into a native Map only in dicts smaller than this, where chosen collisions cost nothing. */
const NATIVE_NUMBERS = 256;

/**
 * A Map whose keys are equal as in Python: `true`, `1`, `1.0` and `1n` are one key, bytes, tuples and frozensets
 * compare by value, opaque objects by identity, NaN never. Of equal keys, the first key and the last value stay. Lists,
 * dicts, sets and bytearrays cannot be keys.
 *
 * It is a Map by prototype (`instanceof Map`) and by all its methods, and its `constructor` is `Map`, so that
 * deep-equality helpers compare it as one; but the engine's own Map is made only on first access, because most loaded
 * dicts are never accessed. Where the engine needs a native Map, as in `structuredClone`, pass `new Map(dict)`.
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
  /**
   * null: empty. A shape: the keys, whose values are in the fields below; `PAIR` has its key there, too. An array:
   * alternating keys and values, as loaded.
   */
  #state: null | Shape | unknown[] | Map<K, V> | KeyIndex<K, V> = null;
  /** Where keys are compared, if one is not plain text; else a number that a writer stored for this dict. */
  #space: KeySpace | number | undefined;
  /*
   * The values of a short dict that shares its keys with others, as records do: one object, where an array of keys and
   * values takes two more, and twice the bytes. Half of loading is garbage collection, whose cost is per byte.
   */
  #v0: unknown = undefined;
  #v1: unknown = undefined;
  #v2: unknown = undefined;
  #v3: unknown = undefined;
  #v4: unknown = undefined;
  #v5: unknown = undefined;
  #v6: unknown = undefined;
  #v7: unknown = undefined;

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
    if (entries === undefined || entries === null) return;
    checkArgument(isIterable(entries), 'entries must be [key, value] pairs', entries);
    for (const entry of entries) {
      checkArgument(isIterable(entry), 'an entry must be a [key, value] pair', entry);
      const [key, value] = entry;
      this.set(key, value);
    }
  }

  get [Symbol.toStringTag](): string {
    return 'Map';
  }

  /**
   * Adds the keys and values that alternate in `items` from `start` to `end`; the fast path of the machine.
   * @param space - shared by all dicts of one pickle
   * @param shapes - of the same pickle; null: the dict is not one of many
   * @throws MmdError BAD_KEY; the dict is then unchanged
   */
  static fill(
    dict: PyDict,
    items: readonly unknown[],
    start: number,
    end: number,
    space: () => KeySpace,
    shapes: Shapes | null = null,
  ): void {
    for (let i = start; i < end; i += 2) {
      const key = items[i];
      if (typeof key === 'string') continue;
      if (typeof key !== 'number') checkHashable(key, space);
      if (typeof dict.#space !== 'object') dict.#space = space();
    }
    if (dict.#state === null) {
      if (end - start === 2) {
        dict.#state = PAIR;
        dict.#v0 = items[start + 1];
        dict.#v1 = items[start];
        return;
      }
      const short = shapes !== null && end - start <= 2 * ROW && end > start && typeof items[start] === 'string';
      const shape = short ? shapes.find(items, start, (end - start) >> 1) : undefined;
      if (shape !== undefined) {
        dict.#setRow(shape, items, start);
        return;
      }
      const pairs = items.slice(start, end);
      dict.#state = pairs;
      if (short) shapes.note(pairs);
      return;
    }
    if (dict.#state instanceof Shape) {
      dict.#state = dict.#spread([]);
      dict.#endRow();
    }
    const state = dict.#state;
    if (Array.isArray(state)) for (let i = start; i < end; i++) state.push(items[i]);
    else for (let i = start; i < end; i += 2) dict.#put(items[i], items[i + 1]);
  }

  #setRow(shape: Shape, items: readonly unknown[], start: number): void {
    const count = shape.keys.length;
    this.#state = shape;
    this.#v0 = items[start + 1];
    this.#v1 = items[start + 3];
    if (count > 2) this.#v2 = items[start + 5];
    if (count > 3) this.#v3 = items[start + 7];
    if (count > 4) this.#v4 = items[start + 9];
    if (count > 5) this.#v5 = items[start + 11];
    if (count > 6) this.#v6 = items[start + 13];
    if (count > 7) this.#v7 = items[start + 15];
  }

  /** Lays the keys and values of a row into an array, in turn, from its start. */
  #spread(into: unknown[]): unknown[] {
    if (this.#state === PAIR) {
      into[0] = this.#v1;
      into[1] = this.#v0;
      return into;
    }
    const { keys } = this.#state as Shape;
    const count = keys.length;
    for (let i = 0; i < count; i++) into[2 * i] = keys[i];
    into[1] = this.#v0;
    into[3] = this.#v1;
    if (count > 2) into[5] = this.#v2;
    if (count > 3) into[7] = this.#v3;
    if (count > 4) into[9] = this.#v4;
    if (count > 5) into[11] = this.#v5;
    if (count > 6) into[13] = this.#v6;
    if (count > 7) into[15] = this.#v7;
    return into;
  }

  /** Clears the fields of a row. */
  #endRow(): void {
    this.#v0 = this.#v1 = this.#v2 = this.#v3 = undefined;
    this.#v4 = this.#v5 = this.#v6 = this.#v7 = undefined;
  }

  /** The number of keys of a dict that is kept as a row, else 0. */
  static rowLength(dict: PyDict): number {
    return dict.#state instanceof Shape ? dict.#state.keys.length : 0;
  }

  /** Lays the keys and values of a row into an array, in turn, from its start. */
  static layRow(dict: PyDict, into: unknown[]): void {
    dict.#spread(into);
  }

  /** Alternating keys and values, if the dict still has them as loaded; else undefined. Borrowed. */
  static pairs(dict: PyDict): readonly unknown[] | undefined {
    return Array.isArray(dict.#state) ? dict.#state : undefined;
  }

  /** Stores a number for a writer, which must be able to recognize it as its own; false if this dict cannot. */
  static mark(dict: PyDict, mark: number): boolean {
    if (typeof dict.#space === 'object') return false;
    dict.#space = mark;
    return true;
  }

  /** The number that a writer stored, or -1. */
  static marked(dict: PyDict): number {
    return typeof dict.#space === 'number' ? dict.#space : -1;
  }

  #ownSpace(): KeySpace {
    if (typeof this.#space !== 'object') this.#space = new KeySpace();
    return this.#space;
  }

  /** The entries in a form in which they can be looked up. */
  #settle(): Map<K, V> | KeyIndex<K, V> {
    let state = this.#state;
    if (state instanceof Map || state instanceof KeyIndex) return state;
    if (state instanceof Shape) {
      state = this.#spread([]);
      this.#endRow();
    }
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
    if (this.#state instanceof Shape) this.#endRow();
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

  /** The value of the key; a missing key is first set to `value`. */
  getOrInsert(key: K, value: V): V {
    return this.getOrInsertComputed(key, () => value);
  }

  /** The value of the key; a missing key is first set to what the function returns. */
  getOrInsertComputed(key: K, compute: (key: K) => V): V {
    checkArgument(typeof compute === 'function', 'compute must be a function', compute);
    if (!this.has(key)) this.set(key, compute(key));
    return this.get(key) as V;
  }
}

/** Whether a native Map of `size` entries compares a key as Python does. */
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
export const KEPT_DICT: PyDict = (() => {
  const dict = new PyDict();
  const shapes = new Shapes();
  // One of each kind of value, so that the fields are of no particular kind before the first pickle is read.
  for (const value of [1, 0.5, 'a', 1, 0.5, 'a']) {
    const pairs: unknown[] = [];
    for (let i = 0; i < ROW; i++) pairs.push(`${i}`, value);
    dict.clear();
    PyDict.fill(dict, pairs, 0, pairs.length, () => new KeySpace(), shapes);
  }
  dict.clear();
  return dict;
})();
