/** Allocate an array of `rows` planes of `planeBytes` bytes, not held in memory: sparse, or with its disk space reserved (`reserve`). */

import { numberParam, type Operation, type Side } from '../case.ts';
import { ours } from '../ours.ts';
import { fresh, timed } from '../timing.ts';

const mmdpickle: Side = {
  async start(context) {
    const { MmapDict } = await ours.node();
    const { EmptyNDArray } = await ours.stubs();
    const shape = [numberParam(context.params, 'rows'), numberParam(context.params, 'planeBytes') / 8];
    const reserve = context.params.reserve === true;
    return {
      round: () => {
        const dict = MmapDict.open(fresh(context, 'run.mmdpickle'));
        const round = timed(() => {
          dict.set('cube', new EmptyNDArray(shape, 'float64', { reserve }));
        });
        dict.close();
        fresh(context, 'run.mmdpickle');
        return round;
      },
    };
  },
};

export const operation: Operation = { sides: { ours: mmdpickle } };
