/**
 * The pickle language, protocols 0 to 5: read, written, disassembled and checked, without ever calling what is read.
 *
 * @module
 */

export { Complex } from '../ndarray/complex.ts';
export type { DumpEntryOptions, DumpOptions } from './dump.ts';
export { dump, dumpEntry, EntryEncoder } from './dump.ts';
export type { LimitName, LoadLimits } from './limits.ts';
export { DEFAULT_LIMITS, LIMITS } from './limits.ts';
export { Decoder, load, loadAt, loadEntry } from './load.ts';
export type { Opcode, OpcodeName, OpcodeRow } from './opcodes.ts';
export { HIGHEST_PROTOCOL, OPCODE_BY_CODE, OPCODES } from './opcodes.ts';
export type { Call, Construct, Constructor, Encoding, LoadOptions } from './options.ts';
export { OutOfBandBuffer } from './values/buffer.ts';
export { PyDict } from './values/dict.ts';
export type { OpaqueKind, Operation } from './values/opaque.ts';
export { OpaqueGlobal, OpaqueObject } from './values/opaque.ts';
export type { PyConstant } from './values/scalars.ts';
export { ByteArray, ELLIPSIS, NOT_IMPLEMENTED, PyFloat, PyRange, PySlice, PyString } from './values/scalars.ts';
export { FrozenSet, PySet } from './values/set.ts';
export { Tuple } from './values/tuple.ts';
