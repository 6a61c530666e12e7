/**
 * An array's layout: a store, a shape, and byte strides. Views are new layouts over one store.
 *
 * @module
 */

import { MmdError } from '../errors.ts';
import { shown, wrongArgument } from '../options.ts';
import type { ArrayMemory } from './array-memory.ts';
import { parseDType } from './descr.ts';
import type { DType, DTypeLike } from './dtypes.ts';
import { MemoryStore, type Store } from './element-store.ts';
import type { Geometry } from './indexing.ts';
import { checkOrder, checkShape, extentOf, invalid, isPacked, type Order, packedStrides, sizeOf } from './shapes.ts';

/** How an array is laid over a memory. */
export interface NDArrayOptions {
  /** Default `'C'`. */
  readonly order?: Order | undefined;
  /** Strides in bytes, of any sign; instead of `order`. */
  readonly strides?: readonly number[] | undefined;
  /** Offset of the first element, in bytes from the start of the memory. Default 0. */
  readonly offset?: number | undefined;
}

/** Everything needed to lay an array over a memory. */
export interface NDArrayInit extends NDArrayOptions {
  readonly memory: ArrayMemory;
  readonly dtype: DTypeLike;
  readonly shape: readonly number[];
}

/** A store, a type and a geometry. Position and strides count bytes, and `element...` the store's units, from the store's start. */
export interface Layout extends Geometry {
  readonly store: Store;
  readonly type: DType;
  readonly size: number;
  readonly elementStrides: readonly number[];
  readonly elementOffset: number;
}

/** Lays an array over a memory. @throws INVALID_ARGUMENT if it does not fit, UNSUPPORTED_DTYPE for objects */
export function layoutOver(init: NDArrayInit): Layout {
  const given = parseDType(init.dtype);
  if (given.hasObject) {
    throw new MmdError('UNSUPPORTED_DTYPE', `${given.name} holds objects, which exist in memory only`, {
      found: given.name,
    });
  }
  if (init.strides === undefined && given.shape === undefined) {
    return layoutOfForm(new PackedForm(given, init.shape, init.order ?? 'C'), init.memory, init.offset ?? 0);
  }
  const type = given.base ?? given;
  const shape = checkShape([...checkShape(init.shape), ...(given.shape ?? [])], Math.max(1, type.itemsize));
  const strides = init.strides ?? packedStrides(shape, type.itemsize, init.order ?? 'C');
  const all =
    init.strides === undefined ? strides : [...strides, ...packedStrides(given.shape ?? [], type.itemsize, 'C')];
  if (all.length !== shape.length || !all.every(Number.isSafeInteger)) {
    throw invalid(`strides must be one integer per axis, found ${shown(strides)}`, [...strides], shape.length);
  }
  const { offset = 0, memory } = init;
  const { low, high } = extentOf(shape, all, type.itemsize);
  const fits = Number.isSafeInteger(offset) && Number.isSafeInteger(high) && Number.isSafeInteger(low);
  if (!fits || offset + low < 0 || offset + high > memory.byteLength) {
    throw invalid(
      `bytes ${offset + low} to ${offset + high} of a ${type.name} array [${shape.join(', ')}] are not within a memory of ${memory.byteLength} bytes`,
      { low: offset + low, high: offset + high },
      memory.byteLength,
    );
  }
  return layoutIn(memory, type, { shape, strides: all, position: offset });
}

/**
 * What packed arrays (without gaps) of one type and shape have in common: checked and frozen once, shared by all of them.
 * Strides are computed on first use: an array that is only stored needs none, and freezing them costs more
 * than the rest of making an array.
 */
export class PackedForm {
  readonly type: DType;
  readonly shape: readonly number[];
  readonly order: Order;
  readonly size: number;
  readonly nbytes: number;
  #strides: readonly number[] | undefined;
  #elementStrides: readonly number[] | undefined;

  /** @throws INVALID_ARGUMENT for impossible shapes */
  constructor(type: DType, given: readonly number[], order: Order) {
    const { itemsize } = type;
    checkOrder(order);
    this.type = type;
    this.shape = checkShape(given, Math.max(1, itemsize));
    this.order = order;
    this.size = sizeOf(this.shape);
    this.nbytes = this.size * itemsize;
  }

