/**
 * numpy's masked array: data, and a mask that hides elements.
 *
 * @module
 */

import { isMmdError, MmdError } from '../errors.ts';
import { showArray, showAs } from '../inspect.ts';
import { checkOptions, isAnything, type OptionTable } from '../options.ts';
import type { Advice } from './array-memory.ts';
import type { ArraySource } from './array-source.ts';
import { Complex } from './complex.ts';
import { type DType, NAT } from './dtypes.ts';
import { defaultFillValue } from './fill-value.ts';
import { Slice, type SliceSpec } from './indexing.ts';
import { PairwiseSum } from './kernels.ts';
import { keepVisible } from './masking.ts';
import { memoryOver } from './memory-over.ts';
import { NDArray } from './nd-array.ts';
import { isAxis, mostAxes } from './nested.ts';
import { checkReduces, dividedBy, exactSum, type Reduced } from './reduce.ts';
import { broadcastStrides, checkShape, invalid, type Order, refuseAxis, repeated, sizeOf } from './shapes.ts';
import { allocate, checkNested } from './transfer.ts';

/** Options of a {@link MaskedArray}. */
export interface MaskedArrayOptions {
  /** What `filled()` puts in place of masked elements; null (default) stands for numpy's default for the type. */
  readonly fillValue?: unknown;
}

/** A part of a masked array, from {@link MaskedArray.chunks}. */
export interface MaskedChunk {
  /** The index of the chunk's first element, one number per axis. */
  readonly start: readonly number[];
  /** A view of the part. */
  readonly array: MaskedArray;
}

const MASKED_OPTIONS: OptionTable = { fillValue: isAnything };

/**
 * An array with a mask of equal shape: where the mask is true, the element counts as missing and reads as null. Both
 * parts are borrowed, mapped or in memory; views share them.
 *
 * @example
 * ```ts
 * import { MaskedArray, ndarray } from '@mmdpickle/core/ndarray';
 *
 * const m = new MaskedArray(ndarray(new Float64Array([1, 2, 3])), ndarray([false, true, false]));
 * m.get(1); // null
 * m.sum(); // 4
 * m.set(0, null).count(); // 1
 * ```
 */
export class MaskedArray implements ArraySource {
  readonly arraySource = true as const;
  /** The elements; those under the mask are present, but mean nothing. */
  readonly data: NDArray;
  /** The mask, of type bool; true hides an element. */
  readonly mask: NDArray;
  /** The fill value as given; null stands for numpy's default for the type. */
  readonly fillValue: unknown;

  /** @throws INVALID_ARGUMENT if the mask is not of type bool, or has another shape */
  constructor(data: NDArray, mask: NDArray, options: MaskedArrayOptions = {}) {
    if (!(data instanceof NDArray && mask instanceof NDArray)) {
      throw invalid('a masked array needs two NDArrays: data and mask', [data, mask]);
    }
    if (mask.type.kind !== 'b') throw invalid('a mask must be of type bool', mask.dtype, 'bool');
    const same = mask.ndim === data.ndim && mask.shape.every((dim, axis) => dim === data.shape[axis]);
    if (!same) throw invalid('the mask must have the shape of the data', [...mask.shape], [...data.shape]);
    this.data = data;
    this.mask = mask;
    this.fillValue = checkOptions(options, MASKED_OPTIONS).fillValue ?? null;
  }

