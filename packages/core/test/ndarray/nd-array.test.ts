import { inspect } from 'node:util';
import {
  type ArrayMemory,
  Complex,
  type CreateOptions,
  ellipsis,
  isArraySource,
  MaskedArray,
  memoryOver,
  NDArray,
  type NDArrayInit,
  ndarray,
  newAxis,
  parseDType,
  slice,
} from '@mmdpickle/core/ndarray';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MemoryFile } from '../../src/storage/memory-file.ts';

const failsWith = (code: string, fields: object = {}) => expect.objectContaining({ name: 'MmdError', code, ...fields });

/** Stores reach the bytes only through `write`: a store into a window is lost, as a page fault there may be fatal. */
function writeOnly(bytes: Uint8Array): ArrayMemory {
  const { bytes: window, ...rest } = memoryOver(bytes);
  return {
    ...rest,
    bytes: (offset, length) => window(offset, length).slice(),
    write: (offset, given) => bytes.set(given, offset),
  };
}

describe('nested lists', () => {
  const over = (dtype: string, shape: readonly number[]): NDArray =>
    NDArray.over(memoryOver(new Uint8Array(0)), dtype, shape);

  it.each([
    ['elements of zero bytes', 'S0', [4e9]],
    ['empty rows', '<f8', [4e9, 0]],
    ['rows of empty rows', '|u1', [70_000, 70_000, 0]],
  ])('are refused if a few bytes stand for billions of them: %s', (_what, dtype, shape) => {
    const array = over(dtype, shape);
    expect(() => array.toNested()).toThrow(failsWith('LIMIT_EXCEEDED'));
    expect(() => JSON.stringify(array)).toThrow(failsWith('LIMIT_EXCEEDED', { limit: 'nested' }));
    if (array.size > 0) return;
    const masked = new MaskedArray(array, over('bool', shape));
    expect(() => JSON.stringify(masked)).toThrow(failsWith('LIMIT_EXCEEDED', { limit: 'nested' }));
  });

  it('are allowed for a few zero-byte elements or rows, and for any elements that have bytes', () => {
    expect(over('S0', [2]).toNested()).toEqual([new Uint8Array(0), new Uint8Array(0)]);
    expect(over('<f8', [3, 0]).toNested()).toEqual([[], [], []]);
    expect(over('<f8', [0, 4e9]).toNested()).toEqual([]);
    expect(NDArray.zeros([2 ** 21, 1, 1], 'u1').toNested()).toHaveLength(2 ** 21);
  });
});

describe('an array over memory that is written positionally', () => {
  it.each([
    ['of its own type', 'int32', Int32Array.of(1, 2, 3, 4, 5, 6)],
    ['of another type', 'float64', Int32Array.of(1, 2, 3, 4, 5, 6)],
    ['of another type, in big-endian order', '>u2', Uint8Array.of(1, 2, 3, 4, 5, 6)],
    ['that are text', 'U2', ndarray(['1', '2', '3', '4', '5', '6'], undefined, 'U1')],
    ['in nested lists', '>i8', [1, 2, 3, 4, 5, 6]],
  ])('stores elements %s by writes', (_what, dtype, from) => {
    const bytes = new Uint8Array(100);
    const array = NDArray.over(writeOnly(bytes), dtype, [2, 3], { offset: 3 });
    array.set(
      from instanceof NDArray ? from.reshape([2, 3]) : Array.isArray(from) ? [from.slice(0, 3), from.slice(3)] : from,
    );
    const read = NDArray.over(memoryOver(bytes), dtype, [2, 3], { offset: 3 });
    expect((read.toNested() as unknown[][]).flat().map(String)).toEqual(['1', '2', '3', '4', '5', '6']);
    array.row(0).fill(read.get(0, 1));
    expect((read.toNested() as unknown[][]).flat().map(String)).toEqual(['2', '2', '2', '4', '5', '6']);
  });

  it('converts more than one buffer at once, broadcast', () => {
    const bytes = new Uint8Array(8 * 100_000);
    const array = NDArray.over(writeOnly(bytes), 'float64', [4, 25_000]);
    const row = Uint16Array.from({ length: 25_000 }, (_, i) => i);
    array.set(ndarray(row));
    const read = new Float64Array(bytes.buffer);
    expect(read.every((value, i) => value === i % 25_000)).toBe(true);
  });

  it('also stores a single element by a write, of its own type or another', () => {
    for (const from of [Int32Array.of(7), Float64Array.of(7), 7, ndarray([[7]], undefined, '>i4')]) {
      const bytes = new Uint8Array(24);
      const array = NDArray.over(writeOnly(bytes), 'int32', [6]);
      for (const part of [
        array.rows(0, 1),
        array.slice(slice(5, 4, -1)),
        array.reshape([2, 3]).slice(1, slice(0, 1)),
      ]) {
        if (typeof from === 'number') part.fill(from);
        else part.set(from instanceof NDArray ? from.reshape([1]) : from);
      }
      expect([...new Int32Array(bytes.buffer)]).toEqual([7, 0, 0, 7, 0, 7]);
    }
  });

  it('is unchanged if one element does not fit', () => {
    const bytes = new Uint8Array(4);
    const array = NDArray.over(writeOnly(bytes), 'uint8', [4]);
    expect(() => array.set(Int16Array.of(1, 2, 3, 256))).toThrow(failsWith('UNSUPPORTED_VALUE'));
    expect([...bytes]).toEqual([0, 0, 0, 0]);
  });
});

