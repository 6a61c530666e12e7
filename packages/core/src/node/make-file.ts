/**
 * Creates files atomically: with their first bytes, or not at all.
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

/** How a file is created; see `NodeFileOptions`. */
export interface MakeOptions {
  readonly initial?: Uint8Array;
  readonly durable?: boolean;
}

/** An open file that nobody else can find yet, and how it gets its name; -EEXIST if the name is taken. */
interface Unnamed {
  readonly fd: number;
  giveName(path: string): number;
  /** Cleans up if it did not get its name. */
  drop(): void;
}

/** The ways to create such a file, best first; a negative errno where the filesystem does not support it. */
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
 * Creates a file that has its bytes before it has its name. Returns its descriptor, or a negative errno if the filesystem offers no way
 * to; then nothing was created.
 * @throws NO_SPACE, IO if writing the bytes failed
 */
function makeWhole(sys: Syscalls, path: string, bytes: Uint8Array, durable: boolean, permissions: number): number {
  // Node's permission model covers only names created by Node's own calls.
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
    // The other way would fail too.
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

/** How often to retry when a name exists but is gone when opened, as a dangling link always is. */
const TURNS = 10;

/**
 * Opens a file, or creates it with its first bytes. Others may create or remove the name between any two calls, so no call here creates
 * an empty file. Returns a descriptor, -EEXIST, or another error after which a plain open is to be tried.
 * @throws NO_SPACE, IO if the first bytes could not be written
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
 * Checks that the directory of a new file can be opened, and so synced: it may allow creating names but not opening it.
 * Done before the name is created, which could not be undone. Creating the file reports all other problems.
 * @throws READ_ONLY
 */
export function checkSyncable(sys: Syscalls, path: string): void {
  try {
    // A dangling link: the file is created elsewhere.
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
 * Syncs the directory of a path: only then is a new name on disk.
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