  #with(data: NDArray, mask: NDArray): MaskedArray {
    return new MaskedArray(data, mask, { fillValue: this.fillValue });
  }

  get shape(): readonly number[] {
    return this.data.shape;
  }

  get dtype(): string {
    return this.data.dtype;
  }

  get type(): DType {
    return this.data.type;
  }

  get order(): Order {
    return this.data.order;
  }

  get ndim(): number {
    return this.data.ndim;
  }

  get size(): number {
    return this.data.size;
  }

  /** Size of the data in bytes, without the mask. */
  get nbytes(): number {
    return this.data.nbytes;
  }

  get writable(): boolean {
    return this.data.writable && this.mask.writable;
  }

  /** The bytes of the data in its `order`; `mask.bytes()` gives those of the mask. */
  bytes(): Generator<Uint8Array> {
    return this.data.bytes();
  }

  /** One element; null where it is masked (and for NaT). @throws INVALID_ARGUMENT out of bounds; CLOSED */
  get(...indices: number[]): unknown {
    return this.mask.get(...indices) === true ? null : this.data.get(...indices);
  }

  /**
   * Stores one element, `set(i, j, value)`, or all, `set(from)`: arrays, masked arrays, typed arrays, nested lists or
   * one value, broadcast by numpy's rules. null masks an element and keeps its data; any other value unmasks it.
   * @throws READ_ONLY, CLOSED, INVALID_ARGUMENT, UNSUPPORTED_VALUE
   */
  set(...args: [...indices: number[], value: unknown]): this {
    const value = args[args.length - 1];
    const indices = args.slice(0, -1) as number[];
    this.#checkWritable();
    if (indices.length === 0) return this.#setAll(value);
    if (value === null) this.mask.set(...indices, true);
    else {
      this.data.set(...indices, value);
      this.mask.set(...indices, false);
    }
    return this;
  }

  #setAll(from: unknown): this {
    if (from instanceof MaskedArray) {
      this.#setData(from);
      this.mask.set(from.mask);
    } else if (from === null) this.mask.fill(true);
    else {
      // In an array without axes, a list can only be the element.
      const lists = this.ndim > 0 && isAxis(from, this.type);
      const shape = lists ? shapeOfLists(from, this.type, mostAxes(this.type, this.shape)) : undefined;
      if (shape !== undefined && hasNull(from, shape.length)) this.#setLists(from as readonly unknown[], shape);
      else {
        this.data.set(from);
        this.mask.fill(false);
      }
    }
    return this;
  }

  /** Hidden elements mean nothing: that the type cannot hold one (such as NaN as an integer) is no reason to refuse. */
  #setData(from: MaskedArray): void {
    try {
      this.data.set(from.data);
    } catch (error) {
      if (!isMmdError(error, 'UNSUPPORTED_VALUE')) throw error;
      const [visible] = from.#visible();
      if (visible !== undefined) this.data.set(from.filled(visible.get(...visible.shape.map(() => 0))));
    }
  }

  /** Nested lists with nulls: everything is converted before anything is stored. */
  #setLists(from: readonly unknown[], shape: readonly number[]): void {
    const { shape: target, type } = this;
    const staged = stageLists(from, shape, type);
    broadcastStrides(shape, shape, target);
    const extra = target.length - shape.length;
    forEachIndex(target, (index) => {
      const own = shape.map((dim, axis) => (dim === 1 ? 0 : (index[axis + extra] ?? 0)));
      if (staged.mask.get(...own) !== true) this.data.set(...index, staged.data.get(...own));
    });
    this.mask.set(staged.mask);
  }

  /** Stores one value into every element, or masks them all with null. */
  fill(value: unknown): this {
    this.#checkWritable();
    if (value !== null) this.data.fill(value);
    this.mask.fill(value === null);
    return this;
  }

  /** Called first: neither part may be stored if the other cannot be. @throws READ_ONLY */
  #checkWritable(): void {
    if (!this.writable) throw new MmdError('READ_ONLY', 'the masked array is read-only');
  }

  /** A view: see {@link NDArray.slice}. */
  slice(...specs: SliceSpec[]): MaskedArray {
    return this.#with(this.data.slice(...specs), this.mask.slice(...specs));
  }

  /** A view of rows `[start, end)` of the first axis. */
  rows(start: number, end: number): MaskedArray {
    return this.slice(new Slice(start, end, null));
  }

  /** A view of one row of the first axis, without that axis. */
  row(index: number): MaskedArray {
    return this.slice(index);
  }

  /** A view with the axes in another order; reversed if no arguments are given. */
  transpose(...axes: number[]): MaskedArray {
    return this.#with(this.data.transpose(...axes), this.mask.transpose(...axes));
  }

  /** A view with another shape: see {@link NDArray.reshape}. */
  reshape(shape: readonly number[]): MaskedArray {
    return this.#with(this.data.reshape(shape), this.mask.reshape(shape));
  }

  /** A copy of both parts in memory of its own. */
  copy(options: { readonly order?: Order } = {}): MaskedArray {
    return this.#with(this.data.copy(options), this.mask.copy(options));
  }

  /**
   * A copy of the data with a value in place of the masked elements.
   * @param value - default: `fillValue`, else numpy's default for the type
   * @throws UNSUPPORTED_VALUE for a value that the type cannot hold, even if nothing is masked
   */
  filled(value: unknown = this.fillValue): NDArray {
    const filler = value instanceof NDArray && value.size === 1 ? value.reshape([]).get() : value;
    const fill = filler === null ? defaultFillValue(this.type) : filler;
    NDArray.zeros([1], this.type).fill(fill);
    const result = this.data.copy();
    for (const { start, array } of this.mask.chunks({ bytes: 65_536 })) {
      const { shape } = array;
      const part = result.slice(...start.map((at, axis) => new Slice(at, at + (shape[axis] as number), null)));
      forEachIndex(shape, (index) => {
        if (array.get(...index) === true) part.set(...index, fill);
      });
    }
    return result;
  }

  /** The elements that are not masked, in C order: a copy with one axis. */
  compressed(): NDArray {
    const { itemsize } = this.type;
    let at = 0;
    if (!this.type.hasObject && itemsize > 0) {
      const count = this.count();
      const bytes = allocate(count * itemsize);
      for (const { array } of this.#sorted()) {
        at = keepVisible(array.data.packedBytes(), array.mask.packedBytes(), itemsize, bytes, at);
      }
      return NDArray.over(memoryOver(bytes), this.type, [count]);
    }
    const result = NDArray.zeros([this.count()], this.type);
    for (const { array } of this.#sorted()) {
      forEachIndex(array.shape, (index) => {
        if (array.mask.get(...index) === true) return;
        result.set(at, array.data.get(...index));
        at += 1;
      });
    }
    return result;
  }

  /** How many elements are not masked. */
  count(): number {
    return this.size - Number(this.mask.sum());
  }

  /** Nested lists with null in place of masked elements. @throws LIMIT_EXCEEDED as {@link NDArray.toNested} */
  toNested(): unknown {
    if (this.ndim === 0) return this.get();
    checkNested(this.shape, this.data.type.itemsize);
    const [length] = this.shape;
    return Array.from({ length: length as number }, (_, i) => (this.ndim === 1 ? this.get(i) : this.row(i).toNested()));
  }

  /** What `JSON.stringify` sees: {@link MaskedArray.toNested}. */
  toJSON(): unknown {
    return this.toNested();
  }

  static {
    // biome-ignore lint/complexity/noThisInStatic: the compiler replaces the name by a variable that is set after this block has run
    showAs(this, showArray);
  }

  /** Walks an array of any size with bounded memory: see {@link NDArray.chunks}; `bytes` counts the data. */
  *chunks(options: { readonly bytes?: number } = {}): Generator<MaskedChunk> {
    for (const { start, array } of this.data.chunks(options)) {
      const specs = start.map((at, axis) => new Slice(at, at + (array.shape[axis] as number), null));
      yield { start, array: this.#with(array, this.mask.slice(...specs)) };
    }
  }

  /** Chunks in C order. */
  *#sorted(): Generator<MaskedChunk> {
    if (this.order === 'C' || this.ndim === 0) yield* this.chunks({ bytes: SORTED_BYTES });
    else for (let i = 0; i < (this.shape[0] as number); i += 1) yield { start: [i], array: this.rows(i, i + 1) };
  }

  /** Flushes both parts: see {@link NDArray.flush}. */
  flush(): void {
    this.data.flush();
    this.mask.flush();
  }

  /** Advises for both parts: see {@link NDArray.advise}. */
  advise(advice: Advice): void {
    this.data.advise(advice);
    this.mask.advise(advice);
  }

  /** The rows of the first axis as views; if there is one axis only, the elements, null where masked. */
  *[Symbol.iterator](): Generator<unknown> {
    const [length] = this.shape;
    if (length === undefined) throw invalid('an array without axes cannot be iterated', 0);
    for (let i = 0; i < length; i += 1) yield this.ndim === 1 ? this.get(i) : this.row(i);
  }

  /** The sum of the elements that are not masked: see {@link NDArray.sum}. null if all are masked. */
  sum(...axis: []): Reduced {
    refuseAxis('sum', axis);
    checkReduces(this.type, 'sum');
    const floats = new PairwiseSum();
    const imaginary = new PairwiseSum();
    let integers = 0n;
    let kind: 'none' | 'number' | 'bigint' | 'complex' = 'none';
    for (const part of this.#visible()) {
      const sum = part.sum();
      if (sum === null) return null;
      if (typeof sum === 'bigint') {
        kind = 'bigint';
        integers += sum;
      } else if (sum instanceof Complex) {
        kind = 'complex';
        floats.add(sum.re);
        imaginary.add(sum.im);
      } else {
        kind = 'number';
        floats.add(Number(sum));
      }
    }
    if (kind === 'none') return null;
    if (kind === 'complex') return new Complex(floats.total(), imaginary.total());
    if (kind === 'number') return floats.total();
    const total = this.type.kind === 'u' ? BigInt.asUintN(64, integers) : BigInt.asIntN(64, integers);
    return this.type.kind === 'm' && total === NAT ? null : total;
  }

  /**
   * The least element that is not masked: see {@link NDArray.min}. null if all are masked.
   * @throws INVALID_ARGUMENT if the array is empty, as in numpy
   */
  min(...axis: []): Reduced {
    refuseAxis('min', axis);
    checkReduces(this.type, 'min');
    return this.#extreme('min');
  }

  /** The greatest element that is not masked: see {@link MaskedArray.min}. */
  max(...axis: []): Reduced {
    refuseAxis('max', axis);
    checkReduces(this.type, 'max');
    return this.#extreme('max');
  }

  #extreme(what: 'min' | 'max'): Reduced {
    if (this.size === 0) throw invalid(`${what} of an empty array`, [...this.shape]);
    const found: Reduced[] = [];
    for (const part of this.#visible()) found.push(part[what]());
    if (found.length === 0 || found.includes(null)) return null;
    return NDArray.fromNested(found, this.type)[what]();
  }

  /** The exact sum, for the mean of types whose sum may wrap. */
  #exactSum(): bigint | undefined {
    let total: bigint | undefined;
    for (const part of this.#visible()) {
      const sum = exactSum(part.laid());
      if (sum === undefined) return undefined;
      total = (total ?? 0n) + sum;
    }
    return total;
  }

  /** The mean of the elements that are not masked: see {@link NDArray.mean}. null if all are masked. */
  mean(...axis: []): Reduced {
    refuseAxis('mean', axis);
    checkReduces(this.type, 'mean');
    const count = this.count();
    const sum = count === 0 ? null : (this.#exactSum() ?? this.sum());
    if (sum === null) return null;
    if (sum instanceof Complex) return dividedBy(sum, count);
    if (this.type.kind === 'm') return (sum as bigint) / BigInt(count);
    return Number(sum) / count;
  }

  /** The elements that are not masked, in non-empty parts. */
  *#visible(): Generator<NDArray> {
    for (const { array } of this.chunks({ bytes: 1024 * 1024 })) {
      const count = array.count();
      if (count === array.size) {
        if (count > 0) yield array.data;
      } else if (count > 0) yield array.compressed();
    }
  }
}

