/**
 * A tail index in use: finds entries by key without a walk.
 *
 * @module
 */

import { encodeUtf8 } from '../bytes/index.ts';
import {
  DEAD,
  ENTRY_HEAD_SIZE,
  ENTRY_TAIL_SIZE,
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
  hashKey,
  INDEX_BLOCK_SIZE,
  INDEX_FOOTER_SIZE,
  type IndexFooter,
  indexPayloadSize,
  lookUp,
} from '../format/tail-index.ts';
import type { StorageFile } from '../storage/storage-file.ts';
import type { EntryPlace } from './catalog.ts';

type Read = (offset: number, length: number) => Uint8Array;

/** The index of a file, in the file or (before it is dropped) in memory. */
export class BaseIndex {
  readonly footer: IndexFooter;
  readonly #read: Read;
  readonly #offset: number;
  #blocks: Uint8Array | undefined;

  private constructor(footer: IndexFooter, offset: number, read: Read) {
    this.footer = footer;
    this.#offset = offset;
    this.#read = read;
  }

  /**
   * The index at the end of a file; `undefined` where there is none that was made for this very state.
   * @param commitNumber - as the header says
   */
  static of(file: StorageFile, size: number, commitNumber: number, read: Read): BaseIndex | undefined {
    const tailSize = INDEX_FOOTER_SIZE + ENTRY_TAIL_SIZE + TERMINATOR_SIZE;
    if (size < tailSize + TAIL_PREFIX_SIZE) return undefined;
    const tail = read(size - tailSize, tailSize);
    const state = INDEX_FOOTER_SIZE + 6;
    if (tail.length !== tailSize || !isTerminator(tail, tailSize - TERMINATOR_SIZE)) return undefined;
    if (!isEntryTail(tail, INDEX_FOOTER_SIZE) || tail[state] !== DEAD) return undefined;
    if (tailFooter(tail, INDEX_FOOTER_SIZE - TAIL_FOOTER_SIZE)?.kind !== 'index') return undefined;
    const footer = decodeIndexFooter(tail.subarray(0, INDEX_FOOTER_SIZE));
    if (footer === undefined || footer.fileSize !== size || footer.commitNumber !== commitNumber) return undefined;
    const payload = indexPayloadSize(footer.blocks);
    const entry = size - TERMINATOR_SIZE - ENTRY_TAIL_SIZE - payload - TAIL_PREFIX_SIZE;
    if (entry < footer.end || footer.end < 24) return undefined;
    const head = read(entry, TAIL_PREFIX_SIZE);
    if (head[0] !== 0x95 || getU64(head, TAIL_PREFIX_SIZE - 8) !== payload) return undefined;
    if (tailKindOf(head, ENTRY_HEAD_SIZE, head[10]!) !== 'index') return undefined;
    return file.size() === size ? new BaseIndex(footer, entry + TAIL_PREFIX_SIZE, read) : undefined;
  }

  /** Whether the blocks are in memory. */
  get kept(): boolean {
    return this.#blocks !== undefined;
  }

  /** Takes the blocks into memory: the file's are about to be overwritten. False where the file lost them. */
  keep(): boolean {
    const size = this.footer.blocks * INDEX_BLOCK_SIZE;
    this.#blocks ??= this.#read(this.#offset, size);
    return this.#blocks.length === size;
  }

  /** The live entry with the key; `'torn'` where the index cannot tell. */
  find(key: string): EntryPlace | undefined | 'torn' {
    const bytes = encodeUtf8(key);
    if (bytes.length > KEY_MAX) return undefined;
    const offsets = lookUp(this.footer, hashKey(bytes, 0, bytes.length, this.footer.seed), (number) => {
      const start = number * INDEX_BLOCK_SIZE;
      return (
        this.#blocks?.subarray(start, start + INDEX_BLOCK_SIZE) ?? this.#read(this.#offset + start, INDEX_BLOCK_SIZE)
      );
    });
    if (offsets === undefined) return 'torn';
    for (const offset of offsets) {
      const head = this.#read(offset, ENTRY_HEAD_SIZE + bytes.length);
      if (head[0] !== 0x95 || head[9] !== 0x8c) return 'torn';
      if (head[10] !== bytes.length || !bytes.every((byte, i) => head[ENTRY_HEAD_SIZE + i] === byte)) continue;
      const frameLength = getU64(head, 1);
      if (offset + 9 + frameLength > this.footer.end) return 'torn';
      const tail = this.#read(offset + 9 + frameLength - ENTRY_TAIL_SIZE, ENTRY_TAIL_SIZE);
      if (!isEntryTail(tail, 0)) return 'torn';
      if (tail[6] === LIVE) return { offset, frameLength, keyLength: bytes.length };
    }
    return undefined;
  }

  /** All slots: `visit(hash, offset)`. False where the index is torn. */
  each(visit: (hash: number, offset: number) => void): boolean {
    return this.keep() && eachSlot(this.footer, this.#blocks!, visit);
  }
}
