import { readdirSync, renameSync, rmSync, symlinkSync, truncateSync, utimesSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import {
  MmapDict as CoreDict,
  GrowableArray,
  MaskedArray,
  type GrowableMaskedArray as MaskedRows,
  ndarray,
} from '@mmdpickle/core';
import { COMMIT_NUMBER_OFFSET } from '@mmdpickle/core/format';
import { MmapDict, NodeFile } from '@mmdpickle/core/node';
import { MemoryFile } from '@mmdpickle/core/storage';
import {
  appendFrames,
  type Change,
  FilePattern,
  frames,
  rollingFiles,
  stopRequested,
  type WatchCursor,
  type WatchOptions,
  watchDict,
} from '@mmdpickle/rx';
import { GrowableMaskedArray, GrowableNDArray } from '@mmdpickle/stubs';
import { TempDir } from '@mmdpickle/test-support';
import fc from 'fast-check';
import { lastValueFrom, map, range, type Subscription, toArray, VirtualAction, VirtualTimeScheduler } from 'rxjs';
import { TestScheduler } from 'rxjs/testing';
import { describe, expect, test, vi } from 'vitest';
import { RowListing } from '../src/watch/row-listing.ts';
import { until } from './blocker.ts';

/** A watcher that polls exactly when it is told to. */
class Watcher implements Disposable {
  readonly changes: Change[] = [];
  error: unknown;
  readonly #scheduler = new VirtualTimeScheduler(VirtualAction, 0);
  readonly #watch: ReturnType<typeof watchDict>;
  readonly #subscription: Subscription;

  constructor(path: string, from: WatchOptions['from'] = 'now') {
    this.#watch = watchDict(path, { from, events: false, scheduler: this.#scheduler });
    this.#subscription = this.#watch.subscribe({
      next: (change) => this.changes.push(change),
      error: (error) => {
        this.error = error;
      },
    });
  }

  /** Lets time pass for at least one poll. */
  look(): this {
    // The dict checks a file's size at most once a millisecond, so real time must pass.
    const end = performance.now() + 1.5;
    while (performance.now() < end);
    this.#scheduler.maxFrames += 40;
    this.#scheduler.flush();
    if (this.error !== undefined) throw this.error;
    return this;
  }

  cursor(): WatchCursor {
    return JSON.parse(JSON.stringify(this.#watch.cursor())) as WatchCursor;
  }

  [Symbol.dispose](): void {
    this.#subscription.unsubscribe();
  }
}

/** The cursor of a watcher that has seen the whole file. */
function cursorOf(path: string): WatchCursor {
  using watcher = new Watcher(path);
  return watcher.cursor();
}

function told(changes: readonly Change[]): string[] {
  return changes.map((change) => {
    const rows = change.kind === 'appended' ? ` ${change.rows.start}-${change.rows.end}` : '';
    return `${change.kind}${'key' in change ? ` ${change.key}` : ''}${rows}`;
  });
}

/** Rewrites the dict and puts it in place of the old one, as a vacuum does. */
function rewrite(path: string, without: readonly string[] = []): void {
  {
    using from = MmapDict.open(path, { mode: 'r' });
    using to = MmapDict.open(`${path}.new`, { mode: 'w-' });
    for (const [key, value] of from) {
      if (without.includes(key)) continue;
      if (value instanceof GrowableArray) {
        const copy = to.set(key, new GrowableNDArray([], 'int32', { capacity: 64 })).get(key) as GrowableArray;
        if (value.size > 0) copy.append(value.copy());
      } else to.set(key, value);
    }
  }
  renameSync(`${path}.new`, path);
}

describe('watchDict', () => {
  test('reports entries, replacements, removals and rows', () => {
    using dir = new TempDir();
    using dict = MmapDict.open(dir.file('a.mmdpickle'));
    dict.set('before', 1);
    using watcher = new Watcher(dict.name);
    dict.set('a', 1);
    watcher.look();
    dict.set('a', 2).set('b', 1);
    watcher.look();
    const rows = dict.set('rows', new GrowableNDArray([], 'int32', { capacity: 8 })).get('rows') as GrowableArray;
    watcher.look();
    rows.append(Int32Array.of(1, 2, 3));
    watcher.look();
    rows.append(Int32Array.of(4));
    dict.delete('b');
    watcher.look().look();
    expect(told(watcher.changes)).toEqual([
      'added a',
      'replaced a',
      'added b',
      'added rows',
      'appended rows 0-3',
      'appended rows 3-4',
      'removed b',
    ]);
    expect(watcher.changes.every(({ path }) => path === dict.name)).toBe(true);
    expect(watcher.changes.at(-1)?.commitNumber).toBe(dict.commitNumber);
  });

  test('a search for a dead entry that takes several slices does not wait for the poll interval between them', async () => {
    using dir = new TempDir();
    using dict = MmapDict.open(dir.file('a.mmdpickle'));
    dict.batch(() => {
      for (let i = 0; i < 1100; i += 1) dict.set(`key ${i}`, i);
    });
    const changes: Change[] = [];
    const subscription = watchDict(dict.name, { pollMs: 1_000_000 }).subscribe((change) => changes.push(change));
    let now = performance.now();
    const clock = vi.spyOn(performance, 'now').mockImplementation(() => (now += 3));
    try {
      dict.delete('key 1099');
      await until(() => changes.length > 0, 'the removal');
      expect(told(changes)).toEqual(['removed key 1099']);
    } finally {
      clock.mockRestore();
      subscription.unsubscribe();
    }
  });

  test('starts with the existing entries, from now, or from a number', () => {
    using dir = new TempDir();
    using dict = MmapDict.open(dir.file('a.mmdpickle'));
    dict.set('a', 1).set('b', 2).set('c', 3);
    using all = new Watcher(dict.name, 'start');
    using now = new Watcher(dict.name);
    using some = new Watcher(dict.name, 2);
    dict.set('d', 4);
    for (const watcher of [all, now, some]) watcher.look();
    expect(told(all.changes)).toEqual(['added a', 'added b', 'added c', 'added d']);
    expect(told(now.changes)).toEqual(['added d']);
    expect(some.changes).toEqual(all.changes.slice(2).map((change) => expect.objectContaining({ seq: change.seq })));
    expect(now.changes[0]?.seq).toBe(4);
  });

  test('a number resumes a series of frames exactly, and never misses a row or a removal', () => {
    using dir = new TempDir();
    let n = 0;
    fc.assert(
      fc.property(fc.array(fc.constantFrom('add', 'append', 'remove'), { maxLength: 12 }), fc.nat(100), (steps, at) => {
        using dict = MmapDict.open(dir.file(`${n++}.mmdpickle`));
        using whole = new Watcher(dict.name, 'start');
        let key = 0;
        for (const step of steps) {
          if (step === 'add') dict.set(`k${key++}`, key);
          if (step === 'remove') dict.delete(`k${Math.floor(key / 2)}`);
          if (step === 'append') {
            const rows =
              dict.get('rows') ?? dict.set('rows', new GrowableNDArray([], 'int32', { capacity: 64 })).get('rows');
            (rows as GrowableArray).append(Int32Array.of(1, 2));
          }
          whole.look();
        }
        if (whole.changes.length === 0) return;
        const split = at % (whole.changes.length + 1);
        using resumed = new Watcher(dict.name, split === 0 ? 0 : whole.changes[split - 1]!.seq);
        resumed.look();
        const missed = told(whole.changes.slice(split));
        if (steps.every((step) => step === 'add')) expect(told(resumed.changes)).toEqual(missed);
        const known = new Set(told(resumed.changes).filter((text) => !text.startsWith('appended')));
        for (const text of missed) if (!text.startsWith('appended')) expect(known).toContain(text);
        const lastRow = whole.changes.slice(split).findLast(({ kind }) => kind === 'appended');
        const firstRow = whole.changes.slice(split).find(({ kind }) => kind === 'appended');
        if (lastRow?.kind === 'appended' && firstRow?.kind === 'appended') {
          const found = resumed.changes.filter(({ kind }) => kind === 'appended');
          expect(found).toMatchObject([{ rows: { end: lastRow.rows.end } }]);
          const [appended] = found;
          if (appended?.kind === 'appended') expect(appended.rows.start).toBeLessThanOrEqual(firstRow.rows.start);
        }
      }),
      { numRuns: process.env.MMDPICKLE_LONG === '1' ? 600 : 20 },
    );
  });

  test('waits for a file that does not exist yet', () => {
    using dir = new TempDir();
    using watcher = new Watcher(dir.file('later.mmdpickle'));
    watcher.look();
    using dict = MmapDict.open(dir.file('later.mmdpickle'));
    dict.set('a', 1);
    watcher.look();
    expect(told(watcher.changes)).toEqual(['added a']);
  });

  test('a vacuum is one change, and commits before and after it are reported once', () => {
    using dir = new TempDir();
    const path = dir.file('a.mmdpickle');
    {
      using dict = MmapDict.open(path);
      dict.set('a', 1).set('b', 'two').set('c', 3);
      const rows = dict.set('rows', new GrowableNDArray([], 'int32', { capacity: 8 })).get('rows') as GrowableArray;
      rows.append(Int32Array.of(1, 2));
    }
    using watcher = new Watcher(path);
    {
      using dict = MmapDict.open(path);
      dict.delete('b');
      dict.set('d', 4);
    }
    rewrite(path);
    {
      using dict = MmapDict.open(path);
      dict.set('a', 5);
      dict.delete('c');
      (dict.get('rows') as GrowableArray).append(Int32Array.of(3));
    }
    watcher.look().look();
    expect(told(watcher.changes)).toEqual([
      'added d',
      'removed b',
      'vacuumed',
      'replaced a',
      'appended rows 2-3',
      'removed c',
    ]);
  });

  test('the last array, if trimmed between polls, hides nothing that is then written into its room', () => {
    using dir = new TempDir();
    using dict = MmapDict.open(dir.file('a.mmdpickle'));
    const rows = dict.set('rows', new GrowableNDArray([], 'float64', { capacity: 1000 })).get('rows') as GrowableArray;
    rows.append([1, 2]);
    using watcher = new Watcher(dict.name);
    const { commitNumber: _, ...earlier } = watcher.cursor();
    rows.seal();
    dict.set('a', 1).set('b', 2);
    for (const from of [watcher.cursor(), earlier]) {
      using resumed = new Watcher(dict.name, from);
      expect(told(resumed.look().changes)).toEqual(['added a', 'added b']);
    }
    expect(told(watcher.look().changes)).toEqual(['added a', 'added b']);
  });

  test('numbers count rows and removals alike, independent of who watches and since when', () => {
    using dir = new TempDir();
    using dict = MmapDict.open(dir.file('a.mmdpickle'));
    using live = new Watcher(dict.name, 0);
    const steps = [
      () => dict.set('rows', new GrowableNDArray([], 'int8', { capacity: 4 })),
      () => (dict.get('rows') as GrowableArray).append([1, 2, 3]),
      () => dict.set('a', 1),
      // The array moves behind the entries after it.
      () => (dict.get('rows') as GrowableArray).append([4, 5, 6]),
      () => dict.set('a', 2),
      () => dict.delete('a'),
      () => dict.set('a', 3),
    ];
    const counted = steps.map((step) => {
      step();
      live.look();
      using late = new Watcher(dict.name, 0);
      expect(late.cursor().seq).toBe(live.changes.at(-1)?.seq);
      return late.cursor().seq;
    });
    // An entry, three rows, an entry; an entry that died, another and its six rows; and so on.
    expect(counted).toEqual([1, 4, 5, 13, 15, 16, 17]);
  });

  test('another file in the same place is reported, and its entries follow', () => {
    using dir = new TempDir();
    const path = dir.file('a.mmdpickle');
    {
      using dict = MmapDict.open(path);
      dict.set('a', 1).set('b', 2);
    }
    using watcher = new Watcher(path);
    const cursor = watcher.cursor();
    rmSync(path);
    {
      using dict = MmapDict.open(path);
      dict.set('b', 3).set('a', 4);
    }
    watcher.look();
    expect(told(watcher.changes)).toEqual(['file-replaced', 'added b', 'added a']);
    using resumed = new Watcher(path, cursor);
    expect(resumed.changes).toMatchObject(watcher.changes.map(({ kind, seq }) => ({ kind, seq })));
  });

  test.each<[string, (dict: MmapDict) => void, string[]]>([
    ['nothing else', () => {}, ['vacuumed']],
    ['a replacement as long as the value', (dict) => dict.set('a', 9), ['vacuumed', 'replaced a']],
    [
      'replacements, an array too',
      (dict) => dict.set('a', 9).set('big', new Float64Array(20_000).fill(2)),
      ['vacuumed', 'replaced a', 'replaced big'],
    ],
    ['a removal', (dict) => void dict.delete('a'), ['vacuumed', 'removed a']],
    ['a new entry', (dict) => dict.set('d', 4), ['vacuumed', 'added d']],
    ['a removal and a new one', (dict) => void dict.set('a', 5).delete('c'), ['vacuumed', 'replaced a', 'removed c']],
    ['rows', (dict) => void (dict.get('rows') as GrowableArray).append([4]), ['vacuumed', 'appended rows 3-4']],
    [
      'another array of rows',
      (dict) =>
        void (dict.set('rows', new GrowableNDArray([], 'int32')).get('rows') as GrowableArray).append([9, 8, 7, 6]),
      ['vacuumed', 'replaced rows', 'appended rows 0-4'],
    ],
    [
      'other masked rows',
      (dict) => void (dict.get('masked') as MaskedRows).append(new MaskedArray(ndarray([5]), ndarray([true]))),
      ['vacuumed', 'appended masked 1-2'],
    ],
    [
      'everything replaced',
      (dict) => {
        for (const key of dict.keys()) dict.set(key, 0.5);
      },
      ['file-replaced', 'added a', 'added c', 'added big', 'added rows', 'added masked'],
    ],
  ])('a cursor resumes across vacuums with %s', (_what, work, expected) => {
    using dir = new TempDir();
    using dict = MmapDict.open(dir.file('a.mmdpickle'));
    dict.set('a', 1).set('b', 2).set('c', 3).set('big', new Float64Array(20_000)).delete('b');
    (dict.set('rows', new GrowableNDArray([], 'int32')).get('rows') as GrowableArray).append([1, 2, 3]);
    (dict.set('masked', new GrowableMaskedArray([], 'float64')).get('masked') as MaskedRows).append([1]);
    const cursor = cursorOf(dict.name);
    for (const vacuum of [() => dict.vacuum(), () => dict.vacuum({ inPlace: true })]) {
      work(dict);
      vacuum();
      using resumed = new Watcher(dict.name, cursor);
      resumed.look();
      expect(told(resumed.changes)).toEqual(expected);
      using again = new Watcher(dict.name, resumed.cursor());
      again.look();
      expect(again.changes).toEqual([]);
      // The second vacuum is of a file for which the cursor was not made.
      work = () => {};
    }
  });

  test('entries replaced between two vacuums that no poll separated are reported to a continuous watcher', () => {
    using dir = new TempDir();
    using dict = MmapDict.open(dir.file('a.mmdpickle'));
    dict.set('a', 1).set('b', 2).set('c', 3).set('d', 4);
    using watcher = new Watcher(dict.name);
    dict.set('a', 5);
    dict.vacuum();
    dict.set('a', 6).set('c', 7).delete('b');
    dict.vacuum();
    watcher.look();
    expect(told(watcher.changes)).toEqual(['replaced a', 'vacuumed', 'replaced a', 'replaced c', 'removed b']);
    dict.set('d', 8);
    watcher.look();
    expect(told(watcher.changes).slice(5)).toEqual(['replaced d']);
  });

  test('a vacuum in place is one change, even if no cursor was ever requested', () => {
    using dir = new TempDir();
    using dict = MmapDict.open(dir.file('a.mmdpickle'));
    dict.set('x', 'x'.repeat(5000)).set('a', 1).set('b', 2).delete('x');
    using watcher = new Watcher(dict.name);
    dict.vacuum({ inPlace: true });
    watcher.look();
    dict.set('b', 3);
    watcher.look();
    expect(told(watcher.changes)).toEqual(['vacuumed', 'replaced b']);
  });

  test('a new file with the same inode number, keys and lengths is not taken for the one of a cursor', async () => {
    using dir = new TempDir();
    const path = dir.file('a.mmdpickle');
    // Filesystems reuse the inode number of a removed file at once, or soon.
    for (let round = 0; round < 5; round += 1) {
      {
        using dict = MmapDict.open(path);
        dict.set('a', 1).set('b', 2);
      }
      const cursor = cursorOf(path);
      rmSync(path);
      // File times have a resolution of up to 10 ms.
      await sleep(25);
      {
        using dict = MmapDict.open(path);
        dict.set('a', 3).set('b', 2);
      }
      using resumed = new Watcher(path, cursor);
      resumed.look();
      expect(told(resumed.changes)).toEqual(['vacuumed', 'replaced a']);
      rmSync(path);
    }
  });

  test('a removal that was not yet detected when a cursor was made is reported to the watcher that resumes from it', () => {
    using dir = new TempDir();
    using dict = MmapDict.open(dir.file('a.mmdpickle'));
    dict.batch(() => {
      for (let i = 0; i < 20_000; i += 1) dict.set(`k${i}`, i);
    });
    using watcher = new Watcher(dict.name);
    dict.delete('k1');
    watcher.look();
    // The check for dead entries among so many has just been done, and has its next turn later.
    dict.delete('k2');
    dict.set('more', 1);
    watcher.look();
    const cursor = watcher.cursor();
    dict.set('one', 1);
    using resumed = new Watcher(dict.name, cursor);
    resumed.look();
    const removed = told([...watcher.changes, ...resumed.changes]).filter((text) => text.startsWith('removed'));
    expect(removed).toEqual(['removed k1', 'removed k2']);
  });

  test('a deletion whose writer was killed before it raised the commit number is reported once others commit', () => {
    using dir = new TempDir();
    using dict = MmapDict.open(dir.file('a.mmdpickle'));
    dict.set('a', 1).set('b', 2);
    using watcher = new Watcher(dict.name);
    const { end } = [...dict.scan()][0]!;
    using file = NodeFile.open(dict.name, 'r+');
    file.write(end - 2, Uint8Array.of(0x30));
    dict.set('c', 3);
    expect(told(watcher.look().look().changes)).toEqual(['added c', 'removed a']);
  });

  test('what a writer did before it was killed is reported before a series of files goes on', () => {
    using dir = new TempDir();
    using watcher = new Watcher(dir.file('run-{n}.mmdpickle'));
    using dict = MmapDict.open(dir.file('run-0.mmdpickle'));
    const rows = dict
      .set('b', 1)
      .set('a', new GrowableNDArray([], 'int32', { capacity: 4 }))
      .get('a') as GrowableArray;
    rows.append([1]);
    watcher.look();
    using file = NodeFile.open(dict.name, 'r+');
    const number = file.loadI32(COMMIT_NUMBER_OFFSET);
    dict.batch(() => {
      rows.append([2, 3]);
      dict.delete('b');
    });
    file.storeI32(COMMIT_NUMBER_OFFSET, number);
    MmapDict.open(dir.file('run-1.mmdpickle')).close();
    expect(told(watcher.look().look().changes).slice(3)).toEqual(['appended a 1-3', 'removed b', 'file-replaced']);
  });

  test('a cursor of an earlier version is accepted, and what it cannot distinguish is reported again', () => {
    using dir = new TempDir();
    using dict = MmapDict.open(dir.file('a.mmdpickle'));
    dict.set('a', 1).set('b', 2).set('c', 3);
    const { commitNumber: _, file, live, ...rest } = cursorOf(dict.name);
    const { dev, ino } = file;
    const old: WatchCursor = {
      ...rest,
      file: { dev, ino },
      live: live.map(([a, b, c, d, e]) => [a, b, c, d, e] as const),
    };
    dict.set('d', 4);
    using same = new Watcher(dict.name, old);
    expect(told(same.changes)).toEqual(['added d']);
    dict.vacuum();
    using resumed = new Watcher(dict.name, old);
    expect(told(resumed.changes)).toEqual(['file-replaced', 'added a', 'added b', 'added c', 'added d']);
  });

  test('a series of files is followed from one to the next', () => {
    using dir = new TempDir();
    const pattern = dir.file('run-{n}.mmdpickle');
    using watcher = new Watcher(pattern);
    const files = rollingFiles(pattern, { frames: 2 });
    range(0, 5)
      .pipe(
        map((i) => Uint8Array.of(i)),
        appendFrames(files, { key: (_frame, i) => `f${i}` }),
      )
      .subscribe();
    watcher.look().look().look().look();
    expect(told(watcher.changes)).toEqual([
      'added f0',
      'added f1',
      'file-replaced',
      'added f2',
      'added f3',
      'file-replaced',
      'added f4',
    ]);
  });

  test('a series of many files is reported as one poll finds it, and never backwards', async () => {
    using dir = new TempDir();
    const pattern = dir.file('run-{n}.mmdpickle');
    const written = (count: number): Promise<unknown> =>
      lastValueFrom(
        range(0, count).pipe(
          map((i) => Int8Array.of(i)),
          appendFrames(rollingFiles(pattern, { frames: 1 }), { key: (_, i) => `${i}` }),
        ),
      );
    await written(30);
    using watcher = new Watcher(pattern, 'start');
    expect(told(watcher.look().changes).filter((change) => change.startsWith('added'))).toHaveLength(30);
    rmSync(dir.file('run-29.mmdpickle'));
    MmapDict.open(dir.file('run-30.mmdpickle')).set('next', 1).close();
    watcher.changes.length = 0;
    expect(told(watcher.look().changes)).toEqual(['file-replaced', 'added next']);
  });

  test('an empty file in a series, left by a killed writer, is skipped', () => {
    using dir = new TempDir();
    const path = (n: number): string => dir.file(`run-${n}.mmdpickle`);
    const write = (n: number, key: string): void => MmapDict.open(path(n)).set(key, n).close();
    writeFileSync(path(0), '');
    write(1, 'a');
    writeFileSync(path(2), '');
    using now = new Watcher(dir.file('run-{n}.mmdpickle'));
    using start = new Watcher(dir.file('run-{n}.mmdpickle'), 'start');
    write(3, 'b');
    expect(told(now.look().look().changes)).toEqual(['file-replaced', 'added b']);
    expect(told(start.look().look().changes)).toEqual(['added a', 'file-replaced', 'added b']);
  });

  test('a series of files that starts again is followed from its first, and a cursor for a removed file resumes there', () => {
    using dir = new TempDir();
    const pattern = dir.file('run-{n}.mmdpickle');
    const make = (n: number): void =>
      void MmapDict.open(dir.file(`run-${n}.mmdpickle`))
        .set(`${n}`, n)
        .close();
    make(5);
    using watcher = new Watcher(pattern, 'start');
    watcher.look();
    const cursor = watcher.cursor();
    rmSync(dir.file('run-5.mmdpickle'));
    make(0);
    make(1);
    using resumed = new Watcher(pattern, cursor);
    const expected = ['file-replaced', 'added 0', 'file-replaced', 'added 1'];
    expect(told(resumed.look().look().changes)).toEqual(expected);
    expect(told(watcher.look().look().changes)).toEqual(['added 5', ...expected]);
  });

  test('a cursor for a file that was removed from the middle of a series continues with the next, as a watcher does', () => {
    using dir = new TempDir();
    const path = (n: number): string => dir.file(`run-${n}.mmdpickle`);
    const make = (n: number): void => MmapDict.open(path(n)).set(`${n}`, n).close();
    make(0);
    make(1);
    using watcher = new Watcher(dir.file('run-{n}.mmdpickle'));
    const cursor = watcher.cursor();
    make(2);
    make(3);
    rmSync(path(1));
    using resumed = new Watcher(dir.file('run-{n}.mmdpickle'), cursor);
    const expected = ['file-replaced', 'added 2', 'file-replaced', 'added 3'];
    expect(told(watcher.look().look().changes)).toEqual(expected);
    expect(told(resumed.look().look().changes)).toEqual(expected);
  });

  test('a large directory is listed again only when its files have changed', () => {
    using dir = new TempDir();
    const pattern = new FilePattern(dir.file('run-{n}.mmdpickle'));
    const listed = vi.spyOn(pattern, 'numbers');
    const row = new RowListing(pattern, { quickMs: 0, rest: Infinity });
    const numbers = (): [readonly number[], number] => [row.numbers(), listed.mock.calls.length];
    // Otherwise all of this may happen between two ticks of the file system's clock.
    const before = new Date(1e9);
    writeFileSync(pattern.path(10), '');
    utimesSync(dir.path, before, before);
    expect([numbers(), numbers(), numbers()]).toEqual([
      [[10], 1],
      [[10], 1],
      [[10], 1],
    ]);
    writeFileSync(pattern.path(9), '');
    expect([numbers(), numbers()]).toEqual([
      [[9, 10], 2],
      [[9, 10], 2],
    ]);
    utimesSync(dir.path, before, before);
    row.numbers();
    rmSync(pattern.path(10));
    expect(row.numbers()).toEqual([9]);
    listed.mockClear();
    // One that is listed quickly is listed at each look, as a new file may not change its time.
    const small = new RowListing(pattern, { quickMs: Infinity, rest: Infinity });
    expect([small.numbers(), small.numbers()]).toEqual([[9], [9]]);
    expect(listed).toHaveBeenCalledTimes(2);
  });

  test('a file that is not a dict ends the watch with a typed error', () => {
    using dir = new TempDir();
    expect(() => new Watcher(dir.path).look()).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }));
    expect(() => watchDict('x', { pollMs: 0 })).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }));
  });

  test('rows of another type, shape or mask in the place of a growable array are another array', () => {
    using dir = new TempDir();
    using dict = MmapDict.open(dir.file('a.mmdpickle'));
    const put = (stub: GrowableNDArray | GrowableMaskedArray): void => {
      dict.set('k', stub);
      (dict.get('k') as GrowableArray).append(new Float32Array(2 * (stub.shape[1] ?? 1)));
    };
    put(new GrowableNDArray([], 'float32'));
    using watcher = new Watcher(dict.name);
    const others = [
      new GrowableNDArray([1], 'float32'),
      new GrowableNDArray([1], 'float64'),
      new GrowableMaskedArray([1], 'float64'),
    ];
    for (const other of others) {
      watcher.changes.length = 0;
      dict.batch(() => put(other));
      expect(told(watcher.look().changes)).toEqual(['replaced k', 'appended k 0-2']);
    }
  });

  test('a growable array is recognized by its rows after it outgrew its place, or another array took it', () => {
    using dir = new TempDir();
    using dict = MmapDict.open(dir.file('a.mmdpickle'));
    const append = (rows: Int8Array): unknown => (dict.get('k') as GrowableArray).append(rows);
    const put = (value: number): unknown =>
      dict.set('k', new GrowableNDArray([], 'int8', { capacity: 2 })) && append(Int8Array.of(value, value));
    put(1);
    using watcher = new Watcher(dict.name);
    for (const [change, expected] of [
      [() => append(new Int8Array(9999)), ['appended k 2-10001']],
      [() => put(2), ['replaced k', 'appended k 0-2']],
      [() => put(3), ['replaced k', 'appended k 0-2']],
      [() => append(new Int8Array(9999)), ['appended k 2-10001']],
    ] as const) {
      using resumed = new Watcher(dict.name, watcher.cursor());
      watcher.changes.length = 0;
      change();
      for (const each of [watcher, resumed]) expect(told(each.look().changes)).toEqual(expected);
    }
  });

  test('a growable array is not taken for another one in its place for which a cursor has no checksum', () => {
    using dir = new TempDir();
    using dict = MmapDict.open(dir.file('a.mmdpickle'));
    const append = (count: number): unknown => (dict.get('k') as GrowableArray).append(new Int8Array(count).fill(1));
    const put = (dtype: string, value: number, count: number): unknown =>
      dict.set('k', new GrowableNDArray([], dtype)) && append(count) && (dict.get('k') as GrowableArray).fill(value);
    const dtypes = ['int8', 'uint8'];
    // Rows that arrive after the cursor was read, or while it is made, are in no checksum.
    for (const [between, expected] of [
      [(watcher) => append(2) && watcher.look(), ['appended k 3-5', 'replaced k', 'appended k 0-5']],
      [() => undefined, ['replaced k', 'appended k 0-5']],
    ] satisfies [(watcher: Watcher) => unknown, string[]][]) {
      for (const dtype of dtypes) {
        put('int8', 1, 3);
        using watcher = new Watcher(dict.name, cursorOf(dict.name));
        between(watcher);
        dict.batch(() => put(dtype, 2, 5));
        expect(told(watcher.look().changes)).toEqual(expected);
      }
      put('int8', 1, 3);
      using before = new Watcher(dict.name);
      put('uint8', 1, 5);
      using after = new Watcher(dict.name, before.cursor());
      expect(told(after.look().changes)).toEqual(['replaced k', 'appended k 0-5']);
    }
  });

  test('a file that was truncated and rewritten is reported by its differences, and ends the watch if it is not a dict', () => {
    using dir = new TempDir();
    const path = dir.file('a.mmdpickle');
    const write = (value: string): void => {
      using dict = MmapDict.open(path, { index: false });
      dict.set('k', value);
    };
    write('long '.repeat(100));
    const watcher = new Watcher(path);
    truncateSync(path);
    write('short');
    expect(told(watcher.look().changes)).toEqual(['file-replaced', 'added k']);
    expect(watcher.cursor().live[0]?.[0]).toBe('k');
    watcher[Symbol.dispose]();
    const text = new Watcher(path);
    writeFileSync(path, 'something else, no dict\n'.repeat(9));
    expect(() => text.look()).toThrow(expect.objectContaining({ code: 'NOT_A_PICKLE' }));
  });

  test('a truncated or changed cursor is refused', () => {
    using dir = new TempDir();
    using dict = MmapDict.open(dir.file('a.mmdpickle'));
    dict.set('a', 1);
    const cursor = cursorOf(dict.name);
    const [entry = []] = cursor.live as unknown as unknown[][];
    const wrong: object[] = [
      ...[
        {},
        [null],
        [5],
        [[]],
        [['a', 24]],
        [[5, ...entry.slice(1)]],
        [entry.with(1, -5)],
        [entry.with(4, 'x')],
        [entry.with(3, 1000)],
      ].map((live) => ({ live })),
      ...['x', null, -1, 1e300, 25.5].flatMap((value) => [{ seq: value }, { end: value }]),
      ...[5, {}, { key: 'a', offset: -5 }, { key: 5, offset: 24 }].map((last) => ({ last })),
      { commitNumber: 'x' },
      ...[null, {}, { ...cursor.file, ino: 5 }, { ...cursor.file, born: null }].map((file) => ({ file })),
    ];
    for (const part of wrong) {
      expect(() => watchDict(dict.name, { from: { ...cursor, ...part } }), JSON.stringify(part)).toThrow(
        expect.objectContaining({ code: 'INVALID_ARGUMENT' }),
      );
    }
  });

  test('a symbolic link that points to another file is another file', () => {
    using dir = new TempDir();
    const link = dir.file('latest');
    const dicts = ['a', 'b'].map((name) => MmapDict.open(dir.file(name)).set(name, 1));
    symlinkSync(dicts[0]!.name, link);
    using watcher = new Watcher(link, 'start');
    watcher.look();
    symlinkSync(dicts[1]!.name, `${link}.new`);
    renameSync(`${link}.new`, link);
    dicts[1]!.set('c', 1);
    expect(told(watcher.look().changes)).toEqual(['added a', 'file-replaced', 'added b', 'added c']);
    for (const dict of dicts) dict.close();
  });

  test('a dict that has no file, or whose file was removed, cannot be watched', async () => {
    using dir = new TempDir();
    using removed = MmapDict.open(dir.file('removed.mmdpickle'));
    using inMemory = CoreDict.over(MemoryFile.of());
    for (const dict of [removed, inMemory]) dict.set('a', 1);
    rmSync(removed.name);
    for (const dict of [removed, inMemory]) {
      const refused = { code: 'NOT_FOUND', path: dict.name };
      expect(() => watchDict(dict)).toThrow(expect.objectContaining(refused));
      await expect(lastValueFrom(frames(dict))).rejects.toMatchObject(refused);
      await expect(lastValueFrom(stopRequested(dict))).rejects.toMatchObject(refused);
    }
  });

  test('only a URL of a file can be watched', () => {
    using dir = new TempDir();
    const path = dir.file('a % ü.mmdpickle');
    MmapDict.open(path).set('a', 1).close();
    const changes: Change[] = [];
    watchDict(pathToFileURL(path), { from: 'start' })
      .subscribe((change) => changes.push(change))
      .unsubscribe();
    expect(told(changes)).toEqual(['added a']);
    expect(() => watchDict(new URL('http://127.0.0.1/a'))).toThrow(
      expect.objectContaining({ code: 'INVALID_ARGUMENT' }),
    );
  });

  test('watching a file that is not a dict leaks no descriptor, however often it is tried', () => {
    using dir = new TempDir();
    const path = dir.file('a.mmdpickle');
    writeFileSync(path, 'no dict at all');
    const watch = watchDict(path);
    const before = readdirSync('/proc/self/fd').length;
    for (let i = 0; i < 10; i += 1) watch.subscribe({ error() {} });
    expect(readdirSync('/proc/self/fd').length).toBe(before);
  });

  test.each([true, false])(
    'a file that is truncated by others ends the watch with a typed error, however long it was watched (file events: %s)',
    async (events) => {
      using dir = new TempDir();
      const dict = MmapDict.open(dir.file('a.mmdpickle'));
      dict.set('a', 1);
      const watch = watchDict(dict.name, { pollMs: 1, events });
      let seen = 0;
      const ended = new Promise((_resolve, reject) => watch.subscribe({ next: () => (seen += 1), error: reject }));
      // More polls than use reads before words are mapped: touching a truncated mapping would end the process.
      for (let count = 1; count <= 120; count += 1) {
        dict.set(`k${count}`, count);
        await until(() => seen === count);
      }
      dict.close();
      truncateSync(dict.name, 0);
      await expect(ended).rejects.toMatchObject({ code: 'TRUNCATED', found: 0 });
      expect(watch.cursor()?.path).toBe(dict.name);
    },
  );

  test('unsubscribing while the last change of a replaced file is reported leaves no descriptor open', () => {
    using dir = new TempDir();
    const dict = MmapDict.open(dir.file('a.mmdpickle'));
    const path = dict.name;
    dict.set('a', 1);
    const { end } = [...dict.scan()][0]!;
    dict.close();
    const scheduler = new VirtualTimeScheduler(VirtualAction, 0);
    const before = readdirSync('/proc/self/fd').length;
    const changes: Change[] = [];
    const subscription = watchDict(path, { events: false, scheduler }).subscribe((change) => {
      changes.push(change);
      subscription.unsubscribe();
    });
    // A deletion whose killed writer raised no commit number is found when the file has lost its name.
    using file = NodeFile.open(path, 'r+');
    file.write(end - 2, Uint8Array.of(0x30));
    file.close();
    MmapDict.open(dir.file('b.mmdpickle')).close();
    renameSync(dir.file('b.mmdpickle'), path);
    scheduler.maxFrames = 200;
    scheduler.flush();
    expect(told(changes)).toEqual(['removed a']);
    expect(readdirSync('/proc/self/fd').length).toBe(before);
  });

  test('a commit without an event is seen soon after an event that announced it, however rarely the watcher polls', async () => {
    using dir = new TempDir();
    const path = dir.file('quiet');
    using dict = MmapDict.open(path);
    const rows = dict.set('rows', new GrowableNDArray([], 'int32', { capacity: 8 })).get('rows') as GrowableArray;
    using other = MmapDict.open(path);
    const place = other.core.growables.locate('rows');
    const changes: Change[] = [];
    const subscription = watchDict(path, { pollMs: 2 ** 30 }).subscribe((change) => changes.push(change));
    try {
      for (let count = 1; count <= 8; count += 1) {
        // The row is a write, which is an event; its count and the commit number are stores through a mapping.
        place.file.write(place.dataOffset + 4 * (count - 1), new Uint8Array([count, 0, 0, 0]));
        await sleep(count * 3);
        place.file.storeI64(place.countOffset, BigInt(count));
        place.file.storeI32(COMMIT_NUMBER_OFFSET, place.file.loadI32(COMMIT_NUMBER_OFFSET) + 1);
        await until(() => changes.length === count);
      }
    } finally {
      subscription.unsubscribe();
    }
    expect(told(changes)).toEqual(Array.from({ length: 8 }, (_, i) => `appended rows ${i}-${i + 1}`));
    expect(rows.refresh()).toBe(true);
    expect(rows.toNested()).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
  });

  test('commits made while a change is being reported are reported too', async () => {
    using dir = new TempDir();
    const path = dir.file('busy');
    using dict = MmapDict.open(path);
    const keys: string[] = [];
    const subscription = watchDict(path, { pollMs: 2 ** 30 }).subscribe((change) => {
      if (change.kind !== 'added') return;
      keys.push(change.key);
      if (keys.length < 20) dict.set(`k${keys.length}`, keys.length);
    });
    try {
      dict.set('k0', 0);
      await until(() => keys.length === 20);
    } finally {
      subscription.unsubscribe();
    }
    expect(keys).toEqual(Array.from({ length: 20 }, (_, i) => `k${i}`));
  });

  test('polls in virtual time are a marble diagram', () => {
    using dir = new TempDir();
    using dict = MmapDict.open(dir.file('a.mmdpickle'));
    dict.set('a', 1).set('b', 2);
    const scheduler = new TestScheduler((actual, expected) => expect(actual).toEqual(expected));
    scheduler.run(({ expectObservable, cold }) => {
      const watch$ = watchDict(dict, { from: 'start', events: false }).pipe(map((change) => told([change])[0]));
      expectObservable(watch$, '---!').toBe('(ab)', { a: 'added a', b: 'added b' });
      expectObservable(cold('-----|')).toBe('-----|');
    });
  });
});

