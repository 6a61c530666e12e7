import { existsSync, statSync } from 'node:fs';
import {
  Complex,
  isMmdError,
  MaskedArray,
  MemoryFile,
  memoryOver,
  NDArray,
  ndarray,
  parseDType,
} from '@mmdpickle/core';
import { type GrowableArray, MmapDict, NodeFile } from '@mmdpickle/core/node';
import { PyDict } from '@mmdpickle/core/pickle';
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
import { afterAll, expect, it } from 'vitest';

const LONG = process.env.MMDPICKLE_LONG === '1';
/** Larger arrays are made, but not stored. */
const MOST_BYTES = 1e6;

/* Arguments of the right and the wrong kinds. */
// biome-ignore-start format: tables
const SHAPES: readonly unknown[] = [
  [],
  [0],
  [1],
  [3],
  [2, 3],
  [0, 5],
  [3, 0],
  [-1],
  [1.5],
  [-0],
  [-0, 3],
  Object.assign(new Array(2), { 1: 2 }),
  ['x'],
  null,
  undefined,
  5,
  '3',
  [2 ** 31],
  [2 ** 40, 0],
  new Array(33).fill(1),
  new Array(65).fill(1),
  [Number.NaN],
  [2n],
  { length: 2 },
  new Uint8Array([2, 3]),
  [[1]],
];
const DTYPES: readonly unknown[] = [
  'f8',
  '<i4',
  '>u2',
  'bool',
  'c8',
  'S3',
  'U2',
  'V5',
  'O',
  'datetime64[ns]',
  'M8',
  'm8[3D]',
  'f16',
  'f2',
  'i3',
  '',
  null,
  undefined,
  5,
  'S0',
  'U0',
  'V0',
  [
    ['a', 'i4'],
    ['b', '>f8', [2]],
  ],
  [],
  [
    ['a', 'i4'],
    ['a', 'i4'],
  ],
  [['', 'i4']],
  [['a']],
  [['a', 'O']],
  { names: ['a', 'b'], formats: ['i4', 'f8'] },
  parseDType('i4'),
  { kind: 'f' },
  'M8[xx]',
  'm8[0s]',
  'a5',
  'S-1',
  'S99999999999',
  [['x', 'i4', -1]],
  [[['title', 'x'], 'i4']],
  [['x', ['i4', [0]], [2]]],
  [['x', 'i4', [-0]]],
  [['x', 'i4', Object.assign(new Array(2), { 1: 2 })]],
  { names: ['x'], formats: ['i4'], offsets: [-0] },
  [['x', ['i4', [2]], [2]]],
  [['x', 'm8[3D]']],
  [['x', 'M8[s]']],
  { names: ['', 'a'], formats: ['i4', 'i4'], titles: ['t', null] },
  'i4,f8',
  '(2,3)i4',
  '>S3',
];
const VALUES: readonly unknown[] = [
  0,
  1,
  -1,
  1.5,
  Number.NaN,
  Infinity,
  10n,
  2n ** 70n,
  'x',
  '',
  true,
  null,
  undefined,
  [],
  [[]],
  [1, 2],
  [
    [1, 2],
    [3, 4],
  ],
  [[1], [2, 3]],
  {},
  new Date(0),
  new Date(Number.NaN),
  new Float64Array(3),
  new Uint8Array(0),
  new BigInt64Array(2),
  () => 1,
  new Map(),
  new Complex(1, 2),
  new PyDict([['a', 1]]),
  '\ud800',
  'ab\0',
];
const OPTIONS: readonly unknown[] = [
  undefined,
  {},
  { order: 'F' },
  { order: 'C' },
  { order: 'X' },
  5,
  null,
  { capacity: 3 },
  { capacity: -1 },
  { capacity: 0 },
  { fillValue: 3 },
  { fillValue: 'x' },
  { fillValue: null },
  { fillValue: [1] },
  { fillValue: 10n },
];
// biome-ignore-end format: tables

/** Makes an array from a shape, a dtype, a value and options, each of any kind. */
type Maker = (shape: never, dtype: never, value: never, options: never) => unknown;

