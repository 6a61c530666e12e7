/**
 * A tail index in use: finds entries by key without a walk.
 *
 * @module
 */

import { encodeUtf8Into } from '../bytes/index.ts';
import { maybeArray } from '../format/array-value.ts';
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
  PROBES_MAX,
  slotOffset,
} from '../format/tail-index.ts';
import type { StorageFile } from '../storage/storage-file.ts';
import type { EntryPlace } from './catalog.ts';
import { IndexTable } from './index-table.ts';
import type { ReadPages } from './read-pages.ts';

/** Bytes that are read of an entry: all of a small one. */
const ENTRY_WINDOW = 1024;
/** Parts of the scratch buffer: a key's UTF-8 while it is encoded; then a block; then an entry. */
const BLOCK_AT = 3 * 256;
const ENTRY_AT = BLOCK_AT + INDEX_BLOCK_SIZE;

/** The index of a file: its newest table, in the file or (before it is dropped) in memory, and those that it refers to. */
export class BaseIndex {
  readonly newest: IndexTable;
  /** A walk over its entries was already requested before a change. */
  chained = false;
  readonly #file: StorageFile;
  #scratch: Scratch | undefined;
  /**
   * The first bytes of the entry that {@link BaseIndex.find} returned last, in `window[windowStart, windowEnd)`. Borrowed: the next call
   * overwrites them.
   */
  window: Uint8Array = new Uint8Array(0);
  windowStart = 0;
  windowEnd = 0;

  private constructor(newest: IndexTable, file: StorageFile) {
    this.newest = newest;
    this.#file = file;
  }

  /**
   * The index at the end of a file; `undefined` if there is none that was made for this very state. If the file changes meanwhile, the next
   * refresh notices, and until then every lookup verifies the index.
   * @param size - of the file
   * @param commitNumber - of the header
   */
  static of(file: StorageFile, size: number, commitNumber: number): BaseIndex | undefined {
    const table = IndexTable.last(file, size);
    return table?.footer.commitNumber === commitNumber ? new BaseIndex(table, file) : undefined;
  }

  /** File offset before which all entries of the index end. */
  get end(): number {
    return this.newest.footer.end;
  }

  /**
   * The live entry with the key; `'torn'` if the index gives no reliable answer.
   * @param pages - of the same file, if what they hold may be used
   */
  find(key: string, pages?: ReadPages): EntryPlace | undefined | 'torn' {
    if (key.length > KEY_MAX) return undefined;
    const { bytes } = (this.#scratch ??= new Scratch());
    const length = encodeUtf8Into(key, bytes, 0);
    if (length > KEY_MAX) return undefined;
    const hash = hashKey(bytes, 0, length, this.newest.footer.seed);
    let table: IndexTable | undefined | 'torn' = this.newest;
    while (table !== undefined) {
      if (table === 'torn') return 'torn';
      const place = this.#findIn(table, hash, length, pages);
      if (place !== undefined) return place;
      table = table.older();
    }
    return undefined;
  }

  #findIn(table: IndexTable, hash: number, length: number, pages?: ReadPages): EntryPlace | undefined | 'torn' {
    const { blocks, end } = table.footer;
    let number = indexBlock(hash, blocks);
    for (let probes = 0; probes < blocks; probes++) {
      if (probes === PROBES_MAX) return 'torn';
      const block = table.block(number, this.#scratch!.block);
      if (block === undefined) return 'torn';
      for (let slot = findSlot(block, hash, 0); slot >= 0; slot = findSlot(block, hash, slot + 1)) {
        const place = this.#entryAt(slotOffset(block, slot), length, hash, end, pages);
        if (place !== undefined) return place;
      }
      // An entry that is found is its own proof, at a tenth of the cost of verifying the block.
      if (!isBlock(block, number)) return 'torn';
      if (!isBlockFull(block)) return undefined;
      number = number + 1 === blocks ? 0 : number + 1;
    }
    return undefined;
  }

  /** Releases its memory: the file is closed. */
  forget(): void {
    this.newest.forget();
  }

  /**
   * The entry at `offset` if it is live and has the key of `length` bytes in the scratch buffer.
   * @param limit - file offset before which entries of the table end
   */
  #entryAt(
    offset: number,
    length: number,
    hash: number,
    limit: number,
    pages: ReadPages | undefined,
  ): EntryPlace | undefined | 'torn' {
    const { bytes } = this.#scratch!;
    // The block is not verified yet: the offset may be anything.
    if (!(offset < limit)) return 'torn';
    const have = this.#lookAt(offset, pages);
    const { window: head, windowStart: start } = this;
    if (have < ENTRY_HEAD_SIZE || head[start] !== 0x95 || head[start + 9] !== 0x8c) return 'torn';
    const keyLength = head[start + 10]!;
    const key = start + ENTRY_HEAD_SIZE;
    if (have < ENTRY_HEAD_SIZE + keyLength) return 'torn';
    let same = keyLength === length;
    for (let i = 0; same && i < length; i++) same = head[key + i] === bytes[i];
    // Another key with the same hash; otherwise the entry's key is not what it was.
    if (!same) return hashKey(head, key, key + keyLength, this.newest.footer.seed) === hash ? undefined : 'torn';
    const frameLength = getU64(head, start + 1);
    const end = FRAME_SIZE + frameLength;
    if (offset + end > limit) return 'torn';
    let tail = head;
    let at = start + end - ENTRY_TAIL_SIZE;
    if (end > have) {
      tail = new Uint8Array(ENTRY_TAIL_SIZE);
      if (this.#file.read(offset + end - ENTRY_TAIL_SIZE, tail) !== ENTRY_TAIL_SIZE) return 'torn';
      at = 0;
    }
    const state = tail[at + 6];
    if (!isEntryTail(tail, at) || (state !== LIVE && state !== DEAD)) return 'torn';
    return state === LIVE ? { offset, frameLength, keyLength: length } : undefined;
  }

  /** Reads the first bytes of an entry into the window; returns how many. */
  #lookAt(offset: number, pages: ReadPages | undefined): number {
    const at = pages === undefined ? -1 : pages.find(offset, ENTRY_HEAD_SIZE);
    if (at >= 0) {
      const { bytes } = pages!;
      const length = FRAME_SIZE + getU64(bytes, at + 1);
      const left = pages!.left(at);
      const value = at + ENTRY_HEAD_SIZE + bytes[at + ENTRY_HEAD_SIZE - 1]!;
      // An array is mapped from the file as it is now: its head must be read from there, too.
      if (length <= left && !maybeArray(bytes, value, at + length)) {
        this.window = bytes;
        this.windowStart = at;
        this.windowEnd = at + length;
        return length;
      }
      pages!.vain();
    }
    const { entry } = this.#scratch!;
    this.window = entry;
    this.windowStart = 0;
    return (this.windowEnd = this.#file.read(offset, entry));
  }
}

/** Buffers for lookups: one allocation for the first key, none for the next. */
class Scratch {
  readonly bytes = new Uint8Array(ENTRY_AT + ENTRY_WINDOW);
  readonly block: Uint8Array = this.bytes.subarray(BLOCK_AT, ENTRY_AT);
  readonly entry: Uint8Array = this.bytes.subarray(ENTRY_AT);
}
