/**
 * Interleaved handles: others change the file between any two checks made by one operation, and read it between any two writes of a change.
 */
import * as fc from 'fast-check';
import { beforeEach, describe, expect, test, vi } from 'vitest';
import { type GrowableArray, MmapDict } from '../../src/dict/index.ts';
import { NDArray, ndarray } from '../../src/ndarray/index.ts';
import { MemoryDisk, type StorageFile } from '../../src/storage/index.ts';
import { FILE_CHANGES, FILE_LOOKS, Playback, preceded, Recording } from '../../src/testing/index.ts';
import { stateText, valueText } from './canonical.ts';
import { expectText } from './crash-harness.ts';
import { type Change, KEYS, lists, type Model, moreRows, ROWS, type Rows, recorded, scene } from './interleaving.ts';

const LONG = process.env.MMDPICKLE_LONG === '1';
const RUNS = LONG ? 20_000 : 40;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['Date'] });
  return () => void vi.useRealTimers();
});

test('a handle loses no rows with its next write if an array grows at any of its checks', () => {
  const append = (_: MmapDict, rows: Rows): unknown => rows.append([0.5]);
  const operations: readonly ((dict: MmapDict, rows: Rows) => unknown)[] = [
    append,
    (dict) => dict.refresh(),
    (_, rows) => rows.refresh(),
    (dict) => [...dict.keys()],
    (dict) => dict.get(ROWS),
    (dict) => dict.has('nothing'),
    (dict) => dict.set('mine', 1),
  ];
  const growth: Change = { kind: 'many rows', key: 0, closed: false };
  let met = 0;
  let pairs = 0;
  for (const [operation, next] of operations.flatMap((one) => operations.map((other) => [one, other] as const))) {
    // The ordinary suite takes every other check of a pair: the even ones of one, the odd ones of the next.
    const stride = LONG ? 1 : 2;
    const begin = LONG ? 1 : 1 + (pairs++ % 2);
    for (let nth = begin, reached = true; reached; nth += stride) {
      reached = false;
      const { disk, model, open, make } = scene(16_384, 3);
      let looks = -Infinity;
      const dict = open((file) =>
        preceded(file, FILE_LOOKS, () => {
          if (++looks !== nth) return;
          reached = true;
          if (make(growth)) met++;
        }),
      );
      const rows = dict.get(ROWS) as unknown as Rows;
      make(growth);
      looks = 0;
      operation(dict, rows);
      next(dict, rows);
      looks = Infinity;
      const appended = [operation, next].filter((one) => one === append).length;
      const { shape } = model.get(ROWS) as NDArray;
      for (const one of [dict, MmapDict.over(disk.open('dict', 'r'), { mode: 'r' })]) {
        const found = one.get(ROWS) as NDArray;
        expect(found.shape, `look ${nth}`).toEqual([shape[0]! + appended]);
        const all = Uint8Array.from(Buffer.concat([...found.bytes()].map((part) => part.slice())));
        const theirs = new Float64Array(all.buffer).filter((value) => value !== 0.5);
        expect(valueText(ndarray(theirs))).toBe(valueText(model.get(ROWS)));
        expect(one.get('key 2')).toBe(2);
      }
    }
  }
  expect(met).toBeGreaterThan(operations.length ** 2);
});

test('a key that is replaced twice at any checks of a handle with the index is never missing', () => {
  for (const standingIndex of [0, 16_384]) {
    for (let first = 1; first <= 12; first++) {
      for (let second = first + 1; second <= first + 3; second++) {
        const { open, make } = scene(standingIndex, KEYS);
        open().set('last', 1).close();
        let looks = -Infinity;
        const wrap = (file: StorageFile): StorageFile =>
          preceded(file, FILE_LOOKS, () => {
            if (++looks === first || looks === second) make({ kind: 'set', key: 0, closed: false });
          });
        for (const ask of [
          (dict: MmapDict) => dict.has('key 0'),
          (dict: MmapDict) => dict.get('key 0') !== undefined,
        ]) {
          const dict = open(wrap);
          vi.setSystemTime(Date.now() + 1);
          looks = 0;
          expect(ask(dict), `looks ${first} and ${second}`).toBe(true);
          looks = Infinity;
        }
      }
    }
  }
});

