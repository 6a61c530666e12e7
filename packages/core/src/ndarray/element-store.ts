/**
 * The element stores of arrays: over an {@link ArrayMemory} of any size, or a list of objects.
 *
 * @module
 */

import { MmdError } from '../errors.ts';
import { shown } from '../options.ts';
import type { ArrayMemory } from './array-memory.ts';
import { type DType, rowOf, type TypedArray } from './dtypes.ts';
import { codecOf, type ElementCodec } from './element-codec.ts';
import { invalid } from './shapes.ts';

/** The form of `NDArray.data` if it cannot be a typed array: the generic store protocol of scijs `ndarray`. */
export interface ElementStore {
  readonly length: number;
  get(index: number): unknown;
  set(index: number, value: unknown): void;
}

/** The byte order of this machine. */
export const NATIVE_ORDER: '<' | '>' = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1 ? '<' : '>';

/** Typed arrays of numbers. */
export type NumberArray = Exclude<TypedArray, BigInt64Array | BigUint64Array>;

const is64Bit = (data: object): boolean => data instanceof BigInt64Array || data instanceof BigUint64Array;

/** A contiguous range of a store's bytes; `start` and `end` are positions in the store. */
export class Window {
  readonly bytes: Uint8Array;
  readonly start: number;
  readonly end: number;
  #view: DataView | undefined;

  constructor(bytes: Uint8Array, start: number, end: number) {
    this.bytes = bytes;
    this.start = start;
    this.end = end;
  }

  /** Created on first use: elements read through a typed array do not need it. */
  get view(): DataView {
    const { buffer, byteOffset, byteLength } = this.bytes;
    return (this.#view ??= new DataView(buffer, byteOffset, byteLength));
  }
}

/** Windows start at multiples of one of these: of pages if windows are large. */
const GRAINS = [65_536, 4096, 64, 8, 4, 2] as const;

/** Fractions are refused: they would read parts of two elements, or a property of a list. */
const isPlace = (index: number, length: number): boolean => Number.isInteger(index) && index >= 0 && index < length;

const noPlace = (index: number, length: number): MmdError =>
  invalid(`invalid element index ${shown(index)} for ${length} elements`, index, length);

const NO_WINDOW: Window = new Window(new Uint8Array(0), 0, -1);

/**
 * Elements over a range of an {@link ArrayMemory}. Positions are in bytes from the start of the range; element k
 * is at `k * unit`. If the range does not fit one window, the window used last is kept.
 */
export class MemoryStore implements ElementStore {
  readonly memory: ArrayMemory;
  readonly type: DType;
  /** Where the range starts in the memory. */
  readonly origin: number;
  readonly byteLength: number;
  /** Bytes from one index to the next: the itemsize, or 1 if strides are not multiples of it. */
  readonly unit: number;
  readonly length: number;
  /** True if the whole range is one window. */
  readonly whole: boolean;
  /** True if an element may extend past the end of its window: elements are then read and written in parts. */
  readonly scattered: boolean;
  #codec: ElementCodec | undefined;
  readonly #step: number;
  #window: Window = NO_WINDOW;
  #data: TypedArray | ElementStore | undefined;
  #numbersFound: NumberArray | null | undefined;

  constructor(memory: ArrayMemory, type: DType, origin: number, byteLength: number, unit: number) {
    this.memory = memory;
    this.type = type;
    this.origin = origin;
    this.byteLength = byteLength;
    this.unit = unit;
    const { itemsize } = type;
    this.length = byteLength < itemsize ? 0 : Math.floor((byteLength - itemsize) / unit) + 1;
    const { maxWindow } = memory;
    this.whole = byteLength <= maxWindow;
    if (this.whole) {
      this.#step = maxWindow;
      this.scattered = false;
      return;
    }
    // Windows overlap by half, so that every element that starts in the first half of a window lies within it.
    const half = Math.floor(maxWindow / 2);
    // Steps are multiples of a power of two, so that windows preserve the alignment of elements.
    const grain = GRAINS.find((size) => size <= half) ?? 1;
    this.#step = Math.max(1, half - (half % grain));
    this.scattered = itemsize > maxWindow - this.#step + 1;
  }

