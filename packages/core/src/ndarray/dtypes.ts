/**
 * numpy's data types: the table of element types.
 *
 * Shared by arrays, pickles, npy files and viewers; types are parsed in `descr.ts` and printed
 * in `dtype-text.ts`. Definitions: numpy's "Data type objects (dtype)" and
 * "Array interface" (`typestr`) reference pages.
 *
 * @module
 */

import { MmdError } from '../errors.ts';
import { Complex } from './complex.ts';
import type { DType, DTypeKind, TypedArrayConstructor } from './dtype.ts';
import {
  getBytes,
  getRaw,
  getText,
  getTime,
  MAX_INT64,
  MAX_UINT64,
  NAT,
  noObject,
  setBytes,
  setExactRaw,
  setRaw,
  setText,
  setTime,
  toBigInt,
  toComplex,
  toInteger,
  toNumber,
  toSingle,
} from './element-values.ts';
import { float16FromBits, float16ToBits } from './float16.ts';

export type {
  Descr,
  DescrField,
  DType,
  DTypeField,
  DTypeKind,
  DTypeLike,
  DTypeSpec,
  DTypeSpecDict,
  DTypeSpecField,
  DTypeSpecSubarray,
  DTypeSpecVoid,
  TypedArray,
  TypedArrayConstructor,
} from './dtype.ts';

/** A row of {@link DTYPES}. */
export interface DTypeRow {
  /** numpy's name without the length, unit or byte order. */
  readonly name: string;
  readonly kind: DTypeKind;
  /** The typestr without its byte order, for example `f8`; `S`, `U` and `V` take a length after it. */
  readonly code: string;
  /** numpy's `dtype.char` on Linux x86-64. */
  readonly char: string;
  /** Bytes of one element; for `S`, `U` and `V` bytes per unit of length. */
  readonly itemsize: number;
  /** numpy's `dtype.alignment`. */
  readonly alignment: number;
  /** False for types without a byte order, such as single bytes. */
  readonly ordered: boolean;
  /** True if `code` takes a length. */
  readonly flexible?: true;
  /** Other spellings that numpy accepts. */
  readonly aliases: readonly string[];
  /** The class of `data` if aligned and native; absent if not every runtime has such a typed array. */
  readonly array?: TypedArrayConstructor;
  /** The class of `typed()` if an element is several numbers (complex: real and imaginary part in turn). */
  readonly parts?: TypedArrayConstructor;
  /** Reads an element at `pos`. */
  readonly get: (view: DataView, pos: number, little: boolean, itemsize: number) => unknown;
  /** Stores an element at `pos`; throws UNSUPPORTED_VALUE for a value that the type cannot hold. */
  readonly set: (view: DataView, pos: number, value: unknown, little: boolean, itemsize: number) => void;
  /** What an element is in JavaScript. */
  readonly doc: string;
}

export { NAT } from './element-values.ts';

