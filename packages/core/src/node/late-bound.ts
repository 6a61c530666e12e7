/**
 * System calls that bind the C library only when something is needed that node:fs lacks.
 *
 * Binding takes 5 ms. Opening a file, reading a few values and closing it again does not need it.
 *
 * @module
 */

import * as fs from 'node:fs';
import { constants } from 'node:os';
import { errnoOf } from './errno.ts';
import { NodeStatus } from './file-status.ts';
import type { PlatformConstants, Syscalls } from './syscalls.ts';

const { EBADF, EINVAL, ENOENT, ENOSYS } = constants.errno;

/** Reads through node:fs, each 0.1 us slower than through the C library, before that is bound just for reads. */
const FIRST_READS = 4096;

/** node:fs counts the bytes read in 32 bits. */
const FS_READ_MAX = 2 ** 30;

/** Node itself rejects descriptors above this, and below 0. */
const FD_MAX = 2 ** 31 - 1;

/**
 * Calls made through node:fs: they are not hot, and Node knows the platform's struct stat and variadic open. Where statx exists, the
 * bound library uses it instead of stat and fstat.
 */
export const FS_CALLS: Pick<
  Syscalls,
  | 'open'
  | 'close'
  | 'fstat'
  | 'stat'
  | 'fchmod'
  | 'fchown'
  | 'rename'
  | 'renameNew'
  | 'unlink'
  | 'fdatasync'
  | 'fsync'
  | 'filesystem'
  | 'freeSpace'
> = {
  open: (path, flags, mode) => attempt(() => fs.openSync(path, flags, mode)),
  close: (fd) => perform(() => fs.closeSync(fd), fd),
  // With bigints: inodes have 64 bits, and after a plain stat of a pipe Node's realpathSync, and so require, stops too early.
  fstat: (fd) => attempt(() => new NodeStatus(fs.fstatSync(fd, BIGINT)), fd),
  stat(path) {
    const found = attempt(() => fs.statSync(path, BIGINT_OR_NONE));
    return typeof found === 'number' ? found : found === undefined ? -ENOENT : new NodeStatus(found);
  },
  fchmod: (fd, mode) => perform(() => fs.fchmodSync(fd, mode), fd),
  fchown: (fd, uid, gid) => perform(() => fs.fchownSync(fd, uid, gid), fd),
  rename: (from, to) => perform(() => fs.renameSync(from, to)),
  // Two calls: if killed in between, the file has both names.
  renameNew: (from, to) =>
    perform(() => {
      fs.linkSync(from, to);
      fs.unlinkSync(from);
    }),
  unlink: (path) => perform(() => fs.unlinkSync(path)),
  fdatasync: (fd) => perform(() => fs.fdatasyncSync(fd), fd),
  fsync: (fd) => perform(() => fs.fsyncSync(fd), fd),
  filesystem: (path) => attempt(() => fs.statfsSync(path).type),
  freeSpace: (path) =>
    attempt(() => {
      const { blocks, bfree, bsize } = fs.statfsSync(path);
      return blocks > 0 ? bfree * bsize : Number.POSITIVE_INFINITY;
    }),
};

const BIGINT = { bigint: true } as const;
/** Constructing the error for a missing file takes longer than all the rest of creating a file. */
const BIGINT_OR_NONE = { bigint: true, throwIfNoEntry: false } as const;

/** Calls that a bound library does better or faster than node:fs. */
const BETTER = [
  'size',
  'pread',
  'pwrite',
  'pwritev',
  'flock',
  'stat',
  'fstat',
  'fchmod',
  'fchown',
  'fdatasync',
  'fsync',
] as const satisfies readonly (keyof Syscalls)[];

/** System calls that bind the C library when they must. */
export function lateBound(platform: PlatformConstants, bind: () => Syscalls): Syscalls {
  let calls: Syscalls | undefined;
  let reads = 0;
  let unbindable = false;
  const c = (): Syscalls => {
    if (calls === undefined) {
      calls = bind();
      // From here on, the calls of every commit go there directly.
      for (const name of BETTER) Object.assign(late, { [name]: calls[name] });
      Object.freeze(late);
    }
    return calls;
  };
  const late: Syscalls = {
    ...FS_CALLS,
    platform,
    get pageSize() {
      return c().pageSize;
    },
    bound: () => calls !== undefined,
    size: (fd) => (calls === undefined ? attempt(() => fs.fstatSync(fd).size, fd) : calls.size(fd)),
    pread(fd, into, length, offset) {
      if (calls === undefined && length <= FS_READ_MAX && ++reads <= FIRST_READS) {
        // For offset -1 Node would silently read at the current file position.
        return offset < 0 ? -EINVAL : attempt(() => fs.readSync(fd, into, 0, length, offset), fd);
      }
      return c().pread(fd, into, length, offset);
    },
    link: (fd, path) => c().link(fd, path),
    renameNew: (from, to) => c().renameNew(from, to),
    seek: (fd, offset, whence) => c().seek(fd, offset, whence),
    pwrite: (fd, bytes, length, offset) => c().pwrite(fd, bytes, length, offset),
    pwritev: (fd, parts, offset) => c().pwritev(fd, parts, offset),
    ftruncate: (fd, size) => c().ftruncate(fd, size),
    posixFallocate: (fd, offset, length) => c().posixFallocate(fd, offset, length),
    fallocate: (fd, mode, offset, length) => c().fallocate(fd, mode, offset, length),
    cloneRange: (from, fromOffset, to, toOffset, length) => c().cloneRange(from, fromOffset, to, toOffset, length),
    attributes: (fd) => c().attributes(fd),
    copyFileRange: (from, fromOffset, to, toOffset, length) =>
      c().copyFileRange(from, fromOffset, to, toOffset, length),
    flock: (fd, operation) => c().flock(fd, operation),
    schedYield: () => c().schedYield(),
    willNeed(fd, offset, length) {
      try {
        if (!unbindable) return c().willNeed(fd, offset, length);
      } catch {
        // A hint must not fail the read it is for; a call that needs the library reports why it cannot be loaded.
        unbindable = true;
      }
      return -ENOSYS;
    },
    mmap: (address, length, protection, flags, fd, offset) => c().mmap(address, length, protection, flags, fd, offset),
    munmap: (address, length) => c().munmap(address, length),
    msync: (address, length, flags) => c().msync(address, length, flags),
    madvise: (address, length, advice) => c().madvise(address, length, advice),
    view: (address, length) => c().view(address, length),
    address: (buffer) => c().address(buffer),
    unmapWith: (buffer, pages) => c().unmapWith(buffer, pages),
  };
  return late;
}

/**
 * Turns an error thrown by node:fs into a negated errno, also where Node itself rejects what the system would reject: an invalid
 * descriptor, numbers out of range, paths with a NUL.
 */
function attempt<T>(call: () => T, fd = 0): T | number {
  try {
    return call();
  } catch (error) {
    const errno = errnoOf(error);
    if (errno !== undefined) return errno;
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'ERR_OUT_OF_RANGE' && code !== 'ERR_INVALID_ARG_VALUE') throw error;
    return fd >= 0 && fd <= FD_MAX ? -EINVAL : -EBADF;
  }
}

/** The same for calls without a result: 0 on success. */
function perform(call: () => void, fd = 0): number {
  return attempt(() => {
    call();
    return 0;
  }, fd);
}
