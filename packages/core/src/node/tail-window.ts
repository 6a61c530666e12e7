/**
 * The mapping that commits of small appends are stored through.
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

/** Bytes of the window: a move costs microseconds, once for thousands of small appends. */
const LENGTH = 2 ** 18;

/**
 * A window that moves along with the end of a growing file. One stretch of memory serves for ever: a file of many small
 * appends would else take a mapping every few of them, and a process has 65530.
 *
 * Pages beyond the end of the file are mapped too; touching one kills the process. So the buffer never leaves this
 * class, and the caller stores only where it wrote, and loads where it knows the file to be.
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
      throw new MmdError('IO', `${name}: this runtime allows no external memory`, { path: name, cause });
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
    // A DataView stores byte by byte until it is compiled: so does this, and says it.
    bytes[at] = word;
    bytes[at + 1] = word >> 8;
    bytes[at + 2] = word >> 16;
    bytes[at + 3] = word >> 24;
    const pos = halfOffset - this.#start;
    const shift = (pos & 3) << 3;
    const words = this.#words;
    const index = pos >> 2;
    const commit = (words[index]! & ~(0xffff << shift)) | ((half & 0xffff) << shift);
    // No processor may show the commit before what was written and stored ahead of it.
    if (this.#sys.platform.storesInOrder) words[index] = commit;
    else Atomics.store(words, index, commit);
  }

  /** Whether the window lies over a range of the file. */
  covers(offset: number, length: number): boolean {
    return offset >= this.#start && offset + length <= this.#start + LENGTH;
  }

  /** Whether the file holds these bytes, which the window lies over. */
  holds(offset: number, bytes: Uint8Array): boolean {
    const at = offset - this.#start;
    const window = this.#bytes;
    for (let i = 0; i < bytes.length; i++) if (window[at + i] !== bytes[i]) return false;
    return true;
  }

  /** Lets the file go; the memory goes when it is garbage. */
  close(): void {
    const flags = anonymous(this.#sys.platform) | MAP_FIXED;
    this.#sys.mmap(this.#address, LENGTH, PROT_READ | PROT_WRITE, flags, -1, 0);
    this.#start = -LENGTH;
  }

  /** Lays the window over what stands at `offset` and behind it. */
  move(offset: number): void {
    const start = offset - (offset % this.#sys.pageSize);
    const flags = MAP_SHARED | MAP_FIXED;
    const result = this.#sys.mmap(this.#address, LENGTH, PROT_READ | PROT_WRITE, flags, this.#fd, start);
    if (result < 0) throw errnoError(result, `mapping of ${LENGTH} bytes`, this.#name, start);
    this.#start = start;
  }
}

function anonymous({ MAP_ANONYMOUS, MAP_NORESERVE }: PlatformConstants): number {
  return MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
}
