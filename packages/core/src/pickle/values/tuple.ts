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
 * An immutable list, told from a list by its class. What derives from it (`map`, `filter`, `slice`) is a plain array.
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
 * What tuples are made by: the engine makes `new Items(a, b)` and freezes it in a quarter of the time that giving an
 * array another prototype takes. It shares its prototype with {@link Tuple}, whose constructor takes one number too.
 */
class Items<T> extends Array<T> {}

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

/** A tuple of the items of an array, from `start` to `end`. */
export function tupleOver<T>(items: readonly T[], start = 0, end: number = items.length): Tuple<T> {
  const tuple = new Items<T>(end - start);
  for (let i = start; i < end; i++) tuple[i - start] = items[i] as T;
  return Object.freeze(tuple) as Tuple<T>;
}

/** A tuple of one item. */
export function tupleOf1<T>(a: T): Tuple<T> {
  const tuple = new Items<T>(1);
  tuple[0] = a;
  return Object.freeze(tuple) as Tuple<T>;
}

/** A tuple of two items. */
export function tupleOf2<T>(a: T, b: T): Tuple<T> {
  const tuple = new Items<T>(2);
  tuple[0] = a;
  tuple[1] = b;
  return Object.freeze(tuple) as Tuple<T>;
}

/**
 * Keeps the hidden classes of frozen tuples, one for each kind of items, alive while no tuple is: see `KEPT` in machine.ts.
 * @kept
 */
export const KEPT_TUPLES: readonly Tuple[] = [
  tupleOver([]),
  tupleOf1(1),
  tupleOf1(0.5),
  tupleOf1<unknown>(''),
  tupleOf2<unknown>(1, ''),
];
