import { statSync } from 'node:fs';
import { MaskedArray, type NDArray, ndarray } from '@mmdpickle/core';
import { MmapDict } from '@mmdpickle/core/node';
import { appendFrames, appendRows, chunked, fillArray, growable, type Receipt, series } from '@mmdpickle/rx';
import { EmptyMaskedArray, EmptyNDArray } from '@mmdpickle/stubs';
import { TempDir } from '@mmdpickle/test-support';
import fc from 'fast-check';
import { from, lastValueFrom, map, NEVER, type OperatorFunction, of, range, Subject, toArray } from 'rxjs';
import { TestScheduler } from 'rxjs/testing';
import { describe, expect, test, vi } from 'vitest';
import { Blocker } from './blocker.ts';

function nested(dict: MmapDict, key: string): unknown {
  return (dict.get(key) as NDArray).toNested();
}

describe('appendRows', () => {
  test('emits a receipt per row, with the row numbers and one commit number', () => {
    using dir = new TempDir();
    using dict = MmapDict.open(dir.file('a.mmdpickle'));
    const scheduler = new TestScheduler((actual, expected) => expect(actual).toEqual(expected));
    scheduler.run(({ hot, expectObservable }) => {
      const row$ = hot('-a-b-|').pipe(map(() => Float32Array.of(1, 2)));
      const rows$ = row$.pipe(
        appendRows(dict, 'r', { dtype: 'float32', rowShape: [2] }),
        map(({ rows }) => `${rows?.start}-${rows?.end}`),
      );
      expectObservable(rows$).toBe('-a-b-|', { a: '0-1', b: '1-2' });
    });
    expect(nested(dict, 'r')).toEqual([
      [1, 2],
      [1, 2],
    ]);
  });

  test('keeps companions of equal length: when each row arrived, and its number', async () => {
    using dir = new TempDir();
    using dict = MmapDict.open(dir.file('a.mmdpickle'));
    const before = BigInt(Date.now()) * 1000n - 1_000_000n;
    await lastValueFrom(range(0, 5).pipe(appendRows(dict, 'volts', { dtype: 'float64' })));
    expect(nested(dict, 'volts')).toEqual([0, 1, 2, 3, 4]);
    expect(nested(dict, 'volts/seq')).toEqual([0n, 1n, 2n, 3n, 4n]);
    const times = dict.get('volts/time') as NDArray;
    expect(times.dtype).toBe('datetime64[us]');
    expect((times.toNested() as bigint[]).every((time, i, all) => time > before && time >= (all[i - 1] ?? 0n))).toBe(
      true,
    );
  });

  test.each([false, true])('keeps count of rows that have no elements (masked: %s)', async (masked) => {
    using dir = new TempDir();
    using dict = MmapDict.open(dir.file('a.mmdpickle'));
    for (const layout of [growable(), chunked({ rows: 2 })]) {
      const row$ = range(0, 3).pipe(map(() => new Int32Array(0)));
      const append = appendRows<Int32Array>(dict, 'x', { dtype: 'int32', rowShape: [0, 3], masked, layout });
      expect((await lastValueFrom(row$.pipe(append, toArray()))).map(({ rows }) => rows?.start)).toEqual([0, 1, 2]);
    }
    expect(dict.getMeta('x')?.shape).toEqual([3, 0, 3]);
    expect(series(dict, 'x').shape).toEqual([3, 0, 3]);
  });

  test.each(['time', 'seq'])('refuses a column with the same key as the companion %s', async (name) => {
    using dir = new TempDir();
    using dict = MmapDict.open(dir.file('a.mmdpickle'));
    const schema = { [name]: name === 'seq' ? 'int64' : 'datetime64[us]' };
    const records$ = from([{ [name]: 7n }]);
    const refused = lastValueFrom(records$.pipe(appendRows(dict, 'x', { schema, records: 'columns' })));
    await expect(refused).rejects.toMatchObject({ code: 'INVALID_ARGUMENT', key: `x/${name}` });
    await lastValueFrom(records$.pipe(appendRows(dict, 'x', { schema, records: 'columns', [name]: false })));
    expect(nested(dict, `x/${name}`)).toEqual([7n]);
  });

  test('takes the time from the row, and omits companions on request', async () => {
    using dir = new TempDir();
    using dict = MmapDict.open(dir.file('a.mmdpickle'));
    const rows$ = range(0, 3);
    await lastValueFrom(rows$.pipe(appendRows(dict, 'a', { dtype: 'int8', time: (_row, seq) => seq, seq: false })));
    expect(nested(dict, 'a/time')).toEqual([0n, 1000n, 2000n]);
    expect(dict.has('a/seq')).toBe(false);
    await lastValueFrom(rows$.pipe(appendRows(dict, 'b', { dtype: 'int8', time: false, seq: false })));
    expect([...dict.keys()].filter((key) => key.startsWith('b'))).toEqual(['b']);
  });

  test('continues where an earlier stream ended, even if its arrays were sealed', async () => {
    using dir = new TempDir();
    using dict = MmapDict.open(dir.file('a.mmdpickle'));
    for (let i = 0; i < 3; i += 1) await lastValueFrom(range(i * 4, 4).pipe(appendRows(dict, 'x', { dtype: 'int32' })));
    expect(nested(dict, 'x')).toEqual(Array.from({ length: 12 }, (_, i) => i));
    expect(nested(dict, 'x/seq')).toEqual(Array.from({ length: 12 }, (_, i) => BigInt(i)));
  });

  test('continues after an array that does not grow, which keeps its rows and its fill value', async () => {
    using dir = new TempDir();
    using dict = MmapDict.open(dir.file('a.mmdpickle'));
    const rows = ndarray(Int16Array.of(1, 2, 3, 4)).reshape([2, 2]);
    const mask = ndarray([true, false, false, false]).reshape([2, 2]);
    dict.set('x', rows).set('m', new MaskedArray(rows, mask, { fillValue: 7 }));
    for (const [key, masked] of [
      ['x', false],
      ['m', true],
    ] as const) {
      const append = appendRows<Int16Array>(dict, key, { dtype: 'int16', rowShape: [2], masked });
      await lastValueFrom(from([Int16Array.of(5, 6)]).pipe(append));
    }
    expect(nested(dict, 'x')).toEqual([
      [1, 2],
      [3, 4],
      [5, 6],
    ]);
    const found = dict.get('m') as MaskedArray;
    expect(found.toNested()).toEqual([
      [null, 2],
      [3, 4],
      [5, 6],
    ]);
    expect(found.fillValue).toBe(7);
  });

  test('blank rows fill columns, even where a new one joins old ones', async () => {
    using dir = new TempDir();
    using dict = MmapDict.open(dir.file('a.mmdpickle'));
    await lastValueFrom(range(0, 2).pipe(appendRows(dict, 'x', { dtype: 'int32', time: false, seq: false })));
    await lastValueFrom(range(5, 2).pipe(appendRows(dict, 'x', { dtype: 'int32', time: false })));
    expect(nested(dict, 'x')).toEqual([0, 1, 5, 6]);
    expect(nested(dict, 'x/seq')).toEqual([-1n, -1n, 2n, 3n]);
  });

  test('numbers continue after rows that others appended without numbers', async () => {
    for (const layout of [growable(), chunked({ rows: 2 })]) {
      using dir = new TempDir();
      using dict = MmapDict.open(dir.file('a.mmdpickle'));
      const append = (count: number, seq = true) =>
        lastValueFrom(range(0, count).pipe(appendRows(dict, 'x', { dtype: 'int8', time: false, seq, layout })), {
          defaultValue: undefined,
        });
      await append(3);
      await append(2, false);
      // Blank numbers for the two.
      await append(0);
      expect(await append(1)).toMatchObject({ seq: 5, rows: { start: 5 } });
    }
  });

  test('a frame whose buffer was transferred is refused with a clear message, and earlier frames stay', async () => {
    const frames = (): Uint8Array[] => [1, 2].map((n) => Uint8Array.of(n, n));
    for (const append of [
      (dict: MmapDict) => appendFrames<Uint8Array>(dict, { key: (_frame, i) => `f${i}` }),
      (dict: MmapDict) => appendRows<Uint8Array>(dict, 'x', { dtype: 'uint8', rowShape: [2] }),
    ]) {
      using dir = new TempDir();
      using dict = MmapDict.open(dir.file('a.mmdpickle'));
      const [kept, gone] = frames() as [Uint8Array, Uint8Array];
      structuredClone(gone.buffer, { transfer: [gone.buffer as ArrayBuffer] });
      const stream = lastValueFrom(from([kept, gone]).pipe(append(dict)));
      await expect(stream).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
      const stored = dict.has('f0') ? dict.get('f0') : (dict.get('x') as NDArray).row(0).toNested();
      expect([...(stored as Iterable<number>)]).toEqual([1, 1]);
      expect(dict.has('f1')).toBe(false);
    }
  });

  test('a dropped frame leaves a gap in the numbers of plain rows', async () => {
    using dir = new TempDir();
    using dict = MmapDict.open(dir.file('a.mmdpickle'));
    using blocker = new Blocker(dict.name);
    const row$ = new Subject<number>();
    const append = appendRows<number>(dict, 'x', { dtype: 'int32', queue: { frames: 1 }, policy: 'drop-newest' });
    row$.pipe(append).subscribe();
    row$.next(0);
    blocker.block();
    for (let i = 1; i < 5; i += 1) row$.next(i);
    blocker.release();
    row$.complete();
    await append.idle();
    expect(nested(dict, 'x')).toEqual([0, 1]);
    expect(nested(dict, 'x/seq')).toEqual([0n, 1n]);
    expect(append.stats()).toMatchObject({ received: 5, written: 2, droppedTotal: 3 });
    await lastValueFrom(range(9, 1).pipe(appendRows(dict, 'x', { dtype: 'int32' })));
  });

  test.each([
    ['a row of another size', Float64Array.of(1, 2, 3)],
    ['an array of another shape', ndarray(new Float64Array(2), [2, 1])],
    ['a scalar where a row has axes', 5],
    ['a list that would be broadcast along an axis', [1]],
    ['a list of lists', [[1, 2]]],
  ])('refuses %s', async (_what, row) => {
    using dir = new TempDir();
    using dict = MmapDict.open(dir.file('a.mmdpickle'));
    const bad$ = from([[1, 2], row] as unknown[]).pipe(appendRows(dict, 'x', { dtype: 'float64', rowShape: [2] }));
    await expect(lastValueFrom(bad$)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    expect((dict.get('x') as NDArray).shape).toEqual([1, 2]);
  });

  test('refuses an existing array with other rows, and options without a dtype', async () => {
    using dir = new TempDir();
    using dict = MmapDict.open(dir.file('a.mmdpickle'));
    dict.set('x', new Float32Array(3));
    await expect(lastValueFrom(range(0, 1).pipe(appendRows(dict, 'x', { dtype: 'int8' })))).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      key: 'x',
      message: "'x' already exists as an array of shape [3] of float32: cannot append rows of shape [] of int8",
    });
    await expect(lastValueFrom(range(0, 1).pipe(appendRows(dict, 'y', {} as never)))).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
    });
  });

  test('records become one structured array, or one array per column', async () => {
    using dir = new TempDir();
    using dict = MmapDict.open(dir.file('a.mmdpickle'));
    const schema = { celsius: 'float32', ok: 'bool', axis: { dtype: 'int16', shape: [2] } } as const;
    const record$ = range(0, 3).pipe(map((i) => ({ celsius: i / 2, ok: i > 1, axis: [i, -i], extra: 'ignored' })));
    await lastValueFrom(record$.pipe(appendRows(dict, 's', { schema })));
    await lastValueFrom(record$.pipe(appendRows(dict, 'c', { schema, records: 'columns', batch: { ms: 1000 } })));
    const rows = dict.get('s') as NDArray;
    expect(rows.field('celsius').toNested()).toEqual([0, 0.5, 1]);
    expect(nested(dict, 'c/celsius')).toEqual([0, 0.5, 1]);
    expect(nested(dict, 'c/ok')).toEqual([false, false, true]);
    expect(nested(dict, 'c/axis')).toEqual(
      [
        [0, -0],
        [1, -1],
        [2, -2],
      ].map((row) => row.map((value) => value + 0)),
    );
    expect(rows.field('axis').toNested()).toEqual(nested(dict, 'c/axis'));
  });

  test.each(['structured', 'columns'] as const)('anything a schema accepts is stored (%s)', async (records) => {
    using dir = new TempDir();
    using dict = MmapDict.open(dir.file('a.mmdpickle'));
    const schema = { m: { dtype: 'float32', shape: [2, 2] }, tag: 'S4', raw: 'V2', id: 'uint8', big: 'int64' } as const;
    const rest = { tag: Uint8Array.of(65, 66), raw: Uint8Array.of(1, 2), id: 255, big: -(2n ** 63n) };
    const ms = [
      [1, 2, 3, 4],
      Float32Array.of(1, 2, 3, 4),
      [
        [1, 2],
        [3, 4],
      ],
    ];
    await lastValueFrom(from(ms.map((m) => ({ m, ...rest }))).pipe(appendRows(dict, 'x', { schema, records })));
    const column = (name: string): unknown =>
      records === 'columns' ? nested(dict, `x/${name}`) : (dict.get('x') as NDArray).field(name).toNested();
    expect(column('m')).toEqual(ms.map(() => ms[2]));
    expect(column('id')).toEqual([255, 255, 255]);
    expect(column('big')).toEqual(ms.map(() => rest.big));
    expect(column('tag')).toEqual(ms.map(() => rest.tag));
    expect(column('raw')).toEqual(ms.map(() => rest.raw));
  });

  test.each(['structured', 'columns'] as const)('a schema accepts values without elements (%s)', async (records) => {
    using dir = new TempDir();
    using dict = MmapDict.open(dir.file('a.mmdpickle'));
    const shapes = [[0], [0, 3], [2, 0, 3], [3, 0]];
    for (const [i, shape] of shapes.entries()) {
      const row$ = of({ x: [] }, { x: new Float32Array(0) });
      await lastValueFrom(row$.pipe(appendRows(dict, `${i}`, { schema: { x: { dtype: 'float32', shape } }, records })));
    }
    const column = (i: number): unknown =>
      records === 'columns' ? dict.get(`${i}/x`) : (dict.get(`${i}`) as NDArray).field('x');
    expect(shapes.map((_, i) => (column(i) as NDArray).shape)).toEqual(shapes.map((shape) => [2, ...shape]));
  });

  test.each([
    ['not a number', () => new Date()],
    ['beyond the range of microseconds', () => 2e18],
  ])('a time that is %s is refused', async (_what, time) => {
    using dir = new TempDir();
    using dict = MmapDict.open(dir.file('a.mmdpickle'));
    const row$ = range(0, 1).pipe(appendRows(dict, 'x', { dtype: 'int8', time: time as () => number }));
    await expect(lastValueFrom(row$)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    expect(dict.size).toBe(0);
  });

  test.each([undefined, Promise.resolve({ gain: 1 }), new Map([['gain', 1]])])(
    'the extra fields of a frame must be an object, and not %s',
    async (more) => {
      using dir = new TempDir();
      using dict = MmapDict.open(dir.file('a.mmdpickle'));
      const frame$ = from([new Uint8Array(1)]).pipe(appendFrames(dict, { meta: () => more as never }));
      await expect(lastValueFrom(frame$)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    },
  );

  test.each([
    ['missing', {}],
    ['of another type', { n: 'text' }],
    ['not a whole number', { n: 1.5 }],
    ['null', { n: null }],
    ['out of range', { n: 2 ** 31 }],
  ])('a column that is %s ends the stream with an error that names it', async (_what, record) => {
    using dir = new TempDir();
    using dict = MmapDict.open(dir.file('a.mmdpickle'));
    const bad$ = from([record as object]).pipe(appendRows(dict, 's', { schema: { n: 'int32' } }));
    await expect(lastValueFrom(bad$)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT', key: 'n' });
  });
});

describe('chunked', () => {
  test('fills the last chunk of an earlier stream before it begins another', async () => {
    using dir = new TempDir();
    using dict = MmapDict.open(dir.file('a.mmdpickle'));
    const append = () => appendRows<number>(dict, 'x', { dtype: 'int32', layout: chunked({ rows: 3 }) });
    for (const count of [7, 3]) await lastValueFrom(range(0, count).pipe(append()));
    expect(series(dict, 'x').chunks.map(({ array }) => array.shape[0])).toEqual([3, 3, 3, 1]);
  });

  test('any rows in any batches read back as one series', () => {
    using dir = new TempDir();
    let n = 0;
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 7 }),
        fc.array(fc.integer({ min: 0, max: 12 }), { maxLength: 4 }),
        (rows, runs) => {
          using dict = MmapDict.open(dir.file(`${n++}.mmdpickle`));
          let next = 0;
          for (const count of runs) {
            const layout = chunked({ rows });
            range(next, count)
              .pipe(appendRows(dict, 'k', { dtype: 'int32', layout, batch: { frames: 5, ms: 1000 } }))
              .subscribe();
            next += count;
          }
          if (next === 0) return;
          const whole = series(dict, 'k');
          expect(whole.length).toBe(next);
          expect(whole.rows(0, next).toNested()).toEqual(Array.from({ length: next }, (_, i) => i));
          expect(whole.rows(1, next - 1).toNested()).toEqual(
            Array.from({ length: Math.max(0, next - 2) }, (_, i) => i + 1),
          );
          expect(whole.row(-1).get()).toBe(next - 1);
          expect(whole.chunks.every(({ array }) => (array.shape[0] ?? 0) <= rows)).toBe(true);
          expect(series(dict, 'k/seq').rows(0, next).toNested()).toEqual(
            Array.from({ length: next }, (_, i) => BigInt(i)),
          );
        },
      ),
      { numRuns: 30 },
    );
  });

  test('a series keeps no reserve at the end of the file, and continues after its highest number', async () => {
    using dir = new TempDir();
    using dict = MmapDict.open(dir.file('a.mmdpickle'));
    const append = () => appendRows<number>(dict, 'x', { dtype: 'int32', layout: chunked({ rows: 1e6 }) });
    await lastValueFrom(range(0, 2).pipe(append()));
    expect(dict.getMeta('x/seq/000000000')?.capacity ?? 0).toBeLessThan(1e6);
    (dict.get('x/seq/000000000') as NDArray).set(1, 9n);
    expect(await lastValueFrom(from([5]).pipe(append()))).toMatchObject({ seq: 10, rows: { start: 2 } });
  });

  test('dropped frames are also hidden in a series of masked rows', async () => {
    using dir = new TempDir();
    using dict = MmapDict.open(dir.file('a.mmdpickle'));
    using blocker = new Blocker(dict.name);
    const row$ = new Subject<number>();
    const options = {
      masked: true,
      layout: chunked({ rows: 2 }),
      queue: { frames: 1 },
      policy: 'drop-newest',
    } as const;
    const append = appendRows<number>(dict, 'x', { dtype: 'int32', ...options });
    row$.pipe(append).subscribe();
    row$.next(1);
    blocker.block();
    for (let i = 2; i < 5; i += 1) row$.next(i);
    blocker.release();
    row$.complete();
    await append.idle();
    const whole = series(dict, 'x');
    expect(whole.rows(0, 4).toNested()).toEqual([1, 2, null, null]);
    expect(whole.rows(3, 4).toNested()).toEqual([null]);
    expect(whole.row(2).toNested()).toBe(null);
    expect(whole.rows(0, 2).toNested()).toEqual([1, 2]);
  });

  test('a stream whose series others extend checks only the new chunks, not all', () => {
    const ROUNDS = 40;
    using dir = new TempDir();
    using dict = MmapDict.open(dir.file('a.mmdpickle'));
    const streams = [1, 2].map(() => {
      const row$ = new Subject<number>();
      const told: (number | undefined)[] = [];
      const options = { dtype: 'int32', layout: chunked({ rows: 1 }), time: false, seq: false } as const;
      const done = row$.pipe(appendRows<number>(dict, 'x', options)).subscribe((r) => told.push(r.rows?.start));
      return { row$, told, done };
    });
    const asked = vi.spyOn(dict, 'getMeta');
    for (let i = 0; i < ROUNDS; i += 1) for (const { row$ } of streams) row$.next(i);
    // In each commit the last chunk and the new ones: the other stream's, and this stream's own before it.
    expect(asked.mock.calls.length).toBeLessThan(2 * ROUNDS * 5);
    asked.mockRestore();
    for (const { done } of streams) done.unsubscribe();
    expect(streams.map(({ told }) => told)).toEqual(
      [0, 1].map((first) => Array.from({ length: ROUNDS }, (_, i) => first + 2 * i)),
    );
  });

  test('rows of a series are found without looking at all of its chunks', () => {
    const CHUNKS = 300;
    using dir = new TempDir();
    using dict = MmapDict.open(dir.file('a.mmdpickle'));
    for (let i = 0; i < CHUNKS; i += 1) dict.set(`x/${String(i).padStart(9, '0')}`, new Int32Array([2 * i, 2 * i + 1]));
    const whole = series(dict, 'x');
    let looks = 0;
    const counted = new Proxy(whole.chunks, {
      get(target, name) {
        if (Number.isInteger(Number(name))) looks += 1;
        return Reflect.get(target, name) as unknown;
      },
    });
    Object.defineProperty(whole, 'chunks', { value: counted });
    const ROWS = [0, 1, CHUNKS, 2 * CHUNKS - 1];
    expect(ROWS.map((row) => whole.row(row).get())).toEqual(ROWS);
    expect(ROWS.map((row) => whole.rows(row, row + 2).toNested())).toEqual([[0, 1], [1, 2], [300, 301], [599]]);
    expect(looks).toBeLessThan(2 * ROWS.length * 15);
  });

  test('a missing series, or a row out of range, is a typed error', () => {
    using dir = new TempDir();
    using dict = MmapDict.open(dir.file('a.mmdpickle'));
    expect(() => series(dict, 'k')).toThrow(expect.objectContaining({ code: 'NOT_FOUND' }));
    range(0, 3)
      .pipe(appendRows(dict, 'k', { dtype: 'int32', layout: chunked({ rows: 2 }) }))
      .subscribe();
    expect(() => series(dict, 'k').row(3)).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }));
    expect(() => chunked({ rows: 0 })).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }));
  });

  test.each(['between streams', 'within a stream'])(
    'does not overwrite later chunks if the first was removed %s',
    (when) => {
      using dir = new TempDir();
      using dict = MmapDict.open(dir.file('a.mmdpickle'));
      const options = { dtype: 'int8', layout: chunked({ rows: 2 }), time: false, seq: false } as const;
      const [row$, more$] = [new Subject<number>(), new Subject<number>()];
      const ended: unknown[] = [];
      const append = appendRows(dict, 'k', { ...options, batch: { frames: 4, ms: 60_000 } });
      row$.pipe(append).subscribe({ error: ({ code, key }) => ended.push([code, key]) });
      for (let i = 0; i < 4; i += 1) row$.next(i);
      if (when === 'between streams') row$.complete();
      dict.delete('k/000000000');
      if (when === 'between streams')
        more$.pipe(append).subscribe({ error: ({ code, key }) => ended.push([code, key]) });
      for (let i = 4; i < 8; i += 1) (when === 'within a stream' ? row$ : more$).next(i);
      expect(ended).toEqual([['NOT_FOUND', 'k/000000000']]);
      expect([...dict.keys()].map((key) => [key, nested(dict, key)])).toEqual([['k/000000001', [2, 3]]]);
    },
  );
});

