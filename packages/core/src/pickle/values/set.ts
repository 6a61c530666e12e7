/**
 * Python's set and frozenset.
 *
 * @module
 */

import { MmdError } from '../../errors.ts';
import { inspectAs, showAs } from '../../inspect.ts';
import { checkArgument, isIterable } from './check.ts';
import { isNative } from './dict.ts';
import { KeyIndex, type Slot } from './key-index.ts';
import { checkHashable, KeySpace, nativeKey } from './keys.ts';

/** What the methods for two sets accept, like those of a Set: sets, and maps as the set of their keys. */
export interface SetLike<T = unknown> {
  readonly size: number;
  has(item: T): boolean;
  keys(): Iterator<T>;
}

/**
 * A Set whose items are equal as in Python: see `PyDict`, also for what makes it a Set. Its `constructor` is `Set`.
 * `union` and the like exist on every runtime: the engine's own, in Node 22 and later, need a native Set.
 */
export class PySet<T = unknown> implements Set<T> {
  /** null: empty. An array: items as loaded. */
  #state: null | unknown[] | Set<T> | KeyIndex<T, null> = null;
  /** Where items are compared, if one is not plain text. */
  #space: KeySpace | undefined;

  static {
    Object.setPrototypeOf(PySet, Set);
    Object.setPrototypeOf(PySet.prototype, Set.prototype);
    // A field or accessor of this name cannot be declared.
    Object.defineProperty(PySet.prototype, 'constructor', { value: Set, writable: true, configurable: true });
    showAs(PySet, (self, depth, options, inspect) =>
      inspectAs(`set(${self.size})`, new Set(self), depth, options, inspect),
    );
  }

