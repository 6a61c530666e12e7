import type { MmapDict as CoreDict, GrowableArray, NDArray } from '@mmdpickle/core';
import { type FaultySyscalls, faultySyscalls, libc, MmapDict, NodeFile } from '@mmdpickle/core/node';
import {
  appendFrames,
  appendRows,
  chunked,
  fillArray,
  type IngestOperator,
  type IngestStats,
  type Receipt,
  series,
} from '@mmdpickle/rx';
import { EmptyNDArray, GrowableNDArray } from '@mmdpickle/stubs';
import { TempDir } from '@mmdpickle/test-support';
import {
  concat,
  EMPTY,
  from,
  lastValueFrom,
  map,
  mergeMap,
  NEVER,
  range,
  retry,
  Subject,
  take,
  tap,
  throwError,
  toArray,
  VirtualAction,
  VirtualTimeScheduler,
} from 'rxjs';
import { TestScheduler } from 'rxjs/testing';
import { describe, expect, test, vi } from 'vitest';
import { Blocker, until } from './blocker.ts';

function fileIn(dir: TempDir): string {
  return dir.file('a.mmdpickle');
}

/** A dict in a new file, whose system calls may fail. */
function openOver(syscalls: FaultySyscalls, path: string): CoreDict {
  MmapDict.open(path).close();
  return MmapDict.over(NodeFile.open(path, 'r+', { syscalls }));
}

/** Runs a marble test: virtual time, real files. */
function marbles(work: (scheduler: TestScheduler) => void): void {
  const scheduler = new TestScheduler((actual, expected) => expect(actual).toEqual(expected));
  scheduler.run(() => work(scheduler));
}

