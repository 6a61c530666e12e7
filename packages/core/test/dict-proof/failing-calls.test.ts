/** A handle whose calls of the file fail now and then, beside one whose calls do not. */
import fc from 'fast-check';
import { beforeEach, expect, test, vi } from 'vitest';
import { DictReader, type GrowableArray, type GrowableMaskedArray, MmapDict } from '../../src/dict/index.ts';
import { isMmdError, MmdError } from '../../src/errors.ts';
import { ndarray } from '../../src/ndarray/index.ts';
import { bytesSource, MemoryDisk, MemoryFile, type StorageFile } from '../../src/storage/index.ts';
import { FILE_CHANGES, FILE_LOOKS, preceded } from '../../src/testing/index.ts';
import { stateText } from './canonical.ts';

const RUNS = process.env.MMDPICKLE_LONG === '1' ? 10_000 : 30;
const ROWS = 'rows';
const MASKED = 'masked';
const NAME = 'dict';
const fresh = { arraySource: true, dtype: 'float64', shape: [0], capacity: 4 } as const;
const freshMasked = { ...fresh, mask: { arraySource: true, dtype: 'bool', shape: [0] } } as const;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['Date'] });
  return () => void vi.useRealTimers();
});

/** Calls that fail, and up to how many of them pass between two that do. */
const CALLS: Readonly<Record<string, readonly [names: readonly (keyof StorageFile)[], most: number]>> = {
  read: [FILE_LOOKS, 60],
  'take a lock, or open': [['lock', 'open', 'identity', 'identityOfName', 'removed'], 8],
  write: [FILE_CHANGES, 12],
  map: [['map'], 3],
  anything: [[...FILE_LOOKS, ...FILE_CHANGES, 'lock', 'open'], 60],
};

type Growable = GrowableArray | GrowableMaskedArray;

/** The growable array with the key: one that has been held for long, or the dict's. */
type Grown = (key: string) => Growable;

/** @param attempt - runs what may fail without ending a batch */
type Act = (dict: MmapDict, key: string, n: number, grown: Grown, attempt: (work: () => unknown) => void) => unknown;

const grownOf = (dict: MmapDict): Grown => {
  return (key) => dict.get(key) as Growable;
};
const append =
  (to: string, count: number): Act =>
  (_dict, _key, n, grown) =>
    grown(to).append(new Float64Array(count).fill(n));

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
  'batch that looks around': (dict, key, n, _grown, attempt) =>
    dict.batch(() => {
      dict.delete(key);
      attempt(() => dict.size);
      if (dict.has(key)) dict.set('deleted, but there', n);
      dict.set(key, n);
      attempt(() => [...dict.keys()]);
    }),
  rows: append(ROWS, 3),
  'many rows': append(ROWS, 700),
  'masked rows': append(MASKED, 3),
  'many masked rows': append(MASKED, 400),
  'batch of rows': (dict, key, n, grown) =>
    dict.batch(() => {
      for (const to of [ROWS, MASKED, ROWS]) grown(to).append(new Float64Array(2).fill(n));
      dict.set(key, n);
    }),
  'new rows': (dict) => dict.set(ROWS, fresh),
  'seal rows': (_dict, _key, _n, grown) => grown(ROWS).seal(),
  'seal with checksums': (dict) => dict.seal({ checksums: true }),
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
  rows: (_dict, _key, _n, grown) => textOf(grown(ROWS)),
  'masked rows': (_dict, _key, _n, grown) => textOf(grown(MASKED)),
};

function textOf(array: Growable): string {
  array.refresh();
  return stateText([['', array]]);
}

