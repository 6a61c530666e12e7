import { type ArraySource, Complex, isArraySource, MmdError, memoryOver, NDArray } from '@mmdpickle/core';
import { MmapDict } from '@mmdpickle/core/node';
import {
  EmptyMaskedArray,
  EmptyNDArray,
  FullNDArray,
  FunctionNDArray,
  GrowableMaskedArray,
  GrowableNDArray,
  RawFileNDArray,
  type RawFileOptions,
  ZerosNDArray,
} from '@mmdpickle/stubs';
import { TempDir } from '@mmdpickle/test-support';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

type Make = (shape: readonly number[], dtype: string) => ArraySource;

const STUBS: readonly (readonly [string, Make])[] = [
  ['EmptyNDArray', (shape, dtype) => new EmptyNDArray(shape, dtype)],
  ['ZerosNDArray', (shape, dtype) => new ZerosNDArray(shape, dtype)],
  ['EmptyMaskedArray', (shape, dtype) => new EmptyMaskedArray(shape, dtype)],
  ['FullNDArray', (shape, dtype) => new FullNDArray(shape, 1, dtype)],
  ['GrowableNDArray', (shape, dtype) => new GrowableNDArray(shape, dtype, { capacity: 1 })],
  ['GrowableMaskedArray', (shape, dtype) => new GrowableMaskedArray(shape, dtype, { capacity: 1 })],
  ['RawFileNDArray', (shape, dtype) => new RawFileNDArray('x.raw', { shape, dtype })],
  ['FunctionNDArray', (shape, dtype) => new FunctionNDArray(shape, dtype, () => new Float64Array(0))],
];

function codeOf(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    if (error instanceof MmdError) return error.code;
    throw error;
  }
  return 'no error';
}

function joined(source: ArraySource): Uint8Array {
  const parts = [...(source.bytes?.() ?? [])].map((part) => part.slice());
  return Uint8Array.from(Buffer.concat(parts));
}

describe.each(STUBS)('%s', (_name, make) => {
  test('is an array source', () => {
    expect(isArraySource(make([2, 3], 'float64'))).toBe(true);
  });

  test.each([
    ['negative', [-1, 3]],
    ['fractional', [2, 1.5]],
    ['NaN', [Number.NaN]],
    ['infinite', [Number.POSITIVE_INFINITY]],
    ['over 2^53 in bytes', [2 ** 30, 2 ** 30]],
    ['over 2^53 in one dimension', [2 ** 53]],
    ['a string', ['3' as unknown as number]],
    ['of more dimensions than numpy allows', new Array(33).fill(1)],
    ['not an array', 3 as unknown as number[]],
  ])('refuses a shape that is %s', (_what, shape) => {
    expect(codeOf(() => make(shape, 'float64'))).toBe('INVALID_ARGUMENT');
  });

  test.each(['float65', 'O', 'no dtype at all'])('refuses dtype %s', (dtype) => {
    expect(codeOf(() => make([2], dtype))).toBe('UNSUPPORTED_DTYPE');
  });

  test('keeps its shape when the caller changes the array passed as the shape', () => {
    const shape = [2, 3];
    const stub = make(shape, 'float64');
    const before = [...stub.shape];
    shape[0] = 99;
    expect(stub.shape).toEqual(before);
  });
});

test('an empty array is float64 in C order, without bytes and without reserve', () => {
  const stub = new EmptyNDArray([300, 300, 300]);
  expect(stub.type.name).toBe('float64');
  expect({ order: stub.order, reserve: stub.reserve, nbytes: stub.nbytes }).toEqual({
    order: 'C',
    reserve: false,
    nbytes: 216_000_000,
  });
  expect('bytes' in stub).toBe(false);
});

test('an order other than C and F is refused', () => {
  expect(codeOf(() => new EmptyNDArray([1], 'float64', { order: 'A' as 'C' }))).toBe('INVALID_ARGUMENT');
});

test.each([5, null, { ordr: 'F' }, { reserve: 'yes' }, { capacity: 0 }, { rowsPerChunk: 1.5 }, { masked: 1 }])(
  'the options %j are refused by every stub',
  (options) => {
    const given = options as object;
    expect(codeOf(() => new EmptyNDArray([1], 'f4', given))).toBe('INVALID_ARGUMENT');
    expect(codeOf(() => new EmptyMaskedArray([1], 'f4', given))).toBe('INVALID_ARGUMENT');
    expect(codeOf(() => new FullNDArray([1], 1, 'f4', given))).toBe('INVALID_ARGUMENT');
    expect(codeOf(() => new FunctionNDArray([1], 'f4', () => new Float32Array(1), given))).toBe('INVALID_ARGUMENT');
    expect(codeOf(() => new GrowableNDArray([1], 'f4', given))).toBe('INVALID_ARGUMENT');
    expect(codeOf(() => new GrowableMaskedArray([1], 'f4', given))).toBe('INVALID_ARGUMENT');
    expect(codeOf(() => new RawFileNDArray('x', given as RawFileOptions))).toBe('INVALID_ARGUMENT');
  },
);