describe('appendFrames', () => {
  test('emits a receipt as each frame arrives', () => {
    using dir = new TempDir();
    using dict = MmapDict.open(fileIn(dir));
    marbles((scheduler) => {
      const camera$ = scheduler.createHotObservable<Uint8Array>('-a--b-(cd)|', {
        a: Uint8Array.of(1),
        b: Uint8Array.of(2),
        c: Uint8Array.of(3),
        d: Uint8Array.of(4),
      });
      const keys$ = camera$.pipe(
        appendFrames(dict),
        map(({ key }) => key.slice(-2)),
      );
      scheduler.expectObservable(keys$).toBe('-a--b-(cd)|', { a: '00', b: '01', c: '02', d: '03' });
      scheduler.expectSubscriptions((camera$ as unknown as { subscriptions: [] }).subscriptions).toBe('^---------!');
    });
    expect(dict.size).toBe(4);
  });

  test('collects frames for a commit until there are enough, or until the time is up', () => {
    using dir = new TempDir();
    using dict = MmapDict.open(fileIn(dir));
    marbles((scheduler) => {
      const camera$ = scheduler.createHotObservable<string>('-a-b-c-d------e---|').pipe(map(() => new Uint8Array(3)));
      const receipts$ = camera$.pipe(
        appendFrames(dict, { batch: { frames: 3, ms: 5 } }),
        map(({ seq, commitNumber }) => `${seq} in ${commitNumber}`),
      );
      scheduler.expectObservable(receipts$).toBe('-----(abc)--d-----(e|)', {
        a: '0 in 1',
        b: '1 in 1',
        c: '2 in 1',
        d: '3 in 2',
        e: '4 in 3',
      });
    });
  });

  test('the time limit of a commit runs from the first waiting frame, however steadily others arrive', () => {
    using dir = new TempDir();
    using dict = MmapDict.open(fileIn(dir));
    marbles((scheduler) => {
      const camera$ = scheduler.createHotObservable<string>('-abcdefgh|').pipe(map(() => new Uint8Array(3)));
      const receipts$ = camera$.pipe(
        appendFrames(dict, { batch: { ms: 3 } }),
        map(({ seq, commitNumber }) => `${seq} in ${commitNumber}`),
        toArray(),
        mergeMap((all) => all),
      );
      scheduler.expectObservable(receipts$).toBe('---------(abcdefgh|)', {
        a: '0 in 1',
        b: '1 in 1',
        c: '2 in 1',
        d: '3 in 1',
        e: '4 in 2',
        f: '5 in 2',
        g: '6 in 2',
        h: '7 in 2',
      });
    });
  });

  test('the frames left over after a full commit are also committed in time', () => {
    using dir = new TempDir();
    using dict = MmapDict.open(fileIn(dir));
    const commits: number[] = [];
    const camera$ = new Subject<Uint8Array>();
    const scheduler = new VirtualTimeScheduler(VirtualAction, 0);
    camera$
      .pipe(appendFrames(dict, { batch: { bytes: 100, ms: 5 }, scheduler }))
      .subscribe(({ commitNumber }) => commits.push(commitNumber));
    for (const bytes of [60, 60]) camera$.next(new Uint8Array(bytes));
    expect(commits).toEqual([1]);
    scheduler.maxFrames += 5;
    scheduler.flush();
    expect(commits).toEqual([1, 2]);
  });

  test('collects bytes for a commit', () => {
    using dir = new TempDir();
    using dict = MmapDict.open(fileIn(dir));
    const commits = new Map<number, number>();
    range(0, 10)
      .pipe(
        map(() => new Uint8Array(100)),
        appendFrames(dict, { batch: { bytes: 300, ms: 1000 } }),
      )
      .subscribe(({ commitNumber }) => commits.set(commitNumber, (commits.get(commitNumber) ?? 0) + 1));
    expect([...commits.values()]).toEqual([3, 3, 3, 1]);
  });

  test('keys come from a function or a prefix, and continue after the existing ones', () => {
    using dir = new TempDir();
    using dict = MmapDict.open(fileIn(dir));
    const two$ = from([Uint8Array.of(1), Uint8Array.of(2)]);
    two$.pipe(appendFrames(dict, { key: (frame, i) => `img/${i}-${frame[0]}`, firstSeq: 7 })).subscribe();
    two$.pipe(appendFrames(dict, { key: 'cam/' })).subscribe();
    two$.pipe(appendFrames(dict, { key: 'cam/' })).subscribe();
    expect([...dict.keys()]).toEqual([
      'img/7-1',
      'img/8-2',
      'cam/000000000',
      'cam/000000001',
      'cam/000000002',
      'cam/000000003',
    ]);
  });

  test("the companion entry holds the number, the time and the user's fields, in the same commit", () => {
    using dir = new TempDir();
    using dict = MmapDict.open(fileIn(dir));
    const before = Date.now() / 1000;
    const receipts: Receipt[] = [];
    from([Uint8Array.of(5)])
      .pipe(appendFrames(dict, { key: 'f/', meta: (frame) => ({ first: frame[0] }) }))
      .subscribe((receipt) => receipts.push(receipt));
    const meta = dict.get('f/000000000.meta') as Map<string, number>;
    expect(meta.get('seq')).toBe(0);
    expect(meta.get('first')).toBe(5);
    expect(meta.get('time')).toBeGreaterThan(before - 1);
    expect(dict.commitNumber).toBe(1);
    expect(receipts).toMatchObject([{ seq: 0, key: 'f/000000000', commitNumber: 1, bytes: 1, path: dict.name }]);
  });

  test('an existing key is not replaced unless allowed', async () => {
    using dir = new TempDir();
    using dict = MmapDict.open(fileIn(dir));
    dict.set('same', 1);
    const frame$ = from([Uint8Array.of(1)]);
    await expect(lastValueFrom(frame$.pipe(appendFrames(dict, { key: () => 'same' })))).rejects.toMatchObject({
      code: 'ALREADY_EXISTS',
      key: 'same',
    });
    await lastValueFrom(frame$.pipe(appendFrames(dict, { key: () => 'same', replace: true })));
    expect(dict.get('same')).not.toBe(1);
  });

  test('nor is an existing key in the place of a companion', async () => {
    using dir = new TempDir();
    using dict = MmapDict.open(fileIn(dir));
    dict.set('f.meta', 1);
    const frame$ = from([Uint8Array.of(1)]);
    await expect(lastValueFrom(frame$.pipe(appendFrames(dict, { key: () => 'f', meta: true })))).rejects.toMatchObject({
      code: 'ALREADY_EXISTS',
      key: 'f.meta',
    });
    expect([...dict.entries()]).toEqual([['f.meta', 1]]);
  });

  test('subscribing again continues the numbers, so that nothing is overwritten', async () => {
    using dir = new TempDir();
    using dict = MmapDict.open(fileIn(dir));
    let tries = 0;
    const flaky$ = concat(
      from([Uint8Array.of(1), Uint8Array.of(2)]),
      throwError(() => new Error(`try ${tries++}`)),
    );
    const append = appendFrames<Uint8Array>(dict, { key: (_frame, i) => `f${i}` });
    await expect(lastValueFrom(flaky$.pipe(append, retry(2), toArray()))).rejects.toThrow('try 2');
    expect([...dict.keys()]).toEqual(['f0', 'f1', 'f2', 'f3', 'f4', 'f5']);
    expect(append.stats()).toMatchObject({ received: 6, written: 6, idle: true });
  });

  test('a value that is not a frame ends the stream with a typed error, after the frames before it', async () => {
    using dir = new TempDir();
    using dict = MmapDict.open(fileIn(dir));
    const append = appendFrames<unknown>(dict, {});
    const stream$ = from([Uint8Array.of(1), 'text', Uint8Array.of(2)]);
    await expect(lastValueFrom(stream$.pipe(append))).rejects.toMatchObject({ code: 'UNSUPPORTED_VALUE' });
    expect(dict.size).toBe(1);
    expect(append.stats()).toMatchObject({ received: 2, written: 1, dropped: { invalid: 1 } });
  });

  test('so does a frame with a number of elements that does not match its shape', async () => {
    using dir = new TempDir();
    using dict = MmapDict.open(fileIn(dir));
    const append = appendFrames<Uint8Array>(dict, { shape: [2, 2] });
    const frames$ = from([4, 3, 5]).pipe(map((length) => new Uint8Array(length)));
    const error = await lastValueFrom(frames$.pipe(append)).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: 'INVALID_ARGUMENT', expected: [2, 2], found: 3 });
    expect(dict.size).toBe(1);
  });

  test('records are stored as they are, with their arrays', () => {
    using dir = new TempDir();
    using dict = MmapDict.open(fileIn(dir));
    const buffer = new Float32Array(3);
    const record$ = range(0, 3).pipe(map((i) => ({ i, trace: buffer.fill(i) })));
    record$.pipe(appendFrames(dict, { key: 'r/', batch: { ms: 1000 } })).subscribe();
    const [, second] = [...dict.values()] as Map<string, unknown>[];
    expect(second?.get('i')).toBe(1);
    expect([...((second?.get('trace') ?? []) as Iterable<number>)]).toEqual([1, 1, 1]);
  });
});

