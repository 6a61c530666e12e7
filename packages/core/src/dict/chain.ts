/**
 * What a writer checks about entries that it did not write itself, before it changes a file: the disk may have corrupted them.
 *
 * @module
 */

import type { EntryPlace } from './catalog.ts';
import { checkEnd } from './repair.ts';
import type { DictStore } from './store.ts';
import type { FileReader } from './walk.ts';

/** An index of fewer bytes has at most 200 keys: walking over them takes 0.2 ms, and not long on a slow disk, either. */
const SMALL_INDEX = 4096;

/** Bytes that such a walk reads at most, in 3 ms: there may be any number of dead entries between these keys. */
const BUDGET = 2 ** 20;

/**
 * Checks the chain before a change to a file that was opened by a small index: Python does not see what is appended after a break of the
 * chain, or after an older terminator. Once for each index, under the lock; not for a handle opened leniently.
 * @throws CORRUPT, TRUNCATED
 */
function checkChain(store: DictStore): void {
  const { entries, options } = store;
  const { base } = entries;
  if (base === undefined || base.chained || options.lenient) return;
  if (base.newest.footer.older !== 0 || base.newest.size >= SMALL_INDEX) return;
  base.chained = true;
  try {
    if (entries.walkBase(BUDGET)?.kind !== 'damage') return;
    entries.walkAll();
  } catch (error) {
    base.chained = false;
    throw error;
  }
  store.checkWalked();
}

/** Which entries a handle has written itself, or has seen others write: their lengths are right. */
export class OwnEntries {
  /** File offset where they begin. */
  #from = Infinity;
  /** The {@link KnownEntries.generation} for which that holds. */
  #generation = -1;

  /** A change begins, under the lock. */
  begin(store: DictStore): void {
    const { entries, end } = store;
    if (entries.base !== undefined) checkChain(store);
    if (entries.generation === this.#generation) return;
    this.#generation = entries.generation;
    this.#from = end;
  }

  /** Checks an entry that is to be marked dead. @throws CORRUPT if its end belongs to another one */
  check(store: DictStore, key: string, place: EntryPlace, readHead?: FileReader): void {
    if (place.offset < this.#from) checkEnd(store, key, place, readHead);
  }
}
