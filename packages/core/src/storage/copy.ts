/**
 * Copying between any two storage files with bounded memory.
 *
 * @module
 */

import { MmdError } from '../errors.ts';
import { isSameFile, type StorageFile } from './storage-file.ts';

/**
 * Bytes read and written at a time. Writing whole 2 MiB blocks puts 2 MiB pages into the page cache: fewer pages to allocate, and each
 * is later mapped as one. Larger pieces would not fit the processor's caches.
 */
export const COPY_PIECE: number = 2 ** 21;

/** From this length on, disk space is reserved in the target before it is written. */
const RESERVE_BYTES: number = 2 ** 20;

/**
 * Copies `length` bytes through a buffer of at most {@link COPY_PIECE}; holes are written as zeros.
 * Overlapping ranges of one file are copied as if the whole source range was read first.
 * @param buffer - to copy through, of any length but 0; for callers that copy often
 * @throws TRUNCATED when the source ends too early; NO_SPACE
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
  checkReaches(source, sourceOffset + length, sourceOffset);
  // With the blocks allocated, the file system need not find room for them page by page (a fifth of the time on ext4).
  if (length >= RESERVE_BYTES) target.allocate(offset, length, { keepSize: true });
  const backwards = isSameFile(source.identity(), target.identity()) && sourceOffset < offset;
  const piece = buffer.length;
  for (let done = 0; done < length; ) {
    const left = length - done;
    // If there are several pieces, they are aligned to multiples of the piece length in the target.
    const whole = backwards ? (offset + left) % piece || piece : piece - ((offset + done) % piece);
    const count = left <= piece ? left : whole;
    const at = backwards ? left - count : done;
    const part = count === piece ? buffer : buffer.subarray(0, count);
    const got = source.read(sourceOffset + at, part);
    if (got !== count) {
      throw new MmdError('TRUNCATED', `${source.name}: ended while being copied`, {
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

/** @throws TRUNCATED when a file ends before `end`, to which it is to be copied */
export function checkReaches(source: StorageFile, end: number, offset: number): void {
  const size = source.size();
  if (end <= size) return;
  throw new MmdError('TRUNCATED', `${source.name}: ends at ${size}, but copying needs ${end}`, {
    path: source.name,
    offset,
    expected: end,
    found: size,
  });
}