describe('a frame that cannot be written', () => {
  test('does not take the frames before it along, though they share a commit', async () => {
    using dir = new TempDir();
    using dict = MmapDict.open(fileIn(dir));
    const frames$ = range(0, 6).pipe(map((i) => (i === 4 ? { bad: () => i } : Uint8Array.of(i))));
    const append = appendFrames<object>(dict, { batch: { ms: 1000 } });
    await expect(lastValueFrom(frames$.pipe(append as never))).rejects.toMatchObject({ code: 'UNSUPPORTED_VALUE' });
    expect(dict.size).toBe(4);
    expect(append.stats()).toMatchObject({ received: 6, written: 4, dropped: { failed: 2 }, queued: 0 });
  });
});

test('a frame that arrives inside a batch of the caller has its own commit after it, whether the batch is rolled back or not', async () => {
  using dir = new TempDir();
  using dict = MmapDict.open(fileIn(dir));
  for (const undone of [true, false]) {
    const receipts: Receipt[] = [];
    const camera$ = new Subject<number>();
    const append = appendRows(dict, `r${undone}`, { dtype: 'int8' });
    camera$.pipe(append).subscribe((receipt) => receipts.push(receipt));
    const batch = (): unknown =>
      dict.batch(() => {
        camera$.next(7);
        expect(receipts).toEqual([]);
        dict.set(`theirs${undone}`, 1);
        camera$.complete();
        if (undone) throw new Error('undone');
      });
    if (undone) expect(batch).toThrow('undone');
    else batch();
    await append.idle();
    expect(receipts).toHaveLength(1);
    expect((dict.get(`r${undone}`) as GrowableArray).toNested()).toEqual([7]);
    expect(dict.has(`theirs${undone}`)).toBe(!undone);
  }
});

