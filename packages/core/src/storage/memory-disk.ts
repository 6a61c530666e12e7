/**
 * Named files in memory: what a directory is to real files.
 *
 * @module
 */

import { MmdError } from '../errors.ts';
import { MemoryFile } from './memory-file.ts';
import { MemoryNode } from './memory-node.ts';

/** Options of {@link MemoryDisk}. */
export interface MemoryDiskOptions {
  /** How many bytes all files may hold together before writes fail with NO_SPACE. Default: 2^53 - 1. */
  readonly capacity?: number;
  /** How large one file may grow once a part of it is mapped (address space, not memory). Default 1 GiB. */
  readonly maxMappedSize?: number;
}

/**
 * A set of named files in memory, so that `open`, `renameOver` and `remove` of
 * {@link StorageFile} work as they do on a disk. Handles of one name share bytes and lock.
 *
 * @example
 * ```ts
 * import { MemoryDisk } from '@mmdpickle/core/storage';
 *
 * const disk = new MemoryDisk();
 * const file = disk.open('a.bin', 'create-new');
 * file.write(0, new Uint8Array([1, 2, 3]));
 * disk.open('a.bin', 'r').size(); // 3
 * ```
 */
export class MemoryDisk {
  readonly capacity: number;
  readonly maxMappedSize: number;
  readonly #nodes = new Map<string, MemoryNode>();
  #inodes = 0n;

  constructor(options: MemoryDiskOptions = {}) {
    this.capacity = options.capacity ?? Number.MAX_SAFE_INTEGER;
    this.maxMappedSize = options.maxMappedSize ?? 2 ** 30;
  }

  /** The names, in the order of their creation. */
  names(): string[] {
    return [...this.#nodes.keys()];
  }

  /** The bytes of all named files. */
  used(): number {
    let sum = 0;
    for (const node of this.#nodes.values()) sum += node.size;
    return sum;
  }

  /**
   * Opens a named file.
   * @param mode - `'r'`, `'r+'`, `'a'` (opens or creates) or `'create-new'`
   * @throws NOT_FOUND, ALREADY_EXISTS
   */
  open(name: string, mode: 'r' | 'r+' | 'a' | 'create-new'): MemoryFile {
    let node = this.#nodes.get(name);
    if (node !== undefined && mode === 'create-new') {
      throw new MmdError('ALREADY_EXISTS', `${name}: the file exists already`, { path: name, errno: 'EEXIST' });
    }
    if (node === undefined) {
      if (mode === 'r' || mode === 'r+') {
        throw new MmdError('NOT_FOUND', `${name}: no such file`, { path: name, errno: 'ENOENT' });
      }
      node = new MemoryNode(++this.#inodes, this.maxMappedSize);
      this.#nodes.set(name, node);
    }
    return new MemoryFile(this, node, name, mode !== 'r');
  }

  /** What a name stands for now. */
  node(name: string): MemoryNode | undefined {
    return this.#nodes.get(name);
  }

  /** Gives `to` to the file; names that it had before are dropped. */
  rename(node: MemoryNode, to: string): void {
    for (const [name, other] of this.#nodes) if (other === node) this.#nodes.delete(name);
    this.#nodes.set(to, node);
  }

  /** Removes a name; open handles keep the file. */
  remove(name: string): void {
    this.#nodes.delete(name);
  }

  /** @throws NO_SPACE when `more` bytes do not fit any more */
  charge(name: string, more: number): void {
    if (more > 0 && this.used() + more > this.capacity) {
      throw new MmdError('NO_SPACE', `${name}: the memory disk of ${this.capacity} bytes is full`, {
        path: name,
        errno: 'ENOSPC',
        maximum: this.capacity,
      });
    }
  }
}
