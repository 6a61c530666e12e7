import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type GrowableArray, MmapDict } from '../../src/dict/index.ts';
import { NDArray, ndarray } from '../../src/ndarray/index.ts';
import { MemoryDisk, MemoryFile } from '../../src/storage/index.ts';

const LONG = process.env.MMDPICKLE_LONG === '1';

/** A dict and the Map that it must equal. */
interface Real {
  readonly disk: MemoryDisk;
  dict: MmapDict;
  other: MmapDict;
  /** Between its own changes it only reads ahead, like a handle that waits for the lock. */
  readonly ahead: MmapDict;
}
type Model = Map<string, unknown>;
type Command = fc.Command<Model, Real>;

function plain(value: unknown): unknown {
  return value instanceof NDArray ? value.toNested() : value;
}

function same(model: Model, { dict, other }: Real): void {
  for (const handle of [dict, other]) {
    expect(handle.size).toBe(model.size);
    expect([...handle].map(([key, value]) => [key, plain(value)])).toEqual([...model]);
  }
}

function store(model: Model, key: string, value: unknown): void {
  model.delete(key);
  model.set(key, value);
}

const keys = fc.constantFrom('', 'a', 'b', 'key', '\u00e9', '__proto__', 'x'.repeat(46));
const values = fc.oneof(fc.integer(), fc.string({ maxLength: 700 }), fc.constant([1, [2]]), fc.constant(null));

function command(name: string, run: (model: Model, real: Real) => void): Command {
  return {
    check: () => true,
    run: (model, real) => {
      run(model, real);
      same(model, real);
      real.ahead.core.store.lookAhead();
    },
    toString: () => name,
  };
}

const commands = [
  fc.tuple(keys, values).map(([key, value]) =>
    command(`set ${JSON.stringify(key)} ${JSON.stringify(value)}`, (model, { dict }) => {
      dict.set(key, value);
      store(model, key, value);
    }),
  ),
  fc.tuple(keys, fc.array(fc.float({ noNaN: true }), { maxLength: 9 })).map(([key, list]) =>
    command(`set array ${JSON.stringify(key)} ${list}`, (model, { other }) => {
      other.set(key, ndarray(new Float32Array(list)));
      store(model, key, Array.from(new Float32Array(list)));
    }),
  ),
  fc.tuple(keys, values).map(([key, value]) =>
    command(`set ${JSON.stringify(key)} after looking ahead`, (model, { ahead }) => {
      expect(ahead.has(key)).toBe(model.has(key));
      ahead.set(key, value);
      store(model, key, value);
      expect([...ahead].map(([k, v]) => [k, plain(v)])).toEqual([...model]);
    }),
  ),
  keys.map((key) =>
    command(`delete ${JSON.stringify(key)}`, (model, { dict }) => {
      expect(dict.delete(key)).toBe(model.delete(key));
    }),
  ),
  fc.array(fc.tuple(keys, fc.option(values, { nil: undefined })), { maxLength: 6 }).map((changes) =>
    command(`batch ${JSON.stringify(changes)}`, (model, { dict }) => {
      dict.batch(() => {
        for (const [key, value] of changes) {
          if (value === undefined) expect(dict.delete(key)).toBe(model.delete(key));
          else {
            dict.set(key, value);
            store(model, key, value);
          }
          expect(dict.has(key)).toBe(model.has(key));
        }
      });
    }),
  ),
  fc.tuple(keys, values).map(([key, value]) =>
    command(`a batch that throws after ${JSON.stringify(key)}`, (_model, { dict }) => {
      expect(() =>
        dict.batch(() => {
          dict.set(key, value);
          dict.clear();
          throw new Error('stop');
        }),
      ).toThrow('stop');
    }),
  ),
  fc.tuple(keys, keys).map(([from, to]) =>
    command(`rename ${JSON.stringify(from)} ${JSON.stringify(to)}`, (model, { dict }) => {
      if (!model.has(from) || from === to) return;
      dict.rename(from, to);
      const value = model.get(from);
      model.delete(from);
      store(model, to, value);
    }),
  ),
  fc.boolean().map((inPlace) => command(`vacuum ${inPlace}`, (_model, { dict }) => void dict.vacuum({ inPlace }))),
  fc.constant(command('reclaim', (_model, { dict }) => void dict.reclaim())),
  fc.boolean().map((index) =>
    command('reopen', (_model, real) => {
      real.dict.close();
      real.dict = MmapDict.over(real.disk.open('dict', 'r+'), { index });
    }),
  ),
  fc.constant(command('seal', (_model, { dict }) => void dict.seal({ checksums: true }))),
  fc.constant(
    command('fsck finds nothing', (_model, { dict }) => {
      expect(dict.fsck().findings.filter(({ severity }) => severity !== 'info')).toEqual([]);
    }),
  ),
];

