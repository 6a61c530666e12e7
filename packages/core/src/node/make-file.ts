/**
 * How a file comes into being: with what it begins with, or not at all.
 *
 * @module
 */

import { constants as fsConstants, lstatSync } from 'node:fs';
import { constants } from 'node:os';
import { dirname, join } from 'node:path';
import { errnoError, uninterrupted } from './errno.ts';
import { UNSUPPORTED } from './extents.ts';
import type { Syscalls } from './syscalls.ts';

const { EACCES, EEXIST, EINTR, EIO, ENOENT, ENOSYS } = constants.errno;
const { O_RDWR, O_CREAT, O_EXCL, O_NONBLOCK, O_RDONLY } = fsConstants;

/** What a file is made with. */
export interface MakeOptions {
  readonly initial?: Uint8Array;
  readonly durable?: boolean;
}

/** An open file that nobody knows of, and how it gets its name; a name that is taken is -EEXIST. */
interface Unnamed {
  readonly fd: number;
  giveName(path: string): number;
  /** Where it got none. */
  drop(): void;
}

/** The ways to such a file, the best one first; a number where the file system does not know it. */
const WAYS: readonly ((sys: Syscalls, directory: string, permissions: number) => Unnamed | number)[] = [
  function withoutName(sys, directory, permissions) {
    const { O_TMPFILE } = sys.platform;
    if (O_TMPFILE === undefined) return -ENOSYS;
    const fd = sys.open(directory, O_RDWR | O_TMPFILE, permissions);
    if (fd < 0) return fd;
    return { fd, giveName: (path) => sys.link(fd, path), drop: () => {} };
  },
  function underAnotherName(sys, directory, permissions) {
    const passing = join(directory, `.mmdpickle-${Math.random().toString(36).slice(2)}`);
    const fd = sys.open(passing, O_RDWR | O_CREAT | O_EXCL | O_NONBLOCK, permissions);
    if (fd < 0) return fd;
    return { fd, giveName: (path) => sys.renameNew(passing, path), drop: () => void sys.unlink(passing) };
  },
];

/**
 * Makes a file that has its bytes before it has its name. Returns its descriptor, or an error where the file system has no way to,
 * and then nothing was made.
 * @throws NO_SPACE, IO, where it is the bytes that failed
 */
function makeWhole(sys: Syscalls, path: string, bytes: Uint8Array, durable: boolean, permissions: number): number {
  // Node's permission model knows the names that its own calls make.
  if ((process.permission as unknown) !== undefined) return -ENOSYS;
  let result = -ENOSYS;
  for (const way of WAYS) {
    const made = way(sys, dirname(path), permissions);
    if (typeof made === 'number') continue;
    const filled = fill(sys, made.fd, bytes, durable);
    if (filled === 0) result = made.giveName(path);
    if (result === 0) return made.fd;
    made.drop();
    sys.close(made.fd);
    // No other way would hold them.
    if (filled < 0) throw errnoError(filled, `writing the ${bytes.length} bytes of a new file`, path);
    if (result === -EEXIST) break;
  }
  return result;
}

function fill(sys: Syscalls, fd: number, bytes: Uint8Array, durable: boolean): number {
  const count = uninterrupted(() => sys.pwrite(fd, bytes, bytes.length, 0));
  if (count < bytes.length) return count < 0 ? count : -EIO;
  return durable ? uninterrupted(() => sys.fdatasync(fd)) : 0;
}

/** So often a name is met that is gone when it is opened: a link that leads nowhere always is. */
const TURNS = 10;

/**
 * Opens a file, or makes it whole. Others may give the name to one, or take it away, between any two calls, so none of these makes
 * an empty one. Returns a descriptor, -EEXIST, or another error where the plain way is to be tried.
 * @throws NO_SPACE, IO, where what it begins with could not be written
 */
export function openWhole(
  sys: Syscalls,
  path: string,
  mode: 'a' | 'create-new',
  { initial, durable = false }: MakeOptions & { readonly initial: Uint8Array },
  permissions: number,
  found: boolean,
): number {
  for (let turn = 0; turn < TURNS; turn++) {
    if (found || turn > 0) {
      if (mode === 'create-new') return -EEXIST;
      const fd = sys.open(path, O_RDWR | O_NONBLOCK, 0);
      if (fd !== -ENOENT) return fd;
    }
    const fd = makeWhole(sys, path, initial, durable, permissions);
    if (fd !== -EEXIST) return fd;
  }
  return -EINTR;
}

/**
 * A directory in which names can be made, and which cannot be opened, cannot be synced either: asked before a name is made there,
 * which nobody could take back. Whatever else there is, making the file tells of it.
 * @throws READ_ONLY
 */
export function checkSyncable(sys: Syscalls, path: string): void {
  try {
    // A link that leads nowhere yet: the file is made elsewhere.
    if (lstatSync(path, { throwIfNoEntry: false }) !== undefined) return;
  } catch {
    return;
  }
  const directory = dirname(path);
  const fd = uninterrupted(() => sys.open(directory, O_RDONLY, 0));
  if (fd === -EACCES) throw errnoError(fd, 'opening the directory to sync it', directory);
  if (fd >= 0) sys.close(fd);
}

/**
 * A new name is on the disk only once its directory is.
 * @throws IO
 */
export function syncDirectory(sys: Syscalls, path: string): void {
  const directory = dirname(path);
  const fd = uninterrupted(() => sys.open(directory, O_RDONLY, 0));
  if (fd < 0) throw errnoError(fd, 'opening the directory to sync it', directory);
  const result = uninterrupted(() => sys.fsync(fd));
  sys.close(fd);
  if (result < 0 && !UNSUPPORTED.has(result)) throw errnoError(result, 'syncing the directory', directory);
}
