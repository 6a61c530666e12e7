/**
 * What a frame can be, how many bytes it has, and how it gets bytes of its own.
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

/** What a value takes that is not an array: text by its length, anything else a machine word. */
const WORD_BYTES = 8;

/** Whether a value is a typed array (and no DataView). */
export function isTypedArray(value: unknown): value is TypedArray {
  return ArrayBuffer.isView(value) && 'length' in value;
}

/** Whether a Uint8Array is one element of the type, and no list of them: an array would repeat it. */
export function isOfBytes({ kind, fields }: DType): boolean {
  return (kind === 'S' || kind === 'V') && fields === undefined;
}

/**
 * The bytes of a frame's elements; of a record, those of its arrays, of its text and large integers, names of fields too, and a
 * word for each other value.
 * @throws MmdError UNSUPPORTED_VALUE for what is no frame
 */
export function frameBytes(frame: unknown): number {
  if (isTypedArray(frame)) return frame.byteLength;
  if (frame instanceof NDArray) return frame.nbytes;
  if (frame instanceof MaskedArray) return frame.data.nbytes + frame.mask.nbytes;
  if (typeof frame === 'object' && frame !== null && !isArraySource(frame) && !Array.isArray(frame))
    return recordBytes(frame);
  throw new MmdError('UNSUPPORTED_VALUE', 'a frame is a typed array, an NDArray, a MaskedArray or a plain record', {
    found: typeof frame,
  });
}

/** A frame with bytes of its own, so that its source may use its buffers again. */
export function ownFrame<T>(frame: T): T {
  return ownValue(frame) as T;
}

/**
 * Makes the function that turns a frame into what is stored: typed arrays become arrays of their dtype (Uint8Array too,
 * which would be `bytes` elsewhere), borrowing their memory; the rest is stored as it is.
 *
 * @param shape - of frames that are typed arrays; default one axis. INVALID_ARGUMENT where one does not fit
 */
export function frameStorer(shape: readonly number[] | undefined): (frame: unknown) => unknown {
  const types = new Map<unknown, DType>();
  const size = shape?.reduce((product, dim) => product * dim, 1);

  function typeOf(frame: TypedArray): DType {
    // Not by its name: two classes that extend typed arrays may have the same.
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

/** Of all that is in a record, however deep, and where it holds itself. */
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

/** What a list, a Set, a Map or a plain object holds, keys too; undefined for anything else. */
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

/** A copy that shares no memory: of lists and records item by item, however deep they are, and where they hold themselves. */
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

  /** Tuples, sets and other values of Python are copied by the pickle; of what it does not know, the fields are. */
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

/** Also a field called `__proto__`. */
function define(record: object, name: string, value: unknown): void {
  Object.defineProperty(record, name, { value, writable: true, enumerable: true, configurable: true });
}

function ownArray(value: TypedArray | NDArray | MaskedArray): unknown {
  if (value instanceof NDArray) return value.copy();
  if (value instanceof MaskedArray) {
    return new MaskedArray(value.data.copy(), value.mask.copy(), { fillValue: value.fillValue });
  }
  // A transferred buffer looks like an empty one. It is asked itself: compiled code of Node 20 may have the view as long as ever.
  if (value.buffer.byteLength === 0 || value.length === 0) viewBytes(value);
  // That of a Buffer gives a view.
  return Uint8Array.prototype.slice.call(value);
}
