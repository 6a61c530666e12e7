/** One of the processes of ops/contention.ts: `contention-writer kind path prefix count batch`. */

import { closeSync, openSync, writeSync } from 'node:fs';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import koffi from 'koffi';
import { ours } from './ours.ts';
import { type SensorRecord, seededRecord } from './seeded.ts';
import { readyThenGo, report } from './writer-process.ts';

const [kind, path, prefix, countText, batchText] = process.argv.slice(2) as [string, string, string, string, string];
const count = Number(countText);
const batch = Number(batchText);
const keys = Array.from({ length: count }, (_, i) => `${prefix}/${i}`);
const records = Array.from({ length: count }, (_, i) => seededRecord(i));
/** After this many commits a writer lets its event loop turn, so that the delay of timers can be seen at all. */
const TURN = 64;
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

async function withDict(): Promise<() => Promise<void>> {
  const { MmapDict } = await ours.node();
  const dict = MmapDict.open(path);
  return async () => {
    for (let from = 0; from < count; from += batch) {
      await dict.batchAsync(() => {
        const end = Math.min(count, from + batch);
        for (let i = from; i < end; i++) dict.set(keys[i] as string, records[i]);
      });
      if ((from / batch) % TURN === 0) await turn();
    }
    dict.close();
  };
}

async function withJsonLines(): Promise<() => Promise<void>> {
  const flock = koffi.load('libc.so.6').func('int flock(int fd, int operation)');
  const fd = openSync(path, 'a');
  const [LOCK_EX, LOCK_UN] = [2, 8];
  return async () => {
    for (let from = 0; from < count; from += batch) {
      let text = '';
      if (flock(fd, LOCK_EX) !== 0) throw new Error('flock failed');
      const end = Math.min(count, from + batch);
      for (let i = from; i < end; i++) text += `${JSON.stringify({ key: keys[i], ...(records[i] as SensorRecord) })}\n`;
      writeSync(fd, text);
      flock(fd, LOCK_UN);
      if ((from / batch) % TURN === 0) await turn();
    }
    closeSync(fd);
  };
}

const run = await (kind === 'ours' ? withDict() : withJsonLines());
await readyThenGo();
const delay = monitorEventLoopDelay({ resolution: 1 });
delay.enable();
const cpu = process.cpuUsage();
await run();
delay.disable();
const { user, system } = process.cpuUsage(cpu);
report({
  maxLoopDelayMs: delay.max / 1e6 - 1,
  p99LoopDelayMs: delay.percentile(99) / 1e6 - 1,
  cpuMs: (user + system) / 1e3,
});
