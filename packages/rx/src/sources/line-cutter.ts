import { MmdError } from '@mmdpickle/core';

const NEWLINE = 0x0a;

/** Cuts a stream of bytes into lines (without their newline), however the stream is cut. */
export class LineCutter {
  readonly maxBytes: number;
  #parts: Uint8Array[] = [];
  #bytes = 0;
  #line = 0;

  /** @param maxBytes - the longest line that is taken: a stream without newlines must not fill the memory */
  constructor(maxBytes: number) {
    this.maxBytes = maxBytes;
  }

  /** The number of the line that was cut last, from 1. */
  get line(): number {
    return this.#line;
  }

  /**
   * Takes the next bytes; gives the lines that are whole now.
   * @throws MmdError LIMIT_EXCEEDED for a line that is too long
   */
  *push(chunk: Uint8Array): Generator<Uint8Array> {
    let pos = 0;
    for (let end = chunk.indexOf(NEWLINE); end !== -1; end = chunk.indexOf(NEWLINE, pos)) {
      this.#keep(chunk.subarray(pos, end));
      pos = end + 1;
      yield this.#take();
    }
    // The rest is copied: the source may use its buffer again. A Buffer's own slice would be a view.
    if (pos < chunk.length) this.#keep(new Uint8Array(chunk.subarray(pos)));
  }

  /** The stream is over: gives the last line, if it has no newline. */
  *end(): Generator<Uint8Array> {
    if (this.#bytes > 0) yield this.#take();
  }

  #keep(part: Uint8Array): void {
    this.#bytes += part.length;
    if (this.#bytes > this.maxBytes) {
      throw new MmdError('LIMIT_EXCEEDED', `line ${this.#line + 1} is longer than ${this.maxBytes} bytes`, {
        limit: 'line',
        maximum: this.maxBytes,
        found: this.#bytes,
      });
    }
    this.#parts.push(part);
  }

  #take(): Uint8Array {
    const bytes = new Uint8Array(this.#bytes);
    let pos = 0;
    for (const part of this.#parts) {
      bytes.set(part, pos);
      pos += part.length;
    }
    this.#parts = [];
    this.#bytes = 0;
    this.#line += 1;
    return bytes;
  }
}
