import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { MmapDict } from '@mmdpickle/core/node';
import {
  appendFrames,
  framesPlace,
  type IngestOperator,
  type IngestStats,
  nodeSink,
  type Policy,
  type Receipt,
} from '@mmdpickle/rx';
import { TempDir } from '@mmdpickle/test-support';
import fc from 'fast-check';
import { Subject } from 'rxjs';
import { describe, expect, test } from 'vitest';
import { Blocker, until } from './blocker.ts';

const DROPPING: readonly Policy[] = ['drop-newest', 'drop-oldest', 'sample'];

function balanced({ received, written, droppedTotal, queued, dropped }: IngestStats): void {
  expect(received).toBe(written + droppedTotal + queued);
  expect(Object.values(dropped).reduce((sum, count) => sum + count, 0)).toBe(droppedTotal);
}

/** The sequence numbers that a reader finds in the keys. */
function numbersIn(dict: MmapDict): number[] {
  return [...dict.keys()].filter((key) => !key.endsWith('.meta')).map((key) => Number(key.slice('frame/'.length)));
}

interface Run {
  readonly camera$: Subject<Uint8Array>;
  readonly append: IngestOperator<Uint8Array>;
  readonly receipts: Receipt[];
  ended: unknown;
}

function run(dict: MmapDict, options: Parameters<typeof appendFrames>[1]): Run {
  const camera$ = new Subject<Uint8Array>();
  const append = appendFrames<Uint8Array>(dict, options as never);
  const result: Run = { camera$, append, receipts: [], ended: undefined };
  camera$.pipe(append).subscribe({
    next: (receipt) => result.receipts.push(receipt),
    error: (error) => {
      result.ended = error;
    },
    complete: () => {
      result.ended = 'complete';
    },
  });
  return result;
}

describe.each(DROPPING)('policy %s', (policy) => {
  test('loses no frame unnoticed while the file is locked now and then', async () => {
    using dir = new TempDir();
    using dict = MmapDict.open(dir.file('a.mmdpickle'));
    using blocker = new Blocker(dict.name);
    const { camera$, append, receipts, ...rest } = run(dict, { policy, queue: { frames: 4, bytes: 5000 } });
    let sent = 0;
    for (let round = 0; round < 10; round += 1) {
      blocker.block();
      for (let i = 0; i < 20; i += 1) {
        camera$.next(new Uint8Array(1000).fill(sent++));
        balanced(append.stats());
        expect(append.stats().queuedBytes).toBeLessThanOrEqual(5000);
      }
      blocker.release();
      await until(() => append.stats().queued === 0);
    }
    camera$.complete();
    await append.idle();
    expect(rest.ended).toBeUndefined();
    const stats = append.stats();
    balanced(stats);
    expect(stats.received).toBe(200);
    expect(stats.droppedTotal).toBeGreaterThan(0);
    expect(stats.queued).toBe(0);
    expect(numbersIn(dict)).toEqual(receipts.map(({ seq }) => seq));
    expect(receipts.length).toBe(stats.written);
    for (const { seq, key } of receipts) expect((dict.get(key) as { get(i: number): number }).get(0)).toBe(seq % 256);
  });
});

test('the dropped frames are the newest, the oldest, or all but the newest', async () => {
  const written: Record<string, number[]> = {};
  for (const policy of DROPPING) {
    using dir = new TempDir();
    using dict = MmapDict.open(dir.file('a.mmdpickle'));
    using blocker = new Blocker(dict.name).block();
    const { camera$, append } = run(dict, { policy, queue: { frames: 4 } });
    for (let i = 0; i < 10; i += 1) camera$.next(Uint8Array.of(i));
    blocker.release();
    camera$.complete();
    await append.idle();
    written[policy] = numbersIn(dict);
  }
  // Frame 0 is already waiting for the lock when the others arrive.
  expect(written).toEqual({ 'drop-newest': [0, 1, 2, 3], 'drop-oldest': [0, 7, 8, 9], sample: [0, 9] });
});

test('policies do the same for sinks', async () => {
  const written: Record<string, number[]> = {};
  for (const policy of [...DROPPING, 'block'] as const) {
    using dir = new TempDir();
    using dict = MmapDict.open(dir.file('a.mmdpickle'));
    using blocker = new Blocker(dict.name).block();
    const sink = nodeSink(framesPlace(dict), { policy, queue: { frames: 4 } });
    const done = pipeline(Readable.from(Array.from({ length: 10 }, (_, i) => Uint8Array.of(i))), sink);
    await until(() => sink.stats().received === (policy === 'block' ? 4 : 10));
    blocker.release();
    await done;
    written[policy] = numbersIn(dict);
  }
  expect(written).toEqual({
    'drop-newest': [0, 1, 2, 3],
    'drop-oldest': [0, 7, 8, 9],
    sample: [0, 9],
    block: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
  });
});

