/**
 * npy, npz and safetensors files from and to bytes, Blobs and `ByteSource`s: the part that also runs in a browser. In Node the
 * package's entry is `node.ts`, which adds paths, mappings and conversions.
 *
 * @module
 */

export type { WritableArray } from './array-bytes.ts';
export {
  npyBytes,
  npyPieces,
  type ReadNpyOptions,
  readNpy,
  type WriteNpyOptions,
  writeNpy,
} from './npy.ts';
export {
  formatNpyHeader,
  isNpy,
  MAX_HEADER_SIZE,
  NPY_VERSIONS,
  type NpyHeader,
  type NpyHeaderFields,
  type NpyHeaderOptions,
  type NpyPlace,
  type NpyReadOptions,
  type NpyVersion,
  type NpyVersionRow,
  npyHeaderSteps,
  readSteps,
  readStepsAsync,
  type WantedRange,
} from './npy-header.ts';
export type { NpzMember } from './npz-directory.ts';
export { NPZ_LIMITS, type NpzLimits } from './npz-limits.ts';
export { Npz, type OpenNpzOptions, openNpz } from './npz-read.ts';
export { FILL_SUFFIX, MASK_SUFFIX, type NamedArrays, npzBytes, type WriteNpzOptions } from './npz-write.ts';
export {
  type ReadSafetensorsOptions,
  readSafetensors,
  SAFETENSORS_DTYPES,
  type SafetensorInfo,
  SafetensorsFile,
  safetensorsBytes,
  type WriteSafetensorsOptions,
} from './safetensors.ts';
export type { ZipMethod } from './zip-layout.ts';
