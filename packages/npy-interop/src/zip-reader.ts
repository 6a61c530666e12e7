/**
 * The only place that imports zip.js, whose forty modules programs that read no npz file need not load.
 *
 * @module
 */

import type { ByteSource } from '@mmdpickle/core/storage';
import { Reader, WARNING_TRAILING_CENTRAL_DIRECTORY_DATA, ZipReader } from '@zip.js/zip.js/lib/zip-core-native.js';

/** A `ByteSource` as a reader of zip.js. */
class SourceReader extends Reader<ByteSource> {
  readonly #source: ByteSource;

  constructor(source: ByteSource, size: number) {
    super(source);
    this.#source = source;
    this.size = size;
  }

  override readUint8Array(offset: number, length: number): Promise<Uint8Array<ArrayBuffer>> {
    const available = Math.max(0, Math.min(length, this.size - offset));
    // zip.js also reads past the end, where some sources return nothing and some throw.
    if (available === 0) return Promise.resolve(new Uint8Array(0));
    return this.#source.read(offset, available) as Promise<Uint8Array<ArrayBuffer>>;
  }
}

/** Opens a zip file. */
export function openZip(source: ByteSource, size: number): ZipReader<ByteSource> {
  // Without an explicit encoding zip.js would guess UTF-8, which Python does not.
  return new ZipReader(new SourceReader(source, size), { filenameValidation: 'tolerant', filenameEncoding: 'cp437' });
}

/** Whether the directory, once read, holds more than the entries that it counts. */
export function holdsMore({ warnings }: ZipReader<ByteSource>): boolean {
  return warnings?.some(({ reason }) => reason === WARNING_TRAILING_CENTRAL_DIRECTORY_DATA) === true;
}
