/**
 * The text arguments of protocol 0, as CPython 3's C reader accepts them, except numbers that contain a NUL: it drops
 * what follows, and the reader written in Python rejects them.
 *
 * @module
 */

import { ByteWriter } from '../bytes/byte-writer.ts';
import { narrowInteger } from '../bytes/integers.ts';
import { decodeLatin1 } from '../bytes/utf8.ts';
import { MmdError } from '../errors.ts';
import { PyString } from './values/scalars.ts';

/** An integer of at most 15 digits that is the same number for every `base` of {@link parseInteger}. */
const SHORT = /^[+-]?(?:0|[1-9][0-9]{0,14})$/;

/** What `int()` accepts from bytes: a sign, digits after a prefix or decimal ones, and whitespace around them. */
const INTEGER = /^[ \t\v\f\r]*([+-]?)(?:(0(?:[xX][0-9a-fA-F_]+|[oO][0-7_]+|[bB][01_]+))|([0-9][0-9_]*))[ \t\v\f\r]*$/;

/** A misplaced underscore: each must be single, and before a digit. */
const LOOSE = /_(?![0-9a-fA-F])/;

/** Decimal digits that `int(text, 0)` rejects, because elsewhere they are octal. */
const ZERO_FIRST = /^0[0_]*[1-9]/;

/** What `strtol(text, 0)` reads in octal. */
const OCTAL = /^[ \t\v\f\r]*([+-]?)0([0-7]+)$/;

/**
 * What `float()` accepts, without spaces and underscores. Digits match in one way only, or a long line would take
 * quadratic time.
 */
