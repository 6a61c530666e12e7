/**
 * A storage file that records every change for {@link crashStates}.
 *
 * @module
 */

import type { Advice, ArrayMemory, FixedStretch } from '../ndarray/array-memory.ts';
import { PassThroughFile } from '../storage/pass-through-file.ts';
import type { MapAccess, StorageFile } from '../storage/storage-file.ts';
import { CrashLog, type CrashOp } from './crash-log.ts';

const PIECE = 2 ** 20;

/**
 * Wraps any storage file and passes every call through; each change is also recorded in a {@link CrashLog} once it is
 * done. Files opened through it are recorded in the same log, so that it covers a whole replacement by rename.
 *
 * Stores through the views of a mapping are not recorded. Use `storeI32`, `storeI64` and `ArrayMemory.write`.
 *
 * @example
 * ```ts
 * import { MemoryFile } from '@mmdpickle/core/storage';
 * import { CrashFile, crashStates } from '@mmdpickle/core/testing';
 *
 * const file = CrashFile.over(MemoryFile.of(new Uint8Array([1, 2, 3])));
 * file.write(3, new Uint8Array([4, 5]));
 * for (const state of crashStates(file.log)) state.files.get('memory'); // 3, 4 and 5 bytes long
 * ```
 */
export class CrashFile extends PassThroughFile {
  readonly log: CrashLog;
  readonly #shared: Map<string, number>;
  readonly #file: number;

  private constructor(inner: StorageFile, log: CrashLog, shared: Map<string, number>, file: number) {
    super(inner);
    this.log = log;
    this.#shared = shared;
    this.#file = file;
  }

  /** Wraps an open file; its current content counts as being on disk. */
  static over(inner: StorageFile, log: CrashLog = new CrashLog()): CrashFile {
    const file = log.adopt(inner.name, contentOf(inner));
    return new CrashFile(inner, log, new Map([[identityKey(inner), file]]), file);
  }

  override write(offset: number, bytes: Uint8Array, length: number = bytes.length): void {
    this.inner.write(offset, bytes, length);
    if (length > 0) this.#record({ kind: 'write', file: this.#file, offset, bytes: bytes.slice(0, length) });
  }

  override writeParts(offset: number, parts: readonly Uint8Array[]): void {
    this.inner.writeParts(offset, parts);
    const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
    let at = 0;
    for (const part of parts) {
      bytes.set(part, at);
      at += part.length;
    }
    if (at > 0) this.#record({ kind: 'write', file: this.#file, offset, bytes });
  }

  override storeI32(offset: number, value: number): void {
    this.inner.storeI32(offset, value);
    const bytes = new Uint8Array(4);
    new DataView(bytes.buffer).setInt32(0, value, true);
    this.#record({ kind: 'store', file: this.#file, offset, bytes });
  }

  override storeI64(offset: number, value: bigint): void {
    this.inner.storeI64(offset, value);
    const bytes = new Uint8Array(8);
    new DataView(bytes.buffer).setBigInt64(0, value, true);
    this.#record({ kind: 'store', file: this.#file, offset, bytes });
  }

  override storePair(offset: number, word: number, halfOffset: number, half: number): boolean {
    if (!this.inner.storePair(offset, word, halfOffset, half)) return false;
    const bytes = new Uint8Array(4);
    new DataView(bytes.buffer).setInt32(0, word, true);
    // Stored in any order: may be torn between any two bytes.
    bytes.forEach((byte, i) => {
      this.#record({ kind: 'store', file: this.#file, offset: offset + i, bytes: Uint8Array.of(byte) });
    });
    // The machine store writes the whole word around the two bytes.
    const around = halfOffset - (halfOffset % 4);
    const whole = new Uint8Array(4);
    const count = this.inner.read(around, whole);
    this.#record({ kind: 'store', file: this.#file, offset: around, bytes: whole.subarray(0, count) });
    return true;
  }

  override truncate(size: number): void {
    this.inner.truncate(size);
    this.#record({ kind: 'truncate', file: this.#file, size });
  }

