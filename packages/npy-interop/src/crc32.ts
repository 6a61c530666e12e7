/**
 * CRC-32 as in zip files (ISO 3309, reflected polynomial EDB88320).
 *
 * @module
 */

/** Computes or continues a checksum: `crc32(b, crc32(a))` is that of `a` followed by `b`. */
export type Crc32 = (bytes: Uint8Array, previous?: number) => number;

const POLYNOMIAL = 0xedb88320;
const SLICES = 4;

/** `TABLES[k][byte]` is the effect of a byte that is k bytes before the end. */
const TABLES: readonly Uint32Array[] = makeTables();

function makeTables(): Uint32Array[] {
  const tables = Array.from({ length: SLICES }, () => new Uint32Array(256));
  const [first] = tables as [Uint32Array, ...Uint32Array[]];
  for (let byte = 0; byte < 256; byte += 1) {
    let value = byte;
    for (let bit = 0; bit < 8; bit += 1) value = value & 1 ? (value >>> 1) ^ POLYNOMIAL : value >>> 1;
    first[byte] = value;
  }
  for (let k = 1; k < SLICES; k += 1) {
    const [before, table] = [tables[k - 1] as Uint32Array, tables[k] as Uint32Array];
    for (let byte = 0; byte < 256; byte += 1) {
      const value = before[byte] as number;
      table[byte] = (value >>> 8) ^ (first[value & 0xff] as number);
    }
  }
  return tables;
}

/** CRC-32 in JavaScript, for runtimes without one of their own. */
export const crc32: Crc32 = (bytes, previous = 0) => {
  const [t0, t1, t2, t3] = TABLES as [Uint32Array, Uint32Array, Uint32Array, Uint32Array];
  let crc = ~previous;
  let pos = 0;
  for (const end = bytes.length - 3; pos < end; pos += SLICES) {
    crc ^=
      (bytes[pos] as number) |
      ((bytes[pos + 1] as number) << 8) |
      ((bytes[pos + 2] as number) << 16) |
      ((bytes[pos + 3] as number) << 24);
    crc =
      (t3[crc & 0xff] as number) ^
      (t2[(crc >>> 8) & 0xff] as number) ^
      (t1[(crc >>> 16) & 0xff] as number) ^
      (t0[crc >>> 24] as number);
  }
  for (; pos < bytes.length; pos += 1) crc = (crc >>> 8) ^ (t0[(crc ^ (bytes[pos] as number)) & 0xff] as number);
  return ~crc >>> 0;
};
