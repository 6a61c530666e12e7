/**
 * What a frame can be, how many bytes it has, and how it is copied.
 *
 * @module
 */

import {
  type DType,
  isArraySource,
  isMmdError,
  MaskedArray,
  MmdError,
  NDArray,
  ndarray,
  type TypedArray,
} from '@mmdpickle/core';
import { viewBytes } from '@mmdpickle/core/ndarray';
import { dump, load } from '@mmdpickle/core/pickle';

/** An array, or a plain record of numbers, text and arrays. */
export type Frame = TypedArray | NDArray | MaskedArray | { readonly [name: string]: unknown };

/** The bytes counted for a value other than an array, text or a large integer: a machine word. */
const WORD_BYTES = 8;

/** Whether a value is a typed array (and not a DataView). */
export function isTypedArray(value: unknown): value is TypedArray {
  return ArrayBuffer.isView(value) && 'length' in value;
}

/** Whether a Uint8Array is one element of the type, not a list of elements: set in an array, it would be repeated. */
export function isOfBytes({ kind, fields }: DType): boolean {
  return (kind === 'S' || kind === 'V') && fields === undefined;
}

/**
 * The bytes of a frame's elements; of a record, those of its arrays, text (including field names) and large integers, and
 * a word for each other value.
 * @throws MmdError UNSUPPORTED_VALUE for anything that is not a frame
 */
export function frameBytes(frame: unknown): number {
  if (isTypedArray(frame)) return frame.byteLength;
  if (frame instanceof NDArray) return frame.nbytes;
  if (frame instanceof MaskedArray) return frame.data.nbytes + frame.mask.nbytes;
  if (typeof frame === 'object' && frame !== null && !isArraySource(frame) && !Array.isArray(frame))
    return recordBytes(frame);
  throw new MmdError(
    'UNSUPPORTED_VALUE',
    'a frame must be a typed array, an NDArray, a MaskedArray or a plain record',
    {
      found: typeof frame,
    },
  );
}

/** Copies a frame, so that its source may reuse its buffers. */
export function ownFrame<T>(frame: T): T {
  return ownValue(frame) as T;
}

/**
 * Makes the function that turns a frame into the value to store: typed arrays become arrays of their dtype (Uint8Array
 * too, which would be `bytes` elsewhere) that borrow their memory; anything else is stored as it is.
 *
 * @param shape - of frames that are typed arrays; default one axis. A frame that does not fit is INVALID_ARGUMENT
 */
export function frameStorer(shape: readonly number[] | undefined): (frame: unknown) => unknown {
  const types = new Map<unknown, DType>();
  const size = shape?.reduce((product, dim) => product * dim, 1);

  function typeOf(frame: TypedArray): DType {
    // Not by name: two classes that extend typed arrays may have the same name.
    const made: unknown = Object.getPrototypeOf(frame);
    const known = types.get(made);
    if (known !== undefined) return known;
    const { type } = ndarray(frame);
    types.set(made, type);
    return type;
  }

  return (frame) => {
    if (!isTypedArray(frame)) return frame;
    if (size !== undefined && size !== frame.length) {
      throw new MmdError('INVALID_ARGUMENT', `a frame of ${frame.length} elements does not have shape [${shape}]`, {
        expected: shape,
        found: frame.length,
      });
    }
    const bytes = viewBytes(frame);
    return { arraySource: true, dtype: typeOf(frame), shape: shape ?? [frame.length], bytes: () => [bytes] };
  };
}

/** The bytes of everything in a record, at any depth; a record may contain itself. */
function recordBytes(record: object): number {
  let sum = 0;
  const seen = new Set<unknown>([record]);
  const todo: unknown[] = [...itemsOf(record)!];
  while (todo.length > 0) {
    const value = todo.pop();
    if (typeof value === 'string') sum += value.length;
    else if (typeof value === 'bigint') sum += integerBytes(value);
    else if (isArray(value)) sum += frameBytes(value);
    else {
      const items = itemsOf(value);
      if (items === undefined || items.length === 0) sum += WORD_BYTES;
      else if (!seen.has(value)) for (const item of items) todo.push(item);
      seen.add(value);
    }
  }
  return sum;
}

/** The items of a list, Set, Map or object, including keys; undefined for anything else. */
function itemsOf(value: unknown): readonly unknown[] | undefined {
  if (Array.isArray(value)) return value;
  if (value instanceof Set) return [...value];
  if (value instanceof Map) return [...value.keys(), ...value.values()];
  if (typeof value !== 'object' || value === null || isArraySource(value)) return undefined;
  return [...Object.keys(value), ...Object.values(value)];
}

function integerBytes(value: bigint): number {
  return BigInt.asIntN(8 * WORD_BYTES, value) === value ? WORD_BYTES : Math.ceil(value.toString(16).length / 2);
}

function isArray(value: unknown): value is TypedArray | NDArray | MaskedArray {
  return isTypedArray(value) || value instanceof NDArray || value instanceof MaskedArray;
}

/** A copy that shares no memory: lists and records are copied item by item, at any depth; they may contain themselves. */
function ownValue(root: unknown): unknown {
  const copies = new Map<object, unknown>();
  const todo: (() => void)[] = [];

  function copyOf(value: unknown): unknown {
    if (typeof value !== 'object' || value === null) return value;
    if (!copies.has(value)) copies.set(value, begin(value));
    return copies.get(value);
  }

  function begin(value: object): unknown {
    if (isArray(value)) return ownArray(value);
    if (isArraySource(value)) return value;
    if (value instanceof Date) return new Date(value);
    const prototype: unknown = Object.getPrototypeOf(value);
    if (prototype === Array.prototype) {
      const list = [...(value as unknown[])];
      todo.push(() => {
        for (const [i, item] of list.entries()) list[i] = copyOf(item);
      });
      return list;
    }
    if (prototype === Map.prototype) {
      const map = new Map<unknown, unknown>();
      todo.push(() => {
        for (const [key, item] of value as Map<unknown, unknown>) map.set(key, copyOf(item));
      });
      return map;
    }
    return prototype === Object.prototype || prototype === null ? copyOfFields(value) : ownInstance(value);
  }

  function copyOfFields(value: object): object {
    const record = Object.create(Object.getPrototypeOf(value) as object | null) as object;
    todo.push(() => {
      for (const [name, item] of Object.entries(value)) define(record, name, copyOf(item));
    });
    return record;
  }

  /** Copies tuples, sets and other Python values by pickling them; of values that cannot be pickled, copies the fields. */
  function ownInstance(value: object): unknown {
    try {
      return load(dump(value));
    } catch (error) {
      if (isMmdError(error, 'UNSUPPORTED_VALUE')) return copyOfFields(value);
      throw error;
    }
  }

  const copy = copyOf(root);
  while (todo.length > 0) todo.pop()!();
  return copy;
}

/** Sets a field, even one named `__proto__`. */
function define(record: object, name: string, value: unknown): void {
  Object.defineProperty(record, name, { value, writable: true, enumerable: true, configurable: true });
}

function ownArray(value: TypedArray | NDArray | MaskedArray): unknown {
  if (value instanceof NDArray) return value.copy();
  if (value instanceof MaskedArray) {
    return new MaskedArray(value.data.copy(), value.mask.copy(), { fillValue: value.fillValue });
  }
  // A transferred buffer looks empty. Its own length is checked: in compiled code of Node 20 the view may keep the old one.
  if (value.buffer.byteLength === 0 || value.length === 0) viewBytes(value);
  // `slice` of a Buffer returns a view.
  return Uint8Array.prototype.slice.call(value);
}
