/**
 * What the writer remembers of the objects it wrote.
 *
 * @module
 */

import { PyDict } from './values/dict.ts';

/** Dicts that are let go of one by one: their array is kept for the next value. */
const KEPT = 64;

/**
 * Objects by memo index, or by -1 minus the position where a PUT would go. A dict remembers its own place in an array
 * here, which takes a tenth of the time of a look into a Set. Of the others most are never asked for again: they cost
 * one look into a Set, and only the first object that comes twice builds the Map.
 */
export class PutMemo {
  #dicts: (PyDict | null)[] = [];
  #dictCount = 0;
  /** What is noted of the dicts. */
  #dictNotes = new Float64Array(KEPT);
  readonly #seen = new Set<object>();
  /** Positions in the order of `#seen`. */
  #places = new Float64Array(64);
  #map: Map<object, number> | undefined;
  /** Goes on, after the objects that are in the Map, with those that came later. */
  #rest: SetIterator<object> | undefined;

  /** Notes an object that is complete at `at`; false if it was noted before. */
  add(value: object, at: number): boolean {
    const count = this.#seen.size;
    this.#seen.add(value);
    if (this.#seen.size === count) return false;
    if (count === this.#places.length) this.#places = doubled(this.#places);
    this.#places[count] = at;
    return true;
  }

  /**
   * Notes an object that is to be completed later, and returns its slot; -1 if it was noted before. A look into the Set
   * is what writing a small tuple mostly costs, so that there is one, not one before and one after its items.
   */
  begin(value: object): number {
    const slot = this.#seen.size;
    return this.add(value, Number.NaN) ? slot : -1;
  }

  /** Completes an object at `at`, of that slot; false if it was completed meanwhile, by one of its items. */
  complete(slot: number, value: object, at: number): boolean {
    if (slot >= 0 && this.#map === undefined) {
      this.#places[slot] = at;
      return true;
    }
    const map = this.#indexed();
    if (!Number.isNaN(map.get(value))) return false;
    map.set(value, at);
    return true;
  }

  /** The same as {@link add} for a dict. */
  addDict(value: PyDict, at: number): boolean {
    if (this.#indexOf(value) >= 0) return false;
    const index = this.#dictCount;
    if (!PyDict.mark(value, index)) return this.add(value, at);
    if (index === this.#dictNotes.length) this.#dictNotes = doubled(this.#dictNotes);
    this.#dicts[index] = value;
    this.#dictNotes[index] = at;
    this.#dictCount++;
    return true;
  }

  /** Where a dict stands that is marked, or -1: a mark of another writer leads to another dict, or to none. */
  #indexOf(value: PyDict): number {
    const index = PyDict.marked(value);
    return index >= 0 && index < this.#dictCount && this.#dicts[index] === value ? index : -1;
  }

  has(value: object): boolean {
    return this.#seen.has(value);
  }

  get(value: object): number | undefined {
    if (value instanceof PyDict) {
      const index = this.#indexOf(value);
      if (index >= 0) return this.#dictNotes[index];
    }
    const at = this.#seen.has(value) ? this.#indexed().get(value) : undefined;
    return Number.isNaN(at) ? undefined : at;
  }

  /** Changes what is noted of an object. */
  set(value: object, at: number): void {
    const index = value instanceof PyDict ? this.#indexOf(value) : -1;
    if (index >= 0) this.#dictNotes[index] = at;
    else this.#indexed().set(value, at);
  }

  clear(): void {
    if (this.#dictCount > KEPT) {
      this.#dicts = [];
      this.#dictNotes = new Float64Array(KEPT);
    } else if (this.#dictCount > 0) this.#dicts.fill(null, 0, this.#dictCount);
    this.#dictCount = 0;
    if (this.#seen.size > 0) this.#seen.clear();
    this.#map = undefined;
    this.#rest = undefined;
  }

  #indexed(): Map<object, number> {
    const map = (this.#map ??= new Map());
    this.#rest ??= this.#seen.values();
    for (let i = map.size; i < this.#seen.size; i++) map.set(this.#rest.next().value as object, this.#places[i]!);
    return map;
  }
}

function doubled(numbers: Float64Array): Float64Array<ArrayBuffer> {
  const more = new Float64Array(numbers.length * 2);
  more.set(numbers);
  return more;
}
