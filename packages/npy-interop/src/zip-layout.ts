/**
 * The zip records that this package writes, as lists of fields.
 *
 * Definition: PKWARE's APPNOTE.TXT 6.3.10, sections 4.3.7 to 4.3.16 and 4.5.3. All integers are little-endian.
 *
 * @module
 */

/** How a member's bytes are stored: methods by their numbers in zip files. */
export const ZIP_METHODS = { stored: 0, deflated: 8 } as const;
/** A key of {@link ZIP_METHODS}. */
export type ZipMethod = keyof typeof ZIP_METHODS;

/** What the headers say about a member. Sizes and offsets are in bytes. */
export interface ZipRecord {
  readonly name: Uint8Array;
  readonly method: ZipMethod;
  readonly crc32: number;
  readonly compressedSize: number;
  readonly size: number;
  /** File offset of the local header. */
  readonly offset: number;
  /** Write 64-bit sizes, whatever they are. */
  readonly zip64: boolean;
}

/** The value from which on a 32-bit field needs zip64. */
export const ZIP32_MAX = 0xffffffff;
const ZIP16_MAX = 0xffff;
const LOCAL_HEADER_BYTES = 30;
const ZIP64_EXTRA = 0x0001;
/** The extra field that Android's zipalign uses for padding: u16 alignment, then zeros. */
const ALIGNMENT_EXTRA = 0xd935;
const ALIGNMENT_EXTRA_MIN = 6;
const UTF8_NAME = 0x0800;
const VERSION_DEFLATE = 20;
const VERSION_ZIP64 = 45;
const MADE_BY_UNIX = 3 << 8;
/** 1980-01-01, the earliest date: the same arrays make the same file. */
const DATE = 0x21;
/** A regular file with mode 0600, as Python's zipfile writes. */
const ATTRIBUTES = (0o100600 << 16) >>> 0;

type Field = readonly [bytes: 2 | 4 | 8, value: number];

function pack(fields: readonly Field[], ...tails: readonly Uint8Array[]): Uint8Array {
  const fixed = fields.reduce((sum, [bytes]) => sum + bytes, 0);
  const packed = new Uint8Array(tails.reduce((sum, tail) => sum + tail.length, fixed));
  const view = new DataView(packed.buffer);
  let pos = 0;
  for (const [bytes, value] of fields) {
    if (bytes === 2) view.setUint16(pos, value, true);
    else if (bytes === 4) view.setUint32(pos, value, true);
    else view.setBigUint64(pos, BigInt(value), true);
    pos += bytes;
  }
  for (const tail of tails) {
    packed.set(tail, pos);
    pos += tail.length;
  }
  return packed;
}

/**
 * The UTF-8 flag, for names with characters beyond ASCII or control characters: code page 437, the encoding of unmarked names, has
 * pictures in place of the latter, and some readers show those.
 */
const flags = (name: Uint8Array): number => (name.some((byte) => byte < 0x20 || byte >= 0x7f) ? UTF8_NAME : 0);

/**
 * A local header, padded so that what follows it starts at a multiple of `align`.
 * Its length depends only on the name, the offset and `zip64`, so that it can be written again once sizes are known.
 */
export function localHeader(record: ZipRecord, align: number): Uint8Array {
  const sizes: Field[] = record.zip64
    ? [
        [2, ZIP64_EXTRA],
        [2, 16],
        [8, record.size],
        [8, record.compressedSize],
      ]
    : [];
  const zip64 = pack(sizes);
  const unpadded = record.offset + LOCAL_HEADER_BYTES + record.name.length + zip64.length;
  let padding = (align - (unpadded % align)) % align;
  while (padding > 0 && padding < ALIGNMENT_EXTRA_MIN) padding += align;
  const filler = padding === 0 ? new Uint8Array(0) : new Uint8Array(padding - ALIGNMENT_EXTRA_MIN);
  const alignment: Field[] = [
    [2, ALIGNMENT_EXTRA],
    [2, padding - 4],
    [2, align],
  ];
  const extra = pack(padding === 0 ? [] : alignment, filler, zip64);
  return pack(
    [
      [4, 0x04034b50],
      [2, record.zip64 ? VERSION_ZIP64 : VERSION_DEFLATE],
      [2, flags(record.name)],
      [2, ZIP_METHODS[record.method]],
      [2, 0],
      [2, DATE],
      [4, record.crc32],
      [4, record.zip64 ? ZIP32_MAX : record.compressedSize],
      [4, record.zip64 ? ZIP32_MAX : record.size],
      [2, record.name.length],
      [2, extra.length],
    ],
    record.name,
    extra,
  );
}

/** A member's entry in the central directory. */
export function centralHeader(record: ZipRecord): Uint8Array {
  const big = [record.size, record.compressedSize, record.offset].map((value) => record.zip64 || value >= ZIP32_MAX);
  const [size, compressedSize, offset] = big as [boolean, boolean, boolean];
  const values: Field[] = [];
  if (size) values.push([8, record.size]);
  if (compressedSize) values.push([8, record.compressedSize]);
  if (offset) values.push([8, record.offset]);
  const zip64: Field[] = [[2, ZIP64_EXTRA], [2, values.length * 8], ...values];
  const extra = pack(values.length === 0 ? [] : zip64);
  const version = values.length === 0 ? VERSION_DEFLATE : VERSION_ZIP64;
  return pack(
    [
      [4, 0x02014b50],
      [2, MADE_BY_UNIX | version],
      [2, version],
      [2, flags(record.name)],
      [2, ZIP_METHODS[record.method]],
      [2, 0],
      [2, DATE],
      [4, record.crc32],
      [4, compressedSize ? ZIP32_MAX : record.compressedSize],
      [4, size ? ZIP32_MAX : record.size],
      [2, record.name.length],
      [2, extra.length],
      [2, 0],
      [2, 0],
      [2, 0],
      [4, ATTRIBUTES],
      [4, offset ? ZIP32_MAX : record.offset],
    ],
    record.name,
    extra,
  );
}

/** The records after the central directory, with the zip64 ones if they are needed or requested. */
export function directoryEnd(directory: {
  readonly offset: number;
  readonly length: number;
  readonly entries: number;
  readonly zip64: boolean;
}): Uint8Array {
  const { offset, length, entries } = directory;
  const zip64 = directory.zip64 || entries >= ZIP16_MAX || offset >= ZIP32_MAX || length >= ZIP32_MAX;
  const end64: Field[] = [
    [4, 0x06064b50],
    [8, 44],
    [2, MADE_BY_UNIX | VERSION_ZIP64],
    [2, VERSION_ZIP64],
    [4, 0],
    [4, 0],
    [8, entries],
    [8, entries],
    [8, length],
    [8, offset],
  ];
  const locator: Field[] = [
    [4, 0x07064b50],
    [4, 0],
    [8, offset + length],
    [4, 1],
  ];
  const end: Field[] = [
    [4, 0x06054b50],
    [2, 0],
    [2, 0],
    [2, zip64 ? ZIP16_MAX : entries],
    [2, zip64 ? ZIP16_MAX : entries],
    [4, zip64 ? ZIP32_MAX : length],
    [4, zip64 ? ZIP32_MAX : offset],
    [2, 0],
  ];
  return pack(zip64 ? [...end64, ...locator, ...end] : end);
}
