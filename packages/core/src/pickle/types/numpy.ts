/**
 * Rows of numpy: arrays in every spelling that numpy 1 and 2 write, scalars, dtypes, masked arrays and record arrays.
 *
 * @module
 */

import { newBytes } from '../../bytes/view-bytes.ts';
import { MmdError } from '../../errors.ts';
import { type ArraySource, checkSource, exactBytes, isArraySource } from '../../ndarray/array-source.ts';
import { parseDType } from '../../ndarray/descr.ts';
import type { DType } from '../../ndarray/dtypes.ts';
import { castFillValue, checkMaskable } from '../../ndarray/fill-value.ts';
import { isDType, sameDType } from '../../ndarray/make-dtype.ts';
import { MaskedArray } from '../../ndarray/masked-array.ts';
import { memoryOver } from '../../ndarray/memory-over.ts';
import { NDArray } from '../../ndarray/nd-array.ts';
import { checkDims, checkShape, invalid } from '../../ndarray/shapes.ts';
import { type ReadContext, type Reconstruct, type Reduction, Unfinished } from '../builtin.ts';
import { OutOfBandBuffer } from '../values/buffer.ts';
import { PyDict } from '../values/dict.ts';
import { NumpyScalar, RecArray, RecordType } from '../values/numpy.ts';
import { OpaqueGlobal } from '../values/opaque.ts';
import { ByteArray, PyFloat } from '../values/scalars.ts';
import { Tuple } from '../values/tuple.ts';
import type { WriteContext } from '../writers.ts';
import { readDType, reduceDType, shapeOf, typeOf } from './numpy-dtype.ts';
import { attempt, bytesOf, reduceCall, row, type TypeRow } from './row.ts';

/** The classes that `_reconstruct` is known to make. */
export const ARRAY_CLASSES: ReadonlyMap<string, 'ndarray' | 'recarray'> = new Map([
  ['numpy.ndarray', 'ndarray'],
  ['numpy.recarray', 'recarray'],
  ['numpy.rec.recarray', 'recarray'],
  ['numpy.core.records.recarray', 'recarray'],
  ['numpy._core.records.recarray', 'recarray'],
]);

type Order = 'C' | 'F';

/** The bytes that may back an array, and whether Python could write to them. */
function bufferOf(value: unknown): { bytes: Uint8Array; writable: boolean } | undefined {
  if (value instanceof OutOfBandBuffer) return { bytes: value.bytes, writable: !value.readonly };
  if (!(value instanceof Uint8Array)) return undefined;
  // A plain view: a bytearray's own class would be inherited by every view of the array.
  const bytes = new Uint8Array(value.buffer, value.byteOffset, value.length);
  return { bytes, writable: value instanceof ByteArray };
}

/** An array over exactly its bytes. */
function arrayOver(
  bytes: Uint8Array,
  writable: boolean,
  dtype: DType,
  shape: readonly number[],
  order: Order,
  record = false,
): NDArray | undefined {
  const size = shape.reduce((product, dim) => product * dim, dtype.itemsize);
  if (size !== bytes.length || dtype.hasObject) return undefined;
  const memory = memoryOver(bytes, writable);
  return attempt(() =>
    record ? new RecArray({ memory, dtype, shape, order }) : NDArray.over(memory, dtype, shape, { order }),
  );
}

const isName = (value: unknown, names: (name: string) => boolean): value is OpaqueGlobal =>
  value instanceof OpaqueGlobal && names(value.toString());

/** The placeholder arguments `(0,), b'b'` that numpy writes before a state. */
function isPlaceholder(shape: unknown, code: unknown): boolean {
  return shape instanceof Tuple && shape.length === 1 && shape[0] === 0 && bytesOf(code)?.join() === '98';
}

/** `_reconstruct(cls, (0,), b'b')`, then the state (version, shape, dtype, Fortran order, data). */
const readReconstruct: Reconstruct = (args, context) => {
  const [cls, shape, code] = args;
  const kind = cls instanceof OpaqueGlobal ? ARRAY_CLASSES.get(cls.toString()) : undefined;
  if (kind === undefined || args.length !== 3 || !isPlaceholder(shape, code)) return undefined;
  return new Unfinished((state) => {
    if (!(state instanceof Tuple) || state.length !== 5 || state[0] !== 1) return undefined;
    return finishArray(state.slice(1), kind === 'recarray', context);
  });
};

