/**
 * What the writer remembers about the objects it wrote.
 *
 * @module
 */

import { PyDict } from './values/dict.ts';
import { markTuple, type Tuple, tupleMark } from './values/tuple.ts';

/** Up to this many marked objects are cleared one by one, and their array is kept for the next value. */
const KEPT = 64;

/** What {@link PutMemo.begin} returns for a tuple that was noted before ... */
export const NOTED = -1;
/** ... and for a new one that cannot store its index. */
const ELSEWHERE = -2;

/**
 * The memo index of each object, or -1 minus the position where a PUT would go. Dicts and tuples store their own index
 * into an array here, which takes a tenth of the time of a lookup in a Set; those marked by another active writer, as
 * when a getter dumps something, are looked up like all others. Most of the others never occur again: they cost one Set
 * lookup, and only the first object that occurs twice builds the Map.
 */
export class PutMemo {
  #marked: (object | null)[] = [];
  #markedCount = 0;
  /** What is noted for the marked objects; NaN for a tuple that is not complete. */
  #notes = new Float64Array(KEPT);
  readonly #seen = new Set<object>();
  /** Positions in the order of `#seen`. */
  #places = new Float64Array(64);
  #map: Map<object, number> | undefined;
  /** Continues after the objects that are in the Map, with those that came later. */
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

  /** The same for a dict. */
  addDict(value: PyDict, at: number): boolean {
    const mark = PyDict.marked(value);
    if (mark < 0 && PyDict.mark(value, this.#markedCount)) return this.#keep(value, at) >= 0;
    return this.#indexOf(value, mark) < 0 && this.add(value, at);
  }

  /** Notes a tuple that is to be completed later, and returns its slot; {@link NOTED} if it was noted before. */
  begin(value: Tuple): number {
    const mark = tupleMark(value);
    if (mark < 0 && markTuple(value, this.#markedCount)) return this.#keep(value, Number.NaN);
    return this.#indexOf(value, mark) < 0 && this.add(value, Number.NaN) ? ELSEWHERE : NOTED;
  }

  /** Completes the tuple of that slot at `at`; false if it was completed meanwhile, by one of its items. */
  complete(slot: number, value: object, at: number): boolean {
    const index = slot >= 0 ? slot : this.#place(value);
    if (index >= 0) {
      if (!Number.isNaN(this.#notes[index])) return false;
      this.#notes[index] = at;
      return true;
    }
    const map = this.#indexed();
    if (!Number.isNaN(map.get(value))) return false;
    map.set(value, at);
    return true;
  }

  /** Stores an object that was marked with the next index, and returns that index. */
  #keep(value: object, at: number): number {
    const index = this.#markedCount++;
    if (index === this.#notes.length) this.#notes = doubled(this.#notes);
    if (index < this.#marked.length) this.#marked[index] = value;
    else this.#marked.push(value);
    this.#notes[index] = at;
    return index;
  }

  /** The index in an object's mark, or -1 if the mark is that of another active writer. */
  #indexOf(value: object, mark: number): number {
    return mark >= 0 && mark < this.#markedCount && this.#marked[mark] === value ? mark : -1;
  }

  /** The same for any object. */
  #place(value: object): number {
    return this.#indexOf(value, value instanceof PyDict ? PyDict.marked(value) : tupleMark(value));
  }

  has(value: object): boolean {
    return this.#place(value) >= 0 || this.#seen.has(value);
  }

  get(value: object): number | undefined {
    const index = this.#place(value);
    const at = index >= 0 ? this.#notes[index] : this.#seen.has(value) ? this.#indexed().get(value) : undefined;
    return Number.isNaN(at) ? undefined : at;
  }

  /** Changes what is noted for an object. */
  set(value: object, at: number): void {
    const index = this.#place(value);
    if (index >= 0) this.#notes[index] = at;
    else this.#indexed().set(value, at);
  }

  clear(): void {
    for (let i = 0; i < this.#markedCount; i++) {
      const value = this.#marked[i]!;
      if (value instanceof PyDict) PyDict.mark(value, -1);
      else markTuple(value, -1);
    }
    if (this.#markedCount > KEPT) {
      this.#marked = [];
      this.#notes = new Float64Array(KEPT);
    } else if (this.#markedCount > 0) this.#marked.fill(null, 0, this.#markedCount);
    this.#markedCount = 0;
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