/** Size of chunks that are copied element by element: they stay in the processor's cache. */
const SORTED_BYTES = 256 * 1024;

/** The shape of nested lists, by the first items that are not null. @throws INVALID_ARGUMENT for an impossible shape (a list in itself) */
function shapeOfLists(from: readonly unknown[], type: DType, most: number): readonly number[] {
  const shape: number[] = [];
  for (let level: unknown = from; isAxis(level, type) && shape.length < most; ) {
    shape.push(level.length);
    level = level.find((item) => item !== null);
  }
  return checkShape(shape);
}

/** Whether nested lists hold a null within `depth` levels. */
function hasNull(value: unknown, depth: number): boolean {
  return value === null || (depth > 0 && Array.isArray(value) && value.some((item) => hasNull(item, depth - 1)));
}

/** Copies nested lists into new arrays; null masks an element, or all elements below it. @throws INVALID_ARGUMENT, UNSUPPORTED_VALUE */
function stageLists(from: unknown, shape: readonly number[], type: DType): { data: NDArray; mask: NDArray } {
  const data = type.hasObject ? NDArray.ofObjects(repeated(null, sizeOf(shape)), shape) : NDArray.zeros(shape, type);
  const mask = NDArray.zeros(shape, 'bool');
  const stage = (value: unknown, index: readonly number[]): void => {
    const length = shape[index.length];
    if (value === null) mask.slice(...index).set(true);
    else if (length === undefined) data.set(...index, value);
    else if (!Array.isArray(value) || value.length !== length) {
      throw invalid(`nested lists are ragged: expected ${length} items along axis ${index.length}`, value, length);
    } else for (const [i, item] of value.entries()) stage(item, [...index, i]);
  };
  stage(from, []);
  return { data, mask };
}

/** Calls `use` with every index, in C order; the list is reused between calls. */
function forEachIndex(shape: readonly number[], use: (index: readonly number[]) => void): void {
  if (shape.includes(0)) return;
  const index = new Array<number>(shape.length).fill(0);
  for (;;) {
    use(index);
    let axis = shape.length - 1;
    for (; axis >= 0; axis -= 1) {
      index[axis] = (index[axis] as number) + 1;
      if ((index[axis] as number) < (shape[axis] as number)) break;
      index[axis] = 0;
    }
    if (axis < 0) return;
  }
}