describe('stopping', () => {
  test('unsubscribing writes what was received', () => {
    using dir = new TempDir();
    using dict = MmapDict.open(fileIn(dir));
    const camera$ = new Subject<Uint8Array>();
    const subscription = camera$.pipe(appendFrames(dict, { batch: { ms: 10_000 } })).subscribe();
    for (let i = 0; i < 5; i += 1) camera$.next(Uint8Array.of(i));
    expect(dict.size).toBe(0);
    subscription.unsubscribe();
    expect(dict.size).toBe(5);
    expect(camera$.observed).toBe(false);
  });

  test('unsubscribing while the file is locked writes in the background, and idle() tells when it is done', async () => {
    using dir = new TempDir();
    using dict = MmapDict.open(fileIn(dir));
    using blocker = new Blocker(dict.name).block();
    const camera$ = new Subject<Uint8Array>();
    const append = appendFrames<Uint8Array>(dict);
    const subscription = camera$.pipe(append).subscribe();
    for (let i = 0; i < 5; i += 1) camera$.next(Uint8Array.of(i));
    subscription.unsubscribe();
    blocker.release();
    await append.idle();
    expect(dict.size).toBe(5);
  });

  test('an abort signal ends the stream like its own end', async () => {
    using dir = new TempDir();
    using dict = MmapDict.open(fileIn(dir));
    const controller = new AbortController();
    const camera$ = new Subject<Uint8Array>();
    const receipts: Receipt[] = [];
    let completed = false;
    camera$.pipe(appendFrames(dict, { signal: controller.signal, batch: { ms: 10_000 } })).subscribe({
      next: (receipt) => receipts.push(receipt),
      complete: () => {
        completed = true;
      },
    });
    camera$.next(Uint8Array.of(1));
    controller.abort();
    expect({ completed, receipts: receipts.length, observed: camera$.observed }).toEqual({
      completed: true,
      receipts: 1,
      observed: false,
    });
    await expect(
      lastValueFrom(NEVER.pipe(appendFrames(dict, { signal: controller.signal })), { defaultValue: 'empty' }),
    ).resolves.toBe('empty');
  });

  test('a source error is delivered after everything received before it is in the file', async () => {
    using dir = new TempDir();
    using dict = MmapDict.open(fileIn(dir));
    const broken$ = concat(
      range(0, 3).pipe(map((i) => Uint8Array.of(i))),
      throwError(() => new Error('camera unplugged')),
    );
    await expect(lastValueFrom(broken$.pipe(appendFrames(dict, { batch: { ms: 1000 } })))).rejects.toThrow('unplugged');
    expect(dict.size).toBe(3);
  });

  test('draining is limited in time, and lost frames are reported', async () => {
    using dir = new TempDir();
    using dict = MmapDict.open(fileIn(dir));
    using blocker = new Blocker(dict.name).block();
    const append = appendFrames<Uint8Array>(dict, { drainMs: 20 });
    const frames$ = range(0, 4).pipe(map((i) => Uint8Array.of(i)));
    await expect(lastValueFrom(frames$.pipe(append))).rejects.toMatchObject({ code: 'LOCKED', limit: 'drainMs' });
    expect(append.stats()).toMatchObject({ received: 4, written: 0, queued: 0, dropped: { 'drain-timeout': 4 } });
    blocker.release();
    expect(dict.size).toBe(0);
  });

  test('if frames do not reach the disk, the stream ends with the reason', async () => {
    using dir = new TempDir();
    const system = faultySyscalls(libc());
    using dict = openOver(system, fileIn(dir));
    // As with a full network disk.
    system.plan({ call: 'fdatasync', nth: 0, errno: 'ENOSPC' }, { call: 'fsync', nth: 0, errno: 'ENOSPC' });
    const append = appendRows<Uint8Array>(dict, 'rows', {
      dtype: 'uint8',
      rowShape: [1],
      durability: 'commit',
      batch: { frames: 3, ms: 1000 },
    });
    const frames$ = range(0, 3).pipe(map((i) => Uint8Array.of(i)));
    await expect(lastValueFrom(frames$.pipe(append))).rejects.toMatchObject({ code: 'NO_SPACE' });
    expect(append.stats()).toMatchObject({ received: 3, written: 0, dropped: { failed: 3 } });
  });

  test.each(['EIO', 'ENOSPC'])(
    'whichever call fails (%s), the stream ends, and each row is present once',
    async (errno) => {
      using dir = new TempDir();
      for (let nth = 0, failed: string | undefined = ''; failed !== undefined; nth += 1) {
        const system = faultySyscalls(libc());
        using dict = openOver(system, dir.file(`${nth}.mmdpickle`));
        const append = appendRows<number>(dict, 'x', { dtype: 'int32', batch: { frames: 3, ms: 1000 } });
        system.plan({ nth, errno });
        const written: number[] = [];
        const ended = lastValueFrom(
          range(0, 6).pipe(
            append,
            tap(({ seq }) => written.push(seq)),
            toArray(),
          ),
        );
        const error: unknown = await ended.then(
          () => undefined,
          (reason: unknown) => reason,
        );
        failed = system.calls[nth];
        system.plan();
        // Unlocking never fails with these errors, and the fate of the commit would be unknown.
        if (failed === 'flock') continue;
        if (error !== undefined) expect(error).toMatchObject({ code: expect.stringMatching(/^(IO|NO_SPACE)$/) });
        const { received, written: told, droppedTotal, queued } = append.stats();
        expect({ told, droppedTotal, queued }).toEqual({
          told: written.length,
          droppedTotal: received - told,
          queued: 0,
        });
        if (error === undefined) expect(told).toBe(6);
        using other = MmapDict.open(dict.name, { mode: 'r' });
        const rows = other.has('x/seq') ? ((other.get('x/seq') as NDArray).toNested() as bigint[]).map(Number) : [];
        expect(rows).toEqual(rows.map((_, i) => i));
        expect(rows.length).toBeGreaterThanOrEqual(written.length);
      }
    },
  );

  test('a full batch is written in its turn, even if the machine stalls a second at every read of the clock', () => {
    using dir = new TempDir();
    using dict = MmapDict.open(dir.file('a.mmdpickle'));
    let clock = 0;
    vi.spyOn(performance, 'now').mockImplementation(() => (clock += 1000));
    try {
      const frame$ = new Subject<Uint8Array>();
      frame$.pipe(appendFrames(dict, { batch: { frames: 2, ms: 60_000 } })).subscribe();
      const written = [1, 2, 3, 4].map((i) => {
        frame$.next(Uint8Array.of(i));
        return dict.size;
      });
      expect(written).toEqual([0, 2, 2, 4]);
      frame$.complete();
    } finally {
      vi.restoreAllMocks();
    }
  });

  test('lagMs is how long the earliest waiting frame of all streams has waited', async () => {
    using dir = new TempDir();
    using dict = MmapDict.open(dir.file('a.mmdpickle'));
    const append = appendFrames<Uint8Array>(dict);
    const streams = [new Subject<Uint8Array>(), new Subject<Uint8Array>()];
    for (const stream of streams) stream.pipe(append).subscribe();
    expect(append.stats().lagMs).toBe(0);
    using blocker = new Blocker(dict.name).block();
    let since = Infinity;
    for (const stream of streams) {
      stream.next(Uint8Array.of(1));
      since = Math.min(since, performance.now());
    }
    const waited = performance.now() - since;
    expect(append.stats().lagMs).toBeGreaterThanOrEqual(waited);
    blocker.release();
    for (const stream of streams) stream.complete();
    await append.idle();
    expect(append.stats()).toMatchObject({ lagMs: 0, written: 2 });
  });

  test('frames that are lost after the source failed are reported, with its error', async () => {
    using dir = new TempDir();
    using dict = MmapDict.open(fileIn(dir));
    using blocker = new Blocker(dict.name).block();
    const unplugged = new Error('camera unplugged');
    const lost = { code: 'LOCKED', limit: 'drainMs', message: expect.stringMatching(/within 20 ms.*camera unplugged/) };
    const append = appendFrames<Uint8Array>(dict, { drainMs: 20 });
    const frames$ = concat(
      [Uint8Array.of(1)],
      throwError(() => unplugged),
    );
    const error = await lastValueFrom(frames$.pipe(append)).catch((reason: unknown) => reason);
    expect(error).toMatchObject({
      ...lost,
      cause: { errors: [unplugged, expect.objectContaining({ code: 'LOCKED' })] },
    });
    blocker.release();
    // Also for frames that user code cannot place.
    const key = (): string => {
      throw new Error('no name');
    };
    const named = appendFrames<Uint8Array>(dict, { key, batch: { ms: 1000 } });
    await expect(lastValueFrom(frames$.pipe(named))).rejects.toThrow(/no name.*camera unplugged/);
  });

  test.each([Infinity, 2 ** 31])('draining may take %s ms: nothing is lost immediately', async (drainMs) => {
    using dir = new TempDir();
    using dict = MmapDict.open(fileIn(dir));
    using blocker = new Blocker(dict.name).block();
    const append = appendFrames<Uint8Array>(dict, { drainMs, statsMs: drainMs });
    let readings = 0;
    append.stats$.subscribe(() => (readings += 1));
    const last = lastValueFrom(
      range(0, 4).pipe(
        map((i) => Uint8Array.of(i)),
        append,
      ),
    );
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(append.stats()).toMatchObject({ queued: 4, droppedTotal: 0 });
    blocker.release();
    expect((await last).seq).toBe(3);
    // Before and after the stream.
    expect(readings).toBe(2);
  });

  test('frames that are collected without a time limit are committed by count', async () => {
    using dir = new TempDir();
    using dict = MmapDict.open(fileIn(dir));
    const append = appendFrames<Uint8Array>(dict, { batch: { frames: 3, ms: Infinity } });
    const frame$ = new Subject<Uint8Array>();
    frame$.pipe(append).subscribe();
    for (let i = 0; i < 5; i += 1) frame$.next(Uint8Array.of(i));
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(append.stats()).toMatchObject({ written: 3, queued: 2 });
    frame$.complete();
    expect(dict.size).toBe(5);
  });

  test('receipts stop with take, and so does the source', () => {
    using dir = new TempDir();
    using dict = MmapDict.open(fileIn(dir));
    const append = appendFrames<Uint8Array>(dict);
    range(0, 1000)
      .pipe(
        map((i) => Uint8Array.of(i)),
        append,
        take(3),
      )
      .subscribe();
    expect(append.stats().received).toBe(3);
    expect(dict.size).toBe(3);
  });

  test('an empty source leaves nothing behind', async () => {
    using dir = new TempDir();
    using dict = MmapDict.open(fileIn(dir));
    await lastValueFrom(EMPTY.pipe(appendRows(dict, 'k', { dtype: 'int8' })), { defaultValue: undefined });
    expect(dict.size).toBe(0);
  });
});

