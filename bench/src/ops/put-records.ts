/** Put `count` records of five fields, each under its own key; committed one by one, or in batches of `batch`. */

import { closeSync, openSync, writeSync } from 'node:fs';
import { numberParam, type Operation, type Side, type SideContext } from '../case.ts';
import { CREATE, INSERT } from '../filled.ts';
import { lmdb, sqlite } from '../node-peers.ts';
import { ours } from '../ours.ts';
import { recordKey, type SensorRecord, seededRecord } from '../seeded.ts';
import { fresh, timed, timedAsync } from '../timing.ts';

function job({ params }: SideContext): { keys: string[]; records: SensorRecord[]; batch: number } {
  const count = numberParam(params, 'count');
  return {
    keys: Array.from({ length: count }, (_, i) => recordKey(i)),
    records: Array.from({ length: count }, (_, i) => seededRecord(i)),
    batch: numberParam(params, 'batch'),
  };
}

/** Calls `put` for every record, in transactions of `batch` records, or without one if that is 1. */
function putAll(count: number, batch: number, put: (i: number) => void, transaction: (action: () => void) => void) {
  if (batch === 1) {
    for (let i = 0; i < count; i++) put(i);
    return;
  }
  for (let from = 0; from < count; from += batch) {
    transaction(() => {
      const end = Math.min(count, from + batch);
      for (let i = from; i < end; i++) put(i);
    });
  }
}

const mmdpickle: Side = {
  async start(context) {
    const { MmapDict } = await ours.node();
    const { keys, records, batch } = job(context);
    return {
      round: () => {
        const path = fresh(context, 'run.mmdpickle');
        return timed(() => {
          const dict = MmapDict.open(path);
          putAll(
            keys.length,
            batch,
            (i) => dict.set(keys[i] as string, records[i]),
            (action) => dict.batch(action),
          );
          dict.close();
        });
      },
    };
  },
};

const jsonLines: Side = {
  start(context) {
    const { keys, records, batch } = job(context);
    return {
      round: () => {
        const path = fresh(context, 'run.jsonl');
        return timed(() => {
          const fd = openSync(path, 'w');
          let text = '';
          const line = (i: number): string => `${JSON.stringify({ key: keys[i], ...records[i] })}\n`;
          putAll(
            keys.length,
            batch,
            batch === 1
              ? (i) => {
                  writeSync(fd, line(i));
                }
              : (i) => {
                  text += line(i);
                },
            (action) => {
              action();
              writeSync(fd, text);
              text = '';
            },
          );
          closeSync(fd);
        });
      },
    };
  },
};

const lmdbSide: Side = {
  async start(context) {
    const open = await lmdb();
    const { keys, records, batch } = job(context);
    return {
      round: () => {
        const path = fresh(context, 'run.lmdb');
        return timedAsync(async () => {
          const database = open(path);
          putAll(
            keys.length,
            batch,
            (i) => database.putSync(keys[i] as string, records[i]),
            (action) => database.transactionSync(action),
          );
          await database.close();
        });
      },
    };
  },
};

const sqliteSide: Side = {
  async start(context) {
    const open = await sqlite();
    const { keys, records, batch } = job(context);
    return {
      round: () => {
        const path = fresh(context, 'run.sqlite');
        fresh(context, 'run.sqlite-wal');
        fresh(context, 'run.sqlite-shm');
        return timed(() => {
          const database = open(path);
          database.exec(CREATE);
          const insert = database.prepare(INSERT);
          putAll(
            keys.length,
            batch,
            (i) => {
              const { seq, time, sensor, value, ok } = records[i] as SensorRecord;
              insert.run(keys[i], seq, time, sensor, value, ok ? 1 : 0);
            },
            (action) => database.transaction(action)(),
          );
          database.close();
        });
      },
    };
  },
};

export const operation: Operation = {
  sides: { ours: mmdpickle, 'json-lines': jsonLines, lmdb: lmdbSide, 'better-sqlite3': sqliteSide },
};