function finishArray(state: readonly unknown[], record: boolean, context: ReadContext): NDArray | undefined {
  const [dims, type, fortran, data] = state;
  // In a state, numpy does not accept a single number.
  const shape = dims instanceof Tuple ? shapeOf(dims) : undefined;
  const known = typeOf(type, context);
  if (shape === undefined || known === undefined || typeof fortran !== 'boolean' || known.record !== record)
    return undefined;
  const { dtype } = known;
  if (Array.isArray(data)) {
    // numpy lists the elements in C order, whatever the array's order.
    if (dtype.kind !== 'O') return undefined;
    const array = attempt(() => NDArray.ofObjects(data as unknown[], shape));
    if (array === undefined || !fortran) return array;
    context.work(64 * data.length);
    return array.copy({ order: 'F' });
  }
  const bytes = bytesOf(data);
  return bytes && arrayOver(bytes, context.writable, dtype, shape, fortran ? 'F' : 'C', record);
}

/** A dtype whose elements are not records: a plain array of `numpy.record` stays opaque, or it would lose the class. */
function plainType(value: unknown, context: ReadContext): DType | undefined {
  const known = typeOf(value, context);
  return known === undefined || known.record ? undefined : known.dtype;
}

/** `_frombuffer(buffer, dtype, shape, order[, axis order])`, protocol 5. */
const readFromBuffer: Reconstruct = (args, context) => {
  const [data, type, dims, order, axes] = args;
  const buffer = bufferOf(data);
  const dtype = plainType(type, context);
  const shape = shapeOf(dims);
  if (buffer === undefined || dtype === undefined || shape === undefined || args.length > 5) return undefined;
  const writable = buffer.writable && context.writable;
  if (args.length === 5 && order === 'K') {
    const permutation = shapeOf(axes);
    // The length is checked first: the axes become arguments of a call.
    const array =
      permutation?.length === shape.length ? arrayOver(buffer.bytes, writable, dtype, shape, 'C') : undefined;
    return array && attempt(() => array.transpose(...permutation!));
  }
  if (args.length !== 4 && axes !== null) return undefined;
  return order === 'C' || order === 'F' ? arrayOver(buffer.bytes, writable, dtype, shape, order) : undefined;
};

/** `numpy.ndarray(shape, dtype, buffer[, 0, None, order])`: the modern spelling of an mmdpickle. */
const readNDArray: Reconstruct = (args, context) => {
  const [dims, type, data, offset = 0, strides = null, order = 'C'] = args;
  const buffer = bufferOf(data);
  const dtype = plainType(type, context);
  const shape = shapeOf(dims);
  const ordered = order === 'C' || order === 'F';
  if (buffer === undefined || dtype === undefined || shape === undefined || !ordered) return undefined;
  if (offset !== 0 || strides !== null || args.length > 6) return undefined;
  // The buffer may be larger: a growable array states its committed rows in the shape.
  const size = shape.reduce((product, dim) => product * dim, dtype.itemsize);
  if (!(size <= buffer.bytes.length)) return undefined;
  return arrayOver(buffer.bytes.subarray(0, size), buffer.writable && context.writable, dtype, shape, order);
};

/** `fromstring(bytes, dtype)` and `frombuffer(bytes, dtype)`: one axis. */
function readFlat(copies: boolean): Reconstruct {
  return (args, context) => {
    const buffer = bufferOf(args[0]);
    const dtype = args.length === 2 ? plainType(args[1], context) : undefined;
    if (buffer === undefined || dtype === undefined || !(dtype.itemsize > 0)) return undefined;
    const { bytes } = buffer;
    return arrayOver(
      bytes,
      (copies || buffer.writable) && context.writable,
      dtype,
      [bytes.length / dtype.itemsize],
      'C',
    );
  };
}

const readReshape: Reconstruct = (args) => {
  const [array, dims] = args;
  const shape = args.length === 2 ? shapeOf(dims) : undefined;
  if (!(array instanceof NDArray) || shape === undefined) return undefined;
  return attempt(() => array.reshape(shape));
};

