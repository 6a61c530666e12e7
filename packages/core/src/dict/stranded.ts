/**
 * Unfinished journals: a killed writer committed them, and other writers may have appended after them.
 *
 * @module
 */

import { type Journal, joinJournals, readJournal } from '../format/journal.ts';
import type { ByteRequest, ScanEnd } from '../format/scan.ts';
import { isActiveJournal, JOURNAL_START, JOURNAL_SWITCH } from '../format/tail-entry.ts';
import type { Walk } from './walk.ts';

/** File offsets of a journal's entry, and of its end. */
export type JournalPlace = readonly [offset: number, end: number];

/** The places whose journal is not done. */
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

/** The combined changes of the journals at these places; `undefined` if there are none. */
export function* journalOf(places: readonly JournalPlace[]): Generator<ByteRequest, Journal | undefined, Uint8Array> {
  const journals: Journal[] = [];
  for (const [offset, end] of places) {
    const journal = yield* readJournal(offset, end);
    if (journal !== undefined) journals.push(journal);
  }
  return joinJournals(journals);
}

/** The place of the journal that the file ends with, if it does and the walk met the terminator. */
export function tailJournal({ tailStart, tail, lastTail }: Walk, end: ScanEnd): JournalPlace | undefined {
  const last = tailStart >= 0 && tail === 'journal' && end.kind === 'terminator';
  return last ? [lastTail, end.offset] : undefined;
}

/** The combined changes of all journals that a walk met. */
export function* journalOfWalk(walk: Walk, end: ScanEnd): Generator<ByteRequest, Journal | undefined, Uint8Array> {
  const last = tailJournal(walk, end);
  const active = yield* stillActive(walk.stranded);
  return yield* journalOf(last === undefined ? active : [...active, last]);
}
