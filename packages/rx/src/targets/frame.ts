/**
 * What a frame can be, how many bytes it has, and how it gets bytes of its own.
 *
 * @module
 */

import { isArraySource, MaskedArray, MmdError, NDArray, ndarray, type TypedArray } from '@mmdpickle/core';

/** An array, or a plain record of numbers, text and arrays. */
export type Frame = TypedArray | NDArray | MaskedArray | { readonly [name: string]: unknown };

/** What a value takes that is not an array: text by its length, anything else a machine word. */
const WORD_BYTES = 8;

/** Whether a value is a typed array (and no DataView). */
export function isTypedArray(value: unknown): value is TypedArray {
  return ArrayBuffer.isView(value) && 'length' in value;
}

/**
 * The bytes of a frame's elements; of a record, those of its arrays and text and a word for each other value.
 * @throws MmdError UNSUPPORTED_VALUE for what is no frame
 */
export function frameBytes(frame: unknown): number {
  if (isTypedArray(frame)) return frame.byteLength;
  if (frame instanceof NDArray) return frame.nbytes;
  if (frame instanceof MaskedArray) return frame.data.nbytes + frame.mask.nbytes;
  if (typeof frame === 'object' && frame !== null && !isArraySource(frame) && !Array.isArray(frame)) {
    return entriesOf(frame).reduce((sum, [, value]) => sum + valueBytes(value), 0);
  }
  throw new MmdError('UNSUPPORTED_VALUE', 'a frame is a typed array, an NDArray, a MaskedArray or a plain record', {
    found: typeof frame,
  });
}

/** A frame with bytes of its own, so that its source may use its buffers again. */
export function ownFrame<T>(frame: T): T {
  return ownValue(frame) as T;
}

/**
 * The array or value that a frame is stored as: typed arrays become arrays of their dtype (Uint8Array too, which
 * would be `bytes` elsewhere), borrowing their memory; the rest is stored as it is.
 * @throws MmdError INVALID_ARGUMENT where a typed array does not fit the shape
 */
export function storedFrame(frame: unknown, shape: readonly number[] | undefined): unknown {
  return isTypedArray(frame) ? ndarray(frame, shape ?? [frame.length]) : frame;
}

function entriesOf(record: object): [unknown, unknown][] {
  return record instanceof Map ? [...record.entries()] : Object.entries(record);
}

function valueBytes(value: unknown): number {
  if (typeof value === 'string') return value.length;
  const isArray = isTypedArray(value) || value instanceof NDArray || value instanceof MaskedArray;
  if (isArray) return frameBytes(value);
  return Array.isArray(value) ? value.reduce<number>((sum, item) => sum + valueBytes(item), 0) : WORD_BYTES;
}

function ownValue(value: unknown): unknown {
  if (isTypedArray(value)) return value.slice();
  if (value instanceof NDArray) return value.copy();
  if (value instanceof MaskedArray) {
    return new MaskedArray(value.data.copy(), value.mask.copy(), { fillValue: value.fillValue });
  }
  if (Array.isArray(value)) return value.map(ownValue);
  if (value instanceof Map) return new Map([...value].map(([key, item]) => [key, ownValue(item)]));
  if (typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype) {
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, ownValue(item)]));
  }
  return value;
}