/** Changes by others at the checks of one handle, each a number of checks after the previous one, starting at `begin`. */
function atLooks(make: (change: Change) => void, changes: readonly (readonly [number, Change['kind'], boolean])[]) {
  let at = changes.length;
  let looks = 0;
  let inside = false;
  return {
    begin: () => void (at = 0),
    end: () => void (at = changes.length),
    wrap: (file: StorageFile): StorageFile =>
      preceded(file, FILE_LOOKS, () => {
        if (inside || at === changes.length || ++looks < changes[at]![0]) return;
        inside = true;
        looks = 0;
        const [, kind, closed] = changes[at++]!;
        make({ kind, key: 0, closed });
        inside = false;
      }),
  };
}

test('a key stays present while the file is vacuumed in place at any check of a handle with the index', () => {
  for (let first = 1; first <= 10; first++) {
    for (let second = 1; second <= 12; second++) {
      const { open, make } = scene(0, KEYS);
      make({ kind: 'seal', key: 0, closed: true });
      const others = atLooks(make, [
        [first, 'new rows', false],
        [second, 'vacuum in place', true],
        [1, 'set', false],
      ]);
      const dict = open(others.wrap);
      vi.setSystemTime(Date.now() + 1);
      others.begin();
      expect(dict.get('key 1'), `looks ${first} and ${second}`).toBe(1);
      others.end();
    }
  }
});

test('all keys are listed if the file is vacuumed and its index becomes stale at any checks of the listing', () => {
  for (let first = 1; first <= 12; first++) {
    for (let second = 1; second <= 16; second++) {
      const { model, open, make } = scene(0, KEYS);
      const others = atLooks(make, [
        [first, 'vacuum', false],
        [second, 'set', false],
        [1, 'set', false],
      ]);
      const dict = open(others.wrap);
      vi.setSystemTime(Date.now() + 1);
      others.begin();
      expect(new Set(dict.keys()), `looks ${first} and ${second}`).toEqual(new Set(model.keys()));
      others.end();
    }
  }
});

test('a get returns one of the states of an array that grows, is replaced and is moved to the old location at any of its checks', () => {
  for (let first = 1; first <= 24; first++) {
    for (let second = 1; second <= 40; second++) {
      if (!LONG && (first + second) % 2 === 1) continue;
      const { model, open, make } = scene(0, 3);
      // As short as the one that a vacuum moves there.
      make({ kind: 'seal', key: 0, closed: false });
      const states: Model[] = [new Map(model)];
      const others = atLooks(
        (change) => {
          if (make(change)) states.push(new Map(model));
        },
        [
          [first, 'many rows', false],
          [second, 'new rows', false],
          [1, 'vacuum in place', false],
          [1, 'set', false],
        ],
      );
      const dict = open(others.wrap);
      vi.setSystemTime(Date.now() + 1);
      others.begin();
      const found = valueText(dict.get(ROWS));
      others.end();
      expect(
        states.map((state) => valueText(state.get(ROWS))),
        `looks ${first} and ${second}`,
      ).toContain(found);
    }
  }
});

test('an index that is rewritten in place while it is loaded into memory is not trusted', () => {
  for (let first = 1; first <= 60; first++) {
    const { model, open, make } = scene(0, KEYS);
    make({ kind: 'seal', key: 0, closed: true });
    // The vacuum gains nothing but walks the file: closing writes an index of the same size with different hashes.
    const others = atLooks(make, [
      [1, 'delete', false],
      [first, 'vacuum in place', true],
    ]);
    const dict = open(others.wrap);
    vi.setSystemTime(Date.now() + 1);
    others.begin();
    // More lookups than the index has blocks load it into memory.
    for (let i = 1; i < 12; i++) expect(dict.get(`key ${i}`), `look ${first}, key ${i}`).toBe(i);
    others.end();
    expectText(stateText(dict), [stateText(model)], `look ${first}`);
  }
});