  override sync(): void {
    this.inner.sync();
    this.#record({ kind: 'sync', file: this.#file });
  }

  override allocate(offset: number, length: number, options?: { readonly keepSize?: boolean }): void {
    this.inner.allocate(offset, length, options);
    if (options?.keepSize !== true) this.#record({ kind: 'allocate', file: this.#file, size: offset + length });
  }

  override punchHole(offset: number, length: number): boolean {
    const done = this.inner.punchHole(offset, length);
    if (done) this.#record({ kind: 'punch', file: this.#file, offset, length });
    return done;
  }

  override copyFrom(
    source: StorageFile,
    sourceOffset: number,
    offset: number,
    length: number,
    buffer?: Uint8Array,
  ): void {
    this.inner.copyFrom(source instanceof CrashFile ? source.inner : source, sourceOffset, offset, length, buffer);
    for (let done = 0; done < length; done += PIECE) {
      const bytes = new Uint8Array(Math.min(PIECE, length - done));
      this.inner.read(offset + done, bytes);
      this.#record({ kind: 'write', file: this.#file, offset: offset + done, bytes });
    }
  }

  override map(offset: number, length: number, access: MapAccess): ArrayMemory {
    const memory = this.inner.map(offset, length, access);
    return new RecordedMemory(memory, access === 'write' ? (at, bytes) => this.write(offset + at, bytes) : undefined);
  }

  override open(name: string, mode: 'r' | 'r+' | 'create-new'): CrashFile {
    const inner = this.inner.open(name, mode);
    const key = identityKey(inner);
    let file = mode === 'create-new' ? undefined : this.#shared.get(key);
    if (file === undefined) {
      file = mode === 'create-new' ? this.log.create(inner.name) : this.log.adopt(inner.name, contentOf(inner));
      this.#shared.set(key, file);
    }
    return new CrashFile(inner, this.log, this.#shared, file);
  }

  override renameOver(name: string): void {
    this.inner.renameOver(name);
    this.#record({ kind: 'rename', file: this.#file, to: this.inner.name });
    this.#record({ kind: 'sync-names' });
  }

  override remove(name: string): void {
    this.inner.remove(name);
    this.#record({ kind: 'remove', name });
  }

  #record(op: CrashOp): void {
    this.log.ops.push(op);
  }
}

class RecordedMemory implements ArrayMemory {
  readonly #memory: ArrayMemory;
  readonly #write: ((offset: number, bytes: Uint8Array) => void) | undefined;

  constructor(memory: ArrayMemory, write: ((offset: number, bytes: Uint8Array) => void) | undefined) {
    this.#memory = memory;
    this.#write = write;
  }

  get byteLength(): number {
    return this.#memory.byteLength;
  }

  get writable(): boolean {
    return this.#memory.writable;
  }

  get maxWindow(): number {
    return this.#memory.maxWindow;
  }

  get closed(): boolean {
    return this.#memory.closed;
  }

  bytes(offset: number, length: number): Uint8Array {
    return this.#memory.bytes(offset, length);
  }

  write(offset: number, bytes: Uint8Array): void {
    if (this.#write === undefined) {
      if (this.#memory.write === undefined) this.#memory.bytes(offset, bytes.length).set(bytes);
      else this.#memory.write(offset, bytes);
      return;
    }
    // Makes the mapping check the range before the file is written.
    this.#memory.bytes(offset, bytes.length);
    this.#write(offset, bytes);
  }

  flush(offset: number, length: number): void {
    this.#memory.flush?.(offset, length);
  }

  advise(offset: number, length: number, advice: Advice): void {
    this.#memory.advise?.(offset, length, advice);
  }

  mapFixed(...request: Parameters<NonNullable<ArrayMemory['mapFixed']>>): FixedStretch | undefined {
    return this.#memory.mapFixed?.(...request);
  }
}

function contentOf(file: StorageFile): Uint8Array {
  const bytes = new Uint8Array(file.size());
  file.read(0, bytes);
  return bytes;
}

function identityKey(file: StorageFile): string {
  const { dev, ino } = file.identity();
  return `${dev}:${ino}`;
}