const step = fc.record({
  /** Whether the handle with failing calls does it. */
  flawed: fc.boolean(),
  /** Before that, it gets growable arrays, and holds them from then on. */
  hold: fc.nat(5).map((n) => n === 0),
  /** After that, it looks at what others appended, as it does while it waits for the lock. */
  ahead: fc.boolean(),
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
          whole.set(ROWS, fresh).set(MASKED, freshMasked);
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
            const outer = sure;
            sure = false;
            try {
              return { answer: work() };
            } catch (error) {
              // A batch goes on after a failure that its function catches, but may be unable to commit.
              const broken = isMmdError(error, 'UNSUPPORTED_VALUE') && error.message.includes('halfway');
              if (!isMmdError(error, 'IO') && !broken) throw error;
              failures += 1;
              return undefined;
            } finally {
              sure = outer;
            }
          };
          const held = new Map<string, Growable>();
          const heldOr: Grown = (key) => held.get(key) ?? (flawed.get(key) as Growable);
          for (const { flawed: itself, hold, ahead, change, question, key: number, n, later } of steps) {
            if (later) vi.setSystemTime(Date.now() + 1);
            const key = `key ${number}`;
            const act = CHANGES[change]!;
            if (change === 'rename' && now((dict) => !dict.has(key) || dict.has(`renamed ${n}`))) continue;
            if (hold) tried(() => [ROWS, MASKED].map((name) => held.set(name, flawed.get(name) as Growable)));
            if (itself) {
              const before = stateNow();
              const twin = MmapDict.over(MemoryFile.of(disk.open(NAME, 'r').toBytes()));
              act(twin, key, n, grownOf(twin), (work) => work());
              const changed = stateText(twin);
              const done = tried(() => act(flawed, key, n, heldOr, tried));
              expect(done === undefined ? [before, changed] : [changed], `${change} ${key}`).toContain(stateNow());
            } else act(sound, key, n, grownOf(sound), (work) => work());
            if (ahead) tried(() => flawed.core.store.lookAhead());
            const ask = (dict: MmapDict, grown: Grown): unknown =>
              QUESTIONS[question]!(dict, key, n, grown, (work) => work());
            const asked = tried(() => ask(flawed, heldOr));
            if (asked === undefined) continue;
            answers += 1;
            expect(asked.answer, `${question} ${key}`).toBe(now((other) => ask(other, grownOf(other))));
          }
          expect(stateText(flawed)).toBe(stateNow());
          for (const [key, array] of held) expect(textOf(array)).toBe(now((other) => textOf(grownOf(other)(key))));
          // If it could not announce its last commit, the next one tells other handles.
          sound.set('last', 1);
          for (const dict of [sound, flawed]) expect(stateText(dict)).toBe(stateNow());
          flawed.set('last', 2);
          for (const dict of [sound, flawed]) expect(stateText(dict)).toBe(stateNow());
        },
      ),
      { numRuns: RUNS },
    );
    expect(failures).toBeGreaterThan(RUNS / 4);
    expect(answers).toBeGreaterThan(RUNS);
  },
);

/** A file whose calls of the named methods can be made to fail. */
function failingFile(disk: MemoryDisk, names: readonly (keyof StorageFile)[]) {
  let left = Infinity;
  const file = preceded(disk.open(NAME, 'r+'), names, () => {
    if (left-- === 0) throw new MmdError('IO', `${NAME}: EIO, input/output error`, { errno: 'EIO' });
  });
  return {
    file,
    /** Runs `work`, in which the call with this number fails, counted from 0. Returns false if there were fewer. */
    fails(nth: number, work: () => unknown): boolean {
      left = nth;
      try {
        work();
        return false;
      } catch (error) {
        if (!isMmdError(error, 'IO')) throw error;
        return true;
      } finally {
        left = Infinity;
      }
    },
  };
}

/** Runs `check` with 0, 1, 2 and so on, until it returns false. */
function everyCall(check: (nth: number) => boolean): void {
  let nth = 0;
  while (check(nth)) nth++;
  expect(nth).toBeGreaterThan(1);
}

test('a look ahead that fails half way does not take the last entry of a key for one that it hides', () => {
  everyCall((nth) => {
    const disk = new MemoryDisk();
    const other = MmapDict.over(disk.open(NAME, 'create-new'));
    other.set('first', 0);
    const { file, fails } = failingFile(disk, FILE_LOOKS);
    const dict = MmapDict.over(file);
    other.set('key', 1);
    const [hidden] = [...other.scan()].filter(({ key }) => key === 'key');
    const state = hidden!.end - 2;
    const alive = disk
      .open(NAME, 'r')
      .toBytes()
      .subarray(state, state + 1);
    other.set('key', 2);
    // As if its writer had been killed between the commit and the death of the first entry.
    disk.open(NAME, 'r+').write(state, alive);
    other.set('large', ndarray(new Float64Array(4000))).set('last', 3);
    const failed = fails(nth, () => {
      while (dict.core.store.lookAhead());
    });
    const batch = (): void =>
      dict.batch(() => {
        dict.set('key', 4);
        throw new RangeError('rolled back');
      });
    expect(batch).toThrow(RangeError);
    expect(MmapDict.over(disk.open(NAME, 'r')).get('key')).toBe(2);
    return failed;
  });
});

test('a key that a batch deleted stays deleted if a walk inside the batch fails', () => {
  const disk = new MemoryDisk();
  const writer = MmapDict.over(disk.open(NAME, 'create-new'));
  writer.batch(() => {
    for (let i = 0; i < 2000; i += 1) writer.set(`key ${i}`, i);
  });
  writer.close();
  everyCall((nth) => {
    const { file, fails } = failingFile(disk, FILE_LOOKS);
    const dict = MmapDict.over(file);
    let failed = false;
    const batch = (): void =>
      dict.batch(() => {
        dict.delete('key 0');
        failed = fails(nth, () => dict.size);
        expect(dict.has('key 0')).toBe(false);
        expect(dict.get('key 1')).toBe(1);
        throw new RangeError('rolled back');
      });
    expect(batch).toThrow(RangeError);
    expect(dict.get('key 0')).toBe(0);
    return failed;
  });
});

