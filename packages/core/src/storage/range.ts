/**
 * Checks of byte ranges, shared by all storage files.
 *
 * @module
 */

import { MmdError } from '../errors.ts';

/** @throws INVALID_ARGUMENT unless offset and length are counts whose sum is at most 2^53 - 1 */
export function checkRange(name: string, offset: number, length: number): void {
  if (
    !(Number.isSafeInteger(offset) && offset >= 0 && Number.isSafeInteger(length) && length >= 0) ||
    !Number.isSafeInteger(offset + length)
  ) {
    throw new MmdError('INVALID_ARGUMENT', `${name}: invalid byte range: offset ${offset}, length ${length}`, {
      path: name,
      offset,
      found: length,
    });
  }
}

/** @throws INVALID_ARGUMENT unless the range lies inside `size` bytes */
export function checkInside(name: string, offset: number, length: number, size: number): void {
  checkRange(name, offset, length);
  if (offset + length > size) {
    throw new MmdError(
      'INVALID_ARGUMENT',
      `${name}: bytes ${offset} to ${offset + length} are outside the ${size} bytes available`,
      {
        path: name,
        offset,
        expected: offset + length,
        found: size,
      },
    );
  }
}
