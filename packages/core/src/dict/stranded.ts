/**
 * Journals that are not done: what a killed writer committed, and other writers may have appended behind.
 *
 * @module
 */

import { type Journal, joinJournals, readJournal } from '../format/journal.ts';
import { answer } from '../format/scan.ts';
import { JOURNAL_ACTIVE, JOURNAL_SWITCH } from '../format/tail-entry.ts';

/** File offsets of a journal's entry, and of its end. */
export type JournalPlace = readonly [offset: number, end: number];

/** Those of the places whose journal is not done. */
export function stillActive(
  places: readonly JournalPlace[],
  read: (offset: number, length: number) => Uint8Array,
): readonly JournalPlace[] {
  return places.filter(([offset]) => read(offset + JOURNAL_SWITCH, 1)[0] === JOURNAL_ACTIVE);
}

/** What the journals at these places say together; `undefined` where none says anything. */
export function journalOf(
  places: readonly JournalPlace[],
  read: (offset: number, length: number) => Uint8Array,
): Journal | undefined {
  const journals = places.map(([offset, end]) => answer(readJournal(offset, end), read));
  return joinJournals(journals.filter((journal) => journal !== undefined));
}
