/**
 * The short way to values that are small and no arrays, which most are: one positional read into one buffer, from
 * which they are decoded.
 *
 * It decides nothing: whatever is not plain sailing (arrays, errors, a file that changed meanwhile) is left to the
 * way through views and codecs, which starts anew.
 *
 * @module
 */

import { maybeArray } from '../format/array-value.ts';
import { CODECS, type ValueCodec } from '../format/codecs.ts';
import { ENTRY_HEAD_SIZE, ENTRY_TAIL_SIZE, LIVE } from '../format/layout.ts';
import { Decoder } from '../pickle/index.ts';
import type { DictStore } from './store.ts';

/** The answer for a key that has to be read the long way. */
export const ELSEWHERE: unique symbol = Symbol('elsewhere');

/** Bytes of a value and its tail. */
const SMALL = 4096;
/** Most are no longer than this: it is read whole, which costs less than a view of the right length. */
const SHORT = 256;

/** Reads small values of one dict. */
export class SmallValues {
  readonly #store: DictStore;
  /** False where the user's codecs or options might see a difference. */
  readonly #usable: boolean;
  readonly #decoder: Decoder;
  readonly #buffer = new Uint8Array(SMALL);
  readonly #short: Uint8Array = this.#buffer.subarray(0, SHORT);
  /** A user's function that is called while decoding may get another value. */
  #busy = false;

  constructor(store: DictStore, codecs: readonly ValueCodec[]) {
    const { load } = store.options;
    this.#store = store;
    // Copied payloads count for a budget, borrowed ones do not; marked strings refer to the input.
    this.#usable = codecs === CODECS && load.lossless !== true && load.limits === undefined;
    this.#decoder = new Decoder({ ...load, borrow: false });
  }

  /** The value; `undefined` where there is no such key; or {@link ELSEWHERE}. */
  get(key: string): unknown {
    const store = this.#store;
    if (!this.#usable || this.#busy) return ELSEWHERE;
    store.refresh();
    // What a journal says of row counts, and so of entries, counts as stored: views know.
    if (store.journal !== undefined) return ELSEWHERE;
    const slot = store.findKnown(key);
    if (slot >= 0) {
      const { catalog } = store;
      const length = catalog.frameLength(slot) - 2 - catalog.keyLength(slot);
      if (length > SMALL) return ELSEWHERE;
      const offset = catalog.offset(slot) + ENTRY_HEAD_SIZE + catalog.keyLength(slot);
      const buffer = this.#buffer;
      const count = store.file.read(offset, length <= SHORT ? this.#short : buffer.subarray(0, length));
      if (count < length || buffer[length - 2] !== LIVE) return ELSEWHERE;
      return this.#decode(buffer, 0, length - ENTRY_TAIL_SIZE);
    }
    const { base } = store;
    if (base === undefined || store.removed.has(key)) return undefined;
    const place = base.find(key);
    if (place === undefined) return undefined;
    if (place === 'torn' || 9 + place.frameLength > base.windowLength) return ELSEWHERE;
    return this.#decode(base.window, ENTRY_HEAD_SIZE + place.keyLength, 9 + place.frameLength - ENTRY_TAIL_SIZE);
  }

  #decode(bytes: Uint8Array, start: number, end: number): unknown {
    if (maybeArray(bytes, start, end)) return ELSEWHERE;
    this.#busy = true;
    try {
      const value = this.#decoder.loadEntry(bytes, start, end);
      return this.#store.unchanged() ? value : ELSEWHERE;
    } catch {
      // The long way meets the same error, and knows where.
      return ELSEWHERE;
    } finally {
      this.#busy = false;
    }
  }
}