/** `scalar(dtype, bytes)`. */
const readScalar: Reconstruct = (args, context) => {
  // numpy does not accept text as a dtype here.
  const typed = isDType(args[0]) || args[0] instanceof RecordType;
  const known = args.length === 2 && typed ? typeOf(args[0], context) : undefined;
  const bytes = bytesOf(args[1]);
  if (known === undefined || bytes === undefined) return undefined;
  if (known.dtype.kind === 'U') context.work(2 * bytes.length);
  return attempt(() => new NumpyScalar(known.dtype, bytes, known.record));
};

/** `MaskedArray(data, mask[, None, False, True, 0, fill value])`. */
const readMasked: Reconstruct = (args, context) => {
  const [data, mask, ...rest] = args;
  const [dtype = null, copy = false, subok = true, ndmin = 0, fill = null] = rest;
  const known = dtype === null && copy === false && subok === true && ndmin === 0 && rest.length <= 5;
  if (!(data instanceof NDArray) || !(mask instanceof NDArray) || !known) return undefined;
  return maskedOver(data, mask, fill, context);
};

/** A masked array; undefined, which leaves it opaque, for a fill value that numpy refuses or that cannot be known. */
function maskedOver(data: NDArray, mask: NDArray, fill: unknown, context: ReadContext): MaskedArray | undefined {
  if (fill !== null) {
    // An element is made from it, whatever the array holds; many arrays may share one value.
    const from = fill instanceof NDArray ? fill.type : fill instanceof NumpyScalar ? fill.dtype : data.type;
    for (const { itemsize, name } of [data.type, from]) context.work(2 * (itemsize + name.length));
    if (fill instanceof NDArray) context.work(64 * fill.size);
  }
  const fillValue = attempt(() => fillOf(fill, data.type));
  return fillValue === undefined ? undefined : attempt(() => new MaskedArray(data, mask, { fillValue }));
}

/**
 * The fill value that a pickle gives, as numpy keeps it for arrays of the dtype: an element, or an array of elements.
 * @returns null for none; undefined for one that numpy refuses or that cannot be known
 */
export function fillOf(value: unknown, type: DType): unknown {
  if (value === null) return null;
  if (type.kind === 'O') return objectFillOf(value);
  if (value instanceof NDArray && value.ndim > 0) {
    return value.type.hasObject ? undefined : attempt(() => arrayOf(value, type));
  }
  const typed = value instanceof NDArray || value instanceof NumpyScalar ? value : undefined;
  const element = typed === undefined ? value : typed instanceof NumpyScalar ? typed.value : typed.get();
  const from = typed instanceof NumpyScalar ? typed.dtype : typed?.type;
  // Arrays of empty elements can have fill values that are not empty: numpy does not truncate them. Only empty bytes
  // and text are written here.
  const plain = from === undefined && (element instanceof Uint8Array || typeof element === 'string');
  const size = plain ? element.length : from?.itemsize;
  if (type.itemsize === 0 && size !== 0) return undefined;
  // NaT, the default for times that have a unit; or None among objects. An untyped null was returned above.
  if (element === null) return type.unit !== undefined && 'mM'.includes(from!.kind) ? null : undefined;
  return castFillValue(element instanceof PyFloat ? element.value : element, from, type);
}

/** The same for an array of objects: numpy makes arrays of lists and the like, and elements of everything else. */
function objectFillOf(value: unknown): unknown {
  if (value instanceof NDArray && value.ndim === 0) return value.get() ?? undefined;
  const bytes = value instanceof Uint8Array && !(value instanceof ByteArray);
  const single = typeof value !== 'object' || bytes || value instanceof PyFloat || value instanceof PyDict;
  return single || value instanceof OpaqueGlobal || value instanceof NDArray ? value : undefined;
}

const arrayOf = (array: NDArray, type: DType): NDArray => (sameDType(array.type, type) ? array : array.astype(type));

/**
 * A fill value in a spelling that numpy accepts: it refuses the array, and so a whole file, for one that the dtype
 * cannot hold.
 * @throws MmdError UNSUPPORTED_VALUE
 */
