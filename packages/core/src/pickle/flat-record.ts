/**
 * Records of numbers, texts, booleans and null: the usual log entry, written with local variables only.
 *
 * @module
 */

import { encodeUtf8Into } from '../bytes/index.ts';
import { C } from './opcode-writer.ts';
import type { Sink } from './sink.ts';

/** Records within these bounds stay below a frame's size. */
const ITEMS = 32;
const TEXT = 255;
/** Bytes that the largest record takes: for each item a key and a value, at most three bytes per character. */
const ROOM: number = 3 + ITEMS * 2 * (2 + 3 * TEXT);

/**
 * Writes a whole pickle that is one flat record, without frame or memo, because nothing in it can be referred to again.
 * The opcodes are those of the general path, at protocol 4 and above, whose loop took half the time of a small put.
 *
 * @param value - a plain object
 * @returns false, with nothing written, if it is something else
 */
export function writeFlatRecord(sink: Sink, value: object): boolean {
  let pos = sink.reserve(ROOM);
  const { bytes, view } = sink;
  bytes[pos++] = C.EMPTY_DICT;
  bytes[pos++] = C.MARK;
  let count = 0;
  for (const key in value) {
    // biome-ignore lint/suspicious/noPrototypeBuiltins: V8 sees through this spelling in a for-in, and calls hasOwn (a fifth of the loop)
    if (!Object.prototype.hasOwnProperty.call(value, key)) continue;
    const item = (value as Record<string, unknown>)[key];
    if (count++ === ITEMS) return false;
    pos = putText(bytes, pos, key);
    if (pos < 0) return false;
    if (typeof item === 'number') pos = putNumber(bytes, view, pos, item);
    else if (typeof item === 'string') pos = putText(bytes, pos, item);
    else if (item === true) bytes[pos++] = C.NEWTRUE;
    else if (item === false) bytes[pos++] = C.NEWFALSE;
    else if (item === null) bytes[pos++] = C.NONE;
    else return false;
    if (pos < 0) return false;
  }
  if (count < 2) return false;
  bytes[pos++] = C.SETITEMS;
  sink.length = pos;
  return true;
}

/** Text of at most 255 bytes; -1 if it is longer. */
function putText(bytes: Uint8Array, pos: number, text: string): number {
  const { length } = text;
  if (length > TEXT) return -1;
  const start = pos + 2;
  bytes[pos] = C.SHORT_BINUNICODE;
  bytes[pos + 1] = length;
  for (let i = 0; i < length; i++) {
    const unit = text.charCodeAt(i);
    if (unit > 0x7f) {
      const end = encodeUtf8Into(text, bytes, start);
      bytes[pos + 1] = end - start;
      return end - start > TEXT ? -1 : end;
    }
    bytes[start + i] = unit;
  }
  return start + length;
}

function putNumber(bytes: Uint8Array, view: DataView, pos: number, value: number): number {
  const integer = value | 0;
  if (integer === value && (integer !== 0 || !Object.is(value, -0))) {
    if (integer >= 0 && integer < 256) {
      bytes[pos] = C.BININT1;
      bytes[pos + 1] = integer;
      return pos + 2;
    }
    if (integer >= 0 && integer < 65536) {
      bytes[pos] = C.BININT2;
      bytes[pos + 1] = integer;
      bytes[pos + 2] = integer >> 8;
      return pos + 3;
    }
    bytes[pos] = C.BININT;
    view.setInt32(pos + 1, integer, true);
    return pos + 5;
  }
  if (value !== 0 && Number.isSafeInteger(value)) {
    const high = Math.floor(value / 2 ** 32);
    const more = high >= -128 && high < 128 ? 1 : high >= -32768 && high < 32768 ? 2 : 3;
    bytes[pos] = C.LONG1;
    bytes[pos + 1] = 4 + more;
    view.setUint32(pos + 2, value - high * 2 ** 32, true);
    for (let i = 0; i < more; i++) bytes[pos + 6 + i] = high >> (8 * i);
    return pos + 6 + more;
  }
  bytes[pos] = C.BINFLOAT;
  view.setFloat64(pos + 1, value);
  return pos + 9;
}
