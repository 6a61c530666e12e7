/**
 * Moves elements between arrays, bytes and nested lists.
 *
 * @module
 */

import { newBytes } from '../bytes/index.ts';
import { MmdError } from '../errors.ts';
import type { DType, TypedArray } from './dtypes.ts';
import { changeOf } from './element-changes.ts';
import { type ElementStore, MemoryStore, type NumberArray, ObjectStore } from './element-store.ts';
import type { Geometry } from './indexing.ts';
import {
  isPackedLayout,
  type Layout,
  layoutOver,
  makeLayout,
  PackedLayout,
  touchedBytes,
  viewLayout,
} from './layout.ts';
import { sameDType } from './make-dtype.ts';
import { memoryOver } from './memory-over.ts';
import {
  broadcastStrides,
  checkShape,
  forEachRun,
  isPacked,
  type Order,
  packedStrides,
  repeated,
  sizeOf,
} from './shapes.ts';
import { swapInPlace } from './swap.ts';
import { wordsFor } from './words.ts';

/** Bytes gathered at a time. Fits the second-level cache. */
export const SCRATCH_BYTES: number = 256 * 1024;
/** The longest piece that is handed out without copying. */
const BORROWED_BYTES = 16 * 1024 * 1024;

/**
 * Copies `count` elements of `itemsize` bytes between strided positions, in words of up to four bytes.
 */
export function copyStrided(
  from: Uint8Array,
  fromAt: number,
  fromStep: number,
  to: Uint8Array,
  toAt: number,
  toStep: number,
  count: number,
  itemsize: number,
): void {
  if (fromStep === itemsize && toStep === itemsize) {
    to.set(from.subarray(fromAt, fromAt + count * itemsize), toAt);
    return;
  }
  const { word, words } = wordsFor(itemsize | (from.byteOffset + fromAt) | fromStep | (to.byteOffset + toAt) | toStep);
  const source = new words(
    from.buffer,
    from.byteOffset + (fromAt % word),
    Math.floor((from.length - (fromAt % word)) / word),
  );
  const target = new words(to.buffer, to.byteOffset + (toAt % word), Math.floor((to.length - (toAt % word)) / word));
  const each = itemsize / word;
  let s = Math.floor(fromAt / word);
  let t = Math.floor(toAt / word);
  const sStep = fromStep / word;
  const tStep = toStep / word;
  if (each === 1) {
    for (let i = 0; i < count; i += 1, s += sStep, t += tStep) target[t] = source[s] as number;
  } else if (each === 2) {
    for (let i = 0; i < count; i += 1, s += sStep, t += tStep) {
      target[t] = source[s] as number;
      target[t + 1] = source[s + 1] as number;
    }
  } else {
    for (let i = 0; i < count; i += 1, s += sStep, t += tStep) {
      for (let b = 0; b < each; b += 1) target[t + b] = source[s + b] as number;
    }
  }
}

/** Gathers a run of elements. */
export function readRun(store: MemoryStore, pos: number, count: number, step: number, into: Uint8Array): void {
  const { itemsize } = store.type;
  if (step === itemsize) {
    store.readBytes(pos, into.subarray(0, count * itemsize));
    return;
  }
  store.forEachPiece(pos, count, step, false, (bytes, at, n, first) => {
    copyStrided(bytes, at, step, into, first * itemsize, itemsize, n, itemsize);
  });
}

/** Scatters a run of elements; `alone`: see {@link MemoryStore.writeBytes}. */
function writeRun(
  store: MemoryStore,
  pos: number,
  count: number,
  step: number,
  from: Uint8Array,
  alone: boolean,
): void {
  const { itemsize } = store.type;
  if (step === itemsize) {
    store.writeBytes(pos, from.subarray(0, count * itemsize), alone);
    return;
  }
  store.forEachPiece(pos, count, step, true, (bytes, at, n, first) => {
    copyStrided(from, first * itemsize, itemsize, bytes, at, step, n, itemsize);
  });
}

