/**
 * A block of a catalog's slots: columns of typed arrays, and the bytes of their keys.
 *
 * @module
 */

import { decodeUtf8 } from '../bytes/index.ts';

/** Slots of a segment, and how to find one: `slot >> SEGMENT_BITS`, `slot & SEGMENT_MASK`. */
export const SEGMENT_BITS = 13;
export const SEGMENT_SLOTS: number = 2 ** SEGMENT_BITS;
export const SEGMENT_MASK: number = SEGMENT_SLOTS - 1;

const KEY_BYTES = 16;

/** The slots of one segment. The catalog counts those in use. */
export class CatalogSegment {
  hashes: Uint32Array;
  /** File offset of the entry; if the key was removed, minus the number of the catalog's change that removed it. */
  offsets: Float64Array;
  frameLengths: Float64Array;
  /** Where the key begins in {@link CatalogSegment.keys}. */
  keyStarts: Uint32Array;
  keyLengths: Uint8Array;
  keys: Uint8Array;
  keysEnd = 0;

  /** @param capacity - number of slots, at most {@link SEGMENT_SLOTS} */
  constructor(capacity: number) {
    this.hashes = new Uint32Array(capacity);
    this.offsets = new Float64Array(capacity);
    this.frameLengths = new Float64Array(capacity);
    this.keyStarts = new Uint32Array(capacity);
    this.keyLengths = new Uint8Array(capacity);
    this.keys = new Uint8Array(capacity * KEY_BYTES);
  }

  get capacity(): number {
    return this.hashes.length;
  }

  /** Makes room for so many slots. The first segment of a small dict grows; later ones are created at full size. */
  grow(capacity: number): void {
    this.offsets = larger(this.offsets, new Float64Array(capacity));
    this.frameLengths = larger(this.frameLengths, new Float64Array(capacity));
    this.keyStarts = larger(this.keyStarts, new Uint32Array(capacity));
    this.keyLengths = larger(this.keyLengths, new Uint8Array(capacity));
    // Last, since it says how many slots there are: an allocation may fail.
    this.hashes = larger(this.hashes, new Uint32Array(capacity));
  }

  /** Fills a free slot. */
  fill(
    at: number,
    bytes: Uint8Array,
    start: number,
    end: number,
    hash: number,
    offset: number,
    frameLength: number,
  ): void {
    const length = end - start;
    const keyStart = this.keysEnd;
    if (keyStart + length > this.keys.length) {
      this.keys = larger(this.keys, new Uint8Array(Math.max(this.keys.length * 2, keyStart + length)));
    }
    const { keys } = this;
    for (let i = 0; i < length; i++) keys[keyStart + i] = bytes[start + i]!;
    this.keysEnd = keyStart + length;
    this.keyStarts[at] = keyStart;
    this.keyLengths[at] = length;
    this.hashes[at] = hash;
    this.offsets[at] = offset;
    this.frameLengths[at] = frameLength;
  }

  /** The key in a slot. */
  key(at: number): string {
    const start = this.keyStarts[at]!;
    return decodeUtf8(this.keys, start, start + this.keyLengths[at]!);
  }

  /** Whether the key in a slot is these bytes. */
  has(at: number, bytes: Uint8Array, start: number, end: number): boolean {
    const length = end - start;
    if (this.keyLengths[at] !== length) return false;
    const keyStart = this.keyStarts[at]!;
    const { keys } = this;
    for (let i = 0; i < length; i++) if (keys[keyStart + i] !== bytes[start + i]) return false;
    return true;
  }
}

function larger<T extends Float64Array | Uint32Array | Uint8Array>(column: T, grown: T): T {
  grown.set(column);
  return grown;
}
