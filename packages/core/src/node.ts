/**
 * The dict in a real file: `MmapDict.open(path)`, ordinary pickles, and the node room's files, leases and errors.
 *
 * @module
 */

import { cleanUp, closing } from './dict/clean-up.ts';
import { convertInto, itemsOf, loadMapped, type PickleOptions } from './dict/convert.ts';
import type { FsckOptions, FsckResult } from './dict/fsck.ts';
import { MmapDict as BaseDict } from './dict/mmap-dict.ts';
import {
  CONVERT_OPTIONS,
  DICT_OPTIONS,
  type DictMode,
  type DictOptions,
  FSCK_OPTIONS,
  PROGRESS_OPTIONS,
} from './dict/options.ts';
import { RescueSource } from './dict/rescue-source.ts';
import type { SalvageResult } from './dict/salvage.ts';
import type { ProgressOptions } from './dict/vacuum.ts';
import { MmdError } from './errors.ts';
import type { ArrayLayout } from './format/codecs.ts';
import { EMPTY_SIZE, encodeEmptyFile } from './format/layout.ts';
import { NodeFile } from './node/file.ts';
import { Lease, type LeaseOptions } from './node/lease.ts';
import { checkOptions } from './options.ts';
import type { StorageFile } from './storage/storage-file.ts';

export type { PickleOptions } from './dict/convert.ts';
export type { EntryInfo } from './dict/entry-info.ts';
export type { FsckOptions, FsckResult } from './dict/fsck.ts';
export { GrowableArray, type GrowableSource, type RowsLike } from './dict/growable-array.ts';
export { GrowableMaskedArray, type GrowableMaskedSource } from './dict/growable-masked-array.ts';
export type { EntryMeta, Holds } from './dict/mmap-dict.ts';
export type { DictMode, DictOptions, SetOptions } from './dict/options.ts';
export type { UnreadableRange } from './dict/rescue-source.ts';
export type { SalvageResult } from './dict/salvage.ts';
export type { VerifyResult } from './dict/seal.ts';
export type { ProgressOptions, VacuumOptions } from './dict/vacuum.ts';
export * from './node/index.ts';

/** Options of {@link MmapDict.open}; the mode defaults to `'a'`. */
export type OpenOptions = DictOptions;

/** Plain data that passes a handle to another thread or process. Functions (`codecs`, those of `load`) are not included. */
export interface DictToken {
  readonly mmdpickle: 1;
  readonly path: string;
  readonly mode: DictMode;
  readonly layout: ArrayLayout;
  readonly durability: 'none' | 'commit';
  readonly lockTimeout: number;
  readonly lenient: boolean;
  readonly index: boolean;
  readonly standingIndex: number;
}

const FILE_MODES = { r: 'r', c: 'r', 'r+': 'r+', a: 'a', 'w-': 'create-new' } as const;

/**
 * A dict in a memory-mapped file of the operating system.
 *
 * @example
 * ```ts
 * import { MmapDict } from '@mmdpickle/core/node';
 *
 * using dict = MmapDict.open('run.mmdpickle');
 * dict.set('operator', 'night shift').set('gain', 2.5);
 * dict.get('gain'); // 2.5
 * ```
 */
export class MmapDict extends BaseDict {
  /**
   * Opens or creates a file. Opening never changes an intact file.
   *
   * @param path - a path or file URL
   * @param options - see {@link OpenOptions}
   * @throws NOT_FOUND; ALREADY_EXISTS; READ_ONLY if the file, or its medium, cannot be written (mode `'r'` reads it); NOT_A_PICKLE,
   * NOT_MMDPICKLE, TRUNCATED, CORRUPT; INVALID_ARGUMENT also for anything but a regular file; LOCKED, NO_SPACE, IO
   *
   * @example
   * ```ts
   * import { MmapDict } from '@mmdpickle/core/node';
   *
   * MmapDict.open('new.mmdpickle', { mode: 'w-' }).close();
   * using dict = MmapDict.open('new.mmdpickle', { mode: 'r' });
   * dict.size; // 0
   * ```
   */
  static open(path: string | URL, options: OpenOptions = {}): MmapDict {
    // Before the file is created.
    checkOptions(options, DICT_OPTIONS);
    const mode = options.mode ?? 'a';
    const openedAt = Date.now();
    const durable = options.durability === 'commit';
    const file = NodeFile.open(path, FILE_MODES[mode], { initial: encodeEmptyFile(), durable });
    try {
      return new MmapDict(file, options.mode === undefined ? { ...options, mode } : options, openedAt);
    } catch (error) {
      if (mode === 'w-') cleanUp(() => unmake(file, () => file.size() <= EMPTY_SIZE));
      cleanUp(() => file.close());
      throw error;
    }
  }

