/**
 * What the machine reads from: the bytes, the budgets that reading them consumes, and errors with their offset.
 *
 * @module
 */

import { TextReader } from '../bytes/text-reader.ts';
import { decodeUtf8, hasSurrogatePair } from '../bytes/utf8.ts';
import { MmdError } from '../errors.ts';
import { checkOptions } from '../options.ts';
import { DEFAULT_LIMITS, type LimitName, type LoadLimits, limitExceeded, limitsWith } from './limits.ts';
import { type Encoding, LOAD_OPTIONS, type LoadOptions } from './options.ts';
import { ByteArray, PyFloat, PyString } from './values/scalars.ts';

/** Slots of the cache of short texts; after `MISSES` new texts in a row, looking there is not worthwhile. */
const CACHE_SLOTS = 2048;
/** Strings up to this many bytes are looked up among those already read. */
export const CACHED_LENGTH = 24;
const MISSES = 256;

/** Units of the budget `work` that every pickle has, however short it is. */
const FREE_WORK = 16_777_216;

const CANONICAL_NAN = 0x7ff8000000000000n;
const NEGATIVE_NAN = 0xfff8000000000000n;

/** A cursor over one pickle after another. */
export class Input {
  readonly lossless: boolean;
  readonly borrow: boolean;
  readonly writable: boolean;
  readonly encoding: Encoding;
  readonly limits: LoadLimits;
  readonly options: LoadOptions;
  /** True for an entry of an mmdpickle: no STOP, no FRAME, uses nothing from before it, leaves only its value. */
  readonly entry: boolean;

  bytes: Uint8Array = new Uint8Array(0);
  view: DataView = new DataView(new ArrayBuffer(0));
  /** Position of the next byte. */
  pos = 0;
  /** One past the last byte that may be read: of the frame, else of the input. */
  limit = 0;
  end = 0;
  /** Where the pickle starts. */
  origin = 0;
  /** Where the current opcode starts. */
  start = 0;
  #decoded = 0;
  #worked = 0;
  readonly #texts = new TextReader();
  /** Short texts in a row that were not in the cache. */
  #misses = 0;
  readonly #cache: (string | undefined)[] = new Array<string | undefined>(CACHE_SLOTS).fill(undefined);

  constructor(options: LoadOptions, entry: boolean) {
    checkOptions(options, LOAD_OPTIONS);
    this.options = options;
    this.entry = entry;
    this.lossless = options.lossless ?? false;
    this.borrow = options.borrow ?? true;
    this.writable = options.writable ?? true;
    this.encoding = options.encoding ?? 'ascii';
    this.limits = options.limits === undefined ? DEFAULT_LIMITS : limitsWith(options.limits);
  }

  /** Starts at `start`, with full budgets. */
  open(bytes: Uint8Array, start: number, end: number): void {
    if (this.bytes !== bytes) {
      this.bytes = bytes;
      const { view } = this;
      if (view.buffer !== bytes.buffer || view.byteOffset !== bytes.byteOffset || view.byteLength !== bytes.length) {
        this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
      }
    }
    this.pos = this.origin = this.start = start;
    this.limit = end;
    this.end = end;
    this.#decoded = 0;
    this.#worked = 0;
    this.#texts.open(bytes, this.view);
  }

  /** The absolute offset of the current opcode. */
  get offset(): number {
    return this.start + (this.options.offset ?? 0);
  }

  /** Checks that `count` bytes of argument are left, and skips them. */
  take(count: number): number {
    const { pos } = this;
    if (!(pos + count <= this.limit)) this.leaveFrame(pos, count);
    this.pos = pos + count;
    return pos;
  }

  /** A 64-bit count; beyond 2^53 it is inexact, but larger than any input. */
  takeCount64(): number {
    const pos = this.take(8);
    return this.view.getUint32(pos, true) + this.view.getUint32(pos + 4, true) * 2 ** 32;
  }

  /** The bytes of a line of text, without its newline. */
  takeLine(): Uint8Array {
    const { bytes, pos } = this;
    const found = bytes.indexOf(0x0a, pos);
    const end = found === -1 ? this.end : found;
    if (end >= this.limit) this.leaveFrame(pos, end - pos + 1);
    this.pos = end + 1;
    return bytes.subarray(pos, end);
  }

  /** Bytes of the input as a value: a view if views are allowed. */
  payload(length: number): Uint8Array {
    const pos = this.take(length);
    if (this.borrow) return new Uint8Array(this.bytes.buffer, this.bytes.byteOffset + pos, length);
    this.spend(length);
    return Uint8Array.prototype.slice.call(this.bytes, pos, pos + length);
  }

  /** The same as a bytearray. */
  payloadArray(length: number): ByteArray {
    const bytes = this.payload(length);
    return new ByteArray(bytes.buffer as ArrayBuffer, bytes.byteOffset, length);
  }