describe('an array over a file', () => {
  const fileOf = (): MemoryFile => MemoryFile.of(new Uint8Array(100));

  it('stores through to the file, in small and large pieces', () => {
    const file = MemoryFile.of(new Uint8Array(40_000));
    const array = NDArray.over(file.map(0, 40_000, 'write'), '<u2', [20_000]);
    array.set(Uint16Array.from({ length: 20_000 }, (_, i) => i));
    array.set(0, 513);
    const bytes = new Uint8Array(4);
    file.read(0, bytes);
    expect([...bytes]).toEqual([1, 2, 1, 0]);
    file.read(39_996, bytes);
    expect([...bytes]).toEqual([30, 78, 31, 78]);
    expect(array.sum()).toBe(BigInt((20_000 * 19_999) / 2 + 513));
    array.flush();
    array.advise('sequential');
  });

  it('opened for reading refuses set and fill, whatever the value, and remains readable', () => {
    const array = NDArray.over(fileOf().map(0, 64, 'read'), 'f8', [2, 4]);
    expect(array.writable).toBe(false);
    for (const store of [
      () => array.set(0, 0, 1),
      () => array.set(new Float64Array(8)),
      () => array.set(array),
      () => array.fill(1),
      () => array.row(0).fill(1),
      () => array.transpose().set(1),
      () => NDArray.over(fileOf().map(0, 64, 'read'), 'f8', [0]).fill(1),
    ]) {
      expect(store).toThrow(failsWith('READ_ONLY'));
    }
    expect(array.get(1, 3)).toBe(0);
  });

  it('that is closed answers every call with CLOSED', () => {
    const file = fileOf();
    const array = NDArray.over(file.map(0, 64, 'write'), 'f8', [2, 4]);
    file.close();
    for (const call of [
      () => array.get(0, 0),
      () => array.set(0, 0, 1),
      () => array.set(1),
      () => array.fill(1),
      () => array.copy(),
      () => array.typed(),
      () => array.toNested(),
      () => array.sum(),
      () => array.min(),
      () => array.mean(),
      () => [...array.row(0)],
      () => [...array.bytes()],
      () => [...array.chunks()],
      () => array.flush(),
      () => array.advise('random'),
      () => ndarray(new Float64Array(8), [2, 4]).set(array),
    ]) {
      expect(call).toThrow(failsWith('CLOSED'));
    }
    expect([array.shape, array.dtype, array.nbytes]).toEqual([[2, 4], 'float64', 64]);
  });
});

/** Some bytes at the far end of an otherwise absent memory. */
function farMemory(bytes: Uint8Array, byteLength: number, maxWindow: number): ArrayMemory {
  const base = byteLength - bytes.length;
  return {
    byteLength,
    writable: true,
    maxWindow,
    closed: false,
    bytes: (offset, length) => bytes.subarray(offset - base, offset - base + length),
  };
}

