/**
 * Bytes from one file into a fresh stretch of another, as fast as the two layouts allow.
 *
 * @module
 */

import { setImmediate } from 'node:timers/promises';
import { MmdError } from '@mmdpickle/core';
import type { StorageFile } from '@mmdpickle/core/storage';
import type { BytesInFile } from '../array-bytes.ts';
import type { Tick } from '../npz-write.ts';

/** Progress is told, aborts are noticed and other work runs between steps of this size. */
const STEP = 2 ** 27;
/** File systems keep files in blocks of this size, or a multiple; only blocks that agree can be shared. */
const BLOCK = 4096;
/** Stays in the processor's cache between the read and the write; larger ones were slower. */
const BUFFER = 2 ** 17;

/**
 * Copies a range in steps. Where both places agree within a block the kernel copies (copy_file_range, which shares blocks
 * where the file system can); else whole blocks of the target are written from one small buffer, which is quicker than
 * the kernel's copy of halves. Holes stay holes.
 *
 * @param to - its bytes from `offset` on must be a hole, or lie beyond its end
 * @throws TRUNCATED when the source ends before; NO_SPACE; IO; what `tick` throws
 */
export function copyRange(from: BytesInFile, to: StorageFile, offset: number, length: number, tick: Tick): void {
  for (const step of steps(from, to, offset, length)) tick(step);
}

/** As {@link copyRange}, letting other work run between the steps. */
export async function copyRangeAsync(
  from: BytesInFile,
  to: StorageFile,
  offset: number,
  length: number,
  tick: Tick,
): Promise<void> {
  for (const step of steps(from, to, offset, length)) {
    tick(step);
    await setImmediate();
  }
}

function* steps(
  from: BytesInFile,
  to: StorageFile,
  offset: number,
  length: number,
): Generator<number, void, undefined> {
  const shift = offset - from.offset;
  const agree = shift % BLOCK === 0;
  const buffer = new Uint8Array(agree ? 0 : Math.min(BUFFER, length));
  for (let done = 0; done < length; ) {
    const step = Math.min(STEP, length - done);
    const start = from.offset + done;
    if (agree) to.copyFrom(from.file, start, start + shift, step);
    else copyThrough(buffer, from.file, start, to, start + shift, step);
    done += step;
    yield step;
  }
}

function copyThrough(
  buffer: Uint8Array,
  from: StorageFile,
  start: number,
  to: StorageFile,
  offset: number,
  length: number,
): void {
  const end = start + length;
  const size = from.size();
  if (end > size) throw endsEarly(from, start, length, size - start);
  const shift = offset - start;
  for (const range of from.dataRanges(start, end)) {
    for (let at = range.offset; at < range.end; ) {
      const rest = Math.min(buffer.length, range.end - at);
      const over = (at + shift + rest) % BLOCK;
      const count = rest > over && at + rest < range.end ? rest - over : rest;
      const piece = count === buffer.length ? buffer : buffer.subarray(0, count);
      const got = from.read(at, piece);
      if (got < count) throw endsEarly(from, at, count, got);
      to.write(at + shift, piece);
      at += count;
    }
  }
  if (to.size() < offset + length) to.truncate(offset + length);
}

function endsEarly(file: StorageFile, offset: number, expected: number, found: number): MmdError {
  return new MmdError('TRUNCATED', `${file.name}: ended while it was copied`, {
    path: file.name,
    offset,
    expected,
    found,
  });
}
