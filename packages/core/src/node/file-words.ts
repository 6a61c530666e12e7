/**
 * Words of a file, loaded and stored by machine instructions through mappings.
 *
 * @module
 */

import type { StorageFile } from '../storage/storage-file.ts';
import { storesAreUnsafe } from './extents.ts';
import { FileWindows, type MappedFile, type Window, WORD_CELL } from './mmap.ts';
import type { Syscalls } from './syscalls.ts';
import { TailWindow } from './tail-window.ts';
import { readAll } from './transfer.ts';

/** Word loads done by reads before a window is created, which takes about as long; more if it requires binding the C library. */
const WORD_READS = 100;
const UNBOUND_WORD_READS = 1024;

/** Checks of an end that stays at one offset, before a window is created over it. */
const END_READS = 16;

/** By how many bits a word is shifted in the eight aligned bytes that hold it. */
const shiftOf = (at: number): bigint => BigInt((at & 7) << 3);

type WordsFile = StorageFile & MappedFile & { readonly fd: number; readonly mappingFd: number };

/**
 * Word loads and stores on one file. The caller ensures that the words lie inside it and that it is open. A reader of a word sees
 * everything written before that word was stored: where processors reorder stores, a word within eight aligned bytes is loaded
 * and stored as part of them, atomically, which takes 20 to 60 ns more. Alignment is tested with `&`: to V8, offsets are doubles,
 * for which `%` takes 40 cycles.
 */
export class FileWords {
  readonly #sys: Syscalls;
  readonly #file: WordsFile;
  readonly #fd: number;
  readonly #mapped: boolean;
  readonly #plain: boolean;
  #windows: FileWindows | undefined;
  /** The window of the last word accessed. */
  #last: Window | undefined;
  /** Words that were loaded by a read, before there was a window. */
  #reads = 0;
  /** The buffer that words are read into: eight bytes, or the first four of them. */
  #word: Uint8Array | undefined;
  #half: Uint8Array | undefined;
  #view: DataView | undefined;
  #tail: TailWindow | undefined;
  /** Offset of the end that was last read without a mapping, and how often. */
  #endAt = -1;
  #endReads = 0;
  #found: Uint8Array | undefined;
  #written: boolean | undefined;

  /** @param mapped - whether loads may create mappings; stores always do */
  constructor(sys: Syscalls, file: WordsFile, mapped: boolean) {
    this.#sys = sys;
    this.#file = file;
    this.#fd = file.fd;
    this.#mapped = mapped;
    this.#plain = sys.platform.storesInOrder;
  }

