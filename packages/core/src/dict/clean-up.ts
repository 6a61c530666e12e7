/**
 * Releasing resources after a failure: the first error is the one to report.
 *
 * @module
 */

/** Runs every task, even if others fail. For use before an error is rethrown: it says more than theirs. */
export function cleanUp(...tasks: readonly (() => void)[]): void {
  for (const task of tasks) {
    try {
      task();
    } catch {
      // The caller is about to throw the first error.
    }
  }
}

/** Uses a file or a dict and closes it. If both fail, the error of the use is thrown (`using` would wrap the two). */
export function closing<F extends { close(): void }, T>(file: F, use: (file: F) => T): T {
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