describe('a locked file', () => {
  test('is retried with pauses, and the frames are written in order', async () => {
    using dir = new TempDir();
    using dict = MmapDict.open(fileIn(dir));
    using blocker = new Blocker(dict.name).block();
    const append = appendFrames<Uint8Array>(dict, {
      lockTimeout: 5,
      retry: { delayMs: 5, maxDelayMs: 10, count: 1000 },
    });
    const receipts: number[] = [];
    range(0, 5)
      .pipe(
        map((i) => Uint8Array.of(i)),
        append,
      )
      .subscribe(({ seq }) => receipts.push(seq));
    await until(() => append.stats().retries >= 2);
    expect(append.stats().queued).toBe(5);
    blocker.release();
    await append.idle();
    expect(receipts).toEqual([0, 1, 2, 3, 4]);
    expect(append.stats().commits).toBeLessThan(5);
  });

  test('is given up after the last try, with LOCKED and every frame accounted for', async () => {
    using dir = new TempDir();
    using dict = MmapDict.open(fileIn(dir));
    using _blocker = new Blocker(dict.name).block();
    const append = appendFrames<Uint8Array>(dict, { lockTimeout: 2, retry: { delayMs: 1, count: 2 } });
    const camera$ = new Subject<Uint8Array>();
    camera$.pipe(append).subscribe({ error: () => {} });
    for (let i = 0; i < 3; i += 1) camera$.next(Uint8Array.of(i));
    await until(() => !camera$.observed);
    await expect(append.idle()).rejects.toMatchObject({ code: 'LOCKED' });
    expect(append.stats()).toMatchObject({ received: 3, written: 0, dropped: { failed: 3 }, retries: 2 });
  });
});

