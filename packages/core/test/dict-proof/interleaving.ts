/**
 * Changes to a dict and to a model of it, a handle that makes them, and what other handles see of them: for tests in which
 * several handles share one file in memory, so that every moment can be reached, and reproduced.
 */
import * as fc from 'fast-check';
import { vi } from 'vitest';
import { MmapDict } from '../../src/dict/index.ts';
import { isMmdError } from '../../src/errors.ts';
import { type NDArray, ndarray } from '../../src/ndarray/index.ts';
import { MemoryDisk, type StorageFile } from '../../src/storage/index.ts';
import { FILE_CHANGES, type Image, Playback, preceded, Recording } from '../../src/testing/index.ts';
import { type Growable, growable } from './operations.ts';

/** Number of keys: enough for an index. */
export const KEYS = 66;
export const ROWS = 'rows';

export type Model = Map<string, unknown>;
export interface Rows extends Growable {
  refresh(): boolean;
}

/** Adds rows to the model, and returns them. */
export function moreRows(model: Model, count: number, first: number): Float64Array {
  const rows = Float64Array.from({ length: count }, (_, i) => first + i / 1024);
  const old = [...(model.get(ROWS) as NDArray).bytes()].map((part) => part.slice());
  model.set(
    ROWS,
    ndarray(new Float64Array(Uint8Array.from(Buffer.concat([...old, new Uint8Array(rows.buffer)])).buffer)),
  );
  return rows;
}

/** The changes that handles make to the file, and to a model of it. */
export const CHANGES = {
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
    // Whether the name still refers to the file is checked once per millisecond.
    vi.setSystemTime(Date.now() + 1);
  },
  'vacuum in place': (dict) => void dict.vacuum({ inPlace: true }),
} satisfies Record<string, (dict: MmapDict, model: Model, key: string, turn: number) => void>;

/** Accepts a change and does nothing, so that only the model changes. */
export const NOBODY = new Proxy({} as MmapDict, {
  get(_, name) {
    if (name === 'batch') return () => undefined;
    if (name === 'get') return () => ({ append: () => undefined, seal: () => undefined });
    return () => NOBODY;
  },
});

export interface Change {
  readonly kind: keyof typeof CHANGES;
  readonly key: number;
  /** Whether the handle is closed after the change, which leaves an index. */
  readonly closed: boolean;
}

const changeOf = (kinds: readonly Change['kind'][], closed: fc.Arbitrary<boolean>): fc.Arbitrary<Change> =>
  fc.record({ kind: fc.constantFrom(...kinds), key: fc.nat(KEYS + 5), closed });
/** Any changes, or only those that leave the growable array at the end, where it grows in place. */
const CHANGE_LISTS = [
  changeOf(Object.keys(CHANGES) as Change['kind'][], fc.boolean()),
  changeOf(['rows', 'many rows', 'many rows', 'seal', 'new rows'], fc.constant(false)),
] as const;
export const lists = <T>(
  element: (change: fc.Arbitrary<Change>) => fc.Arbitrary<T>,
  maxLength: number,
): fc.Arbitrary<T[]> =>
  fc.oneof(...CHANGE_LISTS.map((change) => fc.array(element(change), { minLength: 1, maxLength })));

/** A file with growable rows at its end, and a handle that changes it without waiting for the lock. */
export function scene(standingIndex: number, count: number) {
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
  let reopen = (): MmapDict => open();
  let other = reopen();
  /** Makes the change with the other handle. Returns false if the file is locked. */
  const make = ({ kind, key, closed }: Change): boolean => {
    const next = new Map(model);
    try {
      CHANGES[kind](other, next, `key ${key}`, ++turn);
      if (closed) {
        other.close();
        other = reopen();
      }
    } catch (error) {
      if (isMmdError(error, 'LOCKED')) return false;
      throw error;
    }
    model.clear();
    for (const [name, value] of next) model.set(name, value);
    return true;
  };
  return { disk, model, open, make, another: (give: () => MmapDict) => void (other = (reopen = give)()) };
}

/** Every image of a file while it is changed, and the states before and after each change. */
export function recorded(changes: readonly Change[], standingIndex: number, count: number) {
  const { disk, model, make, another } = scene(standingIndex, count);
  const states: Model[] = [new Map(model)];
  const recording = new Recording(disk, 'dict');
  another(() => MmapDict.over(recording.open(), { standingIndex, lockTimeout: 0 }));
  for (const change of changes) {
    // The writes to a new file, which a vacuum makes under another name, are not recorded.
    make({ ...change, kind: change.kind === 'vacuum' ? 'set' : change.kind });
    states.push(new Map(model));
    recording.done();
  }
  return { images: recording.images, states };
}

/** Whether no change is in progress in an image. */
export function isWhole({ before, after }: Image): boolean {
  return before === after;
}

/** When the surviving handle opened and refreshed the file, and when the other one died, as image numbers. */
export interface Fate {
  readonly standingIndex: number;
  readonly opened: number;
  /** When it refreshed: under the lock, while no change was in progress, or without the lock. */
  readonly looked: number;
  readonly locked: boolean;
  readonly death: number;
  /** Whether it has read all values. */
  readonly warm?: boolean;
}

/** A handle that was open when another one was killed, on the file as that one left it. */
export function survivor(images: readonly Image[], { standingIndex, opened, looked, locked, death, warm }: Fate) {
  const playback = new Playback(images);
  const { disk } = playback;
  playback.show(opened);
  /** What the file holds before each of its writes. */
  const seen: Uint8Array[] = [];
  const dict = MmapDict.over(
    preceded(disk.open('dict', 'r+'), FILE_CHANGES, () => seen.push(disk.open('dict', 'r').toBytes())),
    { standingIndex, lockTimeout: 0 },
  );
  const rows = dict.get(ROWS) as unknown as Rows;
  if (warm) for (const key of dict.keys()) dict.get(key);
  playback.show(looked);
  if (locked) dict.batch(() => undefined);
  else dict.refresh();
  playback.show(death);
  return { disk, dict, rows, seen };
}
