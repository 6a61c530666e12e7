/**
 * Mutations for the fuzzer: bytes, and whole opcodes cut out of the fixtures. Works in one buffer, without garbage.
 */

/** Byte values that matter most in a pickle. */
const TELLING = [
  0, 1, 2, 0x7f, 0x80, 0xff, 0x28, 0x2e, 0x30, 0x32, 0x52, 0x61, 0x62, 0x73, 0x74, 0x81, 0x85, 0x86, 0x94, 0x95,
];

export class Mutator {
  /** The current input: `bytes` up to `length`. */
  bytes;
  length = 0;
  #state;
  #snippets;

  /**
   * @param longest - inputs never grow beyond this
   * @param snippets - opcodes with their arguments, to insert
   */
  constructor(longest, seed, snippets) {
    this.bytes = new Uint8Array(longest);
    this.#state = seed >>> 0;
    this.#snippets = snippets;
  }

  /** A number in [0, limit). */
  draw(limit) {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % limit;
  }

  take(input) {
    this.bytes.set(input.bytes);
    this.length = input.bytes.length;
  }

  /** Replaces `removed` bytes at `at` by a stretch of `source`. */
  splice(at, removed, source, start, end) {
    const { bytes, length } = this;
    removed = Math.min(removed, length - at);
    const added = Math.min(end - start, bytes.length - (length - removed));
    if (added < 0) return;
    const piece = source === bytes ? bytes.slice(start, start + added) : source.subarray(start, start + added);
    bytes.copyWithin(at + added, at + removed, length);
    bytes.set(piece, at);
    this.length = length - removed + added;
  }

  /** A position to change: mostly between two opcodes of the input that it came from. */
  #place(input) {
    const { starts } = input;
    if (starts.length > 0 && this.draw(4) !== 0) return Math.min(starts[this.draw(starts.length)], this.length);
    return this.draw(this.length + 1);
  }

  /** One to eight changes to the current input. */
  mutate(input, other) {
    for (let times = 1 + this.draw(1 << this.draw(4)); times > 0; times--) this.#once(input, other);
  }

  #once(input, other) {
    const at = this.#place(input);
    const { bytes } = this;
    switch (this.draw(12)) {
      case 0:
        if (at < this.length) bytes[at] ^= 1 << this.draw(8);
        break;
      case 1:
        if (at < this.length) bytes[at] = this.draw(256);
        break;
      case 2:
        if (at < this.length) bytes[at] = TELLING[this.draw(TELLING.length)];
        break;
      case 3:
        this.splice(at, 1 + this.draw(8), bytes, 0, 0);
        break;
      case 4: {
        const start = this.draw(this.length + 1);
        this.splice(at, 0, bytes, start, Math.min(this.length, start + 1 + this.draw(32)));
        break;
      }
      case 5: {
        const value = TELLING[this.draw(TELLING.length)];
        this.splice(at, 0, Uint8Array.of(value), 0, 1);
        break;
      }
      case 6: {
        // The rest of another input, from one of its opcodes on.
        const start =
          other.starts.length > 0 ? other.starts[this.draw(other.starts.length)] : this.draw(other.bytes.length + 1);
        this.splice(at, this.length - at, other.bytes, start, other.bytes.length);
        break;
      }
      case 7: {
        const start = this.draw(other.bytes.length + 1);
        this.splice(at, 0, other.bytes, start, Math.min(other.bytes.length, start + 1 + this.draw(48)));
        break;
      }
      case 8: {
        // Little-endian numbers near the edges of their width.
        const width = 1 << this.draw(4);
        const edge = BigInt(this.draw(5) - 2) + (1n << BigInt(8 * width - this.draw(3)));
        for (let i = 0; i < width && at + i < this.length; i++) bytes[at + i] = Number((edge >> BigInt(8 * i)) & 0xffn);
        break;
      }
      default: {
        const snippet = this.#snippets[this.draw(this.#snippets.length)];
        this.splice(at, this.draw(3) === 0 ? snippet.length : 0, snippet, 0, snippet.length);
      }
    }
  }
}
