/**
 * The status of a path or descriptor, from Node's stat and from the system's statx.
 *
 * @module
 */

import { type BigIntStats, constants } from 'node:fs';
import type { FileStatus } from './syscalls.ts';

const KINDS: Readonly<Record<number, FileStatus['kind']>> = {
  [constants.S_IFREG]: 'file',
  [constants.S_IFDIR]: 'directory',
  [constants.S_IFIFO]: 'fifo',
  [constants.S_IFSOCK]: 'socket',
  [constants.S_IFCHR]: 'character device',
  [constants.S_IFBLK]: 'block device',
};

function kindOf(mode: number): FileStatus['kind'] {
  return KINDS[mode & constants.S_IFMT] ?? 'other';
}

/**
 * A view of Node's stat object, converted on access. An open file keeps that object alive, and with it its hidden class: V8 drops the
 * class, and the code compiled for it, at a collection that finds no such object alive.
 */
export class NodeStatus implements FileStatus {
  readonly #stats: BigIntStats;

  constructor(stats: BigIntStats) {
    this.#stats = stats;
  }

  get dev(): bigint {
    return this.#stats.dev;
  }

  get ino(): bigint {
    return this.#stats.ino;
  }

  get size(): number {
    return Number(this.#stats.size);
  }

  get mode(): number {
    return Number(this.#stats.mode) & 0o7777;
  }

  get uid(): number {
    return Number(this.#stats.uid);
  }

  get gid(): number {
    return Number(this.#stats.gid);
  }

  get blockSize(): number {
    return Number(this.#stats.blksize);
  }

  get links(): number {
    return Number(this.#stats.nlink);
  }

  get kind(): FileStatus['kind'] {
    return kindOf(Number(this.#stats.mode));
  }
}

/** Bytes of Linux's `struct statx`, which is the same on every architecture (statx(2)). */
export const STATX_SIZE = 256;
/** Requests type, mode, links, owner, group, inode and size. */
export const STATX_MASK: number = 0x1 | 0x2 | 0x4 | 0x8 | 0x10 | 0x100 | 0x200;
export const AT_FDCWD = -100;
export const AT_SYMLINK_FOLLOW = 0x400;
export const AT_EMPTY_PATH = 0x1000;

/** Offsets of its fields. */
const STATX = {
  blockSize: 4,
  links: 16,
  uid: 20,
  gid: 24,
  mode: 28,
  ino: 32,
  size: 40,
  devMajor: 136,
  devMinor: 140,
} as const;

export function statusOfStatx(view: DataView): FileStatus {
  const mode = view.getUint16(STATX.mode, true);
  return {
    dev: deviceNumber(view.getUint32(STATX.devMajor, true), view.getUint32(STATX.devMinor, true)),
    ino: view.getBigUint64(STATX.ino, true),
    size: Number(view.getBigUint64(STATX.size, true)),
    mode: mode & 0o7777,
    uid: view.getUint32(STATX.uid, true),
    gid: view.getUint32(STATX.gid, true),
    blockSize: view.getUint32(STATX.blockSize, true),
    links: view.getUint32(STATX.links, true),
    kind: kindOf(mode),
  };
}

/** The device number as the C library (makedev(3)), and so Node, composes it. */
function deviceNumber(major: number, minor: number): bigint {
  const low = ((minor & 0xff) | ((major & 0xfff) << 8) | ((minor & 0xfff00) << 12)) >>> 0;
  if (major < 0x1000 && minor < 0x10_0000) return BigInt(low);
  return BigInt(low) | (BigInt(minor >>> 20) << 32n) | (BigInt(major >>> 12) << 44n);
}
