/**
 * How a handle tells that the file it knows is still the one it looks at.
 *
 * @module
 */

import { alignUp, ENTRY_HEAD_SIZE, getU64 } from '../format/layout.ts';
import type { EntryPlace } from './catalog.ts';

const EMPTY = new Uint8Array(0);

/** Bytes of the last entry that must still be there for what is known of the file to hold. */
export const ANCHOR_SIZE = 64;

/** Where the last entry stands. */
export type LastEntry = Pick<EntryPlace, 'offset' | 'frameLength'>;

/** All bytes of a range of the file; fewer at its end. */
type Read = (offset: number, length: number) => Uint8Array;

/** The last entry that was seen, and its first bytes: if they stand there later, the file before them is what it was. */
export class Anchor {
  /** File offset of the entry; 0 for none. */
  #offset = 0;
  /** 0 for an index, which nobody changes in place. */
  #frameLength = 0;
  #bytes: Uint8Array = EMPTY;

  /** This handle wrote the entry itself: no copy is taken. */
  wrote(offset: number, frameLength: number): void {
    this.#offset = offset;
    this.#frameLength = frameLength;
    this.#bytes = EMPTY;
  }

  /** The entry, where there is one whose length may change. */
  get entry(): LastEntry | undefined {
    const [offset, frameLength] = [this.#offset, this.#frameLength];
    return offset > 0 && frameLength > 0 ? { offset, frameLength } : undefined;
  }

  clear(): void {
    this.#offset = 0;
  }

  /** Remembers an index, or the tail entry in front of one, by its first bytes; {@link ANCHOR_SIZE} are enough. */
  takeTail(offset: number, bytes: Uint8Array): void {
    this.#offset = offset;
    this.#frameLength = 0;
    this.#bytes = bytes.subarray(0, ANCHOR_SIZE);
  }

  /**
   * Remembers an entry that a walk met, by its bytes up to the terminator or tail entry at `end`. It may be longer or shorter by
   * now, where another writer changed its room in place after the walk had read its length: then nothing is to hold, for what the
   * walk met behind it is not true any more.
   */
  takeMet(read: Read, { offset, frameLength }: EntryPlace, end: number): void {
    this.#offset = offset;
    this.#frameLength = frameLength;
    this.#bytes = withoutCount(read(offset, Math.min(ANCHOR_SIZE, end - 2 - offset)), offset);
    if (!this.#isHead(this.#bytes)) this.#bytes = EMPTY;
  }

  /** Whether the entry still stands there. */
  holds(read: Read): boolean {
    const offset = this.#offset;
    if (offset === 0) return true;
    const known = this.#bytes;
    if (known.length === 0) return this.#isHead(read(offset, ENTRY_HEAD_SIZE));
    const bytes = read(offset, known.length);
    const found = this.#frameLength > 0 ? withoutCount(bytes, offset) : bytes;
    return found.length === known.length && found.every((byte, i) => byte === known[i]);
  }

  /** Whether an entry as long as that begins with these bytes. */
  #isHead(bytes: Uint8Array): boolean {
    return bytes.length >= ENTRY_HEAD_SIZE && bytes[9] === 0x8c && getU64(bytes, 1) === this.#frameLength;
  }
}

/**
 * Clears the row count of a growable array, in place: others append rows all the time, and move nothing by that. A number of as many
 * bytes in another value is cleared too; what is left tells enough.
 * @param offset - of the bytes in the file: a count stands on a multiple of 8 (docs/format.md)
 */
function withoutCount(bytes: Uint8Array, offset: number): Uint8Array {
  for (let at = alignUp(offset + ENTRY_HEAD_SIZE, 8) - offset; at < bytes.length; at += 8) {
    if (bytes[at - 2] === 0x8a && bytes[at - 1] === 0x08) bytes.fill(0, at, at + 8);
  }
  return bytes;
}
