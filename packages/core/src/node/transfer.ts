/**
 * Reads and writes that transfer everything: short counts and interruptions are retried.
 *
 * @module
 */

import { constants } from 'node:os';
import { MmdError } from '../errors.ts';
import { errnoError } from './errno.ts';
import type { DescribedFile } from './extents.ts';
import { IOV_MAX, type Syscalls } from './syscalls.ts';

const { EINTR, ENOSYS } = constants.errno;

/**
 * Fills `into`; returns fewer bytes only at the end of the file.
 * @param fd - the file's descriptor, which the caller knows to be open
 */
export function readAll(
  sys: Syscalls,
  fd: number,
  file: { readonly name: string },
  offset: number,
  into: Uint8Array,
): number {
  const { length } = into;
  let done = 0;
  while (done < length) {
    const rest = done === 0 ? into : into.subarray(done);
    const count = sys.pread(fd, rest, length - done, offset + done);
    if (count > 0) done += count;
    else if (count === 0) break;
    else if (count !== -EINTR) throw errnoError(count, `reading ${length - done} bytes`, file.name, offset + done);
  }
  return done;
}

/** Continues after a first count that was short, or an error. */
export function writeRest(
  sys: Syscalls,
  file: DescribedFile,
  offset: number,
  bytes: Uint8Array,
  firstCount: number,
): void {
  const { length } = bytes;
  let count = firstCount;
  let done = 0;
  for (;;) {
    if (count >= 0) done += count;
    else if (count !== -EINTR) throw errnoError(count, `writing ${length - done} bytes`, file.name, offset + done);
    if (done === length) return;
    if (count === 0) {
      throw new MmdError('IO', `${file.name}: the system wrote nothing and reported no error`, {
        path: file.name,
        offset: offset + done,
      });
    }
    count = sys.pwrite(file.fd, bytes.subarray(done), length - done, offset + done);
  }
}

/**
 * Writes the parts one after another, with as many per call as the system accepts.
 * @param fd - the file's descriptor
 * @param total - the length of all parts together
 */
export function writeVector(
  sys: Syscalls,
  fd: number,
  file: DescribedFile,
  offset: number,
  parts: readonly Uint8Array[],
  total: number,
): void {
  let at = offset;
  let queue = parts;
  let left = total;
  while (left > 0) {
    const batch = queue.length <= IOV_MAX ? queue : queue.slice(0, IOV_MAX);
    let count = sys.pwritev(fd, batch, at);
    if (count === left) return;
    if (count === -EINTR) continue;
    if (count === -ENOSYS || count === 0) {
      const first = behind(queue, 0)[0]!;
      file.write(at, first);
      count = first.length;
    } else if (count < 0) throw errnoError(count, `writing ${batch.length} parts`, file.name, at);
    at += count;
    left -= count;
    queue = behind(queue, count);
  }
}

/** The rest of the parts after their first `count` bytes; does not start with an empty part. */
function behind(parts: readonly Uint8Array[], count: number): readonly Uint8Array[] {
  let left = count;
  let whole = 0;
  while (whole < parts.length && left >= parts[whole]!.length) left -= parts[whole++]!.length;
  const rest = parts.slice(whole);
  if (left > 0) rest[0] = rest[0]!.subarray(left);
  return rest;
}