describe('arrays beyond one ArrayBuffer', () => {
  it('are refused as lists if no list can be so long', () => {
    const bytes = new Uint8Array(2 ** 20);
    const far = (dtype: string): NDArray => NDArray.over(farMemory(bytes, 2 ** 32, 65_536), dtype, [2 ** 32]);
    for (const array of [far('u1'), new MaskedArray(far('u1'), far('bool'))]) {
      expect(() => array.toNested()).toThrow(failsWith('LIMIT_EXCEEDED', { limit: 'nested' }));
      expect(() => JSON.stringify(array)).toThrow(failsWith('LIMIT_EXCEEDED', { limit: 'nested' }));
    }
  });

  it('are indexed by element up to 2^53 bytes, including the last one', () => {
    const bytes = new Uint8Array(2 ** 20);
    const total = 2 ** 53 - 2 ** 21;
    const array = NDArray.over(farMemory(bytes, total, 65_536), 'f8', [total / 2 ** 20, 2 ** 17]);
    expect(array.nbytes).toBe(total);
    array.set(-1, -1, 2.5);
    expect(new Float64Array(bytes.buffer).at(-1)).toBe(2.5);
    const last = array.row(-1);
    expect(last.sum()).toBe(2.5);
    expect(last.byteOffset).toBe(total - 2 ** 20);
    last.fill(1);
    expect(last.sum()).toBe(2 ** 17);
    const tail = last.slice(slice(-8));
    expect(tail.typed()).toEqual(new Float64Array(8).fill(1));
    expect(ArrayBuffer.isView(tail.data)).toBe(true);
    expect(() => array.typed()).toThrow(failsWith('INVALID_ARGUMENT'));
    expect(() => array.copy()).toThrow(failsWith('LIMIT_EXCEEDED'));
    expect('get' in array.data && array.data.get(total / 8 - 1)).toBe(1);
  });

  it('refuse shapes that exceed 2^53 - 1 bytes, and elements outside the memory', () => {
    const memory = memoryOver(new Uint8Array(64));
    const cases: [number[], NDArrayInit['offset'], number[]?][] = [
      [[9], 0],
      [[8], 1],
      [[8], -1],
      [[1], 0.5],
      [[2 ** 30, 2 ** 30], 0],
      [[0, 2 ** 40, 2 ** 40], 0],
      [[-1], 0],
      [[1.5], 0],
      [[Number.NaN], 0],
      [new Array<number>(65).fill(1), 0],
      [[2], 0, [-8]],
      [[2], 0, [64]],
      [[2], 0, [1.5]],
      [[2], 0, [8, 8]],
    ];
    for (const [shape, offset, strides] of cases) {
      expect(
        () => NDArray.over(memory, 'f8', shape, { offset, strides }),
        JSON.stringify([shape, offset, strides]),
      ).toThrow(failsWith('INVALID_ARGUMENT'));
    }
    expect(NDArray.over(memory, 'f8', [2, 4], { strides: [-32, 8], offset: 32 }).shape).toEqual([2, 4]);
    expect(() => NDArray.over(memory, 'O', [1])).toThrow(failsWith('UNSUPPORTED_DTYPE'));
    expect(() => NDArray.over(memory, "[('a', 'O')]", [1])).toThrow(failsWith('UNSUPPORTED_DTYPE'));
  });
});

describe('console.log', () => {
  it('shows the type and the shape of an array, at any depth, and reads none of its elements', () => {
    const unread: ArrayMemory = {
      ...memoryOver(new Uint8Array(48)),
      bytes: () => {
        throw new Error('read');
      },
    };
    const array = NDArray.over(unread, 'float64', [2, 3]);
    const masked = new MaskedArray(ndarray(new Int32Array(2)), ndarray([false, true]));
    expect([array, masked, NDArray.ofObjects([null], [1])].map((shown) => inspect(shown))).toEqual([
      '<NDArray float64 [2, 3]>',
      '<MaskedArray int32 [2]>',
      '<NDArray object [1]>',
    ]);
  });

  it('shows an array whose shape can no longer be read', () => {
    class Closed extends NDArray {
      override get shape(): readonly number[] {
        throw new Error('closed');
      }
    }
    const { memory, type } = ndarray([1, 2]);
    expect(
      inspect(new (Closed as unknown as new (init: NDArrayInit) => NDArray)({ memory, dtype: type, shape: [2] })),
    ).toBe('<Closed>');
  });
});