/** Every element type, in numpy's order. Readers, writers, docs and tests loop over these rows. */
export const DTYPES = [
  {
    name: 'bool',
    kind: 'b',
    code: 'b1',
    char: '?',
    itemsize: 1,
    alignment: 1,
    ordered: false,
    aliases: ['?', 'bool_', 'bool8'],
    array: Uint8Array,
    get: (view, pos) => view.getUint8(pos) !== 0,
    set: (view, pos, value) => view.setUint8(pos, toNumber(value) === 0 ? 0 : 1),
    doc: 'boolean',
  },
  {
    name: 'int8',
    kind: 'i',
    code: 'i1',
    char: 'b',
    itemsize: 1,
    alignment: 1,
    ordered: false,
    aliases: ['b', 'byte'],
    array: Int8Array,
    get: (view, pos) => view.getInt8(pos),
    set: (view, pos, value) => view.setInt8(pos, toInteger(value, -128, 127)),
    doc: 'number',
  },
  {
    name: 'uint8',
    kind: 'u',
    code: 'u1',
    char: 'B',
    itemsize: 1,
    alignment: 1,
    ordered: false,
    aliases: ['B', 'ubyte'],
    array: Uint8Array,
    get: (view, pos) => view.getUint8(pos),
    set: (view, pos, value) => view.setUint8(pos, toInteger(value, 0, 255)),
    doc: 'number',
  },
  {
    name: 'int16',
    kind: 'i',
    code: 'i2',
    char: 'h',
    itemsize: 2,
    alignment: 2,
    ordered: true,
    aliases: ['h', 'short'],
    array: Int16Array,
    get: (view, pos, little) => view.getInt16(pos, little),
    set: (view, pos, value, little) => view.setInt16(pos, toInteger(value, -32768, 32767), little),
    doc: 'number',
  },
  {
    name: 'uint16',
    kind: 'u',
    code: 'u2',
    char: 'H',
    itemsize: 2,
    alignment: 2,
    ordered: true,
    aliases: ['H', 'ushort'],
    array: Uint16Array,
    get: (view, pos, little) => view.getUint16(pos, little),
    set: (view, pos, value, little) => view.setUint16(pos, toInteger(value, 0, 65535), little),
    doc: 'number',
  },
  {
    name: 'int32',
    kind: 'i',
    code: 'i4',
    char: 'i',
    itemsize: 4,
    alignment: 4,
    ordered: true,
    aliases: ['i', 'intc'],
    array: Int32Array,
    get: (view, pos, little) => view.getInt32(pos, little),
    set: (view, pos, value, little) => view.setInt32(pos, toInteger(value, -2147483648, 2147483647), little),
    doc: 'number',
  },
  {
    name: 'uint32',
    kind: 'u',
    code: 'u4',
    char: 'I',
    itemsize: 4,
    alignment: 4,
    ordered: true,
    aliases: ['I', 'uintc'],
    array: Uint32Array,
    get: (view, pos, little) => view.getUint32(pos, little),
    set: (view, pos, value, little) => view.setUint32(pos, toInteger(value, 0, 4294967295), little),
    doc: 'number',
  },
  {
    name: 'int64',
    kind: 'i',
    code: 'i8',
    char: 'l',
    itemsize: 8,
    alignment: 8,
    ordered: true,
    aliases: ['l', 'q', 'p', 'n', 'int', 'int_', 'intp', 'int0', 'long', 'longlong'],
    array: BigInt64Array,
    get: (view, pos, little) => view.getBigInt64(pos, little),
    set: (view, pos, value, little) => view.setBigInt64(pos, toBigInt(value, NAT, MAX_INT64), little),
    doc: 'bigint',
  },
  {
    name: 'uint64',
    kind: 'u',
    code: 'u8',
    char: 'L',
    itemsize: 8,
    alignment: 8,
    ordered: true,
    aliases: ['L', 'Q', 'P', 'N', 'uint', 'uintp', 'uint0', 'ulong', 'ulonglong'],
    array: BigUint64Array,
    get: (view, pos, little) => view.getBigUint64(pos, little),
    set: (view, pos, value, little) => view.setBigUint64(pos, toBigInt(value, 0n, MAX_UINT64), little),
    doc: 'bigint',
  },
  {
    name: 'float16',
    kind: 'f',
    code: 'f2',
    char: 'e',
    itemsize: 2,
    alignment: 2,
    ordered: true,
    aliases: ['e', 'half'],
    get: (view, pos, little) => float16FromBits(view.getUint16(pos, little)),
    set: (view, pos, value, little) => view.setUint16(pos, float16ToBits(toNumber(value)), little),
    doc: 'number; stored values are rounded to the nearest half, ties to even',
  },
  {
    name: 'float32',
    kind: 'f',
    code: 'f4',
    char: 'f',
    itemsize: 4,
    alignment: 4,
    ordered: true,
    aliases: ['f', 'single'],
    array: Float32Array,
    get: (view, pos, little) => view.getFloat32(pos, little),
    set: (view, pos, value, little) => view.setFloat32(pos, toSingle(value), little),
    doc: 'number',
  },
  {
    name: 'float64',
    kind: 'f',
    code: 'f8',
    char: 'd',
    itemsize: 8,
    alignment: 8,
    ordered: true,
    aliases: ['d', 'double', 'float', 'float_'],
    array: Float64Array,
    get: (view, pos, little) => view.getFloat64(pos, little),
    set: (view, pos, value, little) => view.setFloat64(pos, toNumber(value), little),
    doc: 'number',
  },
  {
    name: 'float128',
    kind: 'f',
    code: 'f16',
    char: 'g',
    itemsize: 16,
    alignment: 16,
    ordered: true,
    aliases: ['g', 'longdouble', 'longfloat'],
    get: getRaw,
    set: setExactRaw,
    doc: 'the 16 bytes, copied: x87 extended precision has no JavaScript number',
  },
  {
    name: 'complex64',
    kind: 'c',
    code: 'c8',
    char: 'F',
    itemsize: 8,
    alignment: 4,
    ordered: true,
    aliases: ['F', 'csingle', 'singlecomplex'],
    parts: Float32Array,
    get: (view, pos, little) => new Complex(view.getFloat32(pos, little), view.getFloat32(pos + 4, little)),
    set: (view, pos, value, little) => {
      const { re, im } = toComplex(value, toSingle);
      view.setFloat32(pos, re, little);
      view.setFloat32(pos + 4, im, little);
    },
    doc: 'Complex',
  },
  {
    name: 'complex128',
    kind: 'c',
    code: 'c16',
    char: 'D',
    itemsize: 16,
    alignment: 8,
    ordered: true,
    aliases: ['D', 'cdouble', 'complex', 'complex_', 'cfloat'],
    parts: Float64Array,
    get: (view, pos, little) => new Complex(view.getFloat64(pos, little), view.getFloat64(pos + 8, little)),
    set: (view, pos, value, little) => {
      const { re, im } = toComplex(value);
      view.setFloat64(pos, re, little);
      view.setFloat64(pos + 8, im, little);
    },
    doc: 'Complex',
  },
  {
    name: 'complex256',
    kind: 'c',
    code: 'c32',
    char: 'G',
    itemsize: 32,
    alignment: 16,
    ordered: true,
    aliases: ['G', 'clongdouble', 'clongfloat', 'longcomplex'],
    get: getRaw,
    set: setExactRaw,
    doc: 'the 32 bytes, copied',
  },
  {
    name: 'object',
    kind: 'O',
    code: 'O',
    char: 'O',
    itemsize: 8,
    alignment: 8,
    ordered: false,
    aliases: ['O4', 'O8', 'object_', 'object0'],
    get: noObject,
    set: noObject,
    doc: 'any value; in memory only',
  },
  {
    name: 'bytes',
    kind: 'S',
    code: 'S',
    char: 'S',
    itemsize: 1,
    alignment: 1,
    ordered: false,
    flexible: true,
    aliases: ['bytes_', 'string_', 'bytes0'],
    get: getBytes,
    set: setBytes,
    doc: 'Uint8Array, copied, without the trailing NULs',
  },
  {
    name: 'str',
    kind: 'U',
    code: 'U',
    char: 'U',
    itemsize: 4,
    alignment: 4,
    ordered: true,
    flexible: true,
    aliases: ['str_', 'unicode', 'unicode_', 'str0'],
    get: getText,
    set: setText,
    doc: 'string without the trailing NULs; UTF-32 in memory',
  },
  {
    name: 'void',
    kind: 'V',
    code: 'V',
    char: 'V',
    itemsize: 1,
    alignment: 1,
    ordered: false,
    flexible: true,
    aliases: ['void0'],
    get: getRaw,
    set: setRaw,
    doc: 'Uint8Array, copied; a structured type gives a frozen record without prototype',
  },
  {
    name: 'datetime64',
    kind: 'M',
    code: 'M8',
    char: 'M',
    itemsize: 8,
    alignment: 8,
    ordered: true,
    aliases: ['M'],
    array: BigInt64Array,
    get: getTime,
    set: setTime,
    doc: 'bigint: units since 1970-01-01T00:00 UTC; null is NaT',
  },
  {
    name: 'timedelta64',
    kind: 'm',
    code: 'm8',
    char: 'm',
    itemsize: 8,
    alignment: 8,
    ordered: true,
    aliases: ['m'],
    array: BigInt64Array,
    get: getTime,
    set: setTime,
    doc: 'bigint: units; null is NaT',
  },
] as const satisfies readonly DTypeRow[] as readonly DTypeRow[];

/** numpy's time units, longest first. */
export const TIME_UNITS = ['Y', 'M', 'W', 'D', 'h', 'm', 's', 'ms', 'us', 'ns', 'ps', 'fs', 'as'] as const;

/**
 * The row of {@link DTYPES} that reads and writes the elements of a type, which must not be structured or a sub-array.
 * @throws UNSUPPORTED_DTYPE
 *
 * @example
 * ```ts
 * import { parseDType, rowOf } from '@mmdpickle/core/ndarray';
 *
 * rowOf(parseDType('>i8')).doc; // 'bigint'
 * ```
 */
export function rowOf(type: DType): DTypeRow {
  for (const row of DTYPES) {
    if (row.kind === type.kind && (row.flexible === true || row.itemsize === type.itemsize)) return row;
  }
  throw new MmdError('UNSUPPORTED_DTYPE', `unknown element type: ${type.name}`, { found: type.name });
}
