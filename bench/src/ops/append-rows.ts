/** Append `count` rows of `bytes` bytes of float64 to one growable array, every row committed; open and close included. */

import { closeSync, openSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { numberParam, type Operation, type Side, type SideContext } from '../case.ts';
import { h5wasm } from '../node-peers.ts';
import { ours } from '../ours.ts';
import { seededFloats } from '../seeded.ts';
import { fresh, lastOf, timed, timedAsync } from '../timing.ts';

function job({ params }: SideContext) {
  return { count: numberParam(params, 'count'), row: seededFloats(numberParam(params, 'bytes') / 8) };
}

const mmdpickle: Side = {
  async start(context) {
    const { MmapDict, GrowableArray } = await ours.node();
    const { GrowableNDArray } = await ours.stubs();
    const { count, row } = job(context);
    return {
      round: () => {
        const path = fresh(context, 'run.mmdpickle');
        return timed(() => {
          const dict = MmapDict.open(path);
          dict.set('rows', new GrowableNDArray([row.length], 'float64', { capacity: count }));
          const rows = dict.get('rows');
          if (!(rows instanceof GrowableArray)) throw new Error('not a growable array');
          for (let i = 0; i < count; i++) rows.append(row);
          dict.close();
        });
      },
    };
  },
};

/** Through the RxJS operator, with its companion arrays of times and sequence numbers in the same commit. */
const rx: Side = {
  async start(context) {
    const { MmapDict } = await ours.node();
    const { appendRows } = await ours.rx();
    const { map, range } = await import('rxjs');
    const { count, row } = job(context);
    return {
      round: async () => {
        const path = fresh(context, 'run.mmdpickle');
        let written = 0;
        const round = await timedAsync(async () => {
          // Closed in each round: a file that is only unlinked would keep its disk blocks and pages.
          using dict = MmapDict.open(path);
          const append = appendRows<Float64Array>(dict, 'rows', {
            dtype: 'float64',
            rowShape: [row.length],
            capacity: count,
          });
          await lastOf(
            range(0, count).pipe(
              map(() => row),
              append,
            ),
          );
          ({ written } = append.stats());
        });
        if (written !== count) throw new Error(`${written} of ${count} rows`);
        return round;
      },
    };
  },
};

const rawFs: Side = {
  start(context) {
    const { count, row } = job(context);
    const bytes = new Uint8Array(row.buffer);
    return {
      round: () => {
        const path = fresh(context, 'run.raw');
        return timed(() => {
          const fd = openSync(path, 'w');
          for (let i = 0; i < count; i++) writeSync(fd, bytes, 0, bytes.length, i * bytes.length);
          closeSync(fd);
        });
      },
    };
  },
};

const h5wasmSwmr: Side = {
  async start(context) {
    const open = await h5wasm();
    const { count, row } = job(context);
    return {
      round: () => {
        const path = fresh(context, 'run.h5');
        return timed(() => {
          const file = open(path);
          // Chunks of about 256 KiB, as is usual advice for HDF5; one row if rows are that long.
          const rowsPerChunk = Math.max(1, Math.round(32768 / row.length));
          const rows = file.create_dataset({
            name: 'rows',
            data: row,
            shape: [1, row.length],
            maxshape: [null, row.length],
            chunks: [rowsPerChunk, row.length],
          });
          file.start_swmr_write();
          for (let i = 1; i < count; i++) {
            rows.resize([i + 1, row.length]);
            rows.write_slice([[i, i + 1], []], row);
            file.flush();
          }
          file.close();
        });
      },
    };
  },
};

export const operation: Operation = {
  inputs: ({ sharedDir, params }) => {
    const row = seededFloats(numberParam(params, 'bytes') / 8);
    writeFileSync(join(sharedDir, 'row.bin'), new Uint8Array(row.buffer));
  },
  sides: { ours: mmdpickle, 'ours-rx': rx, 'raw-fs': rawFs, 'h5wasm-swmr': h5wasmSwmr },
};
