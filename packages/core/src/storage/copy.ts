/**
 * Copying between any two storage files with bounded memory.
 *
 * @module
 */

import { MmdError } from '../errors.ts';
import { isSameFile, type StorageFile } from './storage-file.ts';

/**
 * What is read and written at a time. Writes of whole 2 MiB blocks leave 2 MiB pages in the page cache, of which fewer have to be
 * made, and which are mapped whole later on; more would leave the processor's caches.
 */
export const COPY_PIECE: number = 2 ** 21;

/** From here on, a target's disk is reserved before it is written. */
const RESERVE_BYTES: number = 2 ** 20;

/**
 * Copies `length` bytes through a buffer of at most {@link COPY_PIECE}; holes are written as zeros.
 * Overlapping ranges of one file are copied as if the source range was read first.
 * @param buffer - to copy through, of any length but 0; for callers that copy often
 * @throws TRUNCATED when the source ends before; NO_SPACE
 */
export function copyThroughMemory(
  source: StorageFile,
  sourceOffset: number,
  target: StorageFile,
  offset: number,
  length: number,
  buffer: Uint8Array = new Uint8Array(Math.min(COPY_PIECE, length)),
): void {
  if (length === 0) return;
  const sourceSize = source.size();
  if (sourceOffset + length > sourceSize) {
    throw new MmdError('TRUNCATED', `${source.name}: ends at ${sourceSize}, copying needs ${sourceOffset + length}`, {
      path: source.name,
      offset: sourceOffset,
      expected: sourceOffset + length,
      found: sourceSize,
    });
  }
  // A file system that knows where the blocks will be need not look for them page by page (a fifth of the time on ext4).
  if (length >= RESERVE_BYTES) target.allocate(offset, length, { keepSize: true });
  const backwards = isSameFile(source.identity(), target.identity()) && sourceOffset < offset;
  const piece = buffer.length;
  for (let done = 0; done < length; ) {
    const left = length - done;
    // Of several pieces, each is between multiples of their length in the target.
    const whole = backwards ? (offset + left) % piece || piece : piece - ((offset + done) % piece);
    const count = left <= piece ? left : whole;
    const at = backwards ? left - count : done;
    const part = count === piece ? buffer : buffer.subarray(0, count);
    const got = source.read(sourceOffset + at, part);
    if (got !== count) {
      throw new MmdError('TRUNCATED', `${source.name}: ended while it was copied`, {
        path: source.name,
        offset: sourceOffset + at,
        expected: count,
        found: got,
      });
    }
    target.write(offset + at, part);
    done += count;
  }
}
