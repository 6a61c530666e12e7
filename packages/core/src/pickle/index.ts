/**
 * The pickle language, protocols 0 to 5: read, written, disassembled and checked, without ever calling what is read.
 *
 * @module
 */

export { Complex } from '../ndarray/complex.ts';
export type { Argument } from './arguments.ts';
export type { CheckedGlobal, CheckReport } from './check.ts';
export { check } from './check.ts';
export type { DisOptions } from './dis.ts';
export { dis } from './dis.ts';
export type { DumpEntryOptions, DumpOptions } from './dump.ts';
export { dump, dumpEntry, EntryEncoder, type KeyedEntry } from './dump.ts';
export type { EmitOp } from './emit.ts';
export { emit } from './emit.ts';
export type { GenOp } from './genops.ts';
export { genops } from './genops.ts';
export type { LimitName, LoadLimits } from './limits.ts';
export { DEFAULT_LIMITS, LIMITS } from './limits.ts';
export { Decoder, load, loadAt, loadEntry } from './load.ts';
export type { Opcode, OpcodeName, OpcodeRow } from './opcodes.ts';
export { HIGHEST_PROTOCOL, OPCODE_BY_CODE, OPCODES } from './opcodes.ts';
export type { Call, Construct, Constructor, Encoding, LoadOptions } from './options.ts';
export { OutOfBandBuffer } from './values/buffer.ts';
export { Counter, DefaultDict, Deque, OrderedDict, PyArray } from './values/collections.ts';
export type { DateTimeParts, TimeParts } from './values/datetime.ts';
export { PyDate, PyDateTime, PyTime, PyTimeDelta, PyTimeZone, UTC } from './values/datetime.ts';
export { PyDict } from './values/dict.ts';
export { EXCEPTION_NAMES, PyException } from './values/exceptions.ts';
export type { PathClass } from './values/numbers.ts';
export { PATH_CLASSES, PyDecimal, PyFraction, PyPath, PyUuid } from './values/numbers.ts';
export { NumpyScalar, RecArray, RecordType } from './values/numpy.ts';
export type { OpaqueKind, Operation } from './values/opaque.ts';
export { OpaqueGlobal, OpaqueObject } from './values/opaque.ts';
export {
  ByteArray,
  ELLIPSIS,
  NOT_IMPLEMENTED,
  PyComplex,
  PyConstant,
  PyFloat,
  PyRange,
  PySlice,
  PyString,
} from './values/scalars.ts';
export { FrozenSet, PySet, type SetLike } from './values/set.ts';
export { Tuple } from './values/tuple.ts';
