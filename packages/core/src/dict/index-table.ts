/**
 * One tail index in the file, and the older ones that it refers to.
 *
 * @module
 */

import { BINBYTES8 } from '../format/array-value.ts';
import {
  FRAME_SIZE,
  getI32,
  getU64,
  HEADER_SIZE,
  isTerminator,
  SHORT_BINUNICODE,
  TERMINATOR_SIZE,
} from '../format/layout.ts';
import { answer } from '../format/scan.ts';
import { TAIL_PREFIX_SIZE } from '../format/tail-entry.ts';
import {
  decodeIndexEnding,
  eachSlot,
  INDEX_BLOCK_SIZE,
  INDEX_DEPTH_MAX,
  INDEX_ENDING,
  INDEX_FOOTER_SIZE,
  type IndexFooter,
  isIndexHead,
  isOvertaken,
  putIndexFooter,
} from '../format/tail-index.ts';
import type { StorageFile } from '../storage/storage-file.ts';

/** Bytes of the opcode and the length before the payload. */
const DATA_HEAD_SIZE = 9;
/** A file with an index is larger than this. */
const LEAST = HEADER_SIZE + TAIL_PREFIX_SIZE + INDEX_ENDING + TERMINATOR_SIZE;
/** Most blocks that are read into memory for lookups alone: 8 MiB, an index of half a million keys. */
const KEPT_BLOCKS = 16_384;

/** The blocks and the footer of an index. */
export class IndexTable {
  readonly footer: IndexFooter;
  /** File offset of the tail entry that holds it, and that entry's first bytes. */
  readonly entry: number;
  readonly head: Uint8Array;
  /** The tail entry's memo hint. */
  readonly memoHint: number;
  readonly #file: StorageFile;
  /** The number of newer indexes in the chain that refers to it. */
  #depth = 0;
  #blocks: Uint8Array | undefined;
  #lookups = 0;
  #older: IndexTable | 'torn' | undefined;

  private constructor(file: StorageFile, footer: IndexFooter, entry: number, head: Uint8Array, memoHint: number) {
    this.#file = file;
    this.footer = footer;
    this.entry = entry;
    this.head = head;
    this.memoHint = memoHint;
  }

  /**
   * The index at the end of a file, whatever commit it was made for; `undefined` if there is none.
   * @param size - of the file
   */
  static last(file: StorageFile, size: number): IndexTable | undefined {
    if (size < LEAST) return undefined;
    const ending = new Uint8Array(INDEX_ENDING + TERMINATOR_SIZE);
    if (file.read(size - ending.length, ending) !== ending.length || !isTerminator(ending, INDEX_ENDING))
      return undefined;
    const table = IndexTable.#of(file, size - TERMINATOR_SIZE, ending);
    if (table === undefined) return undefined;
    const read = (offset: number, length: number): Uint8Array => {
      const bytes = new Uint8Array(length);
      return bytes.subarray(0, file.read(offset, bytes));
    };
    return answer(isOvertaken(table.footer, table.entry, size), read) ? undefined : table;
  }

  /** The index whose entry ends at `end`, and which was once the last of the file; `undefined` if there is none. */
  static before(file: StorageFile, end: number): IndexTable | undefined {
    if (end < LEAST - TERMINATOR_SIZE) return undefined;
    const ending = new Uint8Array(INDEX_ENDING);
    return file.read(end - INDEX_ENDING, ending) === INDEX_ENDING ? IndexTable.#of(file, end, ending) : undefined;
  }

