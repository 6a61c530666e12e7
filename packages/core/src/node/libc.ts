/**
 * The C library through koffi: the one place with a native binding.
 *
 * @module
 */

import { constants } from 'node:os';
import { MmdError } from '../errors.ts';
import { AT_EMPTY_PATH, AT_FDCWD, AT_SYMLINK_FOLLOW, STATX_MASK, STATX_SIZE, statusOfStatx } from './file-status.ts';
import { FS_CALLS, lateBound } from './late-bound.ts';
import { requireLate } from './require-late.ts';
import {
  type FileStatus,
  IOV_MAX,
  type MappedPages,
  PLATFORMS,
  type PlatformConstants,
  type Syscalls,
} from './syscalls.ts';

const { EACCES, EINVAL, ENOSYS, EOPNOTSUPP, EPERM } = constants.errno;

type Call = (...args: unknown[]) => number;

/** Errors of a call that does not exist, is denied by a sandbox, or is not supported by the filesystem. */
const NO_SUCH_CALL: ReadonlySet<number> = new Set([-ENOSYS, -EPERM, -EINVAL, -EOPNOTSUPP]);

const RENAME_NOREPLACE = 1;

/** The address of a larger buffer is not cached: that would keep its memory alive. */
const KNOWN_BUFFER = 65_536;

function load(): Syscalls {
  const name = `${process.platform}-${process.arch}`;
  const platform = PLATFORMS[name];
  if (platform === undefined) {
    throw new MmdError(
      'IO',
      `mapped files are not supported on ${name}; supported: ${Object.keys(PLATFORMS).join(', ')}`,
      {
        errno: 'ENOSYS',
        found: name,
      },
    );
  }
  return lateBound(platform, () => bind(platform));
}

