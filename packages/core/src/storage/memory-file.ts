/**
 * A {@link StorageFile} in memory: for tests, for browsers, for dicts that are sent elsewhere.
 *
 * @module
 */

import { MmdError } from '../errors.ts';
import type { ArrayMemory } from '../ndarray/array-memory.ts';
import { copyThroughMemory } from './copy.ts';
import { MemoryDisk } from './memory-disk.ts';
import type { LockWaiter, MemoryNode } from './memory-node.ts';
import { checkInside, checkRange } from './range.ts';
import type { DataRange, FileIdentity, MapAccess, StorageFile } from './storage-file.ts';

/**
 * A file in memory. Made by {@link MemoryDisk.open}, or alone by {@link MemoryFile.of}.
 *
 * Mapped views share the file's bytes, also those of access `'read'`: memory has no pages to
 * protect. They lie over a resizable `ArrayBuffer`; a few web APIs (TextDecoder, Blob) want a copy of it.
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

  /** A writable file of its own disk that holds a copy of `bytes`. */
  static of(bytes: Uint8Array = new Uint8Array(0), name = 'memory'): MemoryFile {
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

  /** A copy of the whole file. */
  toBytes(): Uint8Array {
    return this.#node.bytes.slice(0, this.#node.size);
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

  read(offset: number, into: Uint8Array): number {
    const node = this.#alive();
    checkRange(this.name, offset, into.length);
    const count = Math.max(0, Math.min(into.length, node.size - offset));
    into.set(node.bytes.subarray(offset, offset + count));
    return count;
  }

  write(offset: number, bytes: Uint8Array): void {
    const node = this.#change();
    checkRange(this.name, offset, bytes.length);
    if (bytes.length === 0) return;
    this.#grow(node, offset + bytes.length);
    node.bytes.set(bytes, offset);
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
    if (length === 0) throw new MmdError('INVALID_ARGUMENT', `${this.name}: allocate: length 0`, { path: this.name });
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

  copyFrom(source: StorageFile, sourceOffset: number, offset: number, length: number): void {
    this.#change();
    checkRange(this.name, offset, length);
    checkRange(source.name, sourceOffset, length);
    copyThroughMemory(source, sourceOffset, this, offset, length);
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
    // The holder runs in this very thread: it cannot let go while we wait.
    throw this.#locked(timeoutMs);
  }

  lockAsync(timeoutMs: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      signal?.throwIfAborted();
      const node = this.#alive();
      if (this.#tryLock(node)) return resolve();
      if (timeoutMs <= 0) return reject(this.#locked(timeoutMs));
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
        granted: () => {
          settle();
          resolve();
        },
      };
      signal?.addEventListener('abort', onAbort);
      node.waiters.push(waiter);
    });
  }

  unlock(): void {
    const node = this.#alive();
    if (node.owner !== this) {
      throw new MmdError('INVALID_ARGUMENT', `${this.name}: unlock without lock`, { path: this.name });
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

/** A stretch of a {@link MemoryFile}. */
class MemoryMapping implements ArrayMemory {
  readonly byteLength: number;
  readonly writable: boolean;
  readonly maxWindow: number;
  readonly #file: MemoryFile;
  readonly #bytes: Uint8Array;
  readonly #offset: number;
  readonly #through: boolean;

  constructor(file: MemoryFile, bytes: Uint8Array, offset: number, access: MapAccess) {
    this.#file = file;
    this.#bytes = bytes;
    this.#offset = offset;
    this.#through = access === 'write';
    this.byteLength = bytes.length;
    this.maxWindow = bytes.length;
    this.writable = access !== 'read';
  }

  get closed(): boolean {
    return this.#file.closed;
  }

  bytes(offset: number, length: number): Uint8Array {
    checkInside(this.#file.name, offset, length, this.byteLength);
    if (this.closed) throw new MmdError('CLOSED', `${this.#file.name}: the file is closed`, { path: this.#file.name });
    return new Uint8Array(this.#bytes.buffer, this.#bytes.byteOffset + offset, length);
  }

  write(offset: number, bytes: Uint8Array): void {
    checkInside(this.#file.name, offset, bytes.length, this.byteLength);
    if (!this.writable) {
      throw new MmdError('READ_ONLY', `${this.#file.name}: mapped for reading`, { path: this.#file.name });
    }
    if (this.#through) this.#file.write(this.#offset + offset, bytes);
    else this.bytes(offset, bytes.length).set(bytes);
  }

  flush(): void {}
}

function copyOf(node: MemoryNode, offset: number, length: number): Uint8Array {
  const copy = new Uint8Array(length);
  copy.set(node.bytes.subarray(offset, Math.min(offset + length, node.size)));
  return copy;
}