describe('a dict equals a Map after the same changes', () => {
  test('after any sets, replacements, deletes, batches, vacuums, seals and reopens', () => {
    fc.assert(
      fc.property(fc.commands(commands, { maxCommands: 40 }), (sequence) => {
        const setup = (): { model: Model; real: Real } => {
          const disk = new MemoryDisk();
          const file: MemoryFile = disk.open('dict', 'create-new');
          const dict = MmapDict.over(file);
          const more = (): MmapDict => MmapDict.over(disk.open('dict', 'r+'));
          return { model: new Map(), real: { disk, dict, other: more(), ahead: more() } };
        };
        fc.modelRun(setup, sequence);
      }),
      { numRuns: LONG ? 3000 : 150 },
    );
  });
});

test('what was read ahead is discarded if a vacuum returns the file to the known commit', () => {
  const disk = new MemoryDisk();
  using dict = MmapDict.over(disk.open('dict', 'create-new'));
  using ahead = MmapDict.over(disk.open('dict', 'r+'));
  dict.set('a', ndarray(new Float32Array(4)));
  ahead.core.store.lookAhead();
  dict.delete('a');
  dict.vacuum({ inPlace: true });
  expect(ahead.has('a')).toBe(false);
  expect([...ahead.set('b', 1)]).toEqual([['b', 1]]);
});

describe('the tail index', () => {
  test('present, stale, torn or missing, never changes what is read', () => {
    const disk = new MemoryDisk();
    const whole = MmapDict.over(disk.open('dict', 'create-new'));
    whole.update(Array.from({ length: 300 }, (_, i): [string, number] => [`key ${i}`, i]));
    for (let i = 0; i < 300; i += 7) whole.delete(`key ${i}`);
    whole.close();
    const bytes = (disk.open('dict', 'r') as MemoryFile).toBytes();
    const indexed = MmapDict.over(disk.open('dict', 'r'));
    const { end } = indexed.core.store.entries.base!;
    const expected = new Map(indexed);
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.integer({ min: end + 80, max: bytes.length - 20 }), fc.integer({ min: 1, max: 255 })), {
          maxLength: 4,
        }),
        fc.integer({ min: -1, max: 50 }),
        fc.array(fc.integer({ min: 0, max: 320 }), { minLength: 5, maxLength: 30 }),
        (flips, commit, lookups) => {
          const damaged = bytes.slice();
          for (const [offset, bits] of flips) damaged[offset]! ^= bits;
          if (commit >= 0) damaged[18] = commit;
          const disk2 = new MemoryDisk();
          disk2.open('dict', 'create-new').write(0, damaged);
          const dict = MmapDict.over(disk2.open('dict', 'r'));
          for (const i of lookups) expect(dict.get(`key ${i}`)).toBe(expected.get(`key ${i}`));
          expect(new Map(dict)).toEqual(expected);
        },
      ),
      { numRuns: LONG ? 3000 : 150 },
    );
  });
});

test.each([
  ['alike', () => 3],
  ['small first, then large', (i: number) => (i < 300 ? 1 : 3000)],
  ['large first, then small', (i: number) => (i < 300 ? 3000 : 1)],
])('a walk that preallocates room for many entries finds them all: %s', (_what, size) => {
  const file = MemoryFile.of();
  const dict = MmapDict.over(file);
  const values = Array.from({ length: 1500 }, (_, i): [string, string] => [`${i}`, 'x'.repeat(size(i))]);
  dict.update(values);
  dict.set('7', 'again');
  dict.delete('8');
  const expected = new Map(values);
  for (const key of ['7', '8']) expected.delete(key);
  expected.set('7', 'again');
  const walked = MmapDict.over(MemoryFile.of(file.toBytes()));
  expect(walked.core.store.entries.base).toBeUndefined();
  expect([...walked]).toEqual([...expected]);
  walked.update(values.slice(0, 700).map(([key]): [string, string] => [`more ${key}`, key]));
  expect(walked.get('1499')).toBe(expected.get('1499'));
  expect(walked.get('more 699')).toBe('699');
  expect(walked.size).toBe(1499 + 700);
});

