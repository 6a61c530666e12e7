/**
 * CRC-32C (Castagnoli, RFC 3720 appendix B.4), eight bytes per step.
 *
 * @module
 */

const POLYNOMIAL = 0x82f63b78;

function makeTables(): Uint32Array {
  const tables = new Uint32Array(8 * 256);
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ POLYNOMIAL : crc >>> 1;
    tables[byte] = crc;
  }
  for (let i = 256; i < tables.length; i++) {
    const previous = tables[i - 256]!;
    tables[i] = (previous >>> 8) ^ tables[previous & 0xff]!;
  }
  return tables;
}

const T = makeTables();

/**
 * Computes a CRC-32C, or continues one.
 *
 * @param bytes - borrowed
 * @param crc - that of the preceding bytes; 0 to start
 * @param start - position of the first byte
 *
 * @example
 * ```ts
 * import { crc32c } from '@mmdpickle/core/format';
 *
 * crc32c(new TextEncoder().encode('123456789')); // 0xe3069283
 * ```
 */
export function crc32c(bytes: Uint8Array, crc = 0, start = 0): number {
  let c = ~crc;
  let i = start;
  const { length } = bytes;
  for (const stop = length - 7; i < stop; i += 8) {
    const low = c ^ (bytes[i]! | (bytes[i + 1]! << 8) | (bytes[i + 2]! << 16) | (bytes[i + 3]! << 24));
    c =
      T[0x700 + (low & 0xff)]! ^
      T[0x600 + ((low >>> 8) & 0xff)]! ^
      T[0x500 + ((low >>> 16) & 0xff)]! ^
      T[0x400 + (low >>> 24)]! ^
      T[0x300 + bytes[i + 4]!]! ^
      T[0x200 + bytes[i + 5]!]! ^
      T[0x100 + bytes[i + 6]!]! ^
      T[bytes[i + 7]!]!;
  }
  for (; i < length; i++) c = (c >>> 8) ^ T[(c ^ bytes[i]!) & 0xff]!;
  return ~c >>> 0;
}
