import { MmdError } from '@mmdpickle/core';

const NEWLINE = 0x0a;

/** Cuts a stream of UTF-8 bytes into lines (without their newline), however the stream is cut. */
export class LineCutter {
  readonly maxBytes: number;
  readonly #decoder: TextDecoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
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
   * @throws MmdError LIMIT_EXCEEDED for a line that is too long, CORRUPT for bytes that are not UTF-8
   */
  *push(chunk: Uint8Array): Generator<string> {
    let pos = 0;
    for (let end = chunk.indexOf(NEWLINE); end !== -1; end = chunk.indexOf(NEWLINE, pos)) {
      this.#keep(chunk.subarray(pos, end));
      pos = end + 1;
      yield this.#take();
    }
    // The rest is copied: the source may use its buffer again.
    if (pos < chunk.length) this.#keep(chunk.slice(pos));
  }

  /** The stream is over: gives the last line, if it has no newline. */
  *end(): Generator<string> {
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

  #take(): string {
    const bytes = new Uint8Array(this.#bytes);
    let pos = 0;
    for (const part of this.#parts) {
      bytes.set(part, pos);
      pos += part.length;
    }
    this.#parts = [];
    this.#bytes = 0;
    this.#line += 1;
    try {
      return this.#decoder.decode(bytes);
    } catch (cause) {
      throw new MmdError('CORRUPT', `line ${this.#line} is not UTF-8`, { cause });
    }
  }
}