test.each<readonly [string, object, (options: never) => unknown]>([
  ['EmptyNDArray', { reserve: true }, (options) => new EmptyNDArray([5], options)],
  ['EmptyMaskedArray', { masked: true }, (options) => new EmptyMaskedArray([5], options)],
  ['FullNDArray', { order: 'F' }, (options) => new FullNDArray([5], 1, options)],
  ['FunctionNDArray', { rowsPerChunk: 2 }, (options) => new FunctionNDArray([5], options, () => new Float64Array(2))],
  ['GrowableNDArray', { capacity: 9 }, (options) => new GrowableNDArray([5], options)],
  ['GrowableMaskedArray', { fillValue: 9 }, (options) => new GrowableMaskedArray([5], options)],
])('%s says that options come after the dtype if %j is passed in its place', (_name, options, make) => {
  const message = expect.stringContaining(
    `'${Object.keys(options)[0]}' is an option, not part of a dtype: pass the dtype first`,
  );
  expect(() => make(options as never)).toThrowError(expect.objectContaining({ code: 'UNSUPPORTED_DTYPE', message }));
});

test('arrays that consist of consecutive rows refuse Fortran order when they are made', () => {
  const fortran = { order: 'F' } as object;
  expect(codeOf(() => new GrowableNDArray([2], 'f4', fortran))).toBe('INVALID_ARGUMENT');
  expect(codeOf(() => new GrowableMaskedArray([2], 'f4', fortran))).toBe('INVALID_ARGUMENT');
  expect(codeOf(() => new FunctionNDArray([2], 'f4', () => new Float32Array(2), fortran))).toBe('INVALID_ARGUMENT');
});

test('arrays larger than any file can address are refused when made, counting the space for a mask and the rest of the file', () => {
  const all = 2 ** 53 - 1;
  expect(codeOf(() => new EmptyNDArray([all], 'uint8'))).toBe('INVALID_ARGUMENT');
  expect(codeOf(() => new GrowableNDArray([1], 'uint8', { capacity: all }))).toBe('INVALID_ARGUMENT');
  expect(codeOf(() => new EmptyMaskedArray([2 ** 52], 'uint8'))).toBe('INVALID_ARGUMENT');
  expect(codeOf(() => new GrowableMaskedArray([1], 'uint8', { capacity: 2 ** 52 }))).toBe('INVALID_ARGUMENT');
  // Arrays that can be made are stored, or exceed the space on this disk.
  using temp = new TempDir();
  using dict = MmapDict.open(temp.file('x.mmdpickle'));
  const largest = 2 ** 53 - 2 ** 24;
  for (const stub of [new EmptyNDArray([largest], 'uint8'), new GrowableNDArray([1], 'uint8', { capacity: largest })]) {
    expect(['no error', 'NO_SPACE']).toContain(codeOf(() => dict.set('large', stub)));
  }
});

test('a masked stub hides nothing, or everything', () => {
  expect('bytes' in new EmptyMaskedArray([2, 2], 'int16').mask).toBe(false);
  const hidden = new EmptyMaskedArray([2, 2], 'int16', { masked: true, fillValue: -1 });
  expect([...joined(hidden.mask)]).toEqual([1, 1, 1, 1]);
  expect(hidden.fillValue).toBe(-1);
});

test('a full array repeats its element, whatever the size', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(40), { maxLength: 3 }), fc.integer({ min: 1, max: 255 }), (shape, value) => {
      const stub = new FullNDArray(shape, value, '>i4');
      const bytes = joined(stub);
      expect(bytes.length).toBe(stub.nbytes);
      expect(bytes.every((byte, i) => byte === (i % 4 === 3 ? value : 0))).toBe(true);
    }),
    { numRuns: 50 },
  );
});

test('a full array over many chunks has the right length and bounded pieces', () => {
  const stub = new FullNDArray([1_000_003], 7n);
  let total = 0;
  let largest = 0;
  for (const piece of stub.bytes?.() ?? []) {
    total += piece.length;
    largest = Math.max(largest, piece.length);
  }
  expect(total).toBe(8_000_024);
  expect(largest).toBeLessThanOrEqual(1 << 20);
});

test('a full array of zeros stays sparse, and -0 is not zero', () => {
  expect(new FullNDArray([4], 0).bytes).toBeUndefined();
  expect(new FullNDArray([4], -0).bytes).toBeDefined();
});

