import process from 'node:process';
import { isMmdError } from '@mmdpickle/core';
import { MmapDict } from '@mmdpickle/core/node';
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

/** Takes the writer lease. It is given back also where the process exits at once: the reader of a pipe leaves, a second Ctrl-C comes. */
export function leased(dict: MmapDict): Disposable {
  const lease = dict.lease();
  const release = (): void => lease.release();
  process.on('exit', release);
  return {
    [Symbol.dispose]() {
      process.off('exit', release);
      release();
    },
  };
}
