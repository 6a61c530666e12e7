/**
 * An array's layout: a store, a shape, and byte strides. Views are new layouts over one store.
 *
 * @module
 */

import { MmdError } from '../errors.ts';
import type { ArrayMemory } from './array-memory.ts';
import { parseDType } from './descr.ts';
import type { DType, DTypeLike } from './dtypes.ts';
import { MemoryStore, type Store } from './element-store.ts';
import type { Geometry } from './indexing.ts';
import { checkShape, extentOf, invalid, type Order, packedStrides, sizeOf } from './shapes.ts';

/** Where an array lies in a memory. */
export interface NDArrayOptions {
  /** Default `'C'`. */
  readonly order?: Order | undefined;
  /** In bytes, of any sign; instead of `order`. */
  readonly strides?: readonly number[] | undefined;
  /** Of the first element, in bytes from the start of the memory. Default 0. */
  readonly offset?: number | undefined;
}

/** Everything that lays an array over a memory. */
export interface NDArrayInit extends NDArrayOptions {
  readonly memory: ArrayMemory;
  readonly dtype: DTypeLike;
  readonly shape: readonly number[];
}

/** Positions and strides in bytes from the start of the store, and in the store's units. */
export interface Layout extends Geometry {
  readonly store: Store;
  readonly type: DType;
  readonly size: number;
  readonly elementStrides: readonly number[];
  readonly elementOffset: number;
}

/** Lays an array over a memory. @throws INVALID_ARGUMENT where it does not fit, UNSUPPORTED_DTYPE for objects */
export function layoutOver(init: NDArrayInit): Layout {
  const given = parseDType(init.dtype);
  if (given.hasObject) {
    throw new MmdError('UNSUPPORTED_DTYPE', `${given.name} holds objects, which exist in memory only`, {
      found: given.name,
    });
  }
  if (init.strides === undefined && given.shape === undefined) return layoutPacked(init, given);
  const type = given.base ?? given;
  const shape = checkShape([...checkShape(init.shape), ...(given.shape ?? [])], Math.max(1, type.itemsize));
  const strides = init.strides ?? packedStrides(shape, type.itemsize, init.order ?? 'C');
  const all =
    init.strides === undefined ? strides : [...strides, ...packedStrides(given.shape ?? [], type.itemsize, 'C')];
  if (all.length !== shape.length || !all.every(Number.isSafeInteger)) {
    throw invalid(`strides must be one integer an axis, found [${strides.join(', ')}]`, [...strides], shape.length);
  }
  const { offset = 0, memory } = init;
  const { low, high } = extentOf(shape, all, type.itemsize);
  const fits = Number.isSafeInteger(offset) && Number.isSafeInteger(high) && Number.isSafeInteger(low);
  if (!fits || offset + low < 0 || offset + high > memory.byteLength) {
    throw invalid(
      `bytes ${offset + low} to ${offset + high} of a ${type.name} array [${shape.join(', ')}] leave a memory of ${memory.byteLength}`,
      { low: offset + low, high: offset + high },
      memory.byteLength,
    );
  }
  return layoutIn(memory, type, { shape, strides: all, position: offset });
}

/**
 * What arrays without gaps of one type and shape have in common: checked and frozen once, shared by all of them.
 * Making an array of a form takes a third of the time of laying it out by itself.
 */
export interface PackedForm {
  readonly type: DType;
  readonly shape: readonly number[];
  readonly strides: readonly number[];
  readonly elementStrides: readonly number[];
  readonly size: number;
  readonly nbytes: number;
}

/** @throws INVALID_ARGUMENT for impossible shapes */
export function packedForm(type: DType, given: readonly number[], order: Order): PackedForm {
  const { itemsize } = type;
  const shape = checkShape(given, Math.max(1, itemsize));
  const strides = Object.freeze(packedStrides(shape, itemsize, order));
  const unit = Math.max(1, itemsize);
  const elementStrides = Object.freeze(strides.map((stride) => stride / unit));
  const size = sizeOf(shape);
  return { type, shape, strides, elementStrides, size, nbytes: size * itemsize };
}

/** The most common case, an array without gaps, whose extent needs no search: half the time of making a small array. */
function layoutPacked({ memory, shape, order = 'C', offset = 0 }: NDArrayInit, type: DType): Layout {
  return layoutOfForm(packedForm(type, shape, order), memory, offset);
}

/** Lays an array of a form over a memory. @throws INVALID_ARGUMENT where it does not fit */
export function layoutOfForm(form: PackedForm, memory: ArrayMemory, offset: number): Layout {
  const { type, shape, strides, elementStrides, size, nbytes } = form;
  const end = offset + nbytes;
  if (!Number.isSafeInteger(offset) || offset < 0 || !(end <= memory.byteLength)) {
    throw invalid(
      `bytes ${offset} to ${end} of a ${type.name} array [${shape.join(', ')}] leave a memory of ${memory.byteLength}`,
      { low: offset, high: end },
      memory.byteLength,
    );
  }
  return {
    store: new MemoryStore(memory, type, offset, nbytes, Math.max(1, type.itemsize)),
    type,
    shape,
    strides,
    position: 0,
    size,
    elementStrides,
    elementOffset: 0,
  };
}

/** Lays out what was checked before; `position` counts from the start of the memory. */
function layoutIn(memory: ArrayMemory, type: DType, { shape, strides, position }: Geometry): Layout {
  const { itemsize } = type;
  const { low, high } = extentOf(shape, strides, itemsize);
  const regular = itemsize > 0 && strides.every((stride) => stride % itemsize === 0);
  const store = new MemoryStore(memory, type, position + low, high - low, regular ? itemsize : 1);
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
 * Another view of the same elements. Shares the store and so the very `data`, except where that is too large for a
 * typed array: then the view gets a store of its own, for which one may be at hand.
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

/** The position of the last element of a layout in the store's bytes, and the first: what the array touches. */
export function touchedBytes({ shape, strides, position, type }: Layout): { low: number; high: number } {
  const { low, high } = extentOf(shape, strides, type.itemsize);
  return { low: position + low, high: position + high };
}
