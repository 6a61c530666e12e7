/**
 * Parses parts of a value without reading all of it: fetches only the few bytes it needs.
 *
 * @module
 */

import { MmdError } from '../errors.ts';
import { getU32, getU64 } from './layout.ts';

/**
 * Returns bytes of the value, at least `length` from `pos` if the value has them; borrowed until the next call.
 * An asynchronous source throws {@link BytesWanted} for what it does not have yet, and later runs the parser again.
 */
export type FetchBytes = (pos: number, length: number) => Uint8Array;

/** Thrown by a {@link FetchBytes} that has to wait for its bytes. Internal to readers; never reaches a user. */
export class BytesWanted extends Error {
  readonly pos: number;
  readonly length: number;

  constructor(pos: number, length: number) {
    super('more bytes wanted');
    this.pos = pos;
    this.length = length;
  }
}

const NOTHING = new Uint8Array(0);

/** A cursor over a value's bytes. Positions count from the value's first byte. */
export class ValueReader {
  /** Bytes of the whole value. */
  readonly length: number;
  /** File offset of the value's first byte. */
  readonly offset: number;
  pos = 0;
  readonly #fetch: FetchBytes;
  #bytes: Uint8Array = NOTHING;
  #start = 0;

  constructor(offset: number, length: number, fetch: FetchBytes) {
    this.offset = offset;
    this.length = length;
    this.#fetch = fetch;
  }

  /** Consumes the next `count` bytes and returns their position in `#bytes`, which it may replace. */
  #take(count: number): number {
    const from = this.pos - this.#start;
    if (from < 0 || from + count > this.#bytes.length) {
      if (this.pos + count > this.length) {
        throw new MmdError(
          'TRUNCATED',
          `value at ${this.offset}: expected ${count} bytes at ${this.pos}, found ${this.length - this.pos}`,
          {
            offset: this.offset + this.pos,
            expected: count,
            found: this.length - this.pos,
          },
        );
      }
      this.#bytes = this.#fetch(this.pos, count);
      this.#start = this.pos;
      if (this.#bytes.length < count) {
        throw new MmdError('TRUNCATED', `value at ${this.offset}: the file ends inside it`, {
          offset: this.offset + this.pos + this.#bytes.length,
          expected: count,
          found: this.#bytes.length,
        });
      }
      this.pos += count;
      return 0;
    }
    this.pos += count;
    return from;
  }

  /** The next byte, which is not consumed; -1 at the end. */
  peek(): number {
    if (this.pos >= this.length) return -1;
    const at = this.#take(1);
    this.pos -= 1;
    return this.#bytes[at]!;
  }

  u8(): number {
    const at = this.#take(1);
    return this.#bytes[at]!;
  }

  u16(): number {
    const at = this.#take(2);
    return this.#bytes[at]! | (this.#bytes[at + 1]! << 8);
  }

  u32(): number {
    const at = this.#take(4);
    return getU32(this.#bytes, at);
  }

  u64(): number {
    const at = this.#take(8);
    return getU64(this.#bytes, at);
  }

  /** Consumes the next bytes and returns a borrowed view of them. */
  take(count: number): Uint8Array {
    const at = this.#take(count);
    return this.#bytes.subarray(at, at + count);
  }

  /** Skips bytes without fetching them. */
  skip(count: number): void {
    if (count > this.length - this.pos) {
      throw new MmdError('TRUNCATED', `value at ${this.offset}: ${count} bytes at ${this.pos} reach past its end`, {
        offset: this.offset + this.pos,
        expected: count,
        found: this.length - this.pos,
      });
    }
    this.pos += count;
  }

  /** Consumes `expected` if it comes next, and returns whether it did. */
  accept(expected: Uint8Array): boolean {
    if (expected.length > this.length - this.pos) return false;
    const at = this.#take(expected.length);
    for (let i = 0; i < expected.length; i++) {
      if (this.#bytes[at + i] !== expected[i]) {
        this.pos -= expected.length;
        return false;
      }
    }
    return true;
  }
}
