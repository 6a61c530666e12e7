/**
 * Tables of what options accept: options that can only be a mistake are rejected before anything is done.
 * The other packages define tables of their own.
 *
 * @module
 */

import { MmdError } from './errors.ts';

/** What an option or argument accepts. */
export interface ValueRow {
  /** Whether a value is accepted. */
  readonly takes: (value: unknown) => boolean;
  /** What messages say of accepted values, after "must be". */
  readonly expected: string;
  /** For this package only: not listed in the message about an unknown option. */
  readonly internal?: boolean;
}

/** What one option accepts: a value, or an object of options. */
export type OptionRow =
  | ValueRow
  | {
      /** The options in it. */
      readonly within: OptionTable;
    };

/** The options of a call by name. */
export interface OptionTable {
  readonly [name: string]: OptionRow;
}

/** Anything; the value is checked where it is used. */
export const isAnything: ValueRow = { takes: () => true, expected: 'anything' };
/** True or false. */
export const isFlag: ValueRow = { takes: (value) => typeof value === 'boolean', expected: 'true or false' };
/** A function. */
export const isFunction: ValueRow = { takes: (value) => typeof value === 'function', expected: 'a function' };
/** Any object but null. */
export const isObject: ValueRow = { takes: isAnObject, expected: 'an object' };
/** A string. */
export const isText: ValueRow = { takes: (value) => typeof value === 'string', expected: 'a string' };
/** Bytes. */
export const isBytes: ValueRow = { takes: (value) => value instanceof Uint8Array, expected: 'a Uint8Array' };
/** An AbortSignal, recognized by its methods. */
export const isSignal: ValueRow = {
  takes: (value) => has(value, 'throwIfAborted', 'function') && has(value, 'addEventListener', 'function'),
  expected: 'an AbortSignal',
};
/** A number above 0, which may be infinite. */
export const isPositive: ValueRow = {
  takes: (value) => typeof value === 'number' && value > 0,
  expected: 'a number above 0',
};
/** A whole number from 0 to 2^53 - 1. */
export const isWhole: ValueRow = { takes: isWholeNumber, expected: 'a whole number, 0 or more' };
/** A shape: a list of whole numbers from 0 on. */
export const isShape: ValueRow = {
  takes: (value) => Array.isArray(value) && value.every(isWholeNumber),
  expected: 'a list of whole numbers, each 0 or more',
};

/** One of the given strings. */
export function isOneOf(...values: readonly string[]): ValueRow {
  const shown = values.map((value) => `'${value}'`).join(', ');
  return { takes: (value) => values.includes(value as string), expected: `one of ${shown}` };
}

/**
 * A number from 0 on, not NaN; fractions and Infinity are accepted.
 * @param what - what it is, for messages: `a number of bytes`
 */
export function isCount(what: string): ValueRow {
  return { takes: (value) => typeof value === 'number' && value >= 0, expected: `${what}, 0 or more` };
}

function isWholeNumber(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function isAnObject(value: unknown): value is { readonly [name: string]: unknown } {
  return typeof value === 'object' && value !== null;
}

/** Whether a value is an object with a property of the given `typeof`. */
export function has(value: unknown, name: string, type: string): boolean {
  return isAnObject(value) && typeof value[name] === type;
}

/**
 * Rejects unknown option names and values that are not accepted. An undefined option counts as omitted; an unknown
 * name on the prototype is ignored: it may not be meant for this call.
 *
 * @param path - the path of a nested options object in messages: empty, or ends with a dot
 * @returns the options
 * @throws INVALID_ARGUMENT with what was expected and found
 *
 * @example
 * ```ts
 * import { checkOptions, isFlag, type OptionTable } from '@mmdpickle/core/options';
 *
 * const table: OptionTable = { overwrite: isFlag };
 * checkOptions({ overwrite: true }, table);
 * ```
 */
export function checkOptions<T>(options: T, table: OptionTable, path = ''): T {
  if (!isAnObject(options) || Array.isArray(options))
    throw wrongArgument(path === '' ? 'the last argument' : path.slice(0, -1), 'an options object', options);
  for (const name in options) {
    const found = options[name];
    if (found === undefined) continue;
    if (!Object.hasOwn(table, name)) {
      if (!Object.hasOwn(options, name)) continue;
      const names = Object.keys(table)
        .filter((known) => !('internal' in table[known]!))
        .join(', ');
      throw refused(`unknown option '${path}${name}'; expected one of ${names}`, names, name);
    }
    const row = table[name]!;
    if ('within' in row) checkOptions(found, row.within, `${path}${name}.`);
    else if (!row.takes(found)) throw wrongArgument(path + name, row.expected, found);
  }
  return options;
}

/**
 * The INVALID_ARGUMENT error for an argument or option of the wrong kind.
 * @param expected - the description of accepted values, after "must be"
 */
export function wrongArgument(name: string, expected: string, found: unknown): MmdError {
  return refused(`${name} must be ${expected}; found ${shown(found)}`, expected, found);
}

/** Formats any value for a message, even if `String` would throw; only the first items of an array, and the start of a long string. */
export function shown(found: unknown, deep = true): string {
  if (typeof found === 'string') return found.length > 100 ? `'${found.slice(0, 100)}'...` : `'${found}'`;
  if (typeof found === 'function') return 'a function';
  if (!isAnObject(found)) return String(found);
  if (!Array.isArray(found)) return 'an object';
  if (!deep) return 'an array';
  const items = found.slice(0, 8).map((item) => shown(item, false));
  return `[${items.join(', ')}${found.length > 8 ? ', ...' : ''}]`;
}

function refused(message: string, expected: unknown, found: unknown): MmdError {
  return new MmdError('INVALID_ARGUMENT', message, { expected, found });
}
