/**
 * Mappings of one file: a few large windows, handed out as sub-views.
 *
 * Creating an external ArrayBuffer costs up to a millisecond, a typed array over an existing one 0.1 us.
 * So the file is divided into cells, each mapped as a whole and at most once, small ones at first; a range that crosses a cell
 * border gets a window of its own. The pages of a window beyond the end of the file are anonymous until the file
 * grows: code that walks a whole buffer (as structured clone does) must not touch a page that does not exist.
 *
 * @module
 */

import { constants as bufferConstants } from 'node:buffer';
import { MmdError } from '../errors.ts';
import type { Advice, ArrayMemory, FixedStretch } from '../ndarray/array-memory.ts';
import { checkInside } from '../storage/range.ts';
import type { MapAccess } from '../storage/storage-file.ts';
import { errnoError } from './errno.ts';
import {
  MAP_FIXED,
  MAP_PRIVATE,
  MAP_SHARED,
  type MappedPages,
  PROT_READ,
  PROT_WRITE,
  type Syscalls,
} from './syscalls.ts';

/** The size of a cell. At 64 MiB, a structured clone of a small view is still bearable. */
const CELL = 2 ** 26;

/**
 * The first windows over a file are small cells, or windows of their own for ranges that do not fit one. V8 counts a buffer of
 * 64 MiB as memory and collects garbage because of it: opening a file for one array of 1 MiB takes 0.15 ms instead of 3.
 */
const SMALL_CELL = 2 ** 22;
const SMALL_WINDOWS = 16;

/** The size of a page that x64 and arm64 page tables can map as one. */
const HUGE_PAGE = 2 ** 21;

/** The cell size of windows for single words: creating one costs microseconds, so that opening a file stays cheap. */
export const WORD_CELL: number = 2 ** 16;

/** From this length on, disk space is reserved before it is written. */
const RESERVE_BYTES = 2 ** 20;

/** madvise constants, which are the same on Linux and macOS. */
const ADVICE: Readonly<Record<Advice, number>> = { normal: 0, random: 1, sequential: 2, willneed: 3, dontneed: 4 };

/** The longest window: one ArrayBuffer. Node 20 aborts the process above 4 GiB. */
export function maxWindowLength(): number {
  return bufferConstants.MAX_LENGTH > 2 ** 32 ? 2 ** 42 : 2 ** 32 - 65536;
}

/** A range of the file in memory; `[offset, mapped)` of the file is mapped, the rest is anonymous. */
export interface Window {
  readonly address: number;
  readonly offset: number;
  readonly length: number;
  /** Replaced if it is detached: see {@link FileWindows.window}. */
  buffer: ArrayBuffer;
  /** The same bytes, for single stores: an element store of an aligned typed array is one machine store. */
  i32: Int32Array;
  i64: BigInt64Array;
  view: DataView;
  mapped: number;
  /** The pages to unmap once the buffer is garbage. */
  readonly pages: MappedPages;
}

/** Whether somebody detached the buffer. Then its pages stay mapped forever: it cannot be known how long they are in use. */
function wasTaken({ buffer, pages }: Window): boolean {
  if (buffer.byteLength > 0) return false;
  pages.length = 0;
  return true;
}

/** What the windows need from their file. */
export interface MappedFile {
  readonly name: string;
  readonly closed: boolean;
  size(): number;
  write(offset: number, bytes: Uint8Array): void;
  /** Reserves disk space for a range if possible: a hint. */
  reserve(offset: number, length: number): void;
  /** Called when writing back dirty pages failed. */
  poison(error: MmdError): void;
}

/** All windows of one kind over one open file. */
export class FileWindows {
  readonly file: MappedFile;
  readonly sys: Syscalls;
  readonly #fd: number;
  readonly #flags: number;
  readonly #smallCells = new Map<number, Window>();
  readonly #cells = new Map<number, Window>();
  readonly #own = new Map<number, Window>();
  readonly #all = new Set<Window>();
  /** The file offsets at which the buffers of windows begin, while those are alive. */
  #starts: WeakMap<ArrayBufferLike, number> | undefined;
  /** Ranges mapped into buffers of callers: released when the file is closed, otherwise they would keep its disk space in use. */
  readonly stretches: Set<FixedStretch> = new Set();

  /** The longest range of one window: a window starts at a page boundary, and so may need up to a page more. */
  readonly maxWindow: number;
  readonly #cell: number;
  /** How many windows are small. Private pages that are stored to must not be mapped twice, in a small cell and in a large one. */
  readonly #small: number;

