/**
 * Locks that are directories (mkdir is atomic on every filesystem), through proper-lockfile.
 *
 * @module
 */

import { createRequire } from 'node:module';
import { MmdError } from '../errors.ts';

/** Options of {@link takeDirectoryLock}. */
export interface DirectoryLockOptions {
  /** A lock whose holder gave no sign for so long is taken over. At least 2000. */
  readonly staleMs: number;
  /** Called when the lock was taken or removed by somebody else. */
  readonly onCompromised: (cause: Error) => void;
}

/**
 * Makes the directory `path` and keeps its time fresh; the timer does not keep the process alive.
 * @returns the function that releases it, or `undefined` when somebody holds it
 * @throws IO when the directory cannot be made
 */
export function takeDirectoryLock(path: string, options: DirectoryLockOptions): (() => void) | undefined {
  // Required here, not imported: it patches process and fs when it is loaded.
  const lockfile: typeof import('proper-lockfile') = createRequire(import.meta.url)('proper-lockfile');
  try {
    return lockfile.lockSync(path, {
      lockfilePath: path,
      realpath: false,
      stale: options.staleMs,
      onCompromised: options.onCompromised,
    });
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code === 'ELOCKED') return undefined;
    throw new MmdError('IO', `${path}: cannot make the lock directory: ${code ?? 'unknown'}`, {
      path,
      errno: code,
      cause,
    });
  }
}
