/**
 * Every operation of a dict, with its effect on a plain Map. Crash, fault and kill tests loop over this table.
 */
import { MmapDict } from '../../src/dict/index.ts';
import type { DictOptions } from '../../src/dict/options.ts';
import { TERMINATOR_SIZE } from '../../src/format/layout.ts';
import { type ArraySource, MaskedArray, type NDArray, ndarray } from '../../src/ndarray/index.ts';
import { MemoryFile } from '../../src/storage/index.ts';

/** The methods of growable arrays that the operations use. */
export interface Growable {
  append(rows: unknown, mask?: unknown): unknown;
  seal(): void;
}

/** One acknowledged call. */
export interface Step {
  readonly run: (dict: MmapDict) => void;
  readonly model: (model: Map<string, unknown>) => void;
}

/** A row of {@link OPERATIONS}. */
export interface Operation {
  readonly name: string;
  /** Fills an empty dict; each unit of `pad` moves the end of the file by one byte. */
  readonly start: (dict: MmapDict, model: Map<string, unknown>, pad: number) => void;
  readonly steps: readonly Step[];
  /** Arrays are in the legacy spelling, which only numpy 1.x loads, with a warning. */
  readonly legacy?: true;
  /** The file is closed first, which leaves a tail index. */
  readonly indexed?: true;
  /** That index stays in place when something is appended. */
  readonly standing?: true;
  /** Moves more data than fits into one write: fewer borders are tried. */
  readonly heavy?: true;
}

const bytes = (length: number, seed = 1): Uint8Array =>
  Uint8Array.from({ length }, (_, i) => (i * 31 + seed * 17 + (i >> 8)) & 255);

const f8 = (rows: number, columns: number, first = 0): NDArray =>
  ndarray(
    Float64Array.from({ length: rows * columns }, (_, i) => first + i * 0.5),
    [rows, columns],
  );

/** A source of `rows` rows with room for `capacity`. */
export const growable = (rowShape: readonly number[], dtype: string, capacity: number): ArraySource => ({
  arraySource: true,
  dtype,
  shape: [0, ...rowShape],
  capacity,
});

const maskedGrowable = (capacity: number): ArraySource => ({
  ...growable([2], 'float64', capacity),
  mask: growable([2], 'bool', capacity),
  fillValue: -1,
});

const rowsOf = (dict: MmapDict, key: string): Growable => dict.get(key) as Growable;

/** A step that does the same to the dict and the model. */
const step = (run: Step['run'], model: Step['model']): Step => ({ run, model });
const set = (key: string, value: unknown, kept: unknown = value): Step =>
  step(
    (dict) => void dict.set(key, value),
    (model) => void model.set(key, kept),
  );
const remove = (key: string): Step =>
  step(
    (dict) => void dict.delete(key),
    (model) => void model.delete(key),
  );
const rename = (from: string, to: string): Step =>
  step(
    (dict) => void dict.rename(from, to),
    (model) => {
      model.set(to, model.get(from));
      model.delete(from);
    },
  );
/** Several steps as one commit. */
const batch = (...steps: readonly Step[]): Step =>
  step(
    (dict) =>
      void dict.batch(() => {
        for (const { run } of steps) run(dict);
      }),
    (model) => {
      for (const { model: change } of steps) change(model);
    },
  );
const nothing = (run: Step['run']): Step => step(run, () => undefined);
/** Several steps as a batch that throws at its end. */
const undone = (...steps: readonly Step[]): Step =>
  nothing((dict) => {
    const stop = new Error('undone');
    try {
      dict.batch(() => {
        for (const { run } of steps) run(dict);
        throw stop;
      });
    } catch (error) {
      if (error !== stop) throw error;
    }
  });

/** Appends rows [first, first + count) of the row `[i, i + 0.5]`. */
function appendRows(key: string, first: number, count: number): Step {
  return step(
    (dict) => void rowsOf(dict, key).append(f8(count, 2, first)),
    (model) => {
      const old = model.get(key) as NDArray;
      model.set(key, stack(old, f8(count, 2, first)));
    },
  );
}

