/**
 * The keys that many dicts of one pickle have in common.
 *
 * @module
 */

/** Dicts of at most this many keys are kept as rows: a row has room for that many values in itself. */
export const ROW = 8;
/** How many shapes are distinguished among dicts of one length. */
const WAYS = 8;

/** The keys of rows, in order. */
export class Shape {
  readonly keys: readonly string[];

  constructor(keys: readonly string[]) {
    this.keys = keys;
  }
}

/**
 * Finds the shapes of the dicts of one pickle. A shape is made when a dict has the keys of an earlier one, and
 * forgotten when another takes its place.
 */
export class Shapes {
  readonly #shapes: (Shape | null)[] = NONE.slice();
  /** Alternating keys and values of dicts that had no shape. */
  readonly #others: (readonly unknown[] | null)[] = NONE.slice();
  /** The places in use, and how many: a single record uses one, and clearing all would cost half as much as reading it. */
  readonly #taken = new Uint8Array(NONE.length);
  #count = 0;

  /**
   * The shape of the alternating keys and values in `items` from `start` on; undefined if no earlier dict had it.
   * @param count - how many keys: 2 to {@link ROW}; the first is text
   */
  find(items: readonly unknown[], start: number, count: number): Shape | undefined {
    const place = placeOf(items[start] as string, count);
    const shape = this.#shapes[place];
    if (shape) {
      const { keys } = shape;
      let i = 0;
      while (i < count && keys[i] === items[start + 2 * i]) i++;
      if (i === count) return shape;
    }
    const other = this.#others[place];
    if (!other) return undefined;
    const keys: string[] = [];
    for (let i = 0; i < count; i++) {
      const key = items[start + 2 * i];
      if (typeof key !== 'string' || other[2 * i] !== key) return undefined;
      keys.push(key);
    }
    return (this.#shapes[place] = new Shape(keys));
  }

  /** Notes the keys and values of a dict that had no shape; borrowed until {@link clear}. */
  note(pairs: readonly unknown[]): void {
    const place = placeOf(pairs[0] as string, pairs.length / 2);
    if (this.#others[place] === null) this.#taken[this.#count++] = place;
    this.#others[place] = pairs;
  }

  /** Forgets all. */
  clear(): void {
    for (let i = 0; i < this.#count; i++) {
      const place = this.#taken[i]!;
      this.#shapes[place] = null;
      this.#others[place] = null;
    }
    this.#count = 0;
  }
}

const NONE: readonly null[] = Array.from({ length: (ROW + 1) * WAYS }, () => null);

function placeOf(key: string, count: number): number {
  return count * WAYS + ((key.length === 0 ? 0 : key.length + key.charCodeAt(0)) & (WAYS - 1));
}
