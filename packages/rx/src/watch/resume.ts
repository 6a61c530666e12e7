import { isFiller, type SeenEntry, WatchLedger } from './ledger.ts';

/**
 * The least that a watcher can have known when it had counted to `number`. Everything beyond that may be new to it, and is
 * reported (again). In a file to which entries were only added, this is exactly what it knew.
 *
 * @param entries - all entries of the file now
 * @param first - file offset where entries begin
 */
export function baselineOf(entries: readonly SeenEntry[], number: number, first: number): WatchLedger {
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
