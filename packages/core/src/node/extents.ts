/**
 * Holes and copies of real files: which ranges are allocated on disk, and how they are copied between files.
 *
 * @module
 */

import { constants } from 'node:os';
import { copyThroughMemory } from '../storage/copy.ts';
import type { DataRange, StorageFile } from '../storage/storage-file.ts';
import { errnoError } from './errno.ts';
import type { Syscalls } from './syscalls.ts';

const { EINTR, ENXIO, EINVAL, ENOENT, ENOSYS, ENOTTY, EOPNOTSUPP, EXDEV, EBADF, EPERM, ETXTBSY } = constants.errno;

/** Errors of a filesystem that does not support an operation at all; callers then fall back to another. */
export const UNSUPPORTED: ReadonlySet<number> = new Set([-ENOSYS, -EOPNOTSUPP, -EINVAL]);

/** Errors of SEEK_DATA and SEEK_HOLE where they are not supported; ENOENT comes from ext4, for data stored inline with the inode. */
const CANNOT_TELL: ReadonlySet<number> = new Set([...UNSUPPORTED, -ENOENT]);

/** Errors of FICLONERANGE and copy_file_range for a pair of files that can only be copied by reading and writing. */
const NOT_COPYABLE: ReadonlySet<number> = new Set([...UNSUPPORTED, -ENOTTY, -EXDEV, -EBADF, -EPERM, -ETXTBSY]);

/** Only whole blocks can be shared. If the filesystem's are larger, the call fails. */
const BLOCK = 4096;

const FUSE = 0x65735546;
const EXT = 0xef53;
/** The attribute of an ext4 file that maps its blocks by extents. */
const EXTENTS = 0x80000;

/**
 * Filesystems (by their statfs number) on which copy_file_range keeps the data from passing through this machine: NFS, CIFS, SMB 2,
 * FUSE, Ceph, Lustre. On others the kernel copies 64 KiB at a time: slower than reading and writing, and it leaves pages of that size.
 */
const REMOTE: ReadonlySet<number> = new Set([0x6969, 0xff534d42, 0xfe534d42, FUSE, 0x00c36400, 0x0bd00bd0]);

/** Errors of FICLONERANGE on a filesystem that cannot share blocks. */
const NO_SHARING: ReadonlySet<number> = new Set([-EOPNOTSUPP, -ENOTTY, -ENOSYS]);
const FAR = 2 ** 42;

const ZEROS = 2 ** 20;
const COPY_STEP = 2 ** 30;

/** A storage file with a descriptor. */
export interface DescribedFile extends StorageFile {
  readonly fd: number;
}

/** The ranges of `[offset, stop)` that hold data; `stop` is at most the file's size. */
export function findData(sys: Syscalls, file: DescribedFile, offset: number, stop: number): DataRange[] {
  const { SEEK_DATA, SEEK_HOLE } = sys.platform;
  const ranges: DataRange[] = [];
  if (hidesData(sys, file.fd) && sys.fdatasync(file.fd) < 0) return [{ offset, end: stop }];
  let at = offset;
  while (at < stop) {
    const start = sys.seek(file.fd, at, SEEK_DATA);
    if (start === -ENXIO || start >= stop) break;
    const hole = start < 0 ? start : sys.seek(file.fd, start, SEEK_HOLE);
    if (hole === -EINTR) continue;
    if (hole < 0) {
      if (CANNOT_TELL.has(hole)) return [...ranges, { offset: at, end: stop }];
      // The file was truncated between the two calls.
      if (hole === -ENXIO) break;
      throw errnoError(hole, 'searching for holes', file.name, at);
    }
    const end = Math.min(hole, stop);
    ranges.push({ offset: start, end });
    at = end;
  }
  return ranges;
}

/** By descriptor: the path may name another file by now. */
const filesystemOf = (sys: Syscalls, fd: number): number => sys.filesystem(`/proc/self/fd/${fd}`);

/** In files without extents (after an upgrade from ext3, and created beside those), ext4 reports data not yet allocated as a hole. */
function hidesData(sys: Syscalls, fd: number): boolean {
  return filesystemOf(sys, fd) === EXT && (sys.attributes(fd) & EXTENTS) === 0;
}

/** Copies a range that lies inside the source, sharing blocks where the filesystem can; holes stay holes. */
export function copyExtents(
  sys: Syscalls,
  source: DescribedFile,
  sourceOffset: number,
  target: DescribedFile,
  offset: number,
  length: number,
  buffer?: Uint8Array,
): void {
  copyRanges(source, sourceOffset, target, offset, length, (at, to, count) =>
    copyData(sys, source, at, target, to, count, buffer),
  );
}

