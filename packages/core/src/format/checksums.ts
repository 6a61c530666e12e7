/**
 * The integrity entry: a tail entry with CRC-32C sums of live entries, in blocks of 1 MiB.
 *
 * Payload: CRC-32C of what follows up to the footer (u32), commit number (i32), count of entries (u32), zeros (u32);
 * then for each live entry its file offset (u64), its FRAME length (u64) and a CRC-32C (u32) for each started MiB of the
 * entry without its last two bytes; then the footer of all tail entries.
 *
 * @module
 */

import { crc32c } from './checksum.ts';
import { FRAME_SIZE, getI32, getU32, getU64, putU32, putU64 } from './layout.ts';
import { putTailFooter, TAIL_FOOTER_SIZE } from './tail-entry.ts';

export const CHECKSUM_BLOCK: number = 2 ** 20;
const HEAD = 16;

/** The sums of one entry. */
export interface EntrySums {
  readonly offset: number;
  readonly frameLength: number;
  readonly sums: readonly number[];
}

/** Number of bytes of an entry that its sums cover: all but the last two, the state and its POP. */
export function summedLength(frameLength: number): number {
  return FRAME_SIZE + frameLength - 2;
}

/** The sum of each block of an entry. */
export function sumEntry(
  offset: number,
  frameLength: number,
  read: (offset: number, length: number) => Uint8Array,
): number[] {
  const sums: number[] = [];
  const length = summedLength(frameLength);
  for (let pos = 0; pos < length; pos += CHECKSUM_BLOCK) {
    sums.push(crc32c(read(offset + pos, Math.min(CHECKSUM_BLOCK, length - pos))));
  }
  return sums;
}

/** The payload of an integrity entry. */
export function encodeChecksums(commitNumber: number, entries: readonly EntrySums[]): Uint8Array {
  const end = entries.reduce((sum, { sums }) => sum + 16 + 4 * sums.length, HEAD);
  const payload = new Uint8Array(end + TAIL_FOOTER_SIZE);
  putU32(payload, 4, commitNumber);
  putU32(payload, 8, entries.length);
  let pos = HEAD;
  for (const { offset, frameLength, sums } of entries) {
    putU64(payload, pos, offset);
    putU64(payload, pos + 8, frameLength);
    pos += 16;
    for (const sum of sums) {
      putU32(payload, pos, sum);
      pos += 4;
    }
  }
  putU32(payload, 0, crc32c(payload.subarray(4, end)));
  putTailFooter('checksums', payload);
  return payload;
}

/** The sums of all entries that were live at a seal. */
export interface Checksums {
  readonly commitNumber: number;
  readonly count: number;
  /** Decoded as they are taken: there may be millions. */
  readonly entries: Iterable<EntrySums>;
}

/** Decodes a payload, which is borrowed; `undefined` if it is damaged itself. */
export function decodeChecksums(payload: Uint8Array): Checksums | undefined {
  const end = payload.length - TAIL_FOOTER_SIZE;
  if (end < HEAD || crc32c(payload.subarray(4, end)) !== getU32(payload, 0)) return undefined;
  const count = getU32(payload, 8);
  let pos = HEAD;
  for (let i = 0; i < count; i++) {
    if (pos + 16 > end) return undefined;
    pos += 16 + 4 * sumCount(getU64(payload, pos + 8));
    if (pos > end) return undefined;
  }
  const entries = { [Symbol.iterator]: () => entriesOf(payload, count) };
  return pos === end ? { commitNumber: getI32(payload, 4), count, entries } : undefined;
}

function* entriesOf(payload: Uint8Array, count: number): Generator<EntrySums> {
  for (let i = 0, pos = HEAD; i < count; i++) {
    const offset = getU64(payload, pos);
    const frameLength = getU64(payload, pos + 8);
    pos += 16;
    const sums: number[] = [];
    for (let left = sumCount(frameLength); left > 0; left--, pos += 4) sums.push(getU32(payload, pos));
    yield { offset, frameLength, sums };
  }
}

/** How many sums an entry has. */
function sumCount(frameLength: number): number {
  return Math.ceil(summedLength(frameLength) / CHECKSUM_BLOCK);
}
