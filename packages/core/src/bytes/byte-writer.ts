/**
 * A growing byte buffer.
 *
 * @module
 */

import { encodeUtf8Into } from './utf8.ts';
import { newBytes } from './view-bytes.ts';

/** Writes consecutive fields, little-endian unless the name says otherwise. */
export class ByteWriter {
  /** The buffer; only its first `length` bytes are valid. Replaced when it grows. */
  bytes: Uint8Array<ArrayBuffer>;
  view: DataView;
  length = 0;

  constructor(capacity = 1024) {
    this.bytes = new Uint8Array(capacity);
    this.view = new DataView(this.bytes.buffer);
  }

  /** Makes room for `count` more bytes and returns the position where they go. */
  reserve(count: number): number {
    const needed = this.length + count;
    if (needed > this.bytes.length) this.#grow(needed);
    return this.length;
  }

  #grow(needed: number): void {
    const bytes = newBytes(Math.max(needed, this.bytes.length * 2), 'the output');
    bytes.set(this.bytes.subarray(0, this.length));
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer);
  }

  u8(value: number): void {
    const pos = this.reserve(1);
    this.bytes[pos] = value;
    this.length += 1;
  }

  u16(value: number): void {
    const pos = this.reserve(2);
    this.view.setUint16(pos, value, true);
    this.length += 2;
  }

  u32(value: number): void {
    const pos = this.reserve(4);
    this.view.setUint32(pos, value, true);
    this.length += 4;
  }

  i32(value: number): void {
    const pos = this.reserve(4);
    this.view.setInt32(pos, value, true);
    this.length += 4;
  }

  /** A 64-bit count up to 2^53. */
  u64(value: number): void {
    const pos = this.reserve(8);
    // Modulo 2^32.
    this.view.setUint32(pos, value, true);
    this.view.setUint32(pos + 4, Math.floor(value / 2 ** 32), true);
    this.length += 8;
  }

  f64be(value: number): void {
    const pos = this.reserve(8);
    this.view.setFloat64(pos, value, false);
    this.length += 8;
  }

  /** Copies bytes in. */
  raw(bytes: ArrayLike<number>): void {
    const pos = this.reserve(bytes.length);
    this.bytes.set(bytes, pos);
    this.length += bytes.length;
  }

  /** UTF-8 with surrogatepass, without a length. */
  utf8(text: string): void {
    const pos = this.reserve(text.length * 3);
    this.length = encodeUtf8Into(text, this.bytes, pos);
  }

  /** A copy of the bytes written; writing can continue, or start over after `length = 0`. */
  finish(): Uint8Array<ArrayBuffer> {
    return this.bytes.slice(0, this.length);
  }
}
