/** Open a file of `keys` small records, put one more, close it: `sessions` times a round. */

import { numberParam, type Operation, type Side, type SideContext } from '../case.ts';
import { columnsOf, fillLmdb, fillOurs, fillSqlite } from '../filled.ts';
import { lmdb, sqlite } from '../node-peers.ts';
import { ours } from '../ours.ts';
import { recordKey, seededRecord } from '../seeded.ts';
import { timed, timedAsync } from '../timing.ts';

/** Numbers of the records that a round puts: none that the file has. */
function numbersOf({ params }: SideContext, round: number): number[] {
  const sessions = numberParam(params, 'sessions');
  const first = numberParam(params, 'keys') + round * sessions;
  return Array.from({ length: sessions }, (_, i) => first + i);
}

const mmdpickle: Side = {
  prepare: (context) => fillOurs(context, 'run.mmdpickle', { index: true }),
  async start(context) {
    const { MmapDict } = await ours.node();
    const path = `${context.dir}/run.mmdpickle`;
    return {
      round: (index) => {
        const numbers = numbersOf(context, index);
        return timed(() => {
          for (const number of numbers) {
            const dict = MmapDict.open(path);
            dict.set(recordKey(number), seededRecord(number));
            dict.close();
          }
        });
      },
    };
  },
};

const lmdbSide: Side = {
  prepare: (context) => fillLmdb(context, 'run.lmdb'),
  async start(context) {
    const open = await lmdb();
    const path = `${context.dir}/run.lmdb`;
    return {
      round: (index) => {
        const numbers = numbersOf(context, index);
        return timedAsync(async () => {
          for (const number of numbers) {
            const database = open(path);
            database.putSync(recordKey(number), seededRecord(number));
            await database.close();
          }
        });
      },
    };
  },
};

const sqliteSide: Side = {
  prepare: (context) => fillSqlite(context, 'run.sqlite'),
  async start(context) {
    const open = await sqlite();
    const path = `${context.dir}/run.sqlite`;
    return {
      round: (index) => {
        const numbers = numbersOf(context, index);
        return timed(() => {
          for (const number of numbers) {
            const database = open(path);
            database
              .prepare('insert into records values (?, ?, ?, ?, ?, ?)')
              .run(recordKey(number), ...columnsOf(number));
            database.close();
          }
        });
      },
    };
  },
};

export const operation: Operation = {
  sides: { ours: mmdpickle, lmdb: lmdbSide, 'better-sqlite3': sqliteSide },
};