  /**
   * Takes the writer lease, for long work that must not be disturbed (ingest, vacuum, convert). A second process that asks for it gets
   * LOCKED with the holder's pid at once; one that does not ask is not blocked. If the lease is lost, this handle writes nothing more.
   * Release it, or close the dict.
   * @throws as {@link Lease.acquire}: LOCKED, READ_ONLY, NO_SPACE, IO; CLOSED, INVALID_ARGUMENT
   */
  lease(options?: LeaseOptions): Lease {
    this.core.alive();
    const lease = Lease.acquire(this.path, options);
    this.#lease?.release();
    this.#lease = lease;
    this.core.writer.guard = () => {
      if (this.#lease === lease && !this.#released(lease)) lease.assertHeld();
    };
    return lease;
  }

  #lease: Lease | undefined;

  /** A lease that was released no longer guards writes; one that was lost does. */
  #released(lease: Lease): boolean {
    return !lease.held && !lease.signal.aborted;
  }

  /** Plain data from which another thread or process can open the same file with {@link MmapDict.reopen}. */
  token(): DictToken {
    const { layout, durability, lockTimeout, lenient, index, standingIndex } = this.core.store.options;
    const mode = this.mode === 'w-' || this.mode === 'a' ? 'r+' : this.mode;
    return { mmdpickle: 1, path: this.path, mode, layout, durability, lockTimeout, lenient, index, standingIndex };
  }

  /** Opens the file of a {@link MmapDict.token}. @throws INVALID_ARGUMENT, and as {@link MmapDict.open} */
  static reopen(token: DictToken): MmapDict {
    if (token?.mmdpickle !== 1)
      throw new MmdError('INVALID_ARGUMENT', 'not a token from MmapDict.token()', { found: token });
    const { mmdpickle: _version, path, ...options } = token;
    return MmapDict.open(path, options);
  }

  override close(): void {
    try {
      super.close();
    } finally {
      // If closing was refused, the dict is still open.
      if (this.closed) {
        this.#lease?.release();
        this.#lease = undefined;
      }
    }
  }
}

/** A pickle opened in place. */
export interface OpenedPickle extends Disposable {
  /** Its value; arrays and bytes are views of the mapped file. */
  readonly value: unknown;
  /** File offset of the end of the pickle. What follows it, perhaps another pickle, was not read. */
  readonly end: number;
  /** The items, if the value is a dict with string keys. @throws NOT_A_DICT, BAD_KEY */
  items(): Map<string, unknown>;
  /** Unmaps the file: arrays and bytes then read as zeros. */
  close(): void;
}

/**
 * Opens an ordinary pickle of any protocol; its arrays and bytes are mapped, not read.
 *
 * @throws NOT_FOUND, INVALID_ARGUMENT, IO, and whatever `load` throws: NOT_A_PICKLE, TRUNCATED, CORRUPT, BAD_OPCODE, BAD_KEY,
 * UNSUPPORTED_VALUE, LIMIT_EXCEEDED
 *
 * @example
 * ```ts
 * import { writeFileSync } from 'node:fs';
 * import { openPickle } from '@mmdpickle/core/node';
 * import { dump } from '@mmdpickle/core/pickle';
 *
 * writeFileSync('plain.pkl', dump({ gain: 2.5 }));
 * using pickle = openPickle('plain.pkl');
 * pickle.items().get('gain'); // 2.5
 * ```
 */
export function openPickle(path: string | URL, options: PickleOptions = {}): OpenedPickle {
  const file = NodeFile.open(path, 'r');
  try {
    const { value, end } = loadMapped(file, options);
    return {
      value,
      end,
      items: () => itemsOf(value, file.name),
      close: () => file.close(),
      [Symbol.dispose]: () => file.close(),
    };
  } catch (error) {
    file.close();
    throw error;
  }
}

