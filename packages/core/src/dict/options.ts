/**
 * How a dict is opened, and the defaults.
 *
 * @module
 */

import type { ArrayLayout, ValueCodec } from '../format/codecs.ts';
import type { LoadOptions } from '../pickle/index.ts';

/**
 * `'r'`: reading, the file must exist. `'r+'`: changing, the file must exist. `'a'`: changing, created when missing.
 * `'w-'`: created, an error when it exists. `'c'`: copy-on-write, changes to arrays stay in memory.
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
  /** Codecs asked before the built-in ones, in order. */
  readonly codecs?: readonly ValueCodec[];
  /** Options for values that are pickles (limits, lossless, globals, ...). */
  readonly load?: Omit<LoadOptions, 'borrow' | 'offset'>;
  /** Open a file with a torn tail or damage for reading what is intact. Default false: it throws. */
  readonly lenient?: boolean;
  /** With `lenient`: do not even ask for a header. Only `salvage` has a use for it. Default false. */
  readonly salvage?: boolean;
  /** Write a tail index at close, so that the next open does not walk the file. Default true. */
  readonly index?: boolean;
  /**
   * Bytes of a tail index from which on it stays in the file when an entry is appended: the next index then has the new keys only,
   * and refers to it. A smaller one is dropped and written anew. Default 16,384: about 900 keys.
   */
  readonly standingIndex?: number;
}

/** {@link DictOptions} with every default filled in. */
export interface ResolvedOptions extends Required<DictOptions> {
  readonly codecs: readonly ValueCodec[];
}