/** Whether elements of one type can be copied as bytes into the other, and the length of the words to byte-swap (0: none). */
function byteCopy(from: DType, to: DType): { readonly swap: number } | undefined {
  if (sameDType(from, to)) return { swap: 0 };
  const simple = [from, to].every((type) => type.fields === undefined && type.base === undefined);
  if (!simple || from.kind !== to.kind || from.itemsize !== to.itemsize) return undefined;
  if (from.unit?.base !== to.unit?.base || from.unit?.count !== to.unit?.count) return undefined;
  const words = from.kind === 'c' ? from.itemsize / 2 : from.kind === 'U' ? 4 : from.itemsize;
  return { swap: from.byteorder === to.byteorder ? 0 : words };
}

/** Whether a store to one layout may change the other while it is being read. */
function overlaps(a: Layout, b: Layout): boolean {
  if (!(a.store instanceof MemoryStore && b.store instanceof MemoryStore)) {
    return a.store === b.store;
  }
  const [first, second] = [placeOf(a, a.store, b.store), placeOf(b, b.store, a.store)];
  return first.in === second.in && first.low < second.high && second.low < first.high;
}

/**
 * The bytes that a layout touches: their range in the memory, in what the memory is a part of (such as a file), or in the buffer.
 * No window of a file is opened for this: the garbage collector counts a large one as memory, and runs.
 */
function placeOf(layout: Layout, store: MemoryStore, other: MemoryStore): { in: object; low: number; high: number } {
  const { memory, origin } = store;
  const { low, high } = touchedBytes(layout);
  const from = (place: { in: object; at: number }, first: number): { in: object; low: number; high: number } => ({
    in: place.in,
    low: place.at + first + low,
    high: place.at + first + high,
  });
  if (memory === other.memory) return from({ in: memory, at: 0 }, origin);
  const place = memory.place?.();
  if (place !== undefined) return from(place, origin);
  // Windows of a memory without `place` are parts of one buffer, onto which other memories may have windows.
  const { buffer, byteOffset } = store.whole ? store.windowAt(0).bytes : memory.bytes(origin, 0);
  return from(other.memory.place?.(buffer) ?? { in: buffer, at: 0 }, byteOffset);
}

/**
 * Stores `source`, broadcast to the target's shape, into `target`. Equal types, whatever their byte order, are copied as
 * bytes; others element by element, by the rules of `set`. Overlapping views are read before they are written.
 */
export function assign(target: Layout, given: Layout): void {
  target.store.checkWritable();
  given.store.checkOpen();
  broadcastStrides(given.shape, given.strides, target.shape);
  if (target.size === 0) return;
  const source = overlaps(given, target) ? copyLayout(given) : given;
  const strides = broadcastStrides(source.shape, source.strides, target.shape);
  const [to, from] = [target.store, source.store];
  const bytewise = byteCopy(source.type, target.type);
  if (bytewise !== undefined && to instanceof MemoryStore && from instanceof MemoryStore) {
    moveBytes(target, to, source, from, strides, bytewise.swap);
    return;
  }
  const wide = viewLayout(source, { shape: target.shape, strides, position: source.position });
  if (!ALWAYS_FITS.has(`${source.type.kind}${target.type.kind}`)) {
    // A dry run, so that an element that does not fit, or is not valid text, leaves the target unchanged.
    const draft = new DataView(new ArrayBuffer(target.type.itemsize));
    const use = (value: unknown): void => {
      if (to instanceof MemoryStore) to.codec.set(draft, 0, value);
    };
    const operand = { position: wide.elementOffset, strides: wide.elementStrides };
    const change = changeOf(source.type, target.type) ?? asItIs;
    forEachRun(target.shape, [operand], ([s = 0], count, [step = 0]) => {
      for (let i = 0; i < count; i += 1) use(change(wide.store.get(s + i * step)));
    });
  }
  if (to instanceof MemoryStore && to.memory.write !== undefined) convertThrough(target, to, wide);
  else convert(target, wide);
}

/**
 * Converts into a buffer that is then written: storing to a page of a sparse file on a full disk would kill the process,
 * whereas a write fails with an error.
 */
