/**
 * A file through another one that cannot change it, for classes that read it in their own way.
 *
 * @module
 */

import { newBytes } from '../bytes/index.ts';
import { MmdError } from '../errors.ts';
import type { ArrayMemory } from '../ndarray/array-memory.ts';
import { MemoryMapping } from './memory-mapping.ts';
import { PassThroughFile } from './pass-through-file.ts';
import type { MapAccess } from './storage-file.ts';

/** Everything is read by {@link ReadOnlyView.read}; nothing is mapped. */
export class ReadOnlyView extends PassThroughFile {
  override get writable(): boolean {
    return false;
  }

  override loadI32(offset: number): number {
    return new DataView(this.#bytes(offset, 4).buffer).getInt32(0, true);
  }

  override loadI64(offset: number): bigint {
    return new DataView(this.#bytes(offset, 8).buffer).getBigInt64(0, true);
  }

  /** A copy of the bytes. */
  override map(offset: number, length: number, access: MapAccess): ArrayMemory {
    if (access === 'write') this.#refuse();
    return new MemoryMapping(this, this.#bytes(offset, length), offset, access);
  }

  #bytes(offset: number, length: number): Uint8Array<ArrayBuffer> {
    const bytes = newBytes(length, 'a range');
    this.read(offset, bytes);
    return bytes;
  }

  #refuse(): never {
    throw new MmdError('READ_ONLY', `${this.name}: the file is open for reading only`, { path: this.name });
  }

  override endsWith(): never {
    this.#refuse();
  }

  override write(): never {
    this.#refuse();
  }

  override writeParts(): never {
    this.#refuse();
  }

  override storeI32(): never {
    this.#refuse();
  }

  override storeI64(): never {
    this.#refuse();
  }

  override storePair(): never {
    this.#refuse();
  }

  override truncate(): never {
    this.#refuse();
  }

  override sync(): never {
    this.#refuse();
  }

  override allocate(): never {
    this.#refuse();
  }

  override punchHole(): never {
    this.#refuse();
  }

  override copyFrom(): never {
    this.#refuse();
  }

  override renameOver(): never {
    this.#refuse();
  }

  override remove(): never {
    this.#refuse();
  }
}
