/**
 * Vacuum: copies only the live entries, byte for byte, to a new file that takes the old one's name.
 *
 * @module
 */

import { MmdError } from '../errors.ts';
import type { EncodedValue } from '../format/encoded-value.ts';
import { COMMIT_NUMBER_OFFSET, HEADER_SIZE, nextCommitNumber } from '../format/layout.ts';
import { answer, scanEntries } from '../format/scan.ts';
import type { ArraySource } from '../ndarray/index.ts';
import { sizeOf } from '../ndarray/shapes.ts';
import { isSameFile, type StorageFile } from '../storage/storage-file.ts';
import type { EntryPlace } from './catalog.ts';
import { cleanUp } from './clean-up.ts';
import { DictCore } from './core.ts';
import type { EntryView } from './entry-view.ts';
import { foreignValue } from './foreign-value.ts';
import { placeOf } from './growable-host.ts';
import { writeIndexFor } from './index-writer.ts';
import { OpenRange, rawValue } from './raw-value.ts';
import { ReadAhead } from './read-ahead.ts';
import { checkEnd, growthCut } from './repair.ts';
import type { DictStore } from './store.ts';
import { createBeside, markUnfinished } from './vacuum-file.ts';

/** Options of long operations. */
export interface ProgressOptions {
  /**
   * Checked between entries, and while a large one is copied or summed; the operation then throws `signal.reason` and leaves all as it was.
   */
  readonly signal?: AbortSignal | undefined;
  /** Called after each entry. */
  readonly onProgress?: ((progress: { readonly done: number; readonly total: number }) => void) | undefined;
}

/** Options of `vacuum`. */
export interface VacuumOptions extends ProgressOptions {
  /** Keep the inode: for peers that hold the file open and do not check its name. Default false. */
  readonly inPlace?: boolean;
}

/**
 * Copies entries into another dict, as part of one commit.
 *
 * @param vacuum - growable arrays lose their unused room, and nothing is refused; nobody, not even this program's callbacks, changes
 * anything meanwhile
 * @throws NOT_FOUND, and what {@link foreignValue} throws
 */
export function copyEntries(
  from: DictCore,
  keys: readonly string[],
  to: DictCore,
  vacuum: boolean,
  options: ProgressOptions,
): void {
  const ahead = vacuum ? new ReadAhead() : undefined;
  const encoded = (view: EntryView): EncodedValue => {
    if (ahead === undefined) return foreignValue(from, to, view);
    view.readAhead(ahead);
    const trimmed = trimmedSource(from, view);
    return trimmed === undefined ? rawValue(view) : to.encodeValue(trimmed, 'modern');
  };
  const copyAll = (): void => {
    for (const [i, key] of keys.entries()) {
      options.signal?.throwIfAborted();
      let failure: { readonly error: unknown } | undefined;
      // Others may move or reclaim what is being copied: then it is put again. A put that failed half way cannot be repeated.
      const found = from.consistent(key, (view) => {
        if (failure !== undefined) throw failure.error;
        const value = encoded(view);
        try {
          to.put(key, value);
          to.writer.settleBorrowed();
          return true;
        } catch (error) {
          failure = { error };
          throw error;
        }
      });
      if (found === undefined)
        throw new MmdError('NOT_FOUND', `${from.name}: no key ${JSON.stringify(key)}`, { key, path: from.name });
      options.onProgress?.({ done: i + 1, total: keys.length });
    }
  };
  to.transact(() => to.writer.interruptible(options.signal, copyAll));
}

/** A growable array as a source without spare room. */
function trimmedSource(core: DictCore, view: EntryView): ArraySource | undefined {
  const meta = core.describe(view)[1];
  if (meta.capacity === undefined || meta.layout !== 'modern' || meta.capacity === meta.shape![0]) return undefined;
  const place = placeOf(view);
  // A wrong length may reach over other entries: this throws, and nothing is trimmed.
  if (place.unfinished) growthCut(view.reader());
  const rows = meta.shape![0]!;
  return {
    arraySource: true,
    dtype: place.type,
    shape: [rows, ...place.rowShape],
    capacity: rows,
    file: new OpenRange(view.file, place.dataOffset, rows * place.rowBytes),
    ...(place.maskOffset !== undefined && {
      mask: {
        arraySource: true,
        dtype: 'bool',
        shape: [rows, ...place.rowShape],
        file: new OpenRange(view.file, place.maskOffset, rows * sizeOf(place.rowShape)),
      },
      fillValue: meta.fillValue,
    }),
  };
}

