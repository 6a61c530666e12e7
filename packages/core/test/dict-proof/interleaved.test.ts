/**
 * Handles that come in between: others change the file between any two looks that one operation takes at it, and look at it
 * between any two writes of a change. The file is in memory, so that each such moment is met, and met again.
 */
import { pythons } from '@mmdpickle/test-support';
import * as fc from 'fast-check';
import { afterAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { MmapDict } from '../../src/dict/index.ts';
import { isMmdError } from '../../src/errors.ts';
import { NDArray, ndarray } from '../../src/ndarray/index.ts';
import { MemoryDisk, type StorageFile } from '../../src/storage/index.ts';
import { stateText, valueText } from './canonical.ts';
import { expectText } from './crash-harness.ts';
import { Judge } from './judge.ts';
import { type Growable, growable } from './operations.ts';

const LONG = process.env.MMDPICKLE_LONG === '1';
const RUNS = LONG ? 20_000 : 400;
/** Enough for an index. */
const KEYS = 66;
const ROWS = 'rows';
/** What asks the file for something. */
const LOOKING: readonly PropertyKey[] = ['read', 'size', 'loadI32', 'loadI64', 'identity', 'identityOfName', 'map'];
/** What changes it. */
const CHANGING: readonly PropertyKey[] = [
  'write',
  'writeParts',
  'copyFrom',
  'truncate',
  'storeI32',
  'storeI64',
  'storePair',
];

type Model = Map<string, unknown>;
interface Rows extends Growable {
  refresh(): boolean;
}

const judge = new Judge(pythons());
afterAll(() => judge[Symbol.asyncDispose]());
beforeEach(() => {
  vi.useFakeTimers({ toFake: ['Date'] });
  return () => void vi.useRealTimers();
});

/** The file, with a call before each call of one of its functions. */
function preceded(file: StorageFile, names: readonly PropertyKey[], call: (name: PropertyKey) => void): StorageFile {
  return new Proxy(file, {
    get(target, name) {
      const value = Reflect.get(target, name, target) as unknown;
      if (typeof value !== 'function') return value;
      if (name === 'open')
        return (...args: Parameters<StorageFile['open']>) => preceded(target.open(...args), names, call);
      return (...args: unknown[]) => {
        if (names.includes(name)) call(name);
        return Reflect.apply(value, target, args) as unknown;
      };
    },
  });
}

function moreRows(model: Model, count: number, first: number): Float64Array {
  const rows = Float64Array.from({ length: count }, (_, i) => first + i / 1024);
  const old = [...(model.get(ROWS) as NDArray).bytes()].map((part) => part.slice());
  model.set(
    ROWS,
    ndarray(new Float64Array(Uint8Array.from(Buffer.concat([...old, new Uint8Array(rows.buffer)])).buffer)),
  );
  return rows;
}

/** What handles do to the file, and to a model of it. */
const CHANGES = {
  set: (dict, model, key, turn) => {
    dict.set(key, turn);
    model.set(key, turn);
  },
  array: (dict, model, key, turn) => {
    dict.set(key, ndarray(new Float64Array([turn, 1])));
    model.set(key, ndarray(new Float64Array([turn, 1])));
  },
  delete: (dict, model, key) => {
    dict.delete(key);
    model.delete(key);
  },
  batch: (dict, model, key, turn) => {
    dict.batch(() => {
      dict.set(`${key}!`, turn).set('both', turn).delete(key);
    });
    model.set(`${key}!`, turn).set('both', turn).delete(key);
  },
  rows: (dict, model, _, turn) => {
    (dict.get(ROWS) as Growable).append(moreRows(model, 5, turn));
  },
  'many rows': (dict, model, _, turn) => {
    (dict.get(ROWS) as Growable).append(moreRows(model, 700, turn));
  },
  'new rows': (dict, model) => {
    dict.set(ROWS, growable([], 'float64', 4));
    model.set(ROWS, ndarray(new Float64Array(0)));
  },
  seal: (dict) => (dict.get(ROWS) as Growable).seal(),
  reclaim: (dict) => void dict.reclaim(),
  vacuum: (dict) => {
    dict.vacuum();
    // Whether the name still names the file is asked once a millisecond.
    vi.setSystemTime(Date.now() + 1);
  },
  'vacuum in place': (dict) => void dict.vacuum({ inPlace: true }),
} satisfies Record<string, (dict: MmapDict, model: Model, key: string, turn: number) => void>;

/** Takes a change and does nothing, so that the model alone changes. */
const NOBODY = new Proxy({} as MmapDict, {
  get(_, name) {
    if (name === 'batch') return () => undefined;
    if (name === 'get') return () => ({ append: () => undefined, seal: () => undefined });
    return () => NOBODY;
  },
});

interface Change {
  readonly kind: keyof typeof CHANGES;
  readonly key: number;
  /** The handle is closed after that, which leaves an index. */
  readonly closed: boolean;
}

const changeOf = (kinds: readonly Change['kind'][], closed: fc.Arbitrary<boolean>): fc.Arbitrary<Change> =>
  fc.record({ kind: fc.constantFrom(...kinds), key: fc.nat(KEYS + 5), closed });
/** Any changes, or such as leave the growable array at the end, where it grows in place. */
const CHANGE_LISTS = [
  changeOf(Object.keys(CHANGES) as Change['kind'][], fc.boolean()),
  changeOf(['rows', 'many rows', 'many rows', 'seal', 'new rows'], fc.constant(false)),
] as const;
const lists = <T>(element: (change: fc.Arbitrary<Change>) => fc.Arbitrary<T>, maxLength: number): fc.Arbitrary<T[]> =>
  fc.oneof(...CHANGE_LISTS.map((change) => fc.array(element(change), { minLength: 1, maxLength })));

/** A file with growable rows at its end, and who changes it without waiting for the lock. */
function scene(standingIndex: number, count: number) {
  const disk = new MemoryDisk();
  const model: Model = new Map();
  const options = { standingIndex, lockTimeout: 0 };
  {
    using dict = MmapDict.over(disk.open('dict', 'create-new'), options);
    dict.batch(() => {
      for (let i = 0; i < count; i++) {
        dict.set(`key ${i}`, i);
        model.set(`key ${i}`, i);
      }
    });
    CHANGES['new rows'](dict, model);
  }
  const open = (wrap: (file: StorageFile) => StorageFile = (file) => file): MmapDict =>
    MmapDict.over(wrap(disk.open('dict', 'r+')), options);
  let turn = 0;
  let other = open();
  /** Does the change with another handle. Returns false where it is locked out. */
  const make = ({ kind, key, closed }: Change): boolean => {
    const next = new Map(model);
    try {
      CHANGES[kind](other, next, `key ${key}`, ++turn);
      if (closed) {
        other.close();
        other = open();
      }
    } catch (error) {
      if (isMmdError(error, 'LOCKED')) return false;
      throw error;
    }
    model.clear();
    for (const [name, value] of next) model.set(name, value);
    return true;
  };
  return { disk, model, open, make, another: (dict: MmapDict) => void (other = dict) };
}

test('a handle that an array grows under, at whichever of its looks, loses none of its rows when it writes next', () => {
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
  for (const [operation, next] of operations.flatMap((one) => operations.map((other) => [one, other] as const))) {
    for (let nth = 1, reached = true; reached; nth++) {
      reached = false;
      const { disk, model, open, make } = scene(16_384, 3);
      let looks = -Infinity;
      const dict = open((file) =>
        preceded(file, LOOKING, () => {
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
        const theirs = [...found].filter((value) => value !== 0.5);
        expect(valueText(ndarray(Float64Array.from(theirs as number[])))).toBe(valueText(model.get(ROWS)));
        expect(one.get('key 2')).toBe(2);
      }
    }
  }
  expect(met).toBeGreaterThan(operations.length ** 2);
});

/** A file between two writes of a change. */
interface Image {
  readonly bytes: Uint8Array;
  /** Numbers of the states that it may stand for. */
  readonly before: number;
  readonly after: number;
  /** No change is going on. */
  readonly whole: boolean;
}

/** Every image of a file while it is changed, and the states before and after each change. */
function recorded(changes: readonly Change[], standingIndex: number, count: number) {
  const { disk, model, open, make, another } = scene(standingIndex, count);
  const states: Model[] = [new Map(model)];
  const images: Image[] = [];
  const take = (whole: boolean): void => {
    const before = states.length - 1;
    images.push({ bytes: disk.open('dict', 'r').toBytes(), before, after: whole ? before : before + 1, whole });
  };
  take(true);
  another(open((file) => preceded(file, [...CHANGING, 'punchHole', 'allocate'], () => take(false))));
  for (const change of changes) {
    // A file of another name is not to be seen write by write.
    make({ ...change, kind: change.kind === 'vacuum' ? 'set' : change.kind, closed: false });
    states.push(new Map(model));
    take(true);
  }
  return { images, states };
}

test('what a killed writer had replaced does not come back by a delete of who had opened the file by its index', () => {
  const key = 'key 60';
  const ways: readonly ((dict: MmapDict, reopened: () => MmapDict) => unknown)[] = [
    (dict) => dict.delete(key),
    (dict) => dict.set(key, 'mine').delete(key),
    (dict) => dict.batch(() => dict.set(key, 'mine').delete(key)),
    (dict, reopened) => {
      dict.set('other', 1).close();
      reopened().delete(key);
    },
    (dict) => {
      dict.set('other', 1).rename(key, 'elsewhere');
      dict.delete('elsewhere');
    },
    (dict) => dict.size > 0 && dict.delete(key),
    (dict) => dict.batch(() => [...dict.keys()].length > 0 && dict.delete(key)),
  ];
  for (const standingIndex of [0, 16_384]) {
    const { images } = recorded([{ kind: 'set', key: 60, closed: false }], standingIndex, KEYS);
    expect(images.length).toBeGreaterThan(4);
    for (const { bytes } of images) {
      for (const [way, go] of ways.entries()) {
        const disk = new MemoryDisk();
        const screen = disk.open('dict', 'create-new');
        screen.write(0, images[0]!.bytes);
        const open = (): MmapDict => MmapDict.over(disk.open('dict', 'r+'), { standingIndex });
        const dict = open();
        expect(dict.get('key 1')).toBe(1);
        screen.truncate(bytes.length);
        screen.write(0, bytes);
        go(dict, open);
        const fresh = open();
        expect(fresh.has(key), `way ${way}`).toBe(false);
        expect([...fresh.keys()]).not.toContain(key);
      }
    }
  }
});

/** When who goes on had the file open, and the other one died: numbers of images. */
interface Fate {
  readonly standingIndex: number;
  readonly opened: number;
  /** When it looked again: under the lock, while nothing went on, or without it. */
  readonly looked: number;
  readonly locked: boolean;
  readonly death: number;
  /** It has read all values. */
  readonly warm?: boolean;
}

/** A handle that was open when another one was killed, in the file as that one left it. */
function survivor(images: readonly Image[], { standingIndex, opened, looked, locked, death, warm }: Fate) {
  const disk = new MemoryDisk();
  const screen = disk.open('dict', 'create-new');
  const show = (number: number): void => {
    const { bytes } = images[number]!;
    screen.truncate(bytes.length);
    screen.write(0, bytes);
  };
  show(opened);
  /** What the file holds before each of its writes. */
  const seen: Uint8Array[] = [];
  const dict = MmapDict.over(
    preceded(disk.open('dict', 'r+'), CHANGING, () => seen.push(disk.open('dict', 'r').toBytes())),
    { standingIndex, lockTimeout: 0 },
  );
  const rows = dict.get(ROWS) as unknown as Rows;
  if (warm) for (const key of dict.keys()) dict.get(key);
  show(looked);
  if (locked) dict.batch(() => undefined);
  else dict.refresh();
  show(death);
  return { disk, dict, rows, seen };
}

test('whenever a handle looked last, and whenever another one was killed then, its next change meets nothing half done', async () => {
  const changed = (...kinds: Change['kind'][]): Change[] => kinds.map((kind) => ({ kind, key: 0, closed: false }));
  const histories = [
    changed('rows', 'seal'),
    changed('rows', 'many rows'),
    changed('many rows', 'many rows'),
    changed('set', 'set'),
    changed('delete'),
    changed('batch', 'set'),
  ];
  const next: readonly Change['kind'][] = ['set', 'rows', 'many rows', 'seal', 'delete', 'batch'];
  for (const history of histories) {
    const { images, states } = recorded(history, 16_384, 3);
    for (const [death, { before, after }] of images.entries()) {
      for (let looked = 0; looked <= death; looked++) {
        for (const locked of images[looked]!.whole ? [false, true] : [false]) {
          for (const kind of next) {
            const fate = { standingIndex: 16_384, opened: 0, looked, locked, death };
            const { disk, dict, seen } = survivor(images, fate);
            const possible = states.slice(before, after + 1);
            const done = possible.map((state) => new Map(state));
            CHANGES[kind](dict, new Map(possible[0]), 'key 1', 9);
            for (const model of done) CHANGES[kind](NOBODY, model, 'key 1', 9);
            const what = `${kind} after ${history.map((one) => one.kind).join()}, ${looked} ${death}`;
            expectText(stateText(dict), done.map(stateText), what);
            const fresh = MmapDict.over(disk.open('dict', 'r'), { mode: 'r' });
            expectText(stateText(fresh), [stateText(dict)], what);
            const texts = [...possible, ...done].map(stateText);
            for (const image of seen) await judge.add(image, '', (text) => expectText(text, texts, what));
            await judge.add(disk.open('dict', 'r').toBytes(), '', (text) => expectText(text, texts, what));
          }
        }
      }
    }
  }
  await judge.finish();
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

describe('others that come in between', () => {
  test('any two looks of one operation: it sees the dict as it was at one moment, and nothing is lost', () => {
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
            preceded(file, LOOKING, () => {
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
              // One that came or went meanwhile may be among them or not.
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
              // Whether others appended before or after is not told: it is there once, and last or where they began.
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
          another(open((file) => preceded(file, CHANGING, look)));
          for (const one of changes) {
            before = new Map(model);
            seen = [];
            make({ ...one, closed: false });
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

  test('any two looks at a change that goes on write by write meanwhile: readers see the dict as it was at one moment', () => {
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
          const disk = new MemoryDisk();
          const screen = disk.open('dict', 'create-new');
          let shown = -1;
          const show = (number: number): void => {
            if (number === shown || number >= images.length) return;
            shown = number;
            screen.truncate(images[shown]!.bytes.length);
            screen.write(0, images[shown]!.bytes);
          };
          show(0);
          let armed = false;
          let looks = 0;
          let locks = 0;
          const wrap = (file: StorageFile): StorageFile =>
            preceded(file, [...LOOKING, 'lock', 'unlock'], (name) => {
              if (!armed) return;
              if (name === 'unlock') locks--;
              else if (name === 'lock') {
                locks++;
                // The writer has let go of it.
                show(images.findIndex(({ whole }, number) => whole && number >= shown));
              } else if (locks === 0) {
                const stride = strides[looks++ % strides.length]!;
                if (stride <= 3) show(Math.min(shown + stride, images.length - 1));
              }
            });
          /** States from that before the image which was shown when the operation began to that after the last one. */
          let possible: readonly Model[] = [];
          const during = <T>(operation: () => T): T => {
            const from = shown;
            armed = true;
            try {
              return operation();
            } finally {
              armed = false;
              if (shown > from) met++;
              possible = states.slice(images[from]!.before, images[shown]!.after + 1);
            }
          };
          // A mapped array shows what stands there when it is read: after a vacuum in place, anything.
          const moving = changes.some(({ kind }) => kind === 'vacuum in place');
          const text = (value: unknown): string =>
            value === undefined ? 'none' : moving && value instanceof NDArray ? `${value.shape}` : valueText(value);
          const textOf = (key: string) => (state: Model) => text(state.get(key));
          const expectOne = (found: string, textIn: (state: Model) => string, what: string): void =>
            expectText(found, [...new Set(possible.map(textIn))], what);
          const open = (): MmapDict => MmapDict.over(wrap(disk.open('dict', 'r')), { mode: 'r' });
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
          show(images.length - 1);
          rows.refresh();
          expect(valueText(rows)).toBe(valueText(states.at(-1)!.get(ROWS)));
          expectText(stateText(dict), [stateText(states.at(-1)!)], 'who was looking');
        },
      ),
      { numRuns: RUNS },
    );
    expect(met).toBeGreaterThan(RUNS);
  });

  test('a change of a writer that is killed at any of its writes: who had the file open goes on, and nothing is lost', {
    timeout: 600_000,
  }, async () => {
    let killed = 0;
    let judged = 0;
    await fc.assert(
      fc.asyncProperty(
        lists((change) => change, 10),
        lists((change) => change, 8),
        fc.array(observed, { maxLength: 6 }),
        fc.constantFrom(0, 16_384),
        fc.constantFrom(3, KEYS),
        fc.nat(),
        fc.nat(),
        fc.boolean(),
        fc.boolean(),
        async (changes, later, looks, standingIndex, count, first, last, warm, locked) => {
          const { images, states } = recorded(changes, standingIndex, count);
          // Opened while nothing was going on; it looks at the file once more before the other one is killed.
          const wholes = images.map(({ whole }, number) => (whole ? number : -1)).filter((number) => number >= 0);
          const opened = wholes[first % wholes.length]!;
          const death = opened + (last % (images.length - opened));
          const between = images.flatMap(({ whole }, number) =>
            number >= opened && number <= death && (!locked || whole) ? [number] : [],
          );
          const looked = between[(first >> 3) % between.length]!;
          const { disk, dict, rows, seen } = survivor(images, { standingIndex, opened, looked, locked, warm, death });
          if (!images[death]!.whole) killed++;
          const possible = states.slice(images[death]!.before, images[death]!.after + 1);
          if (last % 2 === 0) vi.setSystemTime(Date.now() + 1);
          for (const { kind, key: number } of looks) {
            const key = `key ${number}`;
            const text = (state: Model): string => (state.has(key) ? valueText(state.get(key)) : 'none');
            if (kind === 'rows') {
              rows.refresh();
              const texts = possible.map((state) => valueText(state.get(ROWS)));
              expectText(valueText(rows), texts, ROWS);
            } else if (kind === 'has')
              expectText(
                String(dict.has(key)),
                possible.map((state) => String(state.has(key))),
                key,
              );
            else if (kind === 'all') expectText(stateText(dict), possible.map(stateText), 'all');
            else expectText(dict.has(key) ? valueText(dict.get(key)) : 'none', possible.map(text), key);
          }
          // Which of the two it is may not be asked before: the first change has to find out.
          let models = possible.map((state) => new Map(state));
          for (const [turn, { kind, key, closed }] of later.entries()) {
            const next = models.map((model) => new Map(model));
            const scratch = new Map(next[0]);
            seen.length = 0;
            CHANGES[kind](dict, scratch, `key ${key}`, 1000 + turn);
            for (const model of next) CHANGES[kind](NOBODY, model, `key ${key}`, 1000 + turn);
            const texts = [...models, ...next].map(stateText);
            models = next;
            for (const image of seen) {
              if (LONG && ++judged % 16 !== 0) continue;
              await judge.add(image, '', (text) => expectText(text, texts, `stock Python during ${kind}`));
            }
            if (closed)
              expectText(stateText(MmapDict.over(disk.open('dict', 'r'), { mode: 'r' })), models.map(stateText), kind);
          }
          const found = stateText(dict);
          expectText(found, models.map(stateText), 'who goes on');
          const fresh = MmapDict.over(disk.open('dict', 'r'), { mode: 'r' });
          expectText(stateText(fresh), [found], 'who opens it');
          // What it replaced may live on, hidden by its successor, and what it wrote last lie behind the terminator.
          const harmless = new Set(['shadowed-entry', 'unclaimed-bytes']);
          const severe = fresh
            .fsck()
            .findings.filter(({ severity, code }) => severity !== 'info' && !harmless.has(code));
          expect(later.length === 0 ? [] : severe).toEqual([]);
        },
      ),
      { numRuns: RUNS },
    );
    await judge.finish();
    expect(judge.distinct).toBeGreaterThan(RUNS);
    expect(killed).toBeGreaterThan(RUNS / 2);
  });
});