function stack(a: NDArray, b: NDArray): NDArray {
  const parts = [...a.bytes(), ...b.bytes()].map((part) => part.slice());
  const whole = Uint8Array.from(Buffer.concat(parts));
  return ndarray(whole.buffer as ArrayBuffer, [a.shape[0]! + b.shape[0]!, ...a.shape.slice(1)], { dtype: a.type });
}

function appendBytes(key: string, count: number, seed: number): Step {
  return step(
    (dict) => void rowsOf(dict, key).append(bytes(count, seed)),
    (model) => {
      const old = model.get(key) as NDArray;
      model.set(key, stack(old, ndarray(bytes(count, seed).buffer as ArrayBuffer, [count], { dtype: 'uint8' })));
    },
  );
}

function appendMasked(count: number, seed: number): Step {
  const data = f8(count, 2, seed);
  const mask = Array.from({ length: count }, (_, i) => [i % 2 === 0, false]);
  return step(
    (dict) => void rowsOf(dict, 'masked').append(data, mask),
    (model) => {
      const old = model.get('masked') as MaskedArray;
      model.set('masked', new MaskedArray(stack(old.data, data), stack(old.mask, ndarray(mask)), { fillValue: -1 }));
    },
  );
}

const both = (dict: MmapDict, model: Map<string, unknown>, key: string, value: unknown, kept = value): void => {
  dict.set(key, value);
  model.set(key, kept);
};

/** Small values, an array, dead entries, growable arrays, and a text at the end that moves the terminator. */
const usual: Operation['start'] = (dict, model, pad) => {
  both(dict, model, 'a', 1);
  both(dict, model, 'b', [1, 'two', null]);
  dict.set('c', 'before');
  both(dict, model, 'c', bytes(20));
  dict.set('gone', 5).delete('gone');
  both(dict, model, 'array', f8(3, 2));
  both(dict, model, 'rows', growable([2], 'float64', 6), f8(0, 2));
  both(dict, model, 'other', growable([], 'uint8', 40), ndarray(new ArrayBuffer(0), [0], { dtype: 'uint8' }));
  for (const { run, model: change } of [appendRows('rows', 0, 2), appendBytes('other', 3, 1)]) {
    run(dict);
    change(model);
  }
  both(dict, model, 'pad', 'x'.repeat(300 + pad));
};

/** A growable array of bytes comes last; its reserve moves the terminator. */
const growableLast: Operation['start'] = (dict, model, pad) => {
  both(dict, model, 'a', 1);
  both(dict, model, 'rows', growable([], 'uint8', 100 + pad), ndarray(new ArrayBuffer(0), [0], { dtype: 'uint8' }));
  const first = appendBytes('rows', 20, 3);
  first.run(dict);
  first.model(model);
};

const masked: Operation['start'] = (dict, model, pad) => {
  both(
    dict,
    model,
    'masked',
    maskedGrowable(4),
    new MaskedArray(f8(0, 2), ndarray(new ArrayBuffer(0), [0, 2], { dtype: 'bool' }), { fillValue: -1 }),
  );
  const first = appendMasked(2, 1);
  first.run(dict);
  first.model(model);
  both(dict, model, 'pad', 'x'.repeat(300 + pad));
};

const legacy: Operation['start'] = (dict, model, pad) => {
  dict.set('one', f8(2, 3), { layout: 'legacy' }).set('two', f8(4, 1), { layout: 'legacy' });
  model.set('one', f8(2, 3)).set('two', f8(4, 1));
  both(dict, model, 'pad', 'x'.repeat(300 + pad));
};

const upgraded: Operation['start'] = (dict, model, pad) => {
  legacy(dict, model, pad);
  dict.upgrade();
};

const oneUpgraded: Operation['start'] = (dict, model, pad) => {
  dict.set('one', f8(2, 3), { layout: 'legacy' });
  model.set('one', f8(2, 3));
  both(dict, model, 'pad', 'x'.repeat(300 + pad));
};

/** Dead values large enough to be reclaimed. */
const deadRoom: Operation['start'] = (dict, model, pad) => {
  dict.set('big', ndarray(bytes(9000).buffer as ArrayBuffer)).set('bytes', bytes(9100, 2));
  both(dict, model, 'a', 1);
  dict.delete('big');
  dict.delete('bytes');
  both(dict, model, 'pad', 'x'.repeat(300 + pad));
};