describe('fillArray', () => {
  test('allocates the disk space of an array in Fortran order at once, since its planes are stored page by page', () => {
    using dir = new TempDir();
    using dict = MmapDict.open(dir.file('a.mmdpickle'));
    // One element of each plane in every eighth 4 KiB page: the planes that arrive take less than the whole array.
    const stub = new EmptyNDArray([2 ** 15, 2 ** 7], 'uint8', { order: 'F' });
    range(0, 1)
      .pipe(
        map(() => new Uint8Array(2 ** 7).fill(7)),
        fillArray(dict, 'cube', stub),
      )
      .subscribe();
    expect(statSync(dict.name).blocks * 512).toBeGreaterThanOrEqual(2 ** 22);
    expect((dict.get('cube') as NDArray).row(0).sum()).toBe(7n * 2n ** 7n);
  });

  test('continues after the planes already written, found by their times if there are no numbers', async () => {
    using dir = new TempDir();
    using dict = MmapDict.open(dir.file('a.mmdpickle'));
    for (const start of [1, 3]) {
      const plane$ = range(start, 2).pipe(map((i) => Uint8Array.of(i)));
      await lastValueFrom(plane$.pipe(fillArray(dict, 'c', new EmptyNDArray([4, 1], 'uint8'), { seq: false })));
    }
    expect(nested(dict, 'c')).toEqual([[1], [2], [3], [4]]);
  });

  test('refuses an existing array of another dtype or shape, or without the mask', async () => {
    using dir = new TempDir();
    using dict = MmapDict.open(dir.file('a.mmdpickle'));
    dict.set('cube', new EmptyNDArray([2, 2], 'uint8'));
    for (const stub of [
      new EmptyNDArray([2, 2], 'float32'),
      new EmptyNDArray([3, 2], 'uint8'),
      new EmptyMaskedArray([2, 2], 'uint8'),
    ]) {
      const plane$ = from([new Uint8Array(2).fill(1)]).pipe(fillArray(dict, 'cube', stub));
      await expect(lastValueFrom(plane$)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT', key: 'cube' });
    }
    expect((dict.get('cube') as NDArray).sum()).toBe(0n);
  });

  const plane = (i: number): Uint16Array => new Uint16Array(4).fill(i + 1);

  test('plain fills plane by plane, and ends with an error on one frame too many', async () => {
    using dir = new TempDir();
    using dict = MmapDict.open(dir.file('a.mmdpickle'));
    const fill = fillArray<Uint16Array>(dict, 'cube', new EmptyNDArray([3, 2, 2], 'uint16'));
    await expect(lastValueFrom(range(0, 5).pipe(map(plane), fill))).rejects.toMatchObject({
      code: 'LIMIT_EXCEEDED',
      maximum: 3,
    });
    expect(nested(dict, 'cube')).toEqual(
      [1, 2, 3].map((v) => [
        [v, v],
        [v, v],
      ]),
    );
    expect(nested(dict, 'cube/seq')).toEqual([0n, 1n, 2n]);
  });

  test('stop completes with the last plane, and stops the source', () => {
    using dir = new TempDir();
    using dict = MmapDict.open(dir.file('a.mmdpickle'));
    const scheduler = new TestScheduler((actual, expected) => expect(actual).toEqual(expected));
    scheduler.run(({ hot, expectObservable, expectSubscriptions }) => {
      const frame$ = hot('-a-b-c-d-e-|');
      const receipt$ = frame$.pipe(
        map((_, i) => plane(i)),
        fillArray(dict, 'cube', new EmptyNDArray([3, 4], 'uint16'), { mode: 'stop' }),
        map(({ rows }) => String(rows?.start)),
      );
      expectObservable(receipt$).toBe('-a-b-(c|)', { a: '0', b: '1', c: '2' });
      expectSubscriptions(frame$.subscriptions).toBe('^----!');
    });
    expect(dict.get('cube')).toMatchObject({ shape: [3, 4] });
    const receipts: Receipt[] = [];
    const again$ = range(0, 5).pipe(map(plane), fillArray(dict, 'cube', undefined, { mode: 'stop' }));
    again$.subscribe((receipt) => receipts.push(receipt));
    expect(receipts).toEqual([]);
  });

  test('ring continues at the first plane, and the companion tells which frame is where', async () => {
    using dir = new TempDir();
    using dict = MmapDict.open(dir.file('a.mmdpickle'));
    const fill = fillArray<Uint16Array>(dict, 'ring', new EmptyNDArray([3, 4], 'uint16'), { mode: 'ring' });
    const receipts = await lastValueFrom(range(0, 5).pipe(map(plane), fill, toArray()));
    expect(receipts.map(({ rows }) => rows?.start)).toEqual([0, 1, 2, 0, 1]);
    expect((nested(dict, 'ring') as number[][]).map(([first]) => first)).toEqual([4, 5, 3]);
    expect(nested(dict, 'ring/seq')).toEqual([0n, 1n, 2n, 3n, 4n]);
  });

  test("planes are written to the array's location, even after others moved it in place", () => {
    using dir = new TempDir();
    using dict = MmapDict.open(dir.file('a.mmdpickle'));
    dict.set('before', new Uint8Array(5000));
    const plane$ = new Subject<Uint8Array>();
    plane$.pipe(fillArray(dict, 'cube', new EmptyNDArray([3, 2], 'uint8'))).subscribe();
    plane$.next(Uint8Array.of(1, 2));
    dict.set('after', new Uint8Array(3000)).delete('before');
    using other = MmapDict.open(dict.name);
    other.vacuum({ inPlace: true });
    plane$.next(Uint8Array.of(3, 4));
    expect((dict.get('cube') as NDArray).toNested()).toEqual([
      [1, 2],
      [3, 4],
      [0, 0],
    ]);
    expect(dict.get('after')).toEqual(new Uint8Array(3000));
    expect(dict.fsck().findings).toEqual([]);
  });

  test('planes of dropped frames stay hidden in a masked array', async () => {
    using dir = new TempDir();
    using dict = MmapDict.open(dir.file('a.mmdpickle'));
    using blocker = new Blocker(dict.name);
    const stub = new EmptyMaskedArray([5, 2], 'int16', { masked: true });
    const frame$ = new Subject<Int16Array>();
    const fill = fillArray<Int16Array>(dict, 'm', stub, { queue: { frames: 1 }, policy: 'drop-newest' });
    frame$.pipe(fill).subscribe();
    frame$.next(Int16Array.of(0, 0));
    blocker.block();
    for (let i = 1; i < 4; i += 1) frame$.next(Int16Array.of(i, i));
    blocker.release();
    await new Promise((resolve) => setTimeout(resolve, 20));
    frame$.next(Int16Array.of(4, 4));
    frame$.complete();
    await fill.idle();
    const array = dict.get('m') as MaskedArray;
    expect(array.mask.toNested()).toEqual([false, false, true, true, false].map((hidden) => [hidden, hidden]));
    expect(array.data.row(4).toNested()).toEqual([4, 4]);
  });

  test('refuses a stub without planes, and an array of another shape', async () => {
    using dir = new TempDir();
    using dict = MmapDict.open(dir.file('a.mmdpickle'));
    dict.set('x', new Float32Array(3));
    for (const stub of [
      new EmptyNDArray([], 'int8'),
      new EmptyNDArray([0, 2], 'int8'),
      new EmptyNDArray([3, 2], 'int8'),
    ]) {
      const filled$ = from([Int8Array.of(1, 2)]).pipe(fillArray(dict, 'x', stub));
      await expect(lastValueFrom(filled$)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    }
  });
});

describe('masked rows', () => {
  test.each([0, 2])(
    'belong to their frames even after a stream that could write none (rows before: %i)',
    async (rows) => {
      using dir = new TempDir();
      using dict = MmapDict.open(dir.file('a.mmdpickle'));
      using other = MmapDict.open(dict.name);
      const append = appendRows<number>(dict, 'k', {
        dtype: 'int32',
        masked: true,
        lockTimeout: 1,
        retry: { count: 0 },
      });
      if (rows > 0) await lastValueFrom(range(0, rows).pipe(append));
      other.core.begin();
      await expect(lastValueFrom(range(rows, 3).pipe(append))).rejects.toMatchObject({ code: 'LOCKED' });
      other.core.rollback();
      expect(await lastValueFrom(from([rows + 3]).pipe(append))).toMatchObject({
        seq: rows + 3,
        rows: { start: rows + 3 },
      });
      const expected = [...Array(rows).keys(), null, null, null, rows + 3];
      expect((dict.get('k') as MaskedArray).toNested()).toEqual(expected);
    },
  );

  test('many frames dropped at once are hidden, however long rows are', async () => {
    using dir = new TempDir();
    using dict = MmapDict.open(dir.file('a.mmdpickle'));
    using blocker = new Blocker(dict.name);
    const row$ = new Subject<Uint8Array>();
    const append = appendRows<Uint8Array>(dict, 'x', {
      dtype: 'uint8',
      rowShape: [2 ** 19],
      masked: true,
      queue: { frames: 2 },
      policy: 'drop-oldest',
    });
    row$.pipe(append).subscribe();
    blocker.block();
    for (let i = 0; i < 7; i += 1) row$.next(new Uint8Array(2 ** 19).fill(i));
    blocker.release();
    row$.complete();
    await append.idle();
    const array = dict.get('x') as MaskedArray;
    expect(array.shape).toEqual([7, 2 ** 19]);
    const first = Array.from({ length: 7 }, (_, i) => array.get(i, 0));
    expect(first).toEqual([0, null, null, null, null, null, 6]);
  });

  test('row i is frame i: a dropped frame is a hidden row', async () => {
    using dir = new TempDir();
    using dict = MmapDict.open(dir.file('a.mmdpickle'));
    using blocker = new Blocker(dict.name);
    const row$ = new Subject<number>();
    const append = appendRows<number>(dict, 'x', {
      dtype: 'int32',
      masked: true,
      queue: { frames: 2 },
      policy: 'drop-oldest',
    });
    row$.pipe(append).subscribe();
    row$.next(0);
    blocker.block();
    for (let i = 1; i < 6; i += 1) row$.next(i);
    blocker.release();
    row$.complete();
    await append.idle();
    const array = dict.get('x') as MaskedArray;
    expect(Array.from({ length: 6 }, (_, i) => array.get(i))).toEqual([0, 1, null, null, null, 5]);
    expect(nested(dict, 'x/seq')).toEqual([0n, 1n, 2n, 3n, 4n, 5n]);
  });

  test('a stream that ends hides no frame that waits in another stream of its operator', async () => {
    using dir = new TempDir();
    using dict = MmapDict.open(dir.file('a.mmdpickle'));
    const streams = [new Subject<number>(), new Subject<number>()];
    const append = appendRows<number>(dict, 'x', { dtype: 'int32', masked: true, batch: { ms: 60_000 } });
    for (const stream of streams) stream.pipe(append).subscribe();
    for (const [i, stream] of streams.entries()) stream.next(i);
    for (const stream of streams) stream.complete();
    await append.idle();
    const array = dict.get('x') as MaskedArray;
    expect(Array.from({ length: array.shape[0]! }, (_, i) => array.get(i))).toEqual([0, 1]);
  });
});

test('frames of masked arrays keep their mask', async () => {
  using dir = new TempDir();
  using dict = MmapDict.open(dir.file('a.mmdpickle'));
  // Hidden values need not be of the array's type.
  const frame = new MaskedArray(ndarray(Float64Array.of(1, Number.NaN)), ndarray([false, true]));
  const cell = frame.row(1);
  const run = (operator: OperatorFunction<MaskedArray, unknown>, item = frame) =>
    lastValueFrom(from([item]).pipe(operator));
  await run(appendFrames(dict, { key: 'm/' }));
  await run(appendRows(dict, 'rows', { dtype: 'int8', rowShape: [2], masked: true }));
  await run(appendRows(dict, 'cells', { dtype: 'int8', masked: true }), cell);
  await run(fillArray(dict, 'planes', new EmptyMaskedArray([1, 2], 'int8')));
  const values = ['m/000000000', 'rows', 'cells', 'planes'].map((key) => (dict.get(key) as MaskedArray).toNested());
  expect(values).toEqual([[1, null], [[1, null]], [null], [[1, null]]]);
  for (const [operator, item] of [
    [appendRows<MaskedArray>(dict, 'x', { dtype: 'int8', rowShape: [2] }), frame],
    [appendRows<MaskedArray>(dict, 'x', { dtype: 'int8' }), cell],
    [fillArray<MaskedArray>(dict, 'x', new EmptyNDArray([1, 2], 'int8')), frame],
  ] as const) {
    await expect(run(operator, item)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT', found: 'a masked array' });
  }
  expect(dict.has('x')).toBe(false);
});

test.each(['S2', 'V2'])('bytes are one element of %s, not a list of them that would be broadcast', async (dtype) => {
  using dir = new TempDir();
  using dict = MmapDict.open(dir.file('a.mmdpickle'));
  const bytes = Uint8Array.of(65, 66);
  const column = { x: { dtype, shape: [2] } };
  const writes: [unknown, OperatorFunction<unknown, Receipt>][] = [
    [bytes, appendRows(dict, 'k', { dtype, rowShape: [2] })],
    [bytes, fillArray(dict, 'k', new EmptyNDArray([1, 2], dtype))],
    [{ x: bytes }, appendRows(dict, 'k', { schema: column })],
    [{ x: bytes }, appendRows(dict, 'k', { schema: column, records: 'columns' })],
  ];
  for (const [frame, write] of writes)
    await expect(lastValueFrom(of(frame).pipe(write))).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  expect(dict.size).toBe(0);
  await lastValueFrom(of({ x: [bytes, bytes] }).pipe(appendRows(dict, 'k', { schema: column })));
  expect((dict.get('k') as NDArray).get(0)).toEqual({ x: [bytes, bytes] });
});

test('an array dtype is refused before a row arrives', async () => {
  using dir = new TempDir();
  using dict = MmapDict.open(dir.file('a.mmdpickle'));
  const write = appendRows(dict, 'k', { dtype: ['float32', [2]] });
  await expect(lastValueFrom(NEVER.pipe(write))).rejects.toMatchObject({ code: 'UNSUPPORTED_DTYPE' });
});

test.each(['structured', 'columns'] as const)('%s records may inherit their fields', async (records) => {
  using dir = new TempDir();
  using dict = MmapDict.open(dir.file('a.mmdpickle'));
  class Reading {
    get celsius(): number {
      return 21.5;
    }
  }
  await lastValueFrom(of(new Reading()).pipe(appendRows(dict, 'k', { schema: { celsius: 'float32' }, records })));
  expect(dict.keys().next().value).toBe(records === 'columns' ? 'k/celsius' : 'k');
});
