/**
 * Tail entries: dropped when they are no longer true, journals once they are done. All of this is done under the lock.
 *
 * @module
 */

import type { Journal } from '../format/journal.ts';
import { TERMINATOR_SIZE, terminator } from '../format/layout.ts';
import { JOURNAL_SWITCH, journalOff } from '../format/tail-entry.ts';
import { writeBorderless } from './append-buffer.ts';
import { carryOut } from './changes-in-place.ts';
import type { DictStore } from './store.ts';

/** Drops all tail entries by writing the terminator over the first: what they say is no longer true. Nobody maps what is cut off. */
export function dropTail(store: DictStore): void {
  if (store.terminator === store.end) return;
  const { entries, index } = store;
  const newest = entries.base?.newest;
  if (newest !== undefined && newest.entry >= store.end && !newest.keep()) entries.walkAll();
  // Handles that know the terminator's old place must not touch it once it is cut off.
  store.raise();
  writeBorderless(store.file, store.end, terminator(), store.durable);
  store.file.truncate(store.end + TERMINATOR_SIZE);
  store.dropped();
  // Handles that refreshed after the raise above, but before the drop, still use the index. Another one with a different seed may take its
  // place and have the same length: for them it would seem to lack every key.
  if (store.index !== index) store.raise();
}

/** Carries out a journal, and drops it. */
export function finishJournal(store: DictStore, journal: Journal): void {
  const { file, durable } = store;
  if (durable) file.sync();
  carryOut(journal, file, durable);
  if (durable) file.sync();
  dropTail(store);
  retireStranded(store);
}

/** A journal that another writer has appended after cannot be dropped: its program is switched off. */
function retireStranded(store: DictStore): void {
  for (const [offset, end] of store.stranded) store.file.write(offset + JOURNAL_SWITCH, journalOff(offset, end));
  store.stranded = [];
  store.journal = undefined;
}