type Step = {
  readonly op: 'set' | 'delete' | 'append' | 'batch' | 'rewrite' | 'look' | 'resume';
  readonly key: number;
};

const STEP: fc.Arbitrary<Step> = fc.record({
  op: fc.constantFrom('set', 'set', 'delete', 'append', 'batch', 'look', 'look', 'resume', 'rewrite'),
  key: fc.integer({ min: 0, max: 4 }),
});

/** Carries out a step; returns the set keys, in order. */
function perform(path: string, { op, key }: Step): string[] {
  if (op === 'rewrite') {
    rewrite(path);
    return [];
  }
  using dict = MmapDict.open(path);
  const name = `k${key}`;
  if (op === 'set') dict.set(name, `value ${key}`);
  if (op === 'delete') dict.delete(name);
  if (op === 'append') (dict.get('rows') as GrowableArray).append(Int32Array.from({ length: key + 1 }));
  if (op === 'batch') {
    dict.batch(() => {
      dict.set(name, 0).set('both', 0);
      dict.delete(`k${(key + 1) % 5}`);
    });
    return [name, 'both'];
  }
  return op === 'set' ? [name] : [];
}

describe('any interleaving', () => {
  test('is reported exactly once and in order, and a resumed watcher sees what an uninterrupted one saw', () => {
    using dir = new TempDir();
    let n = 0;
    fc.assert(
      fc.property(fc.array(STEP, { maxLength: 25 }), (steps) => {
        const path = dir.file(`${n++}.mmdpickle`);
        {
          using dict = MmapDict.open(path);
          dict.set('rows', new GrowableNDArray([], 'int32', { capacity: 4096 }));
        }
        using whole = new Watcher(path);
        let part = new Watcher(path);
        const resumed: Change[] = [];
        const sets: string[] = [];
        for (const step of [...steps, { op: 'look', key: 0 } as const, { op: 'look', key: 0 } as const]) {
          if (step.op === 'look') {
            whole.look();
            part.look();
          } else if (step.op === 'resume') {
            whole.look();
            part.look();
            const cursor = part.cursor();
            resumed.push(...part.changes);
            part[Symbol.dispose]();
            part = new Watcher(path, cursor);
          } else sets.push(...perform(path, step));
        }
        resumed.push(...part.changes);
        part[Symbol.dispose]();
        expect(resumed).toEqual(whole.changes);

        const { changes } = whole;
        const seqs = changes.map(({ seq }) => seq);
        expect(seqs).toEqual([...new Set(seqs)].sort((a, b) => a - b));
        const live = new Set(['rows']);
        let rows = 0;
        const reported: string[] = [];
        for (const change of changes) {
          // Rewritten twice between two polls, with a removal in between: that is another file to a watcher.
          if (change.kind === 'file-replaced') {
            live.clear();
            rows = 0;
          }
          if (change.kind === 'added' || change.kind === 'replaced') {
            expect(live.has(change.key)).toBe(change.kind === 'replaced');
            live.add(change.key);
            reported.push(change.key);
          }
          if (change.kind === 'removed') expect(live.delete(change.key)).toBe(true);
          if (change.kind === 'appended') {
            expect(change.rows.start).toBe(rows);
            rows = change.rows.end;
          }
        }
        using dict = MmapDict.open(path, { mode: 'r' });
        expect([...live].sort()).toEqual([...dict.keys()].sort());
        expect(rows).toBe((dict.get('rows') as GrowableArray).shape[0]);
        const rewritten = steps.some(({ op }) => op === 'rewrite');
        // A vacuum drops entries that died before any poll saw it.
        if (!rewritten) expect(reported).toEqual(sets);
      }),
      { numRuns: process.env.MMDPICKLE_LONG === '1' ? 600 : 20 },
    );
  });
});

