/**
 * The tail index: a hash table from keys to entries, so that the time to open does not grow with the file.
 *
 * Payload: blocks of 512 bytes, then a footer of 64. A block holds a CRC-32C of its other bytes, XORed with its number (u32), the
 * count of slots in use (u8), three zeros, and slots of 12 bytes: hash of the key (u32), file offset of the entry (u64). A key is in
 * block `hash % blocks`, or in the following ones if that is full. The footer: CRC-32C of its other bytes (u32),
 * hash seed (u32), count of blocks (u32), commit number (i32), keys (u64), file size (u64), offset of the
 * first tail entry (u64), where the entry of an older index ends (u64), then the footer of all tail entries.
 *
 * If entries were appended after an index, it stays in place, and the next one has the keys added since and refers to
 * it: so what is written at close grows with what was appended, not with what the file holds.
 *
 * The hash is HalfSipHash-1-3 with the seed as both halves of its key.
 *
 * Nothing is trusted: an entry that a block points to is confirmed by its key and state, and a block that points to none
 * by its CRC, before that counts as an answer.
 *
 * @module
 */

import { crc32c } from './checksum.ts';
import { beginsEntry } from './find-entry.ts';
import {
  DEAD,
  ENTRY_HEAD_SIZE,
  ENTRY_TAIL_SIZE,
  entryEnd,
  FRAME_SIZE,
  getI32,
  getU32,
  getU64,
  HEADER_SIZE,
  isEntryTail,
  putU32,
  putU64,
  TERMINATOR_SIZE,
} from './layout.ts';
import type { ByteRequest } from './scan.ts';
import { putTailFooter, TAIL_FOOTER_SIZE, TAIL_PREFIX_SIZE, tailFooter, tailKindOf } from './tail-entry.ts';

export const INDEX_BLOCK_SIZE = 512;
export const INDEX_FOOTER_SIZE = 64;
/** Size of the end of an index's entry: its footer and its tail. */
export const INDEX_ENDING: number = INDEX_FOOTER_SIZE + ENTRY_TAIL_SIZE;
/** Most indexes that may refer to each other: this library writes a dozen where there are 2^30 keys. */
export const INDEX_DEPTH_MAX = 64;
const SLOT_SIZE = 12;
const BLOCK_HEAD = 8;
const SLOTS = Math.floor((INDEX_BLOCK_SIZE - BLOCK_HEAD) / SLOT_SIZE);
/** Fraction of the slots in use in a new table. */
const LOAD = 0.7;
/**
 * Most blocks that are looked at for one key. At the load above the longest probe is 6 blocks in 200 tables of 1e5 keys, and 54 if each key
 * has 16 slots, those of its former entries too; a table in which it is longer may have been made to be read whole.
 */
export const PROBES_MAX = 128;

/** The footer of an index. */
export interface IndexFooter {
  /** A signed integer: V8 would make 2^31 or more a double, and compute all rounds of the hash with doubles. */
  readonly seed: number;
  readonly blocks: number;
  readonly commitNumber: number;
  /** Slots in use, those of older indexes too. */
  readonly keys: number;
  /** Size of the file when the index was its last entry; so it also tells where the index ends. */
  readonly fileSize: number;
  /** File offset of the first tail entry: all entries of the dict come before it. */
  readonly end: number;
  /** File offset of the end of an older index's entry, which has the keys that this one lacks; 0 for none. */
  readonly older: number;
}

export { hashKey } from './hash.ts';

/** Number of blocks for a number of keys. */
export function indexBlocks(keys: number): number {
  return Math.max(1, Math.ceil(keys / (SLOTS * LOAD)));
}

/** The first block that may hold a key of that hash. All in integers, even the result: a remainder of doubles takes V8 40 cycles. */
export function indexBlock(hash: number, blocks: number): number {
  return ((hash >>> 0) % (blocks >>> 0)) >>> 0;
}

/** Size of a payload in bytes. */
export function indexPayloadSize(blocks: number): number {
  return blocks * INDEX_BLOCK_SIZE + INDEX_FOOTER_SIZE;
}

