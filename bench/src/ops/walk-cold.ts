/** Open a file of `count` frames of `bytes` bytes without an index, whose pages are not in the page cache, and count its keys. */

import { spawnSync } from 'node:child_process';
import { closeSync, openSync, readSync } from 'node:fs';
import { numberParam, type Operation, type Side, type SideContext } from '../case.ts';
import { ours } from '../ours.ts';
import { recordKey } from '../seeded.ts';
import { timed } from '../timing.ts';

const NAME = 'frames.mmdpickle';
/** Bytes before the first entry. */
const HEADER = 24;
/** What a walk reads at the border of two entries. */
const BORDER = 4096;

function path({ sharedDir }: SideContext): string {
  return `${sharedDir}/${NAME}`;
}

/** Drops the file's pages from the page cache: what `dd` does for a file of which it copies nothing. */
function evict(file: string): void {
  const { status } = spawnSync('dd', [
    `of=${file}`,
    'oflag=nocache',
    'conv=notrunc,fdatasync',
    'count=0',
    'status=none',
  ]);
  if (status !== 0) throw new Error(`dd could not drop ${file} from the page cache`);
}

const oursSide: Side = {
  async start(context) {
    const { MmapDict } = await ours.node();
    const count = numberParam(context.params, 'count');
    return {
      round: () => {
        evict(path(context));
        let size = 0;
        const round = timed(() => {
          const dict = MmapDict.open(path(context), { mode: 'r' });
          size = dict.size;
          dict.close();
        });
        if (size !== count) throw new Error(`${size} keys, not ${count}`);
        return round;
      },
    };
  },
};

/** The same reads, one after the other, each from where the last one's length says. */
const rawSide: Side = {
  start: (context) => {
    const count = numberParam(context.params, 'count');
    return {
      round: () => {
        evict(path(context));
        const bytes = Buffer.alloc(BORDER);
        let found = 0;
        const round = timed(() => {
          const fd = openSync(path(context), 'r');
          let offset = HEADER;
          while (readSync(fd, bytes, 0, BORDER, offset) > 11 && bytes[9] === 0x8c) {
            found += 1;
            offset += 9 + Number(bytes.readBigUInt64LE(1));
          }
          closeSync(fd);
        });
        if (found < count) throw new Error(`${found} entries, not ${count}`);
        return round;
      },
    };
  },
};

export const operation: Operation = {
  async inputs(context) {
    const { MmapDict } = await ours.node();
    const frame = new Uint8Array(numberParam(context.params, 'bytes')).fill(7);
    using dict = MmapDict.open(path(context), { index: false });
    for (let i = 0; i < numberParam(context.params, 'count'); i++) dict.set(recordKey(i), frame);
  },
  sides: { ours: oursSide, 'raw-fs': rawSide },
};
