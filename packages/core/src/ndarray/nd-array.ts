/**
 * numpy's n-dimensional array over an {@link ArrayMemory}.
 *
 * @module
 */

import { MmdError } from '../errors.ts';
import { showArray, showAs } from '../inspect.ts';
import { checkOptions, isAnything, isPositive, isWhole, type OptionTable } from '../options.ts';
import { ADVICES, type Advice, type ArrayMemory } from './array-memory.ts';
import type { ArraySource } from './array-source.ts';
import { parseDType } from './descr.ts';
import type { DType, DTypeLike, TypedArray } from './dtypes.ts';
import { rowOf } from './dtypes.ts';
import { type ElementStore, MemoryStore, NATIVE_ORDER, ObjectStore } from './element-store.ts';
import { type Geometry, resolveIndex, Slice, type SliceSpec, sliceGeometry } from './indexing.ts';
import {
  fieldLayout,
  isPackedLayout,
  type Layout,
  layoutOfForm,
  layoutOver,
  makeLayout,
  type NDArrayInit,
  type NDArrayOptions,
  orderOf,
  type PackedForm,
  touchedBytes,
  viewLayout,
} from './layout.ts';
import { layoutOfNested, nestedLayout } from './nested.ts';
import { max, mean, min, type Reduced, sum } from './reduce.ts';
import {
  checkOrder,
  checkShape,
  invalid,
  type Order,
  packedStrides,
  refuseAxis,
  reshapeStrides,
  resolveReshape,
  sizeOf,
} from './shapes.ts';
import {
  assign,
  boxesOf,
  bytesInOrder,
  copyLayout,
  fill,
  packedBytes,
  pieceInOrder,
  toNested,
  zeroLayout,
} from './transfer.ts';

/** A part of an array, from {@link NDArray.chunks}. */
export interface Chunk {
  /** The index of the chunk's first element, one number per axis. */
  readonly start: readonly number[];
  /** A view of the part, with as many axes as the whole array. */
  readonly array: NDArray;
}

/** The names of the options; orders and the values of strides are checked where they are used. */
const ORDER_OPTION: OptionTable = { order: isAnything };
const OVER_OPTIONS: OptionTable = {
  ...ORDER_OPTION,
  strides: { takes: Array.isArray, expected: 'a list of integers' },
  offset: isWhole,
};
const CHUNKS_OPTIONS: OptionTable = { bytes: isPositive };

/**
 * An n-dimensional array over borrowed memory: a mapping of a file, or bytes. Nothing is read or copied until it is
 * needed; views (`slice`, `rows`, `transpose`, ...) share the memory.
 *
 * `shape`, `strides`, `offset` and `data` are what scijs `ndarray` and `@stdlib/ndarray` expect:
 * element (i, j) is `data[offset + i * strides[0] + j * strides[1]]`.
 *
 * @throws INVALID_ARGUMENT for invalid indices, arguments and options; CLOSED from calls that touch elements of a closed file;
 * UNSUPPORTED_DTYPE for a type that does not exist, or that does not support the operation (text has no sum)
 *
 * @example
 * ```ts
 * import { ndarray, slice } from '@mmdpickle/core/ndarray';
 *
 * const a = ndarray(new Float64Array(12), [3, 4]);
 * a.set(1, 2, 7.5);
 * a.get(1, -2); // 7.5
 * a.slice(null, slice(0, null, 2)).shape; // [3, 2]
 * ```
 */
export class NDArray implements ArraySource {
  readonly arraySource = true as const;
  #laid: Layout;
  /** Makes the layout that replaces `#laid` on next use. */
  #next: (() => NDArrayInit) | undefined;

  /** @internal For `over` and subclasses. */
  protected constructor(init: NDArrayInit | { readonly layout: Layout }) {
    this.#laid = 'layout' in init ? init.layout : layoutOver(init);
  }