/** Builds a table: add the keys, as many as it was made for, then finish. */
export class IndexBuilder {
  readonly payload: Uint8Array;
  readonly #view: DataView;
  readonly #blocks: number;
  #keys = 0;

  constructor(keys: number) {
    this.#blocks = indexBlocks(keys);
    this.payload = new Uint8Array(indexPayloadSize(this.#blocks));
    this.#view = new DataView(this.payload.buffer);
  }

  /** Adds a key; returns false if there is no room, with more keys than the table was made for. */
  add(hash: number, offset: number): boolean {
    const { payload } = this;
    if (this.#keys >= this.#blocks * SLOTS) return false;
    for (let block = indexBlock(hash, this.#blocks); ; block = block + 1 === this.#blocks ? 0 : block + 1) {
      const start = block * INDEX_BLOCK_SIZE;
      const count = payload[start + 4]!;
      if (count === SLOTS) continue;
      const pos = start + BLOCK_HEAD + count * SLOT_SIZE;
      // Runs for every key: fewer calls than putU32 and putU64, in code that is seldom compiled.
      const view = this.#view;
      view.setUint32(pos, hash, true);
      // Modulo 2^32, without a remainder of doubles.
      view.setUint32(pos + 4, offset, true);
      view.setUint32(pos + 8, offset / 2 ** 32, true);
      payload[start + 4] = count + 1;
      this.#keys++;
      return true;
    }
  }

  /** @param footer - `keys` counts those of older indexes only */
  finish(footer: Omit<IndexFooter, 'blocks'>): Uint8Array {
    const { payload } = this;
    for (let block = 0; block < this.#blocks; block++) {
      const start = block * INDEX_BLOCK_SIZE;
      putU32(payload, start, blockChecksum(payload.subarray(start, start + INDEX_BLOCK_SIZE), block));
    }
    putIndexFooter(payload, { ...footer, blocks: this.#blocks, keys: footer.keys + this.#keys });
    return payload;
  }
}

/** Writes the footer into the last 64 bytes of a payload, or of its end. */
export function putIndexFooter(payload: Uint8Array, footer: IndexFooter): void {
  const start = payload.length - INDEX_FOOTER_SIZE;
  putU32(payload, start + 4, footer.seed);
  putU32(payload, start + 8, footer.blocks);
  putU32(payload, start + 12, footer.commitNumber);
  putU64(payload, start + 16, footer.keys);
  putU64(payload, start + 24, footer.fileSize);
  putU64(payload, start + 32, footer.end);
  putU64(payload, start + 40, footer.older);
  putTailFooter('index', payload, indexPayloadSize(footer.blocks));
  putU32(payload, start, crc32c(payload.subarray(start + 4)));
}

function blockChecksum(block: Uint8Array, number: number): number {
  return (crc32c(block, 0, 4) ^ number) >>> 0;
}

/** Decodes the 64 bytes of a footer; `undefined` if they are not one, or torn. */
export function decodeIndexFooter(bytes: Uint8Array): IndexFooter | undefined {
  if (bytes.length !== INDEX_FOOTER_SIZE || crc32c(bytes, 0, 4) !== getU32(bytes, 0)) return undefined;
  return {
    seed: getI32(bytes, 4),
    blocks: getU32(bytes, 8),
    commitNumber: getI32(bytes, 12),
    keys: getU64(bytes, 16),
    fileSize: getU64(bytes, 24),
    end: getU64(bytes, 32),
    older: getU64(bytes, 40),
  };
}

/**
 * Decodes the end of an index's entry.
 * @param bytes - its last {@link INDEX_ENDING} bytes, and any number after them
 * @param end - file offset of the end of the entry
 * @returns its footer and file offset; `undefined` if no index ends there
 */
export function decodeIndexEnding(
  bytes: Uint8Array,
  end: number,
): { readonly footer: IndexFooter; readonly entry: number } | undefined {
  if (!isEntryTail(bytes, INDEX_FOOTER_SIZE) || bytes[INDEX_FOOTER_SIZE + 6] !== DEAD) return undefined;
  if (tailFooter(bytes, INDEX_FOOTER_SIZE - TAIL_FOOTER_SIZE)?.kind !== 'index') return undefined;
  const footer = decodeIndexFooter(bytes.subarray(0, INDEX_FOOTER_SIZE));
  // The file size that it was made for shows that it is where it was written.
  if (footer === undefined || footer.fileSize !== end + TERMINATOR_SIZE) return undefined;
  const entry = end - ENTRY_TAIL_SIZE - indexPayloadSize(footer.blocks) - TAIL_PREFIX_SIZE;
  if (entry < footer.end || footer.end < HEADER_SIZE || footer.older > footer.end) return undefined;
  return { footer, entry };
}

/** Whether an index's entry begins with these {@link TAIL_PREFIX_SIZE} bytes; the FRAME length, for walks only, is not checked. */
export function isIndexHead(head: Uint8Array, { blocks }: IndexFooter): boolean {
  if (head[0] !== 0x95 || getU64(head, TAIL_PREFIX_SIZE - 8) !== indexPayloadSize(blocks)) return false;
  return tailKindOf(head, ENTRY_HEAD_SIZE, head[10]!) === 'index';
}

/**
 * Whether an entry that is not of the tail begins at an index's `end`. Then the index was never committed: its writer failed, or was
 * killed, when checksums and index stood behind the terminator, and others have appended over what came first.
 * @param entry - file offset of the index's own entry
 * @param size - of the file
 */
export function* isOvertaken(
  { end }: IndexFooter,
  entry: number,
  size: number,
): Generator<ByteRequest, boolean, Uint8Array> {
  if (end === entry) return false;
  const head: Uint8Array = yield { offset: end, length: TAIL_PREFIX_SIZE };
  if (head.length < ENTRY_HEAD_SIZE || tailKindOf(head, ENTRY_HEAD_SIZE, head[10]!) !== undefined) return false;
  const next = entryEnd(end, getU64(head, 1));
  if (!(yield* beginsEntry(head, 0, end, size))) return false;
  if (next !== entry) return true;
  // Checksums with a damaged key, or an entry of just their length: then a terminator follows, where the index began.
  const frame: Uint8Array = yield { offset: entry, length: FRAME_SIZE };
  return frame.length < FRAME_SIZE || entryEnd(entry, getU64(frame, 1)) + TERMINATOR_SIZE !== size;
}

/** Whether a block has its checksum. */
export function isBlock(bytes: Uint8Array, number: number): boolean {
  return bytes.length === INDEX_BLOCK_SIZE && blockChecksum(bytes, number) === getU32(bytes, 0);
}

/** Whether a block is full: its keys may continue in the next one. */
export function isBlockFull(bytes: Uint8Array): boolean {
  return bytes[4]! >= SLOTS;
}

/**
 * Finds the next slot of a block that has a hash.
 * @param slot - number of the slot to begin at
 * @returns its number, or -1
 */
export function findSlot(bytes: Uint8Array, hash: number, slot: number): number {
  const count = Math.min(bytes[4]!, SLOTS);
  for (let i = slot, pos = BLOCK_HEAD + slot * SLOT_SIZE; i < count; i++, pos += SLOT_SIZE) {
    if (getU32(bytes, pos) === hash) return i;
  }
  return -1;
}

/** File offset of the entry that a slot refers to. */
export function slotOffset(bytes: Uint8Array, slot: number): number {
  return getU64(bytes, BLOCK_HEAD + slot * SLOT_SIZE + 4);
}

/** Calls `visit(hash, offset)` for all slots of a table in memory. Returns false if a block is torn. */
export function eachSlot(
  footer: IndexFooter,
  blocks: Uint8Array,
  visit: (hash: number, offset: number) => void,
): boolean {
  for (let number = 0; number < footer.blocks; number++) {
    const bytes = blocks.subarray(number * INDEX_BLOCK_SIZE, (number + 1) * INDEX_BLOCK_SIZE);
    if (!isBlock(bytes, number)) return false;
    const used = Math.min(bytes[4]!, SLOTS);
    for (let i = 0, pos = BLOCK_HEAD; i < used; i++, pos += SLOT_SIZE)
      visit(getU32(bytes, pos), getU64(bytes, pos + 4));
  }
  return true;
}
