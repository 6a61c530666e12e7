import { existsSync, rmSync } from 'node:fs';
import process from 'node:process';
import { isMmdError } from '@mmdpickle/core';
import { Lease, MmapDict } from '@mmdpickle/core/node';
import { keyNotFound } from './errors.ts';

/** The dict in a file that has one; undefined for other pickles. */
export function openIfDict(path: string): MmapDict | undefined {
  try {
    return MmapDict.open(path, { mode: 'r' });
  } catch (error) {
    if (isMmdError(error, 'NOT_MMDPICKLE')) return undefined;
    throw error;
  }
}

/** Changes the dict in a file, which is made where it is not there; one that was made for a change that failed goes again. */
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

/** Under its lock: whoever waits for that to write is told that the file was removed. */
function removeIfUnchanged(dict: MmapDict, commitNumber: number): void {
  try {
    dict.batch(() => {
      if (dict.size === 0 && dict.commitNumber === commitNumber) rmSync(dict.path);
    });
  } catch {
    // Somebody else writes to it, or the disk fails: it stays, and why the change failed is what is to be told.
  }
}

/** Checks that keys are there. @throws MmdError NOT_FOUND for the first that is not */
export function requireKeys(dict: MmapDict, path: string, keys: Iterable<string>): void {
  for (const key of keys) if (!dict.has(key)) throw keyNotFound(path, key);
}

/** How many of the values are arrays. */
export function countArrays(dict: MmapDict): number {
  let arrays = 0;
  for (const key of dict.keys()) if (dict.getMeta(key)?.dtype !== undefined) arrays += 1;
  return arrays;
}

/** Takes the writer lease of the dict in a file, which somebody else opens to change it. */
export function leasedFile(path: string): Disposable & { readonly signal: AbortSignal } {
  using dict = MmapDict.open(path, { mode: 'r+' });
  const lease = Lease.acquire(dict.path);
  return { signal: lease.signal, ...releasedAtExit(lease) };
}

/** Takes the writer lease. It is given back also where the process exits at once: the reader of a pipe leaves, a second Ctrl-C comes. */
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
