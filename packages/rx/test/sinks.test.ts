import { getEventListeners } from 'node:events';
import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import { basename } from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import type { NDArray } from '@mmdpickle/core';
import { Lease, MmapDict } from '@mmdpickle/core/node';
import {
  appendFrames,
  appendRows,
  FilePattern,
  framesPlace,
  nodeSink,
  type Place,
  type Receipt,
  rollingFiles,
  rowsPlace,
  type SinkOptions,
  webSink,
  writeFrames,
} from '@mmdpickle/rx';
import { TempDir } from '@mmdpickle/test-support';
import { interval, lastValueFrom, map, range, Subject, take, tap, throwError, toArray } from 'rxjs';
import { describe, expect, test, vi } from 'vitest';
import { Blocker, until } from './blocker.ts';

/** Gives frames and counts how many were requested. */
function counting(total: number): { readonly source: AsyncGenerator<Uint8Array>; given: number; closed: boolean } {
  const state = { given: 0, closed: false };
  async function* frames(): AsyncGenerator<Uint8Array> {
    try {
      while (state.given < total) yield new Uint8Array(1000).fill(state.given++);
    } finally {
      state.closed = true;
    }
  }
  return Object.assign(state, { source: frames() });
}

async function turns(count = 20): Promise<void> {
  for (let i = 0; i < count; i += 1) await new Promise((resolve) => setImmediate(resolve));
}

const LIMITS = { queue: { frames: 3, bytes: 1e6 } };

describe('backpressure', () => {
  test('a Node stream waits while the queue is full, and nothing is dropped', async () => {
    using dir = new TempDir();
    using dict = MmapDict.open(dir.file('a.mmdpickle'));
    using blocker = new Blocker(dict.name).block();
    const frames = counting(50);
    const receipts: Receipt[] = [];
    const sink = nodeSink(framesPlace(dict), { ...LIMITS, receipts: { next: (receipt) => receipts.push(receipt) } });
    const done = pipeline(Readable.from(frames.source, { highWaterMark: 1 }), sink);
    await turns();
    expect(frames.given).toBeLessThan(10);
    expect(sink.stats().queued).toBe(3);
    blocker.release();
    await done;
    expect(dict.size).toBe(50);
    expect(receipts.map(({ seq }) => seq)).toEqual(Array.from({ length: 50 }, (_, i) => i));
    expect(sink.stats()).toMatchObject({ received: 50, written: 50, droppedTotal: 0 });
  });

  test('a Web stream waits while the queue is full, and close comes after the last frame', async () => {
    using dir = new TempDir();
    using dict = MmapDict.open(dir.file('a.mmdpickle'));
    using blocker = new Blocker(dict.name).block();
    const frames = counting(50);
    const stream = new ReadableStream<Uint8Array>(
      {
        async pull(controller) {
          const { done, value } = await frames.source.next();
          if (done) controller.close();
          else controller.enqueue(value);
        },
      },
      { highWaterMark: 0 },
    );
    const sink = webSink(framesPlace<Uint8Array>(dict), LIMITS);
    const done = stream.pipeTo(sink);
    await turns();
    expect(frames.given).toBeLessThan(10);
    blocker.release();
    await done;
    expect(dict.size).toBe(50);
    expect(sink.stats()).toMatchObject({ received: 50, written: 50, droppedTotal: 0 });
  });

  test('an async iterable is asked for a frame only when there is room', async () => {
    using dir = new TempDir();
    using dict = MmapDict.open(dir.file('a.mmdpickle'));
    using blocker = new Blocker(dict.name).block();
    const frames = counting(50);
    const receipts: number[] = [];
    const done = (async () => {
      for await (const { seq } of writeFrames(frames.source, framesPlace(dict), LIMITS)) receipts.push(seq);
    })();
    await turns();
    expect(frames.given).toBeLessThan(10);
    blocker.release();
    await done;
    expect(receipts).toEqual(Array.from({ length: 50 }, (_, i) => i));
    expect(dict.size).toBe(50);
  });

  test('a frame larger than the whole queue is written when nothing else waits', async () => {
    using dir = new TempDir();
    using dict = MmapDict.open(dir.file('a.mmdpickle'));
    using blocker = new Blocker(dict.name).block();
    const done = (async () => {
      for await (const _ of writeFrames([new Uint8Array(5), new Uint8Array(5000)], framesPlace(dict), {
        queue: { bytes: 10 },
      }));
    })();
    await turns();
    blocker.release();
    await done;
    expect(dict.size).toBe(2);
  });
});

