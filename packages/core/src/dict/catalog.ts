/**
 * Which key stands where: a hash table of typed arrays.
 *
 * A JavaScript Map of a million strings costs 100 bytes and 1.2 us of garbage collection a key, and ends at 16.7 million.
 * Here a key takes its bytes and about 33 more, and the garbage collector never sees it.
 *
 * @module
 */

import { decodeUtf8, encodeUtf8Into } from '../bytes/index.ts';
import { hashKey } from '../format/hash.ts';
import { KEY_MAX } from '../format/layout.ts';

/** An entry's place in the file. */
export interface EntryPlace {
  readonly offset: number;
  readonly frameLength: number;
  readonly keyLength: number;
}

const FIRST_CAPACITY = 64;

/** The live entries by key. A slot's number tells its place in the order that Python's dict has. */
export class Catalog {
  /** Seed of the hashes; random, so that nobody can choose keys that collide. */
  readonly seed: number;
  /** Live entries that a later one with the same key hides: what a crash between commit and tombstone leaves. */
  readonly shadowed: Map<string, EntryPlace[]> = new Map();
  /** Slot + 1 by hash; 0 is free. Slots of removed keys stay. */
  #table = new Int32Array(FIRST_CAPACITY * 2);
  #hashes = new Uint32Array(FIRST_CAPACITY);
  /** -1: the key was removed. */
  #offsets = new Float64Array(FIRST_CAPACITY);
  #frameLengths = new Float64Array(FIRST_CAPACITY);
  #keyStarts = new Float64Array(FIRST_CAPACITY);
  #keyLengths = new Uint8Array(FIRST_CAPACITY);
  #keys = new Uint8Array(FIRST_CAPACITY * 16);
  #keysEnd = 0;
  #count = 0;
  #distinct = 0;
  #size = 0;
  #changes = 0;
  readonly #scratch = new Uint8Array(KEY_MAX * 3);
  /** Where the last search ended, for what is added next. */
  #lastIndex = 0;
  #lastHash = 0;

  constructor(seed: number = (Math.random() * 2 ** 32) | 0) {
    this.seed = seed;
  }

  /** Rises with every change: what was found before may have moved. */
  get changes(): number {
    return this.#changes;
  }

  /** The number of keys. */
  get size(): number {
    return this.#size;
  }

