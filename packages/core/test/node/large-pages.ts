/**
 * The system calls of a machine with larger memory pages than this one's: a Raspberry Pi 5 has 16 KiB, some servers 64.
 *
 * Like that machine's kernel they refuse addresses and offsets that are not page-aligned, round lengths up, and map the rest
 * of the page in which a file ends (several pages of this machine) as zeros, without SIGBUS. Changes to the size of the file
 * by other processes take effect at the next call.
 *
 * @module
 */

import { constants } from 'node:os';
import { type FileStatus, MAP_FIXED, MAP_PRIVATE, type MappedPages, type Syscalls } from '../../src/node/syscalls.ts';

const { EINVAL } = constants.errno;

/** A range of addresses that maps a file. */
interface Region {
  readonly address: number;
  readonly length: number;
  readonly protection: number;
  readonly flags: number;
  readonly fd: number;
  readonly offset: number;
  /** The bytes of the file's last page that this system has no page for: mapped as zeros here. */
  from: number;
  to: number;
}

/**
 * @param pageSize - a multiple of the system's own
 * @param blockSize - block size of files; if it is as large as a page, words are stored through mappings. Default: as here
 */
export function largePages(base: Syscalls, pageSize: number, blockSize?: number): Syscalls {
  const own = base.pageSize;
  const { MAP_ANONYMOUS, MAP_NORESERVE } = base.platform;
  const regions = new Set<Region>();
  /** Address space reserved here, which nobody else uses until it is unmapped. */
  const made = new Map<number, number>();

  const lay = (region: Region, from: number, to: number, file: boolean): void => {
    const first = Math.max(from, region.offset);
    const end = Math.min(to, region.offset + region.length);
    if (first >= end) return;
    const flags = (file ? region.flags : MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE) | MAP_FIXED;
    const address = region.address + (first - region.offset);
    const offset = file ? first : 0;
    const result = base.mmap(address, end - first, region.protection, flags, file ? region.fd : -1, offset);
    if (result < 0) throw new Error(`mmap of ${end - first} bytes: ${result}`);
  };
  /** Updates a region to the size of its file. */
  const update = (region: Region): void => {
    const size = base.size(region.fd);
    if (size < 0) return;
    const from = roundUp(size, own);
    const to = roundUp(size, pageSize);
    const { from: oldFrom, to: oldTo } = region;
    if (from === oldFrom && to === oldTo) return;
    lay(region, oldFrom, Math.min(oldTo, from), true);
    lay(region, Math.max(oldFrom, to), oldTo, true);
    lay(region, from, Math.min(to, oldFrom), false);
    lay(region, Math.max(from, oldTo), to, false);
    Object.assign(region, { from, to });
  };
  const updateAll = (): void => {
    for (const region of regions) update(region);
  };
  /** Removes a range of addresses from the regions. */
  const drop = (address: number, length: number): void => {
    for (const region of regions) {
      const start = Math.max(address, region.address);
      const end = Math.min(address + length, region.address + region.length);
      if (start >= end) continue;
      regions.delete(region);
      const keep = (at: number, until: number): void => {
        const offset = region.offset + (at - region.address);
        if (at < until) regions.add({ ...region, address: at, length: until - at, offset });
      };
      keep(region.address, start);
      keep(end, region.address + region.length);
    }
  };
  const isMade = (address: number, length: number): boolean => {
    for (const [start, size] of made) if (address >= start && address + length <= start + size) return true;
    return false;
  };
  const reserve = (length: number, protection: number): number => {
    const flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    const address = base.mmap(0, length + pageSize, protection, flags, -1, 0);
    if (address < 0) return address;
    const start = roundUp(address, pageSize);
    if (start > address) base.munmap(address, start - address);
    if (address + pageSize > start) base.munmap(start + length, address + pageSize - start);
    made.set(start, length);
    return start;
  };
  const munmap = (address: number, length: number): number => {
    if (address % pageSize !== 0) return -EINVAL;
    const size = roundUp(length, pageSize);
    drop(address, size);
    for (const [start, count] of made) {
      if (address >= start + count || address + size <= start) continue;
      made.delete(start);
      if (start < address) made.set(start, address - start);
      if (start + count > address + size) made.set(address + size, start + count - address - size);
    }
    return base.munmap(address, size);
  };
  const collected = new FinalizationRegistry<MappedPages>(({ address, length }) => {
    if (length > 0) munmap(address, length);
  });
  const after =
    <A extends unknown[]>(call: (...args: A) => number) =>
    (...args: A): number => {
      const result = call(...args);
      updateAll();
      return result;
    };
  const status = (found: FileStatus | number): FileStatus | number =>
    blockSize === undefined ? found : withBlocks(found, blockSize);

  return {
    ...base,
    pageSize,
    bound: base.bound,
    fstat: (fd) => status(base.fstat(fd)),
    stat: (path) => status(base.stat(path)),
    close(fd) {
      for (const region of regions) if (region.fd === fd) regions.delete(region);
      return base.close(fd);
    },
    size: after(base.size),
    pread: after(base.pread),
    pwrite: after(base.pwrite),
    pwritev: after(base.pwritev),
    ftruncate: after(base.ftruncate),
    posixFallocate: after(base.posixFallocate),
    fallocate: after(base.fallocate),
    cloneRange: after(base.cloneRange),
    copyFileRange: after(base.copyFileRange),
    mmap(address, length, protection, flags, fd, offset) {
      const fixed = (flags & MAP_FIXED) !== 0;
      if (length === 0 || offset % pageSize !== 0 || (fixed && address % pageSize !== 0)) return -EINVAL;
      const size = roundUp(length, pageSize);
      const at = fixed ? address : reserve(size, protection);
      if (at < 0) return at;
      drop(at, size);
      const result = base.mmap(at, size, protection, flags | MAP_FIXED, fd, offset);
      if (result < 0 || (flags & MAP_ANONYMOUS) !== 0) return result;
      const region: Region = { address: at, length: size, protection, flags, fd, offset, from: 0, to: 0 };
      update(region);
      // Other addresses may be reused by others unnoticed.
      if (isMade(at, size)) regions.add(region);
      return at;
    },
    munmap,
    msync: (address, length, flags) => (address % pageSize === 0 ? base.msync(address, length, flags) : -EINVAL),
    madvise: (address, length, advice) =>
      address % pageSize === 0 ? base.madvise(address, roundUp(length, pageSize), advice) : -EINVAL,
    unmapWith: (buffer, pages) => collected.register(buffer, pages),
  };
}

/**
 * Gives a file status this block size; returns an error as it is. Where the C library lacks statx, as musl did, a status has
 * getters, which a spread does not copy.
 */
export function withBlocks(found: FileStatus | number, blockSize: number): FileStatus | number {
  if (typeof found === 'number') return found;
  const { dev, ino, size, mode, uid, gid, links, kind } = found;
  return { dev, ino, size, mode, uid, gid, links, kind, blockSize };
}

function roundUp(value: number, unit: number): number {
  return Math.ceil(value / unit) * unit;
}
