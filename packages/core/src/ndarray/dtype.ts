/**
 * Data types, and the ways to describe them.
 *
 * Definitions: numpy's "Data type objects (dtype)" and "Array interface" (`typestr`) reference pages.
 *
 * @module
 */

/** numpy's `dtype.kind`. */
export type DTypeKind = 'b' | 'i' | 'u' | 'f' | 'c' | 'm' | 'M' | 'S' | 'U' | 'V' | 'O';

/** One field of a structured type. */
export interface DTypeField {
  readonly name: string;
  readonly title?: string;
  readonly dtype: DType;
  /** In bytes from the start of the element. */
  readonly offset: number;
}

/** A data type. Frozen; made by `parseDType`. */
export interface DType {
  /** numpy's `str(dtype)`: `float64`, `>f8`, `<U5`, `|S3`, `datetime64[ns]`, `[('a', '<i4')]`. `parseDType` reads it back. */
  readonly name: string;
  readonly kind: DTypeKind;
  /** numpy's `dtype.char`. */
  readonly char: string;
  /** Bytes of one element. */
  readonly itemsize: number;
  readonly byteorder: '<' | '>' | '|';
  /** numpy's `dtype.alignment` on x86-64 and arm64. */
  readonly alignment: number;
  /**
   * numpy's `dtype.str`, or for structured types its `dtype.descr`: padding is a void field with the name `''`.
   * @throws UNSUPPORTED_DTYPE for overlapping or out-of-order fields, where numpy raises ValueError; use `spec`
   */
  readonly descr: Descr;
  /** The spec from which `numpy.dtype(spec)` makes exactly this type: `descr`, or the dict form if there is padding or alignment. */
  readonly spec: DTypeSpec;
  /** datetime64 and timedelta64: the unit and its count; absent for the generic unit. */
  readonly unit?: { readonly base: string; readonly count: number };
  /** Structured types: the fields. */
  readonly fields?: readonly DTypeField[];
  /** Structured types: numpy's `isalignedstruct`. */
  readonly alignedStruct?: true;
  /** Sub-array types: the element type. */
  readonly base?: DType;
  /** Sub-array types: the shape. */
  readonly shape?: readonly number[];
  /** True if any part is of kind `O`: such elements exist in memory only, and are never mapped. */
  readonly hasObject: boolean;
}

/** numpy's array-interface description: a typestr or a list of fields. */
export type Descr = string | DescrField[];
/** A field: name (or title and name), type, and the shape of a sub-array. */
export type DescrField = [name: string | [title: string, name: string], descr: Descr, shape?: number[]];

/** All forms from which `numpy.dtype()` makes a type exactly. */
export type DTypeSpec = string | DTypeSpecField[] | DTypeSpecDict | DTypeSpecSubarray | DTypeSpecVoid;
/** Like {@link DescrField}, with any {@link DTypeSpec} as the type. */
export type DTypeSpecField = [name: string | [title: string, name: string], spec: DTypeSpec, shape?: number[]];
/** A sub-array type: element and shape, a tuple in Python. */
export type DTypeSpecSubarray = [base: DTypeSpec, shape: number[]];
/**
 * Fields laid over void bytes, `('|V8', fields)`, a tuple in Python: an unaligned type within an aligned one. Without the void type,
 * numpy would align it too.
 */
export type DTypeSpecVoid = [bytes: string, spec: DTypeSpecField[] | DTypeSpecDict];
/** numpy's dict form, for padding, overlaps and any order of fields. */
export interface DTypeSpecDict {
  readonly names: readonly string[];
  readonly formats: readonly DTypeSpec[];
  readonly offsets?: readonly number[];
  readonly titles?: readonly (string | null)[];
  readonly itemsize?: number;
  readonly aligned?: boolean;
}

/** Anything that describes a type: text in any numpy spelling, a descr list, the dict form, or a type. */
export type DTypeLike = string | Descr | DTypeSpec | DType;

/** The typed arrays that an array can be laid over. */
export type TypedArray =
  | Int8Array
  | Uint8Array
  | Uint8ClampedArray
  | Int16Array
  | Uint16Array
  | Int32Array
  | Uint32Array
  | Float32Array
  | Float64Array
  | BigInt64Array
  | BigUint64Array;

/** A typed-array class. */
export interface TypedArrayConstructor {
  readonly BYTES_PER_ELEMENT: number;
  readonly name: string;
  new (length: number): TypedArray;
  new (buffer: ArrayBufferLike, byteOffset?: number, length?: number): TypedArray;
}