describe('indices', () => {
  const array = ndarray(
    Int32Array.from({ length: 24 }, (_, i) => i),
    [2, 3, 4],
  );

  it('out of bounds are reported with the axis, the index and the length', () => {
    const cases: [() => unknown, object][] = [
      [() => array.get(2, 0, 0), { axis: 0, index: 2, length: 2 }],
      [() => array.get(0, -4, 0), { axis: 1, index: -4, length: 3 }],
      [() => array.get(0, 0, 0.5), { axis: 2, index: 0.5, length: 4 }],
      [() => array.get(0, 0, Number.NaN), { axis: 2, index: Number.NaN, length: 4 }],
      [() => array.set(0, 3, 0, 1), { axis: 1, index: 3, length: 3 }],
      [() => array.row(5), { axis: 0, index: 5, length: 2 }],
      [() => array.slice(null, -4), { axis: 1, index: -4, length: 3 }],
    ];
    for (const [call, found] of cases) expect(call).toThrow(failsWith('INVALID_ARGUMENT', { found }));
    for (const call of [
      () => array.get(0, 0),
      () => array.get(0, 0, 0, 0),
      () => array.get('0' as never, 0, 0),
      () => array.get(Symbol('0') as never, 0, 0),
      () => array.set(0, 1),
      () => array.slice(0, 0, 0, 0),
      () => array.slice(ellipsis, ellipsis),
      () => array.slice('0' as never),
      () => array.slice(slice(0.5)),
      () => slice(0, 1, 0),
      () => array.transpose(0, 1),
      () => array.transpose(0, 0, 1),
      () => array.reshape([5, 5]),
      () => array.reshape([-1, -1]),
      () => array.reshape([-1, 5]),
      () => array.chunks({ bytes: 0 }).next(),
      () => [...NDArray.zeros([])],
    ]) {
      expect(call).toThrow(failsWith('INVALID_ARGUMENT'));
    }
  });

  it('of arrays without elements give equally empty arrays, wherever they begin', () => {
    const records = NDArray.zeros(
      [3, 0],
      [
        ['a', 'i4'],
        ['b', 'f8', [2, 2]],
      ],
    );
    for (const view of [records.row(2), records.field('b').row(2), records.slice(1).field('b').slice(null, 1)]) {
      expect([view.size, view.packedBytes().length, view.copy().size]).toEqual([0, 0, 0]);
    }
  });

  it('of arrays without axes reach the one element', () => {
    const point = array.slice(1, 2, 3);
    expect([point.shape, point.get(), point.toNested()]).toEqual([[], 23, 23]);
    point.set(5);
    expect(array.get(-1, -1, -1)).toBe(5);
    point.set(ndarray(23, undefined, 'i4'));
    expect(array.get(1, 2, 3)).toBe(23);
    expect(point.slice(newAxis, ellipsis, newAxis).shape).toEqual([1, 1]);
  });
});

