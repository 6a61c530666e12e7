export { viewBytes } from '../bytes/index.ts';
export type { Advice, ArrayMemory } from './array-memory.ts';
export type { ArraySource, FileRange, RowRange } from './array-source.ts';
export { isArraySource } from './array-source.ts';
export { Complex } from './complex.ts';
export { type CreateOptions, ndarray } from './create.ts';
export { parseDType } from './descr.ts';
export { DTYPE_LIMITS, type DTypeLimits } from './dtype-limits.ts';
export {
  type Descr,
  type DescrField,
  DTYPES,
  type DType,
  type DTypeField,
  type DTypeKind,
  type DTypeLike,
  type DTypeRow,
  type DTypeSpec,
  type DTypeSpecDict,
  type DTypeSpecField,
  type DTypeSpecSubarray,
  type DTypeSpecVoid,
  NAT,
  rowOf,
  TIME_UNITS,
  type TypedArray,
  type TypedArrayConstructor,
} from './dtypes.ts';
export type { ElementStore } from './element-store.ts';
export { defaultFillValue } from './fill-value.ts';
export { float16FromBits, float16ToBits } from './float16.ts';
export { ellipsis, newAxis, Slice, type SliceSpec, slice } from './indexing.ts';
export type { NDArrayInit, NDArrayOptions } from './layout.ts';
export { isDType, sameDType } from './make-dtype.ts';
export { MaskedArray, type MaskedArrayOptions, type MaskedChunk } from './masked-array.ts';
export { type MemoryOverOptions, memoryOver } from './memory-over.ts';
export { type Chunk, NDArray } from './nd-array.ts';
export {
  isLiteralDict,
  isLiteralTuple,
  type LiteralDict,
  type LiteralTuple,
  type PythonLiteral,
  type PythonLiteralOptions,
  parsePythonLiteral,
  printPythonLiteral,
} from './python-literal.ts';
export type { Reduced } from './reduce.ts';
export { MAX_DIMS, type Order } from './shapes.ts';