  /** Counts memory that is about to be allocated. */
  spend(count: number): void {
    if ((this.#decoded += count) > this.limits.bytes) throw this.exceeded('bytes');
  }

  /** Counts what calls copy or walk: with shared arguments that can be far more than the input. */
  work(units: number): void {
    this.#worked += units;
    if (this.#worked > FREE_WORK && this.#worked > FREE_WORK + (this.end - this.origin) * this.limits.work) {
      throw this.exceeded('work');
    }
  }

  /** Decodes strict UTF-8 from other bytes; the error gives the opcode's offset. */
  decode(bytes: Uint8Array): string {
    try {
      return decodeUtf8(bytes, 0, bytes.length);
    } catch (cause) {
      throw this.#malformed(cause);
    }
  }

  /** The same for bytes of the input. */
  #decode(pos: number, length: number): string {
    try {
      return this.#texts.decode(pos, pos + length);
    } catch (cause) {
      throw this.#malformed(cause);
    }
  }

  #malformed(cause: unknown): MmdError {
    return this.error('CORRUPT', 'the text is not valid UTF-8', undefined, cause);
  }

  /** UTF-8 text that lies inside the input. */
  text(pos: number, length: number): string | PyString {
    if (length > this.limits.string) throw this.exceeded('string');
    this.spend(length);
    const text = this.#decode(pos, length);
    if (this.lossless && hasSurrogatePair(this.bytes, pos, pos + length)) {
      return new PyString(this.bytes.subarray(pos, pos + length), text);
    }
    return text;
  }

  /** The text of the opcode SHORT_BINUNICODE or BINUNICODE at `at`, which was read before: no budget is charged again. */
  textAgain(at: number): string {
    if (this.bytes[at] === 0x8c) {
      const length = this.bytes[at + 1]!;
      return length <= CACHED_LENGTH ? this.shortText(at + 2, length) : this.#decode(at + 2, length);
    }
    return this.#decode(at + 5, this.view.getUint32(at + 1, true));
  }

  /**
   * Decodes a short text; ASCII text that was read before comes from a cache. After many new texts in a row, only one
   * in sixteen is looked up, until one is found: a column of distinct texts then pays little for the cache.
   */
  shortText(pos: number, length: number): string {
    const { bytes } = this;
    if (this.#misses > MISSES && (pos & 15) !== 0) return this.#decode(pos, length);
    let hash = length;
    for (let i = pos, end = pos + length; i < end; i++) {
      const byte = bytes[i]!;
      if (byte > 0x7f) return this.#decode(pos, length);
      hash = (Math.imul(hash, 31) + byte) | 0;
    }
    const slot = (hash ^ (hash >>> 11)) & (CACHE_SLOTS - 1);
    const known = this.#cache[slot];
    if (known !== undefined && known.length === length) {
      let i = 0;
      while (i < length && known.charCodeAt(i) === bytes[pos + i]) i++;
      if (i === length) {
        this.#misses = 0;
        return known;
      }
    }
    this.#misses++;
    return (this.#cache[slot] = this.#texts.ascii(pos, pos + length));
  }

  /** The float in the eight bytes at `pos`, marked if a number would not preserve it. */
  markedFloat(value: number, pos: number): number | PyFloat {
    if (Number.isSafeInteger(value) && !Object.is(value, -0)) return new PyFloat(value);
    if (!Number.isNaN(value)) return value;
    const bits = this.view.getBigUint64(pos);
    return bits === CANONICAL_NAN ? value : new PyFloat(bits);
  }

  /** A float from a text argument, which may have given a NaN its sign. */
  float(value: number, negative: boolean): number | PyFloat {
    if (this.lossless && negative && Number.isNaN(value)) return new PyFloat(NEGATIVE_NAN);
    const marked = this.lossless && Number.isSafeInteger(value) && !Object.is(value, -0);
    return marked ? new PyFloat(value) : value;
  }

  /** An error at the current opcode. */
  error(
    code: 'NOT_A_PICKLE' | 'BAD_OPCODE' | 'CORRUPT' | 'TRUNCATED' | 'FORBIDDEN_GLOBAL' | 'UNSUPPORTED_VALUE',
    message: string,
    found?: unknown,
    cause?: unknown,
  ): MmdError {
    const { offset } = this;
    return new MmdError(code, `${message} (at ${offset})`, { offset, found, cause });
  }

  /**
   * Handles an argument that is not inside the frame: it may follow a frame that ended just before it, which both of
   * CPython's readers accept.
   *
   * @returns the new limit
   * @throws MmdError TRUNCATED, CORRUPT
   */
  leaveFrame(pos: number, count: number): number {
    if (pos === this.limit) this.limit = this.end;
    if (pos + count <= this.limit) return this.limit;
    throw this.truncated(pos, count);
  }

  truncated(pos: number, count: number): MmdError {
    if (this.limit !== this.end) return this.error('CORRUPT', 'the frame ends inside an opcode');
    const { offset } = this;
    const found = this.end - pos;
    return new MmdError('TRUNCATED', `opcode at ${offset}: expected ${count} bytes of argument, found ${found}`, {
      offset,
      expected: count,
      found,
    });
  }

  unknownOpcode(code: number): MmdError {
    const { offset } = this;
    const found = `0x${code.toString(16).padStart(2, '0')}`;
    // The first byte decides: a file of something else is not a damaged pickle.
    const kind = this.start === this.origin && !this.entry ? 'NOT_A_PICKLE' : 'BAD_OPCODE';
    return new MmdError(kind, `byte ${found} at ${offset} is not an opcode`, { offset, found: code });
  }

  underflow(): MmdError {
    return this.error('BAD_OPCODE', 'the opcode needs more items than the stack has above its mark');
  }

  exceeded(limit: LimitName): MmdError {
    return limitExceeded(limit, this.limits[limit], this.offset);
  }
}
