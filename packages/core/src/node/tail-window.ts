/**
 * The mapping through which commits of small appends are stored.
 *
 * @module
 */

import { MmdError } from '../errors.ts';
import { errnoError } from './errno.ts';
import {
  MAP_FIXED,
  MAP_PRIVATE,
  MAP_SHARED,
  type PlatformConstants,
  PROT_READ,
  PROT_WRITE,
  type Syscalls,
} from './syscalls.ts';

/** Bytes of the window: moving it costs microseconds, once per thousands of small appends. */
const LENGTH = 2 ** 18;

/**
 * A window that moves along with the end of a growing file. It always reuses the same memory: otherwise every few small
 * appends would take another mapping, and a process has 65530.
 *
 * Pages beyond the end of the file are mapped too; touching one kills the process. So the buffer never leaves this
 * class, and the caller stores only where it has written, and loads only what it knows to be inside the file.
 */
export class TailWindow {
  readonly #sys: Syscalls;
  readonly #fd: number;
  readonly #name: string;
  readonly #address: number;
  readonly #bytes: Uint8Array;
  readonly #words: Int32Array;
  /** File offset of the window's first byte. */
  #start = -LENGTH;

  constructor(sys: Syscalls, fd: number, name: string) {
    this.#sys = sys;
    this.#fd = fd;
    this.#name = name;
    const address = sys.mmap(0, LENGTH, PROT_READ | PROT_WRITE, anonymous(sys.platform), -1, 0);
    if (address < 0) throw errnoError(address, `reserving ${LENGTH} bytes of address space`, name);
    this.#address = address;
    let buffer: ArrayBuffer;
    try {
      buffer = sys.view(address, LENGTH);
    } catch (cause) {
      sys.munmap(address, LENGTH);
      throw new MmdError('IO', `${name}: this runtime does not allow external memory`, { path: name, cause });
    }
    sys.unmapWith(buffer, { address, length: LENGTH });
    this.#bytes = new Uint8Array(buffer);
    this.#words = new Int32Array(buffer);
  }

  /** See `StorageFile.storePair`; the two bytes lie within a multiple of 4. */
  storePair(offset: number, word: number, halfOffset: number, half: number): void {
    if (offset < this.#start || halfOffset + 2 > this.#start + LENGTH) this.move(offset);
    const bytes = this.#bytes;
    const at = offset - this.#start;
    // A DataView also stores byte by byte until it is compiled; this makes it explicit.
    bytes[at] = word;
    bytes[at + 1] = word >> 8;
    bytes[at + 2] = word >> 16;
    bytes[at + 3] = word >> 24;
    const pos = halfOffset - this.#start;
    const shift = (pos & 3) << 3;
    const words = this.#words;
    const index = pos >> 2;
    const commit = (words[index]! & ~(0xffff << shift)) | ((half & 0xffff) << shift);
    // No processor may see the commit before what was written and stored ahead of it.
    if (this.#sys.platform.storesInOrder) words[index] = commit;
    else Atomics.store(words, index, commit);
  }

  /** Whether the window covers a range of the file. */
  covers(offset: number, length: number): boolean {
    return offset >= this.#start && offset + length <= this.#start + LENGTH;
  }

  /** Whether the file holds these bytes at `offset`, a range that the window covers. */
  holds(offset: number, bytes: Uint8Array): boolean {
    const at = offset - this.#start;
    const window = this.#bytes;
    for (let i = 0; i < bytes.length; i++) if (window[at + i] !== bytes[i]) return false;
    return true;
  }

  /** Unmaps the file; the memory is freed when it is garbage. */
  close(): void {
    const flags = anonymous(this.#sys.platform) | MAP_FIXED;
    this.#sys.mmap(this.#address, LENGTH, PROT_READ | PROT_WRITE, flags, -1, 0);
    this.#start = -LENGTH;
  }

  /** Moves the window over `offset` and what follows it. */
  move(offset: number): void {
    const start = offset - (offset % this.#sys.pageSize);
    const flags = MAP_SHARED | MAP_FIXED;
    // If this fails, the old pages may be gone all the same: nothing may touch them.
    this.#start = -LENGTH;
    const result = this.#sys.mmap(this.#address, LENGTH, PROT_READ | PROT_WRITE, flags, this.#fd, start);
    if (result < 0) throw errnoError(result, `mapping ${LENGTH} bytes`, this.#name, start);
    this.#start = start;
  }
}

function anonymous({ MAP_ANONYMOUS, MAP_NORESERVE }: PlatformConstants): number {
  return MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
}
