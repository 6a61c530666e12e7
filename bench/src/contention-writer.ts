/** One of the processes of ops/contention.ts: `contention-writer kind prefix count batch`, then one path per round on stdin. */

import { closeSync, openSync, writeSync } from 'node:fs';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import koffi from 'koffi';
import { ours } from './ours.ts';
import { type SensorRecord, seededRecord } from './seeded.ts';
import { serve } from './writer-process.ts';

const [kind, prefix, countText, batchText] = process.argv.slice(2) as [string, string, string, string];
const count = Number(countText);
const batch = Number(batchText);
const keys = Array.from({ length: count }, (_, i) => `${prefix}/${i}`);
const records = Array.from({ length: count }, (_, i) => seededRecord(i));
/** The number of puts after which a writer yields to its event loop, so that timer delays can be measured at all. */
const TURN = 64;
const CLOCK_THREAD_CPUTIME_ID = 3;

const libc = koffi.load('libc.so.6');
const clockGettime = libc.func('int clock_gettime(int clock, void *time)');
const time = new BigInt64Array(2);

/** Milliseconds of processor time that this thread has used. */
function busyMs(): number {
  clockGettime(CLOCK_THREAD_CPUTIME_ID, time);
  return Number(time[0]) * 1e3 + Number(time[1]) / 1e6;
}

/** Puts everything through `commit`, yielding to the event loop every {@link TURN} puts; returns the delays measured. */
async function putAll(commit: (from: number, end: number) => Promise<void>): Promise<Record<string, number>> {
  const delay = monitorEventLoopDelay({ resolution: 1 });
  delay.enable();
  let [maxWaitMs, maxBusyMs, busyBefore, turnAt] = [0, 0, busyMs(), 0];
  for (let from = 0; from < count; from += batch) {
    const began = performance.now();
    await commit(from, Math.min(count, from + batch));
    maxWaitMs = Math.max(maxWaitMs, performance.now() - began);
    if (from < turnAt) continue;
    turnAt = from + TURN;
    const busy = busyMs();
    maxBusyMs = Math.max(maxBusyMs, busy - busyBefore);
    busyBefore = busy;
    await new Promise((resolve) => setImmediate(resolve));
  }
  delay.disable();
  return {
    maxLoopDelayMs: delay.max / 1e6 - 1,
    p99LoopDelayMs: delay.percentile(99) / 1e6 - 1,
    maxBusyMs,
    maxWaitMs,
  };
}

async function withDict(path: string): Promise<Record<string, number>> {
  const { MmapDict } = await ours.node();
  using dict = MmapDict.open(path);
  return await putAll((from, end) =>
    dict.batchAsync(() => {
      for (let i = from; i < end; i++) dict.set(keys[i] as string, records[i]);
    }),
  );
}

const flock = libc.func('int flock(int fd, int operation)');
const [LOCK_EX, LOCK_UN] = [2, 8];

async function withJsonLines(path: string): Promise<Record<string, number>> {
  const fd = openSync(path, 'a');
  const figures = await putAll(async (from, end) => {
    let text = '';
    if (flock(fd, LOCK_EX) !== 0) throw new Error('flock failed');
    for (let i = from; i < end; i++) text += `${JSON.stringify({ key: keys[i], ...(records[i] as SensorRecord) })}\n`;
    writeSync(fd, text);
    flock(fd, LOCK_UN);
  });
  closeSync(fd);
  return figures;
}

await serve(kind === 'ours' ? withDict : withJsonLines);