function bind(platform: PlatformConstants): Syscalls {
  const koffi = requireLate<typeof import('koffi').default>('koffi');
  const library = koffi.load(platform.library);
  /** A call that the C library lacks fails like one that the kernel lacks. */
  const optional = (definition: string): Call => {
    try {
      return library.func(definition);
    } catch {
      return () => {
        koffi.errno(ENOSYS);
        return -1;
      };
    }
  };
  const errno = koffi.errno as () => number;
  /** Node's permission model denies these calls for every file, even one that it let this process open for writing. */
  const unlessRefused = (
    definition: string,
    ofNode: (...args: number[]) => number,
  ): ((...args: number[]) => number) => {
    let own: Call | undefined;
    return (...args) => {
      const result = ofNode(...args);
      if (result !== -EACCES) return result;
      own ??= optional(definition);
      return own(...args) < 0 ? -errno() : 0;
    };
  };
  const c = {
    pread: library.func('int64_t pread(int, void *, size_t, int64_t)') as Call,
    pwrite: library.func('int64_t pwrite(int, const void *, size_t, int64_t)') as Call,
    pwritev: optional('int64_t pwritev(int, const void *, int, int64_t)'),
    lseek: library.func('int64_t lseek(int, int64_t, int)') as Call,
    ftruncate: library.func('int ftruncate(int, int64_t)') as Call,
    posixFallocate: optional('int posix_fallocate(int, int64_t, int64_t)'),
    fallocate: optional('int fallocate(int, int, int64_t, int64_t)'),
    copyFileRange: optional('int64_t copy_file_range(int, void *, int, void *, size_t, uint32_t)'),
    ioctl: library.func('int ioctl(int, unsigned long, ...)') as Call,
    flock: library.func('int flock(int, int)') as Call,
    linkat: optional('int linkat(int, const char *, int, const char *, int)'),
    renameat2: optional('int renameat2(int, const char *, int, const char *, unsigned int)'),
    statx: optional('int statx(int, const char *, int, unsigned int, void *)'),
    schedYield: library.func('int sched_yield()') as Call,
    posixFadvise: optional('int posix_fadvise(int, int64_t, int64_t, int)'),
    mmap: library.func('intptr_t mmap(intptr_t, size_t, int, int, int, int64_t)') as Call,
    munmap: library.func('int munmap(intptr_t, size_t)') as Call,
    msync: library.func('int msync(intptr_t, size_t, int)') as Call,
    madvise: library.func('int madvise(intptr_t, size_t, int)') as Call,
    getpagesize: library.func('int getpagesize()') as Call,
  };
  // Addresses and lengths as two 32-bit halves, low half first: bigints would cost more than all the rest.
  const vectors = new Uint32Array(4 * IOV_MAX);
  let known: ArrayBufferLike | undefined;
  let knownAt = 0;
  /** Caches one address: a small buffer that bytes are gathered in is passed with every write, and does not move. */
  const addressOf = (bytes: Uint8Array): number => {
    const { buffer, byteOffset } = bytes;
    if (buffer === known) return knownAt + byteOffset;
    const address = Number(koffi.address(bytes));
    if (buffer.byteLength <= KNOWN_BUFFER) {
      known = buffer;
      knownAt = address - byteOffset;
    }
    return address;
  };
  const offsets = new BigInt64Array(2);
  const fromOffset = offsets.subarray(0, 1);
  const toOffset = offsets.subarray(1, 2);
  const statxBytes = new Uint8Array(STATX_SIZE);
  const statxView = new DataView(statxBytes.buffer);
  /** Undefined where the library, kernel or sandbox lacks statx. Takes a third of the time of node:fs, whose result is mostly unused. */
  const statx = (fd: number, path: string, flags: number): FileStatus | number | undefined => {
    if (c.statx(fd, path, flags, STATX_MASK, statxBytes) === 0) return statusOfStatx(statxView);
    const error = -errno();
    return NO_SUCH_CALL.has(error) ? undefined : error;
  };
  const mappings = new FinalizationRegistry<MappedPages>(({ address, length }) => {
    if (length > 0) c.munmap(address, length);
  });

  return Object.freeze<Syscalls>({
    platform,
    pageSize: c.getpagesize(),
    ...FS_CALLS,
    fchmod: unlessRefused('int fchmod(int, unsigned int)', FS_CALLS.fchmod),
    fchown: unlessRefused('int fchown(int, unsigned int, unsigned int)', FS_CALLS.fchown),
    fdatasync: unlessRefused('int fdatasync(int)', FS_CALLS.fdatasync),
    fsync: unlessRefused('int fsync(int)', FS_CALLS.fsync),
    bound: () => true,
    stat: (path) => statx(AT_FDCWD, path, 0) ?? FS_CALLS.stat(path),
    fstat: (fd) => statx(fd, '', AT_EMPTY_PATH) ?? FS_CALLS.fstat(fd),
    link: (fd, path) =>
      c.linkat(AT_FDCWD, `/proc/self/fd/${fd}`, AT_FDCWD, path, AT_SYMLINK_FOLLOW) < 0 ? -errno() : 0,
    renameNew(from, to) {
      if (c.renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) === 0) return 0;
      const error = -errno();
      return NO_SUCH_CALL.has(error) ? FS_CALLS.renameNew(from, to) : error;
    },
    size(fd) {
      const result = c.lseek(fd, 0, 2);
      return result < 0 ? -errno() : result;
    },
    seek(fd, offset, whence) {
      const result = c.lseek(fd, offset, whence);
      return result < 0 ? -errno() : result;
    },
    pread(fd, into, length, offset) {
      const result = c.pread(fd, into, length, offset);
      return result < 0 ? -errno() : result;
    },
    pwrite(fd, bytes, length, offset) {
      const result = c.pwrite(fd, bytes, length, offset);
      return result < 0 ? -errno() : result;
    },
    pwritev(fd, parts, offset) {
      let at = 0;
      for (const part of parts) {
        const address = addressOf(part);
        const { length } = part;
        vectors[at++] = address;
        vectors[at++] = address / 2 ** 32;
        vectors[at++] = length;
        vectors[at++] = length / 2 ** 32;
      }
      const result = c.pwritev(fd, vectors, parts.length, offset);
      return result < 0 ? -errno() : result;
    },
    ftruncate: (fd, size) => (c.ftruncate(fd, size) < 0 ? -errno() : 0),
    posixFallocate(fd, offset, length) {
      // It returns the error instead of setting errno; -1 comes from the substitute above.
      const result = c.posixFallocate(fd, offset, length);
      return result < 0 ? -ENOSYS : -result;
    },
    fallocate: (fd, mode, offset, length) => (c.fallocate(fd, mode, offset, length) < 0 ? -errno() : 0),
    cloneRange(from, sourceOffset, to, targetOffset, length) {
      if (platform.FICLONERANGE === undefined) return -ENOSYS;
      // struct file_clone_range: source descriptor, source offset, length, target offset.
      const request = BigInt64Array.of(BigInt(from), BigInt(sourceOffset), BigInt(length), BigInt(targetOffset));
      return c.ioctl(to, platform.FICLONERANGE, 'void *', request) < 0 ? -errno() : 0;
    },
    attributes(fd) {
      if (platform.FS_IOC_GETFLAGS === undefined) return -ENOSYS;
      const word = new Uint32Array(2);
      return c.ioctl(fd, platform.FS_IOC_GETFLAGS, 'void *', word) < 0 ? -errno() : word[0]!;
    },
    copyFileRange(from, sourceOffset, to, targetOffset, length) {
      fromOffset[0] = BigInt(sourceOffset);
      toOffset[0] = BigInt(targetOffset);
      const result = c.copyFileRange(from, fromOffset, to, toOffset, length, 0);
      return result < 0 ? -errno() : result;
    },
    flock: (fd, operation) => (c.flock(fd, operation) < 0 ? -errno() : 0),
    schedYield: () => c.schedYield(),
    willNeed(fd, offset, length) {
      if (platform.POSIX_FADV_WILLNEED === undefined) return -ENOSYS;
      // It returns the error instead of setting errno; -1 comes from the substitute above.
      const result = c.posixFadvise(fd, offset, length, platform.POSIX_FADV_WILLNEED);
      return result < 0 ? -ENOSYS : 0 - result;
    },
    mmap(address, length, protection, flags, fd, offset) {
      const result = c.mmap(address, length, protection, flags, fd, offset);
      return result === -1 ? -errno() : result;
    },
    munmap: (address, length) => (c.munmap(address, length) < 0 ? -errno() : 0),
    msync: (address, length, flags) => (c.msync(address, length, flags) < 0 ? -errno() : 0),
    madvise: (address, length, advice) => (c.madvise(address, length, advice) < 0 ? -errno() : 0),
    view(address, length) {
      const buffer = koffi.view(address, length);
      // Node already prevents posting external memory to another thread; transfer() would separate the pages from the
      // registry that unmaps them. (markAsUntransferable makes Node 24 abort at exit.)
      Object.defineProperties(buffer, { transfer: REFUSED, transferToFixedLength: REFUSED });
      return buffer;
    },
    address: (buffer) => Number(koffi.address(buffer)),
    unmapWith: (buffer, pages) => mappings.register(buffer, pages),
  });
}

const REFUSED: PropertyDescriptor = {
  value: () => {
    throw new TypeError('the memory of a mapped file cannot be transferred; copy it first');
  },
};

/** Calls `make` once, on first use. */
function once<T>(make: () => T): () => T {
  let value: T | undefined;
  return () => (value ??= make());
}

/**
 * The system calls of this process. Created by the first call; later calls return the same object, which is frozen once the C library
 * is bound: a lazily created constant of the process, not state.
 * @throws IO (errno `ENOSYS`) on a platform without a row in {@link PLATFORMS}
 *
 * @example
 * ```ts
 * import { libc } from '@mmdpickle/core/node';
 *
 * libc().size(-1); // -9
 * ```
 */
export const libc: () => Syscalls = once(load);