/**
 * Converts an ordinary pickle of a dict to an mmdpickle file. Arrays are copied from file to file. An interrupted conversion leaves no
 * file behind. Values are loaded with `lossless: true` unless the options say otherwise.
 *
 * @param dst - must not exist
 * @returns the offset at which the pickle ends: what follows it in the file, perhaps another pickle, was not read
 * @throws as {@link openPickle} for `src`; NOT_A_DICT, BAD_KEY, KEY_TOO_LONG, INVALID_ARGUMENT; ALREADY_EXISTS, NOT_FOUND,
 * READ_ONLY, NO_SPACE for `dst`
 *
 * @example
 * ```ts
 * import { writeFileSync } from 'node:fs';
 * import { convert, MmapDict } from '@mmdpickle/core/node';
 * import { dump } from '@mmdpickle/core/pickle';
 *
 * writeFileSync('old.pkl', dump({ gain: 2.5 }));
 * convert('old.pkl', 'new.mmdpickle');
 * MmapDict.open('new.mmdpickle', { mode: 'r' }).get('gain'); // 2.5
 * ```
 */
export function convert(
  src: string | URL,
  dst: string | URL,
  options: PickleOptions & ProgressOptions & { readonly dict?: Omit<DictOptions, 'mode'> } = {},
): { readonly end: number } {
  // Before the file is created.
  checkOptions(options, CONVERT_OPTIONS);
  const { dict, ...rest } = options;
  using source = NodeFile.open(src, 'r');
  return { end: intoNew(dst, dict, (target) => convertInto(source, target.core, rest)) };
}

/** Creates a file, fills it and closes it. If that fails, the file is removed, so that a retry finds nothing in its way. */
function intoNew<T>(
  path: string | URL,
  options: Omit<DictOptions, 'mode'> | undefined,
  fill: (target: MmapDict) => T,
): T {
  const target = MmapDict.open(path, { ...options, mode: 'w-' });
  try {
    const result = fill(target);
    target.close();
    return result;
  } catch (error) {
    if (!target.closed) cleanUp(() => unmake(target.core.store.file, () => target.size === 0));
    cleanUp(() => target.close());
    throw error;
  }
}

/** Removes a file that was created in vain, unless another writer has begun to use it, which the lock and `unused` show. */
function unmake(file: StorageFile, unused: () => boolean): void {
  if (file.tryLock() && unused()) file.remove(file.name);
}

/**
 * `MmapDict.fsck` for a file that may be too damaged to open: nothing is repaired unless requested.
 * @throws NOT_FOUND, INVALID_ARGUMENT, IO; with `repair` also READ_ONLY, LOCKED, NO_SPACE. Damage to the file is a finding, not an error
 */
export function fsck(path: string | URL, options: FsckOptions = {}): FsckResult {
  checkOptions(options, FSCK_OPTIONS);
  const mode = options.repair ? 'r+' : 'r';
  const dict = MmapDict.open(path, { mode, lenient: true, salvage: true, index: false });
  return closing(dict, () => dict.fsck(options));
}

/**
 * Copies every intact entry of a damaged file into a new one. Bytes that the disk cannot deliver count as damaged: everything that does not
 * need them is copied.
 * @param dst - must not exist
 * @throws NOT_A_PICKLE, NOT_MMDPICKLE, TRUNCATED for what has neither a header nor an entry, which is no dict, and leaves no file;
 *   NOT_FOUND, ALREADY_EXISTS, INVALID_ARGUMENT, READ_ONLY, NO_SPACE; IO if writing fails, or if nothing can be read
 */
export function salvage(src: string | URL, dst: string | URL, options: ProgressOptions = {}): SalvageResult {
  checkOptions(options, PROGRESS_OPTIONS);
  using file = new RescueSource(NodeFile.open(src, 'r'));
  using from = BaseDict.over(file, { mode: 'r', lenient: true, salvage: true });
  return intoNew(dst, undefined, (to) => from.salvage(to, options));
}

/**
 * Makes the legacy arrays of a file loadable by every numpy, in place. Returns their number.
 * @throws as {@link MmapDict.open}: NOT_FOUND, NOT_A_PICKLE, NOT_MMDPICKLE, CORRUPT, READ_ONLY; LOCKED, NO_SPACE, IO
 */
export function upgrade(path: string | URL): number {
  return closing(MmapDict.open(path, { mode: 'r+' }), (dict) => dict.upgrade());
}

/** The reverse of {@link upgrade}. @throws the same */
export function downgrade(path: string | URL): number {
  return closing(MmapDict.open(path, { mode: 'r+' }), (dict) => dict.downgrade());
}
