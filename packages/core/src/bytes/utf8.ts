/**
 * UTF-8 as Python's codec `('utf-8', 'surrogatepass')` reads and writes it: strict about overlong, truncated and
 * out-of-range sequences, but lone surrogates are legal, and a byte order mark is kept.
 *
 * @module
 */

import { MmdError } from '../errors.ts';

const LONE_SURROGATE = /[\uD800-\uDFFF]/u;

/** For longer text, the platform's decoder is faster. */
const SHORT = 64;

type Slice = (this: Uint8Array, start: number, end: number) => string;
type Write = (this: Uint8Array, text: string, pos: number, most: number) => number;
interface NodeSlices {
  readonly utf8Write?: Write;
  readonly latin1Slice?: Slice;
  readonly ucs2Slice?: Slice;
}

/**
 * Node's `Buffer` methods turn bytes into a string in one call: 35 ns for 20 bytes, where TextDecoder takes 80 and
 * `String.fromCharCode` 110. Undefined on other platforms.
 */
const node = ((globalThis as { Buffer?: { prototype: object } }).Buffer?.prototype ?? {}) as NodeSlices;
export const latin1Slice: Slice | undefined = node.latin1Slice;
export const ucs2Slice: Slice | undefined = node.ucs2Slice;

/** Takes half the time of TextEncoder and a view. */
const utf8Write: Write | undefined = node.utf8Write;

const ENCODER: TextEncoder = new TextEncoder();

/** Whether the text has no lone surrogate. The engine's own check does not scan strings stored as one byte per character. */
export const isWellFormed = (text: string): boolean =>
  (text as { isWellFormed?: () => boolean }).isWellFormed?.() ?? !LONE_SURROGATE.test(text);

/** Stateless between calls, because no call streams; creating a decoder costs more than decoding a short text. */
const STRICT: TextDecoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * Decodes bytes to text.
 *
 * A surrogate pair that was encoded as two code points becomes one astral character, because a JavaScript
 * string cannot distinguish the two; {@link hasSurrogatePair} can.
 *
 * @param bytes - the input
 * @param start - first byte
 * @param end - one past the last byte, inside `bytes`
 * @throws MmdError CORRUPT with the offset of the first bad byte
 */
export function decodeUtf8(bytes: Uint8Array, start: number, end: number): string {
  if (latin1Slice !== undefined && end - start <= SHORT && isAscii(bytes, start, end)) {
    return latin1Slice.call(bytes, start, end);
  }
  return decodeLong(bytes, start, end);
}

/** Tells whether all bytes from `start` to `end` are below 0x80. */
function isAscii(bytes: Uint8Array, start: number, end: number): boolean {
  for (let i = start; i < end; i++) if (bytes[i]! > 0x7f) return false;
  return true;
}

/** Uses the platform's decoder, and falls back to our own for what that one rejects. */
export function decodeLong(bytes: Uint8Array, start: number, end: number): string {
  try {
    return STRICT.decode(bytes.subarray(start, end));
  } catch {
    return decodeSurrogates(bytes, start, end);
  }
}

/** Well-formed multi-byte sequences: range of the lead byte, range of the second byte, length. */
const SEQUENCES = [
  { from: 0xc2, to: 0xdf, low: 0x80, high: 0xbf, length: 2 },
  { from: 0xe0, to: 0xe0, low: 0xa0, high: 0xbf, length: 3 },
  { from: 0xe1, to: 0xef, low: 0x80, high: 0xbf, length: 3 },
  { from: 0xf0, to: 0xf0, low: 0x90, high: 0xbf, length: 4 },
  { from: 0xf1, to: 0xf3, low: 0x80, high: 0xbf, length: 4 },
  { from: 0xf4, to: 0xf4, low: 0x80, high: 0x8f, length: 4 },
] as const;

/** Length of the sequence at `i`, or 0 if it is not well-formed. Surrogates count as well-formed. */
function sequenceLength(bytes: Uint8Array, i: number, end: number): number {
  const lead = bytes[i]!;
  if (lead < 0x80) return 1;
  const row = SEQUENCES.find(({ from, to }) => lead >= from && lead <= to);
  if (row === undefined || i + row.length > end) return 0;
  const second = bytes[i + 1]!;
  if (second < row.low || second > row.high) return 0;
  for (let k = 2; k < row.length; k++) if ((bytes[i + k]! & 0xc0) !== 0x80) return 0;
  return row.length;
}

