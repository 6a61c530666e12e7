/**
 * A {@link ByteSource} over a Blob or File, as a browser's file picker returns it.
 *
 * @module
 */

import { MmdError } from '../errors.ts';
import type { ByteSource } from './byte-source.ts';
import { checkRange } from './range.ts';
import { endsBefore } from './source-errors.ts';

/**
 * Reads slices of a Blob on demand; nothing is loaded ahead.
 * @param name - a label for error messages; a File's own name by default
 * @throws (rejecting) TRUNCATED; IO when the browser can no longer read the file
 *
 * @example
 * ```ts
 * import { blobSource } from '@mmdpickle/core/storage';
 *
 * const source = blobSource(new Blob([new Uint8Array([1, 2, 3])]));
 * await source.size(); // 3
 * ```
 */
export function blobSource(blob: Blob, name?: string): ByteSource {
  // Buffers, typed arrays and arrays have a slice too, but it does not return a Blob.
  const { size, slice } = (blob ?? {}) as Partial<Blob>;
  if (typeof size !== 'number' || typeof slice !== 'function') {
    const message = `expected a Blob, found ${typeof blob}; for bytes, use bytesSource`;
    throw new MmdError('INVALID_ARGUMENT', message, { found: blob });
  }
  const own = (blob as { readonly name?: unknown }).name;
  const label = name ?? (typeof own === 'string' ? own : 'blob');
  return {
    name: label,
    size: async () => blob.size,
    async read(offset, length, signal) {
      signal?.throwIfAborted();
      checkRange(label, offset, length);
      if (offset + length > blob.size) throw endsBefore(label, offset, length, blob.size);
      let bytes: Uint8Array;
      try {
        bytes = new Uint8Array(await blob.slice(offset, offset + length).arrayBuffer());
      } catch (cause) {
        throw new MmdError('IO', `${label}: the blob cannot be read`, { path: label, offset, cause });
      }
      signal?.throwIfAborted();
      if (bytes.length !== length) throw endsBefore(label, offset, length, offset + bytes.length);
      return bytes;
    },
  };
}
