/**
 * The layout of the file as tables: header, entry, terminator, and the sizes and boundaries that commits depend on.
 *
 * The specification is `docs/format.md`; a test compares its tables with these.
 * All integers are little-endian.
 *
 * @module
 */

import { MmdError } from '../errors.ts';
import { foreignFile } from '../pickle/foreign.ts';

/** How a field's bytes are read. */
export type FieldType = 'bytes' | 'u8' | 'i32' | 'u64';

/** A row of a layout table. */
export interface Field {
  readonly name: string;
  /** Byte offset from the start of the part. */
  readonly offset: number;
  readonly size: number;
  readonly type: FieldType;
  /** The bytes of a constant field; absent if the field varies. */
  readonly fixed?: readonly number[];
  readonly doc: string;
}

/** The header: file offset 0 to 24. */
export const HEADER: readonly Field[] = [
  { name: 'proto', offset: 0, size: 2, type: 'bytes', fixed: [0x80, 4], doc: 'PROTO 4' },
  { name: 'frame', offset: 2, size: 9, type: 'bytes', fixed: [0x95, 13, 0, 0, 0, 0, 0, 0, 0], doc: 'FRAME 13' },
  { name: 'versionOpcode', offset: 11, size: 1, type: 'bytes', fixed: [0x4a], doc: 'BININT' },
  { name: 'version', offset: 12, size: 4, type: 'i32', fixed: [1, 0, 0, 0], doc: 'layout version, 1' },
  { name: 'versionPop', offset: 16, size: 1, type: 'bytes', fixed: [0x30], doc: 'POP' },
  { name: 'commitOpcode', offset: 17, size: 1, type: 'bytes', fixed: [0x4a], doc: 'BININT' },
  { name: 'commitNumber', offset: 18, size: 4, type: 'i32', doc: 'raised by every change; wraps to 0 after 2^31-1' },
  { name: 'commitPop', offset: 22, size: 1, type: 'bytes', fixed: [0x30], doc: 'POP' },
  { name: 'mark', offset: 23, size: 1, type: 'bytes', fixed: [0x28], doc: 'MARK' },
];

/** The first bytes of an entry, as many as the terminator has; the key's UTF-8 and the value follow. */
export const ENTRY_HEAD: readonly Field[] = [
  { name: 'frameOpcode', offset: 0, size: 1, type: 'bytes', fixed: [0x95], doc: 'FRAME' },
  { name: 'frameLength', offset: 1, size: 8, type: 'u64', doc: 'bytes of the entry after this field' },
  { name: 'keyOpcode', offset: 9, size: 1, type: 'bytes', fixed: [0x8c], doc: 'SHORT_BINUNICODE' },
  { name: 'keyLength', offset: 10, size: 1, type: 'u8', doc: 'bytes of the key' },
];

/** The last bytes of an entry. */
export const ENTRY_TAIL: readonly Field[] = [
  { name: 'hintOpcode', offset: 0, size: 1, type: 'bytes', fixed: [0x4a], doc: 'BININT' },
  { name: 'memoHint', offset: 1, size: 4, type: 'i32', doc: 'one more than the highest memo index known' },
  { name: 'hintPop', offset: 5, size: 1, type: 'bytes', fixed: [0x30], doc: 'POP' },
  { name: 'state', offset: 6, size: 1, type: 'u8', doc: '88 (NEWTRUE): live; 30 (POP): dead' },
  { name: 'statePop', offset: 7, size: 1, type: 'bytes', fixed: [0x30], doc: 'POP' },
];

/** The end of the file: FRAME 2, DICT, STOP. */
export const TERMINATOR_FIELDS: readonly Field[] = [
  { name: 'frame', offset: 0, size: 9, type: 'bytes', fixed: [0x95, 2, 0, 0, 0, 0, 0, 0, 0], doc: 'FRAME 2' },
  { name: 'dict', offset: 9, size: 1, type: 'bytes', fixed: [0x64], doc: 'DICT' },
  { name: 'stop', offset: 10, size: 1, type: 'bytes', fixed: [0x2e], doc: 'STOP' },
];

/** The size of a part that a table describes. */
function sizeOf(fields: readonly Field[]): number {
  return fields.reduce((size, field) => Math.max(size, field.offset + field.size), 0);
}

