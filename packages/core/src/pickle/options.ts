/**
 * Options of `load` and `dump`.
 *
 * @module
 */

import { isCount, isFlag, isFunction, isObject, isOneOf, type OptionRow, type OptionTable } from '../options.ts';
import { LIMITS, type LimitName, type LoadLimits } from './limits.ts';
import type { OpaqueKind } from './values/opaque.ts';

/** How the 8-bit strings of Python 2 are decoded, like Python's `encoding` argument. */
export type Encoding = 'ascii' | 'latin1' | 'utf-8' | 'bytes';

/** One call that a pickle asks for. */
export interface Call {
  readonly kind: OpaqueKind;
  readonly module: string;
  readonly name: string;
  /** `NEWOBJ_EX` only. */
  readonly kwargs: unknown;
}

/** The user's function for a global: makes the object from the arguments, or returns undefined to leave it opaque. */
export type Construct = (args: readonly unknown[], call: Call) => unknown;

/** A user's constructor for a global, with a function for the state. */
export interface Constructor {
  readonly construct: Construct;
  /** Takes the state that follows (`__setstate__`). Without it a state is an error. */
  readonly setState?: (object: unknown, state: unknown) => void;
}

/** Options of `load`, `loadAt` and `loadEntry`. */
export interface LoadOptions {
  /** Default `'ascii'`, where other bytes are an error; numpy and datetime values of Python 2 need `'latin1'`. */
  readonly encoding?: Encoding | undefined;
  /** Mark what JavaScript values do not distinguish, so that it is written back as it was. Default false. */
  readonly lossless?: boolean | undefined;
  /** True (default): bytes, bytearrays and arrays are views of the input. False: they are copies. */
  readonly borrow?: boolean | undefined;
  /**
   * Whether arrays over the input are writable (default true). Pass false if the input is a read-only mapping, or
   * shared.
   */
  readonly writable?: boolean | undefined;
  /** The out-of-band buffers of protocol 5, in order; borrowed. */
  readonly buffers?: Iterable<Uint8Array> | undefined;
  /** Resolves a persistent id; undefined leaves it opaque. */
  readonly persistentLoad?: ((id: unknown) => unknown) | undefined;
  /** Resolves an extension code to `[module, name]`; undefined leaves it opaque. */
  readonly extension?: ((code: number) => readonly [module: string, name: string] | undefined) | undefined;
  /**
   * The user's constructors by `'module name'`; they take precedence over the built-in ones. The first space ends the
   * module name.
   */
  readonly globals?: ReadonlyMap<string, Construct | Constructor> | Record<string, Construct | Constructor> | undefined;
  /** `'error'`: anything that would become opaque throws FORBIDDEN_GLOBAL instead. Default `'opaque'`. */
  readonly unknown?: 'opaque' | 'error' | undefined;
  /** Budgets that differ from the defaults. */
  readonly limits?: Partial<LoadLimits> | undefined;
  /** Offset of the first byte in its file, for the offsets in errors. Default 0. */
  readonly offset?: number | undefined;
}

const MAXIMUM = isCount('a number');

function limitsOf(names: readonly LimitName[]): OptionRow {
  return { within: Object.fromEntries(names.map((name) => [name, MAXIMUM])) };
}

/** Option table for {@link Constructor}. */
export const CONSTRUCTOR: OptionTable = { construct: isFunction, setState: isFunction };

/** Option table for {@link LoadOptions}. A budget of NaN would never be exceeded. */
export const LOAD_OPTIONS: OptionTable = {
  encoding: isOneOf(...(['ascii', 'latin1', 'utf-8', 'bytes'] satisfies Encoding[])),
  lossless: isFlag,
  borrow: isFlag,
  writable: isFlag,
  buffers: {
    takes: (value) => typeof (value as Partial<Iterable<unknown>> | null)?.[Symbol.iterator] === 'function',
    expected: 'an iterable of Uint8Array',
  },
  persistentLoad: isFunction,
  extension: isFunction,
  globals: isObject,
  unknown: isOneOf('opaque', 'error'),
  limits: limitsOf(Object.keys(LIMITS) as LimitName[]),
  offset: isCount('a number of bytes'),
} satisfies Record<keyof LoadOptions, OptionRow>;

/** Option tables for `DumpOptions` and `DumpEntryOptions`. */
export const DUMP_OPTIONS: OptionTable = {
  protocol: { takes: (value) => value === 2 || value === 3 || value === 4 || value === 5, expected: '2, 3, 4 or 5' },
  bufferCallback: isFunction,
  limits: limitsOf(['depth']),
};
export const DUMP_ENTRY_OPTIONS: OptionTable = { memoBase: isCount('a memo index'), limits: limitsOf(['depth']) };

/** Option table for `DisOptions`. */
export const DIS_OPTIONS: OptionTable = {
  start: isCount('a position'),
  indent: isCount('a number of spaces'),
  memo: isObject,
  limits: limitsOf(['text']),
  onLine: isFunction,
};
