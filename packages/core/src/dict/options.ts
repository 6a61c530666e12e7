/**
 * How a dict is opened, and the defaults.
 *
 * @module
 */

import { MmdError } from '../errors.ts';
import type { ArrayLayout, ValueCodec } from '../format/codecs.ts';
import { has, isCount, isFlag, isFunction, isOneOf, isSignal, type OptionRow, type OptionTable } from '../options.ts';
import type { LoadOptions } from '../pickle/index.ts';
import { LOAD_OPTIONS } from '../pickle/options.ts';

/**
 * `'r'`: for reading, the file must exist. `'r+'`: for changing, the file must exist. `'a'`: for changing, created if missing. `'w-'`:
 * created, an error if it exists. `'c'`: copy-on-write, changes to arrays stay in memory.
 */
export type DictMode = 'r' | 'r+' | 'a' | 'w-' | 'c';

/** Options of {@link MmapDict.over}. */
export interface DictOptions {
  /** Default: `'r+'` for a writable file, else `'r'`. */
  readonly mode?: DictMode;
  /** How arrays are written. Default `'modern'`. */
  readonly layout?: ArrayLayout;
  /** `'commit'`: fdatasync before and after each commit. Default `'none'`: safe against a kill, not against a power loss. */
  readonly durability?: 'none' | 'commit';
  /** Milliseconds to wait for another writer's lock; then LOCKED. Default 10,000. */
  readonly lockTimeout?: number;
  /** Codecs tried before the built-in ones, in order. */
  readonly codecs?: readonly ValueCodec[];
  /** Options for values that are pickles (limits, lossless, globals, ...). */
  readonly load?: Omit<LoadOptions, 'borrow' | 'offset'>;
  /** Open a file with a torn tail or damage, to read what is intact. Default false: it throws. */
  readonly lenient?: boolean;
  /** With `lenient`: do not even require a header. Only useful for `salvage`. Default false. */
  readonly salvage?: boolean;
  /** Write a tail index at close, so that the next open does not walk the file. Default true. */
  readonly index?: boolean;
  /**
   * Size in bytes from which a tail index stays in the file when an entry is appended: the next index then has only the new keys, and
   * refers to it. A smaller one is dropped and rewritten. Default 16,384: about 900 keys.
   */
  readonly standingIndex?: number;
}

/** Options of `MmapDict.set`. */
export interface SetOptions {
  /** How an array is written. Default: as the dict's option says. */
  readonly layout?: ArrayLayout;
}

/** {@link DictOptions} with every default filled in. */
export interface ResolvedOptions extends Required<DictOptions> {
  readonly codecs: readonly ValueCodec[];
}

const LAYOUT = isOneOf(...(['modern', 'legacy'] satisfies ArrayLayout[]));
const LOCK_TIMEOUT = isCount('a number of milliseconds');
const CODEC_PARTS = [
  ['name', 'string'],
  ['encode', 'function'],
  ['describe', 'function'],
  ['decode', 'function'],
] as const;
const CODEC_LIST: OptionRow = {
  takes: (value) =>
    Array.isArray(value) && value.every((codec) => CODEC_PARTS.every(([part, type]) => has(codec, part, type))),
  expected: 'an array of codecs, each with a name, encode, describe and decode',
};

/** The option table of {@link DictOptions}. */
export const DICT_OPTIONS: OptionTable = {
  mode: isOneOf(...(['r', 'r+', 'a', 'w-', 'c'] satisfies DictMode[])),
  layout: LAYOUT,
  durability: isOneOf('none', 'commit'),
  lockTimeout: LOCK_TIMEOUT,
  codecs: CODEC_LIST,
  load: { within: LOAD_OPTIONS },
  lenient: isFlag,
  salvage: { ...isFlag, internal: true },
  index: isFlag,
  standingIndex: isCount('a number of bytes'),
} satisfies Record<keyof DictOptions, OptionRow>;

/** The option tables of `set`, `batch` and `batchAsync`. */
export const SET_OPTIONS: OptionTable = { layout: LAYOUT };
export const BATCH_OPTIONS: OptionTable = { lockTimeout: LOCK_TIMEOUT };
export const BATCH_ASYNC_OPTIONS: OptionTable = { lockTimeout: LOCK_TIMEOUT, signal: isSignal };

/** The option tables of `ProgressOptions` and of the options that extend it. */
export const PROGRESS_OPTIONS: OptionTable = { signal: isSignal, onProgress: isFunction };
export const VACUUM_OPTIONS: OptionTable = { ...PROGRESS_OPTIONS, inPlace: isFlag };
export const FSCK_OPTIONS: OptionTable = { ...PROGRESS_OPTIONS, repair: isFlag, values: isFlag };
export const SEAL_OPTIONS: OptionTable = { ...PROGRESS_OPTIONS, checksums: isFlag };
export const CONVERT_OPTIONS: OptionTable = { ...LOAD_OPTIONS, ...PROGRESS_OPTIONS, dict: { within: DICT_OPTIONS } };

/** The option table of `DictReaderOptions`. */
export const READER_OPTIONS: OptionTable = { codecs: CODEC_LIST, load: { within: LOAD_OPTIONS }, signal: isSignal };

/** @throws BAD_KEY */
export function checkKey(key: unknown): asserts key is string {
  if (typeof key !== 'string')
    throw new MmdError('BAD_KEY', `a key must be a string, found ${typeof key}`, { found: key });
}

/** Fills in the defaults. Written out, so that the options of every dict have one hidden class: every commit reads them. */
export function resolveOptions(options: DictOptions, mode: DictMode): ResolvedOptions {
  return {
    mode,
    layout: options.layout ?? 'modern',
    durability: options.durability ?? 'none',
    lockTimeout: options.lockTimeout ?? 10_000,
    codecs: options.codecs ?? [],
    load: options.load ?? {},
    lenient: options.lenient ?? false,
    salvage: options.salvage ?? false,
    index: options.index ?? true,
    standingIndex: options.standingIndex ?? 16_384,
  };
}