describe('ndarray()', () => {
  it('reads lists, typed arrays and buffers in the same order', () => {
    const list = [1, 2, 3, 4, 5, 6];
    const numbers = Float64Array.from(list);
    const inOrder = { dtype: 'f8', order: 'F' } as const;
    for (const data of [list, [list.slice(0, 3), list.slice(3)], numbers, numbers.buffer]) {
      expect(ndarray(data, [2, 3], inOrder).toNested()).toEqual([
        [1, 3, 5],
        [2, 4, 6],
      ]);
    }
    expect(ndarray(list, [-1, 3], inOrder).shape).toEqual([2, 3]);
  });

  it('wraps typed arrays and buffers, and copies nested lists', () => {
    const numbers = new Float32Array([1, 2, 3, 4]);
    const over = ndarray(numbers.subarray(1), [3, 1]);
    over.set(0, 0, 9);
    expect([...numbers]).toEqual([1, 9, 3, 4]);
    expect(over.dtype).toBe('float32');
    expect(ndarray(numbers.buffer, [2, 2], { dtype: 'f4', order: 'F' }).toNested()).toEqual([
      [1, 3],
      [9, 4],
    ]);
    expect(ndarray(numbers, undefined, 'int8').toNested()).toEqual([1, 9, 3, 4]);
    expect(ndarray(new Uint8Array([0, 1, 2]), undefined, 'bool').toNested()).toEqual([false, true, true]);
    expect(
      ndarray(
        [
          [1, 2],
          [3, 4],
        ],
        [4],
      ).toNested(),
    ).toEqual([1, 2, 3, 4]);
    expect(ndarray(new Uint8ClampedArray(2)).dtype).toBe('uint8');
    expect(ndarray(Buffer.from('ab')).toNested()).toEqual([97, 98]);
  });

  it('finds the type that holds all elements', () => {
    const cases: [unknown, string][] = [
      [[1, 2.5], 'float64'],
      [[], 'float64'],
      [[true], 'bool'],
      [[1n, -2n], 'int64'],
      [[new Complex(1, 2), 3], 'complex128'],
      [['a', 'bcd'], '<U3'],
      [[new Uint8Array(2)], '|S2'],
      [7, 'float64'],
    ];
    for (const [value, dtype] of cases) expect(ndarray(value).dtype).toBe(dtype);
    for (const value of [[1, true], [1, 'a'], [null], [{}], [1n, 2]]) {
      expect(() => ndarray(value)).toThrow(failsWith('UNSUPPORTED_VALUE'));
    }
  });

  it('refuses ragged lists and shapes that do not fit', () => {
    const cases: [unknown, (number[] | undefined)?, CreateOptions?][] = [
      [[[1, 2], [3]]],
      [[1, [2]]],
      [[[1], 2]],
      [new Float64Array(3), [2, 2]],
      [new Float64Array(4), [-2, -2]],
      [[1, 2, 3], [2]],
      [new ArrayBuffer(7), [1], { dtype: 'f8' }],
      [new ArrayBuffer(15), undefined, { dtype: 'f8' }],
      [new ArrayBuffer(7), undefined, { dtype: 'f8' }],
      [new ArrayBuffer(7), undefined, { dtype: 'S0' }],
      [NDArray.zeros([1])],
    ];
    for (const [value, shape, options] of cases) {
      expect(() => ndarray(value, shape, options)).toThrow(
        expect.objectContaining({ code: expect.stringMatching(/INVALID_ARGUMENT|UNSUPPORTED_VALUE/) }),
      );
    }
  });

  it('refuses lists that contain themselves', () => {
    const endless: unknown[] = [];
    endless.push(endless);
    expect(() => ndarray(endless)).toThrow(failsWith('INVALID_ARGUMENT'));
    expect(() => ndarray(endless, undefined, 'f8')).toThrow(failsWith('INVALID_ARGUMENT'));
    expect(() => NDArray.zeros([2]).set(endless)).toThrow(failsWith('INVALID_ARGUMENT'));
    const masked = new MaskedArray(NDArray.zeros([2]), NDArray.zeros([2], 'bool'));
    expect(() => masked.set(endless)).toThrow(failsWith('INVALID_ARGUMENT'));
    expect(() => masked.set([null, endless])).toThrow(expect.objectContaining({ name: 'MmdError' }));
  });

  it('accepts tuples (frozen lists) as records of structured types', () => {
    const record = (...items: unknown[]) => Object.freeze(items);
    const array = ndarray([[record(1, 'a'), record(2, 'b')]], undefined, "[('n', 'i4'), ('s', 'U1')]");
    expect(array.shape).toEqual([1, 2]);
    expect(array.field('s').toNested()).toEqual([['a', 'b']]);
  });
});

