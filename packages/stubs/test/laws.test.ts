import { statSync, writeFileSync } from 'node:fs';
import {
  type ArraySource,
  type GrowableArray,
  type GrowableMaskedArray as GrowableMasked,
  MaskedArray,
  type NDArray,
  ndarray,
} from '@mmdpickle/core';
import { MmapDict } from '@mmdpickle/core/node';
import {
  EmptyMaskedArray,
  EmptyNDArray,
  FullNDArray,
  FunctionNDArray,
  GrowableMaskedArray,
  GrowableNDArray,
  RawFileNDArray,
  ZerosNDArray,
} from '@mmdpickle/stubs';
import { Python, pythons, TempDir } from '@mmdpickle/test-support';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

const DTYPES = [
  'bool',
  'int8',
  '>i2',
  'uint32',
  'int64',
  'float16',
  '<f4',
  '>f8',
  'complex64',
  'S3',
  '<U2',
  'datetime64[ms]',
];

interface Case {
  readonly source: ArraySource;
  /** numpy's expression for the same array; `n` is numpy, `s` the shape, `d` the dtype, `raw` the raw file's bytes. */
  readonly numpy: string;
  readonly raw?: Uint8Array;
}

type Make = (shape: number[], dtype: string, order: 'C' | 'F', rawFile: string) => Case;

const LAWS: readonly (readonly [string, Make])[] = [
  [
    'EmptyNDArray',
    (shape, dtype, order) => ({ source: new EmptyNDArray(shape, dtype, { order }), numpy: 'n.zeros(s, d)' }),
  ],
  [
    'a reserved EmptyNDArray',
    (shape, dtype) => ({ source: new EmptyNDArray(shape, dtype, { reserve: true }), numpy: 'n.zeros(s, d)' }),
  ],
  [
    'ZerosNDArray',
    (shape, dtype, order) => ({ source: new ZerosNDArray(shape, dtype, { order }), numpy: 'n.zeros(s, d)' }),
  ],
  [
    'FullNDArray',
    (shape, _dtype, order) => ({ source: new FullNDArray(shape, 3, '>i4', { order }), numpy: "n.full(s, 3, '>i4')" }),
  ],
  [
    'FunctionNDArray',
    (shape) => ({
      source: new FunctionNDArray(
        shape,
        'int32',
        ({ start, end }) => {
          const row = shape.slice(1).reduce((product, dim) => product * dim, 1);
          return Int32Array.from({ length: (end - start) * row }, (_, i) => start * row + i);
        },
        { rowsPerChunk: 2 },
      ),
      numpy: "n.arange(n.prod(s, dtype=int), dtype='i4').reshape(s)",
    }),
  ],
  [
    'RawFileNDArray',
    (shape, _dtype, order, rawFile) => {
      const count = shape.reduce((product, dim) => product * dim, 1);
      const raw = Uint8Array.from({ length: 5 + count * 2 }, (_, i) => i * 7);
      writeFileSync(rawFile, raw);
      return {
        source: new RawFileNDArray(rawFile, { offset: 5, shape, dtype: '<u2', order }),
        numpy: `n.frombuffer(raw, '<u2', offset=5).reshape(s, order='${order}')`,
        raw,
      };
    },
  ],
];

const record = (fields: object): object => Object.assign(Object.create(null), fields);

/** The dtype, the fill value, and its `str` in both numpys. */
const FILL_VALUES: readonly (readonly [dtype: unknown, fillValue: unknown, printed: string])[] = [
  ['>i4', 7, '7'],
  ['int64', 2n ** 62n, String(2n ** 62n)],
  ['float32', 0.5, '0.5'],
  ['float16', Number.POSITIVE_INFINITY, 'inf'],
  ['U3', 'N/A', 'N/A'],
  ['S3', Uint8Array.of(65), "b'A'"],
  ['datetime64[s]', 5n, '1970-01-01T00:00:05'],
  ['longdouble', new Uint8Array(16), '0.0'],
  [
    [
      ['a', [['x', '<i2']]],
      ['b', '<f8', [2]],
    ],
    record({ a: record({ x: 3 }), b: [1.5, 2.5] }),
    '((3,), [1.5, 2.5])',
  ],
];