export function fillToWrite(value: unknown, type: DType): NumpyScalar | NDArray {
  const axes = value instanceof NDArray && value.ndim > 0;
  if (type.kind === 'O') {
    if (axes) return value;
    return NDArray.ofObjects([value instanceof NDArray ? value.get() : value], []);
  }
  if (axes) return arrayOf(value, type);
  if (value instanceof NumpyScalar && sameDType(value.dtype, type)) return value;
  const element = value instanceof NDArray ? value.get() : value instanceof NumpyScalar ? value.value : value;
  return NumpyScalar.of(element instanceof PyFloat ? element.value : element, type);
}

/** `_mareconstruct(MaskedArray, ndarray, (0,), 'b')`, then (1, shape, dtype, Fortran order, data, mask, fill value). */
const readMaskedReconstruct: Reconstruct = (args, context) => {
  const [cls, base, shape, code] = args;
  const known = isName(cls, (name) => name === 'numpy.ma.MaskedArray' || name === 'numpy.ma.core.MaskedArray');
  const plain = isName(base, (name) => name === 'numpy.ndarray');
  if (!known || !plain || args.length !== 4 || !isPlaceholder(shape, code)) return undefined;
  return new Unfinished((state) => {
    if (!(state instanceof Tuple) || state.length !== 7 || state[0] !== 1) return undefined;
    const [, dims, type, fortran, data, mask, fill] = state;
    const array = finishArray([dims, type, fortran, data], false, context);
    // The mask of a structured type is structured too: that stays opaque.
    if (array === undefined || array.type.fields !== undefined) return undefined;
    const flags = finishArray([dims, parseDType('bool'), fortran, mask], false, context);
    return flags && maskedOver(array, flags, fill, context);
  });
};

/** What joined pieces are, for error messages. */
export const INSIDE = 'an array inside another value';

/** The bytes of a source, in pieces that stay valid; one piece if they are not views of the array itself. */
function piecesOf(source: ArraySource, nbytes: number): readonly Uint8Array[] {
  if (source.bytes === undefined) return [newBytes(nbytes, INSIDE)];
  if (source instanceof NDArray && source.isContiguous(source.order)) return [...source.bytes()];
  const whole = newBytes(nbytes, INSIDE);
  let pos = 0;
  for (const piece of exactBytes(source, nbytes)) {
    whole.set(piece, pos);
    pos += piece.length;
  }
  return [whole];
}

/** Bytes of a payload that may be in several pieces; the writer joins them. */
export class Pieces {
  readonly pieces: readonly Uint8Array[];
  readonly length: number;
  /** A bytearray rather than bytes. */
  readonly array: boolean;

  constructor(pieces: readonly Uint8Array[], array: boolean) {
    this.pieces = pieces;
    this.length = pieces.reduce((sum, { length }) => sum + length, 0);
    this.array = array;
  }
}

const NDARRAY = new OpaqueGlobal('numpy', 'ndarray');
const RECARRAY = new OpaqueGlobal('numpy', 'recarray');
const PLACEHOLDER: readonly unknown[] = [Tuple.of(0), Uint8Array.of(0x62)];

/** The dtype of a source: that of an array is not parsed again from its name; any other source states a name. */
function typeOfSource(source: ArraySource): DType {
  return source instanceof NDArray || source instanceof MaskedArray ? source.type : parseDType(source.dtype);
}

/** How an array source is written, nested in other values. */
export function reduceArray(source: ArraySource, context: WriteContext): Reduction {
  checkSource(source);
  if (source.mask !== undefined && source.mask !== null) return reduceMasked(source, source.mask);
  const dtype = typeOfSource(source);
  // A dimension of zero does not excuse the others: numpy refuses such an array, and with it the pickle.
  const shape = Tuple.from(checkShape(source.shape, Math.max(1, dtype.itemsize)));
  // No numpy reads arrays of objects with more dimensions.
  if (context.entry || dtype.hasObject) checkDims(shape);
  const order = source.order ?? 'C';
  const record = source instanceof RecArray;
  if (dtype.hasObject) return objectArray(source, dtype, shape);
  const size = source.shape.reduce((product, dim) => product * dim, dtype.itemsize);
  const pieces = piecesOf(source, size);
  if (record || !context.byteArrays) {
    const state = Tuple.of(1, shape, record ? new RecordType(dtype) : dtype, order === 'F', new Pieces(pieces, false));
    return reduceCall('numpy.core.multiarray _reconstruct', [record ? RECARRAY : NDARRAY, ...PLACEHOLDER], { state });
  }
  // A dtype shared by many arrays is written once.
  const spec = typeof dtype.spec === 'string' ? dtype.spec : dtype;
  const args = [shape, spec, new Pieces(pieces, true)];
  return reduceCall('numpy ndarray', order === 'F' ? [...args, 0, null, 'F'] : args);
}

