/**
 * Which entries a handle knows: those that a walk met, or those in an index and those appended since.
 *
 * @module
 */

import { isText } from '../bytes/index.ts';
import { ENTRY_HEAD_SIZE, entryEnd, HEADER_SIZE, stateOffset } from '../format/layout.ts';
import { keyOf, type ScanEnd, type ScannedEntry } from '../format/scan.ts';
import { isTailKey } from '../format/tail-entry.ts';
import type { StorageFile } from '../storage/storage-file.ts';
import type { BaseIndex } from './base-index.ts';
import { Catalog, type EntryPlace } from './catalog.ts';
import { type EntryTaker, walkAtMost, walkTo } from './walk.ts';

/** Most slots in the catalog that are allocated at once: a file may claim to have any number of keys. */
const EXPECTED_MAX = 2 ** 20;

/** Most keys of a catalog that stays in memory when its dict is closed: it takes tens of KiB. */
const SMALL = 1024;

/** The owner of the entries. */
export interface EntriesHost {
  /** The file of the entries; may be replaced. */
  readonly file: StorageFile;
  /** File offset where the next entry goes, and where the first uncommitted one begins. */
  readonly end: number;
  /** The index contradicts itself: the next one must be built from a walk. */
  indexTorn(): void;
  /** The entries that were there before cannot be walked any more: everything must be read anew. */
  walkBroken(damage: ScanEnd & { readonly kind: 'damage' }): void;
}

/** The live entries of a file by key, and what must be known about the others. */
export class KnownEntries implements EntryTaker {
  /** One more than the highest memo index of all entries. */
  memoHint = 0;
  /** File offsets of damaged entries, by key: of the last one with it. Entries whose key is not a string are under `undefined`. */
  damaged: Map<string | undefined, number> = new Map();
  /** Number of entries that walks met, including dead ones. */
  walked = 0;
  /** The index that is used for the entries up to where it was made; absent once the file was walked. */
  base: BaseIndex | undefined;
  /** File offset of the end of the last entry in the base, which may have been resized since. */
  #baseEnd = 0;
  /** Keys deleted since, which the base still has. */
  readonly removed: Set<string> = new Set();
  readonly #host: EntriesHost;
  /** Created on first use: with an index few keys, or none, are added. */
  #catalog: Catalog | undefined;
  /** Keeps the revision rising when the catalog or the file is replaced. */
  #rebuilt = 0;
  #generation = 0;
  /** Entries of others were met since there is a {@link KnownEntries.base}. */
  #met = false;

  constructor(host: EntriesHost) {
    this.#host = host;
  }

