/**
 * The tail index: a hash table from keys to entries, so that opening does not grow with the file.
 *
 * Payload: blocks of 512 bytes, then a footer of 64. A block holds a CRC-32C of its other bytes and its number (u32),
 * the count of its slots (u16), and slots of 12 bytes: hash of the key (u32), file offset of the entry (u64). A key is in block
 * `hash % blocks`, or in the following ones if that is full. The footer: CRC-32C of its other bytes (u32),
 * hash seed (u32), count of blocks (u32), commit number (i32), keys (u64), file size (u64), offset of the
 * first tail entry (u64), where the entry of an older index ends (u64), then the footer of all tail entries.
 *
 * An index that entries were appended behind stays where it is, and the next one has the keys that came since and refers to
 * it: so what is written at close grows with what was appended, not with what the file holds.
 *
 * The hash is HalfSipHash-1-3 with the seed as both halves of its key.
 *
 * Nothing is believed: an entry that a block points to proves itself by its key and state, and a block that points to none
 * by its CRC, before that counts as an answer.
 *
 * @module
 */

import { crc32c } from './checksum.ts';
import {
  DEAD,
  ENTRY_HEAD_SIZE,
  ENTRY_TAIL_SIZE,
  getI32,
  getU32,
  getU64,
  HEADER_SIZE,
  isEntryTail,
  putU32,
  putU64,
  TERMINATOR_SIZE,
} from './layout.ts';
import { putTailFooter, TAIL_FOOTER_SIZE, TAIL_PREFIX_SIZE, tailFooter, tailKindOf } from './tail-entry.ts';

export const INDEX_BLOCK_SIZE = 512;
export const INDEX_FOOTER_SIZE = 64;
/** Bytes of what an index's entry ends with: its footer, and its tail. */
export const INDEX_ENDING: number = INDEX_FOOTER_SIZE + ENTRY_TAIL_SIZE;
const SLOT_SIZE = 12;
const BLOCK_HEAD = 8;
const SLOTS = Math.floor((INDEX_BLOCK_SIZE - BLOCK_HEAD) / SLOT_SIZE);
/** Slots taken of those there are, when a table is made. */
const LOAD = 0.7;

/** What an index's footer says. */
export interface IndexFooter {
  /** As a signed integer: 2^31 or more would be a double to V8, and all rounds of the hash of doubles. */
  readonly seed: number;
  readonly blocks: number;
  readonly commitNumber: number;
  /** Slots in use, those of older indexes too. */
  readonly keys: number;
  /** As it was when the index was its last entry: tells where that ends, too. */
  readonly fileSize: number;
  /** File offset of the first tail entry: all entries of the dict stand before. */
  readonly end: number;
  /** File offset behind the entry of an older index, which has the keys that this one has not; 0 for none. */
  readonly older: number;
}

export { hashKey } from './hash.ts';

/** Blocks for a number of keys. */
export function indexBlocks(keys: number): number {
  return Math.max(1, Math.ceil(keys / (SLOTS * LOAD)));
}

/** The first block in which a key of that hash may stand. As integers, the result too: a remainder of doubles takes V8 40 cycles. */
export function indexBlock(hash: number, blocks: number): number {
  return ((hash >>> 0) % (blocks >>> 0)) >>> 0;
}

/** Bytes of a payload. */
export function indexPayloadSize(blocks: number): number {
  return blocks * INDEX_BLOCK_SIZE + INDEX_FOOTER_SIZE;
}

