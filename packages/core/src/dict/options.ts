/**
 * How a dict is opened, and the defaults.
 *
 * @module
 */

import { MmdError } from '../errors.ts';
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

const MODES: readonly unknown[] = ['r', 'r+', 'a', 'w-', 'c'] satisfies DictMode[];
const LAYOUTS: readonly unknown[] = ['modern', 'legacy'] satisfies ArrayLayout[];

/** What an option takes where it is given, and how that is told. */
interface OptionRow {
  readonly takes: (value: unknown) => boolean;
  readonly expected: string;
}

const isWait: OptionRow = {
  takes: (value) => typeof value === 'number' && value >= 0,
  expected: 'milliseconds, 0 or more',
};
const isLayout: OptionRow = { takes: (value) => LAYOUTS.includes(value), expected: "'modern' or 'legacy'" };
const isFlag: OptionRow = { takes: (value) => typeof value === 'boolean', expected: 'true or false' };

const OPTIONS: Readonly<Record<keyof DictOptions, OptionRow>> = {
  mode: { takes: (value) => MODES.includes(value), expected: `one of ${MODES.join(', ')}` },
  layout: isLayout,
  durability: { takes: (value) => value === 'none' || value === 'commit', expected: "'none' or 'commit'" },
  lockTimeout: isWait,
  codecs: { takes: (value) => Array.isArray(value), expected: 'an array of codecs' },
  load: { takes: (value) => typeof value === 'object' && value !== null, expected: 'an object of options' },
  lenient: isFlag,
  salvage: isFlag,
  index: isFlag,
  standingIndex: { takes: (value) => typeof value === 'number' && value >= 0, expected: 'bytes, 0 or more' },
};

const OPTION_NAMES: readonly string[] = Object.keys(OPTIONS);

/**
 * Refuses options that could only be a mistake, of which a `durability` that does nothing, or by another name, is the worst.
 * @param names - of the options there are
 * @throws INVALID_ARGUMENT
 */
export function checkOptions(options: object, names: readonly string[] = OPTION_NAMES): void {
  for (const name in options) {
    const found = (options as { readonly [name: string]: unknown })[name];
    if (found === undefined) continue;
    if (!names.includes(name)) {
      const expected = `one of ${names.join(', ')}`;
      throw new MmdError('INVALID_ARGUMENT', `no option is called '${name}'; expected ${expected}`, {
        expected,
        found: name,
      });
    }
    const row = OPTIONS[name as keyof DictOptions] as OptionRow | undefined;
    if (row === undefined || row.takes(found)) continue;
    const { expected } = row;
    const shown = typeof found === 'string' ? `'${found}'` : String(found);
    throw new MmdError('INVALID_ARGUMENT', `${name} is ${expected}; found ${shown}`, { expected, found });
  }
}

/** Fills in the defaults. Written out, so that the options of every dict have one hidden class: each commit looks at them. */
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
