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
  getU64,
  isEntryTail,
  KEY_MAX,
  LIVE,
} from '../format/layout.ts';
import {
  findSlot,
  hashKey,
  INDEX_BLOCK_SIZE,
  indexBlock,
  isBlock,
  isBlockFull,
  slotOffset,
} from '../format/tail-index.ts';
import type { StorageFile } from '../storage/storage-file.ts';
import type { EntryPlace } from './catalog.ts';
import { IndexTable } from './index-table.ts';

/** Bytes that a look at an entry reads: a small one is whole then. */
const ENTRY_WINDOW = 1024;
/** A key's UTF-8 while it is encoded; then a block; then an entry. */
const BLOCK_AT = 3 * 256;
const ENTRY_AT = BLOCK_AT + INDEX_BLOCK_SIZE;

/** The index of a file: its newest table, in the file or (before it is dropped) in memory, and those that it refers to. */
export class BaseIndex {
  readonly newest: IndexTable;
  readonly #file: StorageFile;
  #scratch: Scratch | undefined;
  /** How many bytes of `window` the last look at an entry filled. */
  windowLength = 0;

  private constructor(newest: IndexTable, file: StorageFile) {
    this.newest = newest;
    this.#file = file;
  }

  /**
   * The index at the end of a file; `undefined` where there is none that was made for this very state. Should the file
   * change meanwhile, the next look notices, and until then the index proves itself key by key.
   * @param size - of the file
   * @param commitNumber - as the header says
   */
  static of(file: StorageFile, size: number, commitNumber: number): BaseIndex | undefined {
    const table = IndexTable.last(file, size);
    return table?.footer.commitNumber === commitNumber ? new BaseIndex(table, file) : undefined;
  }

  /** File offset that all entries which it knows stand before. */
  get end(): number {
    return this.newest.footer.end;
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
    const hash = hashKey(bytes, 0, length, this.newest.footer.seed);
    let table: IndexTable | undefined | 'torn' = this.newest;
    while (table !== undefined) {
      if (table === 'torn') return 'torn';
      const place = this.#findIn(table, hash, length);
      if (place !== undefined) return place;
      table = table.older();
    }
    return undefined;
  }

  #findIn(table: IndexTable, hash: number, length: number): EntryPlace | undefined | 'torn' {
    const { blocks, end } = table.footer;
    let number = indexBlock(hash, blocks);
    for (let probes = 0; probes < blocks; probes++) {
      const block = table.block(number, this.#scratch!.block);
      if (block === undefined) return 'torn';
      for (let slot = findSlot(block, hash, 0); slot >= 0; slot = findSlot(block, hash, slot + 1)) {
        const place = this.#entryAt(slotOffset(block, slot), length, hash, end);
        if (place !== undefined) return place;
      }
      // What was found has proved itself, at a tenth of the price of the block's own proof.
      if (!isBlock(block, number)) return 'torn';
      if (!isBlockFull(block)) return undefined;
      number = number + 1 === blocks ? 0 : number + 1;
    }
    return undefined;
  }

  /** Lets go of what it holds: the file is closed. */
  forget(): void {
    this.newest.forget();
  }

  /**
   * The entry at `offset` if it is live and has the key of `length` bytes in the scratch buffer.
   * @param limit - file offset before which entries of the table end
   */
  #entryAt(offset: number, length: number, hash: number, limit: number): EntryPlace | undefined | 'torn' {
    const { bytes, entry: head } = this.#scratch!;
    const file = this.#file;
    // The block has not proved itself yet: the offset may be any.
    if (!(offset < limit)) return 'torn';
    const count = file.read(offset, head);
    if (count < ENTRY_HEAD_SIZE || head[0] !== 0x95 || head[9] !== 0x8c) return 'torn';
    const keyLength = head[10]!;
    if (count < ENTRY_HEAD_SIZE + keyLength) return 'torn';
    let same = keyLength === length;
    for (let i = 0; same && i < length; i++) same = head[ENTRY_HEAD_SIZE + i] === bytes[i];
    // Another key of the same hash; else the entry's key is not what it was.
    if (!same) {
      const { seed } = this.newest.footer;
      return hashKey(head, ENTRY_HEAD_SIZE, ENTRY_HEAD_SIZE + keyLength, seed) === hash ? undefined : 'torn';
    }
    const frameLength = getU64(head, 1);
    const end = FRAME_SIZE + frameLength;
    if (offset + end > limit) return 'torn';
    let tail = head;
    let at = end - ENTRY_TAIL_SIZE;
    if (end > count) {
      tail = new Uint8Array(ENTRY_TAIL_SIZE);
      if (file.read(offset + at, tail) !== ENTRY_TAIL_SIZE) return 'torn';
      at = 0;
    }
    const state = tail[at + 6];
    if (!isEntryTail(tail, at) || (state !== LIVE && state !== DEAD)) return 'torn';
    this.windowLength = count;
    return state === LIVE ? { offset, frameLength, keyLength: length } : undefined;
  }
}

/** Buffers of looking up: one allocation for the first key, none for the next. */
class Scratch {
  readonly bytes = new Uint8Array(ENTRY_AT + ENTRY_WINDOW);
  readonly block: Uint8Array = this.bytes.subarray(BLOCK_AT, ENTRY_AT);
  readonly entry: Uint8Array = this.bytes.subarray(ENTRY_AT);
}
