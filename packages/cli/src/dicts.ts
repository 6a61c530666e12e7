import { existsSync, rmSync } from 'node:fs';
import process from 'node:process';
import { isMmdError } from '@mmdpickle/core';
import { Lease, MmapDict } from '@mmdpickle/core/node';
import { keyNotFound } from './errors.ts';

/** Opens a file as a dict; undefined for ordinary pickles. */
export function openIfDict(path: string): MmapDict | undefined {
  try {
    return MmapDict.open(path, { mode: 'r' });
  } catch (error) {
    if (isMmdError(error, 'NOT_MMDPICKLE')) return undefined;
    throw error;
  }
}

/** Changes the dict in a file, creating the file if it does not exist; a file created for a change that fails is removed. */
export async function changeDict<T>(path: string, change: (dict: MmapDict) => T | Promise<T>): Promise<T> {
  const isNew = !existsSync(path);
  using dict = MmapDict.open(path);
  const { commitNumber } = dict;
  try {
    return await change(dict);
  } catch (error) {
    if (isNew) removeIfUnchanged(dict, commitNumber);
    throw error;
  }
}

/** Removes the file under its lock: a process that waits for the lock to write then learns that the file was removed. */
function removeIfUnchanged(dict: MmapDict, commitNumber: number): void {
  try {
    dict.batch(() => {
      if (dict.size === 0 && dict.commitNumber === commitNumber) rmSync(dict.path);
    });
  } catch {
    // Another process writes to it, or the disk fails: the file stays, and the error to report is that of the change.
  }
}

/** Checks that keys exist. @throws MmdError NOT_FOUND for the first that does not */
export function requireKeys(dict: MmapDict, path: string, keys: Iterable<string>): void {
  for (const key of keys) if (!dict.has(key)) throw keyNotFound(path, key);
}

/** How many of the values are arrays. */
export function countArrays(dict: MmapDict): number {
  let arrays = 0;
  for (const key of dict.keys()) if (dict.getMeta(key)?.dtype !== undefined) arrays += 1;
  return arrays;
}

/** Takes the writer lease of the dict in a file, for a task that opens the file itself to change it. */
export function leasedFile(path: string): Disposable & { readonly signal: AbortSignal } {
  using dict = MmapDict.open(path, { mode: 'r+' });
  const lease = Lease.acquire(dict.path);
  return { signal: lease.signal, ...releasedAtExit(lease) };
}

/** Takes the writer lease. It is released even if the process exits at once, on a closed pipe or a second Ctrl-C. */
export function leased(dict: MmapDict): Disposable {
  return releasedAtExit(dict.lease());
}

function releasedAtExit(lease: Lease): Disposable {
  const release = (): void => lease.release();
  process.on('exit', release);
  return {
    [Symbol.dispose]() {
      process.off('exit', release);
      release();
    },
  };
}
