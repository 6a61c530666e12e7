/**
 * The fast path to small values, and to arrays whose head was seen before: one positional read into a buffer, decoded there.
 *
 * It decides nothing: any other case (other arrays, errors, a file that changed meanwhile) starts over on the slow path, through views and
 * codecs.
 *
 * @module
 */

import { ARRAY_END_SIZE, ArrayHeads, isArrayEnd } from '../format/array-heads.ts';
import { maybeArray } from '../format/array-value.ts';
import { CODECS, type ValueCodec } from '../format/codecs.ts';
import { ENTRY_HEAD_SIZE, ENTRY_TAIL_SIZE, FRAME_SIZE, LIVE } from '../format/layout.ts';
import { ValueReader } from '../format/value-reader.ts';
import { NDArray } from '../ndarray/index.ts';
import { Decoder } from '../pickle/index.ts';
import type { MapAccess } from '../storage/storage-file.ts';
import { ReadPages } from './read-pages.ts';
import type { DictStore } from './store.ts';

/** Returned for a key that must be read by the slow path. */
export const ELSEWHERE: unique symbol = Symbol('elsewhere');

/** Size limit of an entry that is read to be decoded. */
const SMALL = 4096;
/** Most entries are no longer than this: always reading so much costs less than creating a view of the right length. */
const SHORT = 256;
/** What follows an array's data: the end of its value, and the entry's tail. */
const ENDING = ARRAY_END_SIZE + ENTRY_TAIL_SIZE;

/** Reads values of one dict. */
export class DirectValues {
  readonly #store: DictStore;
  readonly #access: MapAccess;
  /** False if the user's codecs or options might make a difference. */
  readonly #usable: boolean;
  /** Decoding may call user functions, and those may look up other keys. */
  readonly #calls: boolean;
  readonly #decoder: Decoder;
  readonly #buffer = new Uint8Array(SMALL);
  readonly #short: Uint8Array = this.#buffer.subarray(0, SHORT);
  readonly #pages: ReadPages;
  /** Created for the first array. */
  #heads: ArrayHeads | undefined;
  #ending: Uint8Array | undefined;
  /** Set during decoding: a user function that it calls may get another value. */
  #busy = false;

  constructor(store: DictStore, codecs: readonly ValueCodec[], access: MapAccess) {
    const { load } = store.options;
    this.#store = store;
    this.#pages = new ReadPages(store);
    this.#access = access;
    // Copied payloads count towards a budget, borrowed ones do not; lossless strings refer to the input.
    this.#usable = codecs === CODECS && load.lossless !== true && load.limits === undefined;
    const { globals, persistentLoad, extension, buffers } = load;
    this.#calls = [globals, persistentLoad, extension, buffers].some((given) => given !== undefined);
    this.#decoder = new Decoder({ ...load, borrow: false });
  }

