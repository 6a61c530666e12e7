import {
  Complex,
  type ElementStore,
  MaskedArray,
  memoryOver,
  NDArray,
  ndarray,
  parseDType,
  parsePythonLiteral,
  slice,
} from '@mmdpickle/core/ndarray';
import { dump } from '@mmdpickle/core/pickle';
import { describe, expect, it } from 'vitest';

const bad = <T>(value: unknown): T => value as T;
const memory = memoryOver(new Uint8Array(8));
/** `[, 2]`. */
const HOLED: number[] = Object.assign(new Array<number>(2), { 1: 2 });

describe('wrong arguments', () => {
  it.each<[string, () => unknown]>([
    ['new MaskedArray()', () => new MaskedArray(bad(undefined), bad(undefined))],
    ['new MaskedArray of lists', () => new MaskedArray(bad([1]), bad([true]))],
    ['new MaskedArray without a mask', () => new MaskedArray(ndarray([1]), bad(undefined))],
    ['new MaskedArray with null for options', () => new MaskedArray(ndarray([1]), ndarray([true]), bad(null))],
    ['NDArray.ofObjects(null)', () => NDArray.ofObjects(bad(null))],
    ['NDArray.ofObjects of text', () => NDArray.ofObjects(bad('ab'))],
    ['NDArray.ofObjects in order Q', () => NDArray.ofObjects([1], [1], bad({ order: 'Q' }))],
    ['NDArray.over(null)', () => NDArray.over(bad(null), 'f8', [1])],
    ['NDArray.over of bytes', () => NDArray.over(bad(new Uint8Array(8)), 'f8', [1])],
    ['NDArray.over with null for options', () => NDArray.over(memory, 'f8', [1], bad(null))],
    ['NDArray.over with a number for strides', () => NDArray.over(memory, 'u1', [2], bad({ strides: 1 }))],
    ['NDArray.over with a symbol for a stride', () => NDArray.over(memory, 'u1', [2], bad({ strides: [Symbol('s')] }))],
    ['NDArray.over with a bigint for the offset', () => NDArray.over(memory, 'u1', [2], bad({ offset: 1n }))],
    ['NDArray.over in order Q', () => NDArray.over(memory, 'u1', [2, 2], bad({ order: 'Q' }))],
    ['NDArray.zeros(5)', () => NDArray.zeros(bad(5))],
    ['NDArray.zeros()', () => NDArray.zeros(bad(undefined))],
    ['NDArray.zeros in order Q', () => NDArray.zeros([2, 2], 'f8', bad({ order: 'Q' }))],
    ['NDArray.zeros with null for options', () => NDArray.zeros([2, 2], 'f8', bad(null))],
    ['NDArray.zeros of a value without text', () => NDArray.zeros(bad([Object.create(null)]))],
    ['get of a value without text', () => ndarray([1]).get(bad(Object.create(null)))],
    ['slice of a value without text', () => slice(bad(Object.create(null)))],
    ['memoryOver with a symbol for the window', () => memoryOver(new Uint8Array(8), bad({ maxWindow: Symbol('s') }))],
    ['reshape with a hole', () => ndarray([1, 2]).reshape(HOLED)],
    ...[ndarray([1, 2], undefined, '>i4'), NDArray.ofObjects([1, 2])].flatMap(({ dtype, data }) =>
      [0.5, '0', 1n, Symbol('0')].flatMap((index): [string, () => unknown][] => [
        [`the store of ${dtype} at ${String(index)}`, () => (data as ElementStore).get(bad(index))],
        [`a store to ${dtype} at ${String(index)}`, () => (data as ElementStore).set(bad(index), 7)],
      ]),
    ),
    ['reshape(2)', () => ndarray([1, 2]).reshape(bad(2))],
    ['reshape()', () => ndarray([1, 2]).reshape(bad(undefined))],
    ['reshape of a masked array', () => new MaskedArray(ndarray([1]), ndarray([true])).reshape(bad(1))],
    ['copy in order Q', () => ndarray([[1, 2]]).copy(bad({ order: 'Q' }))],
    ['copy(null)', () => ndarray([1]).copy(bad(null))],
    ['chunks(null)', () => [...ndarray([1]).chunks(bad(null))]],
    ["ndarray of lists, 'x'", () => ndarray([1, 2], bad('x'))],
    ["ndarray of a typed array, 'x'", () => ndarray(new Float64Array(1), bad('x'))],
    ['ndarray of a typed array, 1', () => ndarray(new Float64Array(1), bad(1))],
    ['ndarray of a buffer, 1', () => ndarray(new ArrayBuffer(1), bad(1))],
    [
      'ndarray of a buffer that was transferred',
      () => {
        const buffer = new ArrayBuffer(8);
        structuredClone(buffer, { transfer: [buffer] });
        return ndarray(buffer);
      },
    ],
    ...Object.entries({
      get: (array: NDArray) => array.get(0),
      set: (array: NDArray) => array.set(0, 1),
      sum: (array: NDArray) => array.sum(),
      toNested: (array: NDArray) => array.toNested(),
    }).map(([name, use]): [string, () => unknown] => [
      `${name} of an array whose buffer was transferred`,
      () => {
        const array = ndarray(new Float32Array(4));
        array.get(0);
        const { buffer } = array.data as Float32Array;
        structuredClone(buffer, { transfer: [buffer] });
        return use(array);
      },
    ]),
    ['ndarray with null for options', () => ndarray([1], undefined, bad(null))],
    ['ndarray with a number for options', () => ndarray([1], undefined, bad(5))],
    ['ndarray with a type for options', () => ndarray([1], undefined, bad(ndarray([1n]).type))],
    ['ndarray with an unknown option', () => ndarray([1], undefined, bad({ dype: 'f4' }))],
    ['NDArray.over with an unknown option', () => NDArray.over(memory, 'u1', [2, 2], bad({ ordre: 'F' }))],
    ['new MaskedArray with a fill value for options', () => new MaskedArray(ndarray([1]), ndarray([true]), bad(5))],
    ['memoryOver with an unknown option', () => memoryOver(new Uint8Array(8), bad({ writeable: false }))],
    ['memoryOver with null for options', () => memoryOver(new Uint8Array(8), bad(null))],
    ['memoryOver of nothing', () => memoryOver(bad(undefined))],
    ['parsePythonLiteral of nothing', () => parsePythonLiteral(bad(undefined))],
    ['parsePythonLiteral with an unknown option', () => parsePythonLiteral('1', bad({ maxlength: 5 }))],
    ['new Complex of a text', () => new Complex(bad('1'))],
    ['new Complex of a bigint', () => new Complex(1, bad(1n))],
    ['isContiguous in order c', () => ndarray([1]).isContiguous(bad('c'))],
    // Undefined is the title of a field without one.
    ['field()', () => NDArray.zeros([1], [['a', 'f4']]).field(bad(undefined))],
    ['field(1n)', () => NDArray.zeros([1], [['a', 'f4']]).field(bad(1n))],
    ['ndarray in order Q', () => ndarray(new Float64Array(4), [2, 2], bad({ order: 'Q' }))],
    ['ndarray of a list in order Q', () => ndarray([1, 2, 3, 4], [2, 2], bad({ order: 'Q' }))],
  ])('are reported as INVALID_ARGUMENT: %s', (_, call) => {
    expect(call).toThrow(expect.objectContaining({ name: 'MmdError', code: 'INVALID_ARGUMENT' }));
  });

  it('holes in the shape of a dtype are refused', () => {
    for (const spec of [['f4', HOLED], [['a', 'f4', HOLED]]]) {
      expect(() => parseDType(bad(spec))).toThrow(expect.objectContaining({ code: 'UNSUPPORTED_DTYPE' }));
    }
  });

  it('negative zero in dimensions and offsets is zero, as these are written as integers', () => {
    expect(NDArray.zeros([-0, 3]).shape).toEqual([0, 3]);
    expect(NDArray.ofObjects([], [-0]).shape).toEqual([0]);
    expect(parseDType(['f4', [-0, 2]]).shape).toEqual([0, 2]);
    expect(parseDType({ names: ['a'], formats: ['f4'], offsets: [-0] }).fields?.[0]?.offset).toBe(0);
    const source = { arraySource: true, dtype: 'f8', shape: [-0] };
    expect(dump([source])).toEqual(dump([NDArray.zeros([0])]));
  });

  it('an unknown key of a dtype is refused in a dtype given by a program, and ignored in one that was read, as numpy does', () => {
    const spec = { names: ['a', 'b'], formats: ['i1', 'i4'], offset: [0, 8] };
    const refused = expect.objectContaining({
      code: 'UNSUPPORTED_DTYPE',
      message: expect.stringContaining("'offset'"),
    });
    expect(() => parseDType(bad(spec))).toThrow(refused);
    expect(parseDType("{'names': ['a'], 'formats': ['i1'], 'offset': [8]}").itemsize).toBe(1);
  });
});

it('an index that is not an integer is not reported as out of bounds', () => {
  const wrong: [unknown, string][] = [
    [0n, 'a bigint'],
    ['0', "'0'"],
    [0.5, '0.5'],
    [undefined, 'undefined'],
  ];
  for (const [index, shown] of wrong)
    expect(() => NDArray.zeros([2]).get(bad(index))).toThrow(`an index must be an integer; found ${shown} for axis 0`);
});

it('the error for a type name of another language says whose names are accepted', () => {
  for (const name of ['f64', 'Float32', 'np.float32', 'uint16le'])
    expect(() => NDArray.zeros([2], bad(name))).toThrow(`unknown type "${name}"; use numpy's names and codes`);
});