/** Builds a table: add every key that it was made for, then finish. */
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

  /** Returns false where there is no room: more keys than it was made for. */
  add(hash: number, offset: number): boolean {
    const { payload } = this;
    if (this.#keys >= this.#blocks * SLOTS) return false;
    for (let block = indexBlock(hash, this.#blocks); ; block = block + 1 === this.#blocks ? 0 : block + 1) {
      const start = block * INDEX_BLOCK_SIZE;
      const count = payload[start + 4]!;
      if (count === SLOTS) continue;
      const pos = start + BLOCK_HEAD + count * SLOT_SIZE;
      // Every key comes by here: fewer calls than putU32 and putU64, in code that is seldom compiled.
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

  /** @param footer - `keys` are those of older indexes */
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

/** Writes the last 64 bytes of a payload of which they are the end. */
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

/** Reads the 64 bytes of a footer; `undefined` where they are none, or torn. */
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
 * Reads what an index's entry ends with.
 * @param bytes - its last {@link INDEX_ENDING} bytes, or more behind them
 * @param end - file offset behind the entry
 * @returns its footer and file offset; `undefined` where no index ends there
 */
export function decodeIndexEnding(
  bytes: Uint8Array,
  end: number,
): { readonly footer: IndexFooter; readonly entry: number } | undefined {
  if (!isEntryTail(bytes, INDEX_FOOTER_SIZE) || bytes[INDEX_FOOTER_SIZE + 6] !== DEAD) return undefined;
  if (tailFooter(bytes, INDEX_FOOTER_SIZE - TAIL_FOOTER_SIZE)?.kind !== 'index') return undefined;
  const footer = decodeIndexFooter(bytes.subarray(0, INDEX_FOOTER_SIZE));
  // The size that it was made for tells that it stands where it was written.
  if (footer === undefined || footer.fileSize !== end + TERMINATOR_SIZE) return undefined;
  const entry = end - ENTRY_TAIL_SIZE - indexPayloadSize(footer.blocks) - TAIL_PREFIX_SIZE;
  if (entry < footer.end || footer.end < HEADER_SIZE || footer.older > footer.end) return undefined;
  return { footer, entry };
}

/** Whether an index's entry begins with these {@link TAIL_PREFIX_SIZE} bytes; lengths that only a walk asks for may be wrong. */
export function isIndexHead(head: Uint8Array, { blocks }: IndexFooter): boolean {
  if (head[0] !== 0x95 || getU64(head, TAIL_PREFIX_SIZE - 8) !== indexPayloadSize(blocks)) return false;
  return tailKindOf(head, ENTRY_HEAD_SIZE, head[10]!) === 'index';
}

/** Whether a block proves itself. */
export function isBlock(bytes: Uint8Array, number: number): boolean {
  return bytes.length === INDEX_BLOCK_SIZE && blockChecksum(bytes, number) === getU32(bytes, 0);
}

/** Whether keys of a block may stand in the next one. */
export function isBlockFull(bytes: Uint8Array): boolean {
  return bytes[4]! >= SLOTS;
}

/**
 * The next slot of a block with a hash.
 * @param slot - where to begin: the number of a slot
 * @returns its number, or -1
 */
export function findSlot(bytes: Uint8Array, hash: number, slot: number): number {
  const count = Math.min(bytes[4]!, SLOTS);
  for (let i = slot, pos = BLOCK_HEAD + slot * SLOT_SIZE; i < count; i++, pos += SLOT_SIZE) {
    if (getU32(bytes, pos) === hash) return i;
  }
  return -1;
}

/** File offset of the entry that a slot stands for. */
export function slotOffset(bytes: Uint8Array, slot: number): number {
  return getU64(bytes, BLOCK_HEAD + slot * SLOT_SIZE + 4);
}

/** All slots of a table in memory: `visit(hash, offset)`. Returns false where a block is torn. */
export function eachSlot(
  footer: IndexFooter,
  blocks: Uint8Array,
  visit: (hash: number, offset: number) => void,
): boolean {
  for (let number = 0; number < footer.blocks; number++) {
    const bytes = blocks.subarray(number * INDEX_BLOCK_SIZE, (number + 1) * INDEX_BLOCK_SIZE);
    if (!isBlock(bytes, number)) return false;
    for (let i = 0, pos = BLOCK_HEAD; i < bytes[4]!; i++, pos += SLOT_SIZE)
      visit(getU32(bytes, pos), getU64(bytes, pos + 4));
  }
  return true;
}
