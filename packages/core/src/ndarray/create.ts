/**
 * `ndarray()`: arrays from JavaScript values.
 *
 * @module
 */

import { viewBytes } from '../bytes/index.ts';
import { checkOptions, isAnything, type OptionTable } from '../options.ts';
import { parseDType } from './descr.ts';
import type { DType, DTypeLike, TypedArray } from './dtypes.ts';
import { PackedForm } from './layout.ts';
import { sameDType } from './make-dtype.ts';
import { memoryOver } from './memory-over.ts';
import { NDArray } from './nd-array.ts';
import { inferType, typeOfTypedArray } from './nested.ts';
import { checkOrder, checkShape, invalid, notAShape, type Order, sizeOf } from './shapes.ts';

/** Options of {@link ndarray}. */
export interface CreateOptions {
  /** Default: the typed array's own type, uint8 for an ArrayBuffer, or the type that fits all elements. */
  readonly dtype?: DTypeLike;
  /** The order of the elements in `data`, be it a typed array, a buffer or a list. Default `'C'`. */
  readonly order?: Order;
}

/** Orders and types are checked where they are used. */
const CREATE_OPTIONS: OptionTable = { dtype: isAnything, order: isAnything };

/**
 * Makes an array.
 *
 * - From a typed array or an ArrayBuffer: a view of its memory, which is borrowed. If `dtype` is another type than that of a typed
 *   array, the elements are converted into a copy; an ArrayBuffer's bytes are read as that type.
 * - From nested lists or one element: a copy. Without a `dtype` numbers make float64, booleans bool, bigints int64,
 *   `Complex` complex128, strings and bytes the shortest U or S.
 *
 * @param data - see above
 * @param shape - default: one axis of all elements (a buffer must be a whole number of them), or the shape of the lists. If given, a
 *   buffer may have more bytes than the shape needs
 * @param options - {@link CreateOptions}, or just the type
 * @throws INVALID_ARGUMENT for shapes that do not fit; UNSUPPORTED_VALUE for elements that do not fit the type
 *
 * @example
 * ```ts
 * import { ndarray } from '@mmdpickle/core/ndarray';
 *
 * ndarray(new Uint16Array(6), [2, 3]).dtype; // 'uint16'
 * ndarray([[1, 2], [3, 4]], undefined, 'int32').sum(); // 10n
 * ndarray(new ArrayBuffer(16), [2], { dtype: '>f8' }).shape; // [2]
 * ```
 */
export function ndarray(data: unknown, shape?: readonly number[], options: string | CreateOptions = {}): NDArray {
  const given: CreateOptions = typeof options === 'string' ? { dtype: options } : checkOptions(options, CREATE_OPTIONS);
  const { dtype, order = 'C' } = given;
  if (shape !== undefined && !Array.isArray(shape)) throw notAShape(shape);
  const type = dtype === undefined ? undefined : parseDType(dtype);
  if (data instanceof NDArray) throw invalid('the data is already an NDArray; use astype, reshape or copy', data);
  const own = typeOfTypedArray(data);
  if (own !== undefined) {
    const { length } = data as TypedArray;
    const dims = shape === undefined ? [length] : checkShape(shape);
    const fits = sizeOf(dims) === length;
    if (!fits) throw invalid(`${length} elements do not fit the shape [${dims.join(', ')}]`, [...dims], length);
    const form = new PackedForm(own, dims, order);
    const array = NDArray.ofForm(form, memoryOver(viewBytes(data as TypedArray)));
    return type === undefined || sameDType(type, own) ? array : array.astype(type);
  }
  if (isBuffer(data)) {
    const wanted = type ?? parseDType('uint8');
    // A view whose length stays fixed if the buffer grows; throws if the buffer was transferred.
    const bytes = viewBytes({ buffer: data, byteOffset: 0, byteLength: data.byteLength });
    return NDArray.over(memoryOver(bytes), wanted, shape ?? [wholeElements(bytes.length, wanted)], { order });
  }
  const nested = NDArray.fromNested(data, type ?? inferType(data));
  checkOrder(order);
  if (shape === undefined) return nested;
  return order === 'C' ? nested.reshape(shape) : nested.reshape(shape.toReversed()).transpose();
}

/** How many elements a buffer holds. With a shape, bytes may be left over; without one, that would go unnoticed. */
function wholeElements(length: number, { itemsize, name }: DType): number {
  if (length === 0) return 0;
  if (length % itemsize === 0) return length / itemsize;
  throw invalid(
    `${length} bytes are not a whole number of ${name} elements of ${itemsize} bytes; give a shape`,
    length,
    itemsize,
  );
}

function isBuffer(value: unknown): value is ArrayBuffer {
  const tag = Object.prototype.toString.call(value);
  return tag === '[object ArrayBuffer]' || tag === '[object SharedArrayBuffer]';
}