test('a sink that collects frames for a commit commits them when its queue is full', async () => {
  using dir = new TempDir();
  using dict = MmapDict.open(dir.file('a.mmdpickle'));
  const sink = nodeSink(framesPlace(dict), { queue: { frames: 10 }, batch: { ms: 60_000 } });
  await pipeline(Readable.from(counting(50).source), sink);
  expect(sink.stats()).toMatchObject({ received: 50, written: 50, commits: 5 });
});

describe('while its source is silent, writeFrames', () => {
  test('emits receipts when their commit is done, including one that finished while others were read', async () => {
    using dir = new TempDir();
    using dict = MmapDict.open(dir.file('a.mmdpickle'));
    const frame$ = new PassThrough({ objectMode: true });
    const receipts = writeFrames<Uint8Array>(frame$, framesPlace(dict), { batch: { ms: 5 } });
    for (let i = 0; i < 2; i += 1) frame$.write(Uint8Array.of(i));
    expect((await receipts.next()).value).toMatchObject({ seq: 0 });
    frame$.write(Uint8Array.of(2));
    expect((await receipts.next()).value).toMatchObject({ seq: 1 });
    expect((await receipts.next()).value).toMatchObject({ seq: 2 });
    frame$.end();
    expect((await receipts.next()).done).toBe(true);
  });

  test('ends with the error of a commit', async () => {
    using dir = new TempDir();
    using dict = MmapDict.open(dir.file('a.mmdpickle'));
    const key = (): string => 'the same for all';
    const frames = writeFrames(twoThenSilence(), framesPlace(dict, { key }), { batch: { ms: 5 } });
    await expect(written(frames)).rejects.toMatchObject({ code: 'ALREADY_EXISTS' });
    expect(dict.size).toBe(1);
  });

  async function* twoThenSilence(): AsyncGenerator<Uint8Array> {
    yield new Uint8Array(1);
    yield new Uint8Array(1);
    await new Promise(() => {});
  }
});

