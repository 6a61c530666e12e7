/** Open a file of `keys` small records, put one more, close it: `sessions` times per round. */

import { numberParam, type Operation, type Side, type SideContext } from '../case.ts';
import { columnsOf, fillLmdb, fillOurs, fillSqlite, INSERT } from '../filled.ts';
import { lmdb, sqlite } from '../node-peers.ts';
import { ours } from '../ours.ts';
import { recordKey, seededRecord } from '../seeded.ts';
import { timedAsync } from '../timing.ts';

/** Numbers of the records that a round puts, none of which is in the file yet. */
function numbersOf({ params }: SideContext, round: number): number[] {
  const sessions = numberParam(params, 'sessions');
  const first = numberParam(params, 'keys') + round * sessions;
  return Array.from({ length: sessions }, (_, i) => first + i);
}

/**
 * A side whose file is filled by `fill`.
 * @param connect - returns the function for one session: open, put, close
 */
function sessionSide(
  name: string,
  fill: (context: SideContext, name: string) => Promise<void>,
  connect: () => Promise<(path: string, number: number) => void | Promise<void>>,
): Side {
  return {
    prepare: (context) => fill(context, name),
    async start(context) {
      const session = await connect();
      const path = `${context.dir}/${name}`;
      return {
        round: (index) => {
          const numbers = numbersOf(context, index);
          return timedAsync(async () => {
            for (const number of numbers) await session(path, number);
          });
        },
      };
    },
  };
}

const mmdpickle = sessionSide(
  'run.mmdpickle',
  (context, name) => fillOurs(context, name, { index: true }),
  async () => {
    const { MmapDict } = await ours.node();
    return (path, number) => MmapDict.open(path).set(recordKey(number), seededRecord(number)).close();
  },
);

const lmdbSide = sessionSide('run.lmdb', fillLmdb, async () => {
  const open = await lmdb();
  return (path, number) => {
    const database = open(path);
    database.putSync(recordKey(number), seededRecord(number));
    return database.close();
  };
});

const sqliteSide = sessionSide('run.sqlite', fillSqlite, async () => {
  const open = await sqlite();
  return (path, number) => {
    const database = open(path);
    database.prepare(INSERT).run(recordKey(number), ...columnsOf(seededRecord(number)));
    database.close();
  };
});

export const operation: Operation = {
  sides: { ours: mmdpickle, lmdb: lmdbSide, 'better-sqlite3': sqliteSide },
};