/** An array of objects: its elements as a list in C order. */
function objectArray(source: ArraySource, dtype: DType, shape: Tuple): Reduction {
  if (!(source instanceof NDArray)) {
    throw new MmdError('UNSUPPORTED_DTYPE', 'only an NDArray can be written with object elements', {
      found: dtype.name,
    });
  }
  const elements: unknown[] = [];
  const flat = (source.isContiguous() ? source : source.copy()).reshape([source.size]);
  for (let i = 0; i < source.size; i++) elements.push(flat.get(i));
  const state = Tuple.of(1, shape, dtype, source.order === 'F', elements);
  return reduceCall('numpy.core.multiarray _reconstruct', [NDARRAY, ...PLACEHOLDER], { state });
}

function reduceMasked(source: ArraySource, mask: ArraySource): Reduction {
  if (!isArraySource(mask)) throw invalid('the mask of an array source must be an array source', mask);
  const type = typeOfSource(source);
  checkMaskable(type);
  checkSource(mask);
  const [shape, own] = [[...source.shape, ...(type.shape ?? [])], parseDType(mask.dtype)];
  // numpy refuses such an array, and with it the pickle.
  if (own.kind !== 'b' || shape.join() !== mask.shape.join())
    throw invalid(
      `a mask must be of type bool and of shape [${shape}], found ${own.name} [${mask.shape}]`,
      [...mask.shape],
      shape,
    );
  const data = source instanceof MaskedArray ? source.data : { ...source, mask: undefined };
  const fill = source.fillValue;
  if (fill === null || fill === undefined) return reduceCall('numpy.ma MaskedArray', [data, mask]);
  return reduceCall('numpy.ma MaskedArray', [data, mask, null, false, true, 0, fillToWrite(fill, type)]);
}

/** Rows of numpy. */
export const NUMPY_ROWS: readonly TypeRow[] = [
  row(
    'numpy.ndarray',
    NDArray,
    {
      'numpy.core.multiarray _reconstruct': readReconstruct,
      'numpy._core.multiarray _reconstruct': readReconstruct,
      'numpy.core.numeric _frombuffer': readFromBuffer,
      'numpy._core.numeric _frombuffer': readFromBuffer,
      'numpy ndarray': readNDArray,
      'numpy.core.multiarray fromstring': readFlat(true),
      'numpy fromstring': readFlat(true),
      'numpy frombuffer': readFlat(false),
      'numpy.core.multiarray frombuffer': readFlat(false),
      'numpy reshape': readReshape,
      'numpy.core.fromnumeric reshape': readReshape,
      'numpy._core.fromnumeric reshape': readReshape,
    },
    reduceArray,
  ),
  row('numpy.recarray', RecArray, {}, reduceArray),
  row(
    'numpy.ma.MaskedArray',
    MaskedArray,
    {
      'numpy.ma MaskedArray': readMasked,
      'numpy.ma.core MaskedArray': readMasked,
      'numpy.ma.core _mareconstruct': readMaskedReconstruct,
    },
    reduceArray,
  ),
  row(
    'numpy scalars',
    NumpyScalar,
    { 'numpy.core.multiarray scalar': readScalar, 'numpy._core.multiarray scalar': readScalar },
    (value) => {
      // Constructed again to check it: its bytes may have changed.
      const { dtype, bytes, record } = new NumpyScalar(value.dtype, value.bytes, value.record);
      return reduceCall('numpy.core.multiarray scalar', [record ? new RecordType(dtype) : dtype, bytes]);
    },
  ),
  row('numpy.dtype of records', RecordType, { 'numpy dtype': readDType }, ({ dtype }) => reduceDType(dtype, true)),
];