function decodeSurrogates(bytes: Uint8Array, start: number, end: number): string {
  const units: number[] = [];
  const parts: string[] = [];
  for (let i = start; i < end; ) {
    const length = sequenceLength(bytes, i, end);
    if (length === 0) {
      throw new MmdError('CORRUPT', `byte 0x${bytes[i]!.toString(16)} at ${i} is not valid UTF-8`, { offset: i });
    }
    let code = length === 1 ? bytes[i]! : bytes[i]! & (0x7f >> length);
    for (let k = 1; k < length; k++) code = (code << 6) | (bytes[i + k]! & 0x3f);
    if (code > 0xffff) units.push(0xd800 + ((code - 0x10000) >> 10), 0xdc00 + ((code - 0x10000) & 0x3ff));
    else units.push(code);
    // Flushed in small pieces: spreading the whole input would overflow the native stack.
    if (units.length >= 1024) parts.push(String.fromCharCode(...units.splice(0)));
    i += length;
  }
  parts.push(String.fromCharCode(...units));
  return parts.join('');
}

/**
 * Tells whether the UTF-8 bytes encode a high surrogate directly followed by a low one: two code points in
 * Python, one astral character in JavaScript.
 */
export function hasSurrogatePair(bytes: Uint8Array, start: number, end: number): boolean {
  for (let i = start; i + 6 <= end; i++) {
    if (bytes[i] !== 0xed || bytes[i + 3] !== 0xed) continue;
    if (bytes[i + 1]! >= 0xa0 && bytes[i + 1]! < 0xb0 && bytes[i + 4]! >= 0xb0) return true;
  }
  return false;
}

/**
 * Encodes text; lone surrogates become their three-byte form, as Python's `surrogatepass` writes them.
 *
 * @returns bytes that belong to the caller
 */
export function encodeUtf8(text: string): Uint8Array {
  if (!LONE_SURROGATE.test(text)) return new TextEncoder().encode(text);
  const bytes = new Uint8Array(text.length * 3);
  return bytes.slice(0, encodeSurrogates(text, bytes, 0));
}

/**
 * Encodes text into `target` at `pos`.
 *
 * @param target - must have room for `3 * text.length` bytes at `pos`
 * @returns the position after the text
 */
export function encodeUtf8Into(text: string, target: Uint8Array, pos: number): number {
  if (text.length <= 32) {
    let i = 0;
    for (; i < text.length; i++) {
      const unit = text.charCodeAt(i);
      if (unit > 0x7f) return encodeSurrogates(text, target, pos);
      target[pos + i] = unit;
    }
    return pos + i;
  }
  if (!isWellFormed(text)) return encodeSurrogates(text, target, pos);
  if (utf8Write !== undefined) return pos + utf8Write.call(target, text, pos, target.length - pos);
  return pos + ENCODER.encodeInto(text, target.subarray(pos)).written;
}

function encodeSurrogates(text: string, target: Uint8Array, pos: number): number {
  for (let i = 0; i < text.length; i++) {
    const code = text.codePointAt(i)!;
    if (code < 0x80) target[pos++] = code;
    else if (code < 0x800) {
      target[pos++] = 0xc0 | (code >> 6);
      target[pos++] = 0x80 | (code & 0x3f);
    } else if (code < 0x10000) {
      target[pos++] = 0xe0 | (code >> 12);
      target[pos++] = 0x80 | ((code >> 6) & 0x3f);
      target[pos++] = 0x80 | (code & 0x3f);
    } else {
      i++;
      target[pos++] = 0xf0 | (code >> 18);
      target[pos++] = 0x80 | ((code >> 12) & 0x3f);
      target[pos++] = 0x80 | ((code >> 6) & 0x3f);
      target[pos++] = 0x80 | (code & 0x3f);
    }
  }
  return pos;
}

/** Decodes a byte range as Latin-1, in pieces, so that no argument list is as long as the input. */
export function decodeLatin1(bytes: Uint8Array, start: number = 0, end: number = bytes.length): string {
  const parts: string[] = [];
  for (let i = start; i < end; i += 4096) {
    parts.push(String.fromCharCode(...bytes.subarray(i, Math.min(end, i + 4096))));
  }
  return parts.join('');
}

/** The bytes of Latin-1 text, or `undefined` if a character does not fit in one byte. */
export function encodeLatin1(text: string): Uint8Array | undefined {
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit > 0xff) return undefined;
    bytes[i] = unit;
  }
  return bytes;
}

/**
 * Whether `bytes[start, end)` is the UTF-8 of a JavaScript string. ASCII, the usual case, is recognized without decoding. A surrogate
 * pair encoded as two code points is a Python string that has no equivalent here: in JavaScript it is one astral character.
 */
export function isText(bytes: Uint8Array, start: number, end: number): boolean {
  if (isAscii(bytes, start, end)) return true;
  try {
    decodeUtf8(bytes, start, end);
    return !hasSurrogatePair(bytes, start, end);
  } catch {
    return false;
  }
}