describe('a reader that follows the reports of a watcher has the contents of the file', () => {
  const KINDS = ['set', 'set', 'long', 'delete', 'rows', 'vacuum', 'in place', 'new file', 'look', 'resume'] as const;
  const step = fc.record({ kind: fc.constantFrom(...KINDS), key: fc.nat(3), value: fc.nat(3) });

  function change(path: string, { kind, key, value }: { kind: string; key: number; value: number }): void {
    if (kind === 'new file') rmSync(path);
    using dict = MmapDict.open(path);
    const name = `k${key}`;
    if (kind === 'set' || kind === 'new file') dict.set(name, value);
    if (kind === 'long') dict.set(name, `${'x'.repeat(70_000)}${value}${'y'.repeat(70_000)}`);
    if (kind === 'delete') dict.delete(name);
    if (kind === 'rows') {
      if (!dict.has('rows')) dict.set('rows', new GrowableNDArray([], 'int32', { capacity: 4 }));
      (dict.get('rows') as GrowableArray).append(new Int32Array(key + 1).fill(value));
    }
    if (kind === 'vacuum') dict.vacuum();
    if (kind === 'in place') dict.vacuum({ inPlace: true });
  }

  const values = (path: string): Map<string, unknown> => {
    using dict = MmapDict.open(path, { mode: 'r' });
    return new Map([...dict].map(([key, value]) => [key, value instanceof GrowableArray ? value.toNested() : value]));
  };

  /** What a reader that had `had` has now. Values are read when everything is reported. */
  function follow(had: Map<string, unknown>, changes: readonly Change[], now: Map<string, unknown>): void {
    for (const told of changes) {
      if (told.kind === 'file-replaced') had.clear();
      else if (told.kind === 'removed') had.delete(told.key);
      else if (told.kind === 'appended') {
        const rows = (now.get(told.key) ?? []) as number[];
        const before = (had.get(told.key) ?? []) as number[];
        had.set(told.key, [...before.slice(0, told.rows.start), ...rows.slice(told.rows.start, told.rows.end)]);
      } else if (told.kind !== 'vacuumed') had.set(told.key, told.key === 'rows' ? [] : now.get(told.key));
    }
  }

  test('whether it watched continuously, or resumed from a cursor', { timeout: 120_000 }, () => {
    using dir = new TempDir();
    let n = 0;
    fc.assert(
      fc.property(fc.array(step, { maxLength: 14 }), (steps) => {
        const path = dir.file(`${n++}.mmdpickle`);
        change(path, { kind: 'set', key: 0, value: 0 });
        change(path, { kind: 'rows', key: 0, value: 0 });
        const had = values(path);
        let watcher: Watcher | undefined = new Watcher(path);
        let cursor = watcher.cursor();
        const untold: Change[] = [];
        for (const next of steps) {
          if (next.kind === 'look') watcher?.look();
          else if (next.kind === 'resume') {
            if (watcher === undefined) watcher = new Watcher(path, cursor);
            else {
              cursor = watcher.cursor();
              untold.push(...watcher.changes);
              watcher[Symbol.dispose]();
              watcher = undefined;
            }
          } else change(path, next);
        }
        watcher ??= new Watcher(path, cursor);
        watcher.look().look().look();
        untold.push(...watcher.changes);
        watcher[Symbol.dispose]();
        const now = values(path);
        follow(had, untold, now);
        expect([...had].sort()).toEqual([...now].sort());
      }),
      { numRuns: process.env.MMDPICKLE_LONG === '1' ? 800 : 20 },
    );
  });
});

