/**
 * A tail index in use: finds entries by key without a walk.
 *
 * @module
 */

import { encodeUtf8Into } from '../bytes/index.ts';
import {
  DEAD,
  ENTRY_HEAD_SIZE,
  ENTRY_TAIL_SIZE,
  FRAME_SIZE,
  getI32,
  getU64,
  isEntryTail,
  isTerminator,
  KEY_MAX,
  LIVE,
  TERMINATOR_SIZE,
} from '../format/layout.ts';
import { TAIL_FOOTER_SIZE, TAIL_PREFIX_SIZE, tailFooter, tailKindOf } from '../format/tail-entry.ts';
import {
  decodeIndexFooter,
  eachSlot,
  findSlot,
  hashKey,
  INDEX_BLOCK_SIZE,
  INDEX_FOOTER_SIZE,
  type IndexFooter,
  indexPayloadSize,
  isBlock,
  isBlockFull,
  slotOffset,
} from '../format/tail-index.ts';
import type { StorageFile } from '../storage/storage-file.ts';
import type { EntryPlace } from './catalog.ts';

/** The file that an index stands in: the one that the dict has open. */
export interface IndexedFile {
  readonly file: StorageFile;
}

const TAIL_SIZE = INDEX_FOOTER_SIZE + ENTRY_TAIL_SIZE + TERMINATOR_SIZE;
/** Bytes that a look at an entry reads: a small one is whole then. */
const ENTRY_WINDOW = 1024;
/** Blocks that are taken into memory for lookups alone: 8 MiB, an index of half a million keys. */
const KEPT_BLOCKS = 16_384;
/** A key's UTF-8 while it is encoded; then a block; then an entry. */
const BLOCK_AT = 3 * 256;
const ENTRY_AT = BLOCK_AT + INDEX_BLOCK_SIZE;

/** The index of a file, in the file or (before it is dropped) in memory. */
export class BaseIndex {
  readonly footer: IndexFooter;
  /** File offset of the tail entry that holds it, and that entry's first bytes. */
  readonly entry: number;
  readonly head: Uint8Array;
  /** What the tail entry says of the memo. */
  readonly memoHint: number;
  readonly #in: IndexedFile;
  #blocks: Uint8Array | undefined;
  #scratch: Scratch | undefined;
  #lookups = 0;
  /** How many bytes of `window` the last look at an entry filled. */
  windowLength = 0;

  private constructor(footer: IndexFooter, entry: number, head: Uint8Array, memoHint: number, file: IndexedFile) {
    this.footer = footer;
    this.entry = entry;
    this.head = head;
    this.memoHint = memoHint;
    this.#in = file;
  }

  /**
   * The index at the end of a file; `undefined` where there is none that was made for this very state. Should the file
   * change meanwhile, the next look notices, and until then the index proves itself key by key.
   * @param size - of the file
   * @param commitNumber - as the header says
   */
  static of(indexed: IndexedFile, size: number, commitNumber: number): BaseIndex | undefined {
    const { file } = indexed;
    if (size < TAIL_SIZE + TAIL_PREFIX_SIZE) return undefined;
    const tail = new Uint8Array(TAIL_SIZE);
    if (file.read(size - TAIL_SIZE, tail) !== TAIL_SIZE) return undefined;
    const state = INDEX_FOOTER_SIZE + 6;
    if (!isTerminator(tail, TAIL_SIZE - TERMINATOR_SIZE)) return undefined;
    if (!isEntryTail(tail, INDEX_FOOTER_SIZE) || tail[state] !== DEAD) return undefined;
    if (tailFooter(tail, INDEX_FOOTER_SIZE - TAIL_FOOTER_SIZE)?.kind !== 'index') return undefined;
    const footer = decodeIndexFooter(tail.subarray(0, INDEX_FOOTER_SIZE));
    if (footer === undefined || footer.fileSize !== size || footer.commitNumber !== commitNumber) return undefined;
    const payload = indexPayloadSize(footer.blocks);
    const entry = size - TERMINATOR_SIZE - ENTRY_TAIL_SIZE - payload - TAIL_PREFIX_SIZE;
    if (entry < footer.end || footer.end < 24) return undefined;
    const head = new Uint8Array(TAIL_PREFIX_SIZE);
    file.read(entry, head);
    if (head[0] !== 0x95 || getU64(head, TAIL_PREFIX_SIZE - 8) !== payload) return undefined;
    if (tailKindOf(head, ENTRY_HEAD_SIZE, head[10]!) !== 'index') return undefined;
    return new BaseIndex(footer, entry, head, getI32(tail, INDEX_FOOTER_SIZE + 1), indexed);
  }

  /** Whether the blocks are in memory. */
  get kept(): boolean {
    return this.#blocks !== undefined;
  }