describe('the end of a sink', () => {
  test('leaving the loop of receipts ends the source, and what it gave is written', async () => {
    using dir = new TempDir();
    using dict = MmapDict.open(dir.file('a.mmdpickle'));
    const frames = counting(50);
    for await (const { seq } of writeFrames(frames.source, framesPlace(dict))) if (seq === 4) break;
    expect(frames.closed).toBe(true);
    expect(dict.size).toBe(frames.given);
  });

  test('an error of the source comes through, after what it gave is written', async () => {
    using dir = new TempDir();
    using dict = MmapDict.open(dir.file('a.mmdpickle'));
    async function* broken(): AsyncGenerator<number> {
      yield 1;
      yield 2;
      throw new Error('unplugged');
    }
    const read = async (): Promise<void> => {
      for await (const _ of writeFrames(broken(), rowsPlace(dict, 'x', { dtype: 'int8' })));
    };
    await expect(read()).rejects.toThrow('unplugged');
    expect((dict.get('x') as NDArray).toNested()).toEqual([1, 2]);
    const writing = pipeline(Readable.from(broken()), nodeSink(rowsPlace(dict, 'y', { dtype: 'int8' })));
    await expect(writing).rejects.toThrow('unplugged');
    expect((dict.get('y') as NDArray).toNested()).toEqual([1, 2]);
  });

  test('receipts and the error of an overfilled sink arrive after everything before them is written', async () => {
    using dir = new TempDir();
    const policy = { policy: 'error', queue: { frames: 2 } } as const;
    type Frames = ReturnType<typeof counting>['source'];
    const sinks: readonly ((frames: Frames, place: Place<Uint8Array>) => Promise<unknown>)[] = [
      (frames, place) => pipeline(Readable.from(frames), nodeSink(place, policy)),
      (frames, place) => Readable.toWeb(Readable.from(frames)).pipeTo(webSink(place, policy)),
      async (frames, place) => {
        let receipts = 0;
        try {
          for await (const _ of writeFrames(frames, place, policy)) receipts += 1;
        } finally {
          expect(receipts).toBe(2);
        }
      },
    ];
    for (const [i, run] of sinks.entries()) {
      using dict = MmapDict.open(dir.file(`${i}.mmdpickle`));
      using blocker = new Blocker(dict.name).block();
      const frames = counting(4);
      const outcome = expect(run(frames.source, framesPlace(dict))).rejects.toMatchObject({ code: 'LIMIT_EXCEEDED' });
      // The third has no room.
      while (frames.given < 3) await turns(1);
      await turns();
      blocker.release();
      await outcome;
      expect(dict.size).toBe(2);
    }
  });

  test('frames that are lost after the source failed are reported by its receipts, or by its loop', async () => {
    using dir = new TempDir();
    using dict = MmapDict.open(dir.file('a.mmdpickle'));
    using _blocker = new Blocker(dict.name).block();
    const unplugged = new Error('unplugged');
    async function* broken(): AsyncGenerator<Uint8Array> {
      yield new Uint8Array(4);
      throw unplugged;
    }
    const lost = { code: 'LOCKED', cause: { errors: [unplugged, expect.objectContaining({ limit: 'drainMs' })] } };
    const drainMs = 20;
    await expect(written(writeFrames(broken(), framesPlace(dict), { drainMs }))).rejects.toMatchObject(lost);
    const told: unknown[] = [];
    const options = { drainMs, receipts: { error: (error: unknown) => told.push(error) } };
    await pipeline(Readable.from(broken()), nodeSink(framesPlace(dict), options)).catch(() => {});
    await Readable.toWeb(Readable.from(broken()))
      .pipeTo(webSink(framesPlace(dict), options))
      .catch((error: unknown) => told.push(error));
    expect(told).toMatchObject([lost, lost, lost]);
  });

  test('receipts and loops report a failed source, whatever it failed with', async () => {
    using dir = new TempDir();
    using dict = MmapDict.open(dir.file('a.mmdpickle'));
    const silent = { code: 'IO', message: expect.stringContaining('failed with undefined or null') };
    const source = { [Symbol.asyncIterator]: () => ({ next: () => Promise.reject() }) };
    await expect(written(writeFrames(source, framesPlace(dict)))).rejects.toMatchObject(silent);
    await expect(lastValueFrom(throwError(() => undefined).pipe(appendFrames(dict)))).rejects.toMatchObject(silent);
    const ends: unknown[] = [];
    const receipts = { complete: () => ends.push('complete'), error: (error: unknown) => ends.push(error) };
    const mine = new Error('mine');
    nodeSink(framesPlace(dict), { receipts })
      .on('error', () => {})
      .destroy(mine);
    await webSink(framesPlace(dict), { receipts }).abort(mine);
    await until(() => ends.length === 2);
    expect(ends).toEqual([mine, mine]);
  });

  test('an error of the file reaches all three', async () => {
    using dir = new TempDir();
    using dict = MmapDict.open(dir.file('a.mmdpickle'));
    const bad = [1, 'text'];
    const place = (key: string) => rowsPlace(dict, key, { dtype: 'int8', rowShape: [1] });
    const expected = expect.objectContaining({ code: 'INVALID_ARGUMENT' });
    await expect(pipeline(Readable.from(bad), nodeSink(place('a')))).rejects.toEqual(expected);
    const writer = webSink(place('b')).getWriter();
    await expect(writer.write('text')).rejects.toEqual(expected);
    await expect(writer.closed).rejects.toEqual(expected);
    await expect(
      (async () => {
        for await (const _ of writeFrames(bad, place('c')));
      })(),
    ).rejects.toEqual(expected);
  });

  test('an abort signal completes the sink with what was received', async () => {
    using dir = new TempDir();
    using dict = MmapDict.open(dir.file('a.mmdpickle'));
    const controller = new AbortController();
    const receipts: number[] = [];
    for await (const { seq } of writeFrames(counting(50).source, framesPlace(dict), { signal: controller.signal })) {
      receipts.push(seq);
      if (seq === 2) controller.abort();
    }
    expect(receipts.length).toBeLessThan(6);
    expect(dict.size).toBe(receipts.length);
  });
});