test('after a replacement whose old entry could not be marked dead, a seal leaves all handles with one order of keys', () => {
  everyCall((nth) => {
    const disk = new MemoryDisk();
    MmapDict.over(disk.open(NAME, 'create-new')).update({ a: 1, b: 2, c: 3, d: 4 });
    const { file, fails } = failingFile(disk, FILE_CHANGES);
    const dict = MmapDict.over(file);
    const failed = fails(nth, () => dict.set('b', ndarray(new Float64Array(4000))));
    const other = MmapDict.over(disk.open(NAME, 'r'));
    const before = [...dict.keys()];
    expect([...other.keys()]).toEqual(before);
    dict.seal();
    const after = [...MmapDict.over(disk.open(NAME, 'r')).keys()];
    expect([...dict.keys()]).toEqual(after);
    expect([...other.keys()]).toEqual(after);
    dict.set('e', 5).delete('a');
    expect([...dict.keys()]).toEqual([...MmapDict.over(disk.open(NAME, 'r')).keys()]);
    return failed || nth < 12;
  });
});

test('a growable masked array whose refresh fails shows as many rows of its mask as of its data', () => {
  const disk = new MemoryDisk();
  const writer = MmapDict.over(disk.open(NAME, 'create-new'));
  const other = writer.set(MASKED, freshMasked).get(MASKED);
  everyCall((nth) => {
    const { file, fails } = failingFile(disk, FILE_LOOKS);
    const array = MmapDict.over(file).get(MASKED) as GrowableMaskedArray;
    other.append(Float64Array.of(1, 2, 3), [true, false, true]);
    const failed = fails(nth, () => array.refresh());
    expect(array.mask.shape).toEqual(array.data.shape);
    array.refresh();
    expect(textOf(array)).toBe(textOf(other));
    return failed;
  });
});

test('a repair that cannot raise the commit number does not hide the next commit of another handle', () => {
  const text = 'text '.repeat(8);
  everyCall((nth) => {
    const disk = new MemoryDisk();
    const writer = MmapDict.over(disk.open(NAME, 'create-new'));
    writer.set('first', 0).set('text', text);
    const { file, fails } = failingFile(disk, FILE_CHANGES);
    const dict = MmapDict.over(file);
    expect(dict.get('text')).toBe(text);
    const torn = disk.open(NAME, 'r+');
    // A terminator and three more bytes are missing.
    torn.truncate(torn.size() - 14);
    vi.setSystemTime(Date.now() + 1);
    expect(() => dict.get('first')).toThrow(expect.objectContaining({ code: 'TRUNCATED' }));
    const failed = fails(nth, () => dict.delete('missing'));
    const next = MmapDict.over(disk.open(NAME, 'r+'));
    // As long as what was torn.
    next.set('text', text.slice(14));
    vi.setSystemTime(Date.now() + 1);
    expect(stateText(dict)).toBe(stateText(next));
    return failed;
  });
});

test('an index that was written behind checksums, but never committed, does not hide what others appended since', async () => {
  for (let nth = 0, done = false; !done; nth++) {
    const disk = new MemoryDisk();
    const other = MmapDict.over(disk.open(NAME, 'create-new'));
    for (let i = 0; i < 70; i += 1) other.set(`key ${i}`, i);
    let left = Infinity;
    // The commit fails, and cutting off what was written fails, too.
    const file = preceded(disk.open(NAME, 'r+'), FILE_CHANGES, () => {
      left -= 1;
      if (left === -1 || left === -2) throw new MmdError('IO', `${NAME}: EIO, input/output error`, { errno: 'EIO' });
    });
    const dict = MmapDict.over(file);
    other.set('key 0', 70);
    left = nth;
    try {
      dict.seal({ checksums: true });
      done = true;
    } catch (error) {
      if (!isMmdError(error, 'IO')) throw error;
    }
    // In the same millisecond: the handle does not ask for the size of the file.
    other.set('last', 71);
    const bytes = disk.open(NAME, 'r').toBytes();
    expect(MmapDict.over(MemoryFile.of(bytes), { mode: 'r' }).get('last'), `${nth}`).toBe(71);
    const reader = await DictReader.open(bytesSource(bytes));
    expect(await reader.get('last'), `${nth}`).toBe(71);
    expect(reader.size, `${nth}`).toBe(71);
  }
});
