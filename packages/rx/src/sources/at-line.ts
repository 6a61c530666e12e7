import { isMmdError, MmdError } from '@mmdpickle/core';

/**
 * Adds the line number to the message of an MmdError; returns any other value unchanged.
 *
 * @param line - the line number, from 1
 *
 * @example
 * ```ts
 * import { MmdError } from '@mmdpickle/core';
 * import { atLine } from '@mmdpickle/rx';
 *
 * String(atLine(7, new MmdError('CORRUPT', 'not a number'))); // 'MmdError: line 7: not a number'
 * ```
 */
export function atLine(line: number, error: unknown): unknown {
  if (!isMmdError(error)) return error;
  const { code, message, path, key, limit, maximum, expected, found } = error;
  return new MmdError(code, `line ${line}: ${message}`, { path, key, limit, maximum, expected, found, cause: error });
}