  #layout(): Layout {
    if (this.#next !== undefined) {
      this.#laid = layoutOver(this.#next());
      this.#next = undefined;
    }
    return this.#laid;
  }

  /** @internal The layout of the elements. */
  laid(): Layout {
    return this.#layout();
  }

  /**
   * Lays an array over memory, which is borrowed.
   *
   * @param memory - where the bytes are
   * @param dtype - anything that {@link parseDType} accepts; a sub-array type adds its axes to the shape
   * @param shape - the lengths of the axes; `[]` is a single element
   * @param options - order or byte strides, and the byte offset of the first element
   * @throws INVALID_ARGUMENT if it does not fit the memory; UNSUPPORTED_DTYPE for unknown or object types
   *
   * @example
   * ```ts
   * import { memoryOver, NDArray } from '@mmdpickle/core/ndarray';
   *
   * const bytes = new Uint8Array([9, 9, 1, 2, 3, 4]);
   * NDArray.over(memoryOver(bytes), '>u2', [2], { offset: 2 }).toNested(); // [258, 772]
   * ```
   */
  static over(memory: ArrayMemory, dtype: DTypeLike, shape: readonly number[], options: NDArrayOptions = {}): NDArray {
    if (typeof memory?.bytes !== 'function') throw invalid('NDArray.over needs an ArrayMemory: see memoryOver', memory);
    const { order, strides, offset } = checkOptions(options, OVER_OPTIONS);
    return new NDArray({ memory, dtype, shape, order, strides, offset });
  }

  /** @internal Like `over`, for a type and shape that are already checked. */
  static ofForm(form: PackedForm, memory: ArrayMemory): NDArray {
    return new NDArray({ layout: layoutOfForm(form, memory, 0) });
  }

  /**
   * An array of any values (numpy's object dtype), in memory only.
   *
   * @param list - the elements in C order; borrowed: `set` stores into it
   *
   * @example
   * ```ts
   * import { NDArray } from '@mmdpickle/core/ndarray';
   *
   * NDArray.ofObjects(['a', null, 3n, 4], [2, 2]).get(1, 0); // 3n
   * ```
   */
  static ofObjects(
    list: unknown[],
    shape: readonly number[] = [list?.length],
    options: { readonly order?: Order } = {},
  ): NDArray {
    const checked = checkShape(shape);
    if (!Array.isArray(list)) throw invalid('ofObjects needs an array of values', list);
    if (sizeOf(checked) !== list.length) {
      throw invalid(`${list.length} elements do not fit the shape [${shape.join(', ')}]`, [...shape], list.length);
    }
    const store = new ObjectStore(parseDType('O'), list);
    const strides = packedStrides(checked, store.unit, checkOptions(options, ORDER_OPTION).order ?? 'C');
    return new NDArray({ layout: makeLayout(store, { shape: checked, strides, position: 0 }) });
  }

  /** An array of zeros in memory of its own. @throws LIMIT_EXCEEDED if it does not fit one ArrayBuffer */
  static zeros(
    shape: readonly number[],
    dtype: DTypeLike = 'float64',
    options: { readonly order?: Order } = {},
  ): NDArray {
    return new NDArray({ layout: zeroLayout(parseDType(dtype), shape, checkOptions(options, ORDER_OPTION).order) });
  }

  /** @internal Copies nested lists; `ndarray()` is the public way. */
  static fromNested(value: unknown, dtype: DTypeLike): NDArray {
    return new NDArray({ layout: layoutOfNested(value, parseDType(dtype)) });
  }

  /** @internal Replaces the layout of a subclass's array, for example after it grew. */
  protected relay(init: NDArrayInit): void {
    this.#laid = layoutOver(init);
    this.#next = undefined;
  }

  /** @internal Like `relay`, but only when the array is next used, so that appending a row does not pay for it. */
  protected relayLater(make: () => NDArrayInit): void {
    this.#next = make;
  }

  #view(geometry: Geometry): NDArray {
    return new NDArray({ layout: viewLayout(this.#layout(), geometry) });
  }

  /** The lengths of the axes. */
  get shape(): readonly number[] {
    return this.#layout().shape;
  }

  /** The distance from one element to the next along each axis, counted in elements of `data`. */
  get strides(): readonly number[] {
    return this.#layout().elementStrides;
  }

  /** {@link NDArray.strides}, under the name that scijs `ndarray` and zarrita expect. */
  get stride(): number[] {
    return [...this.#layout().elementStrides];
  }

  /** The index of the first element in `data`. */
  get offset(): number {
    return this.#layout().elementOffset;
  }

  /** numpy's `str(dtype)`, for example `'float64'` or `'>i4'`. */
  get dtype(): string {
    return this.#layout().type.name;
  }

  /** The full description of the type. */
  get type(): DType {
    return this.#layout().type;
  }

  /**
   * The elements in memory, shared by all views: a typed array if they are in native byte order, aligned and within one window
   * (bool as bytes, datetime64 and timedelta64 as 64-bit counts), else a store with `get(i)`, `set(i, value)` and
   * `length`. float16 and complex always have a store, on every runtime. If strides are not multiples of the
   * itemsize, the store, `strides` and `offset` count bytes.
   */
  get data(): TypedArray | ElementStore {
    return this.#layout().store.data;
  }

  /** `'F'` if the elements are stored without gaps in Fortran order only, else `'C'`. */
  get order(): Order {
    return orderOf(this.#layout());
  }

  /** The number of axes. */
  get ndim(): number {
    return this.#layout().shape.length;
  }

  /** The number of elements. */
  get size(): number {
    return this.#layout().size;
  }

  /** `size * type.itemsize`. */
  get nbytes(): number {
    return this.#layout().size * this.#layout().type.itemsize;
  }

  /**
   * If false, `set` and `fill` throw READ_ONLY, and a store through `data` stays in this process: its page becomes a private
   * copy, which no longer follows the file.
   */
  get writable(): boolean {
    return this.#layout().store.writable;
  }

  /** False if elements are not aligned in memory, as in files written by Python's mmappickle; slower, but everything works. */
  get aligned(): boolean {
    return this.#layout().store.aligned;
  }

  /** The memory under the array. @throws UNSUPPORTED_DTYPE for object arrays, which have none */
  get memory(): ArrayMemory {
    return this.#memoryStore().memory;
  }

  /** The offset of the first element in `memory`, in bytes. */
  get byteOffset(): number {
    return this.#memoryStore().origin + this.#layout().position;
  }

  /** numpy's `strides`: the distance from one element to the next along each axis, in bytes. */
  get byteStrides(): readonly number[] {
    return this.#layout().strides;
  }

  #memoryStore(): MemoryStore {
    const { store } = this.#layout();
    if (store instanceof MemoryStore) return store;
    throw new MmdError('UNSUPPORTED_DTYPE', 'an object array is not backed by bytes', { found: 'object' });
  }

  /** Whether the elements are stored without gaps in this order. */
  isContiguous(order: Order = 'C'): boolean {
    checkOrder(order);
    return isPackedLayout(this.#layout(), order);
  }

  #index(indices: readonly unknown[], count: number): number {
    const { shape, elementStrides, elementOffset } = this.#layout();
    if (count !== shape.length) throw invalid(`${count} indices for ${shape.length} axes`, count, shape.length);
    let at = elementOffset;
    for (let axis = 0; axis < count; axis += 1) {
      const length = shape[axis] as number;
      const index = indices[axis] as number;
      const inside = Number.isInteger(index) && index >= 0 && index < length;
      at += (inside ? index : resolveIndex(index, length, axis)) * (elementStrides[axis] as number);
    }
    return at;
  }

  /**
   * One element; negative indices count from the end. See {@link DTYPES} for what elements are in JavaScript.
   * @throws INVALID_ARGUMENT for an index out of bounds, with `found: { axis, index, length }`; CLOSED
   */
  get(...indices: number[]): unknown {
    return this.#layout().store.get(this.#index(indices, indices.length));
  }

  /**
   * Stores one element: `set(i, j, value)`; or all: `set(from)`, where `from` is an array, a typed array, nested
   * lists or one value, broadcast by numpy's rules. A typed array with as many elements as this array is taken in C order. In arrays
   * of objects, lists count as axes only as deep as this array has axes.
   * A value that the type cannot hold is an error, never truncated.
   * @throws READ_ONLY, CLOSED; INVALID_ARGUMENT for indices or shapes; UNSUPPORTED_VALUE
   */
  set(...args: [...indices: number[], value: unknown]): this {
    const count = args.length - 1;
    const value = args[count];
    if (count === 0 && (this.ndim > 0 || value instanceof NDArray)) return this.#setAll(value);
    this.#layout().store.checkWritable();
    this.#layout().store.set(this.#index(args, count), value);
    return this;
  }

  #setAll(from: unknown): this {
    const layout = this.#layout();
    layout.store.checkWritable();
    if (from instanceof NDArray) assign(layout, from.#layout());
    else {
      const source = nestedLayout(from, layout.type, layout.shape);
      if (source === undefined) fill(layout, from);
      else assign(layout, source);
    }
    return this;
  }

  /** Stores one value into every element. @throws READ_ONLY, CLOSED, UNSUPPORTED_VALUE */
  fill(value: unknown): this {
    fill(this.#layout(), value);
    return this;
  }

  /**
   * A view, by numpy's basic indexing: a number selects one index and drops the axis, `null` keeps the whole axis, `slice()`
   * cuts it, `newAxis` inserts one, `ellipsis` stands for the axes in between; the remaining axes are kept.
   * @throws INVALID_ARGUMENT for an index out of bounds, with `found: { axis, index, length }`
   */
  slice(...specs: SliceSpec[]): NDArray {
    return this.#view(sliceGeometry(this.#layout(), specs));
  }

  /** A view of rows `[start, end)` of the first axis; negative numbers count from the end. */
  rows(start: number, end: number): NDArray {
    return this.slice(new Slice(start, end, null));
  }

  /** A view of one row of the first axis, without that axis. */
  row(index: number): NDArray {
    return this.slice(index);
  }

  /** A view of one field of structured elements. @throws NOT_FOUND */
  field(name: string): NDArray {
    return new NDArray({ layout: fieldLayout(this.#layout(), name) });
  }

  /** A view with the axes in another order; reversed if no arguments are given. */
  transpose(...axes: number[]): NDArray {
    const { shape, strides, position } = this.#layout();
    const order = axes.length === 0 ? shape.map((_, axis) => shape.length - 1 - axis) : axes;
    const resolved = order.map((axis) => resolveIndex(axis, shape.length, 0));
    if (resolved.length !== shape.length || new Set(resolved).size !== shape.length) {
      throw invalid(`transpose needs each of the ${shape.length} axes once`, axes, shape.length);
    }
    return this.#view({
      shape: resolved.map((axis) => shape[axis] as number),
      strides: resolved.map((axis) => strides[axis] as number),
      position,
    });
  }

  /**
   * A view with another shape of the same size, in C order; one dimension may be -1.
   * @throws INVALID_ARGUMENT if the sizes differ, or if no view can have that shape: `copy()` first
   */
  reshape(shape: readonly number[]): NDArray {
    const { shape: from, strides, position, store } = this.#layout();
    const target = resolveReshape(from, shape);
    const itemsize = store instanceof MemoryStore ? store.type.itemsize : store.unit;
    const view = reshapeStrides(from, strides, target, itemsize);
    if (view === undefined) {
      throw invalid(
        `no view of this array has the shape [${target.join(', ')}]: its elements are not contiguous; use copy().reshape()`,
        [...target],
      );
    }
    return this.#view({ shape: target, strides: view, position });
  }

  /**
   * A copy in memory of its own, without gaps.
   * @throws LIMIT_EXCEEDED if it does not fit one ArrayBuffer: walk it with `chunks`
   */
  copy(options: { readonly order?: Order } = {}): NDArray {
    return new NDArray({ layout: copyLayout(this.#layout(), this.type, checkOptions(options, ORDER_OPTION).order) });
  }

  /** A copy converted to another type, each element by the rules of `set`. @throws UNSUPPORTED_VALUE, LIMIT_EXCEEDED */
  astype(dtype: DTypeLike): NDArray {
    return new NDArray({ layout: copyLayout(this.#layout(), parseDType(dtype)) });
  }

  /**
   * The whole array as a typed array in C order, over the same memory: no copy. Complex numbers come as real and imaginary
   * part in turn.
   * @throws INVALID_ARGUMENT if the elements are not contiguous, aligned, in native byte order and within one window: `copy()` first;
   * UNSUPPORTED_DTYPE for types that no typed array holds (float16, text, records); CLOSED
   */
  typed(): TypedArray {
    const { store, type, size, position } = this.#layout();
    const row = type.fields === undefined && store instanceof MemoryStore ? rowOf(type) : undefined;
    const array = row?.array ?? row?.parts;
    if (array === undefined || !(store instanceof MemoryStore)) {
      throw new MmdError('UNSUPPORTED_DTYPE', `no typed array holds ${type.name}; use get, toNested or astype`, {
        found: type.name,
      });
    }
    store.checkOpen();
    const refuse = (why: string): MmdError => invalid(`typed(): the array is ${why}; use copy().typed()`, why);
    if (!this.isContiguous()) throw refuse('not contiguous in C order');
    if (type.byteorder !== '|' && type.byteorder !== NATIVE_ORDER) throw refuse(`stored as ${type.name}`);
    const length = size * type.itemsize;
    if (length > store.memory.maxWindow) {
      throw invalid(`typed(): ${length} bytes are more than one window; use chunks()`, length);
    }
    const bytes = store.borrow(position, length);
    if (bytes.byteOffset % array.BYTES_PER_ELEMENT !== 0) throw refuse('not aligned in memory');
    return new array(bytes.buffer, bytes.byteOffset, length / array.BYTES_PER_ELEMENT);
  }

  /**
   * Nested lists of the elements; a single element if there are no axes.
   * @throws LIMIT_EXCEEDED if they have many more items and lists than the array has bytes: elements of size 0, rows without elements
   */
  toNested(): unknown {
    return toNested(this.#layout());
  }

  /** What `JSON.stringify` sees: {@link NDArray.toNested}. */
  toJSON(): unknown {
    return this.toNested();
  }

  static {
    // biome-ignore lint/complexity/noThisInStatic: the compiler replaces the name by a variable that is set after this block has run
    showAs(this, showArray);
  }

  /**
   * Walks an array of any size with bounded memory: views of at most `bytes` bytes (at least one element), in the
   * array's `order`.
   */
  *chunks(options: { readonly bytes?: number } = {}): Generator<Chunk> {
    const { bytes = 16 * 1024 * 1024 } = checkOptions(options, CHUNKS_OPTIONS);
    const { shape, strides, position, type, store } = this.#layout();
    const most = Math.max(1, Math.floor(bytes / Math.max(1, type.itemsize)));
    const turned = this.order === 'F';
    const turn = (list: readonly number[]): readonly number[] => (turned ? list.toReversed() : list);
    for (const box of boxesOf({ shape: turn(shape), strides: turn(strides), position }, most)) {
      store.checkOpen();
      const part = { ...box.geometry, shape: turn(box.geometry.shape), strides: turn(box.geometry.strides) };
      yield { start: turn(box.start), array: this.#view(part) };
    }
  }

  /** The bytes in the array's `order`, in pieces that are borrowed until the next one is requested. */
  bytes(): Generator<Uint8Array> {
    return bytesInOrder(this.#layout(), this.order);
  }

  /** @internal All of `bytes`, if that is one borrowed piece. @throws CLOSED */
  piece(): Uint8Array | undefined {
    const layout = this.#layout();
    return pieceInOrder(layout, orderOf(layout));
  }

  /** @internal All bytes in C order: borrowed if they are one piece, else a copy. @throws CLOSED, LIMIT_EXCEEDED */
  packedBytes(): Uint8Array {
    return packedBytes(this.#layout());
  }

  /** Returns when all stores are on the disk (msync); nothing to do for memory. @throws CLOSED, IO */
  flush(): void {
    const store = this.#memoryStore();
    store.checkOpen();
    const { low, high } = touchedBytes(this.#layout());
    if (high > low) store.memory.flush?.(store.origin + low, high - low);
  }

  /** Tells the operating system which access pattern to expect (madvise). @throws INVALID_ARGUMENT, CLOSED */
  advise(advice: Advice): void {
    const store = this.#memoryStore();
    store.checkOpen();
    if (!ADVICES.includes(advice)) throw invalid(`advice must be one of ${ADVICES.join(', ')}`, advice, ADVICES);
    const { low, high } = touchedBytes(this.#layout());
    if (high > low) store.memory.advise?.(store.origin + low, high - low, advice);
  }

  /** The rows of the first axis as views; if there is one axis only, the elements. */
  *[Symbol.iterator](): Generator<unknown> {
    const [length] = this.shape;
    if (length === undefined) throw invalid('an array without axes cannot be iterated', 0);
    for (let i = 0; i < length; i += 1) yield this.ndim === 1 ? this.get(i) : this.row(i);
  }

  /** The sum of all elements: see {@link sum}. */
  sum(...axis: []): Reduced {
    refuseAxis('sum', axis);
    return sum(this.#layout());
  }

  /** The least element: see {@link min}. */
  min(...axis: []): Reduced {
    refuseAxis('min', axis);
    return min(this.#layout());
  }

  /** The greatest element: see {@link max}. */
  max(...axis: []): Reduced {
    refuseAxis('max', axis);
    return max(this.#layout());
  }

  /** The mean of all elements: see {@link mean}. */
  mean(...axis: []): Exclude<Reduced, boolean> {
    refuseAxis('mean', axis);
    return mean(this.#layout());
  }
}
