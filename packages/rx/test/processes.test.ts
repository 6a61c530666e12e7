import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { Python, pythons, TempDir } from '@mmdpickle/test-support';
import { describe, expect, test } from 'vitest';

const LONG = process.env['MMDPICKLE_LONG'] === '1';
const MIB = 2 ** 20;

interface Worker {
  readonly child: ChildProcess;
  readonly lines: string[];
  /** Waits until so many lines came. */
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

describe.each(pythons())('a capture that is killed, read by Python with numpy $numpy', (info) => {
  test('has every frame in the file that a receipt was given for', async () => {
    using dir = new TempDir();
    await using python = new Python(info);
    for (const after of [1, 37, 300]) {
      const path = dir.file(`frames-${after}.mmdpickle`);
      const worker = start('ingest.mjs', path, 'frames');
      await worker.printed(after + 1);
      worker.child.kill('SIGKILL');
      await worker.ended;
      const seqs = receiptsOf(worker);
      const found = await python.run<number[]>(
        `import pickle
d = pickle.load(open(args['path'], 'rb'))
result = [i for i in args['seqs'] if d['f/%09d' % i].shape == (3000,) and (d['f/%09d' % i] == i).all() and d['f/%09d.meta' % i]['seq'] == i]`,
        { path, seqs },
      );
      expect(found).toEqual(seqs);
      expect(seqs.length).toBeGreaterThanOrEqual(after);
    }
  });

  test('has every row in the file that a receipt was given for, and companions that fit', async () => {
    using dir = new TempDir();
    await using python = new Python(info);
    for (const after of [1, 90, 400]) {
      const path = dir.file(`rows-${after}.mmdpickle`);
      const worker = start('ingest.mjs', path, 'rows');
      await worker.printed(after + 1);
      worker.child.kill('SIGKILL');
      await worker.ended;
      const seqs = receiptsOf(worker);
      const [rows, lengths] = await python.run<[number, number[]]>(
        `import pickle, numpy
d = pickle.load(open(args['path'], 'rb'))
n = len(args['seqs'])
i = numpy.arange(n)
good = (d['rows'][:n, 0] == i).all() and (d['rows'][:n, 1] == -i).all() and (d['rows/seq'][:n] == i).all() and d['rows/time'].dtype == 'M8[us]'
result = [n if good else -1, [len(d[k]) for k in ('rows', 'rows/time', 'rows/seq')]]`,
        { path, seqs },
      );
      expect(rows).toBe(seqs.length);
      expect(seqs.length).toBeGreaterThanOrEqual(after);
      for (const length of lengths) expect(length).toBeGreaterThanOrEqual(seqs.length);
      // The kill may come between the commits of two columns.
      expect(Math.max(...lengths) - Math.min(...lengths)).toBeLessThanOrEqual(1);
    }
  });
});

test.each(['SIGINT', 'SIGTERM'] as const)('%s ends a capture with everything written and sealed', async (signal) => {
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
});

test(`memory stays bounded by the queue: ${LONG ? '2 GiB through 32 MiB' : '96 MiB through 4 MiB'}`, async () => {
  using dir = new TempDir();
  const [total, queue, frame] = LONG ? [2048 * MIB, 32 * MIB, MIB] : [96 * MIB, 4 * MIB, MIB / 4];
  const worker = start('memory.mjs', dir.file('a.mmdpickle'), String(total), String(queue), String(frame));
  const { code, stderr } = await worker.ended;
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  const found = JSON.parse(worker.lines[0] ?? '{}') as Record<string, number>;
  expect(found).toMatchObject({ bytes: total, droppedTotal: 0 });
  // The queue was full, or nearly, and never more than that.
  expect(found['peakQueuedBytes']).toBeGreaterThan(queue / 2);
  expect(found['peakQueuedBytes']).toBeLessThanOrEqual(queue);
  // Frames that were written are garbage for a while, so the process may hold some more than the queue.
  expect(found['grown']).toBeLessThan(queue * 3 + 64 * MIB);
}, 120_000);