test('a growable stub has no rows, a row shape and a capacity', () => {
  const stub = new GrowableNDArray([4, 2], 'float32', { capacity: 1e6 });
  expect(stub.shape).toEqual([0, 4, 2]);
  expect(stub.capacity).toBe(1e6);
  expect(new GrowableNDArray([1 << 20], 'float64').capacity).toBe(1);
  expect(new GrowableMaskedArray([3], 'int8', { capacity: 5 }).mask.capacity).toBe(5);
});

test.each([0, -1, 1.5, 2 ** 53])('a growable stub refuses a capacity of %s', (capacity) => {
  expect(codeOf(() => new GrowableNDArray([2], 'float64', { capacity }))).toBe('INVALID_ARGUMENT');
});

test('a raw file array gives its byte range in the file', () => {
  const stub = new RawFileNDArray('camera.raw', { offset: 8, shape: [2, 3], dtype: 'uint16' });
  expect(stub.file).toEqual({ path: 'camera.raw', offset: 8, length: 12 });
  expect(codeOf(() => new RawFileNDArray('x', { offset: -1, shape: [1] }))).toBe('INVALID_ARGUMENT');
  expect(codeOf(() => new RawFileNDArray('x', { offset: 2 ** 53 - 4, shape: [1] }))).toBe('INVALID_ARGUMENT');
  expect(codeOf(() => new RawFileNDArray('', { shape: [1] }))).toBe('INVALID_ARGUMENT');
});

test('a function array asks for its rows once, in order', () => {
  const asked: [number, number][] = [];
  const stub = new FunctionNDArray(
    [5, 2],
    'int32',
    ({ start, end }) => {
      asked.push([start, end]);
      return Int32Array.from({ length: (end - start) * 2 }, (_, i) => start * 2 + i);
    },
    { rowsPerChunk: 2 },
  );
  const bytes = joined(stub);
  expect(asked).toEqual([
    [0, 2],
    [2, 4],
    [4, 5],
  ]);
  expect([...new Int32Array(bytes.slice().buffer)]).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
});

test('a function array converts elements of another dtype, and takes 0-d as one row', () => {
  const stub = new FunctionNDArray([], '>u2', () => new Float64Array([258]));
  expect([...joined(stub)]).toEqual([1, 2]);
  expect([...joined(new FunctionNDArray([0, 3], 'int8', () => new Int8Array(0)))]).toEqual([]);
});

test.each([
  ['complex numbers as pairs of parts', 'complex64', Float32Array.of(1, 2, 3, 4)],
  ['float16 as bytes', '<f2', Uint8Array.of(0, 0x3c, 0, 0x40)],
  ['text as bytes', 'S2', Uint8Array.from([65, 0, 66, 67])],
  ['records as bytes', [['a', '<i2']], Uint8Array.of(1, 0, 2, 0)],
  ['times as counts', 'datetime64[ms]', BigInt64Array.of(1n, 2n)],
] as const)('a function array takes %s as laid out in memory', (_what, dtype, rows) => {
  const stub = new FunctionNDArray([2], dtype as never, () => rows);
  expect([...joined(stub)]).toEqual([...new Uint8Array(rows.buffer)]);
});

test.each(['<c8', '>c16', '>c8'])('a function array converts the parts of complex numbers to %s', (dtype) => {
  const stub = new FunctionNDArray([2], dtype, () => Float64Array.of(1, 2, 3, -4));
  const array = NDArray.over(memoryOver(joined(stub)), dtype, [2]);
  expect(array.toNested()).toEqual([new Complex(1, 2), new Complex(3, -4)]);
});

test('a function array refuses rows of the wrong length', () => {
  const stub = new FunctionNDArray([4], 'float64', () => new Float64Array(3));
  expect(codeOf(() => joined(stub))).toBe('INVALID_ARGUMENT');
  expect(codeOf(() => new FunctionNDArray([1], 'int8', undefined as never))).toBe('INVALID_ARGUMENT');
});

test.each([
  ['float64', new Uint8Array(16)],
  ['float64', new Float64Array(4)],
  ['complex64', new Float64Array(3)],
] as const)('a function that returns rows of %s with a wrong number of elements is refused: %o', (dtype, rows) => {
  const stub = new FunctionNDArray([2], dtype, () => rows);
  expect(codeOf(() => [...stub.bytes()])).toBe('INVALID_ARGUMENT');
});

test('an array of one value has the type of that value, and its pieces make up the whole array for any element size', () => {
  expect([true, 5n, 5].map((value) => new FullNDArray([1], value).type.name)).toEqual(['bool', 'int64', 'float64']);
  const pieces = [...new FullNDArray([240_000], new Uint8Array([97, 98, 99, 100, 101]), 'S5').bytes!()];
  expect(Buffer.concat(pieces).equals(Buffer.alloc(1_200_000, 'abcde'))).toBe(true);
});
