/**
 * Tables of the options of readers, writers and conversions.
 *
 * @module
 */

import {
  has,
  isAnything,
  isCount,
  isFlag,
  isFunction,
  isObject,
  isOneOf,
  isSignal,
  isText,
  isWhole,
  type OptionRow,
  type OptionTable,
  wrongArgument,
} from '@mmdpickle/core/options';
import { NPY_VERSIONS } from './npy-header.ts';
import { NPZ_LIMITS } from './npz-limits.ts';

/** Refuses what is not a dict over a file, as arrays are copied from or to it. Not by its class: each copy of the package has its own. */
export function checkFileDict(found: unknown): void {
  if (!has(found, 'token', 'function')) throw wrongArgument('the dict', 'a dict opened from a file', found);
}

const isOrder = isOneOf('C', 'F');
const VERSIONS = NPY_VERSIONS.map(({ major }) => major);
const isVersion: OptionRow = {
  takes: (value) => (VERSIONS as readonly unknown[]).includes(value),
  expected: `one of ${VERSIONS.join(', ')}`,
};
/** Names, or a function that makes them; each conversion checks the rest. */
const isKeys: OptionRow = {
  takes: (value) => Array.isArray(value) || typeof value === 'function',
  expected: 'an array of names or a function',
};

/** Options of everything that can be stopped. */
export const SIGNAL_OPTIONS: OptionTable = { signal: isSignal };
/** Options of everything that can be stopped and reports progress. */
export const TRANSFER_OPTIONS: OptionTable = { ...SIGNAL_OPTIONS, onProgress: isFunction };

const READ: OptionTable = {
  maxHeaderSize: isCount('a number of characters'),
  allowPickle: isFlag,
  onRest: isFunction,
  pickle: isObject,
};

export const READ_NPY_OPTIONS: OptionTable = { ...READ, ...SIGNAL_OPTIONS, name: isText };
export const WRITE_NPY_OPTIONS: OptionTable = { ...TRANSFER_OPTIONS, version: isVersion, length: isWhole };
export const CREATE_NPY_OPTIONS: OptionTable = { order: isOrder, version: isVersion, reserve: isFlag };
export const NPY_WRITER_OPTIONS: OptionTable = { rowShape: isAnything, dtype: isAnything };

export const NPY_FLUSH_OPTIONS: OptionTable = { sync: isFlag };

const LIMITS: OptionTable = Object.fromEntries(Object.keys(NPZ_LIMITS).map((name) => [name, isCount('a number')]));

export const OPEN_NPZ_OPTIONS: OptionTable = { ...READ_NPY_OPTIONS, limits: { within: LIMITS } };
export const NPZ_MEMBER_OPTIONS: OptionTable = { ...SIGNAL_OPTIONS, mode: isOneOf('r', 'c'), map: isFlag };
export const WRITE_NPZ_OPTIONS: OptionTable = { ...TRANSFER_OPTIONS, compress: isFlag, zip64: isFlag };

export const SAFETENSORS_OPTIONS: OptionTable = { metadata: isObject };
export const WRITE_SAFETENSORS_OPTIONS: OptionTable = { ...TRANSFER_OPTIONS, ...SAFETENSORS_OPTIONS };

const RAW: OptionTable = { offset: isAnything, order: isOrder };

export const RAW_OPTIONS: OptionTable = { ...RAW, mode: isOneOf('r', 'r+', 'c') };

const CONVERT: OptionTable = { ...TRANSFER_OPTIONS, lockTimeout: isCount('a number of milliseconds') };

export const NPY_TO_MMD_OPTIONS: OptionTable = { ...CONVERT, ...READ, name: isText, keys: isKeys };
export const NPZ_TO_MMD_OPTIONS: OptionTable = { ...CONVERT, ...OPEN_NPZ_OPTIONS, keys: isKeys };
export const SAFETENSORS_TO_MMD_OPTIONS: OptionTable = { ...CONVERT, keys: isKeys };
export const RAW_TO_MMD_OPTIONS: OptionTable = {
  ...CONVERT,
  ...RAW,
  key: isAnything,
  dtype: isAnything,
  shape: isAnything,
};
