/**
 * Values as Python's `repr` prints them.
 *
 * @module
 */

import { decodeLatin1 } from '../bytes/utf8.ts';
import type { PyString } from './values/scalars.ts';

/** Characters that `repr` escapes: separators other than the space, and everything without a glyph. */
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Cn}\p{Zl}\p{Zp}\p{Zs}]/u;

const SHORT: ReadonlyMap<string, string> = new Map([
  ['\n', '\\n'],
  ['\r', '\\r'],
  ['\t', '\\t'],
  ['\\', '\\\\'],
]);

/** Single quotes, unless the text has single quotes and no double ones. */
const quoteFor = (text: string): string => (text.includes("'") && !text.includes('"') ? '"' : "'");

/** A str. */
export function reprText(text: string | PyString): string {
  const quote = quoteFor(String(text));
  const parts = [quote];
  for (const character of text) {
    const short = SHORT.get(character);
    if (short !== undefined) parts.push(short);
    else if (character === quote) parts.push(`\\${quote}`);
    else if (character === ' ' || !UNPRINTABLE.test(character)) parts.push(character);
    else parts.push(hexEscape(character.codePointAt(0)!));
  }
  parts.push(quote);
  return parts.join('');
}

function hexEscape(code: number): string {
  if (code < 0x100) return `\\x${code.toString(16).padStart(2, '0')}`;
  return code < 0x10000 ? `\\u${code.toString(16).padStart(4, '0')}` : `\\U${code.toString(16).padStart(8, '0')}`;
}

/** A bytearray: Python escapes its single quotes even between double ones. */
export function reprByteArray(bytes: Uint8Array): string {
  return `bytearray(${reprBytes(bytes, true)})`;
}

/** A bytes object. */
export function reprBytes(bytes: Uint8Array, escapeSingle = false): string {
  const text = decodeLatin1(bytes);
  const quote = quoteFor(text);
  const parts = [`b${quote}`];
  for (const character of text) {
    const short = SHORT.get(character);
    if (short !== undefined) parts.push(short);
    else if (character === quote || (escapeSingle && character === "'")) parts.push(`\\${character}`);
    else if (character >= ' ' && character <= '~') parts.push(character);
    else parts.push(hexEscape(character.charCodeAt(0)));
  }
  parts.push(quote);
  return parts.join('');
}

/** A float: the shortest digits that round-trip, with an exponent below 1e-4 and from 1e16 on. */
export function reprFloat(value: number): string {
  if (Number.isNaN(value)) return 'nan';
  if (!Number.isFinite(value)) return value < 0 ? '-inf' : 'inf';
  const sign = value < 0 || Object.is(value, -0) ? '-' : '';
  const [mantissa, power] = Math.abs(value).toExponential().split('e') as [string, string];
  const digits = mantissa.replace('.', '');
  const exponent = Number(power);
  if (exponent < -4 || exponent >= 16) {
    const point = digits.length > 1 ? `${digits[0]}.${digits.slice(1)}` : digits;
    return `${sign}${point}e${exponent < 0 ? '-' : '+'}${String(Math.abs(exponent)).padStart(2, '0')}`;
  }
  if (exponent < 0) return `${sign}0.${'0'.repeat(-exponent - 1)}${digits}`;
  const whole = digits.slice(0, exponent + 1).padEnd(exponent + 1, '0');
  return `${sign}${whole}.${digits.slice(exponent + 1) || '0'}`;
}