/** The fixed bytes of a part, zero where it varies. */
function bytesOf(fields: readonly Field[]): Uint8Array {
  const bytes = new Uint8Array(sizeOf(fields));
  for (const { offset, fixed } of fields) if (fixed !== undefined) bytes.set(fixed, offset);
  return bytes;
}

export const HEADER_SIZE: number = sizeOf(HEADER);
/** File offset of the commit number. */
export const COMMIT_NUMBER_OFFSET: number = HEADER.find(({ name }) => name === 'commitNumber')!.offset;
/** The commit number after which it wraps to 0. */
export const COMMIT_NUMBER_MAX: number = 2 ** 31 - 1;
export const ENTRY_HEAD_SIZE: number = sizeOf(ENTRY_HEAD);
/** The opcode before a key. */
export const SHORT_BINUNICODE: number = ENTRY_HEAD.find(({ name }) => name === 'keyOpcode')!.fixed![0]!;
/** Size of the FRAME opcode and its length; the length counts from its own end. */
export const FRAME_SIZE = 9;
export const ENTRY_TAIL_SIZE: number = sizeOf(ENTRY_TAIL);
export const TERMINATOR_SIZE: number = sizeOf(TERMINATOR_FIELDS);
/** The smallest file: an empty dict. */
export const EMPTY_SIZE: number = HEADER_SIZE + TERMINATOR_SIZE;
/** The longest key in UTF-8 bytes. */
export const KEY_MAX = 255;
/** State byte of a live entry. */
export const LIVE = 0x88;
/** State byte of a dead entry. */
export const DEAD = 0x30;
/** Size of a memory page, and of a block that filesystems share between files. */
export const PAGE_ALIGNMENT = 4096;
/**
 * The multiple at which array data starts: that of the row with the largest `from`, or `growableFrom`, that the data reaches. Typed
 * views need 64, mapping and sharing blocks a page. The kernel caches each write in pages as large as its alignment allows: 64 KiB
 * make writes of rows of 8 to 256 KiB a seventh to a third faster, and more gains nothing.
 */
export const ALIGNMENTS: readonly Alignment[] = [
  { alignment: 64, from: 0, growableFrom: 0 },
  { alignment: PAGE_ALIGNMENT, from: 2 ** 20, growableFrom: 2 ** 20 },
  { alignment: 65_536, from: 2 ** 24, growableFrom: 2 ** 20 },
];

interface Alignment {
  readonly alignment: number;
  /** Least bytes of data. */
  readonly from: number;
  /** Least bytes of the room of an array that grows. */
  readonly growableFrom: number;
}
/** Size of a sector. A write inside one sector is not torn by a power loss, nor, as a sector lies in a page, by a kill. */
export const SECTOR = 512;
/** Bytes from a file offset to the end of its sector, at least 1. Without `%`, which takes V8 40 cycles if offsets are doubles. */
export function toSectorEnd(offset: number): number {
  return SECTOR - (offset & (SECTOR - 1));
}
/** Size of the smallest entry, with an empty key and NONE, which can be at any offset. */
export const FILLER_MIN = 20;
/** Length of a key that makes byte 10 of the head equal to the terminator's last: 46 is `.`. */
export const KEY_LENGTH_LIKE_STOP = 46;

const TERMINATOR_BYTES = bytesOf(TERMINATOR_FIELDS);

/** A copy of the terminator. */
export function terminator(): Uint8Array {
  return TERMINATOR_BYTES.slice();
}

/** Whether the terminator is at `pos`. */
export function isTerminator(bytes: Uint8Array, pos: number): boolean {
  for (let i = 0; i < TERMINATOR_SIZE; i++) if (bytes[pos + i] !== TERMINATOR_BYTES[i]) return false;
  return true;
}

/** Whether a file's last bytes are `d.`: a terminator, or what damage left of one. */
export function endsAsDict(bytes: Uint8Array): boolean {
  return bytes.at(-2) === 0x64 && bytes.at(-1) === 0x2e;
}

/** Writes the terminator at `pos` and returns the position after it. */
export function putTerminator(bytes: Uint8Array, pos: number): number {
  for (let i = 0; i < TERMINATOR_SIZE; i++) bytes[pos + i] = TERMINATOR_BYTES[i]!;
  return pos + TERMINATOR_SIZE;
}

