/**
 * What a frame can be, how many bytes it has, and how it gets bytes of its own.
 *
 * @module
 */

import { type DType, isArraySource, MaskedArray, MmdError, NDArray, ndarray, type TypedArray } from '@mmdpickle/core';
import { viewBytes } from '@mmdpickle/core/ndarray';

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
 * Makes the function that turns a frame into what is stored: typed arrays become arrays of their dtype (Uint8Array too,
 * which would be `bytes` elsewhere), borrowing their memory; the rest is stored as it is.
 *
 * @param shape - of frames that are typed arrays; default one axis. INVALID_ARGUMENT where one does not fit
 */
export function frameStorer(shape: readonly number[] | undefined): (frame: unknown) => unknown {
  const types = new Map<string, DType>();
  const size = shape?.reduce((product, dim) => product * dim, 1);

  function typeOf(frame: TypedArray): DType {
    // A Buffer is a Uint8Array of another name.
    const name = frame instanceof Uint8Array ? 'Uint8Array' : frame.constructor.name;
    const known = types.get(name);
    if (known !== undefined) return known;
    const { type } = ndarray(frame);
    types.set(name, type);
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
