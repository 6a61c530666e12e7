/** Get `count` small arrays (64 float64 each) from one open file, and read one element of each. */

import { numberParam, type Operation, type Side } from '../case.ts';
import { lmdb } from '../node-peers.ts';
import { ours } from '../ours.ts';
import { frameKey, seededFloats } from '../seeded.ts';
import { fresh, timed } from '../timing.ts';

const LENGTH = 64;

const mmdpickle: Side = {
  async prepare(context) {
    const { MmapDict } = await ours.node();
    const values = seededFloats(LENGTH);
    const count = numberParam(context.params, 'count');
    const dict = MmapDict.open(fresh(context, 'run.mmdpickle'));
    dict.batch(() => {
      for (let i = 0; i < count; i++) dict.set(frameKey(i), values);
    });
    dict.close();
  },
  async start(context) {
    const { MmapDict } = await ours.node();
    const { NDArray } = await ours.ndarray();
    const count = numberParam(context.params, 'count');
    const keys = Array.from({ length: count }, (_, i) => frameKey(i));
    const first = seededFloats(1)[0];
    return {
      round: () => {
        const dict = MmapDict.open(`${context.dir}/run.mmdpickle`, { mode: 'r' });
        const round = timed(() => {
          for (const key of keys) {
            const array = dict.get(key);
            if (!(array instanceof NDArray) || array.get(0) !== first) throw new Error(`${key} is wrong`);
          }
        });
        dict.close();
        return round;
      },
    };
  },
};

const subarray: Side = {
  start(context) {
    const count = numberParam(context.params, 'count');
    const data = seededFloats(count * LENGTH);
    return {
      round: () => {
        let sum = 0;
        const round = timed(() => {
          for (let i = 0; i < count; i++) sum += data.subarray(i * LENGTH, (i + 1) * LENGTH)[0] as number;
        });
        if (Number.isNaN(sum)) throw new Error('not a number');
        return round;
      },
    };
  },
};

const lmdbSide: Side = {
  async prepare(context) {
    const open = await lmdb();
    const values = new Uint8Array(seededFloats(LENGTH).buffer);
    const count = numberParam(context.params, 'count');
    const database = open(fresh(context, 'run.lmdb'), { encoding: 'binary' });
    database.transactionSync(() => {
      for (let i = 0; i < count; i++) database.putSync(frameKey(i), values);
    });
    await database.close();
  },
  async start(context) {
    const open = await lmdb();
    const count = numberParam(context.params, 'count');
    const keys = Array.from({ length: count }, (_, i) => frameKey(i));
    const first = seededFloats(1)[0];
    return {
      round: async () => {
        const database = open(`${context.dir}/run.lmdb`, { encoding: 'binary', readOnly: true });
        const round = timed(() => {
          for (const key of keys) {
            const bytes = database.get(key) as Buffer;
            if (new Float64Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + LENGTH * 8))[0] !== first) {
              throw new Error(`${key} is wrong`);
            }
          }
        });
        await database.close();
        return round;
      },
    };
  },
};

export const operation: Operation = { sides: { ours: mmdpickle, subarray, lmdb: lmdbSide } };
