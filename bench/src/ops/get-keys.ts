/**
 * Open a file of `keys` small records and get `gets` random ones: `opens` times per round or, if that is 0, through one handle
 * that stays open between rounds.
 */

import { numberParam, type Operation, type Side, type SideContext } from '../case.ts';
import { fillLmdb, fillOurs, fillSqlite } from '../filled.ts';
import { type LmdbDatabase, lmdb, type SqliteDatabase, sqlite } from '../node-peers.ts';
import { ours } from '../ours.ts';
import { recordKey, seeded } from '../seeded.ts';
import { timed, timedAsync } from '../timing.ts';

function job({ params }: SideContext) {
  const keys = numberParam(params, 'keys');
  const gets = numberParam(params, 'gets');
  const opens = numberParam(params, 'opens');
  return {
    reopen: opens > 0,
    /** The keys to get after each open: different in every round, the same for every side. */
    pick(round: number): string[][] {
      const next = seeded(round + 1);
      const some = () => Array.from({ length: gets }, () => recordKey(Math.floor(next() * keys)));
      return Array.from({ length: Math.max(opens, 1) }, some);
    },
  };
}

/** Throws unless `found` is the record of the last key: a fast wrong answer must not count. */
function expectRecord(picked: readonly string[][], found: unknown): void {
  const key = picked.at(-1)!.at(-1)!;
  const seq = found instanceof Map ? found.get('seq') : (found as { seq?: unknown } | undefined)?.seq;
  if (seq !== Number(key.slice(4))) throw new Error(`${key} gave ${String(seq)}`);
}

function oursSide(closeOptions: { readonly index: boolean }): Side {
  const name = closeOptions.index ? 'indexed.mmdpickle' : 'walked.mmdpickle';
  return {
    prepare: (context) => fillOurs(context, name, closeOptions),
    async start(context) {
      const { MmapDict } = await ours.node();
      const { reopen, pick } = job(context);
      const path = `${context.dir}/${name}`;
      const kept = reopen ? undefined : MmapDict.open(path, { mode: 'r' });
      return {
        round: (index) => {
          const picked = pick(index);
          let last: unknown;
          const round = timed(() => {
            for (const keys of picked) {
              const dict = kept ?? MmapDict.open(path, { mode: 'r' });
              for (const key of keys) last = dict.get(key);
              if (kept === undefined) dict.close();
            }
          });
          expectRecord(picked, last);
          return round;
        },
        close: () => kept?.close(),
      };
    },
  };
}

const lmdbSide: Side = {
  prepare: (context) => fillLmdb(context, 'run.lmdb'),
  async start(context) {
    const open = await lmdb();
    const { reopen, pick } = job(context);
    const path = `${context.dir}/run.lmdb`;
    const options = { readOnly: true };
    let kept: LmdbDatabase | undefined = reopen ? undefined : open(path, options);
    return {
      round: async (index) => {
        const picked = pick(index);
        let last: unknown;
        const round = await timedAsync(async () => {
          for (const keys of picked) {
            const database = kept ?? open(path, options);
            for (const key of keys) last = database.get(key);
            if (kept === undefined) await database.close();
          }
        });
        expectRecord(picked, last);
        return round;
      },
      close: async () => {
        await kept?.close();
        kept = undefined;
      },
    };
  },
};

const sqliteSide: Side = {
  prepare: (context) => fillSqlite(context, 'run.sqlite'),
  async start(context) {
    const open = await sqlite();
    const { reopen, pick } = job(context);
    const path = `${context.dir}/run.sqlite`;
    const select = 'select * from records where key = ?';
    const kept: SqliteDatabase | undefined = reopen ? undefined : open(path);
    const keptSelect = kept?.prepare(select);
    return {
      round: (index) => {
        const picked = pick(index);
        let last: unknown;
        const round = timed(() => {
          for (const keys of picked) {
            const database = kept ?? open(path);
            const statement = keptSelect ?? database.prepare(select);
            for (const key of keys) last = statement.get(key);
            if (kept === undefined) database.close();
          }
        });
        expectRecord(picked, last);
        return round;
      },
      close: () => kept?.close(),
    };
  },
};

export const operation: Operation = {
  sides: {
    ours: oursSide({ index: true }),
    'ours-walk': oursSide({ index: false }),
    lmdb: lmdbSide,
    'better-sqlite3': sqliteSide,
  },
};
