/**
 * Decodes many strings from one byte array.
 *
 * @module
 */

import { decodeLong, latin1Slice, ucs2Slice } from './utf8.ts';

/** Longer text goes to the platform's decoder; the cost of the call is then negligible. */
const SHORT = 1024;
/** Shorter text is built faster in JavaScript than by a call out of compiled code: 12 characters take 33 ns instead of 55. */
const BY_HAND = 20;
/** The same limit where Node's slices are missing and the platform's decoder is the only alternative. */
const BY_HAND_THEN = 64;

/** Strings decoded one by one before a window is opened, so that small inputs never open one. */
const SINGLE = 256;
const SMALLEST = 4096;
/** V8 does not move strings of 128 KiB or more. */
const LARGEST = 262_144;
/** Cuts that pay for the smallest window: each saves 40 ns, and creating the window takes about 300. */
const PAYS = 8;

const NO_BYTES: Uint8Array = new Uint8Array(0);
const NO_VIEW: DataView = new DataView(NO_BYTES.buffer);

/**
 * Decodes strings from one byte array, mostly in order of position; as strict as `decodeUtf8`.
 *
 * When there are many ASCII strings, they are cut out of a window: a stretch of the bytes decoded at once as Latin-1. A cut
 * takes half the time of decoding the string by itself, which is a call out of compiled code (18 characters: 37 ns with
 * garbage collection, against 78; 9 characters: 45 against 87). V8 copies short cuts; from 13 characters on, a cut keeps its
 * window alive, at most 256 KiB. If less than a quarter of a window was used, the next one is smaller; if strings are
 * sparse, they are decoded one by one again, so that other bytes between them cost little.
 */
export class TextReader {
  #bytes: Uint8Array = NO_BYTES;
  #view: DataView = NO_VIEW;
  #singles = 0;
  #window = '';
  /** Where the window starts and ends, and how many of its bytes were cut out. */
  #start = 0;
  #end = 0;
  #used = 0;
  /** The number of strings cut out of the window. */
  #cuts = 0;
  #size = SMALLEST;
  /** One array per length: `fromCharCode` turns an array into a flat string in one step. */
  readonly #units: (number[] | undefined)[] = [];
  /** Where text is assembled; allocated on first use. */
  #scratch: Uint8Array = NO_BYTES;

  /** Sets the byte array to read, and a view of the same bytes; both are borrowed until the next `open`. */
  open(bytes: Uint8Array, view: DataView): void {
    this.#bytes = bytes;
    this.#view = view;
    this.#singles = 0;
    if (this.#end > 0) this.#close();
  }

  #close(): void {
    this.#window = '';
    this.#start = this.#end = this.#used = this.#cuts = 0;
    this.#size = SMALLEST;
  }

  /**
   * Decodes the bytes from `start` to `end`.
   * @throws MmdError CORRUPT with the offset of the first bad byte
   */
  decode(start: number, end: number): string {
    const bytes = this.#bytes;
    if (end - start > SHORT) return decodeLong(bytes, start, end);
    return this.#isAscii(start, end) ? this.ascii(start, end) : this.#mixed(bytes, start, end);
  }

  #isAscii(start: number, end: number): boolean {
    const view = this.#view;
    let i = start;
    for (; i + 4 <= end; i += 4) if ((view.getInt32(i) & 0x8080_8080) !== 0) return false;
    for (; i < end; i++) if (view.getInt8(i) < 0) return false;
    return true;
  }

  /** Decodes bytes that are known to be ASCII, at most 1024 of them. */
  ascii(start: number, end: number): string {
    if (start >= this.#start && end <= this.#end) {
      this.#used += end - start;
      this.#cuts += 1;
      return this.#window.substring(start - this.#start, end - this.#start);
    }
    return this.#outside(start, end);
  }

  #outside(start: number, end: number): string {
    const bytes = this.#bytes;
    if (latin1Slice === undefined || ++this.#singles < SINGLE) return this.#latin1(bytes, start, end);
    const wasted = this.#used < (this.#end - this.#start) / 4;
    if (wasted && this.#size === SMALLEST && this.#cuts < PAYS) {
      this.#close();
      this.#singles = 0;
      return this.#latin1(bytes, start, end);
    }
    this.#size = wasted ? Math.max(SMALLEST, this.#size / 4) : Math.min(LARGEST, this.#size * 4);
    this.#start = start;
    this.#end = Math.min(bytes.length, start + this.#size);
    this.#used = this.#cuts = 0;
    this.#window = latin1Slice.call(bytes, start, this.#end);
    return this.ascii(start, end);
  }

  /** Decodes Latin-1; only ASCII where Node's slices are missing. */
  #latin1(bytes: Uint8Array, start: number, end: number): string {
    const length = end - start;
    if (length > BY_HAND) {
      if (latin1Slice !== undefined) return latin1Slice.call(bytes, start, end);
      if (length > BY_HAND_THEN) return decodeLong(bytes, start, end);
    }
    const units = (this.#units[length] ??= []);
    for (let i = 0; i < length; i++) units[i] = bytes[start + i]!;
    return String.fromCharCode.apply(null, units);
  }

  /** Decodes text of U+0000 to U+00FF itself and passes on everything else. */
  #mixed(bytes: Uint8Array, start: number, end: number): string {
    if (latin1Slice === undefined) return decodeLong(bytes, start, end);
    if (this.#scratch.length === 0) this.#scratch = new Uint8Array(2 * SHORT);
    const scratch = this.#scratch;
    let units = 0;
    for (let i = start; i < end; i++) {
      const byte = bytes[i]!;
      if (byte < 0x80) scratch[units++] = byte;
      else {
        if ((byte & 0xfe) !== 0xc2 || ++i === end || (bytes[i]! & 0xc0) !== 0x80) return this.#wide(bytes, start, end);
        scratch[units++] = ((byte & 3) << 6) | (bytes[i]! & 0x3f);
      }
    }
    return this.#latin1(scratch, 0, units);
  }

  /** Decodes well-formed UTF-8 by way of UTF-16, in half the time of the platform's decoder, which gets everything else. */
  #wide(bytes: Uint8Array, start: number, end: number): string {
    if (ucs2Slice === undefined) return decodeLong(bytes, start, end);
    const scratch = this.#scratch;
    let length = 0;
    for (let i = start; i < end; ) {
      const lead = bytes[i++]!;
      let code = lead;
      if (lead >= 0x80) {
        const more = lead < 0xe0 ? 1 : lead < 0xf0 ? 2 : 3;
        if (lead < 0xc2 || lead > 0xf4 || i + more > end) return decodeLong(bytes, start, end);
        code = lead & (0x3f >> more);
        for (const stop = i + more; i < stop; i++) {
          const byte = bytes[i]!;
          if ((byte & 0xc0) !== 0x80) return decodeLong(bytes, start, end);
          code = (code << 6) | (byte & 0x3f);
        }
        if (more === 2 && (code < 0x800 || (code & 0xf800) === 0xd800)) return decodeLong(bytes, start, end);
        if (more === 3) {
          if (code < 0x1_0000 || code > 0x10_ffff) return decodeLong(bytes, start, end);
          const high = 0xd7c0 + (code >> 10);
          scratch[length++] = high;
          scratch[length++] = high >> 8;
          code = 0xdc00 | (code & 0x3ff);
        }
      }
      scratch[length++] = code;
      scratch[length++] = code >> 8;
    }
    return ucs2Slice.call(scratch, 0, length);
  }
}
