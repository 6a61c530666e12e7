/**
 * The live entries of a file, found without relying on an index.
 *
 * @module
 */

import type { Journal } from '../format/journal.ts';
import { HEADER_SIZE, stateOffset } from '../format/layout.ts';
import { answer } from '../format/scan.ts';
import type { Catalog, EntryPlace } from './catalog.ts';
import { KnownEntries } from './known-entries.ts';
import type { DictStore } from './store.ts';
import { journalOfWalk } from './stranded.ts';
import { walkToEnd } from './walk.ts';

/** The last live entry of each key, as far as the chain of frames goes. Journals count as done. */
export function liveEntries(store: DictStore): Catalog {
  const { file, read } = store;
  const known = new KnownEntries(store);
  const { walk, end } = walkToEnd(file, HEADER_SIZE, file.size(), known);
  const journal = answer(journalOfWalk(walk, end), read);
  if (journal !== undefined) known.died(journal.deaths);
  return known.catalog;
}

/** Removes the entries that the journal marks dead; returns the file offsets of all state bytes that it does. */
export function buryDead(live: Map<string, EntryPlace>, journal: Journal | undefined): ReadonlySet<number> {
  const deaths = journal?.deaths ?? new Set();
  for (const [key, { offset, frameLength }] of live) if (deaths.has(stateOffset(offset, frameLength))) live.delete(key);
  return deaths;
}
