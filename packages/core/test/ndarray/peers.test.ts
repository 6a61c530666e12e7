import { memoryOver, NDArray, ndarray, slice, type TypedArray } from '@mmdpickle/core/ndarray';
import StdlibNDArray from '@stdlib/ndarray-base-ctor';
import fc from 'fast-check';
import scijs from 'ndarray';
import { describe, expect, it } from 'vitest';
import * as zarr from 'zarrita';

/** Views of all sorts: reversed, transposed, in Fortran order, unaligned, in foreign byte order. */
const views: fc.Arbitrary<NDArray> = fc
  .record({
    order: fc.constantFrom('C' as const, 'F' as const),
    dtype: fc.constantFrom('<f8', '>f8', '<i4', '>u2', '|u1', '<f2', '<f4'),
    offset: fc.constantFrom(0, 8, 3),
    step: fc.constantFrom(1, 2, -1),
    turned: fc.boolean(),
  })
  .map(({ order, dtype, offset, step, turned }) => {
    const whole = NDArray.over(memoryOver(new Uint8Array(offset + 12 * 8)), dtype, [3, 4], { order, offset });
    whole.set([
      [0, 1, 2, 3],
      [4, 5, 6, 7],
      [8, 9, 10, 11],
    ]);
    const view = whole.slice(slice(null, null, step), slice(1));
    return turned ? view.transpose() : view;
  });

interface Gettable {
  get(...index: number[]): unknown;
}

function listOf(array: Gettable, [rows = 0, columns = 0]: readonly number[]): unknown {
  return Array.from({ length: rows }, (_, i) => Array.from({ length: columns }, (_, j) => array.get(i, j)));
}

describe('other libraries accept our arrays as they are', () => {
  it('scijs ndarray reads and writes the same elements, through typed arrays and through stores', () => {
    fc.assert(
      fc.property(views, (view) => {
        const theirs = scijs(view.data as scijs.Data<number>, [...view.shape], view.stride, view.offset);
        expect(listOf(theirs, theirs.shape)).toEqual(view.toNested());
        theirs.set(0, 1, 42);
        expect(view.get(0, 1)).toBe(42);
        const part = theirs.hi(1, 2).transpose(1, 0);
        expect(listOf(part, part.shape)).toEqual(view.slice(slice(0, 1), slice(0, 2)).transpose().toNested());
      }),
    );
  });

  it('stdlib ndarrays read the same elements, and write them in place in a typed array', () => {
    fc.assert(
      fc.property(views, (view) => {
        const isStore = !ArrayBuffer.isView(view.data);
        const dtype = isStore ? 'generic' : view.dtype;
        const order = view.order === 'C' ? 'row-major' : 'column-major';
        const theirs = new StdlibNDArray(
          dtype as never,
          view.data as never,
          [...view.shape],
          [...view.strides],
          view.offset,
          order,
        ) as unknown as Gettable & {
          set(...args: number[]): unknown;
          shape: number[];
        };
        expect(listOf(theirs, theirs.shape)).toEqual(view.toNested());
        // Its accessor objects have set(value, index), not set(index, value) like those of scijs.
        if (isStore) return;
        theirs.set(1, 0, 42);
        expect(view.get(1, 0)).toBe(42);
      }),
    );
  });

  it('zarrita stores an array as a chunk, and its chunks become arrays', async () => {
    const store = new Map<string, Uint8Array>();
    const target = await zarr.create(zarr.root(store as never), {
      shape: [3, 4],
      chunkShape: [2, 2],
      dtype: 'float64',
    });
    const ours = ndarray(
      Float64Array.from({ length: 12 }, (_, i) => i),
      [3, 4],
    );
    await zarr.set(target, null, ours as unknown as zarr.Chunk<'float64'>);
    const back = await zarr.get(target);
    expect(ndarray(back.data as TypedArray, back.shape).toNested()).toEqual(ours.toNested());

    // A chunk has no offset, so a view is copied first; any strides will do.
    const turned = ours
      .slice(slice(1), slice(null, null, -1))
      .transpose()
      .copy({ order: 'F' });
    const other = await zarr.create(zarr.root(store as never).resolve('other'), {
      shape: [4, 2],
      chunkShape: [3, 1],
      dtype: 'float64',
    });
    await zarr.set(other, null, turned as unknown as zarr.Chunk<'float64'>);
    const chunk = await zarr.get(other);
    const strides = chunk.stride.map((step) => step * 8);
    const memory = memoryOver(new Uint8Array((chunk.data as Float64Array).buffer));
    expect(NDArray.over(memory, 'float64', chunk.shape, { strides }).toNested()).toEqual(turned.toNested());
  });
});