test('policy error ends the stream when the queue is full, and what was queued is written', async () => {
  using dir = new TempDir();
  using dict = MmapDict.open(dir.file('a.mmdpickle'));
  using blocker = new Blocker(dict.name).block();
  const { camera$, append, receipts } = run(dict, { queue: { frames: 3 } });
  for (let i = 0; i < 10; i += 1) camera$.next(Uint8Array.of(i));
  expect(camera$.observed).toBe(false);
  blocker.release();
  await expect(append.idle()).rejects.toMatchObject({ code: 'LIMIT_EXCEEDED', limit: 'queue' });
  expect(receipts.map(({ seq }) => seq)).toEqual([0, 1, 2]);
  expect(append.stats()).toMatchObject({ received: 4, written: 3, queued: 0, dropped: { 'queue-full': 1 } });
});

describe.each<Policy>(['error', ...DROPPING])('policy %s while the file is free', (policy) => {
  test('drops nothing that is collected: a full queue is committed', async () => {
    using dir = new TempDir();
    using dict = MmapDict.open(dir.file('a.mmdpickle'));
    const { camera$, append } = run(dict, { policy, batch: { ms: 60_000 }, queue: { frames: 4, bytes: 1000 } });
    for (let i = 0; i < 30; i += 1) {
      camera$.next(new Uint8Array(i % 7 === 0 ? 900 : 100));
      balanced(append.stats());
      expect(append.stats().queuedBytes).toBeLessThanOrEqual(1000);
    }
    expect(append.stats().commits).toBeGreaterThan(4);
    expect(append.stats().commits).toBeLessThan(25);
    camera$.next(new Uint8Array(5000));
    camera$.complete();
    await append.idle();
    expect(append.stats()).toMatchObject({ received: 31, written: 31, droppedTotal: 0 });
    expect(numbersIn(dict)).toEqual(Array.from({ length: 31 }, (_, i) => i));
  });
});

test('policy block is refused if the source cannot wait', () => {
  using dir = new TempDir();
  using dict = MmapDict.open(dir.file('a.mmdpickle'));
  expect(() => appendFrames(dict, { policy: 'block' })).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }));
  expect(() => appendFrames(dict, { policy: 'whatever' as never })).toThrow(/policy must be one of/);
});

test('the camera may reuse its buffer at once, whether the frame was written or queued', async () => {
  using dir = new TempDir();
  using dict = MmapDict.open(dir.file('a.mmdpickle'));
  using blocker = new Blocker(dict.name);
  const { camera$, append } = run(dict, {});
  const buffer = new Uint16Array(8);
  for (let i = 0; i < 6; i += 1) {
    if (i === 3) blocker.block();
    buffer.fill(i);
    camera$.next(buffer as never);
    buffer.fill(9999);
  }
  blocker.release();
  camera$.complete();
  await append.idle();
  expect([...dict].map(([, value]) => (value as { get(i: number): number }).get(7))).toEqual([0, 1, 2, 3, 4, 5]);
});

test('counts add up for any bursts, policies and limits', async () => {
  using dir = new TempDir();
  let n = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom<Policy>('error', ...DROPPING),
      fc.record({ frames: fc.integer({ min: 1, max: 6 }), bytes: fc.integer({ min: 1, max: 300 }) }),
      fc.array(
        fc.record({ locked: fc.boolean(), sizes: fc.array(fc.integer({ min: 0, max: 120 }), { maxLength: 8 }) }),
        {
          maxLength: 6,
        },
      ),
      async (policy, queue, bursts) => {
        using dict = MmapDict.open(dir.file(`${n++}.mmdpickle`));
        using blocker = new Blocker(dict.name);
        const { camera$, append, receipts } = run(dict, { policy, queue, batch: { frames: 3 } });
        for (const { locked, sizes } of bursts) {
          if (locked) blocker.block();
          for (const size of sizes) {
            camera$.next(new Uint8Array(size));
            balanced(append.stats());
          }
          blocker.release();
          await new Promise((resolve) => setImmediate(resolve));
          balanced(append.stats());
        }
        camera$.complete();
        await append.idle().catch((error) => expect(error).toMatchObject({ code: 'LIMIT_EXCEEDED' }));
        const stats = append.stats();
        balanced(stats);
        expect(stats.queued).toBe(0);
        expect(numbersIn(dict)).toEqual(receipts.map(({ seq }) => seq));
        expect(stats.written).toBe(receipts.length);
        // A gap in the numbers, and nothing else, is a dropped frame; the number of the last ones is known, too.
        expect(stats.droppedTotal).toBe(stats.received - receipts.length);
      },
    ),
    { numRuns: 60 },
  );
});
