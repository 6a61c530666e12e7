/**
 * An append on its way to the file: small bytes are gathered, the caller's are borrowed, and the first 11 bytes are held back, since
 * writing them is the commit.
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

/** Small enough to stay in the first-level cache, and to be allocated quickly; a batch of small entries is written piece by piece. */
const ARENA = 16384;
/** Up to this length bytes are copied: it covers a head with its padding to the next page. */
export const GATHERED = 8192;
/**
 * Appends up to this size are committed by stores through a mapping. From about a page on every commit touches a page that is not mapped
 * yet, and the fault costs more than a second write.
 */
export const AT_ONCE = 2048;
/** After so many bytes were written, disk space is reserved ahead of the writer. */
const RESERVE_FROM = 2 ** 20;
/** How much: a quarter of what was written, within these bounds. */
const RESERVE_SHARE = 4;
const RESERVE_MIN = 4 * 2 ** 20;
const RESERVE_MAX = 256 * 2 ** 20;

/** Bytes to be appended after a terminator. One object serves every append of a handle. */
export class AppendBuffer {
  /** Gathers small bytes; write into it at {@link AppendBuffer.room}. */
  readonly arena: Uint8Array = new Uint8Array(ARENA);
  /** File offset of the terminator that the commit overwrites. */
  base = 0;
  /** File offset of the next byte. */
  cursor = 0;
  /** Bytes that this handle has written after terminators, in all appends. */
  written = 0;
  readonly #head = new Uint8Array(ENTRY_HEAD_SIZE);
  /** The arena without the commit's bytes, for appends that are gathered there as a whole. */
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

  /** @param durable - each commit is flushed to disk */
  constructor(file: StorageFile, durable: boolean) {
    this.#file = file;
    this.#reserveMax = durable ? RESERVE_MIN : RESERVE_MAX;
  }

  /** Starts over after the terminator at `base` of `file`. */
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

  /** True while bytes are borrowed from the caller: flush before the caller may change them. */
  get borrowed(): boolean {
    return this.#borrowed;
  }

  /** True once this append tried to write to the file. */
  get touched(): boolean {
    return this.#touched;
  }

  /** Disk space was reserved beyond the end of the file. */
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

  /** Appends bytes, copied up to {@link GATHERED}; more are borrowed until the next flush or commit. */
  bytes(bytes: Uint8Array): void {
    const { length } = bytes;
    if (length <= GATHERED) {
      const pos = this.room(length);
      this.arena.set(bytes, pos);
      return;
    }
    if (this.cursor === this.base) {
      // The commit's bytes are held back from the first run: a codec's filler may be the start of an append, and of any length.
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

  /** Counts bytes at the cursor that were written to the file by other means; everything before must have been flushed. */
  wrote(count: number): void {
    this.#flushed += count;
    this.cursor += count;
  }

  /**
   * Takes back everything from `cursor` on, where an entry that could not be completed began; everything before must have been flushed. What
   * was written behind it is cut off: holes must read as zeros.
   */
  cut(cursor: number): void {
    this.#parts = [];
    this.#runStart = 0;
    this.#runEnd = 0;
    this.#borrowed = false;
    this.cursor = cursor;
    this.#flushed = cursor;
    this.#reservedEnd = 0;
    const end = Math.max(cursor, this.base + TERMINATOR_SIZE);
    if (this.#file.size() > end) this.#file.truncate(end);
  }

  /** Writes everything gathered, except the first 11 bytes of the append. */
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
    // The held-back bytes were taken out of the first run, see bytes().
    const at = this.#flushed === this.base ? this.base + ENTRY_HEAD_SIZE : this.#flushed;
    this.#reserve(at);
    this.#file.writeParts(at, parts);
    this.written += this.cursor - at;
    this.#parts = [];
    this.#flushed = this.cursor;
  }

  /** Holds back the commit's bytes, which are at `start` in the arena. */
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

  /** Whether the whole append is in the arena's first bytes. A handle's first append is not worth creating a mapping. */
  #little(): boolean {
    if (this.#parts.length > 0 || this.#flushed !== this.base) return false;
    return this.#runEnd <= AT_ONCE && this.written > 0;
  }

  /** Commits an append that is {@link AppendBuffer.#little} by one write and machine stores, if possible. */
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
   * Commits a small entry that is in one piece except for its head, followed by the terminator: one write, and the commit by machine
   * stores. Nothing else may have been appended, and the head must lie in one sector.
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

  /** Writes the whole append except the commit's bytes. */
  #writeBehindHead(bytes: Uint8Array, length: number): void {
    const at = this.base + ENTRY_HEAD_SIZE;
    this.#touched = true;
    this.#reserve(at);
    this.#file.write(at, bytes, length);
    this.written += length;
  }

  /**
   * Commits by machine stores over a terminator that lies in one sector: a FRAME length of which any bytes are new, followed by `d.`, is
   * still the terminator, and its frame lies within the file. The second store commits.
   * @param opcode - the two bytes after the frame's length
   * @returns false if that is not possible
   */
  #storeHead(frameLength: number, opcode: number): boolean {
    return this.#file.storePair(this.base + 1, frameLength, this.base + FRAME_SIZE, opcode);
  }

  /**
   * Frees the disk space reserved beyond the end of the file; while another handle holds the lock it is left, for what that one appends.
   */
  trim(): void {
    const file = this.#file;
    // Without the lock somebody could append between reading the size and truncating.
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
   * Reserving disk space saves the file system an allocation per write; steps grow with what was written. If each commit is flushed they
   * stay small: a flush takes longer when its bytes are in a large reserved stretch.
   */
  #reserve(at: number): void {
    if (this.written < RESERVE_FROM || this.cursor <= this.#reservedEnd || !this.#reserving) return;
    const step = Math.min(this.#reserveMax, Math.max(RESERVE_MIN, Math.floor(this.written / RESERVE_SHARE)));
    try {
      this.#file.allocate(at, this.cursor - at + step, { keepSize: true });
      this.#reservedEnd = this.cursor + step;
    } catch {
      // A disk without that much free space may still have room for the data: the write will show.
      this.#reserving = false;
    }
  }
}

/**
 * Overwrites the 11 bytes at `offset`, a terminator by an entry's head or vice versa. A power loss can tear a write between sectors, a kill
 * between pages: across such a boundary the bytes are written in two parts, in an order whose intermediate state still loads as the
 * terminator's (docs/format.md, "The commit write").
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
