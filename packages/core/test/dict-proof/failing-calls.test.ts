/** A handle whose calls of the file fail now and then, beside one whose calls do not. */
import fc from 'fast-check';
import { beforeEach, expect, test, vi } from 'vitest';
import { type GrowableArray, MmapDict } from '../../src/dict/index.ts';
import { isMmdError, MmdError } from '../../src/errors.ts';
import { ndarray } from '../../src/ndarray/index.ts';
import { MemoryDisk, MemoryFile, type StorageFile } from '../../src/storage/index.ts';
import { FILE_CHANGES, FILE_LOOKS, preceded } from '../../src/testing/index.ts';
import { stateText } from './canonical.ts';

const RUNS = process.env.MMDPICKLE_LONG === '1' ? 10_000 : 100;
const ROWS = 'rows';
const NAME = 'dict';
const fresh = { arraySource: true, dtype: 'float64', shape: [0], capacity: 4 } as const;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['Date'] });
  return () => void vi.useRealTimers();
});

/** Calls that fail, and up to how many of them pass between two that do. */
const CALLS: Readonly<Record<string, readonly [names: readonly (keyof StorageFile)[], most: number]>> = {
  read: [FILE_LOOKS, 60],
  'take a lock, or open': [['lock', 'open', 'identity', 'identityOfName', 'removed'], 8],
  write: [FILE_CHANGES, 12],
  anything: [[...FILE_LOOKS, ...FILE_CHANGES, 'lock', 'open'], 60],
};

type Act = (dict: MmapDict, key: string, n: number) => unknown;
const append =
  (count: number): Act =>
  (dict) =>
    (dict.get(ROWS) as GrowableArray).append(new Float64Array(count));

const CHANGES: Readonly<Record<string, Act>> = {
  set: (dict, key, n) => dict.set(key, n),
  'set a list': (dict, key, n) =>
    dict.set(
      key,
      Array.from({ length: n % 50 }, () => n),
    ),
  array: (dict, key, n) => dict.set(key, ndarray(Float64Array.from({ length: n % 9 }, () => n))),
  delete: (dict, key) => dict.delete(key),
  batch: (dict, key, n) => dict.batch(() => dict.set(`${key}!`, n).set('both', n).delete(key)),
  rows: append(3),
  'many rows': append(700),
  'new rows': (dict) => dict.set(ROWS, fresh),
  seal: (dict) => (dict.get(ROWS) as GrowableArray).seal(),
  rename: (dict, key, n) => dict.rename(key, `renamed ${n}`),
  reclaim: (dict) => dict.reclaim(),
  'vacuum in place': (dict) => dict.vacuum({ inPlace: true }),
  vacuum: (dict) => dict.vacuum(),
};

/** What a handle is asked, as text. */
const QUESTIONS: Readonly<Record<string, Act>> = {
  get: (dict, key) => stateText(dict.has(key) ? [[key, dict.get(key)]] : []),
  has: (dict, key) => dict.has(key),
  size: (dict) => dict.size,
  keys: (dict) => [...dict.keys()].sort().join(),
  all: (dict) => stateText(dict),
  meta: (dict, key) => JSON.stringify([dict.getMeta(key)?.kind, dict.getMeta(key)?.shape]),
  'meta of rows': (dict) => JSON.stringify(dict.getMeta(ROWS)?.shape),
  rows: (dict) => (dict.get(ROWS) as GrowableArray | undefined)?.shape[0],
};

const step = fc.record({
  /** Whether the handle with failing reads does it. */
  flawed: fc.boolean(),
  change: fc.constantFrom(...Object.keys(CHANGES)),
  question: fc.constantFrom(...Object.keys(QUESTIONS)),
  key: fc.nat(12),
  n: fc.nat(999),
  /** A millisecond passes first: handles check size and identity at most once per millisecond. */
  later: fc.boolean(),
});

test.each(Object.keys(CALLS))(
  'whatever call to %s fails, a handle throws that error or is right, and is right afterwards',
  (name) => {
    const [names, most] = CALLS[name]!;
    let failures = 0;
    let answers = 0;
    fc.assert(
      fc.property(
        fc.array(step, { minLength: 1, maxLength: 25 }),
        fc.array(fc.nat(most), { minLength: 1, maxLength: 12 }),
        fc.constantFrom(0, 16_384),
        fc.boolean(),
        (steps, failing, standingIndex, indexed) => {
          const disk = new MemoryDisk();
          const whole = MmapDict.over(disk.open(NAME, 'create-new'), { standingIndex });
          for (let i = 0; i < 70; i += 1) whole.set(`key ${i % 40}`, i);
          whole.set(ROWS, fresh);
          let sound = whole;
          if (indexed) {
            whole.close();
            sound = MmapDict.over(disk.open(NAME, 'r+'), { standingIndex });
          }
          const due = [...failing];
          let calls = 0;
          let sure = true;
          const file = preceded(disk.open(NAME, 'r+'), names, () => {
            if (sure || calls++ !== due[0]) return;
            due.shift();
            calls = 0;
            throw new MmdError('IO', `${NAME}: EIO, input/output error`, { errno: 'EIO' });
          });
          const flawed = MmapDict.over(file, { standingIndex });
          /** What a handle says that has only just been opened. */
          const now = <T>(ask: (dict: MmapDict) => T): T => {
            using other = MmapDict.over(disk.open(NAME, 'r'), { mode: 'r' });
            return ask(other);
          };
          const stateNow = (): string => now(stateText);
          /** Returns what the handle answers; undefined if a read failed. */
          const tried = (work: () => unknown): { readonly answer: unknown } | undefined => {
            sure = false;
            try {
              return { answer: work() };
            } catch (error) {
              if (!isMmdError(error, 'IO')) throw error;
              failures += 1;
              return undefined;
            } finally {
              sure = true;
            }
          };
          for (const { flawed: itself, change, question, key: number, n, later } of steps) {
            if (later) vi.setSystemTime(Date.now() + 1);
            const key = `key ${number}`;
            const act = CHANGES[change]!;
            const possible = (dict: MmapDict): boolean =>
              (change !== 'rename' || (dict.has(key) && !dict.has(`renamed ${n}`))) &&
              (!['rows', 'many rows', 'seal'].includes(change) || 'append' in (dict.get(ROWS) as object));
            if (!now(possible)) continue;
            if (itself) {
              const before = stateNow();
              const twin = MmapDict.over(MemoryFile.of(disk.open(NAME, 'r').toBytes()));
              act(twin, key, n);
              const changed = stateText(twin);
              const done = tried(() => act(flawed, key, n));
              expect(done === undefined ? [before, changed] : [changed], `${change} ${key}`).toContain(stateNow());
            } else act(sound, key, n);
            const asked = tried(() => QUESTIONS[question]!(flawed, key, n));
            if (asked === undefined) continue;
            answers += 1;
            expect(asked.answer, `${question} ${key}`).toBe(now((other) => QUESTIONS[question]!(other, key, n)));
          }
          expect(stateText(flawed)).toBe(stateNow());
          // If it could not announce its last commit, the next one tells other handles.
          sound.set('last', 1);
          for (const dict of [sound, flawed]) expect(stateText(dict)).toBe(stateNow());
          flawed.set('last', 2);
          for (const dict of [sound, flawed]) expect(stateText(dict)).toBe(stateNow());
        },
      ),
      { numRuns: RUNS },
    );
    expect(failures).toBeGreaterThan(RUNS / 2);
    expect(answers).toBeGreaterThan(RUNS);
  },
);