describe('set(from)', () => {
  it('broadcasts, accepts a typed array with as many elements in C order, and leaves everything unchanged on errors', () => {
    const array = NDArray.zeros([2, 3], 'int16', { order: 'F' });
    expect(array.set([1, 2, 3]).toNested()).toEqual([
      [1, 2, 3],
      [1, 2, 3],
    ]);
    expect(array.set([[7], [8]]).toNested()).toEqual([
      [7, 7, 7],
      [8, 8, 8],
    ]);
    expect(array.set(5).toNested()).toEqual([
      [5, 5, 5],
      [5, 5, 5],
    ]);
    expect(array.set(Int16Array.from([1, 2, 3, 4, 5, 6])).toNested()).toEqual([
      [1, 2, 3],
      [4, 5, 6],
    ]);
    expect(array.set(ndarray(new Float64Array([9, 8, 7]), [1, 1, 3])).toNested()).toEqual([
      [9, 8, 7],
      [9, 8, 7],
    ]);
    const before = array.toNested();
    for (const from of [
      [1, 2],
      [[1, 2, 3]].concat([[1, 2, 40_000]]),
      new Float64Array([1, 2, 1.5]),
      [1, 2, 'x'],
      'x',
      null,
      NDArray.zeros([3, 2]),
    ]) {
      expect(() => array.set(from)).toThrow(expect.objectContaining({ name: 'MmdError' }));
      expect(array.toNested()).toEqual(before);
    }
  });

  it('reads overlapping views before it writes, also across memories over one buffer', () => {
    const bytes = Uint8Array.from({ length: 8 }, (_, i) => i);
    const one = NDArray.over(memoryOver(bytes), 'u1', [7]);
    const other = NDArray.over(memoryOver(bytes), 'u1', [7], { offset: 1 });
    other.set(one.slice(slice(null, null, -1)));
    expect([...bytes]).toEqual([0, 6, 5, 4, 3, 2, 1, 0]);
  });

  it('stores as if the source had been copied first, for any overlap, windows and types', () => {
    const windows = fc.constantFrom(undefined, 8, 16, 24);
    const part = fc.record({
      window: windows,
      start: fc.nat({ max: 24 }),
      backwards: fc.boolean(),
      gap: fc.nat({ max: 3 }),
    });
    const types = fc.constantFrom(
      ['<i4', '<i4'],
      ['<i4', '>i4'],
      ['u1', 'u1'],
      ['>f8', 'u1'],
      ['<f8', '>i2'],
      ['V5', 'V5'],
    );
    fc.assert(
      fc.property(part, part, types, fc.boolean(), (to, from, [target, source], shared) => {
        const bytes = Uint8Array.from({ length: 80 }, (_, i) => (i * 37) % 101);
        const over = (window: number | undefined) =>
          memoryOver(bytes, window === undefined ? true : { maxWindow: window });
        const lay = (memory: ArrayMemory, dtype: string, { start, backwards, gap }: typeof to): NDArray => {
          const stride = parseDType(dtype).itemsize + gap;
          const array = NDArray.over(memory, dtype, [4], { offset: start, strides: [stride] });
          return backwards ? array.slice(slice(null, null, -1)) : array;
        };
        const memory = over(to.window);
        const [a, b] = [
          lay(memory, target as string, to),
          lay(shared ? memory : over(from.window), source as string, from),
        ];
        const expected = b.copy().astype(target as string);
        a.set(b);
        expect(a.toNested()).toEqual(expected.toNested());
      }),
      { numRuns: 500 },
    );
  });

  it('keeps the bits of NaNs, including signalling ones, in any byte order and stride', () => {
    const signalling = [0x01, 0x00, 0xf0, 0x7f];
    const source = NDArray.over(
      memoryOver(Uint8Array.from([...signalling, 0, 0, 0, 0, ...signalling, 0, 0, 0, 0])),
      '<f4',
      [2],
      { strides: [8] },
    );
    expect([...Buffer.concat([...source.copy().bytes()])]).toEqual([...signalling, ...signalling]);
    const turned = NDArray.zeros([2], '>f4').set(source);
    expect([...Buffer.concat([...turned.bytes()])]).toEqual([...signalling.toReversed(), ...signalling.toReversed()]);
  });
});

