/**
 * Positions from which a watcher continues.
 *
 * @module
 */

import type { StorageFile } from '@mmdpickle/core/storage';
import type { ChangeDraft } from './change.ts';
import type { FileReader } from './file-reader.ts';
import { isFiller, type LedgerState, type SeenEntry, WatchLedger } from './ledger.ts';

/** The position of a watcher, as plain data (JSON): another watcher can continue from there, and misses nothing. */
export interface WatchCursor extends LedgerState {
  readonly path: string;
  readonly file: {
    readonly dev: string;
    readonly ino: string;
    /** When the file was created, if the filesystem records it: the inode number of a removed file may be reused. */
    readonly born?: string;
  };
  /** The file's commit number up to which everything was reported. */
  readonly commitNumber?: number;
}

/** Whether a cursor was made from a file, which was created at `created`. */
export function isFileOf({ file: { dev, ino, born } }: WatchCursor, file: StorageFile, created?: string): boolean {
  const own = file.identity();
  return String(own.dev) === dev && String(own.ino) === ino && (born === undefined || born === created);
}

/** What happened in the reader's file since a watcher had counted to `number`. */
export function sinceNumber(reader: FileReader, number: number): ChangeDraft[] {
  const probe = new WatchLedger(reader.ledger.end);
  const entries = reader.entries();
  probe.appended(entries, () => true);
  for (const dead of probe.takeDead()) probe.died(dead);
  probe.takeNews();
  if (number > probe.seq) {
    reader.ledger.seq = number;
    return reader.succeed(reader.ledger, true);
  }
  reader.ledger = number === probe.seq ? probe : baselineOf(entries, number, reader.ledger.end);
  return reader.look();
}

/**
 * The least that a watcher can have known when it had counted to `number`. Everything beyond that may be new to it, and is
 * reported (again). In a file to which entries were only added, this is exactly what it knew.
 *
 * @param entries - all entries of the file now
 * @param first - file offset where entries begin
 */
function baselineOf(entries: readonly SeenEntry[], number: number, first: number): WatchLedger {
  const content = entries.filter((entry) => !isFiller(entry));
  const allRows = content.reduce((sum, { rows = 0 }) => sum + rows, 0);
  const deaths = content.filter(({ live }) => !live).length;
  const mostEntries = Math.min(content.length, number);
  const ledger = new WatchLedger(first);
  let most = 0;
  for (const entry of entries) {
    if (most >= number) break;
    const { rows } = entry;
    if (!isFiller(entry)) most += 1 + (entry.live ? 0 : 1) + (rows ?? 0);
    const knownRows = rows === undefined ? undefined : Math.max(0, number - mostEntries - deaths - (allRows - rows));
    ledger.appended([{ ...entry, live: isFiller(entry) ? entry.live : true, rows: knownRows }], () => true);
  }
  ledger.takeNews();
  ledger.seq = number;
  return ledger;
}
