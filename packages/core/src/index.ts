/**
 * The part of mmdpickle that runs anywhere: arrays, values, dicts over memory, blobs and HTTP.
 * Files, mappings and locks of the operating system are in `@mmdpickle/core/node`.
 *
 * @module
 */

export { type JsonToken, jsonTokens, parseJson } from './bytes/index.ts';
export {
  DictLookup,
  type DictMode,
  type DictOptions,
  DictReader,
  type DictReaderOptions,
  type EntryInfo,
  type EntryMeta,
  type FsckOptions,
  type FsckResult,
  GrowableArray,
  GrowableMaskedArray,
  type GrowableMaskedSource,
  type GrowableSource,
  type Holds,
  MmapDict,
  type ProgressOptions,
  type Repair,
  type RowsLike,
  type SalvageResult,
  type SetOptions,
  type UnreadableRange,
  type VacuumOptions,
  type VerifyResult,
} from './dict/index.ts';
export { ERROR_CODES, type ErrorCode, type ErrorFields, isMmdError, MmdError } from './errors.ts';
export type {
  ArrayLayout,
  EncodeContext,
  EncodedValue,
  StoredValue,
  ValueCodec,
  ValueMeta,
} from './format/index.ts';
export {
  type Advice,
  type ArrayMemory,
  type ArraySource,
  type Chunk,
  Complex,
  type Descr,
  type DescrField,
  DTYPES,
  type DType,
  type DTypeField,
  type DTypeKind,
  type DTypeLike,
  ellipsis,
  type FileRange,
  isArraySource,
  MaskedArray,
  type MaskedChunk,
  memoryOver,
  NAT,
  NDArray,
  ndarray,
  newAxis,
  type Order,
  parseDType,
  type RowRange,
  Slice,
  type SliceSpec,
  sameDType,
  slice,
  type TypedArray,
} from './ndarray/index.ts';
export {
  ByteArray,
  ELLIPSIS,
  FrozenSet,
  NOT_IMPLEMENTED,
  OpaqueGlobal,
  OpaqueObject,
  PyComplex,
  PyDict,
  PyFloat,
  PyRange,
  PySet,
  PySlice,
  PyString,
  Tuple,
} from './pickle/index.ts';
export {
  type ByteSource,
  blobSource,
  bytesSource,
  httpSource,
  MemoryDisk,
  MemoryFile,
  type StorageFile,
} from './storage/index.ts';
