import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { MmapDict } from '@mmdpickle/core/node';
import { type Change, watchDict } from '@mmdpickle/rx';
import { GrowableNDArray } from '@mmdpickle/stubs';
import { Python, pythons, TempDir } from '@mmdpickle/test-support';
import { afterAll, describe, expect, test } from 'vitest';
import { until } from './blocker.ts';

const LONG = process.env.MMDPICKLE_LONG === '1';
const MIB = 2 ** 20;

interface Worker {
  readonly child: ChildProcess;
  readonly lines: string[];
  /** Waits until so many lines have arrived. */
  printed(count: number): Promise<void>;
  readonly ended: Promise<{ readonly code: number | null; readonly signal: string | null; readonly stderr: string }>;
}

function start(script: string, ...args: string[]): Worker {
  const file = fileURLToPath(new URL(`./workers/${script}`, import.meta.url));
  const child = spawn(process.execPath, [file, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  const lines: string[] = [];
  let stderr = '';
  let wake = (): void => {};
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  createInterface({ input: child.stdout! }).on('line', (line) => {
    lines.push(line);
    wake();
  });
  const ended = once(child, 'close').then(([code, signal]) => ({ code, signal, stderr }));
  return {
    child,
    lines,
    ended,
    async printed(count) {
      const late = ended.then(({ stderr: text }) => {
        if (lines.length < count) throw new Error(`the worker ended after ${lines.length} lines: ${text}`);
      });
      const enough = new Promise<void>((resolve) => {
        wake = () => {
          if (lines.length >= count) resolve();
        };
        wake();
      });
      await Promise.race([enough, late]);
    },
  };
}

/** Numbers of whole lines: a kill may cut the last one. */
function receiptsOf({ lines }: Worker): number[] {
  return lines.filter((line) => /^\d+$/.test(line)).map(Number);
}

const dir = new TempDir();
afterAll(() => dir[Symbol.dispose]());

/** A capture that was killed when it had given `after` receipts or more: its file, and their numbers. */
async function killed(
  kind: 'frames' | 'rows',
  after: number,
): Promise<{ readonly path: string; readonly seqs: number[] }> {
  const path = dir.file(`${kind}-${after}.mmdpickle`);
  const worker = start('ingest.mjs', path, kind);
  await worker.printed(after + 1);
  worker.child.kill('SIGKILL');
  await worker.ended;
  return { path, seqs: receiptsOf(worker) };
}

describe('a capture that is killed, read by every Python', () => {
  const judges = pythons().map((info) => new Python(info));
  afterAll(() => Promise.all(judges.map((judge) => judge[Symbol.asyncDispose]())));

  test.runIf(judges.length > 0).each([1, 37, 300])(
    'has every frame in the file that has a receipt (%i or more)',
    async (after) => {
      const { path, seqs } = await killed('frames', after);
      expect(seqs.length).toBeGreaterThanOrEqual(after);
      for (const judge of judges) {
        const found = await judge.run<number[]>(
          `import pickle
d = pickle.load(open(args['path'], 'rb'))
result = [i for i in args['seqs'] if d['f/%09d' % i].shape == (3000,) and (d['f/%09d' % i] == i).all() and d['f/%09d.meta' % i]['seq'] == i]`,
          { path, seqs },
        );
        expect(found).toEqual(seqs);
      }
    },
  );

  test.runIf(judges.length > 0).each(LONG ? Array.from({ length: 60 }, (_, i) => 1 + i * 17) : [1, 90, 400])(
    'has every row in the file that has a receipt (%i or more), and companions of equal length',
    async (after) => {
      const { path, seqs } = await killed('rows', after);
      expect(seqs.length).toBeGreaterThanOrEqual(after);
      for (const judge of judges) {
        const [rows, lengths] = await judge.run<[number, number[]]>(
          `import pickle, numpy
d = pickle.load(open(args['path'], 'rb'))
n = len(args['seqs'])
i = numpy.arange(n)
good = (d['rows'][:n, 0] == i).all() and (d['rows'][:n, 1] == -i).all() and (d['rows/seq'][:n] == i).all() and d['rows/time'].dtype == 'M8[us]'
result = [n if good else -1, [len(d[k]) for k in ('rows', 'rows/time', 'rows/seq')]]`,
          { path, seqs },
        );
        expect(rows).toBe(seqs.length);
        expect(lengths[0]).toBeGreaterThanOrEqual(seqs.length);
        // The columns of a commit are committed together.
        expect(new Set(lengths).size).toBe(1);
      }
    },
  );
});

test.concurrent.each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)(
  '%s ends a capture with everything written and sealed',
  async (signal) => {
    using dir = new TempDir();
    const worker = start('ingest.mjs', dir.file('a.mmdpickle'), 'until-signal');
    await worker.printed(10);
    worker.child.kill(signal);
    expect(await worker.ended).toEqual({ code: 0, signal: null, stderr: '' });
    expect(worker.lines.at(-1)).toBe('complete');
    const [info] = pythons();
    if (info === undefined) return;
    await using python = new Python(info);
    const count = await python.run<number>(
      `import pickle
d = pickle.load(open(args['path'], 'rb'))
result = len(d['rows']) if len(d['rows']) == len(d['rows/time']) == len(d['rows/seq']) else -1`,
      { path: dir.file('a.mmdpickle') },
    );
    expect(count).toBe(receiptsOf(worker).length);
  },
);

test("a watcher in this process sees every commit of two others exactly once, in each writer's order", async () => {
  using dir = new TempDir();
  const path = dir.file('a.mmdpickle');
  const count = LONG ? 20_000 : 400;
  using dict = MmapDict.open(path);
  dict.set('rows', new GrowableNDArray([], 'int32', { capacity: 4 * count }));
  const changes: Change[] = [];
  const subscription = watchDict(path).subscribe((change) => changes.push(change));
  const writers = ['one', 'two'].map((name) => start('writer.mjs', path, name, String(count)));
  for (const { ended } of writers) expect(await ended).toEqual({ code: 0, signal: null, stderr: '' });
  const rows = 2 * 2 * Math.ceil(count / 5);
  const last = (): number => changes.reduce((end, change) => (change.kind === 'appended' ? change.rows.end : end), 0);
  const live = new Set(dict.keys());
  const told = (): Set<string> => {
    const keys = new Set(['rows']);
    for (const change of changes) {
      if (change.kind === 'added' || change.kind === 'replaced') keys.add(change.key);
      if (change.kind === 'removed') keys.delete(change.key);
    }
    return keys;
  };
  await until(() => last() === rows && told().size === live.size, 'every commit');
  subscription.unsubscribe();
  expect(told()).toEqual(live);
  for (const name of ['one', 'two']) {
    const numbers = changes.flatMap((change) => {
      const number = change.kind === 'added' ? Number(change.key.split('/')[1]) : Number.NaN;
      return 'key' in change && change.key.startsWith(name) && !Number.isNaN(number) ? [number] : [];
    });
    expect(numbers).toEqual(Array.from({ length: count }, (_, i) => i));
    const batches = changes.filter((change) => 'key' in change && change.key === `${name}/both`);
    expect(batches.length).toBe(Array.from({ length: count }, (_, i) => i).filter((i) => i % 11 === 5).length);
  }
  let next = 0;
  for (const change of changes) {
    if (change.kind !== 'appended') continue;
    expect(change.rows.start).toBe(next);
    next = change.rows.end;
  }
  expect(changes.map(({ seq }) => seq)).toEqual(changes.map(({ seq }) => seq).sort((a, b) => a - b));
}, 120_000);

test(`memory stays bounded by the queue: ${LONG ? '2 GiB through 32 MiB' : '96 MiB through 4 MiB'}`, async () => {
  using dir = new TempDir();
  const [total, queue, frame] = LONG ? [2048 * MIB, 32 * MIB, MIB] : [96 * MIB, 4 * MIB, MIB / 4];
  const worker = start('memory.mjs', dir.file('a.mmdpickle'), String(total), String(queue), String(frame));
  const { code, stderr } = await worker.ended;
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  const found = JSON.parse(worker.lines[0] ?? '{}') as Record<string, number>;
  expect(found).toMatchObject({ bytes: total, droppedTotal: 0 });
  // The queue was full, or nearly, and never more than that.
  expect(found.peakQueuedBytes).toBeGreaterThan(queue / 2);
  expect(found.peakQueuedBytes).toBeLessThanOrEqual(queue);
  // Written frames are garbage for a while, so the process may hold somewhat more than the queue.
  expect(found.grown).toBeLessThan(queue * 3 + 64 * MIB);
}, 120_000);