function convertThrough(target: Layout, to: MemoryStore, source: Layout): void {
  const { itemsize } = target.type;
  if (itemsize === 0) return;
  const most = Math.max(1, Math.floor(SCRATCH_BYTES / itemsize));
  const memory = memoryOver(new Uint8Array(Math.min(most, target.size) * itemsize));
  for (const { start, geometry } of boxesOf(target, most)) {
    const { shape } = geometry;
    const position = start.reduce((at, index, axis) => at + index * (source.strides[axis] as number), source.position);
    const part = layoutOver({ memory, dtype: target.type, shape });
    convert(part, viewLayout(source, { shape, strides: source.strides, position }));
    moveBytes({ ...target, ...geometry }, to, part, part.store as MemoryStore, part.strides, 0);
  }
}

/** Converts element by element, between layouts of the same shape. */
function convert(target: Layout, source: Layout): void {
  const [to, from] = [target.store, source.store];
  const operands = [
    { position: target.elementOffset, strides: target.elementStrides },
    { position: source.elementOffset, strides: source.elementStrides },
  ];
  if (target.type.kind === 'f' && isNumbers(to.data) && 'iuf'.includes(source.type.kind) && isNumbers(from.data)) {
    const [targets, sources] = [to.data, from.data];
    forEachRun(target.shape, operands, ([t = 0, s = 0], count, [tStep = 0, sStep = 0]) => {
      for (let i = 0; i < count; i += 1) targets[t + i * tStep] = sources[s + i * sStep] as number;
    });
    return;
  }
  const change = changeOf(source.type, target.type) ?? asItIs;
  forEachRun(target.shape, operands, ([t = 0, s = 0], count, [tStep = 0, sStep = 0]) => {
    for (let i = 0; i < count; i += 1) to.set(t + i * tStep, change(from.get(s + i * sStep)));
  });
}

const asItIs = (value: unknown): unknown => value;

const isNumbers = (data: TypedArray | ElementStore): data is NumberArray =>
  ArrayBuffer.isView(data) && !(data instanceof BigInt64Array || data instanceof BigUint64Array);

/** Pairs of kinds, from and to, between which no element is refused. */
const ALWAYS_FITS: ReadonlySet<string> = new Set(['bf', 'if', 'uf', 'ff', 'bc', 'ic', 'uc', 'fc', 'cc', 'OO']);

function moveBytes(
  target: Layout,
  to: MemoryStore,
  source: Layout,
  from: MemoryStore,
  strides: readonly number[],
  swap: number,
): void {
  const { itemsize } = target.type;
  if (itemsize === 0) return;
  const most = Math.max(1, Math.floor(SCRATCH_BYTES / itemsize));
  let scratch: Uint8Array | undefined;
  const direct = swap === 0 && to.whole && from.whole;
  const alone = isPacked(target.shape, target.strides, itemsize, 'C');
  const operands = [
    { position: target.position, strides: target.strides },
    { position: source.position, strides },
  ];
  // A single element has no step, and is contiguous.
  forEachRun(target.shape, operands, (positions, count, steps) => {
    const [t, s] = positions as [number, number];
    const [tStep, sStep] = count === 1 ? [itemsize, itemsize] : (steps as [number, number]);
    if (swap === 0 && tStep === itemsize && sStep === itemsize) {
      from.forEachPiece(s, count, sStep, false, (bytes, at, n, first) => {
        to.writeBytes(t + first * itemsize, bytes.subarray(at, at + n * itemsize), alone);
      });
    } else if (direct && (tStep !== itemsize || to.memory.write === undefined)) {
      copyStrided(from.windowAt(s).bytes, s, sStep, to.windowAt(t).bytes, t, tStep, count, itemsize);
    } else {
      scratch ??= new Uint8Array(Math.min(most, target.size) * itemsize);
      for (let first = 0; first < count; first += most) {
        const n = Math.min(most, count - first);
        const part = scratch.subarray(0, n * itemsize);
        readRun(from, s + first * sStep, n, sStep, part);
        if (swap !== 0) swapInPlace(part, swap);
        writeRun(to, t + first * tStep, n, tStep, part, alone);
      }
    }
  });
}