/**
 * Checks that a vacuum loses nothing: what it does not copy is gone for good. A damaged entry may be live, unless a later one has its key,
 * and a dead one may have a wrong length and reach over live ones.
 * @throws CORRUPT, unless the dict was opened leniently; READ_ONLY for a lenient one if the chain of entries is broken
 */
export function checkUndamaged(store: DictStore): void {
  store.checkWhole();
  const { entries, file, options } = store;
  if (options.lenient) return;
  checkLeftOut(store);
  if (entries.damaged.size === 0) return;
  // The walk may have met it while somebody was changing it; under the lock nobody is.
  store.invalidate();
  store.settle();
  for (const [key, offset] of entries.damaged) {
    const slot = key === undefined ? -1 : entries.find(key);
    if (slot >= 0 && entries.catalog.offset(slot) > offset) continue;
    throw new MmdError(
      'CORRUPT',
      `${file.name}: the entry at ${offset} is damaged, or has a key that is not a valid string, and a vacuum would drop it; use salvage(src, dst), or open with { lenient: true }`,
      { offset, key, path: file.name },
    );
  }
}

/** @throws CORRUPT if an entry that a vacuum leaves out reaches over others */
function checkLeftOut(store: DictStore): void {
  const left: EntryPlace[] = [...store.entries.catalog.shadowed.values()].flat();
  const requests = scanEntries(
    HEADER_SIZE,
    store.file.size(),
    ({ state, offset, frameLength, keyLength }) => {
      if (state !== 'live') left.push({ offset, frameLength, keyLength });
    },
    store.end,
  );
  answer(requests, store.read);
  for (const place of left) checkEnd(store, undefined, place);
}

/** @throws NOT_FOUND if the name refers to no file, or to another one */
function checkName(file: StorageFile): void {
  const named = file.identityOfName();
  if (named !== undefined && isSameFile(named, file.identity())) return;
  const message = `${file.name}: the file was moved or replaced while it was open; a vacuum would replace whatever has that name now, and not this file`;
  throw new MmdError('NOT_FOUND', message, { path: file.name });
}

/** Replaces the file by one that holds only the live entries. Other handles keep the old one mapped, and notice. */
export function vacuum(core: DictCore, options: ProgressOptions): void {
  const { store, writer } = core;
  core.changing();
  core.outsideBatch('vacuum');
  core.begin();
  let fresh: StorageFile | undefined;
  let temporary: string | undefined;
  const old = store.file;
  let first = 0;
  try {
    store.settle();
    checkUndamaged(store);
    checkName(old);
    const copied = createBeside(old);
    fresh = copied;
    // Kept, since renameOver() changes the file object's name before it flushes the rename to disk, which may fail.
    temporary = copied.name;
    const target = new DictCore(copied, { ...store.options, mode: 'r+', index: false });
    core.alone('vacuum', () => copyEntries(core, [...store.entries.catalog.keys()], target, true, options));
    // Python's mmappickle restarts the numbers, too; every handle notices a number that differs.
    if (store.commitNumber === 0) first = 1;
    if (store.options.index) writeIndexFor(target, first);
    markUnfinished(copied);
    target.writer.trim();
    copied.sync();
    // Raised before and after: whoever waits for this lock, or refreshes meanwhile, checks the name again.
    store.raise();
    // Copying takes long, and the file that has the name by now may be somebody's only copy.
    checkName(old);
    copied.renameOver(old.name);
  } catch (error) {
    cleanUp(
      () => fresh?.close(),
      () => temporary !== undefined && old.remove(temporary),
      () => core.rollback(),
    );
    throw error;
  }
  // The vacuum is done: a failure from here on must not leave the dict in a batch.
  cleanUp(
    () => fresh.storeI32(COMMIT_NUMBER_OFFSET, first),
    () => old.storeI32(COMMIT_NUMBER_OFFSET, nextCommitNumber(store.commitNumber)),
  );
  try {
    store.replaceFile(fresh, true);
  } finally {
    cleanUp(() => old.unlock());
    writer.moved();
  }
}
