/**
 * `processes` processes append `count` records each to one file, `batch` per commit, taking turns by flock; open and
 * close included. The processes live for all rounds, so that compiled code is measured, not its compilation.
 *
 * The longest event loop delay (`maxLoopDelayMs`) includes time in which the process had no core. Two figures help to
 * separate that: `maxBusyMs`, the most processor time that a writer's thread used between two turns of its loop (and while it
 * waited in between), and `idleLoopDelayMs`, the delay seen meanwhile by the loop of a process that did nothing at all.
 */

import { readFileSync, rmSync } from 'node:fs';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { numberParam, type Operation, type Side, type SideContext } from '../case.ts';
import { ours } from '../ours.ts';
import { fresh, timedAsync } from '../timing.ts';
import { WriterProcess } from '../writer-process.ts';

function writers(kind: 'ours' | 'json-lines', countEntries: (path: string) => Promise<number>): Side {
  return {
    async start(context: SideContext) {
      const processes = numberParam(context.params, 'processes');
      const count = numberParam(context.params, 'count');
      const batch = numberParam(context.params, 'batch');
      const children = Array.from(
        { length: processes },
        (_, i) => new WriterProcess('contention-writer', [kind, `w${i}`, String(count), String(batch)]),
      );
      await Promise.all(children.map(({ ready }) => ready));
      return {
        round: async () => {
          const path = fresh(context, 'run.data');
          const idle = monitorEventLoopDelay({ resolution: 1 });
          idle.enable();
          let figures: Record<string, number>[] = [];
          const round = await timedAsync(async () => {
            figures = await Promise.all(children.map((child) => child.run(path)));
          });
          idle.disable();
          const lost = processes * count - (await countEntries(path));
          rmSync(path);
          const worst = (name: string): number => Math.max(...figures.map((figure) => figure[name] ?? Number.NaN));
          return {
            ...round,
            metrics: {
              putsPerSecond: (processes * count) / (round.ns / 1e9),
              maxLoopDelayMs: worst('maxLoopDelayMs'),
              p99LoopDelayMs: worst('p99LoopDelayMs'),
              idleLoopDelayMs: idle.max / 1e6 - 1,
              maxBusyMs: worst('maxBusyMs'),
              maxWaitMs: worst('maxWaitMs'),
              lost,
            },
          };
        },
        close: () => {
          for (const child of children) child.stop();
        },
      };
    },
  };
}

export const operation: Operation = {
  sides: {
    ours: writers('ours', async (path) => {
      const { MmapDict } = await ours.node();
      const dict = MmapDict.open(path, { mode: 'r' });
      const size = dict.size;
      dict.close();
      return size;
    }),
    'json-lines-flock': writers('json-lines', async (path) => readFileSync(path, 'utf8').trim().split('\n').length),
  },
};
