/**
 * Vacuum without a new file: for peers that hold the inode open and would not notice a rename.
 *
 * @module
 */

import {
  ALIGNMENTS,
  alignUp,
  COMMIT_NUMBER_OFFSET,
  DEAD,
  ENTRY_HEAD_SIZE,
  ENTRY_TAIL_SIZE,
  encodeHeader,
  FRAME_SIZE,
  HEADER_SIZE,
  movedCommitNumber,
  putEntryHead,
  putEntryTail,
  putU64,
  TERMINATOR_SIZE,
} from '../format/layout.ts';
import type { StorageFile } from '../storage/storage-file.ts';
import { cleanUp, closing } from './clean-up.ts';
import { DictCore } from './core.ts';
import { dropTail } from './tail.ts';
import { checkUndamaged, copyEntries, type ProgressOptions } from './vacuum.ts';
import { createBeside, markUnfinished } from './vacuum-file.ts';

/** Bytes that turn everything after them into one dead entry: head and BINBYTES8. They are in the first sector: one write. */
const COVER = ENTRY_HEAD_SIZE + 9;

/** The largest alignment, which all others divide. */
const LARGEST_ALIGNMENT = ALIGNMENTS.at(-1)!.alignment;

/**
 * Moves the live entries to the front of the file. At every moment the file loads, with all of them:
 *
 * 1. the compact dict is built in a file of its own, and its entries are appended after the tail of a dead entry;
 * 2. one write at the front, of the commit number and the 20 bytes after the header, turns everything there into one dead entry;
 * 3. inside it, unseen, the compact dict is written, except its first 20 bytes;
 * 4. one write of these, and the commit number again, commits it; then the rest of the file is cut off.
 *
 * Each of these writes makes the number leap: a reader that checks it before and after cannot mistake the new entries for the old ones.
 *
 * Meanwhile the file takes up to twice the live bytes more. Peers that have mapped what is cut off are killed when they touch it: this is
 * for peers that read.
 */
export function vacuumInPlace(core: DictCore, options: ProgressOptions): void {
  const { store } = core;
  core.changing();
  core.outsideBatch('vacuum');
  core.begin();
  const { file } = store;
  let temporary: string | undefined;
  const removeIt = (): void => {
    if (temporary !== undefined) file.remove(temporary);
  };
  try {
    store.settle();
    checkUndamaged(store);
    const fresh = createBeside(file);
    temporary = fresh.name;
    closing(fresh, () => moveToFront(core, fresh, options));
  } catch (error) {
    cleanUp(removeIt, () => core.rollback());
    throw error;
  }
  cleanUp(removeIt);
  core.rollback();
}

function moveToFront(core: DictCore, fresh: StorageFile, options: ProgressOptions): void {
  const { store } = core;
  const { file } = store;
  const target = new DictCore(fresh, { ...store.options, mode: 'a', index: false });
  core.alone('vacuum', () => copyEntries(core, [...store.entries.catalog.keys()], target, true, options));
  markUnfinished(fresh);
  target.writer.trim();
  const size = fresh.size();
  const bytes = size - HEADER_SIZE;
  dropTail(store);
  const end = store.end;
  // Nothing to gain: alignment would take more room than the dead entries do.
  if (end === HEADER_SIZE || size > end) return;
  // As far from a boundary as in the compact dict: a kill may leave the copies there, whose row counts and lengths must not be torn either.
  const copies = HEADER_SIZE + alignUp(end + TERMINATOR_SIZE + ENTRY_TAIL_SIZE - HEADER_SIZE, LARGEST_ALIGNMENT);
  try {
    file.write(copies - ENTRY_TAIL_SIZE, coverTail(store.entries.memoHint));
    file.copyFrom(fresh, HEADER_SIZE, copies, bytes);
    file.sync();
  } catch (error) {
    file.truncate(end + TERMINATOR_SIZE);
    throw error;
  }
  let number = store.commitNumber;
  const putFront = (front: Uint8Array): void => {
    number = movedCommitNumber(number);
    file.writeParts(COMMIT_NUMBER_OFFSET, [encodeHeader(number).subarray(COMMIT_NUMBER_OFFSET), front]);
  };
  putFront(coverHead(copies));
  file.sync();
  if (bytes > COVER) file.copyFrom(fresh, HEADER_SIZE + COVER, HEADER_SIZE + COVER, bytes - COVER);
  file.sync();
  putFront(target.store.read(HEADER_SIZE, Math.min(COVER, bytes)));
  file.sync();
  file.truncate(size);
}

/** The first 20 bytes of a dead entry that ends at `end`. */
function coverHead(end: number): Uint8Array {
  const head = new Uint8Array(COVER);
  const pos = putEntryHead(head, 0, end - HEADER_SIZE - FRAME_SIZE, 0);
  head[pos] = 0x8e;
  putU64(head, pos + 1, end - HEADER_SIZE - COVER - ENTRY_TAIL_SIZE);
  return head;
}

/** The last bytes of that entry. */
function coverTail(memoHint: number): Uint8Array {
  const tail = new Uint8Array(ENTRY_TAIL_SIZE);
  putEntryTail(tail, 0, memoHint, DEAD);
  return tail;
}
