/**
 * Files in memory, and the disk that holds them: for tests, for browsers, for dicts that are sent elsewhere.
 *
 * @module
 */

import { MmdError } from '../errors.ts';
import type { ArrayMemory } from '../ndarray/array-memory.ts';
import { copyThroughMemory } from './copy.ts';
import { MemoryMapping } from './memory-mapping.ts';
import { type LockWaiter, MemoryNode } from './memory-node.ts';
import { checkInside, checkRange } from './range.ts';
import type { DataRange, FileIdentity, MapAccess, StorageFile } from './storage-file.ts';

/** Options of {@link MemoryDisk}. */
export interface MemoryDiskOptions {
  /** How many bytes all files together may hold before writes fail with NO_SPACE. Default: 2^53 - 1. */
  readonly capacity?: number;
  /** How large a file may grow once any part of it is mapped (address space, not memory). Default 1 GiB. */
  readonly maxMappedSize?: number;
}

/**
 * A set of named files in memory, so that `open`, `renameOver` and `remove` of
 * {@link StorageFile} work as they do on a disk. Handles of one file share its bytes and its lock.
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

  /** The file names, in order of creation. */
  names(): string[] {
    return [...this.#nodes.keys()];
  }

  /** The total size of all named files, in bytes. */
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
      throw new MmdError('ALREADY_EXISTS', `${name}: the file already exists`, { path: name, errno: 'EEXIST' });
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

  /** The file that a name refers to now. */
  node(name: string): MemoryNode | undefined {
    return this.#nodes.get(name);
  }

  /** Names the file `to`; its earlier names are dropped. */
  rename(node: MemoryNode, to: string): void {
    for (const [name, other] of this.#nodes) if (other === node) this.#nodes.delete(name);
    this.#nodes.set(to, node);
  }

  /** Removes a name; open handles keep the file. */
  remove(name: string): void {
    this.#nodes.delete(name);
  }

  /** @throws NO_SPACE when `more` bytes exceed the capacity */
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

/**
 * A file in memory. Created by {@link MemoryDisk.open}, or on a disk of its own by {@link MemoryFile.of}.
 *
 * Mapped views share the file's bytes, even with access `'read'`: memory has no pages to
 * protect. They are views of a resizable `ArrayBuffer`, of which a few web APIs (TextDecoder, Blob) need a copy.
 *
 * @example
 * ```ts
 * import { MemoryFile } from '@mmdpickle/core/storage';
 *
 * const file = MemoryFile.of(new Uint8Array([1, 2, 3]));
 * file.write(3, new Uint8Array([4]));
 * file.toBytes(); // Uint8Array [1, 2, 3, 4]
 * ```
 */
export class MemoryFile implements StorageFile {
  readonly writable: boolean;
  #name: string;
  readonly #disk: MemoryDisk;
  readonly #node: MemoryNode;
  #closed = false;

  /** Use {@link MemoryDisk.open} or {@link MemoryFile.of}. */
  constructor(disk: MemoryDisk, node: MemoryNode, name: string, writable: boolean) {
    this.#disk = disk;
    this.#node = node;
    this.#name = name;
    this.writable = writable;
  }

  /** A writable file, on a disk of its own, that holds a copy of `bytes`. */
  static of(bytes: Uint8Array = new Uint8Array(0), name = 'memory'): MemoryFile {
    if (!(bytes instanceof Uint8Array)) {
      throw new MmdError('INVALID_ARGUMENT', `expected a Uint8Array, found ${typeof bytes}`, { found: bytes });
    }
    const file = new MemoryDisk().open(name, 'create-new');
    file.write(0, bytes);
    return file;
  }

  get name(): string {
    return this.#name;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** The disk that holds the file. */
  get disk(): MemoryDisk {
    return this.#disk;
  }

  /** A copy of the whole file, or of the file that has replaced it under its name since, as after a vacuum. */
  toBytes(): Uint8Array<ArrayBuffer> {
    const { bytes, size } = this.#disk.node(this.#name) ?? this.#node;
    return bytes.slice(0, size);
  }

  size(): number {
    return this.#alive().size;
  }

  identity(): FileIdentity {
    return { dev: 0n, ino: this.#alive().ino };
  }

  identityOfName(): FileIdentity | undefined {
    this.#alive();
    const node = this.#disk.node(this.name);
    return node && { dev: 0n, ino: node.ino };
  }

  removed(): boolean {
    const node = this.#alive();
    return this.#disk.names().every((name) => this.#disk.node(name) !== node);
  }

  read(offset: number, into: Uint8Array): number {
    const node = this.#alive();
    checkRange(this.name, offset, into.length);
    const count = Math.max(0, Math.min(into.length, node.size - offset));
    into.set(node.bytes.subarray(offset, offset + count));
    return count;
  }

  endsWith(offset: number, bytes: Uint8Array): boolean {
    this.#change();
    const found = new Uint8Array(bytes.length);
    return this.read(offset, found) === found.length && found.every((byte, i) => byte === bytes[i]);
  }

  write(offset: number, bytes: Uint8Array, length: number = bytes.length): void {
    const node = this.#change();
    checkRange(this.name, offset, length);
    if (length === 0) return;
    this.#grow(node, offset + length);
    node.bytes.set(length === bytes.length ? bytes : bytes.subarray(0, length), offset);
  }

  writeParts(offset: number, parts: readonly Uint8Array[]): void {
    const node = this.#change();
    let total = 0;
    for (const part of parts) total += part.length;
    checkRange(this.name, offset, total);
    if (total === 0) return;
    this.#grow(node, offset + total);
    let at = offset;
    for (const part of parts) {
      node.bytes.set(part, at);
      at += part.length;
    }
  }

  storeI32(offset: number, value: number): void {
    this.#inside(this.#change(), offset, 4).setInt32(offset, value, true);
  }

  storeI64(offset: number, value: bigint): void {
    this.#inside(this.#change(), offset, 8).setBigInt64(offset, value, true);
  }

  storePair(offset: number, word: number, halfOffset: number, half: number): boolean {
    const view = this.#inside(this.#change(), offset, halfOffset + 2 - offset);
    if ((halfOffset & 3) === 3) return false;
    view.setInt32(offset, word, true);
    view.setInt16(halfOffset, half, true);
    return true;
  }

  loadI32(offset: number): number {
    return this.#inside(this.#alive(), offset, 4).getInt32(offset, true);
  }

  loadI64(offset: number): bigint {
    return this.#inside(this.#alive(), offset, 8).getBigInt64(offset, true);
  }

  truncate(size: number): void {
    const node = this.#change();
    checkRange(this.name, size, 0);
    this.#disk.charge(this.name, size - node.size);
    node.resize(size);
  }

  sync(): void {
    this.#change();
  }

  allocate(offset: number, length: number, options: { readonly keepSize?: boolean } = {}): void {
    const node = this.#change();
    checkRange(this.name, offset, length);
    if (length === 0) return;
    this.#disk.charge(this.name, offset + length - node.size);
    if (options.keepSize !== true) this.#grow(node, offset + length);
  }

  punchHole(offset: number, length: number): boolean {
    const node = this.#change();
    checkRange(this.name, offset, length);
    node.bytes.fill(0, offset, Math.min(offset + length, node.size));
    return true;
  }

  dataRanges(offset: number, end: number): DataRange[] {
    const node = this.#alive();
    checkRange(this.name, offset, Math.max(0, end - offset));
    const stop = Math.min(end, node.size);
    return offset < stop ? [{ offset, end: stop }] : [];
  }

  copyFrom(source: StorageFile, sourceOffset: number, offset: number, length: number, buffer?: Uint8Array): void {
    this.#change();
    checkRange(this.name, offset, length);
    checkRange(source.name, sourceOffset, length);
    copyThroughMemory(source, sourceOffset, this, offset, length, buffer);
  }

  map(offset: number, length: number, access: MapAccess): ArrayMemory {
    const node = this.#alive();
    checkRange(this.name, offset, length);
    if (access === 'write') this.#change();
    const bytes = access === 'copy-on-write' ? copyOf(node, offset, length) : node.pinned(offset, length);
    return new MemoryMapping(this, bytes, offset, access);
  }

  lock(timeoutMs: number): void {
    const node = this.#alive();
    if (this.#tryLock(node)) return;
    // The holder runs in this thread, so it cannot release the lock while we wait.
    throw this.#locked(timeoutMs);
  }

  tryLock(): boolean {
    return this.#tryLock(this.#alive());
  }

  lockAsync(timeoutMs: number, signal?: AbortSignal, _meanwhile?: () => boolean, work?: () => void): Promise<void> {
    return new Promise((resolve, reject) => {
      signal?.throwIfAborted();
      const node = this.#alive();
      // `work` needs the lock exclusively: it also waits for whatever this handle is doing under the lock.
      const waits = work !== undefined && node.owner === this;
      if (!waits && this.#tryLock(node)) return resolve(work?.());
      if (!waits && timeoutMs <= 0) return reject(this.#locked(timeoutMs));
      const give = (error: unknown): void => {
        const at = node.waiters.indexOf(waiter);
        if (at >= 0) node.waiters.splice(at, 1);
        settle();
        reject(error);
      };
      const onAbort = (): void => give(signal?.reason);
      const timer = timeoutMs < 2 ** 31 ? setTimeout(() => give(this.#locked(timeoutMs)), timeoutMs) : undefined;
      const settle = (): void => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', onAbort);
      };
      const waiter: LockWaiter = {
        handle: this,
        works: work !== undefined,
        granted: () => {
          settle();
          try {
            resolve(work?.());
          } catch (error) {
            reject(error);
          }
        },
        refused: give,
      };
      signal?.addEventListener('abort', onAbort);
      node.waiters.push(waiter);
    });
  }

  unlock(): void {
    const node = this.#alive();
    if (node.owner !== this) {
      throw new MmdError('INVALID_ARGUMENT', `${this.name}: unlock without a lock`, { path: this.name });
    }
    if (--node.depth === 0) this.#release(node);
  }

  open(name: string, mode: 'r' | 'r+' | 'create-new'): StorageFile {
    this.#alive();
    return this.#disk.open(name, mode);
  }

  renameOver(name: string): void {
    this.#disk.rename(this.#change(), name);
    this.#name = name;
  }

  remove(name: string): void {
    this.#alive();
    this.#disk.remove(name);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    const text = `${this.name}: the file was closed while waiting for its lock`;
    this.#node.dismiss(this, new MmdError('CLOSED', text, { path: this.name }));
    if (this.#node.owner === this) this.#release(this.#node);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #alive(): MemoryNode {
    if (this.#closed) throw new MmdError('CLOSED', `${this.name}: the file is closed`, { path: this.name });
    return this.#node;
  }

  #change(): MemoryNode {
    const node = this.#alive();
    if (!this.writable) {
      throw new MmdError('READ_ONLY', `${this.name}: the file is open for reading only`, { path: this.name });
    }
    return node;
  }

  #grow(node: MemoryNode, end: number): void {
    if (end <= node.size) return;
    this.#disk.charge(this.name, end - node.size);
    node.resize(end);
  }

  #inside(node: MemoryNode, offset: number, length: number): DataView {
    checkInside(this.name, offset, length, node.size);
    return new DataView(node.bytes.buffer, node.bytes.byteOffset, node.size);
  }

  #tryLock(node: MemoryNode): boolean {
    if (node.owner !== undefined && node.owner !== this) return false;
    node.owner = this;
    node.depth++;
    return true;
  }

  #release(node: MemoryNode): void {
    node.owner = undefined;
    node.depth = 0;
    node.passOn();
  }

  #locked(timeoutMs: number): MmdError {
    return new MmdError('LOCKED', `${this.name}: another handle holds the lock (waited ${timeoutMs} ms)`, {
      path: this.name,
    });
  }
}

function copyOf(node: MemoryNode, offset: number, length: number): Uint8Array {
  const copy = new Uint8Array(length);
  copy.set(node.bytes.subarray(offset, Math.min(offset + length, node.size)));
  return copy;
}
