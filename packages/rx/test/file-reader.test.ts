/** Polls of a file that others change, write by write. */
import {
  type GrowableArray,
  isMmdError,
  type GrowableMaskedArray as MaskedRows,
  MmapDict,
  MmdError,
} from '@mmdpickle/core';
import { MemoryDisk } from '@mmdpickle/core/storage';
import { Playback, preceded, Recording } from '@mmdpickle/core/testing';
import { GrowableMaskedArray, GrowableNDArray } from '@mmdpickle/stubs';
import fc from 'fast-check';
import { beforeEach, describe, expect, test, vi } from 'vitest';
import type { ChangeDraft } from '../src/watch/change.ts';
import { FileReader, type SweepPace } from '../src/watch/file-reader.ts';

const RUNS = process.env.MMDPICKLE_LONG === '1' ? 20_000 : 120;
const ROWS = 'rows';
/** Further growable arrays. */
const MORE = 3;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['Date'] });
  return () => void vi.useRealTimers();
});

const fresh = (): GrowableNDArray => new GrowableNDArray([], 'float64', { capacity: 4 });

/** What others do: `key` is an existing one, or another one. */
const CHANGES: Readonly<Record<string, (dict: MmapDict, key: string) => unknown>> = {
  set: (dict, key) => dict.set(key, 1),
  delete: (dict, key) => dict.delete(key),
  batch: (dict, key) => dict.batch(() => dict.set(`${key}!`, 1).set('both', 2).delete(key)),
  rows: (dict) => (dict.get(ROWS) as GrowableArray).append(new Float64Array(5)),
  'many rows': (dict) => (dict.get(ROWS) as GrowableArray).append(new Float64Array(700)),
  'more rows': (dict, key) => (dict.get(`more ${Number(key.slice(4)) % MORE}`) as GrowableArray).append([1, 2]),
  'another array': (dict, key) => dict.set(`more ${Number(key.slice(4)) % MORE}`, fresh()),
  'new rows': (dict) => dict.set(ROWS, fresh()),
  seal: (dict) => (dict.get(ROWS) as GrowableArray).seal(),
  reclaim: (dict) => dict.reclaim(),
  'vacuum in place': (dict) => dict.vacuum({ inPlace: true }),
};

const kinds = fc.oneof(
  fc.constantFrom(...Object.keys(CHANGES)),
  fc.constantFrom('rows', 'many rows', 'more rows', 'set', 'seal', 'new rows'),
);

/** An array that is first seen while its reserve is trimmed, and does not parse as one at that moment. */
const MET_WHILE_SEALED: [
  changes: [string, number][],
  looks: boolean[],
  index: number,
  count: number,
  strides: number[],
  atOnce: number,
  pace: SweepPace | undefined,
  failing: number[],
] = [
  [
    ['reclaim', 0],
    ['seal', 0],
    ['new rows', 0],
    ['rows', 0],
    ['rows', 0],
    ['set', 0],
    ['many rows', 0],
    ['delete', 0],
    ['delete', 1],
    ['seal', 0],
  ],
  [false, false],
  0,
  66,
  [0, 0, 3, 0],
  1024,
  undefined,
  [],
];

/** Each poll checks whether one more entry died. */
const ONE_BY_ONE: SweepPace = { always: 0, sliceMs: -1, step: 1, pauseMs: 0, share: 0, soonShare: 0 };

/** What the changes report: keys, and rows for a growable array. */
class Told {
  readonly rows = new Map<string, number>();
  #seq = 0;

