/**
 * POSIX errors as {@link MmdError}.
 *
 * @module
 */

import { constants } from 'node:os';
import { type ErrorCode, MmdError } from '../errors.ts';

/** Errors that have a code of their own; every other is IO. */
const CODES: Readonly<Record<string, ErrorCode>> = {
  ENOENT: 'NOT_FOUND',
  EEXIST: 'ALREADY_EXISTS',
  EACCES: 'READ_ONLY',
  EPERM: 'READ_ONLY',
  EROFS: 'READ_ONLY',
  ETXTBSY: 'READ_ONLY',
  ENOSPC: 'NO_SPACE',
  EDQUOT: 'NO_SPACE',
  EFBIG: 'NO_SPACE',
  EAGAIN: 'LOCKED',
  EINVAL: 'INVALID_ARGUMENT',
  ENAMETOOLONG: 'INVALID_ARGUMENT',
};

/** The name of an errno, such as `'ENOSPC'`. */
export function errnoName(errno: number): string {
  const number = Math.abs(errno);
  for (const [name, value] of Object.entries(constants.errno)) {
    // EAGAIN and EWOULDBLOCK (EOPNOTSUPP and ENOTSUP) share a number on Linux.
    if (value === number && name !== 'EWOULDBLOCK' && name !== 'ENOTSUP') return name;
  }
  return `errno ${number}`;
}

/**
 * The error for a failed system call.
 * @param result - the call's negative result
 * @param what - what was being done, for people: `open`, `write of 12 bytes`
 * @param reading - a denial is then IO, not READ_ONLY: the file cannot even be read
 */
export function errnoError(result: number, what: string, path: string, offset?: number, reading = false): MmdError {
  const errno = errnoName(result);
  let code = CODES[errno] ?? 'IO';
  if (reading && code === 'READ_ONLY') code = 'IO';
  return new MmdError(code, `${path}: ${what} failed: ${errno}`, { path, errno, offset });
}

/** The same for an error that one of Node's own calls threw. */
export function nodeError(cause: unknown, what: string, path: string): MmdError {
  const { errno } = cause as NodeJS.ErrnoException;
  return errnoError(errno ?? -constants.errno.EIO, what, path);
}
