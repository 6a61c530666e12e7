/**
 * Values that are written as one opcode: numbers, text, payloads.
 *
 * @module
 */

import { encodeInteger } from '../bytes/integers.ts';
import { encodeUtf8Into, isWellFormed } from '../bytes/utf8.ts';
import { MmdError } from '../errors.ts';
import { OPCODES } from './opcodes.ts';
import { Sink } from './sink.ts';

/** Items per APPENDS or SETITEMS, as in CPython: a reader has to keep that many on its stack. */
export const BATCH = 1000;

/** The opcodes' bytes. Read in loops: V8 folds the fields of a frozen constant. */
export const C: { readonly [N in keyof typeof OPCODES]: number } = Object.fromEntries(
  Object.entries(OPCODES).map(([name, { code }]) => [name, code]),
) as { [N in keyof typeof OPCODES]: number };

/** Texts up to this length are tried as ASCII first. */
const SHORT_TEXT = 32;

/** Writes single opcodes with their arguments. */
export class OpcodeWriter {
  readonly protocol: 2 | 3 | 4 | 5;
  readonly sink: Sink = new Sink(4096);

  constructor(protocol: 2 | 3 | 4 | 5) {
    this.protocol = protocol;
  }

  /** GETs a memo slot. */
  get(index: number): void {
    const { sink } = this;
    if (index < 256) {
      sink.u8(C.BINGET);
      sink.u8(index);
    } else {
      sink.u8(C.LONG_BINGET);
      sink.u32(index);
    }
  }

  /** A str. */
  text(text: string): void {
    const { sink } = this;
    const { length } = text;
    const pos = sink.reserve(5 + 3 * length);
    const head = this.protocol >= 4 && length < 256 ? 2 : 5;
    let end = pos + head;
    if (length <= SHORT_TEXT) {
      const { bytes } = sink;
      let i = 0;
      for (; i < length; i++) {
        const unit = text.charCodeAt(i);
        if (unit > 0x7f) break;
        bytes[end + i] = unit;
      }
      end = i === length ? end + i : encodeUtf8Into(text, bytes, end);
    } else end = encodeUtf8Into(text, sink.bytes, end);
    const size = end - pos - head;
    if (head === 2 && size > 255) {
      // Room was reserved for this: the text moves up by three bytes.
      sink.bytes.copyWithin(pos + 5, pos + 2, end);
      end += 3;
    }
    sink.length = end;
    this.#textHead(pos, size);
  }

  /** Writes text whose UTF-8 is known. */
  utf8(bytes: Uint8Array): void {
    const { sink } = this;
    const pos = sink.reserve(5 + bytes.length);
    sink.length = pos + (this.protocol >= 4 && bytes.length < 256 ? 2 : 5);
    sink.raw(bytes);
    this.#textHead(pos, bytes.length);
  }