/** Enough keys for a tail index. */
const manyKeys: Operation['start'] = (dict, model, pad) => {
  dict.batch(() => {
    for (let i = 0; i < 70; i++) both(dict, model, `key ${i}`, i);
  });
  both(dict, model, 'pad', 'x'.repeat(300 + pad));
};

/** Another dict, to copy from. */
function another(): MmapDict {
  return MmapDict.over(MemoryFile.of())
    .set('a', 'theirs')
    .set('copied', f8(2, 2, 9))
    .set('text', 'copied');
}

/** Adds the contents of {@link another} to a model. */
function takeAll(model: Map<string, unknown>): void {
  model
    .set('a', 'theirs')
    .set('copied', f8(2, 2, 9))
    .set('text', 'copied');
}

function indexOptions({ indexed, standing }: Operation): DictOptions {
  return { index: indexed === true, ...(standing && { standingIndex: 0 }) };
}

/** Opens the dict of a base image for writing. */
export function openFor(
  operation: Operation,
  file: Parameters<typeof MmapDict.over>[0],
  options: DictOptions,
): MmapDict {
  return MmapDict.over(file, { ...indexOptions(operation), ...options });
}

export const OPERATIONS: readonly Operation[] = [
  { name: 'set a small value', start: usual, steps: [set('new', 'value'), set('', 2)] },
  { name: 'set a large value', start: usual, steps: [set('large', bytes(6000, 3))] },
  { name: 'set an array', start: usual, steps: [set('new array', f8(5, 3)), set('next', f8(1, 1))] },
  {
    name: 'set an array that comes in pieces',
    start: usual,
    steps: [
      set(
        'pieces',
        {
          arraySource: true,
          dtype: 'uint8',
          shape: [15000],
          *bytes() {
            for (let at = 0; at < 15000; at += 5000) yield bytes(15000, 4).subarray(at, at + 5000);
          },
        } satisfies ArraySource,
        ndarray(bytes(15000, 4).buffer as ArrayBuffer),
      ),
    ],
    heavy: true,
  },
  {
    name: 'set an array without bytes',
    start: usual,
    steps: [
      set(
        'hole',
        { arraySource: true, dtype: 'uint8', shape: [3000] } satisfies ArraySource,
        ndarray(new ArrayBuffer(3000)),
      ),
    ],
  },
  {
    name: 'set a legacy array',
    start: usual,
    steps: [
      step(
        (dict) => void dict.set('legacy', f8(3, 1), { layout: 'legacy' }),
        (model) => void model.set('legacy', f8(3, 1)),
      ),
    ],
    legacy: true,
  },
  { name: 'replace', start: usual, steps: [set('a', 'other'), set('a', 'again'), set('array', f8(1, 2, 7))] },
  { name: 'delete', start: usual, steps: [remove('a'), remove('array'), remove('not there'), remove('pad')] },
  { name: 'replace and delete', start: usual, steps: [set('a', 'other'), remove('a'), set('a', 3)] },
  {
    name: 'replace thrice and delete',
    start: usual,
    steps: [set('c', 1), set('c', 2), set('c', 3), remove('c'), set('later', 1)],
  },
  {
    name: 'batch of sets',
    start: usual,
    steps: [batch(set('x', 1), set('y', f8(2, 2)), set('z', bytes(5000, 5))), set('after', 1)],
  },
  {
    name: 'batch of sets and replaces',
    start: usual,
    steps: [batch(set('x', 1), set('a', 'new'), set('b', f8(1, 1)))],
  },
  {
    name: 'batch of sets, replaces and deletes',
    start: usual,
    steps: [batch(set('x', 1), set('a', 'new'), remove('b'), remove('array'), set('y', 2)), set('after', 1)],
  },
  {
    name: 'batch that changes its own keys',
    start: usual,
    steps: [batch(set('x', 1), set('x', 2), set('y', 3), remove('y'), set('a', 4), set('a', 5), remove('a'))],
  },
  {
    name: 'batch that is taken back',
    start: usual,
    steps: [undone(set('x', bytes(5000, 5)), set('a', 2), appendRows('rows', 2, 2), remove('b')), set('after', 1)],
  },
  {
    name: 'clear',
    start: usual,
    steps: [
      step(
        (dict) => void dict.clear(),
        (model) => model.clear(),
      ),
      set('a', 1),
    ],
  },
  { name: 'append rows', start: usual, steps: [appendRows('rows', 2, 1), appendRows('rows', 3, 2), set('a', 2)] },
  {
    name: 'append rows of two arrays in a batch',
    start: usual,
    steps: [batch(appendRows('rows', 2, 2), appendBytes('other', 5, 2))],
  },
  {
    name: 'batch of rows and sets',
    start: usual,
    steps: [batch(appendRows('rows', 2, 2), set('x', 1), remove('c')), appendRows('rows', 4, 1)],
  },
  {
    name: 'append rows, then move or replace',
    start: usual,
    steps: [
      batch(appendRows('rows', 2, 2), appendRows('rows', 4, 20), appendBytes('other', 5, 2)),
      batch(appendRows('rows', 24, 2), rename('rows', 'moved'), appendBytes('other', 5, 3), set('other', 7)),
      batch(appendRows('moved', 26, 1), remove('moved'), remove('a')),
    ],
  },
  {
    name: 'grow into a new entry',
    start: usual,
    steps: [appendRows('rows', 2, 20), appendRows('rows', 22, 3)],
    heavy: true,
  },
  { name: 'grow in place', start: growableLast, steps: [appendBytes('rows', 2000, 4), appendBytes('rows', 90, 5)] },
  {
    name: 'grow in place twice, then set',
    start: growableLast,
    steps: [appendBytes('rows', 1500, 4), appendBytes('rows', 9000, 6), set('after', 1)],
    heavy: true,
  },
  {
    name: 'seal at the end of the file',
    start: growableLast,
    steps: [nothing((dict) => rowsOf(dict, 'rows').seal()), set('after', 1)],
  },
  {
    name: 'seal in the middle of the file',
    start: usual,
    steps: [nothing((dict) => rowsOf(dict, 'rows').seal()), set('after', 1)],
  },
  {
    name: 'seal a masked array',
    start: masked,
    steps: [nothing((dict) => rowsOf(dict, 'masked').seal()), set('after', 1)],
  },
  { name: 'append masked rows', start: masked, steps: [appendMasked(1, 5), set('a', 1)] },
  { name: 'grow a masked array', start: masked, steps: [appendMasked(9, 5)], heavy: true },
  {
    name: 'vacuum',
    start: usual,
    steps: [nothing((dict) => void dict.vacuum()), set('after', 1)],
    heavy: true,
  },
  {
    name: 'vacuum in place',
    start: deadRoom,
    steps: [nothing((dict) => void dict.vacuum({ inPlace: true })), set('after', 1)],
    heavy: true,
  },
  {
    name: 'vacuum arrays that grow in place',
    start: usual,
    steps: [nothing((dict) => void dict.vacuum({ inPlace: true })), appendRows('rows', 2, 9)],
    heavy: true,
  },
  {
    name: 'reclaim',
    start: deadRoom,
    steps: [nothing((dict) => void dict.reclaim()), set('after', 1)],
    heavy: true,
  },
  { name: 'upgrade', start: legacy, steps: [nothing((dict) => void dict.upgrade())], legacy: true },
  { name: 'upgrade one array', start: oneUpgraded, steps: [nothing((dict) => void dict.upgrade())], legacy: true },
  { name: 'downgrade', start: upgraded, steps: [nothing((dict) => void dict.downgrade())], legacy: true },
  { name: 'rename', start: usual, steps: [rename('array', 'moved'), rename('moved', 'a')] },
  {
    name: 'copy from another dict',
    start: usual,
    steps: [
      step(
        (dict) => void another().copy(['copied', 'text'], dict),
        (model) => void model.set('copied', f8(2, 2, 9)).set('text', 'copied'),
      ),
    ],
  },
  {
    name: 'merge another dict',
    start: usual,
    steps: [step((dict) => void dict.merge(another()), takeAll)],
  },
  {
    name: 'salvage into',
    start: usual,
    steps: [step((dict) => void another().salvage(dict), takeAll)],
  },
  {
    name: 'seal with sums, then change',
    start: manyKeys,
    steps: [nothing((dict) => void dict.seal({ checksums: true })), remove('key 4'), set('a', 1)],
    indexed: true,
    heavy: true,
  },
  {
    name: 'append rows to a file with sums',
    start: usual,
    steps: [
      nothing((dict) => void dict.seal({ checksums: true })),
      appendRows('rows', 2, 1),
      nothing((dict) => void dict.seal({ checksums: true })),
      undone(appendRows('rows', 3, 1), appendBytes('other', 5, 2)),
      nothing((dict) => void dict.seal({ checksums: true })),
      batch(appendBytes('other', 3, 2), appendRows('rows', 3, 1)),
    ],
    heavy: true,
  },
  {
    name: 'close with a tail index',
    start: manyKeys,
    steps: [set('a', 1), nothing((dict) => dict.close())],
    indexed: true,
    heavy: true,
  },
  {
    name: 'change a file that has a tail index',
    start: manyKeys,
    steps: [set('a', 1), set('key 3', 'other'), remove('key 4'), nothing((dict) => dict.close())],
    indexed: true,
    heavy: true,
  },
  {
    name: 'delete from a file that has a tail index',
    start: manyKeys,
    steps: [remove('key 4')],
    indexed: true,
  },
  {
    name: 'batch over a tail index',
    start: manyKeys,
    steps: [batch(set('x', 1), set('key 9', 'other'), remove('key 4'), remove('key 5')), remove('key 6')],
    indexed: true,
  },
  {
    name: 'append behind an index that stays',
    start: manyKeys,
    steps: [set('a', 1), set('key 3', 'other'), remove('a'), nothing((dict) => dict.close())],
    indexed: true,
    standing: true,
    heavy: true,
  },
  {
    name: 'change in place, and renew the index that stays',
    start: manyKeys,
    steps: [remove('key 4'), nothing((dict) => dict.close())],
    indexed: true,
    standing: true,
  },
];

