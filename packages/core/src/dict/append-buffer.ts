/**
 * What is being appended, on its way to the file: small bytes are gathered, the caller's are borrowed,
 * and the first 11 bytes are held back, for they are the commit.
 *
 * @module
 */

import {
  ENTRY_HEAD_SIZE,
  FRAME_SIZE,
  putEntryHead,
  putTerminator,
  SHORT_BINUNICODE,
  TERMINATOR_SIZE,
  toSectorEnd,
} from '../format/layout.ts';
import type { StorageFile } from '../storage/storage-file.ts';

/** Small enough to stay in the first-level cache, and to be had in no time; a batch of small entries is written piece by piece. */
const ARENA = 16384;
/** A head with its padding to the next page, and less than that, is copied. */
export const GATHERED = 8192;
/**
 * Appends up to this are committed by stores through a mapping. From about a page on every commit meets a page that is
 * not mapped yet, and the fault costs more than a second write.
 */
export const AT_ONCE = 2048;
/** From here on disk is reserved ahead of the writer. */
const RESERVE_FROM = 2 ** 20;
/** How much: a quarter of what was written, within these bounds. */
const RESERVE_SHARE = 4;
const RESERVE_MIN = 4 * 2 ** 20;
const RESERVE_MAX = 256 * 2 ** 20;

/** Bytes on their way behind a terminator. One object serves every append of a handle. */
export class AppendBuffer {
  /** Gathers small bytes; write into it at {@link AppendBuffer.room}. */
  readonly arena: Uint8Array = new Uint8Array(ARENA);
  /** File offset of the terminator that the commit overwrites. */
  base = 0;
  /** File offset of the next byte. */
  cursor = 0;
  /** Bytes of this handle that went to the file behind a terminator, all appends together. */
  written = 0;
  readonly #head = new Uint8Array(ENTRY_HEAD_SIZE);
  /** The arena without the commit's bytes, for appends that are gathered there whole. */
  readonly #behindHead = this.arena.subarray(ENTRY_HEAD_SIZE);
  #file: StorageFile;
  #parts: Uint8Array[] = [];
  #runStart = 0;
  #runEnd = 0;
  #flushed = 0;
  #touched = false;
  #borrowed = false;
  #reservedEnd = 0;
  #reserving = true;
  readonly #reserveMax: number;

  /** @param durable - each commit is to reach the disk */
  constructor(file: StorageFile, durable: boolean) {
    this.#file = file;
    this.#reserveMax = durable ? RESERVE_MIN : RESERVE_MAX;
  }

