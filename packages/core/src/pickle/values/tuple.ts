/**
 * Python's tuple.
 *
 * @module
 */

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
export class Tuple<T = unknown> extends Array<T> {
  static override get [Symbol.species](): ArrayConstructor {
    return Array;
  }

  /** @param items - the items; unlike `new Array(n)`, one number is an item too */
  constructor(...items: readonly T[]) {
    super();
    for (const item of items) this.push(item);
    Object.freeze(this);
  }

  /** A tuple of the items of any iterable. */
  static override from<T>(items: Iterable<T> | ArrayLike<T>): Tuple<T> {
    return tupleOver(Array.from(items));
  }

  /** A tuple of the arguments. */
  static override of<T>(...items: T[]): Tuple<T> {
    return tupleOver(items);
  }
}

/** Makes an array into a tuple, in place; nobody else may hold it. */
export function tupleOver<T>(items: T[]): Tuple<T> {
  return Object.freeze(Object.setPrototypeOf(items, Tuple.prototype)) as Tuple<T>;
}
