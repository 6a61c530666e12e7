/**
 * Conversion of single elements between JavaScript values and bytes: the functions behind the rows of `DTYPES`.
 *
 * @module
 */

import { viewBytes } from '../bytes/view-bytes.ts';
import { MmdError } from '../errors.ts';
import { isBytes } from './array-source.ts';
import { Complex } from './complex.ts';

/** The smallest int64, which numpy shows as NaT (not a time). */
export const NAT: bigint = -(2n ** 63n);

const misfit = (value: unknown, wanted: string): MmdError =>
  new MmdError('UNSUPPORTED_VALUE', `an element must be ${wanted}, found ${describe(value)}`, {
    expected: wanted,
    found: value,
  });

function describe(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  if (typeof value === 'string') return `the string ${JSON.stringify(value.slice(0, 40))}`;
  if (typeof value === 'object') {
    // A record may have a field named `constructor`.
    const name: unknown = value.constructor?.name;
    return `an object (${typeof name === 'string' ? name : 'no prototype'})`;
  }
  if (typeof value === 'function' || typeof value === 'symbol') return `a ${typeof value}`;
  return `${typeof value} ${String(value as number | bigint | boolean)}`;
}

/** The number to store for a number, a boolean or a bigint. */
export function toNumber(value: unknown): number {
  if (typeof value === 'number') return value;
  if (typeof value === 'bigint' || typeof value === 'boolean') return Number(value);
  throw misfit(value, 'a number');
}

/**
 * The number to store in a float32, which has 24 significant bits. A 64-bit integer must not be rounded twice, first to the 53 bits of a
 * double: bits that do not fit there are folded into the last one (a sticky bit).
 */
export function toSingle(value: unknown): number {
  const long = typeof value === 'bigint' && BigInt.asIntN(54, value) !== value && (value & 0x7ffn) !== 0n;
  return toNumber(long ? (value & ~0x7ffn) | 0x800n : value);
}

/** An integer of at most 32 bits. One that does not fit is an error, as in numpy 2: nothing is truncated silently. */
export function toInteger(value: unknown, least: number, most: number): number {
  const number = toNumber(value);
  if (!(Number.isInteger(number) && number >= least && number <= most)) {
    throw misfit(value, `an integer from ${least} to ${most}`);
  }
  return number;
}

export function toBigInt(value: unknown, least: bigint, most: bigint): bigint {
  const number = typeof value === 'bigint' ? value : toNumber(value);
  const integer = typeof number === 'bigint' ? number : Number.isInteger(number) ? BigInt(number) : undefined;
  if (integer === undefined || integer < least || integer > most) {
    throw misfit(value, `an integer or a bigint from ${least} to ${most}`);
  }
  return integer;
}

export const MAX_INT64: bigint = 2n ** 63n - 1n;
export const MAX_UINT64: bigint = 2n ** 64n - 1n;

export function toComplex(value: unknown, part: (value: unknown) => number = toNumber): Complex {
  if (value instanceof Complex) return value;
  if (typeof value === 'object' && value !== null && 're' in value && 'im' in value) {
    return new Complex(part(value.re), part(value.im));
  }
  return new Complex(part(value));
}

const bytesAt = (view: DataView, pos: number, length: number): Uint8Array =>
  new Uint8Array(view.buffer, view.byteOffset + pos, length);

/** Raw elements are copied out, so that they outlive the memory. */
export const getRaw = (view: DataView, pos: number, _little: boolean, itemsize: number): Uint8Array =>
  bytesAt(view, pos, itemsize).slice();

export function setRaw(view: DataView, pos: number, value: unknown, _little: boolean, itemsize: number): void {
  if (!isBytes(value) || value.length > itemsize) throw misfit(value, `a Uint8Array of at most ${itemsize} bytes`);
  // The value may overlap its destination, so it is copied before anything is cleared.
  const place = bytesAt(view, pos, itemsize);
  place.set(viewBytes(value));
  place.fill(0, value.length);
}

export function setExactRaw(view: DataView, pos: number, value: unknown, little: boolean, itemsize: number): void {
  if (!isBytes(value) || value.length !== itemsize) throw misfit(value, `a Uint8Array of exactly ${itemsize} bytes`);
  setRaw(view, pos, value, little, itemsize);
}

export function getText(view: DataView, pos: number, little: boolean, itemsize: number): string {
  let end = pos + itemsize;
  while (end > pos && view.getUint32(end - 4, little) === 0) end -= 4;
  let text = '';
  for (; pos < end; pos += 4) {
    const code = view.getUint32(pos, little);
    if (code > 0x10ffff) {
      throw new MmdError('CORRUPT', `a U element holds ${code}, which is not a code point`, { found: code });
    }
    text += String.fromCodePoint(code);
  }
  return text;
}

/** The length of a string as Python counts it. */
export function countCodePoints(text: string): number {
  let count = 0;
  for (const _ of text) count += 1;
  return count;
}

export function setText(view: DataView, pos: number, value: unknown, little: boolean, itemsize: number): void {
  if (typeof value !== 'string') throw misfit(value, 'a string');
  const end = pos + itemsize;
  // Counted first: a value that does not fit must not be stored in part.
  if (value.length * 4 > itemsize && countCodePoints(value) * 4 > itemsize) {
    throw misfit(value, `a string of at most ${itemsize / 4} code points`);
  }
  for (const character of value) {
    view.setUint32(pos, character.codePointAt(0) as number, little);
    pos += 4;
  }
  for (; pos < end; pos += 4) view.setUint32(pos, 0, little);
}

export function getBytes(view: DataView, pos: number, _little: boolean, itemsize: number): Uint8Array {
  const bytes = bytesAt(view, pos, itemsize);
  let end = itemsize;
  while (end > 0 && bytes[end - 1] === 0) end -= 1;
  return bytes.slice(0, end);
}

export function setBytes(view: DataView, pos: number, value: unknown, little: boolean, itemsize: number): void {
  if (typeof value === 'string') {
    const codes = Array.from({ length: value.length }, (_, i) => (value as string).charCodeAt(i));
    if (codes.length > itemsize || codes.some((code) => code > 0x7f))
      throw misfit(value, `at most ${itemsize} ASCII characters`);
    value = Uint8Array.from(codes);
  }
  setRaw(view, pos, value, little, itemsize);
}

export const getTime = (view: DataView, pos: number, little: boolean): bigint | null => {
  const count = view.getBigInt64(pos, little);
  return count === NAT ? null : count;
};

export const setTime = (view: DataView, pos: number, value: unknown, little: boolean): void =>
  view.setBigInt64(pos, value === null ? NAT : toBigInt(value, NAT, MAX_INT64), little);

export const noObject = (): never => {
  throw new MmdError('UNSUPPORTED_DTYPE', 'object elements exist in memory only; they are never mapped');
};