test('the counts add up whenever a caller can read them', async () => {
  using dir = new TempDir();
  using dict = MmapDict.open(fileIn(dir));
  let looks = 0;
  const look = (): void => {
    const { received, written, droppedTotal, queued } = append.stats();
    expect(received).toBe(written + droppedTotal + queued);
    looks += 1;
  };
  const append = appendFrames<Uint8Array>(dict, {
    key(_frame, i) {
      look();
      return `frame/${i}`;
    },
    meta() {
      look();
      return {};
    },
  });
  const camera$ = range(0, 4).pipe(
    map((i) => {
      look();
      return Uint8Array.of(i);
    }),
  );
  await lastValueFrom(
    camera$.pipe(
      append,
      map((receipt) => {
        look();
        return receipt;
      }),
    ),
  );
  expect(looks).toBe(16);
  expect(append.stats().peakQueuedBytes).toBe(0);
});

test.each([
  ['queue.frames', { queue: { frames: 0 } }],
  ['queue.bytes', { queue: { bytes: -1 } }],
  ['retry.count', { retry: { count: Number.NaN } }],
  ['durability', { durability: 'always' as 'commit' }],
])('%s that makes no sense is refused before anything is subscribed to', (name, options) => {
  using dir = new TempDir();
  using dict = MmapDict.open(fileIn(dir));
  expect(() => appendFrames(dict, options)).toThrow(
    expect.objectContaining({ code: 'INVALID_ARGUMENT', message: expect.stringContaining(name) as string }),
  );
});

