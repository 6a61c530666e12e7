/**
 * What the node room needs from the operating system, as one object of plain calls.
 *
 * Every call returns what the system call returns, or the negated errno; none throws, none retries.
 * {@link libc} creates the real object; tests wrap it to inject faults below the retry loops.
 *
 * @module
 */

import { constants } from 'node:fs';

/** The status of a path or descriptor. */
export interface FileStatus {
  readonly dev: bigint;
  readonly ino: bigint;
  readonly size: number;
  /** Permission bits, including the set-ID and sticky bits. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Block size of the filesystem, in bytes. */
  readonly blockSize: number;
  /** Number of hard links. */
  readonly links: number;
  readonly kind: 'file' | 'directory' | 'fifo' | 'socket' | 'character device' | 'block device' | 'other';
}

/** The constants that differ between platforms: a row of {@link PLATFORMS}. */
export interface PlatformConstants {
  readonly library: string | null;
  readonly MAP_ANONYMOUS: number;
  readonly MAP_NORESERVE: number;
  readonly MS_SYNC: number;
  /** madvise: fault in the pages of a range. Undefined where there is no such advice. */
  readonly MADV_POPULATE_READ: number | undefined;
  /** posix_fadvise: start to read a range. Undefined where there is no such call. */
  readonly POSIX_FADV_WILLNEED: number | undefined;
  /** ioctl: share a range of blocks. Undefined where there is no such request. */
  readonly FICLONERANGE: number | undefined;
  /** open: a file without a name, in a directory. Undefined where not supported. */
  readonly O_TMPFILE: number | undefined;
  /** ioctl: the attributes of a file. Undefined where there is no such request. */
  readonly FS_IOC_GETFLAGS: number | undefined;
  readonly SEEK_DATA: number;
  readonly SEEK_HOLE: number;
  /** Whether every processor sees another's stores in the order in which they were made: true on x86-64, false on ARM. */
  readonly storesInOrder: boolean;
}

/** System calls. Counts and addresses are numbers (an address has 47 bits); errors are `-errno`. */
export interface Syscalls {
  readonly platform: PlatformConstants;
  /** Bytes in a page of memory. */
  readonly pageSize: number;
  /** Whether the C library is bound already: the first call that needs it takes milliseconds. */
  bound(): boolean;
  open(path: string, flags: number, mode: number): number;
  close(fd: number): number;
  fstat(fd: number): FileStatus | number;
  stat(path: string): FileStatus | number;
  fchmod(fd: number, mode: number): number;
  fchown(fd: number, uid: number, gid: number): number;
  rename(from: string, to: string): number;
  unlink(path: string): number;
  /** Gives an open file a name (linkat), which must not exist; -ENOSYS where there is no such call. */
  link(fd: number, path: string): number;
  /** Renames to a name that must not exist; -EEXIST if it does. */
  renameNew(from: string, to: string): number;
  /** The size of the file (lseek to its end). */
  size(fd: number): number;
  /** lseek with SEEK_DATA or SEEK_HOLE. */
  seek(fd: number, offset: number, whence: number): number;
  pread(fd: number, into: Uint8Array, length: number, offset: number): number;
  pwrite(fd: number, bytes: Uint8Array, length: number, offset: number): number;
  /** Writes the parts in one call; at most 1024 of them. */
  pwritev(fd: number, parts: readonly Uint8Array[], offset: number): number;
  ftruncate(fd: number, size: number): number;
  fdatasync(fd: number): number;
  fsync(fd: number): number;
  /** posix_fallocate; -ENOSYS where there is none. */
  posixFallocate(fd: number, offset: number, length: number): number;
  /** Linux fallocate; -ENOSYS where there is none. */
  fallocate(fd: number, mode: number, offset: number, length: number): number;
  /** Lets a range of `to` share the blocks of one of `from` (FICLONERANGE); -ENOSYS where there is no such call. */
  cloneRange(from: number, fromOffset: number, to: number, toOffset: number, length: number): number;
  /** The attributes of a file (FS_IOC_GETFLAGS); -ENOSYS where there is no such call. */
  attributes(fd: number): number;
  /** The type number of the filesystem that a file is on (statfs), or an error. */
  filesystem(path: string): number;
  /** Free bytes on the filesystem that a file is on (statfs); Infinity if the filesystem does not say, or an error. */
  freeSpace(path: string): number;
  /** copy_file_range; -ENOSYS where there is none. */
  copyFileRange(from: number, fromOffset: number, to: number, toOffset: number, length: number): number;
  flock(fd: number, operation: number): number;
  /** Lets another process run. */
  schedYield(): number;
  /** Starts to read a range into the page cache (posix_fadvise); -ENOSYS where there is no such call. */
  willNeed(fd: number, offset: number, length: number): number;
  mmap(address: number, length: number, protection: number, flags: number, fd: number, offset: number): number;
  munmap(address: number, length: number): number;
  msync(address: number, length: number, flags: number): number;
  madvise(address: number, length: number, advice: number): number;
  /** An ArrayBuffer over mapped memory. */
  view(address: number, length: number): ArrayBuffer;
  /** The address of a buffer's first byte. */
  address(buffer: ArrayBufferLike): number;
  /** Unmaps the pages once `buffer` is garbage; nothing if their length is 0 by then. */
  unmapWith(buffer: ArrayBuffer, pages: MappedPages): void;
}

/** A range of address space. */
export interface MappedPages {
  readonly address: number;
  length: number;
}

/** Constants that are the same on every supported platform. */
export const PROT_READ = 1;
export const PROT_WRITE = 2;
export const MAP_SHARED = 1;
export const MAP_PRIVATE = 2;
export const MAP_FIXED = 16;
export const LOCK_EX = 2;
export const LOCK_NB = 4;
export const LOCK_UN = 8;
export const FALLOC_FL_KEEP_SIZE = 1;
export const FALLOC_FL_PUNCH_HOLE = 2;
/** More parts than this in one pwritev is EINVAL. */
export const IOV_MAX = 1024;

const LINUX: PlatformConstants = {
  library: null,
  MAP_ANONYMOUS: 0x20,
  MAP_NORESERVE: 0x4000,
  MS_SYNC: 4,
  MADV_POPULATE_READ: 22,
  POSIX_FADV_WILLNEED: 3,
  FICLONERANGE: 0x4020940d,
  O_TMPFILE: 0x400000 | constants.O_DIRECTORY,
  FS_IOC_GETFLAGS: 0x80086601,
  SEEK_DATA: 3,
  SEEK_HOLE: 4,
  storesInOrder: false,
};
const DARWIN: PlatformConstants = {
  library: '/usr/lib/libSystem.B.dylib',
  MAP_ANONYMOUS: 0x1000,
  MAP_NORESERVE: 0x40,
  MS_SYNC: 0x10,
  MADV_POPULATE_READ: undefined,
  POSIX_FADV_WILLNEED: undefined,
  FICLONERANGE: undefined,
  O_TMPFILE: undefined,
  FS_IOC_GETFLAGS: undefined,
  SEEK_DATA: 4,
  SEEK_HOLE: 3,
  storesInOrder: false,
};

/** The platforms whose constants are known. linux-x64 is tested, linux-arm64 was tried under qemu; others are from headers, untested. */
export const PLATFORMS: Readonly<Record<string, PlatformConstants>> = {
  'linux-x64': { ...LINUX, storesInOrder: true },
  'linux-arm64': LINUX,
  'linux-riscv64': LINUX,
  'darwin-x64': { ...DARWIN, storesInOrder: true },
  'darwin-arm64': DARWIN,
};
