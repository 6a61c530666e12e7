/**
 * How a handle tells that the file it knows is still the one it looks at.
 *
 * @module
 */

import { ENTRY_HEAD_SIZE, getU64 } from '../format/layout.ts';
import type { EntryPlace } from './catalog.ts';

const EMPTY = new Uint8Array(0);

/** Bytes of the last entry that must still be there for what is known of the file to hold. */
const ANCHOR_SIZE = 64;

/** All bytes of a range of the file; fewer at its end. */
type Read = (offset: number, length: number) => Uint8Array;

/** The last entry that was seen, and its first bytes: if they stand there later, the file before them is what it was. */
export class Anchor {
  /** File offset of the entry; 0 for none. */
  offset = 0;
  frameLength = 0;
  #bytes: Uint8Array = EMPTY;

  /** This handle wrote the entry itself: no copy is taken. */
  wrote(offset: number, frameLength: number): void {
    this.offset = offset;
    this.frameLength = frameLength;
    this.#bytes = EMPTY;
  }

  clear(): void {
    this.offset = 0;
  }

  /** Remembers the bytes that stand at {@link Anchor.offset}, up to the terminator or tail entry at `end`. */
  take(read: Read, end: number): void {
    this.#bytes = this.offset > 0 ? read(this.offset, Math.min(ANCHOR_SIZE, end - 2 - this.offset)) : EMPTY;
  }

  /**
   * The same for an entry that a walk met. It may be longer or shorter by now, where another writer changed its room in place
   * after the walk had read its length: then nothing is to hold, for what the walk met behind it is not true any more.
   */
  takeMet(read: Read, { offset, frameLength }: EntryPlace, end: number): void {
    this.offset = offset;
    this.frameLength = frameLength;
    this.take(read, end);
    if (!this.#isHead(this.#bytes)) this.#bytes = EMPTY;
  }

  /** The same for an entry whose bytes are at hand. */
  takeFrom(bytes: Uint8Array): void {
    this.#bytes = bytes.subarray(0, ANCHOR_SIZE);
  }

  /** Whether the entry still stands there. */
  holds(read: Read): boolean {
    const { offset } = this;
    if (offset === 0) return true;
    const known = this.#bytes;
    if (known.length === 0) return this.#isHead(read(offset, ENTRY_HEAD_SIZE));
    const found = read(offset, known.length);
    return found.length === known.length && found.every((byte, i) => byte === known[i]);
  }

  /** Whether an entry as long as that begins with these bytes. */
  #isHead(bytes: Uint8Array): boolean {
    return bytes.length >= ENTRY_HEAD_SIZE && bytes[9] === 0x8c && getU64(bytes, 1) === this.frameLength;
  }
}
