import { MmdError } from '@mmdpickle/core';

/** Cuts frames of a fixed size from a stream of bytes, whatever pieces it comes in. */
export class FrameCutter {
  readonly frameBytes: number;
  #partial: Uint8Array | undefined;
  #filled = 0;

  /**
   * @param frameBytes - bytes of one frame, at least 1
   * @throws MmdError INVALID_ARGUMENT
   */
  constructor(frameBytes: number) {
    if (!(Number.isSafeInteger(frameBytes) && frameBytes > 0)) {
      throw new MmdError(
        'INVALID_ARGUMENT',
        `a frame must have a whole number of bytes, at least 1; found ${frameBytes}`,
        {
          found: frameBytes,
        },
      );
    }
    this.frameBytes = frameBytes;
  }

  /** Bytes received of the incomplete frame. */
  get pending(): number {
    return this.#filled;
  }

  /** Takes the next bytes and yields the frames that are now complete. Frames that lie within `chunk` borrow its bytes. */
  *push(chunk: Uint8Array): Generator<Uint8Array> {
    let pos = 0;
    if (this.#partial !== undefined) {
      const part = chunk.subarray(0, this.frameBytes - this.#filled);
      this.#partial.set(part, this.#filled);
      this.#filled += part.length;
      pos = part.length;
      if (this.#filled < this.frameBytes) return;
      const whole = this.#partial;
      this.#partial = undefined;
      this.#filled = 0;
      yield whole;
    }
    for (; chunk.length - pos >= this.frameBytes; pos += this.frameBytes) {
      yield chunk.subarray(pos, pos + this.frameBytes);
    }
    if (pos === chunk.length) return;
    this.#partial = this.#allocate();
    this.#partial.set(chunk.subarray(pos));
    this.#filled = chunk.length - pos;
  }

  #allocate(): Uint8Array {
    try {
      return new Uint8Array(this.frameBytes);
    } catch (cause) {
      throw new MmdError('LIMIT_EXCEEDED', `no memory for a frame of ${this.frameBytes} bytes`, {
        limit: 'memory',
        found: this.frameBytes,
        cause,
      });
    }
  }
}