  /** @param access - where stores go: to the file (`write`), or to private pages */
  constructor(sys: Syscalls, fd: number, file: MappedFile, access: MapAccess, cell: number = CELL) {
    this.#cell = cell;
    this.#small = cell === CELL && access !== 'copy-on-write' ? SMALL_WINDOWS : 0;
    this.sys = sys;
    this.#fd = fd;
    this.file = file;
    this.#flags = access === 'write' ? MAP_SHARED : MAP_PRIVATE;
    this.maxWindow = maxWindowLength() - sys.pageSize;
  }

  get shared(): boolean {
    return this.#flags === MAP_SHARED;
  }

  /**
   * A window that contains the range, mapped as far as the file reaches. A byte stream detaches the buffer of any view given to it, and
   * with it that of every array in the window; then the window gets a new buffer over the same pages.
   */
  window(offset: number, length: number): Window {
    const end = offset + length;
    const window =
      this.#inCell(this.#smallCells, SMALL_CELL, offset, end) ??
      this.#inCell(this.#cells, this.#cell, offset, end) ??
      this.#newCell(offset, end) ??
      this.#ownWindow(offset, end);
    if (window.mapped < end) this.#extend(window);
    if (wasTaken(window)) Object.assign(window, this.#buffer(window.address, window.offset, window.length));
    return window;
  }

  #inCell(cells: Map<number, Window>, size: number, offset: number, end: number): Window | undefined {
    const cell = Math.floor(offset / size);
    return end <= (cell + 1) * size ? cells.get(cell) : undefined;
  }

  /** Creates a cell if the range fits into one. */
  #newCell(offset: number, end: number): Window | undefined {
    const small = this.#all.size < this.#small;
    const size = small ? SMALL_CELL : this.#cell;
    const cell = Math.floor(offset / size);
    if (end > (cell + 1) * size) return undefined;
    const window = this.#reserve(cell * size, size);
    (small ? this.#smallCells : this.#cells).set(cell, window);
    return window;
  }

  #ownWindow(offset: number, end: number): Window {
    const start = offset - (offset % this.sys.pageSize);
    const known = this.#own.get(start);
    if (known !== undefined && known.offset + known.length >= end) return known;
    const window = this.#reserve(start, roundUp(end - start, this.sys.pageSize));
    this.#own.set(start, window);
    return window;
  }

  /** Unmaps the file's pages beyond `size` before it is truncated (or after), so that no view can touch a page that is gone. */
  cut(size: number): void {
    const end = roundUp(size, this.sys.pageSize);
    for (const stretch of this.stretches) stretch.release();
    for (const window of this.#all) {
      const keep = Math.max(end, window.offset);
      if (window.mapped <= keep) continue;
      this.blank(window.address + (keep - window.offset), window.mapped - keep);
      window.mapped = keep;
    }
  }

  /** Maps anonymous pages over every window, so that views of a closed file read as zeros and do no harm. */
  close(): void {
    for (const stretch of this.stretches) stretch.release();
    for (const window of this.#all) {
      const { address, length } = window;
      // Called for its effect on the pages.
      wasTaken(window);
      // If this fails, the file's pages stay mapped, which is as safe: the mapping keeps the file alive.
      this.blank(address, length);
    }
    this.#all.clear();
    this.#smallCells.clear();
    this.#cells.clear();
    this.#own.clear();
  }

  /** The file offset of the first byte of a window's buffer; undefined for other buffers. */
  startOf(buffer: ArrayBufferLike): number | undefined {
    return this.#starts?.get(buffer);
  }

  /** Maps the file from `offset` over `[address, address + length)`, for reading; negative errno on failure. */
  fixed(address: number, length: number, offset: number): number {
    const flags = MAP_PRIVATE | this.sys.platform.MAP_NORESERVE | MAP_FIXED;
    return this.sys.mmap(address, length, PROT_READ | PROT_WRITE, flags, this.#fd, offset);
  }

  /** Maps anonymous zero pages over `[address, address + length)`. */
  blank(address: number, length: number): void {
    this.sys.mmap(address, length, PROT_READ | PROT_WRITE, this.#anonymous() | MAP_FIXED, -1, 0);
  }

  #anonymous(): number {
    return MAP_PRIVATE | this.sys.platform.MAP_ANONYMOUS | this.sys.platform.MAP_NORESERVE;
  }

  /**
   * Reserves address space for a window; negative errno on failure. For a large one, address and file offset are equal
   * modulo 2 MiB, so that the kernel can map 2 MiB of the page cache as one.
   */
  #addresses(offset: number, length: number): number {
    const { sys } = this;
    const spare = length < HUGE_PAGE ? 0 : HUGE_PAGE;
    const address = sys.mmap(0, length + spare, PROT_READ | PROT_WRITE, this.#anonymous(), -1, 0);
    if (address < 0 || spare === 0) return address;
    const lead = (((offset - address) % spare) + spare) % spare;
    if (lead > 0) sys.munmap(address, lead);
    if (lead < spare) sys.munmap(address + lead + length, spare - lead);
    return address + lead;
  }

  #reserve(offset: number, length: number): Window {
    const address = this.#addresses(offset, length);
    if (address < 0) throw errnoError(address, `reserving ${length} bytes of address space`, this.file.name, offset);
    const pages = { address, length };
    let window: Window;
    try {
      window = { address, offset, length, mapped: offset, pages, ...this.#buffer(address, offset, length) };
    } catch (error) {
      this.sys.munmap(address, length);
      throw error;
    }
    this.sys.unmapWith(window.buffer, pages);
    this.#all.add(window);
    return window;
  }

  #buffer(address: number, offset: number, length: number): Pick<Window, 'buffer' | 'i32' | 'i64' | 'view'> {
    let buffer: ArrayBuffer;
    try {
      buffer = this.sys.view(address, length);
    } catch (cause) {
      const text = `${this.file.name}: this runtime does not allow external memory`;
      throw new MmdError('IO', text, { path: this.file.name, cause });
    }
    (this.#starts ??= new WeakMap()).set(buffer, offset);
    return { buffer, i32: new Int32Array(buffer), i64: new BigInt64Array(buffer), view: new DataView(buffer) };
  }

  /** Maps what the file has by now. Pages beyond its end stay anonymous: an access there reads zeros and does not kill the process. */
  #extend(window: Window): void {
    const { pageSize } = this.sys;
    const target = roundUp(Math.min(this.file.size(), window.offset + window.length), pageSize);
    if (target <= window.mapped) return;
    const result = this.sys.mmap(
      window.address + (window.mapped - window.offset),
      target - window.mapped,
      PROT_READ | PROT_WRITE,
      this.#flags | this.sys.platform.MAP_NORESERVE | MAP_FIXED,
      this.#fd,
      window.mapped,
    );
    if (result < 0) throw errnoError(result, `mapping ${target - window.mapped} bytes`, this.file.name, window.mapped);
    window.mapped = target;
  }
}