/** An initial file, and the contents after each step. */
export interface Base {
  readonly bytes: Uint8Array;
  /** `states[0]` before the first step, `states[i]` after the i-th. */
  readonly models: readonly ReadonlyMap<string, unknown>[];
}

/** The initial file of an operation, padded so that its next entry begins `border` bytes before the end of a sector. */
export function baseOf(operation: Operation, border: number): Base {
  const at = (pad: number): { bytes: Uint8Array; model: Map<string, unknown>; end: number } => {
    const file = MemoryFile.of();
    const model = new Map<string, unknown>();
    const dict = MmapDict.over(file, indexOptions(operation));
    operation.start(dict, model, pad);
    const end = dict.tailOffset;
    const image = closedBytes(file, dict);
    return { bytes: image, model, end: operation.standing ? image.length - TERMINATOR_SIZE : end };
  };
  const first = at(0);
  const wanted = (512 - border) % 512;
  const pad = (wanted - (first.end % 512) + 512) % 512;
  const { bytes: image, model } = pad === 0 ? first : at(pad);
  const models: ReadonlyMap<string, unknown>[] = [model];
  for (const { model: change } of operation.steps) {
    const next = new Map(models.at(-1)!);
    change(next);
    models.push(next);
  }
  return { bytes: image, models };
}

/** The entry for a number below 2^16 as mmappickle 1.0 writes it. */
export function referenceEntry(key: string, value: number): Uint8Array {
  const name = new TextEncoder().encode(key);
  const body = [0x8c, name.length, ...name, 0x4a, value & 255, value >> 8, 0, 0, 0x4a, 0, 0, 0, 0, 0x30, 0x88, 0x30];
  return Uint8Array.from([0x95, body.length, 0, 0, 0, 0, 0, 0, 0, ...body]);
}

/** Closes a dict over a memory file and returns the resulting bytes. */
export function closedBytes(file: MemoryFile, dict: MmapDict): Uint8Array {
  const { disk, name } = file;
  dict.close();
  using again = disk.open(name, 'r');
  return again.toBytes();
}
