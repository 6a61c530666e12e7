/**
 * Journals that are not done: what a killed writer committed, and other writers may have appended behind.
 *
 * @module
 */

import { type Journal, joinJournals, readJournal } from '../format/journal.ts';
import type { ByteRequest, ScanEnd } from '../format/scan.ts';
import { isActiveJournal, JOURNAL_START, JOURNAL_SWITCH } from '../format/tail-entry.ts';
import type { Walk } from './walk.ts';

/** File offsets of a journal's entry, and of its end. */
export type JournalPlace = readonly [offset: number, end: number];

/** Those of the places whose journal is not done. */
export function* stillActive(
  places: readonly JournalPlace[],
): Generator<ByteRequest, readonly JournalPlace[], Uint8Array> {
  const active: JournalPlace[] = [];
  for (const place of places) {
    const start: Uint8Array = yield { offset: place[0] + JOURNAL_SWITCH, length: JOURNAL_START };
    if (isActiveJournal(start, ...place)) active.push(place);
  }
  return active;
}

/** What the journals at these places say together; `undefined` where none says anything. */
export function* journalOf(places: readonly JournalPlace[]): Generator<ByteRequest, Journal | undefined, Uint8Array> {
  const journals: Journal[] = [];
  for (const [offset, end] of places) {
    const journal = yield* readJournal(offset, end);
    if (journal !== undefined) journals.push(journal);
  }
  return joinJournals(journals);
}

/** Where the journal of a walk that met the terminator stands, if that is what the file ends with. */
export function tailJournal({ tailStart, tail, lastTail }: Walk, end: ScanEnd): JournalPlace | undefined {
  const last = tailStart >= 0 && tail === 'journal' && end.kind === 'terminator';
  return last ? [lastTail, end.offset] : undefined;
}

/** What all journals that a walk met say together. */
export function* journalOfWalk(walk: Walk, end: ScanEnd): Generator<ByteRequest, Journal | undefined, Uint8Array> {
  const last = tailJournal(walk, end);
  const active = yield* stillActive(walk.stranded);
  return yield* journalOf(last === undefined ? active : [...active, last]);
}
