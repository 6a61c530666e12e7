/**
 * Searches for entries in a file that may have holes.
 *
 * @module
 */

import { findEntry } from '../format/find-entry.ts';
import { answer } from '../format/scan.ts';
import type { StorageFile } from '../storage/storage-file.ts';
import type { DictStore } from './store.ts';

/** Bytes that are searched for data first. */
const NEAR = 8192;

/** File offset of the first byte at or after `offset` that is not in a hole; the file's size if there is none. */
export function dataFrom(file: StorageFile, offset: number): number {
  const size = file.size();
  // Near ranges are queried first: a file may have very many of them.
  for (let at = offset, length = NEAR; at < size; at += length, length *= 2) {
    const [first] = file.dataRanges(at, Math.min(at + length, size));
    if (first !== undefined) return first.offset;
  }
  return size;
}

/** {@link findEntry} in the file of a dict. */
export function findInFile({ file, read }: DictStore, from: number, until: number): number {
  return answer(
    findEntry(from, until, (offset) => dataFrom(file, offset)),
    read,
  );
}
