/**
 * Gives the elements of any array as typed arrays, for loops that need not know about strides, byte order,
 * alignment or windows.
 *
 * @module
 */

import type { TypedArray, TypedArrayConstructor } from './dtypes.ts';
import { type MemoryStore, NATIVE_ORDER } from './element-store.ts';
import type { Layout } from './layout.ts';
import { forEachRun } from './shapes.ts';
import { swapInPlace } from './swap.ts';
import { readRun } from './transfer.ts';

/** Bytes copied at a time if elements cannot be used in place: they stay in the first- and second-level cache. */
const COPY_BYTES = 64 * 1024;
/** Shorter runs are gathered, so that the loops over spans are long. */
const MIN_RUN_BYTES = 4096;

/**
 * Calls `use` with typed arrays that together hold every element once, in any order. They are borrowed for the call:
 * over the memory itself where it is contiguous, native and aligned, else over a buffer that is reused.
 *
 * @param array - the class of the spans; an element longer than one of its items comes as several items
 */
export function forEachSpan(
  layout: Layout,
  store: MemoryStore,
  array: TypedArrayConstructor,
  use: (span: TypedArray) => void,
): void {
  const { itemsize, byteorder } = layout.type;
  const word = array.BYTES_PER_ELEMENT;
  const swap = byteorder !== '|' && byteorder !== NATIVE_ORDER;
  const most = Math.max(1, Math.floor(COPY_BYTES / itemsize));
  let scratch: Uint8Array | undefined;
  let gathered = 0;
  const flush = (): void => {
    if (scratch === undefined || gathered === 0) return;
    const bytes = scratch.subarray(0, gathered * itemsize);
    if (swap) swapInPlace(bytes, word);
    use(new array(bytes.buffer, 0, bytes.length / word));
    gathered = 0;
  };
  const { shape, strides, position } = unordered(layout);
  forEachRun(shape, [{ position, strides }], ([start = 0], count, [step = 0]) => {
    store.checkOpen();
    if (step === itemsize && !swap && count * itemsize >= MIN_RUN_BYTES && isAligned(store, start, word)) {
      store.forEachPiece(start, count, step, false, (bytes, at, n) => {
        use(new array(bytes.buffer, bytes.byteOffset + at, (n * itemsize) / word));
      });
      return;
    }
    scratch ??= new Uint8Array(Math.min(most, layout.size) * itemsize);
    const capacity = scratch.length / itemsize;
    for (let first = 0; first < count; ) {
      const n = Math.min(count - first, capacity - gathered);
      readRun(store, start + first * step, n, step, scratch.subarray(gathered * itemsize));
      gathered += n;
      first += n;
      if (gathered === capacity) flush();
    }
  });
  flush();
}

function isAligned(store: MemoryStore, position: number, word: number): boolean {
  if (store.scattered) return false;
  const { bytes, start } = store.windowAt(position);
  return (bytes.byteOffset + position - start) % word === 0;
}

/** The same elements with positive strides, longest first, so that transposed and reversed arrays are contiguous too. */
export function unordered({ shape, strides, position }: Layout): Pick<Layout, 'shape' | 'strides' | 'position'> {
  let first = position;
  const axes = shape.map((dim, axis) => {
    const stride = strides[axis] as number;
    if (stride < 0) first += stride * (dim - 1);
    return { dim, stride: Math.abs(stride) };
  });
  axes.sort((a, b) => b.stride - a.stride);
  return { shape: axes.map(({ dim }) => dim), strides: axes.map(({ stride }) => stride), position: first };
}
