/**
 * Python's tuple.
 *
 * @module
 */

/** The class of tuples. */
export interface TupleConstructor {
  readonly prototype: Tuple<unknown>;
  /** @param items - the items; unlike `new Array(n)`, one number is an item too */
  new <A extends readonly unknown[]>(...items: A): Tuple<A[number]>;
  /** A tuple of the arguments. */
  of<A extends readonly unknown[]>(...items: A): Tuple<A[number]>;
  /** A tuple of the items of any iterable. */
  from<T>(items: Iterable<T> | ArrayLike<T>): Tuple<T>;
}

/**
 * An immutable list, distinguished from a list by its class. Arrays derived from it (`map`, `filter`, `slice`) are
 * plain.
 *
 * @example
 * ```ts
 * import { Tuple } from '@mmdpickle/core/pickle';
 *
 * const pair = new Tuple(1, 'a');
 * Array.isArray(pair); // true
 * Object.isFrozen(pair); // true
 * ```
 */
export interface Tuple<T = unknown> extends Array<T> {}

/**
 * The class that makes tuples: the engine makes and freezes `new Items(a, b)` in a quarter of the time that giving an
 * array another prototype takes. It shares its prototype with {@link Tuple}, whose constructor takes a single number as
 * an item.
 */
class Items<T> extends Array<T> {
  /** A number that a writer stored. The elements are frozen, a private field is not. */
  #mark = -1;

  static mark(tuple: object, mark: number): boolean {
    if (!(#mark in tuple)) return false;
    tuple.#mark = mark;
    return true;
  }

  static marked(tuple: object): number {
    return #mark in tuple ? tuple.#mark : -1;
  }
}

/** Stores a number for a writer, which must be able to recognize it as its own; false if this is not a tuple of ours. */
export const markTuple: (tuple: object, mark: number) => boolean = Items.mark;

/** The number that a writer stored, or -1. */
export const tupleMark: (tuple: object) => number = Items.marked;

/** The class of tuples; its instances are frozen. */
export const Tuple: TupleConstructor = (() => {
  function make(...items: readonly unknown[]): Tuple {
    return tupleOver(items);
  }
  Object.defineProperty(make, 'name', { value: 'Tuple' });
  make.prototype = Items.prototype;
  Object.defineProperty(Items.prototype, 'constructor', { value: make, writable: true, configurable: true });
  Object.defineProperty(make, Symbol.species, { get: () => Array });
  make.of = make;
  make.from = (items: Iterable<unknown> | ArrayLike<unknown>): Tuple => tupleOver(Array.from(items));
  return make as unknown as TupleConstructor;
})();

/*
 * A tuple gets null as its first element before its items: V8 then uses one elements kind for all items. By itself it
 * would start with one for small integers, copy the items into another for floats, and into a third for freezing (220
 * ns instead of 45 for a tuple of an integer and a float). All tuples then have one hidden class, too.
 */

/** A tuple of the items of an array, from `start` to `end`. */
export function tupleOver<T>(items: readonly T[], start = 0, end: number = items.length): Tuple<T> {
  const tuple = new Items<T | null>(end - start);
  if (end > start) tuple[0] = null;
  for (let i = start; i < end; i++) tuple[i - start] = items[i] as T;
  return Object.freeze(tuple) as Tuple<T>;
}

/** A tuple of one item. */
export function tupleOf1<T>(a: T): Tuple<T> {
  const tuple = new Items<T | null>(1);
  tuple[0] = null;
  tuple[0] = a;
  return Object.freeze(tuple) as Tuple<T>;
}

/** A tuple of two items. */
export function tupleOf2<T>(a: T, b: T): Tuple<T> {
  const tuple = new Items<T | null>(2);
  tuple[0] = null;
  tuple[0] = a;
  tuple[1] = b;
  return Object.freeze(tuple) as Tuple<T>;
}

/** A tuple of three items. */
export function tupleOf3<T>(a: T, b: T, c: T): Tuple<T> {
  const tuple = new Items<T | null>(3);
  tuple[0] = null;
  tuple[0] = a;
  tuple[1] = b;
  tuple[2] = c;
  return Object.freeze(tuple) as Tuple<T>;
}

/**
 * Keeps the hidden classes of frozen tuples alive while no tuple is: see `KEPT` in machine.ts.
 * @kept
 */
export const KEPT_TUPLES: readonly Tuple[] = [tupleOver([]), tupleOf1(1)];