  /** Created on first use: many arrays are only passed on, or used through `data`. */
  get codec(): ElementCodec {
    return (this.#codec ??= codecOf(this.type));
  }

  get writable(): boolean {
    return this.memory.writable;
  }

  get closed(): boolean {
    return this.memory.closed;
  }

  /** A typed array over the range if it is in one window, native and aligned, else this store. */
  get data(): TypedArray | ElementStore {
    if (this.#data === undefined || (ArrayBuffer.isView(this.#data) && !this.#stands(this.#data)))
      this.#data = this.#makeData();
    return this.#data;
  }

  /**
   * False if the view's buffer was transferred: a byte stream that is given one view detaches all of them. This checks the buffer, not
   * the view: in Node 20 and 22, code compiled after it has seen a resizable buffer still sees the view's old length.
   */
  #stands(view: ArrayBufferView): boolean {
    return view.buffer.byteLength > 0 || this.byteLength === 0;
  }

  #makeData(): TypedArray | ElementStore {
    const { type, unit, byteLength } = this;
    if (!this.whole || type.fields !== undefined || type.base !== undefined) return this;
    const { array } = rowOf(type);
    if (array === undefined || unit !== type.itemsize) return this;
    if (type.byteorder !== '|' && type.byteorder !== NATIVE_ORDER) return this;
    const { bytes } = this.windowAt(0);
    if (bytes.byteOffset % array.BYTES_PER_ELEMENT !== 0) return this;
    return new array(bytes.buffer, bytes.byteOffset, byteLength / type.itemsize);
  }

  /** Whether elements are at multiples of their type's alignment in memory. */
  get aligned(): boolean {
    const { alignment } = this.type;
    if (this.byteLength === 0) return true;
    if (this.scattered) return alignment === 1;
    return this.windowAt(0).bytes.byteOffset % alignment === 0 && (this.unit % alignment === 0 || this.length <= 1);
  }

  /** The typed array if its items are the elements themselves: floats, and integers of up to 32 bits. */
  #numbers(): NumberArray | null {
    if (this.#numbersFound === undefined) {
      const { data } = this;
      const asTheyAre = ArrayBuffer.isView(data) && 'iuf'.includes(this.type.kind) && !is64Bit(data);
      this.#numbersFound = asTheyAre ? (data as NumberArray) : null;
    }
    return this.#numbersFound;
  }

  get(index: number): unknown {
    const pos = this.#check(index);
    const numbers = this.#numbers();
    if (numbers !== null) {
      const element = numbers[index];
      if (element !== undefined) return element;
      // The buffer was transferred.
      this.#numbersFound = undefined;
    }
    if (this.scattered) return this.codec.get(this.#gather(pos), 0);
    const { view, start } = this.windowAt(pos);
    return this.codec.get(view, pos - start);
  }

  set(index: number, value: unknown): void {
    const pos = this.#check(index);
    this.checkWritable();
    const numbers = this.#numbers();
    // Any number fits a float; for other types the codec checks the value.
    if (numbers !== null && typeof value === 'number' && this.type.kind === 'f') {
      if (numbers[index] !== undefined) {
        numbers[index] = value;
        return;
      }
      this.#numbersFound = undefined;
    }
    if (this.scattered) {
      const view = this.#gather(pos);
      this.codec.set(view, 0, value);
      this.writeBytes(pos, new Uint8Array(view.buffer));
      return;
    }
    const { view, start } = this.windowAt(pos);
    this.codec.set(view, pos - start, value);
  }

  #check(index: number): number {
    if (!isPlace(index, this.length)) throw noPlace(index, this.length);
    this.checkOpen();
    return index * this.unit;
  }

  /** @throws CLOSED */
  checkOpen(): void {
    if (this.memory.closed) throw new MmdError('CLOSED', 'the file behind the array is closed');
  }

  /** @throws CLOSED, READ_ONLY */
  checkWritable(): void {
    this.checkOpen();
    if (!this.memory.writable) {
      const message = 'the array is read-only: open the file for writing, or change a copy()';
      throw new MmdError('READ_ONLY', message);
    }
  }