test('a tail index with any one byte inverted changes nothing that is read', () => {
  const file = MemoryFile.of();
  const whole = MmapDict.over(file);
  whole.update(Array.from({ length: 64 }, (_, i): [string, number] => [`key ${i}`, i]));
  const indexed = MemoryFile.of(file.toBytes());
  MmapDict.over(indexed).set('one more', 1).close();
  const bytes = indexed.toBytes();
  const { end } = MmapDict.over(MemoryFile.of(bytes)).core.store.entries.base!;
  for (let offset = end + 80; offset < bytes.length - 20; offset++) {
    const damaged = bytes.slice();
    damaged[offset]! ^= 0xff;
    const dict = MmapDict.over(MemoryFile.of(damaged), { mode: 'r' });
    for (let i = 0; i < 66; i += offset % 7 === 0 ? 1 : 9) expect(dict.get(`key ${i}`)).toBe(i < 64 ? i : undefined);
  }
});

test('what is appended to a file whose index has a damaged head is found by a walk', () => {
  const file = MemoryFile.of();
  const made = MmapDict.over(file);
  made.update(Array.from({ length: 64 }, (_, i): [string, number] => [`key ${i}`, i])).close();
  const bytes = file.toBytes();
  const { entry } = MmapDict.over(MemoryFile.of(bytes), { mode: 'r' }).core.store.index!;
  for (let offset = entry; offset < entry + 66; offset++) {
    const damaged = bytes.slice();
    damaged[offset]! ^= 0xff;
    const changed = MemoryFile.of(damaged);
    try {
      MmapDict.over(changed, { standingIndex: 0 }).set('later', 1).close();
    } catch (error) {
      // Where the damage hides the index, the walk meets it, and nothing is appended.
      expect((error as { code: string }).code).toMatch(/^(CORRUPT|TRUNCATED)$/);
      expect(changed.toBytes()).toEqual(damaged);
      continue;
    }
    expect(
      [...MmapDict.over(MemoryFile.of(changed.toBytes()), { mode: 'r' }).keys()],
      `byte ${offset - entry}`,
    ).toHaveLength(65);
  }
});

/** A file that counts its calls, and the bytes that go through them. */
function counted(inner: MemoryFile): {
  file: MemoryFile;
  cost: (work: () => void) => { calls: number; bytes: number };
} {
  const count = { calls: 0, bytes: 0 };
  const file = new Proxy(inner, {
    get(target, name) {
      const value = Reflect.get(target, name, target) as unknown;
      if (typeof value !== 'function') return value;
      return (...args: unknown[]) => {
        count.calls++;
        // write(offset, bytes, length): the first `length` bytes only.
        const [, , length] = args;
        for (const arg of args) {
          if (arg instanceof Uint8Array) count.bytes += typeof length === 'number' ? length : arg.length;
          if (Array.isArray(arg)) for (const part of arg) if (part instanceof Uint8Array) count.bytes += part.length;
        }
        return (value as (...all: unknown[]) => unknown).apply(target, args);
      };
    },
  });
  const cost = (work: () => void): { calls: number; bytes: number } => {
    Object.assign(count, { calls: 0, bytes: 0 });
    work();
    return { ...count };
  };
  return { file, cost };
}

describe('the cost of an append does not depend on the number of entries', () => {
  test('over 10,000 appends of one small value, bytes read, bytes written and calls per append do not increase', () => {
    const { file, cost } = counted(new MemoryDisk().open('dict', 'create-new'));
    const dict = MmapDict.over(file, { index: false });
    const costs: { calls: number; bytes: number }[] = [];
    for (let round = 0; round < 10; round++) {
      costs.push(
        cost(() => {
          for (let i = 0; i < 1000; i++) dict.set(`key ${(round * 1000 + i).toString().padStart(6, '0')}`, 7);
        }),
      );
    }
    expect(dict.size).toBe(10_000);
    const [first, last] = [costs[0]!, costs.at(-1)!];
    // Once per millisecond the file's size and identity are checked: a few more calls on a slow machine.
    expect(last.calls).toBeLessThan(first.calls * 1.5 + 100);
    expect(last.bytes).toBeLessThan(first.bytes * 1.1 + 1000);
    expect(last.bytes / 1000).toBeLessThan(80);
    expect(last.calls / 1000).toBeLessThan(12);
  });
});

