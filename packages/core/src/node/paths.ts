/**
 * Paths, normalized as the node room stores them.
 *
 * @module
 */

import { lstatSync, realpathSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { MmdError } from '../errors.ts';
import { isSameFile } from '../storage/storage-file.ts';

/**
 * The absolute form of a path or file URL.
 *
 * @throws INVALID_ARGUMENT for a path that no file can have, or a URL that is not `file:`; NOT_FOUND for a relative path if the working
 *   directory was removed
 *
 * @example
 * ```ts
 * import { absolutePath } from '@mmdpickle/core/node';
 *
 * absolutePath(new URL('file:///data/run.mmdpickle')); // '/data/run.mmdpickle'
 * ```
 */
export function absolutePath(path: string | URL): string {
  let given: string;
  try {
    given = typeof path === 'string' ? path : fileURLToPath(path);
  } catch (cause) {
    // Not every value can be converted to text.
    const shown = path instanceof URL ? path.href : typeof path;
    throw new MmdError('INVALID_ARGUMENT', `neither a path nor a file URL: ${shown}`, { found: path, cause });
  }
  if (given === '' || given.includes('\0')) {
    throw new MmdError('INVALID_ARGUMENT', `invalid path: ${JSON.stringify(given)}`, { path: given });
  }
  try {
    return resolve(given);
  } catch (cause) {
    throw new MmdError('NOT_FOUND', `${given}: a relative path, but the working directory was removed`, {
      path: given,
      cause,
    });
  }
}

/**
 * The path with symbolic links resolved, so that a rename replaces the file and not the link to it. Returned as given if there is no
 * file, or if links lead to it through a directory whose name is not UTF-8, which no string can represent.
 */
export function realPath(path: string): string {
  try {
    // The C library's takes a twentieth of the time of Node's JavaScript version on a first call.
    const real = realpathSync.native(path);
    return real.includes('\ufffd') && !isSame(real, path) && !lstatSync(path).isSymbolicLink() ? path : real;
  } catch {
    return path;
  }
}

function isSame(path: string, other: string): boolean {
  const found = statSync(path, { bigint: true, throwIfNoEntry: false });
  return found !== undefined && isSameFile(found, statSync(other, { bigint: true }));
}