test('an index with another seed, written where a dropped one was, is never mistaken for the old one', () => {
  for (const checksums of [false, true]) {
    const { disk, model } = scene(16_384, KEYS);
    const recording = new Recording(disk, 'dict');
    const writer = MmapDict.over(recording.open(), { index: false });
    writer.seal({ checksums });
    recording.done();
    for (let looked = 0; looked < recording.images.length; looked++) {
      for (let asked = looked; asked < recording.images.length; asked++) {
        const playback = new Playback(recording.images);
        const dict = MmapDict.over(playback.disk.open('dict', 'r'), { mode: 'r' });
        playback.show(looked);
        dict.refresh();
        playback.show(asked);
        const missing = [...model.keys()].filter((key, i) => i % 16 === 0 && !dict.has(key));
        expect(missing, `looked at ${looked}, asked at ${asked}`).toEqual([]);
      }
    }
  }
});

test('a journal that appears and disappears at any checks does not make a reader walk the file again', () => {
  const disk = new MemoryDisk();
  const names = ['one', 'two'];
  {
    using dict = MmapDict.over(disk.open('dict', 'create-new'), { index: false });
    // So large that a walk reads each of them separately.
    for (let i = 0; i < 40; i++) dict.set(`large ${i}`, new Uint8Array(300_000));
    for (const name of names) dict.set(name, { arraySource: true, dtype: 'float64', shape: [0], capacity: 99 });
  }
  const recording = new Recording(disk, 'dict');
  const writer = MmapDict.over(recording.open());
  const append = (): void => names.forEach((name) => void (writer.get(name) as GrowableArray).append([1]));
  writer.batch(append);
  recording.done();
  for (let shown = 0; shown < recording.images.length; shown++) {
    for (const stride of [1, 2, 3]) {
      const playback = new Playback(recording.images);
      let reads = 0;
      const dict = MmapDict.over(
        preceded(
          playback.open(() => stride),
          ['read'],
          () => reads++,
        ),
        { mode: 'r' },
      );
      playback.show(shown);
      reads = 0;
      playback.during(() => dict.refresh());
      expect(reads, `image ${shown}, then by ${stride}`).toBeLessThan(30);
      const rows = names.map((name) => dict.getMeta(name)!.shape![0]);
      expect([0, 1]).toContain(rows[0]);
      expect(rows[1]).toBe(rows[0]);
    }
  }
});

test('a file that is truncated while open is refused, or answers leniently for every key, and is not polled forever', () => {
  for (const indexed of [true, false]) {
    for (const keep of [0.3, 0.6, 0.9]) {
      for (const lenient of [false, true]) {
        const { disk, open } = scene(16_384, KEYS);
        if (indexed) open().set('last', 1).close();
        const dict = MmapDict.over(disk.open('dict', 'r'), { mode: 'r', lockTimeout: 0, lenient });
        expect(dict.get('key 0')).toBe(0);
        const file = disk.open('dict', 'r+');
        file.truncate(Math.floor(file.size() * keep));
        vi.setSystemTime(Date.now() + 1);
        const ask = [
          () => dict.get('missing'),
          () => dict.has('missing'),
          () => dict.get('key 0'),
          () => [...dict.keys()].length > 5,
          () => dict.size > 5,
        ];
        if (lenient) expect(ask.map((question) => question())).toEqual([undefined, false, 0, true, true]);
        else for (const question of ask) expect(question).toThrow(expect.objectContaining({ code: 'TRUNCATED' }));
      }
    }
  }
});

const OBSERVED = [
  'get',
  'has',
  'rows',
  'rows',
  'rows',
  'get rows',
  'keys',
  'all',
  'open',
  'set',
  'append',
  'delete',
] as const;
const observed = fc.record({ kind: fc.constantFrom(...OBSERVED), key: fc.nat(KEYS + 5), later: fc.boolean() });