  /** Starts over behind the terminator at `base` of `file`. */
  begin(file: StorageFile, base: number): void {
    if (file !== this.#file) {
      this.#file = file;
      this.#reservedEnd = 0;
    }
    this.base = base;
    this.cursor = base;
    this.#flushed = base;
    this.#touched = false;
    this.#runStart = 0;
    this.#runEnd = 0;
    this.#borrowed = false;
    if (this.#parts.length > 0) this.#parts = [];
  }

  get empty(): boolean {
    return this.cursor === this.base;
  }

  /** True while the caller's bytes are referred to: flush before the caller may change them. */
  get borrowed(): boolean {
    return this.#borrowed;
  }

  /** True once this append tried to write to the file. */
  get touched(): boolean {
    return this.#touched;
  }

  /** The file got a tail reserved on disk behind its end. */
  get reserved(): boolean {
    return this.#reservedEnd > 0;
  }

  /** Position in the arena where `count` (at most 8192) bytes may be written; they then belong to the append. */
  room(count: number): number {
    if (this.#runEnd + count > ARENA) this.flush();
    const pos = this.#runEnd;
    this.#runEnd += count;
    this.cursor += count;
    return pos;
  }

  /** Appends bytes, copied up to {@link GATHERED}, borrowed until the next flush or commit if they are more. */
  bytes(bytes: Uint8Array): void {
    const { length } = bytes;
    if (length <= GATHERED) {
      const pos = this.room(length);
      this.arena.set(bytes, pos);
      return;
    }
    if (this.cursor === this.base) {
      // The commit's bytes are held back from the first run: a codec's filler may begin an append, and be as long as it likes.
      this.bytes(bytes.subarray(0, ENTRY_HEAD_SIZE));
      this.bytes(bytes.subarray(ENTRY_HEAD_SIZE));
      return;
    }
    this.#closeRun();
    this.#parts.push(bytes);
    this.#borrowed = true;
    this.cursor += length;
  }

  /** Appends zeros that are never written: a hole. */
  hole(count: number): void {
    if (count === 0) return;
    this.flush();
    this.#flushed += count;
    this.cursor += count;
  }

  /** Counts bytes at the cursor that somebody else put into the file; everything before was flushed. */
  wrote(count: number): void {
    this.#flushed += count;
    this.cursor += count;
  }

  /** Writes what is gathered, but for the first 11 bytes of all. */
  flush(): void {
    if (this.#parts.length > 0) this.#flushParts();
    else if (this.#runEnd > this.#runStart) {
      // The usual case, a few small bytes: no list of parts.
      this.#touched = true;
      let start = this.#runStart;
      if (this.#flushed === this.base) start = this.#takeHead(start);
      const at = this.cursor - (this.#runEnd - start);
      this.#reserve(at);
      this.#file.write(at, this.arena.subarray(start, this.#runEnd));
      this.written += this.#runEnd - start;
      this.#flushed = this.cursor;
    }
    this.#runStart = 0;
    this.#runEnd = 0;
    this.#borrowed = false;
  }

  #flushParts(): void {
    this.#closeRun();
    this.#touched = true;
    const parts = this.#parts;
    // What is held back was taken out of the first run, see bytes().
    const at = this.#flushed === this.base ? this.base + ENTRY_HEAD_SIZE : this.#flushed;
    this.#reserve(at);
    this.#file.writeParts(at, parts);
    this.written += this.cursor - at;
    this.#parts = [];
    this.#flushed = this.cursor;
  }

  /** Holds back the commit's bytes, which stand at `start` in the arena. */
  #takeHead(start: number): number {
    for (let i = 0; i < ENTRY_HEAD_SIZE; i++) this.#head[i] = this.arena[start + i]!;
    return start + ENTRY_HEAD_SIZE;
  }

  /**
   * Writes the new terminator and commits. Returns the new terminator's offset.
   * @param durable - fdatasync before and after the commit write
   */
  commit(durable: boolean): number {
    const end = this.cursor;
    const pos = this.room(TERMINATOR_SIZE);
    putTerminator(this.arena, pos);
    if (!durable && this.#little()) {
      this.#commitRun();
      return end;
    }
    this.flush();
    if (durable) this.#file.sync();
    writeBorderless(this.#file, this.base, this.#head, durable);
    return end;
  }

  /** All of the append stands in the arena's first bytes. A handle's first append is not worth the making of a mapping. */
  #little(): boolean {
    if (this.#parts.length > 0 || this.#flushed !== this.base) return false;
    return this.#runEnd <= AT_ONCE && this.written > 0;
  }

  /** Commits what is {@link AppendBuffer.#little} by one write and machine stores, if it may be. */
  #commitRun(): void {
    const { arena, base } = this;
    const length = this.#runEnd - ENTRY_HEAD_SIZE;
    this.#runEnd = 0;
    this.#writeBehindHead(this.#behindHead, length);
    this.#flushed = this.cursor;
    const inOneSector = toSectorEnd(base) >= ENTRY_HEAD_SIZE;
    const frameLength = arena[1]! | (arena[2]! << 8) | (arena[3]! << 16) | (arena[4]! << 24);
    if (inOneSector && this.#storeHead(frameLength, arena[FRAME_SIZE]! | (arena[FRAME_SIZE + 1]! << 8))) return;
    this.#takeHead(0);
    writeBorderless(this.#file, base, this.#head, false);
  }

  /**
   * Commits a small entry that stands in one piece but for its head, with the terminator behind it: one write, and the commit
   * by machine stores. Nothing else may have been appended, and the head must lie in one sector.
   * @param length - of `bytes`, terminator included
   * @returns the new terminator's offset
   */
  commitPiece(bytes: Uint8Array, length: number, frameLength: number, keyLength: number): number {
    const { base } = this;
    this.cursor = base + ENTRY_HEAD_SIZE + length - TERMINATOR_SIZE;
    this.#writeBehindHead(bytes, length);
    if (!this.#storeHead(frameLength, SHORT_BINUNICODE | (keyLength << 8))) {
      putEntryHead(this.#head, 0, frameLength, keyLength);
      this.#file.write(base, this.#head);
    }
    return this.cursor;
  }

  /** Writes the whole append but for the commit's bytes. */
  #writeBehindHead(bytes: Uint8Array, length: number): void {
    const at = this.base + ENTRY_HEAD_SIZE;
    this.#touched = true;
    this.#reserve(at);
    this.#file.write(at, bytes, length);
    this.written += length;
  }

  /**
   * Commits by machine stores over a terminator that lies in one sector: FRAME with a length of which any bytes are new,
   * and `d.`, is still the terminator, of a frame that is there. The second store commits.
   * @param opcode - what follows the frame's length, two bytes
   * @returns false where that is not to be had
   */
  #storeHead(frameLength: number, opcode: number): boolean {
    return this.#file.storePair(this.base + 1, frameLength, this.base + FRAME_SIZE, opcode);
  }

  /**
   * Gives back the disk that was reserved behind the end of the file; where another handle is at work it stays, for what
   * that one appends.
   */
  trim(): void {
    const file = this.#file;
    // Without the lock somebody could append between the look at the size and the cut.
    if (!this.reserved || !file.tryLock()) return;
    try {
      file.truncate(file.size());
    } finally {
      file.unlock();
    }
    this.#reservedEnd = 0;
  }

  #closeRun(): void {
    if (this.#runEnd === this.#runStart) return;
    let start = this.#runStart;
    if (this.#parts.length === 0 && this.#flushed === this.base) start = this.#takeHead(start);
    this.#parts.push(this.arena.subarray(start, this.#runEnd));
    this.#runStart = this.#runEnd;
  }

  /**
   * Reserved disk spares the filesystem an allocation per write; steps grow with what was written. Where each commit is flushed they
   * stay small: a flush of bytes in a large stretch that is reserved takes longer.
   */
  #reserve(at: number): void {
    if (this.written < RESERVE_FROM || this.cursor <= this.#reservedEnd || !this.#reserving) return;
    const step = Math.min(this.#reserveMax, Math.max(RESERVE_MIN, Math.floor(this.written / RESERVE_SHARE)));
    try {
      this.#file.allocate(at, this.cursor - at + step, { keepSize: true });
      this.#reservedEnd = this.cursor + step;
    } catch {
      // A disk that cannot give so much ahead may still hold what is to be written: the write tells.
      this.#reserving = false;
    }
  }
}

/**
 * Overwrites the 11 bytes at `offset`, which are a terminator or an entry's head, with the other. A power loss can
 * tear a write between sectors, a kill between pages: at such a border the bytes go in two writes,
 * in an order whose middle state still loads as the terminator's (docs/format.md, "The commit write").
 */
export function writeBorderless(file: StorageFile, offset: number, bytes: Uint8Array, durable: boolean): void {
  const border = toSectorEnd(offset);
  if (border >= ENTRY_HEAD_SIZE) file.write(offset, bytes);
  else {
    const first = bytes.subarray(0, border);
    const second = bytes.subarray(border);
    const toTerminator = bytes[9] === 0x64;
    if (toTerminator) file.write(offset + border, second);
    else file.write(offset, first);
    if (durable) file.sync();
    if (toTerminator) file.write(offset, first);
    else file.write(offset + border, second);
  }
  if (durable) file.sync();
}