describe('a full disk', () => {
  test.each([
    ['deleted', (dict: MmapDict) => dict.delete('rows')],
    ['replaced', (dict: MmapDict) => dict.set('rows', 5)],
  ])(
    'an array that was appended to and %s in one batch, or rolled back with it, does not hide the outcome of the batch',
    (_what, end) => {
      using dir = new TempDir();
      using dict = MmapDict.open(fileIn(dir));
      const rows = dict.set('rows', new GrowableNDArray([], 'int8', { capacity: 4 })).get('rows') as GrowableArray;
      dict.batch(() => {
        rows.append(Int8Array.of(1));
        end(dict);
      });
      const again = (): unknown =>
        dict.batch(() => {
          const other = dict.set('other', new GrowableNDArray([], 'int8')).get('other') as GrowableArray;
          other.append(Int8Array.of(1));
          throw new Error('mine');
        });
      expect(again).toThrow('mine');
      expect(dict.has('other')).toBe(false);
      expect(() => rows.append(Int8Array.of(1))).toThrow();
    },
  );
  test('takes the frames of a batch one by one, as many as there is room for', async () => {
    using dir = new TempDir();
    const system = faultySyscalls(libc());
    using dict = openOver(system, fileIn(dir));
    const append = appendFrames<Uint8Array>(dict, { batch: { ms: 1000 } });
    system.plan({ call: 'pwritev', nth: 0, errno: 'ENOSPC' });
    await lastValueFrom(
      range(0, 5).pipe(
        map((i) => new Uint8Array(10_000).fill(i)),
        append,
      ),
    );
    expect(append.stats()).toMatchObject({ received: 5, written: 5, droppedTotal: 0 });
  });

  const frames = { batch: { frames: 2, ms: 1000 }, queue: { frames: 2 }, policy: 'drop-newest' } as const;
  const rows = { dtype: 'int32', ...frames } as const;
  const withEmpty = (dict: CoreDict): CoreDict => {
    dict.set('k', new Int32Array(0));
    return dict;
  };
  test.each<[string, (dict: CoreDict) => IngestOperator<Int32Array>]>([
    ['rows', (dict) => appendRows(dict, 'k', rows)],
    ['hidden rows', (dict) => appendRows(dict, 'k', { ...rows, masked: true })],
    ['rows after an array that does not grow', (dict) => appendRows(withEmpty(dict), 'k', rows)],
    ['rows of chunks', (dict) => appendRows(dict, 'k', { ...rows, layout: chunked({ rows: 64 }) })],
    ['planes', (dict) => fillArray(dict, 'k', new EmptyNDArray([64, 1], 'int32'), frames)],
  ])(
    'a frame with a receipt is where the receipt says, whichever write of a commit found the disk full: %s',
    async (what, make) => {
      for (const late of what === 'hidden rows' ? [false, true] : [false]) {
        for (let nth = 0, failures = 1; failures > 0 && nth < 100; nth += 1) {
          using dir = new TempDir();
          const system = faultySyscalls(libc());
          using dict = openOver(system, fileIn(dir));
          using other = MmapDict.open(fileIn(dir));
          const append = make(dict);
          const camera$ = new Subject<Int32Array>();
          const receipts: Receipt[] = [];
          camera$.pipe(append).subscribe({ next: (receipt) => receipts.push(receipt), error: () => {} });
          const send = (...numbers: number[]): void => {
            for (const n of numbers) camera$.next(Int32Array.of(n));
          };
          if (late) {
            send(0, 1);
            other.batch(() => send(2, 3, 4, 5));
            await until(() => append.stats().queued === 0);
          }
          const first = append.stats().received;
          system.plan({ nth, call: 'pwrite', errno: 'ENOSPC' });
          send(first, first + 1, first + 2, first + 3);
          failures = system.failures();
          system.plan();
          camera$.complete();
          await append.idle().catch(() => {});
          using found = MmapDict.open(fileIn(dir), { mode: 'r' });
          expect(append.stats()).toMatchObject({ written: receipts.length, droppedTotal: late ? 2 : 0 });
          for (const { key, rows: at, seq } of receipts) {
            if (late) expect([nth, at]).toEqual([nth, { start: seq, end: seq + 1 }]);
            const array = (found.get(key) ?? series(found, key).rows(0, Infinity)) as NDArray;
            expect([nth, seq, array?.get(...[at!.start, 0].slice(0, array.ndim))]).toEqual([nth, seq, seq]);
          }
        }
      }
    },
  );

  test('ends the stream with NO_SPACE, and what was committed stays', async () => {
    using dir = new TempDir();
    const system = faultySyscalls(libc());
    using dict = openOver(system, fileIn(dir));
    const camera$ = new Subject<Uint8Array>();
    const append = appendFrames<Uint8Array>(dict);
    const receipts: Receipt[] = [];
    camera$.pipe(append).subscribe({ next: (receipt) => receipts.push(receipt), error: () => {} });
    for (let i = 0; i < 3; i += 1) camera$.next(new Uint8Array(10_000));
    system.plan(
      { call: 'pwrite', nth: 0, errno: 'ENOSPC', persistent: true },
      { call: 'pwritev', nth: 0, errno: 'ENOSPC', persistent: true },
    );
    camera$.next(new Uint8Array(10_000));
    expect(camera$.observed).toBe(false);
    await expect(append.idle()).rejects.toMatchObject({ code: 'NO_SPACE' });
    expect(receipts.length).toBe(3);
    expect(append.stats()).toMatchObject({ received: 4, written: 3, dropped: { failed: 1 } });
    using again = MmapDict.open(fileIn(dir), { mode: 'r' });
    expect(again.size).toBe(3);
  });
});