  take(changes: readonly ChangeDraft[]): void {
    for (const change of changes) {
      expect(change.seq, 'the number of a change').toBeGreaterThan(this.#seq);
      this.#seq = change.seq;
      const { rows } = this;
      if (change.kind === 'file-replaced') rows.clear();
      else if (change.kind === 'removed') expect(rows.delete(change.key), `${change.key} removed`).toBe(true);
      else if (change.kind === 'appended') {
        expect(change.rows.start, `${change.key} appended`).toBe(rows.get(change.key));
        rows.set(change.key, change.rows.end);
      } else if (change.kind !== 'vacuumed') {
        expect(rows.has(change.key), `${change.key} ${change.kind}`).toBe(change.kind === 'replaced');
        rows.set(change.key, 0);
      }
    }
  }

  get text(): string {
    return [...this.rows]
      .map(([key, rows]) => `${key}: ${rows}`)
      .sort()
      .join();
  }
}

test('polls of a file that is changed write by write report every change once, even if reads fail, and end with its contents', () => {
  let met = 0;
  let failed = 0;
  fc.assert(
    fc.property(
      fc.array(fc.tuple(kinds, fc.nat(70)), { minLength: 1, maxLength: 10 }),
      fc.array(fc.boolean(), { minLength: 1, maxLength: 12 }),
      fc.constantFrom(0, 16_384),
      fc.constantFrom(3, 66),
      fc.array(fc.nat(7), { minLength: 1, maxLength: 20 }),
      fc.constantFrom(1, 1024),
      fc.constantFrom(undefined, ONE_BY_ONE),
      fc.array(fc.nat(80), { maxLength: 6 }),
      (changes, looks, standingIndex, count, strides, atOnce, pace, failing) => {
        const disk = new MemoryDisk();
        {
          using dict = MmapDict.over(disk.open('dict', 'create-new'), { standingIndex });
          for (let i = 0; i < count; i += 1) dict.set(`key ${i}`, i);
          for (let i = 0; i < MORE; i += 1) dict.set(`more ${i}`, fresh());
          dict.set(ROWS, fresh());
        }
        const recording = new Recording(disk, 'dict');
        const writer = MmapDict.over(recording.open(), { standingIndex });
        for (const [kind, number] of changes) {
          CHANGES[kind]!(writer, `key ${number}`);
          recording.done();
        }
        const playback = new Playback(recording.images);
        let asked = 0;
        const file = playback.open(() => {
          const stride = strides[asked++ % strides.length]!;
          return stride <= 3 ? stride : 0;
        });
        const due = [...failing];
        let calls = -Infinity;
        const flawed = preceded(file, ['read', 'loadI32', 'size'], () => {
          if (calls++ !== due[0]) return;
          due.shift();
          calls = 0;
          throw new MmdError('IO', 'EIO: the disk fails', { errno: 'EIO' });
        });
        const reader = new FileReader(flawed, atOnce, pace);
        const told = new Told();
        told.take(reader.replay());
        calls = 0;
        const look = (): ChangeDraft[] => {
          try {
            return reader.look();
          } catch (error) {
            if (!isMmdError(error, 'IO')) throw error;
            failed += 1;
            // A watcher reports at once what such a look found; the next look would, too.
            return failed % 2 === 0 ? reader.takeNews() : [];
          }
        };
        for (const later of looks) {
          if (later) vi.setSystemTime(Date.now() + 1);
          const { shown } = playback;
          told.take(playback.during(look));
          if (playback.shown > shown) met += 1;
        }
        playback.show(recording.images.length - 1);
        for (let left = due.length; left > 0; left -= 1) told.take(look());
        calls = -Infinity;
        // A poll may leave entries that died during it, and some arrays whose turn had not come, to the next one.
        for (let i = 0; i < 4 + MORE; i += 1) {
          told.take(reader.look());
          while (reader.sweeping) told.take(reader.look());
        }
        const there = [...writer].map(
          ([key, value]) => `${key}: ${typeof value === 'number' ? 0 : (value as GrowableArray).shape[0]}`,
        );
        expect(told.text).toBe(there.sort().join());
      },
    ),
    { numRuns: RUNS, examples: [MET_WHILE_SEALED] },
  );
  expect(met).toBeGreaterThan(RUNS);
  expect(failed).toBeGreaterThan(RUNS / 2);
});

test('in a large dict each poll checks only some entries, and a dead one is reported when its turn comes', () => {
  const disk = new MemoryDisk();
  const dict = MmapDict.over(disk.open('dict', 'create-new'));
  for (let i = 0; i < 50; i += 1) dict.set(`key ${i}`, i);
  const reader = new FileReader(disk.open('dict', 'r'), undefined, { ...ONE_BY_ONE, step: 10 });
  reader.skip();
  dict.delete('key 25');
  const looks: string[][] = [];
  do looks.push(reader.look().map((change) => ('key' in change ? `${change.key} ${change.kind}` : change.kind)));
  while (reader.sweeping);
  expect(looks).toEqual([[], [], ['key 25 removed'], [], [], []]);
  // A reader that resumes from what another watcher knew reports it at once.
  dict.delete('key 7');
  const next = new FileReader(disk.open('dict', 'r'), undefined, { ...ONE_BY_ONE, step: 10 });
  expect(next.goOn(reader.ledger, reader.commitNumber).map(({ kind }) => kind)).toEqual(['removed']);
});

describe('a deletion that is not searched for at once, because the last search has only just ended', () => {
  /** A reader that knows the entries, and whose searches take a second by its clock. */
  const tired = () => {
    const clock = { now: 0 };
    vi.spyOn(performance, 'now').mockImplementation(() => (clock.now += 500));
    const disk = new MemoryDisk();
    const dict = MmapDict.over(disk.open('dict', 'create-new'));
    for (let i = 0; i < 9; i += 1) dict.set(`key ${i}`, i);
    const reader = new FileReader(disk.open('dict', 'r'), undefined, { ...ONE_BY_ONE, step: 99, share: 99 });
    reader.skip();
    dict.delete('key 1');
    expect(reader.look().map(({ kind }) => kind)).toEqual(['removed']);
    dict.delete('key 2');
    dict.set('new', 1);
    expect(reader.look().map(({ kind }) => kind)).toEqual(['added']);
    const next = (key: string): void => void dict.set(key, 1);
    return { clock, disk, reader, next };
  };
  beforeEach(() => () => void vi.restoreAllMocks());

  test('is reported later, even if others commit exactly once between any two looks', () => {
    const { clock, reader, next } = tired();
    next('next');
    expect(reader.look().map(({ kind }) => kind)).toEqual(['added']);
    clock.now += 1_000_000;
    next('last');
    expect(reader.look().map(({ kind }) => kind)).toEqual(['added', 'removed']);
  });

  test('is reported at the last look, even if that finds other changes, and to a reader that resumes', () => {
    const { reader, next } = tired();
    next('next');
    expect(reader.look(true).map(({ kind }) => kind)).toEqual(['added', 'removed']);
    const other = tired();
    other.next('next');
    const heir = new FileReader(other.disk.open('dict', 'r'));
    const changes = heir.goOn(other.reader.ledger, other.reader.commitNumber);
    expect(changes.map(({ kind }) => kind)).toEqual(['added', 'removed']);
  });
});

test('a deletion is reported in a file that ends with an index, however short the commits are', () => {
  const disk = new MemoryDisk();
  {
    using dict = MmapDict.over(disk.open('dict', 'create-new'));
    for (let i = 0; i < 70; i += 1) dict.set(`key ${i}`, i);
  }
  const reader = new FileReader(disk.open('dict', 'r'));
  reader.skip();
  MmapDict.over(disk.open('dict', 'r+')).delete('key 7');
  expect(reader.look().map(({ kind }) => kind)).toEqual(['removed']);
});

test('rows of a masked array are reported where it is, and after it moves', () => {
  const disk = new MemoryDisk();
  MmapDict.over(disk.open('dict', 'create-new')).set('first', 1).close();
  const reader = new FileReader(disk.open('dict', 'r'));
  reader.skip();
  const dict = MmapDict.over(disk.open('dict', 'r+'));
  const told: unknown[] = [];
  const look = (): void => {
    for (const change of reader.look()) told.push(change.kind === 'appended' ? change.rows : change.kind);
  };
  dict.set(ROWS, new GrowableMaskedArray([], 'float64', { capacity: 4 }));
  const rows = dict.get(ROWS) as MaskedRows;
  rows.append([1, 2]);
  look();
  rows.append([3]);
  look();
  rows.append([4, 5, 6, 7]);
  look();
  expect(told).toEqual(['added', { start: 0, end: 2 }, { start: 2, end: 3 }, { start: 3, end: 7 }]);
});

test('a file is reported as a whole, with the rows of arrays that outgrew their place once', () => {
  const disk = new MemoryDisk();
  const dict = MmapDict.over(disk.open('dict', 'create-new'));
  for (let i = 0; i < 20; i += 1) dict.set(`array ${i}`, fresh()).set(`behind ${i}`, i);
  for (let i = 0; i < 20; i += 1) (dict.get(`array ${i}`) as GrowableArray).append(new Float64Array(3 + i).fill(i));
  const told = new FileReader(disk.open('dict', 'r')).replay();
  const shown = told.map((change) =>
    change.kind === 'appended' ? `${change.key}: ${change.rows.start} to ${change.rows.end}` : JSON.stringify(change),
  );
  const rows = Array.from({ length: 20 }, (_, i) => `array ${i}: 0 to ${3 + i}`);
  expect(shown.filter((change) => !change.startsWith('{'))).toEqual(rows);
  expect(told.filter(({ kind }) => kind === 'added')).toHaveLength(40);
  expect(told).toHaveLength(60);
});

test('rows of an array that outgrows its place during a poll are reported once, as rows', () => {
  for (let nth = 0, calls = Infinity; nth < calls; nth += 1) {
    const disk = new MemoryDisk();
    const dict = MmapDict.over(disk.open('dict', 'create-new')).set(ROWS, fresh()).set('behind', 1);
    const rows = dict.get(ROWS) as GrowableArray;
    rows.append([1, 2, 3]);
    let grows = (): void => {};
    const file = disk.open('dict', 'r');
    const reader = new FileReader(
      new Proxy(file, {
        get(_file, name) {
          const value: unknown = Reflect.get(file, name, file);
          if (typeof value !== 'function') return value;
          return (...args: unknown[]): unknown => {
            grows();
            return Reflect.apply(value, file, args);
          };
        },
      }),
    );
    reader.skip();
    rows.append([4]);
    calls = 0;
    grows = () => void (calls++ === nth && rows.append([5, 6]));
    const told = reader.look();
    grows = () => {};
    told.push(...reader.look(), ...reader.look());
    let end = 3;
    for (const change of told) {
      expect(change).toMatchObject({ kind: 'appended', rows: { start: end } });
      if (change.kind === 'appended') end = change.rows.end;
    }
    expect(end).toBe(nth < calls ? 6 : 4);
  }
});

describe('thousands of growable arrays', () => {
  const disks = [100, 2500].map((count) => {
    const disk = new MemoryDisk();
    using dict = MmapDict.over(disk.open('dict', 'create-new'));
    dict.batch(() => {
      for (let i = 0; i < count; i += 1) dict.set(`array ${i}`, fresh());
    });
    return { count, disk };
  });

  test.each(disks)(
    'a poll checks $count arrays with few calls, and each of them within three polls',
    ({ count, disk }) => {
      let calls = 0;
      const file = new Proxy(disk.open('dict', 'r'), {
        get(target, name) {
          const value: unknown = Reflect.get(target, name, target);
          if (typeof value !== 'function') return value;
          return (...args: unknown[]): unknown => {
            calls += 1;
            return Reflect.apply(value, target, args);
          };
        },
      });
      const reader = new FileReader(file);
      reader.skip();
      using dict = MmapDict.over(disk.open('dict', 'r+'));
      const append = (i: number): void => void (dict.get(`array ${i}`) as GrowableArray).append([1]);
      // The locations of the counts are determined at an array's first turn.
      append(0);
      for (let i = 0; i < 3; i += 1) reader.look();
      for (let i = 0; i < count; i += 37) {
        append(i);
        const start = calls;
        const told = [reader.look(), reader.look(), reader.look()].flat();
        expect(calls - start).toBeLessThan(300);
        const end = (dict.get(`array ${i}`) as GrowableArray).shape[0];
        expect(told).toMatchObject([{ kind: 'appended', key: `array ${i}`, rows: { start: i === 0 ? 1 : 0, end } }]);
      }
    },
  );

  test.each(['removed', 'replaced'])(
    'rows of an array that is %s before its turn are reported before that change',
    (kind) => {
      const disk = new MemoryDisk();
      using dict = MmapDict.over(disk.open('dict', 'create-new'));
      for (let i = 0; i < 20; i += 1) dict.set(`array ${i}`, fresh());
      const reader = new FileReader(disk.open('dict', 'r'), 2);
      reader.skip();
      (dict.get('array 17') as GrowableArray).append([1, 2]);
      expect(reader.look()).toEqual([]);
      if (kind === 'removed') dict.delete('array 17');
      else dict.set('array 17', 1);
      expect(reader.look()).toMatchObject([
        { kind: 'appended', key: 'array 17', rows: { start: 0, end: 2 } },
        { kind, key: 'array 17' },
      ]);
    },
  );
});

test('keys with lone surrogates are read with the entries, not each by a scan of all', () => {
  const KEYS = 300;
  const disk = new MemoryDisk();
  const dict = MmapDict.over(disk.open('dict', 'create-new'));
  for (let i = 0; i < KEYS; i += 1) dict.set(`\ud800 ${i}`, i);
  const file = disk.open('dict', 'r');
  const reads = vi.spyOn(file, 'read');
  const told = new FileReader(file).replay();
  expect(told.map((change) => ('key' in change ? change.key : change.kind))).toEqual([...dict.keys()]);
  expect(reads.mock.calls.length).toBeLessThan(KEYS / 10);
});
