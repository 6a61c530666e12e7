/**
 * Mappings of files in memory: the file's own bytes, or a copy of them.
 *
 * @module
 */

import { MmdError } from '../errors.ts';
import type { ArrayMemory } from '../ndarray/array-memory.ts';
import { checkInside } from './range.ts';
import type { MapAccess, StorageFile } from './storage-file.ts';

export class MemoryMapping implements ArrayMemory {
  readonly byteLength: number;
  readonly writable: boolean;
  readonly maxWindow: number;
  readonly #file: StorageFile;
  readonly #bytes: Uint8Array;
  readonly #offset: number;
  readonly #through: boolean;

  constructor(file: StorageFile, bytes: Uint8Array, offset: number, access: MapAccess) {
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
      throw new MmdError('READ_ONLY', `${this.#file.name}: mapped for reading only`, { path: this.#file.name });
    }
    if (this.#through) this.#file.write(this.#offset + offset, bytes);
    else this.bytes(offset, bytes.length).set(bytes);
  }

  flush(): void {}
}