/** Emits a frame every 5 ms without end, or is silent after the first. */
async function* endless(silent = false): AsyncGenerator<Uint8Array> {
  for (let i = 0; ; i += 1) {
    yield new Uint8Array(4).fill(i);
    if (silent) await new Promise(() => {});
    await sleep(5);
  }
}

async function written(frames: AsyncGenerator<Receipt>): Promise<number[]> {
  const seqs: number[] = [];
  for await (const { seq } of frames) seqs.push(seq);
  return seqs;
}

describe('an aborted signal', () => {
  test('from a timer ends sinks with an endless source', async () => {
    using dir = new TempDir();
    using dict = MmapDict.open(dir.file('a.mmdpickle'));
    const most = 20_000;
    function* ready(): Generator<number> {
      for (let i = 0; i < most; i += 1) yield i;
    }
    const sinks = {
      writeFrames: (place, options) => written(writeFrames(ready(), place, options)),
      nodeSink: (place, options) => pipeline(Readable.from(ready()), nodeSink(place, options)),
      webSink: (place, options) =>
        (Readable.toWeb(Readable.from(ready())) as ReadableStream<number>)
          .pipeTo(webSink(place, options))
          .catch(() => {}),
    } satisfies Record<string, (place: Place<number>, options: SinkOptions) => Promise<unknown>>;
    for (const [key, sink] of Object.entries(sinks)) {
      await sink(rowsPlace(dict, key, { dtype: 'int32' }), { signal: AbortSignal.timeout(1) });
      expect((dict.get(key) as NDArray | undefined)?.shape[0] ?? 0).toBeLessThan(most);
    }
  });

  test.each([
    ['gives frames all the time', false],
    ['is silent', true],
  ])('completes writeFrames while its source %s', async (_what, silent) => {
    using dir = new TempDir();
    using dict = MmapDict.open(dir.file('a.mmdpickle'));
    const controller = new AbortController();
    const done = written(writeFrames(endless(silent), framesPlace(dict), { signal: controller.signal }));
    await until(() => dict.size > (silent ? 0 : 3));
    controller.abort();
    expect((await done).length).toBe(dict.size);
  });

  test('completes the pipeline of a Readable, which is destroyed', async () => {
    using dir = new TempDir();
    using dict = MmapDict.open(dir.file('a.mmdpickle'));
    const controller = new AbortController();
    const source = Readable.from(endless());
    const receipts: Receipt[] = [];
    const next = (receipt: Receipt): unknown => receipts.push(receipt);
    const sink = nodeSink(framesPlace(dict), { signal: controller.signal, receipts: { next } });
    const done = pipeline(source, sink);
    await until(() => dict.size > 3);
    controller.abort();
    await done;
    expect(source.destroyed).toBe(true);
    expect(receipts.length).toBe(dict.size);
    expect(sink.stats()).toMatchObject({ received: dict.size, written: dict.size, droppedTotal: 0 });
  });

  test('that was aborted before the stream starts completes it, and nothing is stored', async () => {
    using dir = new TempDir();
    using dict = MmapDict.open(dir.file('a.mmdpickle'));
    const signal = AbortSignal.abort();
    await pipeline(Readable.from(endless()), nodeSink(framesPlace(dict), { signal }));
    expect(await written(writeFrames(endless(), framesPlace(dict), { signal }))).toEqual([]);
    await expect(new ReadableStream().pipeTo(webSink(framesPlace(dict), { signal }))).rejects.toBe(signal.reason);
    expect(dict.size).toBe(0);
  });

  test('is the reason for pipelines and pipes whose source a sink cannot end, after everything is written and sealed', async () => {
    using dir = new TempDir();
    const pipes: Record<string, (sink: SinkOptions) => [Promise<unknown>, MmapDict]> = {
      generator: (options) => run((dict) => pipeline(endless(), nodeSink(rowsPlace(dict, 'x', ROWS), options))),
      stages: (options) =>
        run((dict) =>
          pipeline(
            Readable.from(endless()),
            new PassThrough({ objectMode: true }),
            nodeSink(rowsPlace(dict, 'x', ROWS), options),
          ),
        ),
      web: (options) =>
        run((dict) => Readable.toWeb(Readable.from(endless())).pipeTo(webSink(rowsPlace(dict, 'x', ROWS), options))),
    };
    const ROWS = { dtype: 'uint8', rowShape: [4] } as const;
    const run = (work: (dict: MmapDict) => Promise<unknown>): [Promise<unknown>, MmapDict] => {
      const dict = MmapDict.open(dir.file(`${Math.random()}.mmdpickle`));
      return [work(dict), dict];
    };
    for (const [name, pipe] of Object.entries(pipes)) {
      const controller = new AbortController();
      let receipts = 0;
      let complete = false;
      const [done, dict] = pipe({
        signal: controller.signal,
        receipts: { next: () => (receipts += 1), complete: () => (complete = true) },
      });
      const outcome = done.catch((error: unknown) => error);
      await until(() => receipts > 3);
      controller.abort();
      expect(await outcome, name).toBe(controller.signal.reason);
      const rows = dict.get('x') as NDArray;
      expect(rows.shape[0], name).toBe(receipts);
      expect(complete, name).toBe(true);
      dict.close();
    }
  });

  test('loses no frame that a sink was given but had no room for', async () => {
    using dir = new TempDir();
    using dict = MmapDict.open(dir.file('a.mmdpickle'));
    using blocker = new Blocker(dict.name).block();
    const controller = new AbortController();
    const frames = counting(50);
    const done = written(writeFrames(frames.source, framesPlace(dict), { ...LIMITS, signal: controller.signal }));
    await turns();
    controller.abort();
    blocker.release();
    await done;
    expect(dict.size).toBe(frames.given);
    expect(frames.closed).toBe(true);
  });

  test('completes the pipeline of a Readable whose frame waits for room, and writes it', async () => {
    using dir = new TempDir();
    using dict = MmapDict.open(dir.file('a.mmdpickle'));
    using blocker = new Blocker(dict.name).block();
    const controller = new AbortController();
    const sink = nodeSink(framesPlace(dict), { ...LIMITS, signal: controller.signal });
    const done = pipeline(Readable.from(counting(50).source, { highWaterMark: 1 }), sink);
    await turns();
    expect(sink.stats()).toMatchObject({ received: 3, queued: 3 });
    controller.abort();
    blocker.release();
    await done;
    expect(sink.stats()).toMatchObject({ received: 4, written: 4 });
  });

  test('that is reused keeps no listeners of finished sinks', async () => {
    using dir = new TempDir();
    using dict = MmapDict.open(dir.file('a.mmdpickle'));
    const { signal } = new AbortController();
    for (let i = 0; i < 5; i += 1) {
      await written(writeFrames([new Uint8Array(4)], framesPlace(dict), { signal }));
      await pipeline(Readable.from([new Uint8Array(4)]), nodeSink(framesPlace(dict), { signal }));
      await Readable.toWeb(Readable.from([new Uint8Array(4)])).pipeTo(webSink(framesPlace(dict), { signal }));
    }
    expect(dict.size).toBe(15);
    expect(getEventListeners(signal, 'abort')).toEqual([]);
  });
});

