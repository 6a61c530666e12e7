/** Files of `keys` small records that a side prepares before its rounds. */

import { numberParam, type SideContext } from './case.ts';
import { lmdb, sqlite } from './node-peers.ts';
import { ours } from './ours.ts';
import { recordKey, type SensorRecord, seededRecord } from './seeded.ts';
import { fresh } from './timing.ts';

/** The SQLite table of records, and the statement that inserts one: its key and {@link columnsOf}. */
export const CREATE = 'create table records (key text primary key, seq, time, sensor, value, ok) without rowid';
export const INSERT = 'insert into records values (?, ?, ?, ?, ?, ?)';

export async function fillOurs(
  context: SideContext,
  name: string,
  options: { readonly index: boolean },
): Promise<void> {
  const { MmapDict } = await ours.node();
  const keys = numberParam(context.params, 'keys');
  const dict = MmapDict.open(fresh(context, name), options);
  for (let from = 0; from < keys; from += 10_000) {
    dict.batch(() => {
      for (let i = from; i < Math.min(keys, from + 10_000); i++) dict.set(recordKey(i), seededRecord(i));
    });
  }
  dict.close();
}

export async function fillLmdb(context: SideContext, name: string): Promise<void> {
  const open = await lmdb();
  const keys = numberParam(context.params, 'keys');
  const database = open(fresh(context, name));
  database.transactionSync(() => {
    for (let i = 0; i < keys; i++) database.putSync(recordKey(i), seededRecord(i));
  });
  await database.close();
}

export async function fillSqlite(context: SideContext, name: string): Promise<void> {
  const open = await sqlite();
  const keys = numberParam(context.params, 'keys');
  const database = open(fresh(context, name));
  database.exec(CREATE);
  const insert = database.prepare(INSERT);
  database.transaction(() => {
    for (let i = 0; i < keys; i++) insert.run(recordKey(i), ...columnsOf(seededRecord(i)));
  })();
  database.close();
}

/** The values of {@link INSERT} after the key. */
export function columnsOf({ seq, time, sensor, value, ok }: SensorRecord): unknown[] {
  return [seq, time, sensor, value, ok ? 1 : 0];
}
