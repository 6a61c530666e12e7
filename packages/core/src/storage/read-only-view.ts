/**
 * A file through another one that cannot change it, for classes that read it in their own way.
 *
 * @module
 */

import { newBytes } from '../bytes/index.ts';
import { MmdError } from '../errors.ts';
import type { ArrayMemory } from '../ndarray/array-memory.ts';
import { MemoryMapping } from './memory-mapping.ts';
import type { DataRange, FileIdentity, MapAccess, StorageFile } from './storage-file.ts';

/** Everything is read by {@link ReadOnlyView.read}; nothing is mapped. */
export class ReadOnlyView implements StorageFile {
  readonly writable = false;
  /** The file that is read; closed with this one. */
  protected readonly file: StorageFile;

  constructor(file: StorageFile) {
    this.file = file;
  }

  get name(): string {
    return this.file.name;
  }

  get closed(): boolean {
    return this.file.closed;
  }

  size(): number {
    return this.file.size();
  }

  identity(): FileIdentity {
    return this.file.identity();
  }

  identityOfName(): FileIdentity | undefined {
    return this.file.identityOfName();
  }

  removed(): boolean {
    return this.file.removed();
  }

  read(offset: number, into: Uint8Array): number {
    return this.file.read(offset, into);
  }

  dataRanges(offset: number, end: number): DataRange[] {
    return this.file.dataRanges(offset, end);
  }

  loadI32(offset: number): number {
    return new DataView(this.#bytes(offset, 4).buffer).getInt32(0, true);
  }

  loadI64(offset: number): bigint {
    return new DataView(this.#bytes(offset, 8).buffer).getBigInt64(0, true);
  }

  /** A copy of the bytes. */
  map(offset: number, length: number, access: MapAccess): ArrayMemory {
    if (access === 'write') this.#refuse();
    return new MemoryMapping(this, this.#bytes(offset, length), offset, access);
  }

  #bytes(offset: number, length: number): Uint8Array<ArrayBuffer> {
    const bytes = newBytes(length, 'a range');
    this.read(offset, bytes);
    return bytes;
  }

  lock(timeoutMs: number): void {
    this.file.lock(timeoutMs);
  }

  tryLock(): boolean {
    return this.file.tryLock();
  }

  lockAsync(...args: Parameters<StorageFile['lockAsync']>): Promise<void> {
    return this.file.lockAsync(...args);
  }

  unlock(): void {
    this.file.unlock();
  }

  /** Not a view, but the file itself. */
  open(name: string, mode: 'r' | 'r+' | 'create-new'): StorageFile {
    return this.file.open(name, mode);
  }

  close(): void {
    this.file.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #refuse(): never {
    throw new MmdError('READ_ONLY', `${this.name}: the file is open for reading only`, { path: this.name });
  }

  endsWith(): never {
    this.#refuse();
  }

  write(): never {
    this.#refuse();
  }

  writeParts(): never {
    this.#refuse();
  }

  storeI32(): never {
    this.#refuse();
  }

  storeI64(): never {
    this.#refuse();
  }

  storePair(): never {
    this.#refuse();
  }

  truncate(): never {
    this.#refuse();
  }

  sync(): never {
    this.#refuse();
  }

  allocate(): never {
    this.#refuse();
  }

  punchHole(): never {
    this.#refuse();
  }

  copyFrom(): never {
    this.#refuse();
  }

  renameOver(): never {
    this.#refuse();
  }

  remove(): never {
    this.#refuse();
  }
}
