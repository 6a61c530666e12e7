/**
 * A value in the file, as codecs see it.
 *
 * @module
 */

import { newBytes } from '../bytes/index.ts';
import { MmdError } from '../errors.ts';
import type { EntryDecoder, StoredValue } from '../format/codecs.ts';
import { layCounts } from '../format/journal.ts';
import { ENTRY_HEAD_SIZE, ENTRY_TAIL_SIZE } from '../format/layout.ts';
import { ValueReader } from '../format/value-reader.ts';
import type { ArrayMemory } from '../ndarray/index.ts';
import type { MapAccess, StorageFile } from '../storage/storage-file.ts';
import type { EntryPlace } from './catalog.ts';
import type { ReadAhead } from './read-ahead.ts';

/** Bytes of the first read of a value; a small value needs no second one. */
const WINDOW = 512;

/** What a view needs of its dict. */
export interface ViewContext {
  readonly file: StorageFile;
  readonly access: MapAccess;
  readonly decoder: EntryDecoder;
  readonly growable?: (key: string, ...args: Parameters<NonNullable<StoredValue['growable']>>) => unknown;
}

/** The value of one entry. */
export class EntryView implements StoredValue {
  readonly key: string;
  readonly place: EntryPlace;
  readonly offset: number;
  readonly length: number;
  readonly decoder: EntryDecoder;
  readonly growable?: NonNullable<StoredValue['growable']>;
  readonly #context: ViewContext;
  readonly #stores: ReadonlyMap<number, number> | undefined;
  /** Kept for its hidden class, as the dict keeps its last view. */
  lastReader: ValueReader | undefined;
  #window: Uint8Array | undefined;

  /** @param stores - row counts that a journal will store, by file offset: they count as stored */
  constructor(context: ViewContext, key: string, place: EntryPlace, stores?: ReadonlyMap<number, number>) {
    this.#stores = stores;
    this.#context = context;
    this.key = key;
    this.place = place;
    this.offset = place.offset + ENTRY_HEAD_SIZE + place.keyLength;
    this.length = place.frameLength - 2 - place.keyLength - ENTRY_TAIL_SIZE;
    this.decoder = context.decoder;
    const { growable } = context;
    if (growable !== undefined) this.growable = (...args) => growable(key, ...args);
  }

  /** The file that the view reads. */
  get file(): StorageFile {
    return this.#context.file;
  }

  reader(): ValueReader {
    return (this.lastReader = new ValueReader(this.offset, this.length, this.#fetch));
  }

  readonly #fetch = (pos: number, length: number): Uint8Array => {
    const window = this.#first();
    if (pos + length <= window.length) return pos === 0 ? window : window.subarray(pos);
    return this.#read(pos, Math.min(Math.max(length, WINDOW), this.length - pos));
  };

  bytes(): Uint8Array {
    const window = this.#first();
    if (window.length === this.length) return window.slice();
    const bytes = this.#read(0, this.length);
    if (bytes.length < this.length) {
      throw new MmdError(
        'TRUNCATED',
        `${this.#context.file.name}: the value of ${JSON.stringify(this.key)} reaches past the end of the file`,
        {
          offset: this.offset,
          expected: this.length,
          found: bytes.length,
          key: this.key,
          path: this.#context.file.name,
        },
      );
    }
    return bytes;
  }

  /** Takes the value's first bytes from the read-ahead buffer: the view must not be used after the buffer moves on to the next one. */
  readAhead(ahead: ReadAhead): void {
    const window = ahead.find(this.file, this.offset, Math.min(WINDOW, this.length));
    if (window === undefined) return;
    if (this.#stores !== undefined) layCounts(this.#stores, window, this.offset);
    this.#window = window;
  }

  /** The first `length` bytes, as a copy that belongs to the caller. */
  prefix(length: number): Uint8Array {
    return this.#read(0, length);
  }

  memory(pos: number, length: number): ArrayMemory {
    return this.#context.file.map(this.offset + pos, length, this.#context.access);
  }

  #first(): Uint8Array {
    return (this.#window ??= this.#read(0, Math.min(WINDOW, this.length)));
  }

  #read(pos: number, length: number): Uint8Array {
    const bytes = newBytes(length, 'a value');
    const start = this.offset + pos;
    const count = this.#context.file.read(start, bytes);
    const read = count === length ? bytes : bytes.subarray(0, count);
    if (this.#stores !== undefined) layCounts(this.#stores, read, start);
    return read;
  }
}
