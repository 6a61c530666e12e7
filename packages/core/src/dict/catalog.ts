/**
 * Where each key's entry is: a hash table of typed arrays.
 *
 * A JavaScript Map of a million strings costs 100 bytes and 1.2 us of garbage collection per key, and ends at 16.7 million. Here a key
 * takes its own bytes and about 35 more, and the garbage collector never sees it. The table also grows without a pause: slots are in
 * segments that never move, and a full table is moved into one of twice the length a few entries at a time. (Doubling at once delayed a put
 * by 2 ms at 65,536 keys, by 40 ms at a million.)
 *
 * @module
 */

import { encodeUtf8Into } from '../bytes/index.ts';
import { hashKey } from '../format/hash.ts';
import { ENTRY_HEAD_SIZE, getU64, KEY_MAX } from '../format/layout.ts';
import { CatalogSegment, SEGMENT_BITS, SEGMENT_MASK, SEGMENT_SLOTS } from './catalog-segment.ts';

/** An entry's place in the file. */
export interface EntryPlace {
  readonly offset: number;
  readonly frameLength: number;
  readonly keyLength: number;
}

const FIRST_CAPACITY = 64;

/** Places of the old table that are moved with each key that is added: it is empty before the new one is half full. */
const MOVES = 8;

/** The live entries by key. A slot's number is its position in the order of Python's dict. */
export class Catalog {
  /** Seed of the hashes; random, so that nobody can choose keys that collide. */
  readonly seed: number;
  /** Live entries that a later one with the same key hides: what a crash between commit and tombstone leaves. */
  readonly shadowed: Map<string, EntryPlace[]> = new Map();
  #segments: CatalogSegment[] = [new CatalogSegment(FIRST_CAPACITY)];
  /** Slots in use, including those of removed keys. */
  #count = 0;
  /** All slots before this one are of removed keys: a queue whose first keys are removed is not searched from its beginning. */
  #first = 0;
  #size = 0;
  #changes = 0;
  /** Slot + 1 by hash; 0 is free. Slots of removed keys stay. */
  #table = new Int32Array(FIRST_CAPACITY * 2);
  /** Places in use. */
  #filled = 0;
  /** The old table, while its entries are being moved; those of removed keys are not. */
  #old: Int32Array | undefined;
  /** Places of the old table that were moved. */
  #moved = 0;
  readonly #scratch = new Uint8Array(KEY_MAX * 3);
  /** Where the last search ended in the table, for the key that is added next. */
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
    return slot >= 0 && this.offset(slot) >= 0 ? slot : -1;
  }

  #segment(slot: number): CatalogSegment {
    return this.#segments[slot >> SEGMENT_BITS]!;
  }

  /** File offset of a slot's entry; negative where the key was removed. */
  offset(slot: number): number {
    return this.#segment(slot).offsets[slot & SEGMENT_MASK]!;
  }

  frameLength(slot: number): number {
    return this.#segment(slot).frameLengths[slot & SEGMENT_MASK]!;
  }

  keyLength(slot: number): number {
    return this.#segment(slot).keyLengths[slot & SEGMENT_MASK]!;
  }

  place(slot: number): EntryPlace {
    const { offsets, frameLengths, keyLengths } = this.#segment(slot);
    const at = slot & SEGMENT_MASK;
    return { offset: offsets[at]!, frameLength: frameLengths[at]!, keyLength: keyLengths[at]! };
  }

  /** The key in a slot. */
  key(slot: number): string {
    return this.#segment(slot).key(slot & SEGMENT_MASK);
  }

  /** Whether `bytes` begin as the slot's entry does: with its lengths and its key. */
  isEntry(slot: number, bytes: Uint8Array, from: number): boolean {
    const { frameLengths, keyLengths, keyStarts, keys } = this.#segment(slot);
    const at = slot & SEGMENT_MASK;
    const length = keyLengths[at]!;
    const key = from + ENTRY_HEAD_SIZE;
    if (getU64(bytes, from + 1) !== frameLengths[at]! || bytes[key - 1] !== length) return false;
    const start = keyStarts[at]!;
    for (let i = 0; i < length; i++) if (bytes[key + i] !== keys[start + i]) return false;
    return true;
  }

  /** Adds a live entry of the file; an earlier one with the key is shadowed, and the key keeps its position as in Python. */
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

  /** Adds a new entry, whose predecessor (if there is one) dies: the key moves to the end. */
  put(bytes: Uint8Array, start: number, end: number, offset: number, frameLength: number): void {
    this.#reserve();
    const old = this.findBytes(bytes, start, end);
    if (old >= 0) this.#drop(old);
    this.#add(bytes, start, end, offset, frameLength);
  }

  /**
   * Like {@link Catalog.put} without another search, for a key that {@link Catalog.findBytes} just did not find; nothing was looked up or
   * changed since.
   */
  putMissing(bytes: Uint8Array, start: number, end: number, offset: number, frameLength: number): void {
    // Making room may move slots: then the search would end elsewhere.
    if (this.#count < this.#room()) this.#add(bytes, start, end, offset, frameLength);
    else this.put(bytes, start, end, offset, frameLength);
  }

  /** The entry of a slot was moved or resized. */
  move(slot: number, offset: number, frameLength: number): void {
    this.#changes++;
    const { offsets, frameLengths } = this.#segment(slot);
    offsets[slot & SEGMENT_MASK] = offset;
    frameLengths[slot & SEGMENT_MASK] = frameLength;
  }

  remove(key: string): void {
    const slot = this.find(key);
    if (slot >= 0) this.#drop(slot);
    this.shadowed.delete(key);
  }

  clear(): void {
    this.#changes++;
    this.shadowed.clear();
    this.#empty();
  }

  #empty(): void {
    this.#segments = [new CatalogSegment(FIRST_CAPACITY)];
    this.#table = new Int32Array(FIRST_CAPACITY * 2);
    this.#old = undefined;
    this.#filled = 0;
    this.#count = 0;
    this.#first = 0;
    this.#size = 0;
  }

  /**
   * The keys that exist when the first one is requested, in order, whatever happens meanwhile. Nothing is copied ahead: a removed key keeps
   * its slot, which says since when, and if slots are moved into other segments, the former ones stay as they were.
   */
  *keys(): IterableIterator<string> {
    const [segments, count, changes] = [this.#segments, this.#count, this.#changes];
    for (let slot = this.#first; slot < count; slot++) {
      const segment = segments[slot >> SEGMENT_BITS]!;
      const at = slot & SEGMENT_MASK;
      const offset = segment.offsets[at]!;
      if (offset >= 0 || removedBy(offset) > changes) yield segment.key(at);
    }
  }

  /** Calls `visit` with each key's slot, its segment, and its position in the segment's columns. */
  each(visit: (slot: number, segment: CatalogSegment, at: number) => void): void {
    for (let slot = this.#first; slot < this.#count; slot++) {
      const segment = this.#segment(slot);
      const at = slot & SEGMENT_MASK;
      if (segment.offsets[at]! >= 0) visit(slot, segment, at);
    }
  }

  #drop(slot: number): void {
    this.#segment(slot).offsets[slot & SEGMENT_MASK] = removedAt(++this.#changes);
    this.#size--;
    while (this.#first < this.#count && this.offset(this.#first) < 0) this.#first++;
  }

  /** The slot with the key, even if removed; -1 if there is none. Remembers where the search ended. */
  #search(bytes: Uint8Array, start: number, end: number): number {
    const hash = hashKey(bytes, start, end, this.seed);
    const old = this.#old;
    let slot = -1;
    if (old !== undefined) slot = this.#probe(old, hash, bytes, start, end);
    // Searched last, since this sets the place for the next addition. If a key is in both, its slot in the old one is of a removed key.
    const newer = this.#probe(this.#table, hash, bytes, start, end);
    if (newer >= 0) slot = newer;
    this.#lastHash = hash;
    return slot;
  }

  #probe(table: Int32Array, hash: number, bytes: Uint8Array, start: number, end: number): number {
    const mask = table.length - 1;
    let index = hash & mask;
    let slot: number;
    for (; (slot = table[index]! - 1) >= 0; index = (index + 1) & mask) {
      const segment = this.#segments[slot >> SEGMENT_BITS]!;
      const at = slot & SEGMENT_MASK;
      if (segment.hashes[at] === hash && segment.has(at, bytes, start, end)) break;
    }
    this.#lastIndex = index;
    return slot;
  }

  /** Adds a slot for the key that was searched last. */
  #add(bytes: Uint8Array, start: number, end: number, offset: number, frameLength: number): void {
    const slot = this.#count++;
    this.#segment(slot).fill(slot & SEGMENT_MASK, bytes, start, end, this.#lastHash, offset, frameLength);
    const table = this.#table;
    if (table[this.#lastIndex] === 0) this.#filled++;
    table[this.#lastIndex] = slot + 1;
    this.#size++;
    this.#changes++;
    if (this.#old !== undefined) this.#moveOver(MOVES);
    else if (this.#filled * 2 > table.length) this.#startTable(table.length * 2);
  }

  /** From here on entries are moved to a table of so many places. */
  #startTable(length: number): void {
    // First, since an allocation may fail.
    const table = new Int32Array(length);
    this.#old = this.#table;
    this.#moved = 0;
    this.#table = table;
    this.#filled = 0;
  }

  /** Moves the entries of some places of the old table. */
  #moveOver(places: number): void {
    const old = this.#old!;
    const table = this.#table;
    const mask = table.length - 1;
    const end = Math.min(old.length, this.#moved + places);
    for (let from = this.#moved; from < end; from++) {
      const slot = old[from]! - 1;
      if (slot < 0) continue;
      const { offsets, hashes } = this.#segment(slot);
      const at = slot & SEGMENT_MASK;
      if (offsets[at]! < 0) continue;
      let index = hashes[at]! & mask;
      while (table[index] !== 0) index = (index + 1) & mask;
      table[index] = slot + 1;
      this.#filled++;
    }
    this.#moved = end;
    if (end === old.length) this.#old = undefined;
  }

  /** Number of slots there is room for. */
  #room(): number {
    const whole = this.#segments.length - 1;
    return whole * SEGMENT_SLOTS + this.#segments[whole]!.capacity;
  }

  /** Makes room for one more slot. If at least half are of removed keys, these are dropped first: replacing a key forever takes no more. */
  #reserve(): void {
    const room = this.#room();
    if (this.#count < room) return;
    if (this.#size * 2 <= this.#count) this.#compact();
    else if (room < SEGMENT_SLOTS) this.#segments[0]!.grow(Math.min(SEGMENT_SLOTS, room * 2));
    else this.#segments.push(new CatalogSegment(SEGMENT_SLOTS));
  }

  /** Makes room for about `count` keys in all, if that is more than there is. */
  expect(count: number): void {
    if (!(count > this.#room())) return;
    const first = this.#segments[0]!;
    if (first.capacity < SEGMENT_SLOTS) first.grow(Math.min(SEGMENT_SLOTS, Math.ceil(count)));
    let places = this.#table.length;
    while (places < count * 2) places *= 2;
    if (places === this.#table.length || this.#old !== undefined) return;
    this.#startTable(places);
    this.#moveOver(this.#old!.length);
  }

  #compact(): void {
    const segments = this.#segments;
    const count = this.#count;
    const size = this.#size;
    this.#empty();
    this.expect(size * 2);
    for (let slot = 0; slot < count; slot++) {
      const { offsets, frameLengths, keys, keyStarts, keyLengths } = segments[slot >> SEGMENT_BITS]!;
      const at = slot & SEGMENT_MASK;
      if (offsets[at]! < 0) continue;
      const start = keyStarts[at]!;
      this.put(keys, start, start + keyLengths[at]!, offsets[at]!, frameLengths[at]!);
    }
  }
}

/** The offset in the slot of a key that the catalog's n-th change removed. */
const removedAt = (change: number): number => -change;

/** Which change that was. */
const removedBy = (offset: number): number => -offset;
