/**
 * A bounds-checked cursor over bytes whose errors say what was being read, and where.
 *
 * @module
 */

import { MmdError } from '../errors.ts';

/**
 * Reads fixed-size fields, little-endian unless the name says otherwise. Every method takes a name of what it reads for
 * the error message, and throws TRUNCATED with the absolute offset when the input ends too early.
 */
export class ByteReader {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  /** Absolute offset of `bytes[0]`, added to the offsets in errors. */
  readonly base: number;
  /** Position in `bytes` of the next byte. */
  pos: number;

  constructor(bytes: Uint8Array, pos = 0, base = 0) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.base = base;
    this.pos = pos;
  }

  /** Number of bytes left. */
  get remaining(): number {
    return this.bytes.length - this.pos;
  }

  /** Absolute offset of the next byte. */
  get offset(): number {
    return this.base + this.pos;
  }

  /** Checks that `length` bytes are left and skips them. Returns the position of the first. */
  skip(length: number, what: string): number {
    if (!(length <= this.remaining)) {
      throw new MmdError('TRUNCATED', `${what} at ${this.offset}: expected ${length} bytes, found ${this.remaining}`, {
        offset: this.offset,
        expected: length,
        found: this.remaining,
      });
    }
    const pos = this.pos;
    this.pos = pos + length;
    return pos;
  }

  u8(what: string): number {
    return this.bytes[this.skip(1, what)]!;
  }

  u16(what: string): number {
    return this.view.getUint16(this.skip(2, what), true);
  }

  i32(what: string): number {
    return this.view.getInt32(this.skip(4, what), true);
  }

  u32(what: string): number {
    return this.view.getUint32(this.skip(4, what), true);
  }

  /** A 64-bit count: exact up to 2^53; rounded beyond that, but still larger than any input. */
  u64(what: string): number {
    const pos = this.skip(8, what);
    return this.view.getUint32(pos, true) + this.view.getUint32(pos + 4, true) * 2 ** 32;
  }

  f64be(what: string): number {
    return this.view.getFloat64(this.skip(8, what), false);
  }

  /** A borrowed view of the next bytes. */
  take(length: number, what: string): Uint8Array {
    const pos = this.skip(length, what);
    return this.bytes.subarray(pos, pos + length);
  }
}
