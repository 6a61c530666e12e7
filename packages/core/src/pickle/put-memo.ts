/**
 * What the writer remembers of the objects it wrote.
 *
 * @module
 */

/**
 * Objects by memo index, or by -1 minus the position where a PUT would go. Most objects are never asked for again: they
 * cost one look into a Set, and only the first object that comes twice builds the Map (a quarter of the time of writing
 * a million small containers).
 */
export class PutMemo {
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
    if (count === this.#places.length) {
      const places = new Float64Array(count * 2);
      places.set(this.#places);
      this.#places = places;
    }
    this.#places[count] = at;
    return true;
  }

  has(value: object): boolean {
    return this.#seen.has(value);
  }

  get(value: object): number | undefined {
    return this.#seen.has(value) ? this.#indexed().get(value) : undefined;
  }

  /** Changes what is noted of an object. */
  set(value: object, at: number): void {
    this.#indexed().set(value, at);
  }

  clear(): void {
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
