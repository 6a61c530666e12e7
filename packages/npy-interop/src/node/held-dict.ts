/**
 * A dict that is changed over many turns of the event loop, in one commit.
 *
 * @module
 */

import { MmdError } from '@mmdpickle/core';
import { MmapDict, NodeFile } from '@mmdpickle/core/node';
import type { StorageFile } from '@mmdpickle/core/storage';
import { checkFileDict } from '../options.ts';

/** How to stop a change, and how long it waits for the lock. */
export interface HeldOptions {
  readonly signal?: AbortSignal | undefined;
  readonly lockTimeout?: number | undefined;
}

/** A handle during its one change. */
export interface HeldDict {
  readonly dict: MmapDict;
  /** The dict's file, for writing the data of arrays that this change added. */
  readonly file: StorageFile;
}

/**
 * Runs asynchronous changes under the lock: all of them are committed at the end or, if `change` throws, none.
 *
 * The work is done by a second handle. What other code does with the first one meanwhile is a separate commit, neither
 * part of this one nor rolled back with it; its writes wait for the lock (`batchAsync` without blocking).
 *
 * @throws READ_ONLY, LOCKED, what `change` throws
 */
export async function changeHeld<T>(
  dict: MmapDict,
  options: HeldOptions,
  change: (held: HeldDict) => Promise<T>,
): Promise<T> {
  checkFileDict(dict);
  if (!dict.writable) {
    throw new MmdError('READ_ONLY', `${dict.name}: read-only, opened with mode '${dict.mode}'`, { path: dict.name });
  }
  options.signal?.throwIfAborted();
  const token = dict.token();
  const timeout = options.lockTimeout ?? token.lockTimeout;
  // Opening may have to repair the file under its lock: waiting for the lock here first blocks no other work.
  const first = NodeFile.open(token.path, 'r+');
  try {
    await first.lockAsync(timeout, options.signal);
  } finally {
    first.close();
  }
  const held = MmapDict.reopen(token);
  let result: T;
  try {
    result = await changeLocked(held, timeout, options.signal, change);
  } catch (error) {
    try {
      held.close();
    } catch {
      // The first error is the one to report (`using` would wrap the two).
    }
    throw error;
  }
  held.close();
  return result;
}

async function changeLocked<T>(
  held: MmapDict,
  timeout: number,
  signal: AbortSignal | undefined,
  change: (held: HeldDict) => Promise<T>,
): Promise<T> {
  const { core } = held;
  const { file } = core.store;
  await file.lockAsync(timeout, signal);
  try {
    core.begin();
    let result: T;
    try {
      result = await change({ dict: held, file: core.store.file });
      signal?.throwIfAborted();
    } catch (error) {
      core.rollback();
      throw error;
    }
    core.commit();
    return result;
  } finally {
    if (!file.closed) file.unlock();
  }
}