/** The header with a commit number. */
export function encodeHeader(commitNumber: number): Uint8Array {
  const bytes = bytesOf(HEADER);
  putU32(bytes, COMMIT_NUMBER_OFFSET, commitNumber);
  return bytes;
}

/** The bytes of a file that holds an empty dict. */
export function encodeEmptyFile(commitNumber = 0): Uint8Array {
  const bytes = new Uint8Array(EMPTY_SIZE);
  bytes.set(encodeHeader(commitNumber));
  putTerminator(bytes, HEADER_SIZE);
  return bytes;
}

/** The decoded header. */
export interface Header {
  readonly version: number;
  readonly commitNumber: number;
}

/**
 * Decodes the header.
 *
 * @param bytes - the first bytes of the file: at least {@link HEADER_SIZE}, or all that there are
 * @param name - for error messages
 * @throws NOT_A_PICKLE, NOT_MMDPICKLE (with the hint to convert), TRUNCATED
 */
export function decodeHeader(bytes: Uint8Array, name: string): Header {
  if (!isHeader(bytes)) checkHeader(bytes, name);
  return { version: getI32(bytes, 12), commitNumber: getI32(bytes, COMMIT_NUMBER_OFFSET) };
}

const HEADER_BYTES = bytesOf(HEADER);

/** Whether the bytes begin with a complete header of this version. */
export function isHeader(bytes: Uint8Array): boolean {
  if (bytes.length < HEADER_SIZE) return false;
  for (let i = 0; i < HEADER_SIZE; i++) {
    const varies = i >= COMMIT_NUMBER_OFFSET && i < COMMIT_NUMBER_OFFSET + 4;
    if (bytes[i] !== HEADER_BYTES[i] && !varies) return false;
  }
  return true;
}

/** Throws an error that says what is wrong with a header. */
function checkHeader(bytes: Uint8Array, name: string): void {
  for (const field of HEADER) {
    for (const [i, expected] of (field.fixed ?? []).entries()) {
      const offset = field.offset + i;
      const found = bytes[offset];
      if (found === expected) continue;
      if (found === undefined) break;
      const foreign = foreignFile(bytes, name);
      if (foreign !== undefined) throw foreign;
      const fields = { offset, expected, found, path: name };
      if (!looksLikePickle(bytes)) {
        throw new MmdError('NOT_A_PICKLE', `${name}: not a pickle (first byte 0x${hex(bytes[0]!)})`, fields);
      }
      if (field.name === 'version') {
        throw new MmdError(
          'NOT_MMDPICKLE',
          `${name}: another version of the mmdpickle layout; this library reads version 1`,
          fields,
        );
      }
      throw new MmdError(
        'NOT_MMDPICKLE',
        `${name}: a pickle, but not in the mmdpickle layout (byte ${offset} is 0x${hex(found)}, not 0x${hex(expected)}); use convert(src, dst) to make it one, or openPickle(path) to read it`,
        fields,
      );
    }
  }
  if (bytes.length < HEADER_SIZE) {
    const message = `${name}: header: expected ${HEADER_SIZE} bytes, found ${bytes.length}`;
    throw new MmdError('TRUNCATED', message, {
      offset: bytes.length,
      expected: HEADER_SIZE,
      found: bytes.length,
      path: name,
    });
  }
}

/** Whether the first bytes are those of a pickle of any protocol: PROTO, or an opcode of the text protocols. */
function looksLikePickle(bytes: Uint8Array): boolean {
  const first = bytes[0] ?? 0;
  if (first === 0x80) return (bytes[1] ?? 2) <= 5;
  return PROTOCOL_0_STARTS.includes(String.fromCharCode(first));
}

/** Opcodes that begin a pickle of protocol 0 or 1: MARK, containers, constants, GLOBAL, numbers, text. */
const PROTOCOL_0_STARTS = '(])}cNIFLSVGJKMXTU';

function hex(byte: number): string {
  return byte.toString(16).padStart(2, '0');
}

/** The commit number after `commitNumber`; it wraps around and never throws. */
export function nextCommitNumber(commitNumber: number): number {
  return commitNumber >= COMMIT_NUMBER_MAX || commitNumber < 0 ? 0 : commitNumber + 1;
}

/** More commits than a reader misses at once: one that finds so many reads everything anew, which is never wrong. */
const FAR = 2 ** 24;
/** The golden section of the range of commit numbers: dozens of such steps stay far from every number used before. */
const LEAP = 0x4f1b_bcdd;