/** Zeros in memory of their own; nulls for objects. @throws LIMIT_EXCEEDED if one ArrayBuffer cannot hold them */
export function zeroLayout(type: DType, shape: readonly number[], order: Order = 'C'): Layout {
  if (type.kind === 'O') {
    const checked = checkShape(shape);
    const list = new ObjectStore(type, repeated(null, sizeOf(checked)));
    return makeLayout(list, { shape: checked, strides: packedStrides(checked, list.unit, order), position: 0 });
  }
  const size = sizeOf(checkShape(shape, Math.max(1, type.itemsize)));
  return layoutOver({ memory: memoryOver(allocate(size * type.itemsize)), dtype: type, shape, order });
}

/** A packed copy in memory of its own. @throws LIMIT_EXCEEDED, UNSUPPORTED_VALUE */
export function copyLayout(source: Layout, type: DType = source.type, order: Order = 'C'): Layout {
  source.store.checkOpen();
  const copy = zeroLayout(type, source.shape, order);
  assign(copy, source);
  return copy;
}

/** Zeroed bytes. @throws LIMIT_EXCEEDED */
export function allocate(length: number): Uint8Array {
  return newBytes(length, 'an array', '; use chunks()');
}

/** Stores one value into every element. */
export function fill(target: Layout, value: unknown): void {
  const { store, type, size } = target;
  store.checkWritable();
  if (!(store instanceof MemoryStore)) {
    const operand = { position: target.elementOffset, strides: target.elementStrides };
    forEachRun(target.shape, [operand], ([at = 0], count, [step = 0]) => {
      for (let i = 0; i < count; i += 1) store.set(at + i * step, value);
    });
    return;
  }
  const { itemsize } = type;
  // Encoded even if there is no element to take it, so that a bad value is an error whatever the shape.
  const element = new Uint8Array(itemsize);
  store.codec.set(new DataView(element.buffer), 0, value);
  if (itemsize === 0 || size === 0) return;
  const most = Math.min(size, Math.max(1, Math.floor(SCRATCH_BYTES / itemsize)));
  const scratch = new Uint8Array(most * itemsize);
  const alone = isPacked(target.shape, target.strides, itemsize, 'C');
  for (let at = 0; at < scratch.length; at += itemsize) scratch.set(element, at);
  forEachRun(target.shape, [{ position: target.position, strides: target.strides }], ([at = 0], count, [step = 0]) => {
    for (let first = 0; first < count; first += most) {
      // A single element has no step, and is contiguous.
      writeRun(store, at + first * step, Math.min(most, count - first), count === 1 ? itemsize : step, scratch, alone);
    }
  });
}

/** All bytes in `order` as one borrowed piece, if they are stored in that order within one window; else undefined. @throws CLOSED */
export function pieceInOrder(layout: Layout, order: Order): Uint8Array | undefined {
  if (!isPackedLayout(layout, order)) return undefined;
  if (layout instanceof PackedLayout) return layout.piece();
  const { store, type, size } = layout;
  const length = size * type.itemsize;
  if (!(store instanceof MemoryStore) || !store.whole) return undefined;
  store.checkOpen();
  return store.borrow(layout.position, length);
}

/** All bytes in C order: borrowed if stored in that order within one window, else gathered. @throws CLOSED, LIMIT_EXCEEDED */
export function packedBytes(layout: Layout): Uint8Array {
  const piece = pieceInOrder(layout, 'C');
  if (piece !== undefined) return piece;
  const bytes = allocate(layout.size * layout.type.itemsize);
  let done = 0;
  for (const part of bytesInOrder(layout, 'C')) {
    bytes.set(part, done);
    done += part.length;
  }
  return bytes;
}

