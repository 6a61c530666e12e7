/**
 * Another process commits `count` times, `gapMs` apart: how long until this one notices? Latencies are in
 * microseconds, from just before the commit to the callback; processor times are of this process.
 */

import { closeSync, fstatSync, openSync, readSync, watch, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { numberParam, type Operation, type Side, type SideContext } from '../case.ts';
import { ours } from '../ours.ts';
import { quantile } from '../stats.ts';
import { fresh, timedAsync } from '../timing.ts';
import { WriterProcess } from '../writer-process.ts';

/** Starts watching and calls back with every committed key; returns a function that stops it. */
type Watch = (path: string, noticed: (key: string) => void) => Promise<() => void>;

function watcher(kind: 'ours' | 'lines', create: (path: string) => Promise<void>, start: Watch): Side {
  return {
    async start(context: SideContext) {
      const count = numberParam(context.params, 'count');
      const gapMs = numberParam(context.params, 'gapMs');
      // Lives for all rounds, like this process, so that warm code is measured.
      const writer = new WriterProcess('notice-writer', [kind, String(count), String(gapMs)]);
      await writer.ready;
      return {
        round: async () => {
          const path = fresh(context, 'run.data');
          await create(path);
          const latencies: number[] = [];
          const stop = await start(path, (key) => {
            latencies.push(Number(process.hrtime.bigint() - BigInt(key.slice(2))) / 1e3);
          });
          try {
            await sleep(100);
            const idleBegan = process.cpuUsage();
            await sleep(400);
            const idle = process.cpuUsage(idleBegan);
            const cpuBegan = process.cpuUsage();
            const round = await timedAsync(async () => {
              await writer.run(path);
            });
            const cpu = process.cpuUsage(cpuBegan);
            await sleep(100);
            return {
              // The median latency is compared, not the time of the round, in which the writer mostly sleeps.
              ns: quantile(latencies, 0.5) * 1e3,
              metrics: {
                p50us: quantile(latencies, 0.5),
                p99us: quantile(latencies, 0.99),
                missed: count - latencies.length,
                cpuPercent: ((cpu.user + cpu.system) * 1e3 * 100) / round.ns,
                idlePercent: ((idle.user + idle.system) * 100) / 400e3,
              },
            };
          } finally {
            stop();
          }
        },
        close: () => writer.stop(),
      };
    },
  };
}

/** Reports the lines that were appended since the last read. */
function lineReader(path: string, noticed: (key: string) => void): { read: () => void; close: () => void } {
  const fd = openSync(path, 'r');
  const buffer = Buffer.alloc(65536);
  let position = 0;
  return {
    read: () => {
      if (fstatSync(fd).size === position) return;
      const length = readSync(fd, buffer, 0, buffer.length, position);
      position += length;
      for (const line of buffer.toString('latin1', 0, length).trim().split('\n')) noticed(line);
    },
    close: () => closeSync(fd),
  };
}

const empty = async (path: string): Promise<void> => writeFileSync(path, '');

const fsWatch = watcher('lines', empty, async (path, noticed) => {
  const lines = lineReader(path, noticed);
  const watching = watch(path, lines.read);
  return () => {
    watching.close();
    lines.close();
  };
});

const polling = watcher('lines', empty, async (path, noticed) => {
  const lines = lineReader(path, noticed);
  const timer = setInterval(lines.read, 1);
  return () => {
    clearInterval(timer);
    lines.close();
  };
});

const watchDictSide = watcher(
  'ours',
  async (path) => {
    const { MmapDict } = await ours.node();
    MmapDict.open(path).close();
  },
  async (path, noticed) => {
    const { watchDict } = await ours.rx();
    const subscription = watchDict(path).subscribe((change) => {
      if (change.kind === 'added') noticed(change.key);
    });
    return () => subscription.unsubscribe();
  },
);

export const operation: Operation = {
  sides: { ours: watchDictSide, 'fs-watch': fsWatch, 'polling-1ms': polling },
};
