/**
 * What stands between the last entry and the terminator: dropped when it is no longer true, and journals once they are done.
 * All of it is done under the lock.
 *
 * @module
 */

import type { Journal } from '../format/journal.ts';
import { TERMINATOR_SIZE, terminator } from '../format/layout.ts';
import { JOURNAL_SWITCH, journalOff } from '../format/tail-entry.ts';
import { writeBorderless } from './append-buffer.ts';
import { carryOut } from './changes-in-place.ts';
import type { DictStore } from './store.ts';

/** Puts the terminator over the first tail entry: what they said is no longer true. Nobody maps what is cut off. */
export function dropTail(store: DictStore): void {
  if (store.terminator === store.end) return;
  const { entries } = store;
  const newest = entries.base?.newest;
  if (newest !== undefined && newest.entry >= store.end && !newest.keep()) entries.walkAll();
  // Who knows where the terminator was must not touch it once it is cut off.
  store.raise();
  writeBorderless(store.file, store.end, terminator(), store.durable);
  store.file.truncate(store.end + TERMINATOR_SIZE);
  store.dropped();
}

/** Does what a journal says, and drops it. */
export function finishJournal(store: DictStore, journal: Journal): void {
  const { file, durable } = store;
  if (durable) file.sync();
  carryOut(journal, file, durable);
  if (durable) file.sync();
  dropTail(store);
  retireStranded(store);
}

/** A journal that another writer appended behind cannot be dropped: its program is switched off. */
function retireStranded(store: DictStore): void {
  for (const [offset, end] of store.stranded) store.file.write(offset + JOURNAL_SWITCH, journalOff(offset, end));
  store.stranded = [];
  store.journal = undefined;
}
