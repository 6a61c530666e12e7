/** An array larger than memory: allocated, filled plane by plane, then summed and checked. */

import { statSync } from 'node:fs';
import { numberParam, type Operation, type Side } from '../case.ts';
import { peakRss } from '../memory.ts';
import { ours } from '../ours.ts';
import { fresh, timed } from '../timing.ts';

const mmdpickle: Side = {
  async start(context) {
    const { MmapDict } = await ours.node();
    const { NDArray } = await ours.ndarray();
    const { EmptyNDArray } = await ours.stubs();
    const rows = numberParam(context.params, 'rows');
    const length = numberParam(context.params, 'planeBytes') / 8;
    return {
      round: () => {
        const path = fresh(context, 'run.mmdpickle');
        const dict = MmapDict.open(path);
        const allocation = timed(() => {
          dict.set('cube', new EmptyNDArray([rows, length]));
        });
        const sparse = statSync(path).blocks * 512;
        const cube = dict.get('cube');
        if (!(cube instanceof NDArray)) throw new Error('not an array');
        const plane = new Float64Array(length);
        let expected = 0;
        const filling = timed(() => {
          for (let i = 0; i < rows; i++) {
            plane.fill(i % 1024);
            expected += (i % 1024) * length;
            cube.row(i).set(plane);
          }
        });
        let sum = 0;
        const summing = timed(() => {
          sum = Number(cube.sum());
        });
        if (sum !== expected) throw new Error(`the sum is ${sum}, not ${expected}`);
        dict.close();
        fresh(context, 'run.mmdpickle');
        return {
          ns: filling.ns + summing.ns,
          metrics: {
            allocateMs: allocation.ns / 1e6,
            sparseKiB: sparse / 1024,
            fillGiBs: (rows * length * 8) / 2 ** 30 / (filling.ns / 1e9),
            sumGiBs: (rows * length * 8) / 2 ** 30 / (summing.ns / 1e9),
            rssMiB: peakRss() / 2 ** 20,
          },
        };
      },
    };
  },
};

export const operation: Operation = { sides: { ours: mmdpickle } };