describe('times in another unit', () => {
  const times = (type: string, count: bigint): NDArray => ndarray(new BigInt64Array([count]), undefined, type);

  it.each([
    ['M8[s]', 'M8[ms]', 5n, 5000n],
    ['m8[ms]', '>m8[s]', -2000n, -2n],
    ['>M8[W]', 'M8[D]', 3n, 21n],
    ['M8[2h]', 'M8[15m]', 1n, 8n],
    ['m8[as]', 'm8[fs]', 2000n, 2n],
    ['M8[Y]', 'M8[M]', 2n, 24n],
    ['M8', 'M8[D]', 5n, 5n],
    ['M8[D]', 'i8', 5n, 5n],
    ['M8[s]', 'm8[ms]', 5n, 5n],
  ])('of %s become %s: %d is %d', (from, to, count, expected) => {
    expect(times(from, count).astype(to).get(0)).toBe(expected);
    expect(NDArray.zeros([1], to).set(times(from, count)).get(0)).toBe(expected);
  });

  it.each([
    ['M8[s]', 'M8[D]', 86_401n],
    ['M8[Y]', 'M8[D]', 1n],
    ['M8[W]', 'M8[as]', 10n ** 9n],
  ])('of %s that %s cannot represent are refused: %d', (from, to, count) => {
    const target = NDArray.zeros([2], to).fill(7n);
    const source = NDArray.zeros([2], from);
    source.set(1, count);
    expect(() => target.set(source)).toThrow(failsWith('UNSUPPORTED_VALUE'));
    expect(target.toNested()).toEqual([7n, 7n]);
    expect(source.fill(null).astype(to).toNested()).toEqual([null, null]);
  });

  it('are converted in fields and sub-arrays too', () => {
    const [s, ms] = ['s', 'ms'].map((unit): [string, string, number[]][] => [
      ['__proto__', `M8[${unit}]`, [2]],
      ['n', 'i1', []],
    ]);
    const source = NDArray.zeros([1], s!).set(0, [[1n, null], 9]);
    const record = source.astype(ms!).get(0) as Record<string, unknown>;
    expect(Object.entries(record)).toEqual([
      ['__proto__', [1000n, null]],
      ['n', 9],
    ]);
  });
});

describe('numbers that no JavaScript number can represent', () => {
  it.each(['f16', 'c32'])('keep their bits in the other byte order, in fields too: %s', (code) => {
    const bytes = Uint8Array.from({ length: code === 'f16' ? 16 : 32 }, (_, i) => i + 1);
    const [little, big] = ['<', '>'].map((order): [string, string, number[]][] => [['a', order + code, [1, 1]]]);
    const source = NDArray.zeros([1], little!).set(0, [[[bytes]]]);
    const plain = NDArray.zeros([1], `<${code}`).set(0, bytes).astype(`>${code}`);
    const turned = source.astype(big!);
    expect(turned.field('a').get(0, 0, 0)).toEqual(plain.get(0));
    expect(turned.astype(little!).field('a').get(0, 0, 0)).toEqual(bytes);
  });

  it.each([
    [2n ** 60n + 2n ** 36n + 1n, 2 ** 60 + 2 ** 37],
    [-(2n ** 60n) - 2n ** 36n - 1n, -(2 ** 60) - 2 ** 37],
    [2n ** 60n + 3n * 2n ** 36n - 1n, 2 ** 60 + 2 ** 37],
    [2n ** 60n + 2n ** 36n, 2 ** 60],
    [2n ** 53n + 1n, 2 ** 53],
    [-3n, -3],
  ])('are rounded once: %d as float32 is %d', (value, expected) => {
    const source = ndarray([value]);
    expect(source.astype('>f4').get(0)).toBe(expected);
    expect(source.astype('c8').get(0)).toEqual(new Complex(expected));
  });
});

describe('structured arrays', () => {
  it('assign their fields to those of the same name, and to no others', () => {
    const source = ndarray([Object.freeze([1, Object.freeze([2, 3])])], undefined, {
      dtype: [
        ['a', 'i1'],
        [
          'b',
          [
            ['c', 'i1'],
            ['d', 'i1'],
          ],
        ],
      ],
    });
    const wider = source.astype("[('b', [('d', '<i2'), ('c', '<i2')]), ('a', 'i1')]");
    expect(wider.toNested()).toEqual([{ a: 1, b: { c: 2, d: 3 } }]);
    for (const narrow of ["[('a', 'i1')]", "[('a', 'i1'), ('b', [('d', 'i1')])]"]) {
      const target = NDArray.zeros([1], narrow);
      expect(() => target.set(source)).toThrow(failsWith('UNSUPPORTED_VALUE'));
      expect(() => source.astype(narrow)).toThrow(/does not exist in the target type/);
    }
  });

  it('give views of their fields, whatever the size of the record', () => {
    const bytes = Uint8Array.from({ length: 33 }, (_, i) => i);
    const array = NDArray.over(memoryOver(bytes), "[('a', 'u1'), ('b', '<u2', (2, 2)), ('c', [('d', '>i2')])]", [3]);
    expect(array.field('a').toNested()).toEqual([0, 11, 22]);
    const b = array.field('b');
    expect([b.shape, b.byteStrides]).toEqual([
      [3, 2, 2],
      [11, 4, 2],
    ]);
    expect(b.get(1, 0, 1)).toBe(14 + 15 * 256);
    b.fill(1);
    expect(array.get(2)).toEqual({
      a: 22,
      b: [
        [1, 1],
        [1, 1],
      ],
      c: { d: 31 * 256 + 32 },
    });
    expect(array.field('c').field('d').set([1, 2, 3]).toNested()).toEqual([1, 2, 3]);
    expect(() => array.field('x')).toThrow(failsWith('NOT_FOUND'));
    expect(() => b.field('a')).toThrow(failsWith('NOT_FOUND'));
    expect(() => array.typed()).toThrow(failsWith('UNSUPPORTED_DTYPE'));
  });

  it('with a sub-array as the whole type have more axes', () => {
    const array = NDArray.over(memoryOver(new Uint8Array(48)), "('<u2', (2, 3))", [4]);
    expect([array.shape, array.dtype]).toEqual([[4, 2, 3], 'uint16']);
  });

  it('fields can be found by title', () => {
    const array = NDArray.zeros([1], "[(('first field', 'a'), 'u1')]");
    expect(array.field('first field').toNested()).toEqual([0]);
  });
});

