/** The file format: layout, scanning, array spellings, codecs. No IO. @module */

export { arrayCodec } from './array-codec.ts';
export { ARRAY_SPELLINGS, type ArraySpelling } from './array-value.ts';
export { type CheckResult, checkFile, FINDINGS, type Finding, type FindingCode } from './check.ts';
export { crc32c } from './checksum.ts';
export {
  type ArrayLayout,
  CODECS,
  type EncodeContext,
  type StoredValue,
  type ValueCodec,
  type ValueMeta,
} from './codecs.ts';
export { type ArrayBody, type EncodedValue, encodedBytes, type ValuePart } from './encoded-value.ts';
export { type GrowableRows, growableRows } from './growable-rows.ts';
export * from './layout.ts';
export { maskedCodec } from './masked-codec.ts';
export { pickleCodec } from './pickle-codec.ts';
export { type PlainCodecOptions, plainCodec } from './plain-codec.ts';
export {
  answer,
  answerAsync,
  type ByteRequest,
  type EntryState,
  keyOf,
  type ScanEnd,
  type ScannedEntry,
  scanEntries,
} from './scan.ts';
export { runSteps, type Step, type StepTarget } from './steps.ts';
export { TAIL_KINDS, type TailKind } from './tail-entry.ts';
export { ValueReader } from './value-reader.ts';