/** Copies a range that lies inside the source, which is any other file; holes stay holes. */
export function copyRanges(
  source: StorageFile,
  sourceOffset: number,
  target: StorageFile,
  offset: number,
  length: number,
  copy: (sourceOffset: number, offset: number, length: number) => void,
): void {
  const shift = offset - sourceOffset;
  const end = sourceOffset + length;
  let at = sourceOffset;
  for (const range of source.dataRanges(sourceOffset, end)) {
    clear(target, at + shift, range.offset - at);
    copy(range.offset, range.offset + shift, range.end - range.offset);
    at = range.end;
  }
  clear(target, at + shift, end - at);
  if (target.size() < offset + length) target.truncate(offset + length);
}

function copyData(
  sys: Syscalls,
  source: DescribedFile,
  sourceOffset: number,
  target: DescribedFile,
  offset: number,
  length: number,
  buffer?: Uint8Array,
): void {
  const head = (BLOCK - (sourceOffset % BLOCK)) % BLOCK;
  const blocks = length - head - ((length - head) % BLOCK);
  if ((offset - sourceOffset) % BLOCK === 0 && blocks > 0) {
    if (shareBlocks(sys, source, sourceOffset + head, target, offset + head, blocks)) {
      copyThroughMemory(source, sourceOffset, target, offset, head, buffer);
      const done = head + blocks;
      copyThroughMemory(source, sourceOffset + done, target, offset + done, length - done, buffer);
      return;
    }
  }
  let done = 0;
  const remote = REMOTE.has(sys.filesystem(target.name));
  while (remote && done < length) {
    const left = length - done;
    const count = sys.copyFileRange(
      source.fd,
      sourceOffset + done,
      target.fd,
      offset + done,
      Math.min(left, COPY_STEP),
    );
    if (count > 0) done += count;
    else if (count === 0 || NOT_COPYABLE.has(count)) break;
    else if (count !== -EINTR) {
      throw errnoError(count, `copying ${left} bytes from ${source.name}`, target.name, offset + done);
    }
  }
  copyThroughMemory(source, sourceOffset + done, target, offset + done, length - done, buffer);
}

/** Lets two files share whole blocks until either is changed. @returns false where they cannot */
function shareBlocks(
  sys: Syscalls,
  source: DescribedFile,
  sourceOffset: number,
  target: DescribedFile,
  offset: number,
  length: number,
): boolean {
  for (;;) {
    const result = sys.cloneRange(source.fd, sourceOffset, target.fd, offset, length);
    if (result === 0) return true;
    if (NOT_COPYABLE.has(result)) return false;
    if (result !== -EINTR) {
      throw errnoError(result, `sharing ${length} bytes with ${source.name}`, target.name, offset);
    }
  }
}

/**
 * Whether a store through a mapping, to a page that is on disk, may need more disk space: where blocks can be shared, and are therefore
 * copied on write, and where a page has several blocks, some not yet allocated. On a full disk such a store kills the process by SIGBUS.
 * On FUSE it may be lost: after a later write to the page fails, the kernel rereads the page and discards what was stored to it.
 */
export function storesAreUnsafe(sys: Syscalls, fd: number): boolean {
  if (filesystemOf(sys, fd) === FUSE) return true;
  const status = sys.fstat(fd);
  if (typeof status !== 'number' && status.blockSize < sys.pageSize) return true;
  // Sharing a range with itself always fails, with a different error where sharing is not supported. No data lies at this offset.
  return !NO_SHARING.has(sys.cloneRange(fd, FAR, fd, FAR, BLOCK));
}

/** Makes a range read as zeros; beyond the end of the file there is nothing to do. */
function clear(file: StorageFile, offset: number, length: number): void {
  const inside = Math.min(length, file.size() - offset);
  if (inside > 0 && !file.punchHole(offset, inside)) writeZeros(file, offset, offset + inside);
}

/** Reserves disk space by writing zeros into holes, where the C library has no posix_fallocate. */
export function reserveByWriting(file: StorageFile, offset: number, length: number): void {
  let at = offset;
  for (const range of file.dataRanges(offset, offset + length)) {
    writeZeros(file, at, range.offset);
    at = range.end;
  }
  writeZeros(file, at, offset + length);
}

function writeZeros(file: StorageFile, from: number, to: number): void {
  const zeros = new Uint8Array(Math.max(0, Math.min(ZEROS, to - from)));
  for (let at = from; at < to; at += zeros.length) file.write(at, zeros.subarray(0, Math.min(zeros.length, to - at)));
}
