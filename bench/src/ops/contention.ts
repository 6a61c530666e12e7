/**
 * `processes` processes append `count` records each to one file, `batch` to a commit, taking turns by flock.
 * The longest wait of an event loop includes the time its process had no core.
 */

import { readFileSync } from 'node:fs';
import { numberParam, type Operation, type Side, type SideContext } from '../case.ts';
import { ours } from '../ours.ts';
import { fresh, timedAsync } from '../timing.ts';
import { WriterProcess } from '../writer-process.ts';

function writers(kind: 'ours' | 'json-lines', countEntries: (path: string) => Promise<number>): Side {
  return {
    start(context: SideContext) {
      const processes = numberParam(context.params, 'processes');
      const count = numberParam(context.params, 'count');
      const batch = numberParam(context.params, 'batch');
      return {
        round: async () => {
          const path = fresh(context, 'run.data');
          const children = Array.from(
            { length: processes },
            (_, i) => new WriterProcess('contention-writer', [kind, path, `w${i}`, String(count), String(batch)]),
          );
          try {
            await Promise.all(children.map(({ ready }) => ready));
            let figures: Record<string, number>[] = [];
            const round = await timedAsync(async () => {
              for (const child of children) child.go();
              figures = await Promise.all(children.map(({ done }) => done));
            });
            const lost = processes * count - (await countEntries(path));
            const worst = (name: string): number => Math.max(...figures.map((figure) => figure[name] ?? Number.NaN));
            return {
              ...round,
              metrics: {
                putsPerSecond: (processes * count) / (round.ns / 1e9),
                maxLoopDelayMs: worst('maxLoopDelayMs'),
                p99LoopDelayMs: worst('p99LoopDelayMs'),
                lost,
              },
            };
          } finally {
            for (const child of children) child.stop();
          }
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