  /** Takes the blocks into memory: the file's are about to be overwritten. False where the file lost them. */
  keep(): boolean {
    const size = this.footer.blocks * INDEX_BLOCK_SIZE;
    if (this.#blocks === undefined) {
      const blocks = new Uint8Array(size);
      const count = this.#in.file.read(this.entry + TAIL_PREFIX_SIZE, blocks);
      this.#blocks = count === size ? blocks : blocks.subarray(0, count);
    }
    return this.#blocks.length === size;
  }

  /** Lets go of the blocks: the file is closed. */
  forget(): void {
    this.#blocks = undefined;
  }

  /** The first bytes of the entry that {@link BaseIndex.find} gave last; overwritten by the next call. */
  get window(): Uint8Array {
    return this.#scratch!.entry;
  }

  /** The live entry with the key; `'torn'` where the index cannot tell. */
  find(key: string): EntryPlace | undefined | 'torn' {
    if (key.length > KEY_MAX) return undefined;
    const { bytes } = (this.#scratch ??= new Scratch());
    const length = encodeUtf8Into(key, bytes, 0);
    if (length > KEY_MAX) return undefined;
    const { blocks, seed } = this.footer;
    const hash = hashKey(bytes, 0, length, seed);
    let number = hash % blocks;
    for (let probes = 0; probes < blocks; probes++) {
      const block = this.#block(number);
      if (block === undefined) return 'torn';
      for (let slot = findSlot(block, hash, 0); slot >= 0; slot = findSlot(block, hash, slot + 1)) {
        const place = this.#entryAt(slotOffset(block, slot), length);
        if (place !== undefined) return place;
      }
      // What was found has proved itself, at a tenth of the price of the block's own proof.
      if (!isBlock(block, number)) return 'torn';
      if (!isBlockFull(block)) return undefined;
      number = number + 1 === blocks ? 0 : number + 1;
    }
    return undefined;
  }

  /** The 512 bytes of a block; after as many lookups as there are blocks they all are in memory. */
  #block(number: number): Uint8Array | undefined {
    const start = number * INDEX_BLOCK_SIZE;
    if (this.#blocks === undefined && this.footer.blocks <= KEPT_BLOCKS && ++this.#lookups > this.footer.blocks) {
      this.keep();
    }
    if (this.#blocks !== undefined) {
      const block = this.#blocks.subarray(start, start + INDEX_BLOCK_SIZE);
      return block.length === INDEX_BLOCK_SIZE ? block : undefined;
    }
    const { block } = this.#scratch!;
    const count = this.#in.file.read(this.entry + TAIL_PREFIX_SIZE + start, block);
    return count === INDEX_BLOCK_SIZE ? block : undefined;
  }

  /** The entry at `offset` if it is live and has the key of `length` bytes in the scratch buffer. */
  #entryAt(offset: number, length: number): EntryPlace | undefined | 'torn' {
    const { bytes, entry: head } = this.#scratch!;
    const { file } = this.#in;
    // The block has not proved itself yet: the offset may be any.
    if (!(offset < this.footer.end)) return 'torn';
    const count = file.read(offset, head);
    if (count < ENTRY_HEAD_SIZE || head[0] !== 0x95 || head[9] !== 0x8c) return 'torn';
    if (head[10] !== length || count < ENTRY_HEAD_SIZE + length) return undefined;
    for (let i = 0; i < length; i++) if (head[ENTRY_HEAD_SIZE + i] !== bytes[i]) return undefined;
    const frameLength = getU64(head, 1);
    const end = FRAME_SIZE + frameLength;
    if (offset + end > this.footer.end) return 'torn';
    let tail = head;
    let at = end - ENTRY_TAIL_SIZE;
    if (end > count) {
      tail = new Uint8Array(ENTRY_TAIL_SIZE);
      if (file.read(offset + at, tail) !== ENTRY_TAIL_SIZE) return 'torn';
      at = 0;
    }
    if (!isEntryTail(tail, at)) return 'torn';
    this.windowLength = count;
    return tail[at + 6] === LIVE ? { offset, frameLength, keyLength: length } : undefined;
  }

  /** All slots: `visit(hash, offset)`. False where the index is torn. */
  each(visit: (hash: number, offset: number) => void): boolean {
    return this.keep() && eachSlot(this.footer, this.#blocks!, visit);
  }
}

/** Buffers of looking up: one allocation for the first key, none for the next. */
class Scratch {
  readonly bytes = new Uint8Array(ENTRY_AT + ENTRY_WINDOW);
  readonly block: Uint8Array = this.bytes.subarray(BLOCK_AT, ENTRY_AT);
  readonly entry: Uint8Array = this.bytes.subarray(ENTRY_AT);
}