const FLOAT = /^[+-]?(?:(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|inf(?:inity)?|nan)$/i;

/**
 * Parses an integer; `undefined` if the text is not one.
 * @param base - as in `int(text, base)`; `INT`: as the C reader reads that opcode, where a bare leading zero means
 *   octal
 */
export function parseInteger(text: string, base: 10 | 0 | 'INT'): number | bigint | undefined {
  if (SHORT.test(text)) return Number(text) + 0;
  const octal = base === 'INT' ? parseOctal(text) : undefined;
  if (octal !== undefined) return octal;
  const [, sign, prefixed, decimal] = INTEGER.exec(text) ?? [];
  const digits = base === 10 ? decimal : (prefixed ?? decimal);
  if (digits === undefined || LOOSE.test(digits) || (base !== 10 && ZERO_FIRST.test(digits))) return undefined;
  return signed(sign, digits.replaceAll('_', ''));
}

/** Octal that fits a C long: beyond that, the C reader falls back to `int(text, 0)`, which rejects it. */
function parseOctal(text: string): number | bigint | undefined {
  const [, sign, digits] = OCTAL.exec(text) ?? [];
  const value = digits === undefined ? undefined : signed(sign, `0o${digits}`);
  return value === undefined || BigInt.asIntN(64, BigInt(value)) !== BigInt(value) ? undefined : value;
}

function signed(sign: string | undefined, digits: string): number | bigint {
  const value = BigInt(digits);
  return narrowInteger(sign === '-' ? -value : value);
}

/** The bool that the C reader makes of a two-character INT with the value 0 or 1: `I01` is the usual spelling. */
export function parseBool(text: string): boolean | undefined {
  return /^(?:[ \t\v\f\r+0][01]|-0)$/.test(text) ? text[1] === '1' : undefined;
}

/**
 * Parses a float; `undefined` if the text is not one.
 * @param tooLarge - whether to accept numbers that only one of CPython's readers accepts, as infinite
 */
export function parseFloatText(text: string, tooLarge = false): number | undefined {
  if (!FLOAT.test(text)) return undefined;
  const lower = text.toLowerCase();
  if (lower.includes('inf')) return lower.startsWith('-') ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY;
  if (lower.includes('nan')) return Number.NaN;
  const value = Number(text);
  return tooLarge || Number.isFinite(value) ? value : undefined;
}

const ESCAPES: ReadonlyMap<number, number> = new Map(
  Object.entries({ '\\': 92, "'": 39, '"': 34, a: 7, b: 8, f: 12, n: 10, r: 13, t: 9, v: 11 }).map(([letter, byte]) => [
    letter.charCodeAt(0),
    byte,
  ]),
);

/**
 * Undoes the escapes of a Python bytes literal, without its quotes (`codecs.escape_decode`).
 * @returns new bytes, or an error text
 */
export function unescapeBytes(bytes: Uint8Array): Uint8Array | string {
  const out = new Uint8Array(bytes.length);
  let length = 0;
  for (let i = 0; i < bytes.length; i++) {
    if (bytes[i] !== 0x5c) {
      out[length++] = bytes[i]!;
      continue;
    }
    if (++i === bytes.length) return 'Trailing \\ in string';
    const letter = bytes[i]!;
    const plain = ESCAPES.get(letter);
    if (plain !== undefined) out[length++] = plain;
    else if (letter === 0x78) {
      const hex = decodeLatin1(bytes, i + 1, Math.min(bytes.length, i + 3));
      if (!/^[0-9a-fA-F]{2}$/.test(hex)) return `invalid \\x escape at position ${i - 1}`;
      out[length++] = Number.parseInt(hex, 16);
      i += 2;
    } else if (letter >= 0x30 && letter <= 0x37) {
      const octal = /^[0-7]{1,3}/.exec(decodeLatin1(bytes, i, Math.min(bytes.length, i + 3)))![0];
      out[length++] = Number.parseInt(octal, 8) & 0xff;
      i += octal.length - 1;
    } else {
      // A line holds no newline, so there is no escaped one to drop.
      out[length++] = 0x5c;
      out[length++] = letter;
    }
  }
  return out.slice(0, length);
}

/** Backslashes in raw-unicode-escape text, and the escape that they may begin; an even number is literal. */
const RAW_UNICODE = /\\+(?:u[0-9a-fA-F]{0,4}|U[0-9a-fA-F]{0,8})?/g;

/**
 * Decodes raw-unicode-escape: Latin-1, in which `\uXXXX` and `\UXXXXXXXX` stand for code points if the number of
 * backslashes is odd.
 *
 * @param offset - where the text starts, for errors
 * @returns a PyString if two escapes form a surrogate pair
 * @throws MmdError CORRUPT
 */
export function decodeRawUnicode(bytes: Uint8Array, offset: number): string | PyString {
  const source = decodeLatin1(bytes);
  if (!source.includes('\\')) return source;
  let high = -1;
  let pair = false;
  const text = source.replace(RAW_UNICODE, (match, at: number) => {
    const letter = match.search(/[uU]/);
    const slashes = letter === -1 ? match.length : letter;
    if (letter === -1 || slashes % 2 === 0) return match;
    const hex = match.slice(letter + 1);
    const code = Number.parseInt(hex, 16);
    if (hex.length !== (match[letter] === 'u' ? 4 : 8) || code > 0x10ffff) {
      const shown = match.slice(slashes - 1);
      throw new MmdError('CORRUPT', `UNICODE at ${offset + at}: the escape ${shown} is not a character`, {
        offset: offset + at,
      });
    }
    // An escape of a low surrogate directly after one of a high surrogate makes a pair of code points.
    if (code >= 0xdc00 && code <= 0xdfff && slashes === 1 && high === at) pair = true;
    high = code >= 0xd800 && code <= 0xdbff ? at + match.length : -1;
    return match.slice(0, slashes - 1) + String.fromCodePoint(code);
  });
  return pair ? new PyString(codePointsOf(source), text) : text;
}

/** The code points of raw-unicode-escape text as UTF-8, each surrogate by itself. */
function codePointsOf(source: string): Uint8Array {
  const to = new ByteWriter();
  let from = 0;
  for (const { 0: match, index } of source.matchAll(RAW_UNICODE)) {
    const letter = match.search(/[uU]/);
    if (letter === -1 || letter % 2 === 0) continue;
    to.utf8(source.slice(from, index + letter - 1));
    to.utf8(String.fromCodePoint(Number.parseInt(match.slice(letter + 1), 16)));
    from = index + match.length;
  }
  to.utf8(source.slice(from));
  return to.finish();
}

/** Strips the quotes of a STRING argument; `undefined` if it is not quoted. */
export function stripQuotes(bytes: Uint8Array): Uint8Array | undefined {
  const quote = bytes[0];
  if (bytes.length < 2 || (quote !== 0x22 && quote !== 0x27) || bytes.at(-1) !== quote) return undefined;
  return bytes.subarray(1, -1);
}
