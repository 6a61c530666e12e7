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
  /** A lock whose holder gave no sign for so long is taken over. At least 2000. */
  readonly staleMs: number;
  /** Called when the lock was taken or removed by somebody else. */
  readonly onCompromised: (cause: Error) => void;
}

/** A held lock. */
export interface DirectoryLock {
  /**
   * Removes the directory, if it is still the one that was made.
   * @returns false when somebody took it over or removed it: then it is left as it is
   */
  release(): boolean;
}

/**
 * Makes the directory `path` and keeps its time fresh; the timer does not keep the process alive.
 * @returns the lock, or `undefined` when somebody holds it
 * @throws IO when the directory cannot be made
 */
export function takeDirectoryLock(path: string, options: DirectoryLockOptions): DirectoryLock | undefined {
  const lockfile = requireLate<typeof import('proper-lockfile')>('proper-lockfile');
  // A stale one is removed before ours is made.
  let isOurs = (): boolean => true;
  const fs = {
    mkdirSync,
    realpathSync,
    statSync,
    utimesSync,
    // proper-lockfile also removes at the exit of the process whatever stands there, were it made by another meanwhile.
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
    throw nodeError(cause, 'making the lock directory', path);
  }
  const made = identityOf(path);
  isOurs = () => made !== undefined && identityOf(path) === made;
  return {
    release() {
      // Its heartbeat would tell too, but not while the event loop is blocked.
      if (compromised || !isOurs()) return false;
      release();
      return true;
    },
  };
}

/** An inode number alone is used again at once. */
function identityOf(path: string): string | undefined {
  try {
    const { ino, birthtimeNs } = statSync(path, { bigint: true });
    return `${ino}:${birthtimeNs}`;
  } catch {
    return undefined;
  }
}
