/**
 * Integers of any size in byte arrays: two's complement, little-endian, as in pickle's LONG1 and LONG4.
 *
 * @module
 */

const HEX: readonly string[] = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));

/**
 * Reads a two's complement integer of any length in linear time; zero bytes decode to 0.
 *
 * @returns a number within ±(2^53 - 1), otherwise a bigint
 */
export function decodeInteger(bytes: Uint8Array, start: number, end: number): number | bigint {
  const length = end - start;
  if (length === 0) return 0;
  if (length <= 6) {
    let value = 0;
    for (let i = end - 1; i >= start; i--) value = value * 256 + bytes[i]!;
    return bytes[end - 1]! > 0x7f ? value - 2 ** (8 * length) : value;
  }
  if (length === 7) {
    const high = ((bytes[start + 4]! | (bytes[start + 5]! << 8) | (bytes[start + 6]! << 16)) << 8) >> 8;
    const low = bytes[start]! + bytes[start + 1]! * 2 ** 8 + bytes[start + 2]! * 2 ** 16 + bytes[start + 3]! * 2 ** 24;
    const narrow = high * 2 ** 32 + low;
    return Number.isSafeInteger(narrow) ? narrow : (BigInt(high) << 32n) + BigInt(low);
  }
  const parts: string[] = [];
  for (let i = end - 1; i >= start; i--) parts.push(HEX[bytes[i]!]!);
  return narrowInteger(BigInt.asIntN(8 * length, BigInt(`0x${parts.join('')}`)));
}

/** The value as a number if that is a safe integer, otherwise the bigint itself. */
export function narrowInteger(value: bigint): number | bigint {
  const narrow = Number(value);
  return Number.isSafeInteger(narrow) ? narrow : value;
}

/**
 * The shortest two's complement form, in linear time; 0 takes no bytes.
 *
 * @returns bytes that belong to the caller
 */
export function encodeInteger(value: bigint): Uint8Array {
  if (value === 0n) return new Uint8Array(0);
  const negative = value < 0n;
  // The complement of a negative number has the same bits, inverted; its hex text gives the size.
  let hex = (negative ? ~value : value).toString(16);
  if (hex.length % 2 === 1) hex = `0${hex}`;
  const size = hex.length / 2;
  const flip = negative ? 0xff : 0;
  // One more byte if the top bit is in use: that bit is the sign.
  const bytes = new Uint8Array(size + (Number.parseInt(hex.slice(0, 2), 16) > 0x7f ? 1 : 0)).fill(flip);
  for (let i = 0; i < size; i++) {
    bytes[i] = flip ^ Number.parseInt(hex.slice(hex.length - 2 - 2 * i, hex.length - 2 * i), 16);
  }
  return bytes;
}