  constructor(items?: Iterable<T> | null) {
    checkArgument(items === undefined || items === null || isIterable(items), 'items must be iterable', items);
    const given = [...(items ?? [])];
    PySet.fill(this, given, 0, given.length, () => this.#ownSpace());
  }

  get [Symbol.toStringTag](): string {
    return 'Set';
  }

  /**
   * Adds the items from `start` to `end`.
   * @param space - shared by all sets of one pickle
   * @throws MmdError BAD_KEY; the set is then unchanged
   */
  static fill(set: PySet, items: readonly unknown[], start: number, end: number, space: () => KeySpace): void {
    for (let i = start; i < end; i++) {
      if (typeof items[i] === 'string') continue;
      checkHashable(items[i], space);
      set.#space = space();
    }
    const state = set.#state;
    if (state === null) set.#state = items.slice(start, end);
    else if (Array.isArray(state)) for (let i = start; i < end; i++) state.push(items[i]);
    else for (let i = start; i < end; i++) set.#put(items[i]);
  }

  /** The items as they are kept, for comparing sets without building their indices; some may occur twice. @internal */
  static raw(set: PySet): Iterable<unknown> {
    return Array.isArray(set.#state) ? set.#state : set;
  }

  #ownSpace(): KeySpace {
    return (this.#space ??= new KeySpace());
  }

  /** The items in a form in which they can be looked up. */
  #settle(): Set<T> | KeyIndex<T, null> {
    const state = this.#state;
    if (state instanceof Set || state instanceof KeyIndex) return state;
    this.#state = new Set();
    if (state !== null) for (const item of state) this.#put(item as T);
    return this.#state;
  }

  #put(item: T): void {
    let state = this.#state as Set<T> | KeyIndex<T, null>;
    if (state instanceof Set) {
      if (isNative(item, state.size)) {
        state.add(item);
        return;
      }
      const index = new KeyIndex<T, null>(this.#ownSpace());
      for (const other of state) index.set(other, null);
      this.#state = state = index;
    }
    state.set(item, null);
  }

  get size(): number {
    return this.#settle().size;
  }

  has(item: T): boolean {
    const state = this.#settle();
    return state instanceof Set ? state.has(nativeKey(item)) : state.get(item) !== undefined;
  }

  add(item: T): this {
    if (typeof item !== 'string') checkHashable(item, () => this.#ownSpace());
    this.#settle();
    this.#put(item);
    return this;
  }

  delete(item: T): boolean {
    const state = this.#settle();
    return state instanceof Set ? state.delete(nativeKey(item)) : state.delete(item);
  }

  clear(): void {
    this.#state = null;
  }

  forEach(callback: (value: T, again: T, set: Set<T>) => void, thisArg?: unknown): void {
    for (const item of this) callback.call(thisArg, item, item, this);
  }

  values(): SetIterator<T> {
    const state = this.#settle();
    return state instanceof Set ? state.values() : (slotKeys(state) as SetIterator<T>);
  }

  keys(): SetIterator<T> {
    return this.values();
  }

  entries(): SetIterator<[T, T]> {
    return twice(this.values()) as SetIterator<[T, T]>;
  }

  [Symbol.iterator](): SetIterator<T> {
    return this.values();
  }

  /** The items of both. @throws MmdError INVALID_ARGUMENT, like the other methods, for what is not a {@link SetLike} */
  union<U>(other: SetLike<U>): PySet<T | U> {
    return new PySet<T | U>([...this, ...itemsOf(other)]);
  }

  /** The items that `other` has too. */
  intersection<U>(other: SetLike<U>): PySet<T & U> {
    const theirs = compared(other);
    return new PySet([...this].filter((item) => theirs.has(item as T & U))) as PySet<T & U>;
  }

  /** The items that `other` does not have. */
  difference<U>(other: SetLike<U>): PySet<T> {
    const theirs = compared(other);
    return new PySet([...this].filter((item) => !theirs.has(item as T & U)));
  }

  /** The items of one that the other does not have. */
  symmetricDifference<U>(other: SetLike<U>): PySet<T | U> {
    const theirs = itemsOf(other).filter((item) => !this.has(item as T & U));
    return new PySet<T | U>([...this.difference(other), ...theirs]);
  }

  /** Whether `other` has all items. */
  isSubsetOf(other: SetLike): boolean {
    return this.difference(other).size === 0;
  }

  /** Whether all items of `other` are here. */
  isSupersetOf(other: SetLike): boolean {
    checkSetLike(other);
    // Like the engine's own method, this does not ask an infinite one for its keys.
    return other.size !== Infinity && itemsOf(other).every((item) => this.has(item as T));
  }

  /** Whether no item is in both. */
  isDisjointFrom(other: SetLike): boolean {
    return this.intersection(other).size === 0;
  }
}

function checkSetLike(other: SetLike): void {
  const { size, has, keys } = (other ?? {}) as Partial<SetLike>;
  const ok = typeof size === 'number' && size >= 0 && typeof has === 'function' && typeof keys === 'function';
  // An array has keys, too: they would silently be used as items.
  checkArgument(ok, 'the argument must be a Set or Map, or have size, has() and keys()', other);
}

function itemsOf<T>(other: SetLike<T>): T[] {
  checkSetLike(other);
  const keys = other.keys();
  return [...{ [Symbol.iterator]: () => keys }];
}

/** The set to look items up in: a plain Set or Map would find only what is the same in JavaScript, and no equal tuple. */
function compared<T>(other: SetLike<T>): SetLike<T> {
  checkSetLike(other);
  const kind: unknown = Object.getPrototypeOf(other);
  return kind === Set.prototype || kind === Map.prototype ? new PySet(itemsOf(other)) : other;
}

function* slotKeys<T>(slots: Iterable<Slot<T, null>>): Generator<T, undefined> {
  for (const { key } of slots) yield key;
}

function* twice<T>(items: Iterable<T>): Generator<[T, T], undefined> {
  for (const item of items) yield [item, item];
}

/**
 * An immutable set; it can be a dict key and an item of other sets. `union` and the like return one again, as in
 * Python.
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
  static {
    Object.defineProperty(FrozenSet.prototype, 'constructor', { value: FrozenSet, writable: true, configurable: true });
    showAs(FrozenSet, (self, depth, options, inspect) =>
      inspectAs(`frozenset(${self.size})`, new Set(self), depth, options, inspect),
    );
  }

  /** Marks a frozenset where keys are compared; its items, some perhaps twice. @internal */
  pyFrozen(): Iterable<unknown> {
    return PySet.raw(this);
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

  override union<U>(other: SetLike<U>): FrozenSet<T | U> {
    return new FrozenSet(super.union(other));
  }

  override intersection<U>(other: SetLike<U>): FrozenSet<T & U> {
    return new FrozenSet(super.intersection(other));
  }

  override difference<U>(other: SetLike<U>): FrozenSet<T> {
    return new FrozenSet(super.difference(other));
  }

  override symmetricDifference<U>(other: SetLike<U>): FrozenSet<T | U> {
    return new FrozenSet(super.symmetricDifference(other));
  }
}

function frozen(): MmdError {
  return new MmdError('UNSUPPORTED_VALUE', 'a frozenset cannot be changed');
}
