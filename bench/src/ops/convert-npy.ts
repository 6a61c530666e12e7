/** Convert an npy file of `bytes` bytes of float64 into a dict (`direction: 'in'`), or a dict's array into an npy file. */

import { spawnSync } from 'node:child_process';
import { closeSync, copyFileSync, mkdirSync, openSync, readSync, statSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { numberParam, type Operation, type Side, type SideContext, textParam } from '../case.ts';
import { npyHeader } from '../npy.ts';
import { ours } from '../ours.ts';
import { seededBytes } from '../seeded.ts';
import { fresh, timed, timedAsync } from '../timing.ts';

const BLOCK = 2 ** 23;

function job({ params, sharedDir }: SideContext) {
  return {
    bytes: numberParam(params, 'bytes'),
    direction: textParam(params, 'direction'),
    input: join(sharedDir, 'input.npy'),
  };
}

/** Checks that the last bytes of the output are the input's: a hole that reads as zeros is not a conversion. */
function sameTail(path: string, input: string, distanceFromEnd: number): void {
  const tail = (file: string, distance: number): string => {
    const bytes = new Uint8Array(64);
    const fd = openSync(file, 'r');
    readSync(fd, bytes, 0, 64, statSync(file).size - distance - 64);
    closeSync(fd);
    return Buffer.from(bytes).toString('hex');
  };
  if (tail(path, distanceFromEnd) !== tail(input, 0)) throw new Error('the bytes did not arrive');
}

const mmdpickle: Side = {
  async prepare(context) {
    const { MmapDict } = await ours.node();
    const { npyToMmd } = await ours.npy();
    const { direction, input } = job(context);
    if (direction === 'in') return;
    const dict = MmapDict.open(fresh(context, 'source.mmdpickle'));
    await npyToMmd([input], dict);
    dict.close();
  },
  async start(context) {
    const { MmapDict } = await ours.node();
    const { npyToMmd, mmdToNpy } = await ours.npy();
    const { direction, input } = job(context);
    if (direction === 'in') {
      return {
        round: async () => {
          const path = fresh(context, 'run.mmdpickle');
          const round = await timedAsync(async () => {
            const dict = MmapDict.open(path);
            await npyToMmd([input], dict);
            dict.close();
          });
          const dict = MmapDict.open(path, { mode: 'r' });
          const meta = dict.getMeta('input');
          dict.close();
          if (meta === undefined) throw new Error('no array under the name of the npy file');
          sameTail(path, input, statSync(path).size - meta.offset - (meta.nbytes ?? 0));
          return round;
        },
      };
    }
    return {
      round: async () => {
        const outDir = fresh(context, 'out');
        mkdirSync(outDir);
        const round = await timedAsync(async () => {
          const dict = MmapDict.open(join(context.dir, 'source.mmdpickle'), { mode: 'r' });
          await mmdToNpy(dict, ['input'], outDir);
          dict.close();
        });
        sameTail(join(outDir, 'input.npy'), input, 0);
        return round;
      },
    };
  },
};

const cp: Side = {
  start(context) {
    const { input } = job(context);
    return {
      round: () => {
        const path = fresh(context, 'copy.npy');
        return timed(() => {
          if (spawnSync('cp', [input, path]).status !== 0) throw new Error('cp failed');
        });
      },
    };
  },
};

const copyFile: Side = {
  start(context) {
    const { input } = job(context);
    return {
      round: () => {
        const path = fresh(context, 'copy.npy');
        return timed(() => copyFileSync(input, path));
      },
    };
  },
};

export const operation: Operation = {
  inputs: (context) => {
    const { bytes, input } = job(context);
    const block = seededBytes(Math.min(BLOCK, bytes));
    const fd = openSync(input, 'w');
    writeSync(fd, npyHeader('<f8', [bytes / 8]));
    for (let left = bytes; left > 0; left -= block.length) writeSync(fd, block, 0, Math.min(left, block.length));
    closeSync(fd);
  },
  sides: { ours: mmdpickle, cp, 'copy-file': copyFile },
};