describe('stats$', () => {
  test('emits at its interval while a stream runs, and when it ends', () => {
    using dir = new TempDir();
    using dict = MmapDict.open(fileIn(dir));
    marbles((scheduler) => {
      const append = appendFrames<Uint8Array>(dict, { statsMs: 10 });
      const camera$ = scheduler.createHotObservable<string>('-a 9ms b 3ms |').pipe(map(() => new Uint8Array(2)));
      const written$ = append.stats$.pipe(
        take(3),
        map(({ received, written, idle }: IngestStats) => ({ received, written, idle })),
      );
      scheduler.expectObservable(written$).toBe('a 9ms b 4ms (c|)', {
        a: { received: 0, written: 0, idle: true },
        b: { received: 1, written: 1, idle: false },
        c: { received: 2, written: 2, idle: true },
      });
      scheduler
        .expectObservable(
          camera$.pipe(
            append,
            map(() => 'r'),
          ),
        )
        .toBe('-r 9ms r 3ms |');
    });
  });

  test('reports quantiles, rates and the fullest queue', async () => {
    using dir = new TempDir();
    using dict = MmapDict.open(fileIn(dir));
    using blocker = new Blocker(dict.name).block();
    const append = appendFrames<Uint8Array>(dict, {});
    range(0, 10)
      .pipe(
        map(() => new Uint8Array(100)),
        append,
      )
      .subscribe();
    expect(append.stats()).toMatchObject({ queued: 10, queuedBytes: 1000, peakQueuedBytes: 1000, idle: false });
    blocker.release();
    await append.idle();
    const stats = append.stats();
    expect(stats.bytes).toBe(1000);
    expect(stats.flushMs.p99).toBeGreaterThanOrEqual(stats.flushMs.p50);
    expect(stats.latencyMs.p50).toBeGreaterThan(0);
  });
});