  /** Live entries; while there is a {@link KnownEntries.base}, only those that were looked up or appended since. */
  get catalog(): Catalog {
    return (this.#catalog ??= new Catalog());
  }

  /** Changes whenever a key, or its place, may have changed. */
  get revision(): number {
    return this.#rebuilt + (this.#catalog?.changes ?? 0);
  }

  /** Changes whenever other entries may be at the places of known ones. */
  get generation(): number {
    return this.#generation;
  }

  /** The slot of a live entry in the catalog, or -1. */
  find(key: string): number {
    const slot = this.findKnown(key);
    if (slot >= 0 || this.base === undefined || this.removed.has(key)) return slot;
    const place = this.base.find(key);
    if (place === undefined) return -1;
    if (place === 'torn') this.#baseTorn();
    else this.catalog.loadKey(key, place.offset, place.frameLength);
    return this.catalog.find(key);
  }

  /** Like {@link KnownEntries.find}, for a key whose UTF-8 is available. */
  findBytes(key: string, bytes: Uint8Array, length: number): number {
    const slot = (this.#catalog ?? this.catalog).findBytes(bytes, 0, length);
    return slot >= 0 || this.base === undefined ? slot : this.find(key);
  }

  /** The slot of a key in the catalog, or -1; does not search the {@link KnownEntries.base}. */
  findKnown(key: string): number {
    return this.#catalog === undefined ? -1 : this.#catalog.find(key);
  }

  /** Keys of values whose only entry that is not dead is damaged: it may be live. */
  damagedKeys(): string[] {
    const keys = [...this.damaged.keys()].filter((key) => key !== undefined);
    return keys.filter((key) => !isTailKey(key) && this.find(key) < 0);
  }

  /** An entry was written whose key was just not found, with nothing looked up or changed since. */
  addMissing(bytes: Uint8Array, length: number, offset: number, frameLength: number): void {
    // Without a base the search ended in the catalog.
    if (this.base === undefined) (this.#catalog ?? this.catalog).putMissing(bytes, 0, length, offset, frameLength);
    else this.catalog.put(bytes, 0, length, offset, frameLength);
  }

  /** The key's entry is dead, or about to be. */
  remove(key: string): void {
    this.catalog.remove(key);
    if (this.base !== undefined) this.removed.add(key);
  }

  /** Removes entries that are dead, given by the file offsets of their state bytes. */
  died(states: ReadonlySet<number>): void {
    const { catalog } = this;
    const gone: string[] = [];
    catalog.each((slot) => {
      const { offset, frameLength } = catalog.place(slot);
      if (states.has(stateOffset(offset, frameLength))) gone.push(catalog.key(slot));
    });
    for (const key of gone) this.remove(key);
  }

  /** Whether the file holds an entry with this key and the known length at the known place. */
  stands(key: string, { offset, keyLength }: EntryPlace): boolean {
    const slot = this.findKnown(key);
    const head = new Uint8Array(ENTRY_HEAD_SIZE + keyLength);
    return slot >= 0 && this.#host.file.read(offset, head) === head.length && this.catalog.isEntry(slot, head, 0);
  }

  /**
   * An older live entry of the key that only the {@link KnownEntries.base} has: a writer was killed before it marked that dead.
   * @param place - of the key's entry, which is committed
   */
  hiddenInBase(key: string, { offset }: EntryPlace): EntryPlace | undefined {
    const { base } = this;
    if (base === undefined || !this.#met || offset < this.#baseEnd) return undefined;
    const place = base.find(key);
    if (place !== 'torn') return place;
    this.#baseTorn();
    return undefined;
  }

  /** All entries that {@link KnownEntries.hiddenInBase} would return. */
  allHiddenInBase(): EntryPlace[] {
    const { base, catalog } = this;
    const hidden: EntryPlace[] = [];
    if (base === undefined || !this.#met) return hidden;
    let torn = false;
    catalog.each((slot) => {
      if (torn || catalog.offset(slot) < this.#baseEnd) return;
      const place = base.find(catalog.key(slot));
      if (place === 'torn') torn = true;
      else if (place !== undefined) hidden.push(place);
    });
    if (!torn) return hidden;
    this.#baseTorn();
    return [];
  }

  /** The base gives no reliable answer: from here on the catalog is used, which then knows the hidden entries, too. */
  #baseTorn(): void {
    this.walkAll();
    this.#host.indexTorn();
  }

  /** From here on an index is used for the entries that it has. */
  useBase(base: BaseIndex): void {
    this.base = base;
    this.#baseEnd = base.end;
  }

  /** The last entry of the file, which has the key, was resized. */
  resized(key: string, { offset, frameLength }: EntryPlace, newLength: number): void {
    const { catalog } = this;
    catalog.move(catalog.find(key), offset, newLength);
    if (entryEnd(offset, frameLength) === this.#baseEnd) this.#baseEnd = entryEnd(offset, newLength);
  }

  /** Makes the catalog hold every live entry. What was appended but not committed stays in it. */
  walkAll(): void {
    const { base, catalog: known } = this;
    if (base === undefined) return;
    const removed = [...this.removed];
    this.base = undefined;
    try {
      this.#walkTo(this.#baseEnd, known, base.newest.footer.keys, new Map(this.damaged));
    } catch (error) {
      // The index is still usable.
      this.base = base;
      throw error;
    }
    for (const key of removed) if (known.find(key) < 0) this.catalog.remove(key);
    this.removed.clear();
  }

  /**
   * How a walk over the entries in the {@link KnownEntries.base} ends; they are only checked.
   * @returns undefined if it would read more than `budget` bytes, and gave up
   */
  walkBase(budget: number): ScanEnd | undefined {
    return walkAtMost(this.#host.file, HEADER_SIZE, this.#baseEnd, budget);
  }

  /**
   * Walks again if the catalog has all entries, and some may be dead by now: a key that was replaced gets the place of its last value. Call
   * it under the lock. What the transaction deleted stays out.
   */
  walkAgain(): void {
    const { catalog: known } = this;
    this.#walkTo(this.#host.end, known, known.size, new Map());
    for (const key of this.catalog.keys()) if (known.find(key) < 0) this.catalog.remove(key);
  }

  /** @param damaged - what is known to be damaged already; the walk adds to it */
  #walkTo(end: number, known: Catalog, count: number, damaged: Map<string | undefined, number>): void {
    const { damaged: knownDamaged, walked, removed } = this;
    const knownRemoved = [...removed];
    this.#rebuilt += known.changes + 1;
    this.walked = 0;
    this.damaged = damaged;
    const committed = this.#host.end;
    let result: ScanEnd;
    try {
      this.#catalog = new Catalog();
      this.expect(count);
      result = walkTo(this.#host.file, HEADER_SIZE, end, this);
      known.each((_slot, { offsets, frameLengths, keys, keyStarts, keyLengths }, at) => {
        const [offset, frameLength, start] = [offsets[at]!, frameLengths[at]!, keyStarts[at]!];
        const stop = start + keyLengths[at]!;
        // What a committed entry replaced is dead, or hidden for good; what an uncommitted one replaced lives until the commit.
        if (offset >= committed) this.catalog.put(keys, start, stop, offset, frameLength);
        else if (offset >= end) this.catalog.load(keys, start, stop, offset, frameLength);
      });
    } catch (error) {
      // What was met before a read failed is incomplete; and what was deleted, but not committed yet, was met alive.
      this.#catalog = known;
      this.damaged = knownDamaged;
      this.walked = walked;
      for (const key of knownRemoved) removed.add(key);
      throw error;
    }
    if (result.kind === 'damage') this.#host.walkBroken(result);
  }

  /** Forgets all entries, until a walk or an index provides them. */
  clear(): void {
    this.#generation++;
    this.#met = false;
    this.walked = 0;
    this.#catalog?.clear();
    this.base = undefined;
    this.removed.clear();
    this.memoHint = 0;
    this.damaged = new Map();
  }

  /** The same offsets may refer to other bytes from now on. */
  fileReplaced(): void {
    this.#rebuilt++;
  }

  /** Releases all memory: the file is closed. */
  close(): void {
    // A small catalog is not worth creating an empty one for.
    if (this.#catalog !== undefined && this.#catalog.size > SMALL) this.#catalog = new Catalog();
    // The index itself stays, for its hidden class, as the dict does.
    this.base?.forget();
    this.removed.clear();
  }

  expect(count: number): void {
    this.catalog.expect(Math.min(count, EXPECTED_MAX));
  }

  take(entry: ScannedEntry): void {
    this.walked++;
    if (entry.memoHint > this.memoHint) this.memoHint = entry.memoHint;
    if (entry.state === 'dead') return;
    const { bytes, keyPos, keyLength, offset, frameLength } = entry;
    if (entry.state === 'damaged' || !isText(bytes, keyPos, keyPos + keyLength)) {
      this.damaged.set(keyOf(entry), offset);
      return;
    }
    this.catalog.load(bytes, keyPos, keyPos + keyLength, offset, frameLength);
    if (this.base !== undefined) this.#met = true;
    if (this.removed.size > 0) this.removed.delete(keyOf(entry)!);
  }
}
