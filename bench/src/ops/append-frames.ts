/** Append `count` frames of `bytes` bytes, one entry (record, dataset, file, chunk) per frame; open and close included. */

import { closeSync, fdatasyncSync, mkdirSync, openSync, statSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { numberParam, type Operation, type Side, type SideContext } from '../case.ts';
import { h5wasm, lmdb, sqlite } from '../node-peers.ts';
import { npyHeader } from '../npy.ts';
import { ours } from '../ours.ts';
import { importPeer } from '../peer-import.ts';
import { frameKey, seededBytes } from '../seeded.ts';
import { fresh, lastOf, timed, timedAsync } from '../timing.ts';

function job({ params }: SideContext) {
  return {
    count: numberParam(params, 'count'),
    frame: seededBytes(numberParam(params, 'bytes')),
    fdatasync: params.fdatasync === true,
  };
}

/** Stores frames as arrays, which are mapped when read back, or as Python bytes. */
function mmdpickle(form: 'array' | 'bytes'): Side {
  return {
    async start(context) {
      const { MmapDict } = await ours.node();
      const { ndarray } = await ours.ndarray();
      const { count, frame, fdatasync } = job(context);
      return {
        round: () => {
          const path = fresh(context, 'run.mmdpickle');
          const round = timed(() => {
            const dict = MmapDict.open(path, { durability: fdatasync ? 'commit' : 'none' });
            for (let i = 0; i < count; i++) dict.set(frameKey(i), form === 'array' ? ndarray(frame) : frame);
            dict.close();
          });
          if (statSync(path).size < count * frame.length) throw new Error('frames are missing');
          return round;
        },
      };
    },
  };
}

/** Through the RxJS operator: the source emits one frame after another, and receipts are counted. */
const rx: Side = {
  async start(context) {
    const { MmapDict } = await ours.node();
    const { appendFrames } = await ours.rx();
    const { map, range, tap } = await import('rxjs');
    const { count, frame } = job(context);
    return {
      round: async () => {
        const path = fresh(context, 'run.mmdpickle');
        let receipts = 0;
        const round = await timedAsync(async () => {
          const dict = MmapDict.open(path);
          const append = appendFrames<Uint8Array>(dict, { key: (_frame, i) => frameKey(i) });
          const received = tap(() => {
            receipts++;
          });
          await lastOf(
            range(0, count).pipe(
              map(() => frame),
              append,
              received,
            ),
          );
          dict.close();
        });
        if (receipts !== count) throw new Error(`${receipts} receipts for ${count} frames`);
        return round;
      },
    };
  },
};

const rawFs: Side = {
  start(context) {
    const { count, frame, fdatasync } = job(context);
    return {
      round: () => {
        const path = fresh(context, 'run.raw');
        return timed(() => {
          const fd = openSync(path, 'w');
          for (let i = 0; i < count; i++) {
            writeSync(fd, frame);
            if (fdatasync) fdatasyncSync(fd);
          }
          closeSync(fd);
        });
      },
    };
  },
};

const lmdbSide: Side = {
  async start(context) {
    const open = await lmdb();
    const { count, frame } = job(context);
    return {
      round: () => {
        const path = fresh(context, 'run.lmdb');
        return timedAsync(async () => {
          const database = open(path, { encoding: 'binary' });
          for (let i = 0; i < count; i++) database.putSync(frameKey(i), frame);
          await database.close();
        });
      },
    };
  },
};

const h5wasmSwmr: Side = {
  async start(context) {
    const open = await h5wasm();
    const { count, frame } = job(context);
    return {
      round: () => {
        const path = fresh(context, 'run.h5');
        return timed(() => {
          const file = open(path);
          const frames = file.create_dataset({
            name: 'frames',
            data: frame,
            shape: [1, frame.length],
            maxshape: [null, frame.length],
            chunks: [1, frame.length],
          });
          file.start_swmr_write();
          for (let i = 1; i < count; i++) {
            frames.resize([i + 1, frame.length]);
            frames.write_slice([[i, i + 1], []], frame);
            file.flush();
          }
          file.close();
        });
      },
    };
  },
};

const npyPerFrame: Side = {
  start(context) {
    const { count, frame } = job(context);
    return {
      round: () => {
        const path = fresh(context, 'run');
        return timed(() => {
          mkdirSync(path);
          for (let i = 0; i < count; i++) {
            const fd = openSync(join(path, `${i}.npy`), 'w');
            writeSync(fd, npyHeader('|u1', [frame.length]));
            writeSync(fd, frame);
            closeSync(fd);
          }
        });
      },
    };
  },
};

const zarritaSide: Side = {
  async start(context) {
    const zarr = await importPeer<{
      create(store: unknown, options: object): Promise<unknown>;
      set(array: unknown, selection: unknown, value: unknown): Promise<void>;
    }>('zarrita');
    const { default: FileSystemStore } = await importPeer<{ default: new (path: string) => unknown }>(
      '@zarrita/storage/fs',
    );
    const { count, frame } = job(context);
    return {
      round: () => {
        const path = fresh(context, 'run.zarr');
        return timedAsync(async () => {
          const array = await zarr.create(new FileSystemStore(path), {
            shape: [count, frame.length],
            chunkShape: [1, frame.length],
            dtype: 'uint8',
          });
          const value = { data: frame, shape: [frame.length], stride: [1] };
          for (let i = 0; i < count; i++) await zarr.set(array, [i, null], value);
        });
      },
    };
  },
};

const sqliteSide: Side = {
  async start(context) {
    const open = await sqlite();
    const { count, frame } = job(context);
    const blob = Buffer.from(frame.buffer);
    return {
      round: () => {
        const path = fresh(context, 'run.sqlite');
        fresh(context, 'run.sqlite-wal');
        fresh(context, 'run.sqlite-shm');
        return timed(() => {
          const database = open(path);
          database.exec('create table frames (key text primary key, data blob)');
          const insert = database.prepare('insert into frames values (?, ?)');
          for (let i = 0; i < count; i++) insert.run(frameKey(i), blob);
          database.close();
        });
      },
    };
  },
};

export const operation: Operation = {
  inputs: ({ sharedDir, params }) =>
    writeFileSync(join(sharedDir, 'frame.bin'), seededBytes(numberParam(params, 'bytes'))),
  sides: {
    ours: mmdpickle('array'),
    'ours-bytes': mmdpickle('bytes'),
    'ours-rx': rx,
    'raw-fs': rawFs,
    lmdb: lmdbSide,
    'h5wasm-swmr': h5wasmSwmr,
    'npy-per-frame': npyPerFrame,
    zarrita: zarritaSide,
    'better-sqlite3': sqliteSide,
  },
};
