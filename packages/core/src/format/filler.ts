/**
 * Dead entries that only take up room.
 *
 * @module
 */

import {
  DEAD,
  ENTRY_HEAD_SIZE,
  ENTRY_TAIL_SIZE,
  FRAME_SIZE,
  putEntryHead,
  putEntryTail,
  putU32,
  putU64,
} from './layout.ts';

/**
 * A dead entry of exactly `size` bytes.
 *
 * @param size - at least 20 + `keyLength`
 * @param memoHint - the memo hint in the entry's tail
 */
export function encodeFiller(size: number, keyLength: number, memoHint: number): Uint8Array {
  const bytes = new Uint8Array(size);
  const pos = putEntryHead(bytes, 0, size - FRAME_SIZE, keyLength);
  bytes.fill(0x20, pos, pos + keyLength);
  putOpaque(bytes, pos + keyLength, size - ENTRY_HEAD_SIZE - keyLength - ENTRY_TAIL_SIZE);
  putEntryTail(bytes, size - ENTRY_TAIL_SIZE, memoHint, DEAD);
  return bytes;
}

/** The first of `count` (at least 1) bytes, which make all of them one object, whatever the others are. */
export function opaqueHead(count: number): Uint8Array {
  const bytes = new Uint8Array(9);
  putOpaque(bytes, 0, count);
  return bytes.subarray(0, count === 1 ? 1 : count <= 257 ? 2 : count < 2 ** 32 ? 5 : 9);
}

/** Opcodes of exactly `count` (at least 1) bytes that push one object. */
function putOpaque(bytes: Uint8Array, pos: number, count: number): void {
  if (count === 1) bytes[pos] = 0x4e;
  else if (count <= 257) {
    bytes[pos] = 0x43;
    bytes[pos + 1] = count - 2;
  } else if (count < 2 ** 32) {
    bytes[pos] = 0x42;
    putU32(bytes, pos + 1, count - 5);
  } else {
    bytes[pos] = 0x8e;
    putU64(bytes, pos + 1, count - 9);
  }
}