describe('frames', () => {
  test('gives existing frames, then new ones, each with its companion', async () => {
    using dir = new TempDir();
    using dict = MmapDict.open(dir.file('a.mmdpickle'));
    const camera = (count: number) =>
      range(0, count).pipe(
        map((i) => Uint8Array.of(i)),
        appendFrames(dict, { key: 'f/', meta: true }),
      );
    dict.set('other', 1);
    camera(2).subscribe();
    const existing: string[] = [];
    frames(dict, { prefix: 'f/' }).subscribe({
      next: ({ key }) => existing.push(key),
      complete: () => existing.push('|'),
    });
    expect(existing).toEqual(['f/000000000', 'f/000000001', '|']);
    const seen: [string, unknown][] = [];
    const subscription = frames(dict, { prefix: 'f/', follow: true }).subscribe(({ key, meta }) =>
      seen.push([key, (meta as Map<string, number>).get('seq')]),
    );
    camera(2).subscribe();
    await until(() => seen.length === 4);
    subscription.unsubscribe();
    expect(seen.map(([, seq]) => seq)).toEqual([0, 1, 2, 3]);
  });

  test('are all entries except companions of other existing entries, whatever their keys', async () => {
    using dir = new TempDir();
    using dict = MmapDict.open(dir.file('a.mmdpickle'));
    dict.set('camera.meta', 1).set('x', 2).set('x.meta', 3);
    expect(await lastValueFrom(frames(dict).pipe(toArray()))).toMatchObject([
      { key: 'camera.meta', value: 1 },
      { key: 'x', value: 2, meta: 3 },
    ]);
  });

  test('are read one at a time, as they are taken', () => {
    using dir = new TempDir();
    using dict = MmapDict.open(dir.file('a.mmdpickle'));
    dict.set('a', 1).set('b', 2).set('c', 3);
    const seen: unknown[] = [];
    frames(dict).subscribe(({ key, value }) => {
      seen.push([key, value]);
      dict.delete('b');
    });
    expect(seen).toEqual([
      ['a', 1],
      ['c', 3],
    ]);
  });

  test('of an empty dict complete at once, and of several with one key the last is given', () => {
    using dir = new TempDir();
    using dict = MmapDict.open(dir.file('a.mmdpickle'));
    const seen: unknown[] = [];
    frames(dict).subscribe({ complete: () => seen.push('|') });
    dict.set('a', 1).set('b', 2).set('a', 3).delete('b');
    frames(dict).subscribe({ next: ({ key, value }) => seen.push([key, value]), complete: () => seen.push('|') });
    expect(seen).toEqual(['|', ['a', 3], '|']);
  });
});