  static #of(file: StorageFile, end: number, ending: Uint8Array): IndexTable | undefined {
    const found = decodeIndexEnding(ending, end);
    if (found === undefined) return undefined;
    const { footer, entry } = found;
    const head = new Uint8Array(TAIL_PREFIX_SIZE);
    file.read(entry, head);
    if (!isIndexHead(head, footer)) return undefined;
    return new IndexTable(file, footer, entry, head, getI32(ending, INDEX_FOOTER_SIZE + 1));
  }

  /** File offset of the end of its entry. */
  get end(): number {
    return this.footer.fileSize - TERMINATOR_SIZE;
  }

  /** Whether a walk, and Python, can pass over its entry: looking up keys does not need these bytes. */
  get passable(): boolean {
    const { head, entry, end } = this;
    const value = head[TAIL_PREFIX_SIZE - DATA_HEAD_SIZE];
    return getU64(head, 1) === end - entry - FRAME_SIZE && head[FRAME_SIZE] === SHORT_BINUNICODE && value === BINBYTES8;
  }

  /** How many slots are in use, according to the footer. */
  get slots(): number {
    const others = this.olderIfWhole()?.footer.keys ?? 0;
    return Math.min(Math.max(0, this.footer.keys - others), this.size);
  }

  /** Bytes of its blocks. */
  get size(): number {
    return this.footer.blocks * INDEX_BLOCK_SIZE;
  }

  /** The next older index; `undefined` if this is the first, `'torn'` if it is not available. */
  older(): IndexTable | undefined | 'torn' {
    const { older, seed } = this.footer;
    if (older === 0) return undefined;
    if (this.#older === undefined) {
      const table = this.#depth < INDEX_DEPTH_MAX ? IndexTable.before(this.#file, older) : undefined;
      if (table?.footer.seed === seed) {
        table.#depth = this.#depth + 1;
        this.#older = table;
      } else this.#older = 'torn';
    }
    return this.#older;
  }

  /** The next older index, if there is one and it is available. */
  olderIfWhole(): IndexTable | undefined {
    const older = this.older();
    return older === 'torn' ? undefined : older;
  }

  /** Whether the blocks are in memory. */
  get kept(): boolean {
    return this.#blocks !== undefined;
  }

  /** Reads the blocks into memory, before they may be overwritten in the file. Returns false if the file no longer holds them. */
  keep(): boolean {
    const { size } = this;
    if (this.#blocks === undefined) {
      const blocks = bytesIfAny(size);
      const count = this.#file.read(this.entry + TAIL_PREFIX_SIZE, blocks);
      // Others may have written another index in its place meanwhile.
      this.#blocks = count === size && this.stands() ? blocks : blocks.subarray(0, 0);
    }
    return this.#blocks.length === size;
  }

  /** Releases the blocks and the older indexes: the file is closed. */
  forget(): void {
    this.#blocks = undefined;
    this.#older = undefined;
  }

  /**
   * Whether the file still holds it: if it was at the end, others may have dropped it, and written their own in its place. A writer that was
   * killed between dropping it and shortening the file leaves all of it but the bytes where the terminator is now.
   */
  stands(): boolean {
    const { footer } = this;
    const now = IndexTable.before(this.#file, this.end);
    return (
      now !== undefined &&
      now.passable === this.passable &&
      now.footer.seed === footer.seed &&
      now.footer.blocks === footer.blocks &&
      now.footer.end === footer.end &&
      now.footer.older === footer.older
    );
  }

  /** Makes it valid for a later commit that changed nothing it says, in place; with a torn footer it is not an index. */
  renew(commitNumber: number): void {
    const footer = new Uint8Array(INDEX_FOOTER_SIZE);
    putIndexFooter(footer, { ...this.footer, commitNumber });
    this.#file.write(this.end - INDEX_ENDING, footer);
  }

  /**
   * The 512 bytes of a block, borrowed; after more lookups than there are blocks, they are all in memory.
   * @param scratch - 512 bytes to read it into
   */
  block(number: number, scratch: Uint8Array): Uint8Array | undefined {
    const start = number * INDEX_BLOCK_SIZE;
    const { blocks } = this.footer;
    if (this.#blocks === undefined && blocks <= KEPT_BLOCKS && ++this.#lookups > blocks) this.keep();
    if (this.#blocks !== undefined) {
      const block = this.#blocks.subarray(start, start + INDEX_BLOCK_SIZE);
      return block.length === INDEX_BLOCK_SIZE ? block : undefined;
    }
    const count = this.#file.read(this.entry + TAIL_PREFIX_SIZE + start, scratch);
    return count === INDEX_BLOCK_SIZE ? scratch : undefined;
  }

  /** Visits all slots: `visit(hash, offset)`. Returns false if the index is torn. */
  each(visit: (hash: number, offset: number) => void): boolean {
    return this.keep() && eachSlot(this.footer, this.#blocks!, visit);
  }
}

/** An empty array if so much memory is not available: then the file is walked. */
function bytesIfAny(size: number): Uint8Array {
  try {
    return new Uint8Array(size);
  } catch {
    return new Uint8Array(0);
  }
}
