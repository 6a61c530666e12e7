import { MmdError } from '@mmdpickle/core';

const NEWLINE = 0x0a;

/** Cuts a stream of bytes into lines (without their newline), whatever pieces it comes in. */
export class LineCutter {
  readonly maxBytes: number;
  /** The incomplete line, contiguous however small the pieces are. */
  #buffer = new Uint8Array(256);
  #bytes = 0;
  #line = 0;

  /** @param maxBytes - the longest line accepted: a stream without newlines must not fill the memory */
  constructor(maxBytes: number) {
    this.maxBytes = maxBytes;
  }

  /** The number of the last line yielded, from 1. */
  get line(): number {
    return this.#line;
  }

  /**
   * Takes the next bytes and yields the lines that are now complete.
   * @throws MmdError LIMIT_EXCEEDED for a line that is too long
   */
  *push(chunk: Uint8Array): Generator<Uint8Array> {
    let pos = 0;
    for (let end = chunk.indexOf(NEWLINE); end !== -1; end = chunk.indexOf(NEWLINE, pos)) {
      this.#keep(chunk.subarray(pos, end));
      pos = end + 1;
      yield this.#take();
    }
    if (pos < chunk.length) this.#keep(chunk.subarray(pos));
  }

  /** Ends the stream: yields the last line, if it has no newline. */
  *end(): Generator<Uint8Array> {
    if (this.#bytes > 0) yield this.#take();
  }

  /** Copies the bytes, because the source may reuse its memory. */
  #keep(part: Uint8Array): void {
    const bytes = this.#bytes + part.length;
    if (bytes > this.maxBytes) {
      throw new MmdError('LIMIT_EXCEEDED', `line ${this.#line + 1} is longer than ${this.maxBytes} bytes`, {
        limit: 'line',
        maximum: this.maxBytes,
        found: bytes,
      });
    }
    if (bytes > this.#buffer.length) {
      const larger = new Uint8Array(Math.max(bytes, 2 * this.#buffer.length));
      larger.set(this.#buffer.subarray(0, this.#bytes));
      this.#buffer = larger;
    }
    this.#buffer.set(part, this.#bytes);
    this.#bytes = bytes;
  }

  #take(): Uint8Array {
    const line = this.#buffer.slice(0, this.#bytes);
    this.#bytes = 0;
    this.#line += 1;
    return line;
  }
}
