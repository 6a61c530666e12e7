/**
 * Holes and copies of real files: what lies on the disk, what does not, and how it gets from file to file.
 *
 * @module
 */

import { constants } from 'node:os';
import { copyThroughMemory } from '../storage/copy.ts';
import type { DataRange, StorageFile } from '../storage/storage-file.ts';
import { errnoError } from './errno.ts';
import type { Syscalls } from './syscalls.ts';

const { EINTR, ENXIO, EINVAL, ENOENT, ENOSYS, ENOTTY, EOPNOTSUPP, EXDEV, EBADF, EPERM, ETXTBSY } = constants.errno;

/** What a filesystem answers that cannot do a thing at all; then there is another way. */
export const UNSUPPORTED: ReadonlySet<number> = new Set([-ENOSYS, -EOPNOTSUPP, -EINVAL]);

/** What SEEK_DATA and SEEK_HOLE answer where there is no telling; ENOENT of ext4, for data that stands beside the inode. */
const CANNOT_TELL: ReadonlySet<number> = new Set([...UNSUPPORTED, -ENOENT]);

/** What sharing blocks and copy_file_range answer for a pair of files that only reading and writing can copy. */
const NOT_COPYABLE: ReadonlySet<number> = new Set([...UNSUPPORTED, -ENOTTY, -EXDEV, -EBADF, -EPERM, -ETXTBSY]);

/** Only whole blocks can be shared. Where they are larger the system refuses. */
const BLOCK = 4096;

const FUSE = 0x65735546;
const EXT = 0xef53;
/** The attribute of an ext4 file whose blocks are found by extents. */
const EXTENTS = 0x80000;

/**
 * File systems (their numbers in statfs) where copy_file_range spares the way through this machine: NFS, CIFS, SMB 2, FUSE, Ceph,
 * Lustre. On others the kernel copies 64 KiB at a time, which is slower than reading and writing, and leaves pages of that size.
 */
const REMOTE: ReadonlySet<number> = new Set([0x6969, 0xff534d42, 0xfe534d42, FUSE, 0x00c36400, 0x0bd00bd0]);

/** What sharing blocks answers where the file system knows no such thing. */
const NO_SHARING: ReadonlySet<number> = new Set([-EOPNOTSUPP, -ENOTTY, -ENOSYS]);
const FAR = 2 ** 42;

const ZEROS = 2 ** 20;
const COPY_STEP = 2 ** 30;

/** A storage file that has a descriptor. */
export interface DescribedFile extends StorageFile {
  readonly fd: number;
}

/** The stretches of `[offset, stop)` that hold data; `stop` lies inside the file. */
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
      // The file was cut in between.
      if (hole === -ENXIO) break;
      throw errnoError(hole, 'looking for holes', file.name, at);
    }
    const end = Math.min(hole, stop);
    ranges.push({ offset: start, end });
    at = end;
  }
  return ranges;
}

/** By the descriptor: the name may be another file's by now. */
const filesystemOf = (sys: Syscalls, fd: number): number => sys.filesystem(`/proc/self/fd/${fd}`);

/** Ext4 tells data that has no blocks yet as a hole, in files without extents: those that came by an upgrade of ext3, and those beside them. */
function hidesData(sys: Syscalls, fd: number): boolean {
  return filesystemOf(sys, fd) === EXT && (sys.attributes(fd) & EXTENTS) === 0;
}

/** Copies a stretch that lies inside the source; shares blocks where the file system can; holes stay holes. */
export function copyExtents(
  sys: Syscalls,
  source: DescribedFile,
  sourceOffset: number,
  target: DescribedFile,
  offset: number,
  length: number,
  buffer?: Uint8Array,
): void {
  const shift = offset - sourceOffset;
  const end = sourceOffset + length;
  let at = sourceOffset;
  for (const range of source.dataRanges(sourceOffset, end)) {
    clear(target, at + shift, range.offset - at);
    copyData(sys, source, range.offset, target, range.offset + shift, range.end - range.offset, buffer);
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

/** Makes two files share whole blocks until one of them is changed. @returns false where they cannot */
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
 * Whether a store through a mapping, to a page that lies on the disk, may need more of it: where blocks can be shared, and so are
 * copied when they change, and where a page has several blocks, some of them not there yet. On a full disk it ends the process by SIGBUS.
 * On FUSE it may be lost: the kernel reads a page anew of which a later write failed, and forgets what was stored to it.
 */
export function storesAreUnsafe(sys: Syscalls, fd: number): boolean {
  if (filesystemOf(sys, fd) === FUSE) return true;
  const status = sys.fstat(fd);
  if (typeof status !== 'number' && status.blockSize < sys.pageSize) return true;
  // Sharing with itself is refused everywhere, but by other errors where there is no sharing. Nothing lies so far out.
  return !NO_SHARING.has(sys.cloneRange(fd, FAR, fd, FAR, BLOCK));
}

/** Makes a stretch read as zeros; beyond the end nothing is to be done. */
function clear(file: StorageFile, offset: number, length: number): void {
  const inside = Math.min(length, file.size() - offset);
  if (inside > 0 && !file.punchHole(offset, inside)) writeZeros(file, offset, offset + inside);
}

/** Where the C library has no posix_fallocate: writes zeros into what is a hole. */
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
