/**
 * A file that passes every call on to another one, for classes that do some of it in their own way.
 *
 * @module
 */

import type { ArrayMemory } from '../ndarray/array-memory.ts';
import type { DataRange, FileIdentity, MapAccess, StorageFile } from './storage-file.ts';

/** Every call goes to {@link PassThroughFile.inner}, which is closed with this one. */
export class PassThroughFile implements StorageFile {
  /** The file that does the work. */
  readonly inner: StorageFile;

  constructor(inner: StorageFile) {
    this.inner = inner;
  }

  get name(): string {
    return this.inner.name;
  }

  get writable(): boolean {
    return this.inner.writable;
  }

  get closed(): boolean {
    return this.inner.closed;
  }

  size(): number {
    return this.inner.size();
  }

  identity(): FileIdentity {
    return this.inner.identity();
  }

  identityOfName(): FileIdentity | undefined {
    return this.inner.identityOfName();
  }

  removed(): boolean {
    return this.inner.removed();
  }

  read(offset: number, into: Uint8Array): number {
    return this.inner.read(offset, into);
  }

  endsWith(offset: number, bytes: Uint8Array): boolean {
    return this.inner.endsWith(offset, bytes);
  }

  write(offset: number, bytes: Uint8Array, length?: number): void {
    this.inner.write(offset, bytes, length);
  }

  writeParts(offset: number, parts: readonly Uint8Array[]): void {
    this.inner.writeParts(offset, parts);
  }

  storeI32(offset: number, value: number): void {
    this.inner.storeI32(offset, value);
  }

  storeI64(offset: number, value: bigint): void {
    this.inner.storeI64(offset, value);
  }

  storePair(offset: number, word: number, halfOffset: number, half: number): boolean {
    return this.inner.storePair(offset, word, halfOffset, half);
  }

  loadI32(offset: number): number {
    return this.inner.loadI32(offset);
  }

  loadI64(offset: number): bigint {
    return this.inner.loadI64(offset);
  }

  truncate(size: number): void {
    this.inner.truncate(size);
  }

  sync(): void {
    this.inner.sync();
  }

  allocate(...range: Parameters<StorageFile['allocate']>): void {
    this.inner.allocate(...range);
  }

  punchHole(offset: number, length: number): boolean {
    return this.inner.punchHole(offset, length);
  }

  dataRanges(offset: number, end: number): DataRange[] {
    return this.inner.dataRanges(offset, end);
  }

  copyFrom(...range: Parameters<StorageFile['copyFrom']>): void {
    this.inner.copyFrom(...range);
  }

  map(offset: number, length: number, access: MapAccess): ArrayMemory {
    return this.inner.map(offset, length, access);
  }

  lock(timeoutMs: number): void {
    this.inner.lock(timeoutMs);
  }

  tryLock(): boolean {
    return this.inner.tryLock();
  }

  lockAsync(...how: Parameters<StorageFile['lockAsync']>): Promise<void> {
    return this.inner.lockAsync(...how);
  }

  unlock(): void {
    this.inner.unlock();
  }

  /** Not one of these, but the file itself. */
  open(name: string, mode: 'r' | 'r+' | 'create-new'): StorageFile {
    return this.inner.open(name, mode);
  }

  renameOver(name: string): void {
    this.inner.renameOver(name);
  }

  remove(name: string): void {
    this.inner.remove(name);
  }

  close(): void {
    this.inner.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
