/**
 * Searches for an entry after a break in the chain of FRAME lengths.
 *
 * @module
 */

import { DEAD, ENTRY_HEAD_SIZE, ENTRY_TAIL_SIZE, entryEnd, getU64, isEntryTail, LIVE } from './layout.ts';
import type { ByteRequest } from './scan.ts';

/** The first chunk is small: in a file that is damaged in many places, the next entry is near. */
const FIRST_CHUNK = 4096;
const LARGEST_CHUNK = 2 ** 20;

/**
 * Finds the first entry at or after `from`: a valid head, and a valid tail where the head says it is.
 * @param dataFrom - in a file with holes, the first offset of data at or after a given one: no entry begins in a hole
 * @returns its file offset, or -1
 */
export function* findEntry(
  from: number,
  size: number,
  dataFrom: (offset: number) => number = (offset) => offset,
): Generator<ByteRequest, number, Uint8Array> {
  let chunk = FIRST_CHUNK;
  for (let start = dataFrom(from); start + ENTRY_HEAD_SIZE + ENTRY_TAIL_SIZE <= size; ) {
    const bytes: Uint8Array = yield { offset: start, length: Math.min(chunk, size - start) };
    chunk = Math.min(2 * chunk, LARGEST_CHUNK);
    const last = bytes.length - ENTRY_HEAD_SIZE;
    for (let pos = bytes.indexOf(0x95); pos >= 0 && pos <= last; pos = bytes.indexOf(0x95, pos + 1)) {
      if (yield* beginsEntry(bytes, pos, start + pos, size)) return start + pos;
    }
    if (bytes.length <= ENTRY_HEAD_SIZE) break;
    start = dataFrom(start + bytes.length - ENTRY_HEAD_SIZE + 1);
  }
  return -1;
}

/**
 * Whether an entry begins at file offset `offset`: a valid head, and a valid tail where the head says it is.
 * @param bytes - with the {@link ENTRY_HEAD_SIZE} bytes of the head at `pos`
 */
export function* beginsEntry(
  bytes: Uint8Array,
  pos: number,
  offset: number,
  size: number,
): Generator<ByteRequest, boolean, Uint8Array> {
  const frameLength = getU64(bytes, pos + 1);
  const end = entryEnd(offset, frameLength);
  if (bytes[pos] !== 0x95 || bytes[pos + 9] !== 0x8c || end > size) return false;
  if (frameLength < 2 + bytes[pos + 10]! + 1 + ENTRY_TAIL_SIZE) return false;
  const tail: Uint8Array = yield { offset: end - ENTRY_TAIL_SIZE, length: ENTRY_TAIL_SIZE };
  return tail.length === ENTRY_TAIL_SIZE && isEntryTail(tail, 0) && (tail[6] === LIVE || tail[6] === DEAD);
}

/**
 * Finds where the entry that begins at `from` ends: the first tail, followed by a FRAME or the end of the file. The entry is then
 * whole, even if its length says otherwise.
 * @param dataFrom - as for {@link findEntry}
 * @returns its file offset, or -1
 */
export function* findBorder(
  from: number,
  size: number,
  dataFrom: (offset: number) => number = (offset) => offset,
): Generator<ByteRequest, number, Uint8Array> {
  let chunk = FIRST_CHUNK;
  for (let start = dataFrom(from + ENTRY_HEAD_SIZE); start + ENTRY_TAIL_SIZE <= size; ) {
    const bytes: Uint8Array = yield { offset: start, length: Math.min(chunk, size - start) };
    chunk = Math.min(2 * chunk, LARGEST_CHUNK);
    const last = bytes.length - ENTRY_TAIL_SIZE;
    for (let pos = bytes.indexOf(0x4a); pos >= 0 && pos <= last; pos = bytes.indexOf(0x4a, pos + 1)) {
      const state = bytes[pos + 6];
      if (!isEntryTail(bytes, pos) || (state !== LIVE && state !== DEAD)) continue;
      const border = start + pos + ENTRY_TAIL_SIZE;
      if (border === size) return border;
      const next: Uint8Array = yield { offset: border, length: 1 };
      if (next[0] === 0x95) return border;
    }
    if (bytes.length <= ENTRY_TAIL_SIZE) break;
    start = dataFrom(start + bytes.length - ENTRY_TAIL_SIZE + 1);
  }
  return -1;
}
