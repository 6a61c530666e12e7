/** Frames whose getters act on the stream while they are read. */
import type { NDArray } from '@mmdpickle/core';
import { MmapDict } from '@mmdpickle/core/node';
import {
  appendFrames,
  appendRows,
  fillArray,
  type IngestOperator,
  type Receipt,
  rowsPlace,
  writeFrames,
} from '@mmdpickle/rx';
import { EmptyNDArray } from '@mmdpickle/stubs';
import { TempDir } from '@mmdpickle/test-support';
import { Subject } from 'rxjs';
import { expect, test } from 'vitest';
import { Blocker } from './blocker.ts';

interface Row {
  readonly a: number;
}

/** A record that acts on one of the reads of its field. */
function acting(a: number, act: () => void, when = 1): Row {
  let reads = 0;
  return {
    get a() {
      reads += 1;
      if (reads === when) act();
      return a;
    },
  };
}

const OPERATORS: readonly (readonly [string, (dict: MmapDict, batch: object) => IngestOperator<Row>])[] = [
  ['frames', (dict, batch) => appendFrames<Row>(dict, batch)],
  ['rows', (dict, batch) => appendRows<Row>(dict, 'k', { schema: { a: 'int32' }, records: 'columns', ...batch })],
  [
    'hidden rows',
    (dict, batch) => appendRows<Row>(dict, 'k', { schema: { a: 'int32' }, records: 'columns', masked: true, ...batch }),
  ],
];
const BATCHES = [{}, { batch: { ms: 60_000 } }];
const CASES = OPERATORS.flatMap(([what, make]) => BATCHES.map((batch) => ({ what, make, batch })));

test.each(CASES)('$what: a frame whose getter ends the stream comes too late, $batch', async ({ make, batch }) => {
  for (const locked of [false, true]) {
    using dir = new TempDir();
    using dict = MmapDict.open(dir.file('a.mmdpickle'));
    using blocker = new Blocker(dict.name);
    const row$ = new Subject<Row>();
    const append = make(dict, batch);
    const receipts: Receipt[] = [];
    row$.pipe(append).subscribe((receipt) => receipts.push(receipt));
    row$.next({ a: 0 });
    if (locked) blocker.block();
    row$.next(acting(1, () => row$.complete()));
    blocker.release();
    await append.idle();
    expect(append.stats()).toMatchObject({ received: 1, written: 1, queued: 0, idle: true });
    expect(receipts.map(({ seq }) => seq)).toEqual([0]);
  }
});

test.each(CASES)(
  '$what: a frame whose getter sends another comes after that one, $batch',
  async ({ what, make, batch }) => {
    using dir = new TempDir();
    using dict = MmapDict.open(dir.file('a.mmdpickle'));
    const row$ = new Subject<Row>();
    const append = make(dict, batch);
    const receipts: Receipt[] = [];
    row$.pipe(append).subscribe((receipt) => receipts.push(receipt));
    row$.next({ a: 0 });
    row$.next(acting(2, () => row$.next({ a: 1 })));
    row$.next({ a: 3 });
    row$.complete();
    await append.idle();
    expect(receipts.map(({ seq }) => seq)).toEqual([0, 1, 2, 3]);
    const stored =
      what === 'frames'
        ? receipts.map(({ key }) => (dict.get(key) as Map<string, number>).get('a'))
        : (dict.get('k/a') as NDArray).toNested();
    expect(stored).toEqual([0, 1, 2, 3]);
  },
);

test.each([1, 2, 3, 4, 5])(
  'a frame whose getter ends the stream on its %sth read is written or too late',
  async (when) => {
    for (const throws of [false, true]) {
      using dir = new TempDir();
      using dict = MmapDict.open(dir.file('a.mmdpickle'));
      using blocker = new Blocker(dict.name).block();
      const row$ = new Subject<Row>();
      const append = appendFrames<Row>(dict);
      row$.pipe(append).subscribe({ error: () => {} });
      const act = (): void => {
        row$.complete();
        if (throws) throw new Error('mine');
      };
      row$.next(acting(1, act, when));
      row$.complete();
      blocker.release();
      await append.idle().catch(() => {});
      const { received, written, droppedTotal, queued } = append.stats();
      expect([queued, received]).toEqual([0, written + droppedTotal]);
      expect(dict.size).toBe(written);
    }
  },
);

test('a plane whose getter sends the one for the last place does not overwrite the first', async () => {
  using dir = new TempDir();
  using dict = MmapDict.open(dir.file('a.mmdpickle'));
  const plane$ = new Subject<Int32Array>();
  const fill = fillArray<Int32Array>(dict, 'k', new EmptyNDArray([2, 1], 'int32'));
  plane$.pipe(fill).subscribe({ error: () => {} });
  plane$.next(Int32Array.of(10));
  class Acting extends Int32Array {
    override get length(): number {
      if (fill.stats().received === 1) plane$.next(Int32Array.of(11));
      return 1;
    }
  }
  plane$.next(Acting.of(12));
  await expect(fill.idle()).rejects.toMatchObject({ code: 'LIMIT_EXCEEDED', limit: 'planes' });
  expect(fill.stats()).toMatchObject({ received: 3, written: 2, droppedTotal: 1 });
  expect((dict.get('k') as NDArray).toNested()).toEqual([[10], [11]]);
});

test('a sink refuses a frame whose getter aborts it', async () => {
  using dir = new TempDir();
  using dict = MmapDict.open(dir.file('a.mmdpickle'));
  const abort = new AbortController();
  const rows = [{ a: 0 }, acting(1, () => abort.abort()), { a: 2 }];
  const place = rowsPlace<Row>(dict, 'k', { schema: { a: 'int32' }, records: 'columns' });
  const written = async (): Promise<void> => {
    for await (const _ of writeFrames(rows, place, { signal: abort.signal }));
  };
  await written().catch(() => {});
  expect((dict.get('k/a') as NDArray).toNested()).toEqual([0]);
});

test.each(CASES)(
  '$what: a getter that throws undefined ends the stream with an error, $batch',
  async ({ make, batch }) => {
    for (const when of [1, 2]) {
      using dir = new TempDir();
      using dict = MmapDict.open(dir.file('a.mmdpickle'));
      const row$ = new Subject<Row>();
      const append = make(dict, batch);
      const ends: unknown[] = [];
      row$.pipe(append).subscribe({ error: (error) => ends.push(error), complete: () => ends.push('complete') });
      row$.next({ a: 0 });
      row$.next(
        acting(
          1,
          () => {
            throw undefined;
          },
          when,
        ),
      );
      row$.complete();
      await append.idle().catch(() => {});
      const { received, written, droppedTotal } = append.stats();
      expect([received, written + droppedTotal]).toEqual([2, 2]);
      if (written === 2) expect(ends).toEqual(['complete']);
      else
        expect(ends).toMatchObject([
          { code: 'INVALID_ARGUMENT', message: expect.stringContaining('threw undefined or null') },
        ]);
    }
  },
);