  /** The value; `undefined` if there is no such key; or {@link ELSEWHERE}. */
  get(key: string): unknown {
    const store = this.#store;
    if (!this.#usable || this.#busy) return ELSEWHERE;
    store.refresh();
    // A journal's row counts, and so entries, count as stored: views handle that.
    if (store.journal !== undefined) return ELSEWHERE;
    const slot = store.entries.findKnown(key);
    if (slot >= 0) {
      const { catalog } = store.entries;
      return this.#value(catalog.offset(slot), catalog.frameLength(slot), catalog.keyLength(slot), slot);
    }
    const { base, removed, damaged } = store.entries;
    // A damaged entry may have the key: it is not missing then.
    if (damaged.size > 0) return ELSEWHERE;
    if (base === undefined || removed.has(key)) return undefined;
    const place = base.find(key, this.#pages);
    // A dead entry may have a successor that was appended since.
    if (place === undefined) return store.unchanged() ? undefined : ELSEWHERE;
    if (place === 'torn') return ELSEWHERE;
    const { window, windowStart, windowEnd } = base;
    const toValue = ENTRY_HEAD_SIZE + place.keyLength;
    const start = windowStart + toValue;
    const end = windowStart + FRAME_SIZE + place.frameLength - ENTRY_TAIL_SIZE;
    if (maybeArray(window, start, end, windowEnd)) {
      return this.#array(window, start, windowEnd, place.offset + toValue, end - start);
    }
    // The next lookup overwrites the index's window, while only this object overwrites its own buffer.
    if (end <= windowEnd && !this.#calls) return this.#decode(window, start, end);
    return this.#value(place.offset, place.frameLength, place.keyLength, -1);
  }

  /**
   * The value of the entry at file offset `offset`.
   * @param slot - the catalog's: the entry is verified by its key, since what is known of the file may be out of date if commit number and
   * size returned to former values. -1 if it was just verified
   */
  #value(offset: number, frameLength: number, keyLength: number, slot: number): unknown {
    const { file, entries } = this.#store;
    const pages = this.#pages;
    const length = FRAME_SIZE + frameLength;
    const toValue = ENTRY_HEAD_SIZE + keyLength;
    const end = length - ENTRY_TAIL_SIZE;
    const at = this.#calls ? -1 : pages.find(offset, length);
    if (at >= 0) {
      const { bytes } = pages;
      if (slot >= 0 && !entries.catalog.isEntry(slot, bytes, at)) return ELSEWHERE;
      if (!maybeArray(bytes, at + toValue, at + end))
        return bytes[at + length - 2] === LIVE ? this.#decode(bytes, at + toValue, at + end) : ELSEWHERE;
      // What is mapped is the file as it is now: the head must be read from there, too.
      pages.vain();
    }
    const short = this.#short;
    let have = file.read(offset, short);
    if (have < length && have < SHORT) return ELSEWHERE;
    if (slot >= 0 && !entries.catalog.isEntry(slot, short, 0)) return ELSEWHERE;
    if (maybeArray(short, toValue, end, have)) {
      return this.#array(short, toValue, have, offset + toValue, end - toValue);
    }
    const buffer = this.#buffer;
    if (length > SHORT) {
      if (length > SMALL) return ELSEWHERE;
      have += file.read(offset + SHORT, buffer.subarray(SHORT, length));
    }
    return have < length || buffer[length - 2] !== LIVE ? ELSEWHERE : this.#decode(buffer, toValue, end);
  }

  /**
   * The array whose value begins in `bytes[start, available)`, which may hold more than the value.
   * @param offset - its file offset
   * @param length - its bytes
   */
  #array(bytes: Uint8Array, start: number, available: number, offset: number, length: number): unknown {
    const { file } = this.#store;
    const have = Math.min(available, start + length);
    const heads = (this.#heads ??= new ArrayHeads());
    try {
      const head =
        heads.find(bytes, start, have) ??
        heads.learn(bytes, start, have, this.#reader(bytes, start, have, offset, length));
      if (head === undefined || head.valueLength !== length) return ELSEWHERE;
      let ending = bytes;
      let at = start + length - ARRAY_END_SIZE;
      if (at + ENDING > available) {
        ending = this.#ending ??= new Uint8Array(ENDING);
        if (file.read(offset + length - ARRAY_END_SIZE, ending) !== ENDING) return ELSEWHERE;
        at = 0;
      }
      if (!isArrayEnd(ending, at) || ending[at + ARRAY_END_SIZE + 6] !== LIVE) return ELSEWHERE;
      const { form } = head;
      const array = NDArray.ofForm(form, file.map(offset + head.bytes.length, form.nbytes, this.#access));
      return this.#store.unchanged() ? array : ELSEWHERE;
    } catch {
      return ELSEWHERE;
    }
  }

  #reader(bytes: Uint8Array, start: number, have: number, offset: number, length: number): ValueReader {
    return new ValueReader(offset, length, (pos, count) => {
      if (start + pos + count <= have) return bytes.subarray(start + pos, have);
      const more = new Uint8Array(count);
      return more.subarray(0, this.#store.file.read(offset + pos, more));
    });
  }

  #decode(bytes: Uint8Array, start: number, end: number): unknown {
    this.#busy = true;
    try {
      const value = this.#decoder.loadEntry(bytes, start, end);
      return this.#store.unchanged() ? value : ELSEWHERE;
    } catch {
      // The slow path meets the same error, and knows its offset.
      return ELSEWHERE;
    } finally {
      this.#busy = false;
    }
  }
}
