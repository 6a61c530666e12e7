/**
 * Changes to bytes that are already committed: deaths of entries, row counts, spellings.
 *
 * One of them is its own commit; several are first written to a journal (docs/format.md, "Several places at once").
 *
 * @module
 */

import { ByteWriter } from '../bytes/index.ts';
import type { Journal } from '../format/journal.ts';
import { encodeProgram, encodeRows, type RowsOpcodes } from '../format/journal-program.ts';
import { DEAD, stateOffset, toSectorEnd } from '../format/layout.ts';
import type { StorageFile } from '../storage/storage-file.ts';
import type { EntryPlace } from './catalog.ts';
import type { GrowablePlace } from './growable-array.ts';

const DEAD_BYTE = Uint8Array.of(DEAD);
const NOTHING = new Uint8Array(0);

/** What one transaction will change in place. */
export class ChangesInPlace {
  /** Entries that have a successor, by key: marked dead after the commit. */
  readonly tombstones: Map<string, EntryPlace> = new Map();
  /** Deleted keys, and the file offsets of their state bytes: marking these dead is the change. There may be millions. */
  #deleted: string[] = [];
  #deaths: number[] = [];
  /** Bytes to write elsewhere at the commit. */
  #overwrites: [offset: number, bytes: Uint8Array][] = [];
  /** Row counts to store, by offset. */
  readonly #counts = new Map<number, number>();
  /** The array of each row count to store, by offset. */
  readonly #grown = new Map<number, { readonly key: string; readonly place: GrowablePlace }>();

  /** A journal's opcodes for an array, except its row count. */
  readonly #opcodes = new WeakMap<GrowablePlace, RowsOpcodes>();
  /** Kept, since allocating it is half of the time of encoding a program. */
  #program: ByteWriter | undefined;

  /** How many changes there are, except tombstones. */
  get size(): number {
    return this.#deaths.length + this.#counts.size + this.#overwrites.length;
  }

  /** Only row counts change, which no handle caches. */
  get countsOnly(): boolean {
    return this.#deaths.length + this.#overwrites.length === 0;
  }

  /** The change is a single write, and it lies in one sector. */
  get oneWrite(): boolean {
    return this.size === 1 && this.#overwrites.every(([at, { length }]) => length <= toSectorEnd(at));
  }

  delete(key: string, place: EntryPlace): void {
    this.#deleted.push(key);
    this.#deaths.push(stateOf(place));
  }

  overwrite(offset: number, bytes: Uint8Array): void {
    this.#overwrites.push([offset, bytes]);
  }

  /** Overwrites after this reach the disk after those before. */
  barrier(): void {
    this.#overwrites.push([0, NOTHING]);
  }

  count(key: string, place: GrowablePlace, rows: number): void {
    this.#counts.set(place.countOffset, rows);
    this.#grown.set(place.countOffset, { key, place });
  }

  /** Drops the counts of a key that is to be marked dead: Python would look for its array, and find another value or none. */
  forgetCount(key: string): void {
    for (const [offset, grown] of this.#grown) {
      if (grown.key !== key) continue;
      this.#grown.delete(offset);
      this.#counts.delete(offset);
    }
  }

  /** Row counts to store, by file offset. */
  get counts(): ReadonlyMap<number, number> {
    return this.#counts;
  }

  /** The row count to be stored at `offset`. */
  pendingCount(offset: number): number | undefined {
    return this.#counts.size === 0 ? undefined : this.#counts.get(offset);
  }

  clear(): void {
    if (this.tombstones.size > 0) this.tombstones.clear();
    if (this.#deaths.length > 0) {
      this.#deleted = [];
      this.#deaths = [];
    }
    if (this.#counts.size > 0) {
      this.#counts.clear();
      this.#grown.clear();
    }
    if (this.#overwrites.length > 0) this.#overwrites = [];
  }

  /** Makes the change. */
  apply(file: StorageFile): void {
    for (const offset of this.#deaths) file.write(offset, DEAD_BYTE);
    for (const [offset, rows] of this.#counts) storeCount(file, offset, rows);
    for (const [offset, bytes] of this.#overwrites) file.write(offset, bytes);
  }

  /** All changes, for a journal. */
  journal(): Journal {
    const deaths = new Set(this.#deaths);
    for (const place of this.tombstones.values()) deaths.add(stateOf(place));
    return {
      deaths,
      stores: new Map(this.#counts),
      overwrites: this.#overwrites,
    };
  }

  /**
   * The program of the journal, for stock Python; borrowed until the next call.
   * @param has - whether a key is there after all: one that was deleted and then set again is
   */
  program(has: (key: string) => boolean): Uint8Array {
    const deleted = this.#deleted.filter((key) => !has(key));
    const rows = [...this.#grown].map(([offset, { key, place }]) => {
      let opcodes = this.#opcodes.get(place);
      if (opcodes === undefined) {
        const { type, rowShape, filled } = place;
        opcodes = encodeRows({ key, type, rowShape, masked: place.maskOffset !== undefined, filled });
        this.#opcodes.set(place, opcodes);
      }
      return { opcodes, rows: this.#counts.get(offset)! };
    });
    return encodeProgram(deleted, rows, (this.#program ??= new ByteWriter()));
  }
}

/** Carries out a journal. */
export function carryOut({ deaths, stores, overwrites = [] }: Journal, file: StorageFile, durable: boolean): void {
  for (const offset of deaths) file.write(offset, DEAD_BYTE);
  for (const [offset, rows] of stores) file.storeI64(offset, BigInt(rows));
  for (const [offset, bytes] of overwrites) {
    if (bytes.length > 0) file.write(offset, bytes);
    else if (durable) file.sync();
  }
}

/** Marks an entry dead. */
export function kill(file: StorageFile, place: EntryPlace): void {
  file.write(stateOf(place), DEAD_BYTE);
}

/** Stores a row count in one machine store: of half the word if the other half is zero before and after. */
export function storeCount(file: StorageFile, offset: number, rows: number): void {
  if (rows < 2 ** 31 && (offset & 3) === 0 && file.loadI32(offset + 4) === 0) file.storeI32(offset, rows);
  else file.storeI64(offset, BigInt(rows));
}

function stateOf({ offset, frameLength }: EntryPlace): number {
  return stateOffset(offset, frameLength);
}