describe('object arrays', () => {
  it('hold any values, in memory, with the same views as others', () => {
    const values: unknown[] = [null, 'a', { b: 1 }, [1], 5n, undefined];
    const array = NDArray.ofObjects(values, [2, 3]);
    expect(array.dtype).toBe('object');
    expect(array.transpose().toNested()).toEqual([
      [null, [1]],
      ['a', 5n],
      [{ b: 1 }, undefined],
    ]);
    array.set(0, 0, 'x').row(1).fill(7);
    expect(values).toEqual(['x', 'a', { b: 1 }, 7, 7, 7]);
    expect(
      array
        .copy()
        .set(array.slice(slice(null, null, -1)))
        .toNested(),
    ).toEqual([
      [7, 7, 7],
      ['x', 'a', { b: 1 }],
    ]);
    expect(array.reshape([3, 2]).get(2, 1)).toBe(7);
    for (const call of [() => array.memory, () => array.typed(), () => [...array.bytes()], () => array.flush()]) {
      expect(call).toThrow(failsWith('UNSUPPORTED_DTYPE'));
    }
  });
});

describe('arrays as sources', () => {
  it('give all their bytes in C order, whatever their own', () => {
    const turned = ndarray(new Uint8Array([1, 2, 3, 4, 5, 6]).buffer, [2, 3], { dtype: 'u1', order: 'F' });
    for (const array of [turned, turned.slice(null, null), turned.copy()]) {
      expect(array.packedBytes()).toEqual(Uint8Array.of(1, 3, 5, 2, 4, 6));
    }
    const wide = NDArray.zeros([2 ** 10, 2 ** 10], 'uint16');
    wide.set(-1, -1, 7);
    expect(
      wide
        .slice(null, slice(null, null, -1))
        .packedBytes()
        .lastIndexOf(7),
    ).toBe(2 ** 21 - 2 ** 11);
  });

  it('report type, shape, order and bytes', () => {
    const array = NDArray.zeros([2, 2], 'u2', { order: 'F' }).set([
      [1, 2],
      [3, 4],
    ]);
    expect(isArraySource(array)).toBe(true);
    expect([array.dtype, array.shape, array.order]).toEqual(['uint16', [2, 2], 'F']);
    expect([...Buffer.concat([...array.bytes()])]).toEqual([1, 0, 3, 0, 2, 0, 4, 0]);
    expect(array.row(0).order).toBe('C');
    expect(isArraySource({ dtype: 'f8' })).toBe(false);
  });

  it('can be given a new layout by a subclass that grows', () => {
    class Growing extends NDArray {
      constructor(init: NDArrayInit) {
        super(init);
      }
      grow(init: NDArrayInit): void {
        this.relay(init);
      }
    }
    const memory = memoryOver(new Uint8Array(64));
    const array = new Growing({ memory, dtype: 'f8', shape: [2] });
    const view = array.slice(slice(1));
    expect(view).toBeInstanceOf(NDArray);
    expect(view).not.toBeInstanceOf(Growing);
    array.grow({ memory, dtype: 'f8', shape: [8] });
    expect([array.shape, array.size, array.get(7)]).toEqual([[8], 8, 0]);
  });
});