describe('a reader of receipts that throws', () => {
  const mine = new Error('mine');
  const thrown = (): never => {
    throw mine;
  };

  test.each(['next', 'complete'] as const)(
    'in %s ends the sink with its error, and what was received is written',
    async (when) => {
      using dir = new TempDir();
      using dict = MmapDict.open(dir.file('a.mmdpickle'));
      const receipts = { [when]: thrown };
      const frames = [new Uint8Array(4), new Uint8Array(4)];
      const count = when === 'next' ? 1 : 2;
      await expect(pipeline(Readable.from(frames), nodeSink(framesPlace(dict), { receipts }))).rejects.toBe(mine);
      expect(dict.size).toBe(count);
      const web = Readable.toWeb(Readable.from(frames)).pipeTo(webSink(framesPlace(dict), { receipts }));
      await expect(web).rejects.toBe(mine);
      expect(dict.size).toBe(2 * count);
    },
  );

  test('while a queue is written loses none of it', async () => {
    using dir = new TempDir();
    using dict = MmapDict.open(dir.file('a.mmdpickle'));
    using blocker = new Blocker(dict.name).block();
    const sink = nodeSink(framesPlace(dict), {
      queue: { frames: 20 },
      batch: { frames: 3 },
      receipts: { next: thrown },
    });
    const done = pipeline(Readable.from(counting(10).source), sink);
    await turns(50);
    blocker.release();
    await expect(done).rejects.toBe(mine);
    expect(sink.stats()).toMatchObject({ received: 10, written: 10, queued: 0, droppedTotal: 0 });
    expect(dict.size).toBe(10);
  });
});

