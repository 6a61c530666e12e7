/**
 * POSIX errors as {@link MmdError}.
 *
 * @module
 */

import { constants } from 'node:os';
import { getSystemErrorMap } from 'node:util';
import { type ErrorCode, MmdError } from '../errors.ts';

/** Errors that have a code of their own; all others are IO. */
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

/** Repeats a call while signals interrupt it. */
export function uninterrupted(call: () => number): number {
  for (;;) {
    const result = call();
    if (result !== -constants.errno.EINTR) return result;
  }
}

/** Errors of disks and file systems that Node has no name for, by their number on Linux. */
const NAMELESS: Readonly<Record<number, string>> = { 117: 'EUCLEAN', 121: 'EREMOTEIO' };

/** The name of an errno, such as `'ENOSPC'`. */
export function errnoName(errno: number): string {
  const number = Math.abs(errno);
  for (const [name, value] of Object.entries(constants.errno)) {
    // EAGAIN and EWOULDBLOCK (EOPNOTSUPP and ENOTSUP) share a number on Linux.
    if (value === number && name !== 'EWOULDBLOCK' && name !== 'ENOTSUP') return name;
  }
  return (process.platform === 'linux' ? NAMELESS[number] : undefined) ?? `errno ${number}`;
}

/**
 * The error for a failed system call.
 * @param result - the call's negative result
 * @param what - what was being done, for the message: `open`, `write of 12 bytes`
 * @param reading - report denied permission as IO, not READ_ONLY: the file cannot even be read
 */
export function errnoError(result: number, what: string, path: string, offset?: number, reading = false): MmdError {
  const errno = errnoName(result);
  let code = CODES[errno] ?? 'IO';
  if (reading && code === 'READ_ONLY') code = 'IO';
  // The file's own permissions would show nothing wrong.
  const under =
    errno === 'EACCES' && (process.permission as unknown) !== undefined ? " under Node's permission model" : '';
  return new MmdError(code, `${path}: ${what} failed${under}: ${errno}${inWords(result)}`, { path, errno, offset });
}

/** The system's description of an error: nobody knows EFBIG or EDQUOT by heart. */
function inWords(result: number): string {
  const words = getSystemErrorMap().get(-Math.abs(result))?.[1];
  return words === undefined ? '' : ` (${words})`;
}

/** The negated errno of an error thrown by one of Node's own calls; undefined if no system call was made. */
export function errnoOf(thrown: unknown): number | undefined {
  const { errno, code } = thrown as NodeJS.ErrnoException;
  // An access denied by Node's permission model has a code of its own, and no errno.
  return code === 'ERR_ACCESS_DENIED' ? -constants.errno.EACCES : errno;
}

/** Like {@link errnoError}, for an error thrown by one of Node's own calls. */
export function nodeError(cause: unknown, what: string, path: string): MmdError {
  return errnoError(errnoOf(cause) ?? -constants.errno.EIO, what, path);
}