  /** A window that holds the element at `pos`, unless elements are longer than half a window. */
  windowAt(pos: number): Window {
    const kept = this.#window;
    const step = this.#step;
    if (this.whole) {
      if (kept !== NO_WINDOW && this.#stands(kept.bytes)) return kept;
      this.#window = this.#open(0, this.byteLength);
    } else {
      const start = Math.floor(pos / step) * step;
      if (kept.start === start && kept !== NO_WINDOW && this.#stands(kept.bytes)) return kept;
      this.#window = this.#open(start, Math.min(this.byteLength, start + this.memory.maxWindow));
    }
    return this.#window;
  }

  #open(start: number, end: number): Window {
    return new Window(this.memory.bytes(this.origin + start, end - start), start, end);
  }

  #gather(pos: number): DataView {
    const bytes = new Uint8Array(this.type.itemsize);
    this.readBytes(pos, bytes);
    return new DataView(bytes.buffer);
  }

  /**
   * A borrowed view of at most `maxWindow` bytes. If the range is one window, it is always the window that was
   * opened first: a file that was truncated since has unmapped its pages from it, and must not be asked for them again.
   */
  borrow(pos: number, length: number): Uint8Array {
    return this.whole
      ? this.windowAt(0).bytes.subarray(pos, pos + length)
      : this.memory.bytes(this.origin + pos, length);
  }

  /** Copies bytes out, across windows. */
  readBytes(pos: number, into: Uint8Array): void {
    for (let done = 0; done < into.length; ) {
      const length = Math.min(into.length - done, this.memory.maxWindow);
      into.set(this.borrow(pos + done, length), done);
      done += length;
    }
  }

  /**
   * Stores bytes, across windows; long runs by positional writes, which avoid page faults.
   * @param alone - nothing else is stored in this call, so that a positional write is cheap enough at any length
   */
  writeBytes(pos: number, from: Uint8Array, alone = false): void {
    if ((alone || from.length >= POSITIONAL_WRITE_BYTES) && this.memory.write !== undefined) {
      this.memory.write(this.origin + pos, from);
      return;
    }
    for (let done = 0; done < from.length; ) {
      const length = Math.min(from.length - done, this.memory.maxWindow);
      this.borrow(pos + done, length).set(from.subarray(done, done + length));
      done += length;
    }
  }

  /**
   * Visits a run of elements in pieces that lie within one window each: in `use(bytes, at, count, first)`, element
   * `first + i` of the run is at byte `at + i * stride`. With `write`, elements of a scattered store are stored back.
   */
  forEachPiece(
    pos: number,
    count: number,
    stride: number,
    write: boolean,
    use: (bytes: Uint8Array, at: number, count: number, first: number) => void,
  ): void {
    const { itemsize } = this.type;
    for (let first = 0; first < count; ) {
      const here = pos + first * stride;
      if (this.scattered) {
        const view = this.#gather(here);
        const bytes = new Uint8Array(view.buffer);
        use(bytes, 0, 1, first);
        if (write) this.writeBytes(here, bytes);
        first += 1;
        continue;
      }
      const { bytes, start, end } = this.windowAt(here);
      const room = stride > 0 ? end - itemsize - here : here - start;
      const fits = stride === 0 ? count : Math.floor(room / Math.abs(stride)) + 1;
      const piece = Math.min(count - first, fits);
      use(bytes, here - start, piece, first);
      first += piece;
    }
  }
}

/** From this length on, a positional write is faster than storing into a mapping that has no pages yet. */
const POSITIONAL_WRITE_BYTES = 4096;

/** Object elements: any values, in a list in memory. */
export class ObjectStore implements ElementStore {
  readonly type: DType;
  readonly list: unknown[];
  /** The size of numpy's object pointers, so that strides are the same. */
  readonly unit = 8;
  readonly writable = true;
  readonly closed = false;

  constructor(type: DType, list: unknown[]) {
    this.type = type;
    this.list = list;
  }

  get length(): number {
    return this.list.length;
  }

  get data(): ElementStore {
    return this;
  }

  get aligned(): boolean {
    return true;
  }

  get(index: number): unknown {
    this.#check(index);
    return this.list[index];
  }

  set(index: number, value: unknown): void {
    this.#check(index);
    this.list[index] = value;
  }

  #check(index: number): void {
    if (!isPlace(index, this.length)) throw noPlace(index, this.length);
  }

  checkOpen(): void {
    // Memory is never closed.
  }

  checkWritable(): void {
    // Memory is always writable.
  }
}

/** Either store. */
export type Store = MemoryStore | ObjectStore;
