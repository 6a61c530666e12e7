/**
 * npy, npz, safetensors and raw files in Node: everything in `index.ts`, which here also takes paths, and conversions from
 * and to mmdpickle files.
 *
 * @module
 */

export * from './index.ts';
export {
  type Exported,
  type MmdToNpzOptions,
  mmdToNpy,
  mmdToNpz,
  mmdToRaw,
  mmdToSafetensors,
} from './node/export.ts';
export {
  type ConvertOptions,
  type Imported,
  type NpyToMmdOptions,
  type NpzToMmdOptions,
  npyToMmd,
  npzToMmd,
  type RawToMmdOptions,
  rawToMmd,
  type SafetensorsToMmdOptions,
  safetensorsToMmd,
} from './node/import.ts';
export {
  type CreateNpyOptions,
  createNpy,
  type MappedNDArray,
  type NpyMode,
  openNpy,
  readNpy,
  writeNpy,
} from './node/npy-file.ts';
export { NpyWriter, type NpyWriterOptions, openNpyWriter } from './node/npy-writer.ts';
export { NpzFile, openNpz, type StoredRange, writeNpz } from './node/npz-file.ts';
export { FileReplacement, type Leftovers } from './node/replace-file.ts';
export {
  fromRaw,
  type MappedSafetensors,
  type RawOptions,
  readSafetensors,
  type TransferOptions,
  toRaw,
  writeSafetensors,
} from './node/safetensors-file.ts';