  /** Writes the opcode and length of a text into the room left for them at `pos`, before the text. */
  #textHead(pos: number, length: number): void {
    const { sink } = this;
    if (this.protocol >= 4 && length < 256) {
      sink.bytes[pos] = C.SHORT_BINUNICODE;
      sink.bytes[pos + 1] = length;
    } else {
      sink.bytes[pos] = C.BINUNICODE;
      sink.view.setUint32(pos + 1, length, true);
    }
  }

  /** Writes numbers from index `from` on, at most up to `to` or another item; returns the index to go on from. */
  numbers(items: readonly unknown[], from: number, to: number): number {
    const { sink } = this;
    const most = Math.min(to, from + BATCH);
    let pos = sink.reserve(11 * (most - from));
    const { bytes, view } = sink;
    let i = from;
    for (; i < most; i++) {
      const value = items[i];
      if (typeof value !== 'number') break;
      const integer = value | 0;
      if (integer !== value || (integer === 0 && Object.is(value, -0))) {
        if (Number.isSafeInteger(value) && value !== 0) break;
        bytes[pos] = C.BINFLOAT;
        view.setFloat64(pos + 1, value);
        pos += 9;
      } else if (integer >= 0 && integer < 256) {
        bytes[pos] = C.BININT1;
        bytes[pos + 1] = integer;
        pos += 2;
      } else if (integer >= 0 && integer < 65536) {
        bytes[pos] = C.BININT2;
        bytes[pos + 1] = integer;
        bytes[pos + 2] = integer >> 8;
        pos += 3;
      } else {
        bytes[pos] = C.BININT;
        view.setInt32(pos + 1, integer, true);
        pos += 5;
      }
    }
    sink.length = pos;
    if (i > from) return i;
    this.number(items[i] as number);
    return i + 1;
  }

  /** An int where the number is safe, else a float. */
  number(value: number): void {
    const { sink } = this;
    const pos = sink.reserve(12);
    const { bytes } = sink;
    if ((value | 0) === value && !Object.is(value, -0)) {
      if (value >= 0 && value < 256) {
        bytes[pos] = C.BININT1;
        bytes[pos + 1] = value;
        sink.length = pos + 2;
      } else if (value >= 0 && value < 65536) {
        bytes[pos] = C.BININT2;
        bytes[pos + 1] = value;
        bytes[pos + 2] = value >> 8;
        sink.length = pos + 3;
      } else {
        bytes[pos] = C.BININT;
        sink.view.setInt32(pos + 1, value, true);
        sink.length = pos + 5;
      }
    } else if (Number.isSafeInteger(value) && value !== 0) {
      const high = Math.floor(value / 2 ** 32);
      const more = high >= -128 && high < 128 ? 1 : high >= -32768 && high < 32768 ? 2 : 3;
      bytes[pos] = C.LONG1;
      bytes[pos + 1] = 4 + more;
      sink.view.setUint32(pos + 2, value - high * 2 ** 32, true);
      sink.view.setInt32(pos + 6, high, true);
      sink.length = pos + 6 + more;
    } else {
      bytes[pos] = C.BINFLOAT;
      sink.view.setFloat64(pos + 1, value);
      sink.length = pos + 9;
    }
  }

  /** A float by its bits. */
  float(bits: bigint): void {
    const { sink } = this;
    sink.u8(C.BINFLOAT);
    const pos = sink.reserve(8);
    sink.view.setBigUint64(pos, bits);
    sink.length += 8;
  }

  /** An int. */
  bigint(value: bigint): void {
    if (value >= -(2n ** 53n) + 1n && value < 2n ** 53n) {
      this.number(Number(value));
      return;
    }
    const { sink } = this;
    if (BigInt.asIntN(64, value) === value) {
      // Beyond 2^53: seven bytes or eight.
      const pos = sink.reserve(10);
      sink.view.setBigInt64(pos + 2, value, true);
      const high = sink.view.getInt32(pos + 6, true);
      const size = high >= -(2 ** 23) && high < 2 ** 23 ? 7 : 8;
      sink.bytes[pos] = C.LONG1;
      sink.bytes[pos + 1] = size;
      sink.length = pos + 2 + size;
      return;
    }
    const bytes = encodeInteger(value);
    if (bytes.length < 256) {
      sink.u8(C.LONG1);
      sink.u8(bytes.length);
    } else {
      sink.u8(C.LONG4);
      sink.u32(bytes.length);
    }
    sink.raw(bytes);
  }

  /**
   * A global by the names that it has under this protocol.
   * @throws MmdError UNSUPPORTED_VALUE
   */
  globalNames(module: string, name: string): void {
    const { sink } = this;
    if (this.protocol >= 4) {
      this.text(module);
      this.text(name);
      sink.u8(C.STACK_GLOBAL);
      return;
    }
    sink.u8(C.GLOBAL);
    for (const part of [module, name]) {
      // A newline would end the line, and Python decodes its UTF-8 strictly.
      if (part.includes('\n') || !isWellFormed(part)) {
        throw new MmdError(
          'UNSUPPORTED_VALUE',
          'a global whose name contains a newline or half a surrogate pair needs protocol 4',
          {
            global: `${module} ${name}`,
          },
        );
      }
      sink.utf8(part);
      sink.u8(0x0a);
    }
  }

  /** Bytes or a bytearray as one opcode. */
  payload(pieces: readonly Uint8Array[], length: number, array: boolean): void {
    const { sink } = this;
    const head = sink.length;
    if (array) {
      sink.u8(C.BYTEARRAY8);
      sink.u64(length);
    } else if (length < 256) {
      sink.u8(C.SHORT_BINBYTES);
      sink.u8(length);
    } else if (length < 2 ** 32) {
      sink.u8(C.BINBYTES);
      sink.u32(length);
    } else {
      sink.u8(C.BINBYTES8);
      sink.u64(length);
    }
    sink.payload(pieces, length, head);
  }

  /** An extension code. */
  extension(code: number): void {
    const { sink } = this;
    if (code < 256) {
      sink.u8(C.EXT1);
      sink.u8(code);
    } else if (code < 65536) {
      sink.u8(C.EXT2);
      sink.u16(code);
    } else {
      sink.u8(C.EXT4);
      sink.u32(code);
    }
  }
}