describe('in a file of 3,000 keys no lookup walks the file', () => {
  const KEYS = 3000;
  /** The minimum that a walk reads: a head, a key and a value of a few bytes for each entry. */
  const WALK = KEYS * 20;
  const rows = { arraySource: true, dtype: 'float64', shape: [0], capacity: 4 } as const;

  function filled(): { disk: MemoryDisk; dict: MmapDict; cost: ReturnType<typeof counted>['cost'] } {
    const disk = new MemoryDisk();
    const { file, cost } = counted(disk.open('dict', 'create-new'));
    const dict = MmapDict.over(file, { index: false });
    dict.batch(() => {
      for (let i = 0; i < KEYS; i++) dict.set(`key ${i}`, i);
    });
    return { disk, dict, cost };
  }

  test('when two arrays grow in turns', () => {
    const { dict, cost } = filled();
    const arrays = ['a', 'b'].map((key) => dict.set(key, rows).get(key) as GrowableArray);
    const { bytes } = cost(() => {
      for (let i = 0; i < 100; i++) for (const array of arrays) array.append([i]);
    });
    expect(arrays.map(({ shape }) => shape)).toEqual([[100], [100]]);
    expect(bytes).toBeLessThan(WALK);
  });

  test.each<[what: string, change: (dict: MmapDict) => void]>([
    ['a batch that changes nothing throws', (dict) => dict.batch(() => raise())],
    ['a rename of a missing key', (dict) => dict.rename('none', 'other')],
  ])('after %s', (_what, change) => {
    const { dict, cost } = filled();
    const { bytes } = cost(() => {
      expect(() => change(dict)).toThrow();
      expect(dict.get('key 7')).toBe(7);
    });
    expect(bytes).toBeLessThan(WALK / 10);
  });

  test('when another handle appends rows to the array at the end of the file', () => {
    const { disk, dict } = filled();
    const array = dict.set('a', { ...rows, capacity: 100 }).get('a') as GrowableArray;
    const { file, cost } = counted(disk.open('dict', 'r'));
    const reader = MmapDict.over(file, { mode: 'r' });
    expect(reader.size).toBe(KEYS + 1);
    const { bytes } = cost(() => {
      for (let i = 0; i < 20; i++) {
        array.append([i]);
        expect((reader.get('a') as GrowableArray).get(i)).toBe(i);
      }
    });
    expect(bytes).toBeLessThan(WALK);
  });
});

test('reclaim works from the end of the file backwards, so that it meets the holes it punched last', () => {
  const asked: number[] = [];
  const file = new Proxy(MemoryFile.of(), {
    get(target, name) {
      const value = Reflect.get(target, name, target) as unknown;
      if (typeof value !== 'function') return value;
      return (...args: unknown[]) => {
        if (name === 'dataRanges') asked.push(args[0] as number);
        return (value as (...all: unknown[]) => unknown).apply(target, args);
      };
    },
  });
  const dict = MmapDict.over(file);
  for (let i = 0; i < 20; i++) dict.set(`${i}`, new Uint8Array(9000));
  for (let i = 0; i < 20; i += 2) dict.delete(`${i}`);
  expect(dict.reclaim()).toBeGreaterThan(0);
  expect(asked).toHaveLength(10);
  // A filesystem that is asked where data ends scans up to there.
  expect(asked).toEqual(asked.toSorted((a, b) => b - a));
});

function raise(): never {
  throw new Error('given up');
}

test('a dict of few keys with very many changes is opened without a walk, and changed without a long one', () => {
  const disk = new MemoryDisk();
  /** Bytes that open, work and close read and write. */
  const session = (mode: 'create-new' | 'r+', work: (dict: MmapDict) => void): number => {
    const { file, cost } = counted(disk.open('dict', mode));
    return cost(() => {
      using dict = MmapDict.over(file);
      work(dict);
    }).bytes;
  };
  session('create-new', (dict) => {
    for (let i = 0; i < 40_000; i++) dict.set(`key ${i % 3}`, `a value of some length, the ${i}th`);
  });
  // No index exists yet: the first handle to change the file walks it and writes one.
  expect(session('r+', (dict) => dict.set('key 1', 'again'))).toBeGreaterThan(2 ** 21);
  for (let i = 0; i < 3; i++) {
    expect(session('r+', (dict) => dict.set('key 1', i))).toBeLessThan(2 ** 20 + 8192);
    expect(session('r+', (dict) => expect(dict.get('key 1')).toBe(i))).toBeLessThan(8192);
  }
  using dict = MmapDict.over(disk.open('dict', 'r+'));
  expect([...dict.keys()].sort()).toEqual(['key 0', 'key 1', 'key 2']);
});
