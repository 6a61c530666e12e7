/**
 * A {@link ByteSource} over bytes in memory.
 *
 * @module
 */

import { MmdError } from '../errors.ts';
import type { ByteSource } from './byte-source.ts';
import { checkRange } from './range.ts';
import { endsBefore } from './source-errors.ts';

/**
 * Reads from bytes in memory, which are borrowed; `read` returns copies.
 * @param name - a label for error messages
 * @throws (rejecting) TRUNCATED, INVALID_ARGUMENT
 *
 * @example
 * ```ts
 * import { bytesSource } from '@mmdpickle/core/storage';
 *
 * const source = bytesSource(new Uint8Array([1, 2, 3]));
 * await source.read(1, 2); // Uint8Array [2, 3]
 * ```
 */
export function bytesSource(bytes: Uint8Array, name = 'bytes'): ByteSource {
  if (!(bytes instanceof Uint8Array)) {
    throw new MmdError('INVALID_ARGUMENT', `expected a Uint8Array, found ${typeof bytes}`, { found: bytes });
  }
  return {
    name,
    size: async () => bytes.length,
    async read(offset, length, signal) {
      signal?.throwIfAborted();
      checkRange(name, offset, length);
      if (offset + length > bytes.length) throw endsBefore(name, offset, length, bytes.length);
      return new Uint8Array(bytes.subarray(offset, offset + length));
    },
  };
}
