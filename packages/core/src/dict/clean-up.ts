/**
 * Giving back what was taken when something failed: the first error is the one to report.
 *
 * @module
 */

import type { StorageFile } from '../storage/storage-file.ts';

/** Runs every task, whatever the others do. For use before an error is thrown again: it says more than theirs. */
export function cleanUp(...tasks: readonly (() => void)[]): void {
  for (const task of tasks) {
    try {
      task();
    } catch {
      // The caller is about to throw what went wrong first.
    }
  }
}

/** Uses a file and closes it. Where both fail, the error of the use is thrown (`using` would wrap the two). */
export function withFile<F extends StorageFile, T>(file: F, use: (file: F) => T): T {
  let result: T;
  try {
    result = use(file);
  } catch (error) {
    cleanUp(() => file.close());
    throw error;
  }
  file.close();
  return result;
}
