/**
 * Copying between any two storage files with bounded memory.
 *
 * @module
 */

import { MmdError } from '../errors.ts';
import type { StorageFile } from './storage-file.ts';

const PIECE = 1 << 20;

/**
 * Copies `length` bytes through a buffer of at most 1 MiB; holes are written as zeros.
 * Overlapping ranges of one file are copied as if the source range was read first.
 * @throws TRUNCATED when the source ends before
 */
export function copyThroughMemory(
  source: StorageFile,
  sourceOffset: number,
  target: StorageFile,
  offset: number,
  length: number,
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
  const buffer = new Uint8Array(Math.min(PIECE, length));
  const a = source.identity();
  const b = target.identity();
  const backwards = a.dev === b.dev && a.ino === b.ino && sourceOffset < offset;
  for (let done = 0; done < length; ) {
    const count = Math.min(PIECE, length - done);
    const at = backwards ? length - done - count : done;
    const piece = buffer.subarray(0, count);
    const got = source.read(sourceOffset + at, piece);
    if (got !== count) {
      throw new MmdError('TRUNCATED', `${source.name}: ended while it was copied`, {
        path: source.name,
        offset: sourceOffset + at,
        expected: count,
        found: got,
      });
    }
    target.write(offset + at, piece);
    done += count;
  }
}
