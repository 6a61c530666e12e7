/**
 * Which key stands where: a map from keys to slots, and columns of numbers per slot.
 *
 * @module
 */

/** An entry's place in the file. */
export interface EntryPlace {
  readonly offset: number;
  readonly frameLength: number;
  readonly keyLength: number;
}

/** The live entries by key, in the order that Python's dict has. Columns keep a key at about 17 bytes beside the map. */
export class Catalog {
  readonly #slots = new Map<string, number>();
  #offsets = new Float64Array(64);
  #frameLengths = new Float64Array(64);
  #keyLengths = new Uint8Array(64);
  #count = 0;
  /** Live entries that a later one with the same key hides: what a crash between commit and tombstone leaves. */
  readonly shadowed: Map<string, EntryPlace[]> = new Map();

  get size(): number {
    return this.#slots.size;
  }

  /** Slots handed out, those of removed keys too. */
  get slotCount(): number {
    return this.#count;
  }

  /** The slot of a key, or -1. */
  find(key: string): number {
    return this.#slots.get(key) ?? -1;
  }

  offset(slot: number): number {
    return this.#offsets[slot]!;
  }

  frameLength(slot: number): number {
    return this.#frameLengths[slot]!;
  }

  keyLength(slot: number): number {
    return this.#keyLengths[slot]!;
  }

  place(slot: number): EntryPlace {
    return { offset: this.offset(slot), frameLength: this.frameLength(slot), keyLength: this.keyLength(slot) };
  }

  /** A live entry that the file holds; an earlier one with the key is shadowed, and keeps the key's position as in Python. */
  load(key: string, offset: number, frameLength: number, keyLength: number): void {
    const old = this.#slots.get(key);
    if (old !== undefined) {
      const places = this.shadowed.get(key);
      if (places === undefined) this.shadowed.set(key, [this.place(old)]);
      else places.push(this.place(old));
    }
    this.#slots.set(key, this.#add(offset, frameLength, keyLength));
  }

  /** A new entry whose predecessor dies: the key moves to the end. Returns the predecessor's slot, or -1. */
  replace(key: string, offset: number, frameLength: number, keyLength: number): number {
    const old = this.#slots.get(key);
    const slot = this.#add(offset, frameLength, keyLength);
    if (old !== undefined) this.#slots.delete(key);
    this.#slots.set(key, slot);
    return old ?? -1;
  }

  remove(key: string): void {
    this.#slots.delete(key);
    this.shadowed.delete(key);
  }

  /** All live entries by file offset, with their keys: `visit(key, slot)`. */
  each(visit: (key: string, slot: number) => void): void {
    for (const [key, slot] of this.#slots) visit(key, slot);
  }

  clear(): void {
    this.#slots.clear();
    this.shadowed.clear();
    this.#count = 0;
  }

  keys(): MapIterator<string> {
    return this.#slots.keys();
  }

  entries(): MapIterator<[string, number]> {
    return this.#slots.entries();
  }

  #add(offset: number, frameLength: number, keyLength: number): number {
    const slot = this.#count++;
    if (slot === this.#offsets.length) this.#grow();
    this.#offsets[slot] = offset;
    this.#frameLengths[slot] = frameLength;
    this.#keyLengths[slot] = keyLength;
    return slot;
  }

  #grow(): void {
    const capacity = this.#offsets.length * 2;
    const offsets = new Float64Array(capacity);
    offsets.set(this.#offsets);
    this.#offsets = offsets;
    const frameLengths = new Float64Array(capacity);
    frameLengths.set(this.#frameLengths);
    this.#frameLengths = frameLengths;
    const keyLengths = new Uint8Array(capacity);
    keyLengths.set(this.#keyLengths);
    this.#keyLengths = keyLengths;
  }
}
