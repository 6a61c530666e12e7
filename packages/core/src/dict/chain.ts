/**
 * What a writer asks of entries that it did not write itself, before it changes a file: somebody's disk may have changed them.
 *
 * @module
 */

import type { EntryPlace } from './catalog.ts';
import { checkEnd } from './repair.ts';
import type { DictStore } from './store.ts';

/** An index of less than so many bytes is of 200 keys at most: walking over these takes 0.2 ms, and not long on a slow disk, either. */
const SMALL_INDEX = 4096;

/** Bytes that such a walk reads at most, in 3 ms: dead entries between these keys may be any number. */
const BUDGET = 2 ** 20;

/**
 * For who is about to change a file that was opened by a small index: what is appended behind a break of the chain, or behind an older
 * end, Python does not see. Once for each index, under the lock; who opened leniently is not told.
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

/** Tells which entries a handle has written itself, or has seen others write: their lengths are right. */
export class OwnEntries {
  /** They begin at this file offset. */
  #from = Infinity;
  /** What that holds for: the {@link KnownEntries.generation}. */
  #generation = -1;

  /** A change begins, under the lock. */
  begin(store: DictStore): void {
    const { entries, end } = store;
    if (entries.base !== undefined) checkChain(store);
    if (entries.generation === this.#generation) return;
    this.#generation = entries.generation;
    this.#from = end;
  }

  /** An entry is to die. @throws CORRUPT where its end is that of another one */
  check(store: DictStore, key: string, place: EntryPlace): void {
    if (place.offset < this.#from) checkEnd(store, key, place);
  }
}
