import { MmdError } from '@mmdpickle/core';

/** The command line makes no sense: exit code 2. */
export function usageError(message: string, found?: unknown): MmdError {
  return new MmdError('INVALID_ARGUMENT', message, { found });
}

/** The key is not in the file: exit code 3. */
export function keyNotFound(path: string, key: string): MmdError {
  return new MmdError('NOT_FOUND', `no key ${JSON.stringify(key)} in ${path}; 'mmdpickle ls' lists the keys`, {
    path,
    key,
  });
}