  loadI32(offset: number): number {
    if (this.#mayRead()) return this.#read(offset, 4).getInt32(0, true);
    const { i32, i64, view, offset: start } = this.#window(offset, 4);
    const at = offset - start;
    if (!this.#plain && (at & 7) <= 4) return Number(BigInt.asIntN(32, Atomics.load(i64, at >> 3) >> shiftOf(at)));
    return (at & 3) === 0 ? i32[at >> 2]! : view.getInt32(at, true);
  }

  loadI64(offset: number): bigint {
    if (this.#mayRead()) return this.#read(offset, 8).getBigInt64(0, true);
    const { i64, view, offset: start } = this.#window(offset, 8);
    const at = offset - start;
    if (!this.#plain && (at & 7) === 0) return Atomics.load(i64, at >> 3);
    return (at & 7) === 0 ? i64[at >> 3]! : view.getBigInt64(at, true);
  }

  storeI32(offset: number, value: number): void {
    if (this.#writes()) {
      // The kernel copies eight aligned bytes at once but fewer byte by byte: no reader may see half of a row count.
      const word = this.#read(offset, 8);
      word.setInt32(0, value, true);
      const whole = (offset & 7) === 0 && offset + 8 <= this.#file.size();
      this.#file.write(offset, this.#word!, whole ? 8 : 4);
      return;
    }
    const { i32, i64, view, offset: start } = this.#window(offset, 4);
    const at = offset - start;
    if (!this.#plain && (at & 7) <= 4) {
      // The lock is held: nobody else changes the bytes beside the word.
      const others = i64[at >> 3]! & ~(0xffff_ffffn << shiftOf(at));
      Atomics.store(i64, at >> 3, others | (BigInt.asUintN(32, BigInt(value)) << shiftOf(at)));
    } else if ((at & 3) === 0) i32[at >> 2] = value;
    else view.setInt32(at, value, true);
  }

  storeI64(offset: number, value: bigint): void {
    if (this.#writes()) {
      this.#read(offset, 8).setBigInt64(0, value, true);
      this.#file.write(offset, this.#word!);
      return;
    }
    const { i64, view, offset: start } = this.#window(offset, 8);
    const at = offset - start;
    if (!this.#plain && (at & 7) === 0) Atomics.store(i64, at >> 3, value);
    else if ((at & 7) === 0) i64[at >> 3] = value;
    else view.setBigInt64(at, value, true);
  }

  /** See `StorageFile.storePair`. */
  storePair(offset: number, word: number, halfOffset: number, half: number): boolean {
    if ((halfOffset & 3) === 3 || this.#writes()) return false;
    this.#tail ??= new TailWindow(this.#sys, this.#file.mappingFd, this.#file.name);
    this.#tail.storePair(offset, word, halfOffset, half);
    return true;
  }

  /** See `StorageFile.endsWith`. */
  endsWith(offset: number, bytes: Uint8Array): boolean {
    if (this.#tail?.covers(offset, bytes.length) === true) return this.#tail.holds(offset, bytes);
    if (offset !== this.#endAt) this.#endReads = 0;
    this.#endAt = offset;
    if (++this.#endReads <= END_READS) return this.#readsAs(offset, bytes);
    const tail = (this.#tail ??= new TailWindow(this.#sys, this.#file.mappingFd, this.#file.name));
    tail.move(offset);
    return tail.holds(offset, bytes);
  }

  /** Checks by a read; a writer of large entries does this before each entry. */
  #readsAs(offset: number, bytes: Uint8Array): boolean {
    const { length } = bytes;
    const found = this.#found?.length === length ? this.#found : (this.#found = new Uint8Array(length));
    if (readAll(this.#sys, this.#fd, this.#file, offset, found) !== length) return false;
    for (let i = 0; i < length; i++) if (found[i] !== bytes[i]) return false;
    return true;
  }

  /** To be called when the file is truncated to `size` bytes. */
  cut(size: number): void {
    this.#windows?.cut(size);
  }

  close(): void {
    this.#windows?.close();
    this.#last = undefined;
    this.#tail?.close();
  }

  /** Whether words are stored by write calls, which report a full disk and are not lost when another write fails. */
  #writes(): boolean {
    return (this.#written ??= storesAreUnsafe(this.#sys, this.#fd));
  }

  #window(offset: number, length: number): Window {
    const last = this.#last;
    if (last !== undefined && offset >= last.offset && offset + length <= last.mapped) return last;
    const file = this.#file;
    this.#windows ??= new FileWindows(this.#sys, file.mappingFd, file, file.writable ? 'write' : 'read', WORD_CELL);
    return (this.#last = this.#windows.window(offset, length));
  }

  /** The first loads are done by reads: creating a window takes tens of microseconds and binds the C library. */
  #mayRead(): boolean {
    if (!this.#mapped) return true;
    if (this.#windows !== undefined) return false;
    return this.#reads < WORD_READS || (this.#reads < UNBOUND_WORD_READS && !this.#sys.bound());
  }

  /** Reads the word as a window would show it: zeros where the file was truncated since its size was checked. */
  #read(offset: number, length: 4 | 8): DataView {
    this.#reads++;
    const word = (this.#word ??= new Uint8Array(8));
    const view = (this.#view ??= new DataView(word.buffer));
    view.setBigInt64(0, 0n);
    readAll(this.#sys, this.#fd, this.#file, offset, length === 8 ? word : (this.#half ??= word.subarray(0, length)));
    return view;
  }
}