/** A range of a mapped file: what {@link StorageFile.map} of a real file returns. */
export class MappedMemory implements ArrayMemory {
  readonly byteLength: number;
  readonly writable: boolean;
  readonly maxWindow: number;
  readonly #windows: FileWindows;
  readonly #access: MapAccess;
  readonly #offset: number;
  #insideFile = false;

  constructor(windows: FileWindows, offset: number, length: number, access: MapAccess) {
    this.#windows = windows;
    this.#offset = offset;
    this.#access = access;
    this.byteLength = length;
    this.writable = access !== 'read';
    this.maxWindow = Math.min(length, windows.maxWindow);
  }

  get closed(): boolean {
    return this.#windows.file.closed;
  }

  bytes(offset: number, length: number): Uint8Array {
    this.#check(offset, length);
    if (length > this.maxWindow) {
      throw new MmdError('INVALID_ARGUMENT', `a window of ${length} bytes exceeds the maximum of ${this.maxWindow}`, {
        path: this.#windows.file.name,
        offset,
        found: length,
        maximum: this.maxWindow,
      });
    }
    if (length === 0) return new Uint8Array(0);
    const at = this.#offset + offset;
    // One window for a large array, not one per cell and border that it spans. And a single one for private pages, whichever part
    // is requested: stores through another one would not be visible.
    const one = this.byteLength > CELL || this.#access === 'copy-on-write';
    const whole = one && this.byteLength <= this.maxWindow && this.#inFile();
    const window = whole ? this.#windows.window(this.#offset, this.byteLength) : this.#windows.window(at, length);
    return new Uint8Array(window.buffer, at - window.offset, length);
  }