describe.each(pythons())('stock pickle.load under numpy $numpy', (info) => {
  let python: Python;
  beforeAll(() => {
    python = new Python(info);
  });
  afterAll(() => python[Symbol.asyncDispose]());

  test.each(LAWS)('%s loads as the described array, and so it does in the dict', async (_name, make) => {
    using dir = new TempDir();
    let n = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 0, max: 5 }), { maxLength: 3 }),
        fc.constantFrom(...DTYPES),
        fc.constantFrom('C' as const, 'F' as const),
        async (shape, dtype, order) => {
          const path = dir.file(`${n++}.mmdpickle`);
          const { source, numpy, raw = new Uint8Array() } = make(shape, dtype, order, dir.file('raw'));
          using dict = MmapDict.open(path);
          dict.set('before', 1).set('a', source).set('after', 2);
          const answer = await python.run<[boolean, Uint8Array]>(
            `import pickle, numpy as n
s, d, raw = tuple(args['shape']), args['dtype'], args['raw']
f = pickle.load(open(args['path'], 'rb'))
a, e = f['a'], ${numpy}
result = [list(f) == ['before', 'a', 'after'] and a.dtype == e.dtype and a.shape == e.shape and a.tobytes() == e.tobytes(), e.tobytes()]`,
            { path, shape, dtype, raw },
          );
          expect(answer[0]).toBe(true);
          const ours = dict.get('a') as NDArray;
          expect(ours.shape).toEqual(shape);
          const bytes = Buffer.concat([...ours.copy({ order: 'C' }).bytes()].map((piece) => piece.slice()));
          expect(Uint8Array.from(bytes)).toEqual(answer[1]);
        },
      ),
      { numRuns: 15 },
    );
  });

  test('masked stubs hide nothing or everything, and keep their fill value', async () => {
    using dir = new TempDir();
    using dict = MmapDict.open(dir.file('a.mmdpickle'));
    dict.set('open', new EmptyMaskedArray([2, 3], 'int16', { fillValue: -5 }));
    dict.set('hidden', new EmptyMaskedArray([2, 3], 'float32', { masked: true }));
    const found = await python.run(
      `import pickle
d = pickle.load(open(args['path'], 'rb'))
result = [[type(d[k]).__name__, str(d[k].dtype), d[k].mask.tolist(), float(d[k].fill_value)] for k in ('open', 'hidden')]`,
      { path: dict.name },
    );
    const mask = (value: boolean): boolean[][] => [0, 1].map(() => [value, value, value]);
    expect(found).toEqual([
      ['MaskedArray', 'int16', mask(false), -5],
      ['MaskedArray', 'float32', mask(true), 1e20],
    ]);
    const hidden = dict.get('hidden') as MaskedArray;
    hidden.set(1, 2, 7);
    expect([hidden.get(1, 2), hidden.get(0, 0)]).toEqual([7, null]);
  });

  test.each(FILL_VALUES)("a fill value of %s is numpy's", async (dtype, fillValue, expected) => {
    using dir = new TempDir();
    using dict = MmapDict.open(dir.file('a.mmdpickle'));
    dict.set('fixed', new EmptyMaskedArray([2], dtype as never, { fillValue }));
    dict.set('rows', new GrowableMaskedArray([], dtype as never, { fillValue }));
    const found = await python.run(
      `import pickle
d = pickle.load(open(args['path'], 'rb'))
result = [str(d[k].fill_value) for k in ('fixed', 'rows')]`,
      { path: dict.name },
    );
    expect(found).toEqual([expected, expected]);
    const plain = typeof fillValue === 'bigint' && fillValue < 2n ** 53n ? Number(fillValue) : fillValue;
    expect((dict.get('fixed') as MaskedArray).fillValue).toEqual(plain);
    dict.vacuum();
    expect((dict.get('rows') as GrowableMasked).fillValue).toEqual(plain);
  });

  test('growable stubs contain exactly the appended rows', async () => {
    using dir = new TempDir();
    using dict = MmapDict.open(dir.file('a.mmdpickle'));
    const rows = dict.set('r', new GrowableNDArray([2], 'int16', { capacity: 2 })).get('r') as GrowableArray;
    const masked = dict.set('m', new GrowableMaskedArray([], 'float32', { capacity: 2 })).get('m') as GrowableMasked;
    for (let i = 0; i < 5; i += 1) {
      rows.append(Int16Array.of(i, -i));
      masked.append(new MaskedArray(ndarray(Float32Array.of(i)), ndarray([i % 2 === 1])));
      const found = await python.run(
        `import pickle
d = pickle.load(open(args['path'], 'rb'))
result = [d['r'].tolist(), d['m'].tolist()]`,
        { path: dict.name },
      );
      const upTo = Array.from({ length: i + 1 }, (_, k) => k);
      expect(found).toEqual([upTo.map((k) => [k, -k + 0]), upTo.map((k) => (k % 2 === 1 ? null : k))]);
    }
  });
});