/** The bytes in `order`: borrowed pieces if stored in that order, else gathered into a buffer that is reused. */
export function* bytesInOrder(layout: Layout, order: Order): Generator<Uint8Array> {
  const { store, type, size } = layout;
  if (!(store instanceof MemoryStore)) {
    throw new MmdError('UNSUPPORTED_DTYPE', 'object elements have no bytes', { found: type.name });
  }
  const { itemsize } = type;
  if (size === 0 || itemsize === 0) return;
  store.checkOpen();
  if (isPackedLayout(layout, order)) {
    const total = size * itemsize;
    for (let done = 0; done < total; ) {
      store.checkOpen();
      const length = Math.min(total - done, BORROWED_BYTES, store.memory.maxWindow);
      yield store.borrow(layout.position + done, length);
      done += length;
    }
    return;
  }
  const { shape, strides, position } = layout;
  const turned = order === 'C' ? { shape, strides } : { shape: shape.toReversed(), strides: strides.toReversed() };
  const box = boxesOf({ ...turned, position }, Math.max(1, Math.floor(SCRATCH_BYTES / itemsize)));
  const scratch = new Uint8Array(Math.max(itemsize, Math.min(SCRATCH_BYTES, size * itemsize)));
  for (const { geometry } of box) {
    store.checkOpen();
    let end = 0;
    forEachRun(geometry.shape, [geometry], ([at = 0], count, [step = 0]) => {
      readRun(store, at, count, step, scratch.subarray(end, end + count * itemsize));
      end += count * itemsize;
    });
    yield scratch.subarray(0, end);
  }
}

/** A part of an array: `start` is the index of its first element. */
export interface Box {
  readonly start: readonly number[];
  readonly geometry: Geometry;
}

/** Cuts an array, in C order, into boxes of at most `most` elements (at least one). */
export function* boxesOf({ shape, strides, position }: Geometry, most: number): Generator<Box> {
  if (shape.includes(0)) return;
  // The axis to cut: all axes after it fit whole into a box.
  let axis = shape.length - 1;
  let inner = 1;
  while (axis > 0 && inner * (shape[axis] as number) <= most) {
    inner *= shape[axis] as number;
    axis -= 1;
  }
  if (axis < 0) {
    yield { start: [], geometry: { shape, strides, position } };
    return;
  }
  const rows = Math.max(1, Math.floor(most / inner));
  const start = new Array<number>(shape.length).fill(0);
  for (;;) {
    const at = start[axis] as number;
    const count = Math.min(rows, (shape[axis] as number) - at);
    const part = shape.map((dim, i) => (i < axis ? 1 : i === axis ? count : dim));
    const offset = start.reduce((sum, index, i) => sum + index * (strides[i] as number), 0);
    yield { start: [...start], geometry: { shape: part, strides, position: position + offset } };
    start[axis] = at + count;
    let carry = axis;
    while ((start[carry] as number) >= (shape[carry] as number)) {
      if (carry === 0) return;
      start[carry] = 0;
      carry -= 1;
      start[carry] = (start[carry] as number) + 1;
    }
  }
}

/** Lists and elements that nested lists may have in addition to four per byte. */
const MOST_NESTED = 2 ** 22;
/** The maximum length of a list. */
const LONGEST_LIST = 2 ** 32 - 1;

/**
 * Checks that nested lists are not out of proportion to the bytes (elements and rows of no bytes take no space in a file), and not
 * longer than lists can be.
 * @throws LIMIT_EXCEEDED
 */
export function checkNested(shape: readonly number[], itemsize: number): void {
  let level = 1;
  let count = 0;
  for (const dim of shape) count += level *= dim;
  const maximum = Math.min(MOST_NESTED + 4 * level * itemsize, LONGEST_LIST);
  if (count <= maximum) return;
  throw new MmdError(
    'LIMIT_EXCEEDED',
    `nested lists of shape [${shape.join(', ')}] hold ${count} items and lists, more than ${maximum}`,
    {
      limit: 'nested',
      maximum,
      found: count,
    },
  );
}

/** Nested lists of elements; a single element if there are no axes. */
export function toNested(layout: Layout): unknown {
  const { store, shape, elementStrides, elementOffset } = layout;
  store.checkOpen();
  checkNested(shape, layout.type.itemsize);
  const level = (axis: number, at: number): unknown => {
    if (axis === shape.length) return store.get(at);
    const step = elementStrides[axis] as number;
    const list = new Array<unknown>(shape[axis] as number);
    for (let i = 0; i < list.length; i += 1) list[i] = level(axis + 1, at + i * step);
    return list;
  };
  return level(0, elementOffset);
}
