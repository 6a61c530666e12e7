/**
 * How a handle checks that the file is still the one it knows.
 *
 * @module
 */

import { alignUp, ENTRY_HEAD_SIZE, getU64 } from '../format/layout.ts';
import type { EntryPlace } from './catalog.ts';

const EMPTY = new Uint8Array(0);

/** Bytes of the last entry that must still be the same for what is known of the file to hold. */
export const ANCHOR_SIZE = 64;

/** Where the last entry is. */
export type LastEntry = Pick<EntryPlace, 'offset' | 'frameLength'>;

/** All bytes of a range of the file; fewer at its end. */
type Read = (offset: number, length: number) => Uint8Array;

/** The last entry that was seen, and its first bytes: if they are still there later, the file before them is unchanged. */
export class Anchor {
  /** File offset of the entry; 0 for none. */
  #offset = 0;
  /** 0 for an index, which is never changed in place. */
  #frameLength = 0;
  #bytes: Uint8Array = EMPTY;

  /** This handle wrote the entry itself: no copy is taken. */
  wrote(offset: number, frameLength: number): void {
    this.#offset = offset;
    this.#frameLength = frameLength;
    this.#bytes = EMPTY;
  }

  /** The entry, if there is one whose length may change. */
  get entry(): LastEntry | undefined {
    const [offset, frameLength] = [this.#offset, this.#frameLength];
    return offset > 0 && frameLength > 0 ? { offset, frameLength } : undefined;
  }

  clear(): void {
    this.#offset = 0;
  }

  /** Remembers an index, or the tail entry before one, by its first bytes; {@link ANCHOR_SIZE} are enough. */
  takeTail(offset: number, bytes: Uint8Array): void {
    this.#offset = offset;
    this.#frameLength = 0;
    this.#bytes = bytes.subarray(0, ANCHOR_SIZE);
  }

  /**
   * Remembers an entry that a walk met, by its bytes up to the terminator or tail entry at `end`. If another writer resized it in place
   * after the walk had read its length, it is longer or shorter by now: then {@link Anchor.holds} must fail, since what the walk met after
   * it is no longer true.
   */
  takeMet(read: Read, { offset, frameLength }: EntryPlace, end: number): void {
    this.#offset = offset;
    this.#frameLength = frameLength;
    this.#bytes = withoutCount(read(offset, Math.min(ANCHOR_SIZE, end - 2 - offset)), offset);
    if (!this.#isHead(this.#bytes)) this.#bytes = EMPTY;
  }

  /** Whether the entry is still there. */
  holds(read: Read): boolean {
    const offset = this.#offset;
    if (offset === 0) return true;
    const known = this.#bytes;
    if (known.length === 0) return this.#isHead(read(offset, ENTRY_HEAD_SIZE));
    const bytes = read(offset, known.length);
    const found = this.#frameLength > 0 ? withoutCount(bytes, offset) : bytes;
    return found.length === known.length && found.every((byte, i) => byte === known[i]);
  }

  /** Whether an entry of the remembered length begins with these bytes. */
  #isHead(bytes: Uint8Array): boolean {
    return bytes.length >= ENTRY_HEAD_SIZE && bytes[9] === 0x8c && getU64(bytes, 1) === this.#frameLength;
  }
}

/**
 * Clears the row count of a growable array in `bytes`: others append rows all the time, which moves nothing. A number of as many bytes in
 * another value is cleared too; the rest identifies the entry well enough.
 * @param offset - file offset of the bytes: a count is at a multiple of 8 (docs/format.md)
 */
function withoutCount(bytes: Uint8Array, offset: number): Uint8Array {
  for (let at = alignUp(offset + ENTRY_HEAD_SIZE, 8) - offset; at < bytes.length; at += 8) {
    if (bytes[at - 2] === 0x8a && bytes[at - 1] === 0x08) bytes.fill(0, at, at + 8);
  }
  return bytes;
}
