/**
 * The file that a name refers to now, as a watcher sees it.
 *
 * @module
 */

import { type BigIntStats, statSync } from 'node:fs';
import { isMmdError } from '@mmdpickle/core';
import { NodeFile } from '@mmdpickle/core/node';
import type { StorageFile } from '@mmdpickle/core/storage';

/** Opens the file of a dict; undefined while it does not exist or is empty. */
export function openFile(path: string): StorageFile | undefined {
  let file: NodeFile;
  try {
    // The file may be truncated while it is watched, so its words are not mapped.
    file = NodeFile.open(path, 'r', { mapWords: false });
  } catch (error) {
    if (isMmdError(error, 'NOT_FOUND')) return undefined;
    throw error;
  }
  let empty = true;
  try {
    empty = file.size() === 0;
  } finally {
    if (empty) file.close();
  }
  return empty ? undefined : file;
}

/** Whether there is a file that {@link openFile} opens. */
export function openable(path: string): boolean {
  const file = openFile(path);
  file?.close();
  return file !== undefined;
}

/** The status of the file at a path; undefined if there is none that can be reached. */
export function statusOf(path: string): BigIntStats | undefined {
  try {
    return statSync(path, { bigint: true, throwIfNoEntry: false });
  } catch {
    return undefined;
  }
}

/** When a file was created; undefined if the filesystem does not record it, or another file has the name by now. */
export function bornOf(file: StorageFile): string | undefined {
  const { dev, ino } = file.identity();
  const found = statusOf(file.name);
  if (found === undefined || String(found.dev) !== String(dev) || String(found.ino) !== String(ino)) return undefined;
  return found.birthtimeNs > 0n ? String(found.birthtimeNs) : undefined;
}