  /** The slot of a key, or -1. */
  find(key: string): number {
    if (key.length > KEY_MAX) return -1;
    const end = encodeUtf8Into(key, this.#scratch, 0);
    return end > KEY_MAX ? -1 : this.findBytes(this.#scratch, 0, end);
  }

  /** The slot of a key's UTF-8, or -1. */
  findBytes(bytes: Uint8Array, start: number, end: number): number {
    const slot = this.#search(bytes, start, end);
    return slot >= 0 && this.#offsets[slot]! >= 0 ? slot : -1;
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

  hash(slot: number): number {
    return this.#hashes[slot]!;
  }

  place(slot: number): EntryPlace {
    return {
      offset: this.#offsets[slot]!,
      frameLength: this.#frameLengths[slot]!,
      keyLength: this.#keyLengths[slot]!,
    };
  }

  /** The key in a slot. */
  key(slot: number): string {
    const start = this.#keyStarts[slot]!;
    return decodeUtf8(this.#keys, start, start + this.#keyLengths[slot]!);
  }

  /** A live entry that the file holds; an earlier one with the key is shadowed, and keeps its position as in Python. */
  load(bytes: Uint8Array, start: number, end: number, offset: number, frameLength: number): void {
    this.#reserve();
    const old = this.findBytes(bytes, start, end);
    if (old < 0) {
      this.#add(bytes, start, end, offset, frameLength);
      return;
    }
    const place = this.place(old);
    if (place.offset === offset) return;
    const key = this.key(old);
    const places = this.shadowed.get(key);
    if (places === undefined) this.shadowed.set(key, [place]);
    else places.push(place);
    this.move(old, offset, frameLength);
  }

  /** Like {@link Catalog.load} for a key as text. */
  loadKey(key: string, offset: number, frameLength: number): void {
    const end = encodeUtf8Into(key, this.#scratch, 0);
    this.load(this.#scratch, 0, end, offset, frameLength);
  }

  /** A new entry, whose predecessor (if there is one) dies: the key moves to the end. */
  put(bytes: Uint8Array, start: number, end: number, offset: number, frameLength: number): void {
    this.#reserve();
    const old = this.#search(bytes, start, end);
    if (old >= 0 && this.#offsets[old]! >= 0) this.#drop(old);
    this.#add(bytes, start, end, offset, frameLength);
  }

  /**
   * Like {@link Catalog.put} for a key that {@link Catalog.findBytes} just did not find, with nothing looked up or
   * changed since: it is not searched again.
   */
  putMissing(bytes: Uint8Array, start: number, end: number, offset: number, frameLength: number): void {
    // Making room may move slots: then the search ended elsewhere.
    if (this.#count < this.#offsets.length) this.#add(bytes, start, end, offset, frameLength);
    else this.put(bytes, start, end, offset, frameLength);
  }

  /** The entry of a slot moved or changed its length. */
  move(slot: number, offset: number, frameLength: number): void {
    this.#changes++;
    this.#offsets[slot] = offset;
    this.#frameLengths[slot] = frameLength;
  }

  remove(key: string): void {
    const slot = this.find(key);
    if (slot >= 0) this.#drop(slot);
    this.shadowed.delete(key);
  }

  clear(): void {
    this.#changes++;
    this.#table.fill(0);
    this.shadowed.clear();
    this.#keysEnd = 0;
    this.#count = 0;
    this.#distinct = 0;
    this.#size = 0;
  }

  /** All keys, in order. */
  keys(): string[] {
    const keys: string[] = [];
    for (let slot = 0; slot < this.#count; slot++) if (this.#offsets[slot]! >= 0) keys.push(this.key(slot));
    return keys;
  }

  /** Calls `visit` with the bytes of each key, borrowed, from `start` to `end`. */
  each(visit: (slot: number, bytes: Uint8Array, start: number, end: number) => void): void {
    for (let slot = 0; slot < this.#count; slot++) {
      if (this.#offsets[slot]! < 0) continue;
      const start = this.#keyStarts[slot]!;
      visit(slot, this.#keys, start, start + this.#keyLengths[slot]!);
    }
  }

  #drop(slot: number): void {
    this.#changes++;
    this.#offsets[slot] = -1;
    this.#size--;
  }

  /** The slot with the key, be it removed; -1 if there is none. Remembers where the search ended. */
  #search(bytes: Uint8Array, start: number, end: number): number {
    const hash = hashKey(bytes, start, end, this.seed);
    const table = this.#table;
    const mask = table.length - 1;
    const length = end - start;
    const keys = this.#keys;
    let index = hash & mask;
    let slot: number;
    search: for (; (slot = table[index]! - 1) >= 0; index = (index + 1) & mask) {
      if (this.#hashes[slot] !== hash || this.#keyLengths[slot] !== length) continue;
      const at = this.#keyStarts[slot]!;
      for (let i = 0; i < length; i++) if (keys[at + i] !== bytes[start + i]) continue search;
      break;
    }
    this.#lastIndex = index;
    this.#lastHash = hash;
    return slot;
  }

  /** Adds a slot for the key that was searched last. */
  #add(bytes: Uint8Array, start: number, end: number, offset: number, frameLength: number): void {
    const slot = this.#count++;
    const length = end - start;
    const known = this.#table[this.#lastIndex]! - 1;
    if (known >= 0) this.#keyStarts[slot] = this.#keyStarts[known]!;
    else {
      if (this.#keysEnd + length > this.#keys.length) this.#growKeys(length);
      for (let i = 0; i < length; i++) this.#keys[this.#keysEnd + i] = bytes[start + i]!;
      this.#keyStarts[slot] = this.#keysEnd;
      this.#keysEnd += length;
      this.#distinct++;
    }
    this.#hashes[slot] = this.#lastHash;
    this.#offsets[slot] = offset;
    this.#frameLengths[slot] = frameLength;
    this.#keyLengths[slot] = length;
    this.#table[this.#lastIndex] = slot + 1;
    this.#size++;
    this.#changes++;
    if (this.#distinct * 2 > this.#table.length) this.#growTable();
  }

  #growTable(slots: number = this.#table.length * 2): void {
    const old = this.#table;
    const table = new Int32Array(slots);
    const mask = table.length - 1;
    for (const entry of old) {
      if (entry === 0) continue;
      let index = this.#hashes[entry - 1]! & mask;
      while (table[index] !== 0) index = (index + 1) & mask;
      table[index] = entry;
    }
    this.#table = table;
  }

  #growKeys(length: number): void {
    const keys = new Uint8Array(Math.max(this.#keys.length * 2, this.#keysEnd + length));
    keys.set(this.#keys);
    this.#keys = keys;
  }

  /** Makes room for one more slot. Where most slots are of removed keys, they go first: a key that is replaced for ever takes no more. */
  #reserve(): void {
    if (this.#count < this.#offsets.length) return;
    if (this.#size * 2 <= this.#count) {
      this.#compact();
      return;
    }
    this.#grow(this.#offsets.length * 2);
  }

  /** Makes room for about `count` keys in all, where that is more than there is: growing step by step moves them again and again. */
  expect(count: number): void {
    if (!(count > this.#offsets.length)) return;
    this.#grow(Math.ceil(count));
    let slots = this.#table.length;
    while (slots < count * 2) slots *= 2;
    if (slots > this.#table.length) this.#growTable(slots);
  }

  #grow(capacity: number): void {
    const grow = <T extends Float64Array | Uint32Array | Uint8Array>(column: T, grown: T): T => {
      grown.set(column);
      return grown;
    };
    this.#hashes = grow(this.#hashes, new Uint32Array(capacity));
    this.#offsets = grow(this.#offsets, new Float64Array(capacity));
    this.#frameLengths = grow(this.#frameLengths, new Float64Array(capacity));
    this.#keyStarts = grow(this.#keyStarts, new Float64Array(capacity));
    this.#keyLengths = grow(this.#keyLengths, new Uint8Array(capacity));
  }

  #compact(): void {
    const count = this.#count;
    const keys = this.#keys.slice();
    this.#table.fill(0);
    this.#count = 0;
    this.#distinct = 0;
    this.#size = 0;
    this.#keysEnd = 0;
    for (let slot = 0; slot < count; slot++) {
      const offset = this.#offsets[slot]!;
      if (offset < 0) continue;
      const start = this.#keyStarts[slot]!;
      const end = start + this.#keyLengths[slot]!;
      const frameLength = this.#frameLengths[slot]!;
      this.#search(keys, start, end);
      this.#add(keys, start, end, offset, frameLength);
    }
  }
}