describe('rolling files', () => {
  const collected = [['at once', {}] as const, ['together', { batch: { ms: 60_000 } }] as const];

  test.each(collected)(
    'that take frames %s: a new file begins after a number of frames, and only the last files are kept',
    async (_how, batch) => {
      using dir = new TempDir();
      const files = rollingFiles(dir.file('run-{n}.mmdpickle'), { frames: 4, keep: 2 });
      const frames$ = range(0, 18).pipe(map((i) => Uint8Array.of(i)));
      const receipts = await lastValueFrom(frames$.pipe(appendFrames(files, batch), toArray()));
      expect(readdirSync(dir.path).sort()).toEqual(['run-3.mmdpickle', 'run-4.mmdpickle']);
      expect(receipts.map(({ path }) => Number(/run-(\d)/.exec(path)?.[1]))).toEqual(
        Array.from({ length: 18 }, (_, i) => Math.floor(i / 4)),
      );
      using last = MmapDict.open(dir.file('run-4.mmdpickle'), { mode: 'r' });
      expect([...last.keys()]).toEqual(['frame/000000016', 'frame/000000017']);
    },
  );

  test.each(collected)(
    'that take rows %s: a new file begins after a number of bytes, and row numbers continue',
    async (_how, batch) => {
      using dir = new TempDir();
      const files = rollingFiles(dir.file('run-{n}.mmdpickle'), { bytes: 24 });
      await lastValueFrom(range(0, 7).pipe(appendRows(files, 'x', { dtype: 'float64', ...batch })));
      const parts = [0, 1, 2].map((n) => {
        using dict = MmapDict.open(dir.file(`run-${n}.mmdpickle`), { mode: 'r' });
        return [(dict.get('x') as NDArray).toNested(), (dict.get('x/seq') as NDArray).toNested()];
      });
      expect(parts).toEqual([
        [
          [0, 1, 2],
          [0n, 1n, 2n],
        ],
        [
          [3, 4, 5],
          [3n, 4n, 5n],
        ],
        [[6], [6n]],
      ]);
    },
  );

  test('a missing directory ends the stream', async () => {
    using dir = new TempDir();
    const append = appendFrames<Uint8Array>(rollingFiles(dir.file('none/run-{n}.mmdpickle'), {}));
    await expect(lastValueFrom(range(0, 1).pipe(map(Uint8Array.of), append))).rejects.toMatchObject({
      code: 'NOT_FOUND',
    });
  });

  test.each([{}, { batch: { frames: 2, ms: 60_000 } }])(
    'a directory that has disappeared ends the stream with its name (%o)',
    async (options) => {
      using dir = new TempDir();
      const folder = dir.file('runs');
      mkdirSync(folder);
      const append = appendFrames<Uint8Array>(rollingFiles(`${folder}/run-{n}.mmdpickle`, { frames: 2 }), options);
      const frame$ = new Subject<Uint8Array>();
      frame$.pipe(append).subscribe({ error() {} });
      for (let i = 0; i < 4; i += 1) {
        if (i === 2) rmSync(folder, { recursive: true });
        frame$.next(Uint8Array.of(i));
      }
      frame$.complete();
      await expect(append.idle()).rejects.toMatchObject({ code: 'NOT_FOUND' });
      expect(append.stats()).toMatchObject({ written: 2, queued: 0, idle: true });
    },
  );

  test('a file takes no more frames than its limit, even if they have to wait for it', async () => {
    using dir = new TempDir();
    const append = appendFrames<Uint8Array>(rollingFiles(dir.file('run-{n}.mmdpickle'), { frames: 2 }));
    const frame$ = new Subject<Uint8Array>();
    const files: string[] = [];
    frame$.pipe(append).subscribe(({ path }) => files.push(basename(path)));
    frame$.next(Uint8Array.of(0));
    frame$.next(Uint8Array.of(1));
    using blocker = new Blocker(dir.file('run-0.mmdpickle')).block();
    for (let i = 2; i < 7; i += 1) frame$.next(Uint8Array.of(i));
    frame$.complete();
    blocker.release();
    await append.idle();
    expect(files).toEqual([0, 0, 1, 1, 2, 2, 3].map((n) => `run-${n}.mmdpickle`));
  });

  test('each stream begins a new file after the highest number', async () => {
    using dir = new TempDir();
    MmapDict.open(dir.file('run-7.mmdpickle')).close();
    const files = rollingFiles(dir.file('run-{n}.mmdpickle'), { ms: 1e9 });
    for (let i = 0; i < 2; i += 1)
      await lastValueFrom(
        range(0, 2).pipe(
          map((n) => Uint8Array.of(n)),
          appendFrames(files),
        ),
      );
    expect(new FilePattern(dir.file('run-{n}.mmdpickle')).numbers()).toEqual([7, 8, 9]);
  });

  /** The contents of each file: the keys without their numbers. */
  function prefixes(dir: TempDir): Record<string, string[]> {
    const names = readdirSync(dir.path).sort();
    return Object.fromEntries(
      names.map((name) => {
        using dict = MmapDict.open(dir.file(name), { mode: 'r' });
        return [name, [...new Set([...dict.keys()].map((key) => key.split('/')[0]!))]];
      }),
    );
  }

  test('concurrent streams have separate files', async () => {
    using dir = new TempDir();
    const pattern = dir.file('run-{n}.mmdpickle');
    const receipts: Receipt[] = [];
    const streams = ['a/', 'b/', 'c/'].map((key) =>
      lastValueFrom(
        interval(2).pipe(
          take(8),
          map((i) => Uint8Array.of(i)),
          appendFrames(rollingFiles(pattern, { frames: 3 }), { key, meta: false }),
          tap((receipt) => receipts.push(receipt)),
        ),
      ),
    );
    await Promise.all(streams);
    const files = prefixes(dir);
    expect(Object.keys(files)).toHaveLength(9);
    for (const [name, found] of Object.entries(files)) expect(found, name).toHaveLength(1);
    expect(receipts).toHaveLength(24);
    for (const { key, path } of receipts) {
      using dict = MmapDict.open(path, { mode: 'r' });
      expect(dict.has(key)).toBe(true);
    }
  });

  test('files beyond the limit are removed, but not while another stream or process writes them', async () => {
    using dir = new TempDir();
    const pattern = dir.file('run-{n}.mmdpickle');
    const frame = (): Uint8Array => new Uint8Array(4);
    const slow$ = new Subject<Uint8Array>();
    const slow = appendFrames<Uint8Array>(rollingFiles(pattern, { ms: 1e9, keep: 2 }), { key: 'slow/' });
    slow$.pipe(slow).subscribe();
    slow$.next(frame());
    using other = Lease.acquire(dir.file('run-1.mmdpickle'));
    MmapDict.open(dir.file('run-1.mmdpickle')).close();
    const quick = (): Promise<Receipt> =>
      lastValueFrom(
        range(0, 6).pipe(map(frame), appendFrames(rollingFiles(pattern, { frames: 2, keep: 2 }), { key: 'quick/' })),
      );
    await quick();
    slow$.next(frame());
    expect(new FilePattern(pattern).numbers()).toEqual([0, 1, 3, 4]);
    slow$.complete();
    await slow.idle();
    other.release();
    {
      using dict = MmapDict.open(dir.file('run-0.mmdpickle'), { mode: 'r' });
      expect(dict.size).toBe(2);
    }
    await quick();
    expect(readdirSync(dir.path).sort()).toEqual(['run-6.mmdpickle', 'run-7.mmdpickle']);
  });

  test('files that are all kept are listed once for each new one', async () => {
    using dir = new TempDir();
    const listed = vi.spyOn(FilePattern.prototype, 'numbers');
    const files = rollingFiles(dir.file('run-{n}.mmdpickle'), { frames: 1 });
    await lastValueFrom(range(0, 5).pipe(appendRows(files, 'x', { dtype: 'float64' })));
    expect(listed).toHaveBeenCalledTimes(5);
    listed.mockRestore();
  });

  test('a stream that cannot begin reports why, and holds neither a file nor its lease', async () => {
    using dir = new TempDir();
    mkdirSync(dir.file('run-0.mmdpickle'));
    const files = rollingFiles(dir.file('run-{n}.mmdpickle'), { frames: 1, keep: 1 });
    const rows = appendRows(files, 'x', { dtype: 'float64' });
    await expect(lastValueFrom(range(0, 2).pipe(rows))).rejects.toMatchObject({ code: 'IO', errno: 'EISDIR' });
    await expect(rows.idle()).rejects.toMatchObject({ code: 'IO' });
    rmSync(dir.file('run-0.mmdpickle'), { recursive: true });
    const none = appendRows(files, 'x', { dtype: 'none such' as never });
    await expect(lastValueFrom(range(0, 2).pipe(none))).rejects.toMatchObject({ code: 'UNSUPPORTED_DTYPE' });
    expect(() => nodeSink(rowsPlace(files, 'x', { dtype: 'none such' as never }))).toThrow('none such');
    expect(readdirSync(dir.path).filter((name) => !name.endsWith('.mmdpickle'))).toEqual([]);
    await lastValueFrom(range(0, 2).pipe(appendRows(files, 'x', { dtype: 'float64' })));
    expect(readdirSync(dir.path)).toHaveLength(1);
  });

  test.each([
    ['no place for the number', 'run.mmdpickle', { frames: 1 }],
    ['two places for the number', '{n}-{n}.mmdpickle', { frames: 1 }],
    ['a limit of zero', 'run-{n}', { frames: 0 }],
  ])('%s is refused', (_what, pattern, options) => {
    expect(() => rollingFiles(pattern, options)).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }));
  });
});