test('an empty array allocates no disk, a reserved one allocates it at once', () => {
  using dir = new TempDir();
  const blocks = (options: { reserve?: boolean }): number => {
    const path = dir.file(`${options.reserve}.mmdpickle`);
    using dict = MmapDict.open(path, { index: false });
    dict.set('a', new EmptyNDArray([64, 1024, 1024], 'uint8', options));
    return statSync(path).blocks * 512;
  };
  expect(blocks({})).toBeLessThan(2 ** 20);
  expect(blocks({ reserve: true })).toBeGreaterThanOrEqual(64 * 2 ** 20);
});

test('sealing a masked array frees the reserved space of both its parts, and it can still grow', () => {
  using dir = new TempDir();
  using dict = MmapDict.open(dir.file('sealed.mmdpickle'));
  const stub = new GrowableMaskedArray([2], 'uint8', { capacity: 2 ** 22, reserve: true });
  const rows = dict.set('rows', stub).get('rows') as GrowableMasked;
  rows.append([1, 2]);
  expect(statSync(dict.name).blocks * 512).toBeGreaterThan(2 ** 24);
  rows.seal();
  expect(statSync(dict.name).blocks * 512).toBeLessThan(2 ** 20);
  rows.append(ndarray([[3, 4]], undefined, 'uint8'), ndarray([[true, false]]));
  expect(rows.toNested()).toEqual([
    [1, 2],
    [null, 4],
  ]);
});

test.each([
  ['int8', 1000],
  ['int32', 1.5],
  ['int32', Number.NaN],
  ['float64', 'text'],
  ['float64', [1, 2]],
  ['U2', 'too long'],
  [[['a', '<i4']], { b: 1 }],
])('a fill value that %s cannot hold is refused, since numpy would refuse the whole file', (dtype, fillValue) => {
  using dir = new TempDir();
  using dict = MmapDict.open(dir.file('a.mmdpickle'));
  dict.set('a', 1);
  const before = dict.fileSize;
  const stub = new EmptyMaskedArray([2], dtype as never, { fillValue });
  expect(() => dict.set('b', stub)).toThrow(expect.objectContaining({ code: 'UNSUPPORTED_VALUE' }));
  expect([dict.fileSize, dict.has('b')]).toEqual([before, false]);
});

test('a raw file that is missing or too short leaves the dict as it was', () => {
  using dir = new TempDir();
  using dict = MmapDict.open(dir.file('a.mmdpickle'));
  dict.set('a', 1);
  const before = dict.fileSize;
  writeFileSync(dir.file('short'), new Uint8Array(10));
  for (const [name, code] of [
    ['missing', 'NOT_FOUND'],
    ['short', 'TRUNCATED'],
  ] as const) {
    const stub = new RawFileNDArray(dir.file(name), { shape: [11], dtype: 'uint8' });
    expect(() => dict.set('b', stub)).toThrow(expect.objectContaining({ code }));
  }
  expect([dict.fileSize, dict.has('b'), dict.get('a')]).toEqual([before, false, 1]);
});
