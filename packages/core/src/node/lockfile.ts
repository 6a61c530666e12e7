/**
 * Locks that are directories (mkdir is atomic on every filesystem), through proper-lockfile.
 *
 * @module
 */

import { mkdirSync, realpathSync, rmdirSync, statSync, utimesSync } from 'node:fs';
import { nodeError } from './errno.ts';
import { requireLate } from './require-late.ts';

/** Options of {@link takeDirectoryLock}. */
export interface DirectoryLockOptions {
  /** A lock whose holder has been silent for this long is taken over. At least 2000. */
  readonly staleMs: number;
  /** Called when somebody else took over or removed the lock. */
  readonly onCompromised: (cause: Error) => void;
}

/** A held lock. */
export interface DirectoryLock {
  /**
   * Removes the directory if it is still the one created here.
   * @returns false if somebody took it over or removed it; then nothing is changed
   */
  release(): boolean;
}

/**
 * Creates the directory `path` and keeps its modification time fresh; the timer does not keep the process alive.
 * @returns the lock, or `undefined` if somebody holds it
 * @throws IO when the directory cannot be created
 */
export function takeDirectoryLock(path: string, options: DirectoryLockOptions): DirectoryLock | undefined {
  const lockfile = requireLate<typeof import('proper-lockfile')>('proper-lockfile');
  // Until ours is created, a stale directory may be removed.
  let isOurs = (): boolean => true;
  const fs = {
    mkdirSync,
    realpathSync,
    statSync,
    utimesSync,
    // At process exit, proper-lockfile would remove whatever directory is there, even one created by somebody else meanwhile.
    rmdirSync: (name: string): void => {
      if (isOurs()) rmdirSync(name);
    },
  };
  let compromised = false;
  const onCompromised = (cause: Error): void => {
    compromised = true;
    options.onCompromised(cause);
  };
  let release: () => void;
  try {
    release = lockfile.lockSync(path, {
      lockfilePath: path,
      realpath: false,
      stale: options.staleMs,
      onCompromised,
      fs,
    });
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ELOCKED') return undefined;
    throw nodeError(cause, 'creating the lock directory', path);
  }
  const made = identityOf(path);
  isOurs = () => made !== undefined && identityOf(path) === made;
  return {
    release() {
      // The heartbeat would detect that too, but not while the event loop is blocked.
      if (compromised || !isOurs()) return false;
      release();
      return true;
    },
  };
}

/** Inode number and birth time: an inode number alone is reused at once. */
function identityOf(path: string): string | undefined {
  try {
    const { ino, birthtimeNs } = statSync(path, { bigint: true });
    return `${ino}:${birthtimeNs}`;
  } catch {
    return undefined;
  }
}
