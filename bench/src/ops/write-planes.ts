/** Write `planes` fresh planes of `planeBytes` bytes into a sparse float64 array of `rows` planes. */

import { closeSync, ftruncateSync, openSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { numberParam, type Operation, type Side, type SideContext } from '../case.ts';
import { ours } from '../ours.ts';
import { seededFloats } from '../seeded.ts';
import { fresh, timed } from '../timing.ts';

function job({ params }: SideContext) {
  return {
    rows: numberParam(params, 'rows'),
    planes: numberParam(params, 'planes'),
    plane: seededFloats(numberParam(params, 'planeBytes') / 8),
  };
}

const mmdpickle: Side = {
  async start(context) {
    const { MmapDict } = await ours.node();
    const { NDArray } = await ours.ndarray();
    const { EmptyNDArray } = await ours.stubs();
    const { rows, planes, plane } = job(context);
    return {
      round: () => {
        const dict = MmapDict.open(fresh(context, 'run.mmdpickle'));
        dict.set('cube', new EmptyNDArray([rows, plane.length]));
        const cube = dict.get('cube');
        if (!(cube instanceof NDArray)) throw new Error('not an array');
        const round = timed(() => {
          for (let i = 0; i < planes; i++) cube.row(i).set(plane);
        });
        if (cube.get(planes - 1, 5) !== plane[5]) throw new Error('the plane did not arrive');
        dict.close();
        fresh(context, 'run.mmdpickle');
        return round;
      },
    };
  },
};

const rawFs: Side = {
  start(context) {
    const { rows, planes, plane } = job(context);
    const bytes = new Uint8Array(plane.buffer);
    return {
      round: () => {
        const path = fresh(context, 'run.raw');
        const fd = openSync(path, 'w');
        ftruncateSync(fd, rows * bytes.length);
        const round = timed(() => {
          for (let i = 0; i < planes; i++) writeSync(fd, bytes, 0, bytes.length, i * bytes.length);
        });
        closeSync(fd);
        fresh(context, 'run.raw');
        return round;
      },
    };
  },
};

export const operation: Operation = {
  inputs: (context) => writeFileSync(join(context.sharedDir, 'plane.bin'), new Uint8Array(job(context).plane.buffer)),
  sides: { ours: mmdpickle, 'raw-fs': rawFs },
};