const MAKERS: Readonly<Record<string, Maker>> = {
  zeros: (shape, dtype, _value, options) => NDArray.zeros(shape, dtype, options),
  'zeros in a list': (shape, dtype) => [NDArray.zeros(shape, dtype)],
  'a stub in a list': (shape, dtype) => [new ZerosNDArray(shape, dtype)],
  ndarray: (shape, dtype, value) => ndarray(value, shape, dtype),
  set: (_shape, dtype, value) => NDArray.zeros([2], dtype).set(0, value),
  'set all': (_shape, dtype, value) => NDArray.zeros([2, 2], dtype).set(value),
  over: (shape, dtype) => NDArray.over(memoryOver(new Uint8Array(24), false), dtype, shape),
  MaskedArray: (_shape, dtype, value, options) =>
    new MaskedArray(value ?? NDArray.zeros([3], dtype), NDArray.zeros([3], 'bool'), options),
  'filled MaskedArray': (_shape, dtype, _value, options) =>
    new MaskedArray(NDArray.zeros([3], dtype), NDArray.zeros([3], 'bool').fill(true), options).filled(),
  'a masked source in a list': (shape, dtype) => [
    { arraySource: true, dtype, shape: [2], mask: new ZerosNDArray(shape, 'bool') },
  ],
  EmptyNDArray: (shape, dtype, _value, options) => new EmptyNDArray(shape, dtype, options),
  EmptyMaskedArray: (shape, dtype, _value, options) => new EmptyMaskedArray(shape, dtype, options),
  ZerosNDArray: (shape, dtype, _value, options) => new ZerosNDArray(shape, dtype, options),
  FullNDArray: (shape, dtype, value, options) => new FullNDArray(shape, value, dtype, options),
  FunctionNDArray: (shape, dtype, value, options) => new FunctionNDArray(shape, dtype, () => value, options),
  GrowableNDArray: (shape, dtype, _value, options) => new GrowableNDArray(shape, dtype, options),
  GrowableMaskedArray: (shape, dtype, _value, options) => new GrowableMaskedArray(shape, dtype, options),
  RawFileNDArray: (shape, dtype) => new RawFileNDArray(import.meta.filename, { shape, dtype }),
};

const anything = fc.tuple(
  fc.constantFrom(...SHAPES),
  fc.constantFrom(...DTYPES),
  fc.constantFrom(...VALUES),
  fc.constantFrom(...OPTIONS),
);

/** True if the action succeeded, false if it threw an MmdError; other errors are rethrown, since nothing should throw them. */
function does(action: () => void): boolean {
  try {
    action();
    return true;
  } catch (error) {
    if (isMmdError(error)) return false;
    throw error;
  }
}

/** Stores an array made from any arguments, and appends a row if it can grow. */
function store(path: string, make: Maker, args: readonly [unknown, unknown, unknown, unknown]): void {
  using dict = MmapDict.open(path);
  does(() => {
    const made = make(...(args as [never, never, never, never]));
    const array = Array.isArray(made) ? made[0] : made;
    if (array.nbytes > MOST_BYTES && (array !== made || !(array instanceof EmptyNDArray))) return;
    dict.set('array', made);
    if (made instanceof GrowableNDArray) does(() => (dict.get('array') as GrowableArray).append(args[2] as never));
  });
}

const judges = pythons().map((info) => new Python(info));
afterAll(async () => {
  for (const judge of judges) await judge[Symbol.asyncDispose]();
});

it.each(Object.entries(MAKERS))(
  '%s with any arguments is refused, or every Python loads the result',
  async (_name, make) => {
    using directory = new TempDir();
    const given = new Map<string, string>();
    fc.assert(
      fc.property(anything, (args) => {
        const path = directory.file(`${given.size}.mmdpickle`);
        given.set(path, fc.stringify(args));
        store(path, make, args);
      }),
      { numRuns: LONG ? 5000 : 80, endOnFailure: true },
    );
    const paths = [...given.keys()].filter((path) => existsSync(path) && statSync(path).size < 2e8);
    for (const python of judges) {
      const { info } = python;
      const said = await python.run<(string | null)[]>(
        `import pickle
def problem(path):
    try:
        with open(path, "rb") as file:
            pickle.load(file)
    except Exception as error:
        return repr(error)
result = [problem(path) for path in args["paths"]]`,
        { paths },
      );
      const problems = paths.flatMap((path, i) => (said[i] === null ? [] : [`${given.get(path)}: ${said[i]}`]));
      expect(problems, `Python ${info.version} with numpy ${info.numpy}`).toEqual([]);
    }
  },
);