/** The commit number that announces that entries moved: ordinary commits do not lead there from `commitNumber`. */
export function movedCommitNumber(commitNumber: number): number {
  return (commitNumber + LEAP) % (COMMIT_NUMBER_MAX + 1);
}

/** Whether entries may have moved between two commit numbers: the number fell, as after a vacuum by mmappickle, or jumped. */
export function mayHaveMoved(known: number, found: number): boolean {
  return found < known || found - known >= FAR;
}

/** The end of an entry from its offset and FRAME length. */
export function entryEnd(offset: number, frameLength: number): number {
  return offset + FRAME_SIZE + frameLength;
}

/** FRAME length of an entry. */
export function frameLengthOf(keyLength: number, valueLength: number): number {
  return 2 + keyLength + valueLength + ENTRY_TAIL_SIZE;
}

/** File offset of an entry's state byte. */
export function stateOffset(offset: number, frameLength: number): number {
  return entryEnd(offset, frameLength) - 2;
}

/** Writes an entry's first bytes at `pos` and returns the position of the key. */
export function putEntryHead(bytes: Uint8Array, pos: number, frameLength: number, keyLength: number): number {
  bytes[pos] = 0x95;
  putU64(bytes, pos + 1, frameLength);
  bytes[pos + 9] = 0x8c;
  bytes[pos + 10] = keyLength;
  return pos + ENTRY_HEAD_SIZE;
}

/** Writes an entry's last bytes at `pos` and returns the position after them. */
export function putEntryTail(bytes: Uint8Array, pos: number, memoHint: number, state: number): number {
  bytes[pos] = 0x4a;
  putU32(bytes, pos + 1, memoHint);
  bytes[pos + 5] = 0x30;
  bytes[pos + 6] = state;
  bytes[pos + 7] = 0x30;
  return pos + ENTRY_TAIL_SIZE;
}

/** Whether an entry's last bytes are at `pos`, whatever its state byte. */
export function isEntryTail(bytes: Uint8Array, pos: number): boolean {
  return bytes[pos] === 0x4a && bytes[pos + 5] === 0x30 && bytes[pos + 7] === 0x30;
}

/** Whether the last bytes of an entry that is live or dead are at `pos`. */
export function isWholeTail(bytes: Uint8Array, pos: number): boolean {
  return isEntryTail(bytes, pos) && (bytes[pos + 6] === LIVE || bytes[pos + 6] === DEAD);
}

export function putU32(bytes: Uint8Array, pos: number, value: number): void {
  bytes[pos] = value;
  bytes[pos + 1] = value >>> 8;
  bytes[pos + 2] = value >>> 16;
  bytes[pos + 3] = value >>> 24;
}

export function getU32(bytes: Uint8Array, pos: number): number {
  return (bytes[pos]! | (bytes[pos + 1]! << 8) | (bytes[pos + 2]! << 16) | (bytes[pos + 3]! << 24)) >>> 0;
}

export function getI32(bytes: Uint8Array, pos: number): number {
  return getU32(bytes, pos) | 0;
}

/** Writes a count up to 2^53. */
export function putU64(bytes: Uint8Array, pos: number, value: number): void {
  // Unrolled: it is called more than once per entry, and few programs write so many entries that it gets compiled.
  const high = Math.floor(value / 2 ** 32);
  const low = value - high * 2 ** 32;
  bytes[pos] = low;
  bytes[pos + 1] = low >>> 8;
  bytes[pos + 2] = low >>> 16;
  bytes[pos + 3] = low >>> 24;
  bytes[pos + 4] = high;
  bytes[pos + 5] = high >>> 8;
  bytes[pos + 6] = high >>> 16;
  bytes[pos + 7] = 0;
}

/** The 8 bytes that encode a count up to 2^53. */
export function u64Bytes(value: number): Uint8Array {
  const bytes = new Uint8Array(8);
  putU64(bytes, 0, value);
  return bytes;
}

/** Reads a count: exact up to 2^53, beyond that inexact, but larger than any file. */
export function getU64(bytes: Uint8Array, pos: number): number {
  return getU32(bytes, pos) + getU32(bytes, pos + 4) * 2 ** 32;
}

/** The next multiple of `alignment` at or after `offset`. */
export function alignUp(offset: number, alignment: number): number {
  return Math.ceil(offset / alignment) * alignment;
}
