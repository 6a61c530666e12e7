/**
 * Deferred batches: they wait for a lock held by others without blocking the event loop.
 *
 * @module
 */

import { isMmdError, MmdError } from '../errors.ts';
import type { StorageFile } from '../storage/storage-file.ts';
import type { DictCore } from './core.ts';

/** Runs `change` in a batch once the lock is free. */
export async function batchLater<T>(
  core: DictCore,
  change: () => T,
  { signal, lockTimeout }: { readonly signal?: AbortSignal; readonly lockTimeout?: number },
): Promise<T> {
  const { store } = core;
  for (;;) {
    const { file } = store;
    let done: { readonly result: T } | undefined;
    const work = (): void => {
      done = batchLocked(core, change, file);
    };
    await file.lockAsync(lockTimeout ?? store.options.lockTimeout, signal, () => store.lookAhead(), work);
    if (done !== undefined) return done.result;
  }
}

/**
 * Runs `change` in a batch at once, and releases the lock that the caller took.
 * @param file - whose lock it is: the dict may have continued in another file since
 * @returns `undefined` if another file has its name by now, and somebody else holds that one's lock: nothing was done
 */
export function batchLocked<T>(core: DictCore, change: () => T, file: StorageFile): { readonly result: T } | undefined {
  let began = false;
  const begin = (): T => {
    began = true;
    return atOnce(change());
  };
  try {
    return { result: core.transact(begin, 0) };
  } catch (error) {
    if (began || core.store.file === file || !isMmdError(error, 'LOCKED')) throw error;
    return undefined;
  } finally {
    if (!file.closed) file.unlock();
  }
}

/** Checks that a batch is over when its function returns: what an async function does after its first await would not be part of it. */
export function atOnce<T>(result: T): T {
  if (typeof (result as { readonly then?: unknown } | null | undefined)?.then !== 'function') return result;
  throw new MmdError(
    'INVALID_ARGUMENT',
    'the function of a batch returned a promise; a batch ends when its function returns, so await before the batch',
    { found: result },
  );
}