it.each([
  ["[('a', 'm8[s]'), ('b', 'M8[ns]', (2,)), ('c', '>m8[Y]')]", true],
  ["[('a', [('b', 'u1')], (2,)), ('c', 'V3'), (('t', 'd'), 'S0'), ('e', 'i4', (0,))]", true],
  ["[('a', 'i4'), ('b', 'm8[25us]')]", false],
  ["[('a', [('b', 'M8', (2,))], (2,))]", false],
  ["[('a', ('i4', (2,)), (3,))]", false],
  ["{'names': ['f1', ''], 'formats': ['i4', 'i4']}", false],
])('masked arrays of %s are stored if and only if numpy can make them: %s', async (dtype, stored) => {
  using dict = MmapDict.over(MemoryFile.of());
  const array = NDArray.zeros([2], dtype);
  const masked = new MaskedArray(array, NDArray.zeros([2], 'bool'), { fillValue: array.get(0) });
  for (const value of [masked, [masked], new EmptyMaskedArray([2], dtype), new GrowableMaskedArray([], dtype)]) {
    expect(does(() => dict.set('masked', value))).toBe(stored);
  }
  for (const python of judges) {
    const made = await python.run<boolean>(
      `import ast
import numpy as np
try: result = np.ma.array(np.zeros(2, ast.literal_eval(args["dtype"]))).size == 2
except ValueError: result = False`,
      { dtype },
    );
    expect(made).toBe(stored);
  }
});

it('rows without elements are not counted by the bytes of a typed array', () => {
  using directory = new TempDir();
  const path = directory.file('rows.mmdpickle');
  {
    using dict = MmapDict.open(path);
    const rows = dict.set('rows', new GrowableNDArray([0], 'float64')).get('rows') as GrowableArray;
    expect(() => rows.append(new Float64Array(3))).toThrow(/rows of shape \[0\]/);
    expect(rows.append([[], []]).shape).toEqual([2, 0]);
  }
  using dict = MmapDict.open(path, { mode: 'r' });
  expect((dict.get('rows') as GrowableArray).shape).toEqual([2, 0]);
});

it('an array that does not fit in memory is stored only as a value of its own', () => {
  using directory = new TempDir();
  using dict = MmapDict.open(directory.file('large.mmdpickle'));
  // More than any memory: from Node 22 on, a 16 GiB buffer can be allocated if nothing is written to it.
  expect(() => dict.set('array', [new EmptyNDArray([2 ** 46], 'f8')])).toThrow(/does not fit in one buffer/);
  const large = new EmptyNDArray([2 ** 31], 'f8');
  expect(dict.set('array', large).get('array')).toMatchObject({ shape: [2 ** 31] });
});

it('an array of 2^31 rows in Fortran order is not taken for a growable one', () => {
  using directory = new TempDir();
  using dict = MmapDict.open(directory.file('tall.mmdpickle'));
  const tall = dict.set('tall', new EmptyNDArray([2 ** 31, 2], 'u1', { order: 'F' })).get('tall') as NDArray;
  tall.set(2 ** 31 - 1, 0, 7);
  expect([tall.order, tall.strides, 'append' in tall]).toEqual(['F', [1, 2 ** 31], false]);
  expect(dict.getMeta('tall')).not.toHaveProperty('capacity');
  // Column-major: the last element of the first column is in the middle.
  const byte = new Uint8Array(1);
  using raw = NodeFile.open(dict.path, 'r');
  raw.read(dict.getMeta('tall')!.offset + 2 ** 31 - 1, byte);
  expect([...byte]).toEqual([7]);
});

it('a stub that could not be stored is not made: a zero dimension or an empty dtype does not excuse another dimension', () => {
  const refused = expect.objectContaining({ code: 'INVALID_ARGUMENT' });
  for (const [shape, dtype] of [
    [[0, 2 ** 53 - 1], 'u1'],
    [[0, 2 ** 30, 2 ** 30], 'u1'],
    [[2 ** 53 - 2 ** 23], 'S0'],
    [[2 ** 50, 2 ** 10], 'V0'],
  ] as const) {
    expect(() => new EmptyNDArray(shape, dtype)).toThrow(refused);
    expect(() => new GrowableNDArray(shape, dtype)).toThrow(refused);
  }
  expect(() => new GrowableNDArray([0], 'u1', { capacity: 2 ** 53 - 1 })).toThrow(refused);
  expect(new EmptyNDArray([0, 2 ** 52], 'u1').nbytes).toBe(0);
});

it('lists that would crash the process are refused', () => {
  const wide = parseDType([['a', 'u1', [2 ** 28]]]);
  const masked = new MaskedArray(NDArray.zeros([0], wide), NDArray.zeros([0], 'bool'));
  expect(() => NDArray.zeros([2 ** 31], 'O')).toThrow(/a list of 2147483648 values/);
  expect(() => masked.filled()).toThrow(/a list of 268435456 values/);
});