describe('other handles act between', { timeout: 600_000 }, () => {
  test('any two checks of one operation: it sees the dict at one moment, and nothing is lost', () => {
    let met = 0;
    fc.assert(
      fc.property(
        lists((change) => fc.tuple(fc.integer({ min: 1, max: 25 }), change), 20),
        fc.array(observed, { minLength: 1, maxLength: 12 }),
        fc.constantFrom(0, 16_384),
        fc.constantFrom(3, KEYS),
        fc.boolean(),
        (between, operations, standingIndex, count, warm) => {
          const { disk, model, open, make } = scene(standingIndex, count);
          /** The states since the operation began. */
          let states: Model[] = [];
          let armed = false;
          let inside = false;
          let at = 0;
          let looks = 0;
          const wrap = (file: StorageFile): StorageFile =>
            preceded(file, FILE_LOOKS, () => {
              if (!armed || inside || at === between.length || ++looks < between[at]![0]) return;
              inside = true;
              looks = 0;
              if (make(between[at++]![1])) {
                met++;
                states.push(new Map(model));
              }
              inside = false;
            });
          const during = <T>(operation: () => T): T => {
            states = [new Map(model)];
            armed = true;
            try {
              return operation();
            } finally {
              armed = false;
            }
          };
          const expectOne = (found: string, text: (state: Model) => string, what: string): void =>
            expectText(found, states.map(text), what);
          const textOf = (key: string) => (state: Model) => (state.has(key) ? valueText(state.get(key)) : 'none');
          let dict = open(wrap);
          let rows = dict.get(ROWS) as unknown as Rows;
          if (warm) for (const [key, value] of model) expect(valueText(dict.get(key))).toBe(valueText(value));
          for (const [turn, { kind, key: number, later }] of operations.entries()) {
            if (later) vi.setSystemTime(Date.now() + 1);
            const key = `key ${number}`;
            const mine = `mine ${number % 3}`;
            if (kind === 'get') {
              const value = during(() => dict.get(key));
              expectOne(value === undefined ? 'none' : valueText(value), textOf(key), key);
            } else if (kind === 'has') {
              expectOne(String(during(() => dict.has(key))), (state) => String(state.has(key)), key);
            } else if (kind === 'rows') {
              during(() => void rows.refresh());
              expectOne(valueText(rows), textOf(ROWS), ROWS);
            } else if (kind === 'get rows') {
              rows = during(() => dict.get(ROWS)) as unknown as Rows;
              expectOne(valueText(rows), textOf(ROWS), ROWS);
            } else if (kind === 'keys') {
              // A key that appeared or disappeared meanwhile may be included or not.
              const keys = new Set(during(() => [...dict.keys()]));
              for (const name of new Set([...keys, ...states.flatMap((state) => [...state.keys()])])) {
                expectOne(String(keys.has(name)), (state) => String(state.has(name)), `keys: ${name}`);
              }
            } else if (kind === 'open') {
              dict = during(() => open(wrap));
              rows = dict.get(ROWS) as unknown as Rows;
            } else if (kind === 'set' || kind === 'delete') {
              during(() => (kind === 'set' ? dict.set(mine, turn) : dict.delete(mine)));
              if (kind === 'set') model.set(mine, turn);
              else model.delete(mine);
            } else if (kind === 'append') {
              const before = model.get(ROWS);
              during(() => rows.append(Float64Array.of(turn)));
              // Whether another handle appended before or after is not known: the key is there once, last or where the others began.
              const values = [...(dict.get(ROWS) as NDArray)] as number[];
              const theirs = [...(model.get(ROWS) as NDArray)] as number[];
              expect(before).toBeDefined();
              const where = values.length === theirs.length ? -1 : values.findIndex((value, i) => value !== theirs[i]);
              if (where >= 0) {
                expect(values[where]).toBe(turn);
                expect([...values.slice(0, where), ...values.slice(where + 1)]).toEqual(theirs);
              }
              model.set(ROWS, ndarray(Float64Array.from(values)));
            }
            if (kind === 'all') {
              for (const name of [...model.keys()]) {
                const value = during(() => dict.get(name));
                expectOne(value === undefined ? 'none' : valueText(value), textOf(name), name);
              }
            }
          }
          expectText(stateText(dict), [stateText(model)], 'who was looking');
          rows.refresh();
          expect(valueText(rows)).toBe(valueText(model.get(ROWS)));
          const fresh = MmapDict.over(disk.open('dict', 'r'), { mode: 'r' });
          expectText(stateText(fresh), [stateText(model)], 'who opens it');
          expect(fresh.fsck().findings.filter(({ severity }) => severity !== 'info')).toEqual([]);
        },
      ),
      { numRuns: RUNS },
    );
    expect(met).toBeGreaterThan(RUNS);
  });

  test('any two writes of one change: they see the dict before it or after it', () => {
    let met = 0;
    fc.assert(
      fc.property(
        lists((change) => change, 8),
        fc.constantFrom(0, 16_384),
        fc.constantFrom(3, KEYS),
        fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 9 }),
        (changes, standingIndex, count, gaps) => {
          const { disk, model, open, make, another } = scene(standingIndex, count);
          const reader = MmapDict.over(disk.open('dict', 'r'), { mode: 'r' });
          const rows = reader.get(ROWS) as unknown as Rows;
          let before: Model = new Map(model);
          let seen: [string, string][] = [];
          let writes = 0;
          let gap = 0;
          const look = (): void => {
            if (++writes < gaps[gap % gaps.length]!) return;
            writes = 0;
            gap++;
            met++;
            if (gap % 3 === 0) vi.setSystemTime(Date.now() + 1);
            rows.refresh();
            seen.push([ROWS, valueText(rows)]);
            if (gap % 2 === 0) seen.push(['', stateText(reader)]);
            for (const key of ['key 1', 'key 5', `key ${KEYS - 1}`, 'both']) {
              const value = reader.get(key);
              seen.push([key, value === undefined ? 'none' : valueText(value)]);
            }
          };
          another(() => open((file) => preceded(file, FILE_CHANGES, look)));
          for (const one of changes) {
            before = new Map(model);
            seen = [];
            make(one);
            for (const [key, text] of seen) {
              const textIn = (state: Model) =>
                key === '' ? stateText(state) : state.has(key) ? valueText(state.get(key)) : 'none';
              expectText(text, [textIn(before), textIn(model)], `${one.kind}: ${key || 'all'}`);
            }
          }
          rows.refresh();
          expect(valueText(rows)).toBe(valueText(model.get(ROWS)));
          expectText(stateText(reader), [stateText(model)], 'who was looking');
        },
      ),
      { numRuns: RUNS },
    );
    expect(met).toBeGreaterThan(RUNS);
  });

  test('any two writes of one change: a handle that reads ahead while waiting for the lock loses nothing', () => {
    let ahead = 0;
    fc.assert(
      fc.property(
        lists((change) => change, 10),
        fc.constantFrom(0, 16_384),
        fc.constantFrom(3, KEYS),
        fc.array(fc.nat(3), { minLength: 1, maxLength: 9 }),
        (changes, standingIndex, count, gaps) => {
          const { disk, model, open, make, another } = scene(standingIndex, count);
          const dict = open();
          const rows = dict.get(ROWS) as unknown as Rows;
          let writes = 0;
          const look = (): void => {
            if (++writes % (gaps[writes % gaps.length]! + 1) > 0) return;
            const { store } = dict.core;
            const { end } = store;
            store.lookAhead();
            if (store.end > end) ahead++;
          };
          another(() => open((file) => preceded(file, FILE_CHANGES, look)));
          for (const [turn, change] of changes.entries()) {
            make(change);
            const mine = gaps[turn % gaps.length]!;
            if (mine === 3) continue;
            if (mine === 0) rows.append(moreRows(model, 1, turn));
            else {
              dict.set(`mine ${mine}`, turn);
              model.set(`mine ${mine}`, turn);
            }
          }
          expectText(stateText(dict), [stateText(model)], 'who looked ahead');
          const fresh = MmapDict.over(disk.open('dict', 'r'), { mode: 'r' });
          expectText(stateText(fresh), [stateText(model)], 'who opens it');
          expect(fresh.fsck().findings.filter(({ severity }) => severity !== 'info')).toEqual([]);
        },
      ),
      { numRuns: RUNS },
    );
    expect(ahead).toBeGreaterThan(RUNS / 4);
  });

  test('any two checks during a change that proceeds write by write: readers see the dict at one moment', () => {
    let met = 0;
    fc.assert(
      fc.property(
        lists((change) => change, 10),
        fc.array(observed, { minLength: 1, maxLength: 12 }),
        fc.constantFrom(0, 16_384),
        fc.constantFrom(3, KEYS),
        fc.array(fc.nat(7), { minLength: 1, maxLength: 20 }),
        (changes, operations, standingIndex, count, strides) => {
          const { images, states } = recorded(changes, standingIndex, count);
          const playback = new Playback(images);
          let looks = 0;
          // At more than half of the checks nothing has happened.
          const stride = (): number => {
            const next = strides[looks++ % strides.length]!;
            return next <= 3 ? next : 0;
          };
          /** States from before the image that was shown when the operation began to after the last one. */
          let possible: readonly Model[] = [];
          const during = <T>(operation: () => T): T => {
            const { shown: from, image } = playback;
            try {
              return playback.during(operation);
            } finally {
              if (playback.shown > from) met++;
              possible = states.slice(image.before, playback.image.after + 1);
            }
          };
          // A mapped array shows the bytes at its location when it is read: after a vacuum in place, anything.
          const moving = changes.some(({ kind }) => kind === 'vacuum in place');
          const text = (value: unknown): string =>
            value === undefined ? 'none' : moving && value instanceof NDArray ? `${value.shape}` : valueText(value);
          const textOf = (key: string) => (state: Model) => text(state.get(key));
          const expectOne = (found: string, textIn: (state: Model) => string, what: string): void =>
            expectText(found, [...new Set(possible.map(textIn))], what);
          const open = (): MmapDict => MmapDict.over(playback.open(stride), { mode: 'r' });
          const get = (key: string): void => {
            const value = during(() => dict.get(key));
            expectOne(text(value), textOf(key), key);
          };
          let dict = open();
          const rows = dict.get(ROWS) as unknown as Rows;
          for (const { kind, key: number, later } of operations) {
            if (later) vi.setSystemTime(Date.now() + 1);
            const key = `key ${number}`;
            if (kind === 'get') get(key);
            else if (kind === 'get rows') get(ROWS);
            else if (kind === 'has')
              expectOne(String(during(() => dict.has(key))), (state) => String(state.has(key)), key);
            else if (kind === 'rows') {
              during(() => void rows.refresh());
              expectOne(text(rows), textOf(ROWS), ROWS);
            } else if (kind === 'keys') {
              const keys = new Set(during(() => [...dict.keys()]));
              for (const name of new Set([...keys, ...possible.flatMap((state) => [...state.keys()])])) {
                expectOne(String(keys.has(name)), (state) => String(state.has(name)), `keys: ${name}`);
              }
            } else if (kind === 'open') dict = during(open);
            else for (const name of states[0]!.keys()) get(name);
          }
          playback.show(images.length - 1);
          rows.refresh();
          expect(valueText(rows)).toBe(valueText(states.at(-1)!.get(ROWS)));
          expectText(stateText(dict), [stateText(states.at(-1)!)], 'who was looking');
        },
      ),
      { numRuns: RUNS },
    );
    expect(met).toBeGreaterThan(RUNS);
  });
});