  get strides(): readonly number[] {
    return (this.#strides ??= Object.freeze(packedStrides(this.shape, this.type.itemsize, this.order)));
  }

  get elementStrides(): readonly number[] {
    const unit = Math.max(1, this.type.itemsize);
    return (this.#elementStrides ??= Object.freeze(packedStrides(this.shape, this.type.itemsize / unit, this.order)));
  }
}

/** The most common layout, a packed array, whose extent need not be computed. Its store is made on first use. */
export class PackedLayout implements Layout {
  readonly form: PackedForm;
  readonly type: DType;
  readonly shape: readonly number[];
  readonly size: number;
  readonly position = 0;
  readonly elementOffset = 0;
  readonly #memory: ArrayMemory;
  readonly #offset: number;
  #store: MemoryStore | undefined;

  /** The arguments must be checked already. */
  constructor(form: PackedForm, memory: ArrayMemory, offset: number) {
    this.form = form;
    this.type = form.type;
    this.shape = form.shape;
    this.size = form.size;
    this.#memory = memory;
    this.#offset = offset;
  }

  get store(): MemoryStore {
    const { type, nbytes } = this.form;
    return (this.#store ??= new MemoryStore(this.#memory, type, this.#offset, nbytes, Math.max(1, type.itemsize)));
  }

  get strides(): readonly number[] {
    return this.form.strides;
  }

  get elementStrides(): readonly number[] {
    return this.form.elementStrides;
  }

  /** All bytes as one borrowed piece if they fit one window. Makes no store: many arrays are only written. @throws CLOSED */
  piece(): Uint8Array | undefined {
    const memory = this.#memory;
    const { nbytes } = this.form;
    if (nbytes > memory.maxWindow) return undefined;
    if (memory.closed || this.#store !== undefined) {
      this.store.checkOpen();
      return this.store.borrow(0, nbytes);
    }
    return memory.bytes(this.#offset, nbytes);
  }
}

/** Whether the elements of a layout are stored without gaps in this order. */
export function isPackedLayout(layout: Layout, order: Order): boolean {
  const { shape } = layout;
  if (layout instanceof PackedLayout && (shape.length < 2 || layout.form.order === order)) return true;
  const { store } = layout;
  return isPacked(shape, layout.strides, store instanceof MemoryStore ? store.type.itemsize : store.unit, order);
}

/** `'F'` if the elements are stored without gaps in Fortran order only, else `'C'`. */
export function orderOf(layout: Layout): Order {
  return !isPackedLayout(layout, 'C') && isPackedLayout(layout, 'F') ? 'F' : 'C';
}

/** Lays an array of a form over a memory. @throws INVALID_ARGUMENT if it does not fit */
export function layoutOfForm(form: PackedForm, memory: ArrayMemory, offset: number): Layout {
  const { type, shape, nbytes } = form;
  const end = offset + nbytes;
  if (!Number.isSafeInteger(offset) || offset < 0 || !(end <= memory.byteLength)) {
    throw invalid(
      `bytes ${offset} to ${end} of a ${type.name} array [${shape.join(', ')}] are not within a memory of ${memory.byteLength} bytes`,
      { low: offset, high: end },
      memory.byteLength,
    );
  }
  return new PackedLayout(form, memory, offset);
}

/** Makes a layout from checked arguments; `position` counts from the start of the memory. */
function layoutIn(memory: ArrayMemory, type: DType, { shape, strides, position }: Geometry): Layout {
  const { itemsize } = type;
  const { low, high } = extentOf(shape, strides, itemsize);
  const regular = itemsize > 0 && strides.every((stride) => stride % itemsize === 0);
  // A view without elements may begin beyond the memory's end if it has other axes than the empty one.
  const origin = Math.min(position + low, memory.byteLength);
  const store = new MemoryStore(memory, type, origin, high - low, regular ? itemsize : 1);
  return makeLayout(store, { shape, strides, position: -low });
}

/** A layout over a store. */
export function makeLayout(store: Store, { shape, strides, position }: Geometry): Layout {
  const { unit, type } = store;
  return {
    store,
    type,
    shape: Object.freeze([...shape]),
    strides: Object.freeze([...strides]),
    position,
    size: sizeOf(shape),
    elementStrides: Object.freeze(strides.map((stride) => stride / unit)),
    elementOffset: position / unit,
  };
}

/**
 * Another view of the same elements. Shares the store, and so the same `data`, unless that is too large for a
 * typed array: then the view gets a store of its own, which may be small enough for one.
 */
export function viewLayout(layout: Layout, geometry: Geometry): Layout {
  const { store } = layout;
  if (store instanceof MemoryStore && !store.whole) {
    return layoutIn(store.memory, store.type, { ...geometry, position: store.origin + geometry.position });
  }
  return makeLayout(store, geometry);
}

/** A view of one field of structured elements; a sub-array field adds its axes. */
export function fieldLayout(layout: Layout, name: string): Layout {
  // Undefined would match the title of a field that has none.
  if (typeof name !== 'string') throw wrongArgument('the name of a field', 'a string', name);
  const { store, type } = layout;
  const field = type.fields?.find((each) => each.name === name) ?? type.fields?.find((each) => each.title === name);
  if (field === undefined || !(store instanceof MemoryStore)) {
    throw new MmdError('NOT_FOUND', `${type.name} has no field ${JSON.stringify(name)}`, {
      expected: type.fields?.map((each) => each.name) ?? [],
      found: name,
    });
  }
  const base = field.dtype.base ?? field.dtype;
  const inner = field.dtype.shape ?? [];
  return layoutIn(store.memory, base, {
    shape: checkShape([...layout.shape, ...inner]),
    strides: [...layout.strides, ...packedStrides(inner, base.itemsize, 'C')],
    position: store.origin + layout.position + field.offset,
  });
}

/** The range of the store's bytes that an array touches: `[low, high)`. */
export function touchedBytes({ shape, strides, position, type }: Layout): { low: number; high: number } {
  const { low, high } = extentOf(shape, strides, type.itemsize);
  return { low: position + low, high: position + high };
}