  write(offset: number, bytes: Uint8Array): void {
    this.#check(offset, bytes.length);
    if (this.#access === 'write') {
      const { file } = this.#windows;
      // With the blocks of a hole allocated, the filesystem need not find room for them page by page: 64 MiB of planes take
      // 4.2 ms instead of 5.5 on ext4, and 1 us more where nothing is missing. The write reports a full disk.
      if (bytes.length >= RESERVE_BYTES) file.reserve(this.#offset + offset, bytes.length);
      file.write(this.#offset + offset, bytes);
    } else if (this.#access === 'copy-on-write') {
      this.#stretches(offset, bytes.length, (view, done) => view.set(bytes.subarray(done, done + view.length)));
    } else {
      throw new MmdError('READ_ONLY', `${this.#windows.file.name}: the array is mapped for reading only`, {
        path: this.#windows.file.name,
      });
    }
  }

  place(buffer?: ArrayBufferLike): { readonly in: object; readonly at: number } | undefined {
    const at = buffer === undefined ? this.#offset : this.#windows.startOf(buffer);
    return at === undefined ? undefined : { in: this.#windows.file, at };
  }

  flush(offset: number, length: number): void {
    this.#check(offset, length);
    if (this.#access !== 'write') return;
    const { sys, file } = this.#windows;
    this.#pages(offset, length, (address, size) => {
      const result = sys.msync(address, size, sys.platform.MS_SYNC);
      if (result < 0) {
        const error = errnoError(result, 'msync', file.name, this.#offset + offset);
        file.poison(error);
        throw error;
      }
    });
  }

  advise(offset: number, length: number, advice: Advice): void {
    this.#check(offset, length);
    // On private pages it would discard the caller's changes.
    if (advice === 'dontneed' && this.#access === 'copy-on-write') return;
    const { sys } = this.#windows;
    // Advice is a hint: if the kernel rejects it, nothing is lost.
    this.#pages(offset, length, (address, size) => sys.madvise(address, size, ADVICE[advice]));
  }

  mapFixed(
    target: ArrayBuffer,
    targetOffset: number,
    offset: number,
    length: number,
    room?: number,
  ): FixedStretch | undefined {
    this.#check(offset, length);
    const { sys, file } = this.#windows;
    // Private pages hold changes that are not in the file.
    if (this.#access === 'copy-on-write' || length === 0) return undefined;
    const start = this.#offset + offset;
    const skip = start % sys.pageSize;
    const size = roundUp(skip + length, sys.pageSize);
    const base = sys.address(target) + targetOffset;
    // Aligned so, pages that the kernel keeps in 2 MiB blocks are mapped a block at a time: 512 faults per GiB, not 16,384.
    const shift = (((start - skip - base) % HUGE_PAGE) + HUGE_PAGE) % HUGE_PAGE;
    const address = base + (shift + size <= (room ?? 0) ? shift : 0);
    const at = targetOffset + (address - base);
    if (
      address % sys.pageSize !== 0 ||
      !(targetOffset >= 0 && at + size <= target.byteLength) ||
      start + length > file.size()
    ) {
      return undefined;
    }
    const result = this.#windows.fixed(address, size, start - skip);
    if (result < 0) return undefined;
    const { stretches } = this.#windows;
    const stretch: FixedStretch = {
      at: at + skip,
      get released() {
        return !stretches.has(stretch);
      },
      prefetch: (from, count) => {
        const { MADV_POPULATE_READ } = sys.platform;
        if (MADV_POPULATE_READ === undefined || stretch.released) return;
        const first = skip + from - ((skip + from) % sys.pageSize);
        // Pages that it cannot bring in are faulted in later.
        const end = Math.min(size, roundUp(skip + from + count, sys.pageSize));
        if (first < end) sys.madvise(address + first, end - first, MADV_POPULATE_READ);
      },
      release: () => {
        if (!stretches.delete(stretch)) return;
        // A memory that grew may have moved; then the range is no longer ours.
        if (target.byteLength === 0 || sys.address(target) + at !== address) return;
        this.#windows.blank(address, size);
      },
    };
    stretches.add(stretch);
    return stretch;
  }

  /** Whether the whole range lies inside the file by now. */
  #inFile(): boolean {
    return (this.#insideFile ||= this.#offset + this.byteLength <= this.#windows.file.size());
  }

  #check(offset: number, length: number): void {
    const { file } = this.#windows;
    checkInside(file.name, offset, length, this.byteLength);
    if (file.closed) throw new MmdError('CLOSED', `${file.name}: the file is closed`, { path: file.name });
  }

  #stretches(offset: number, length: number, visit: (view: Uint8Array, done: number) => void): void {
    for (let done = 0; done < length; ) {
      const count = Math.min(this.maxWindow, length - done);
      visit(this.bytes(offset + done, count), done);
      done += count;
    }
  }

  /** Calls back with the pages that contain the range, window by window. */
  #pages(offset: number, length: number, visit: (address: number, size: number) => void): void {
    const { pageSize } = this.#windows.sys;
    for (let done = 0; done < length; ) {
      const count = Math.min(this.maxWindow, length - done);
      const at = this.#offset + offset + done;
      const window = this.#windows.window(at, count);
      const start = at - window.offset;
      const first = start - (start % pageSize);
      visit(window.address + first, roundUp(start + count, pageSize) - first);
      done += count;
    }
  }
}

function roundUp(value: number, unit: number): number {
  const rest = value % unit;
  return rest === 0 ? value : value + unit - rest;
}
