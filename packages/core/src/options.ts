/**
 * What options take, as data: given ones that could only be a mistake are refused before anything is done.
 *
 * @module
 */

import { MmdError } from './errors.ts';

/** What one option takes where it is given. */
export type OptionRow =
  | {
      readonly takes: (value: unknown) => boolean;
      /** How that is told. */
      readonly expected: string;
    }
  /** An object of options. */
  | { readonly within: OptionTable };

/** The options of a call by name. */
export interface OptionTable {
  readonly [name: string]: OptionRow;
}

export const isFlag: OptionRow = { takes: (value) => typeof value === 'boolean', expected: 'true or false' };
export const isFunction: OptionRow = { takes: (value) => typeof value === 'function', expected: 'a function' };
export const isObject: OptionRow = { takes: isAnObject, expected: 'an object' };
export const isSignal: OptionRow = {
  takes: (value) => typeof (value as Partial<AbortSignal> | null)?.throwIfAborted === 'function',
  expected: 'an AbortSignal',
};

/** One of some texts. */
export function isOneOf(...values: readonly string[]): OptionRow {
  const shown = values.map((value) => `'${value}'`).join(', ');
  return { takes: (value) => values.includes(value as string), expected: `one of ${shown}` };
}

/** A number from 0 on; NaN, which nothing is more than, is none. */
export function isCount(what: string): OptionRow {
  return { takes: (value) => typeof value === 'number' && value >= 0, expected: `${what}, 0 or more` };
}

function isAnObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null;
}

/**
 * Refuses values that no option takes, and names that none has. What is undefined is not given.
 *
 * @param path - of the object in the options, for nested ones
 * @throws INVALID_ARGUMENT
 */
export function checkOptions(options: object, table: OptionTable, path = ''): void {
  if (!isAnObject(options) || Array.isArray(options))
    throw wrong(path === '' ? 'what is asked for' : path, 'an object of options', options);
  for (const name in options) {
    const found = (options as { readonly [name: string]: unknown })[name];
    if (found === undefined) continue;
    const full = path + name;
    if (!Object.hasOwn(table, name)) {
      // What a prototype has need not be meant for here.
      if (!Object.hasOwn(options, name)) continue;
      const names = Object.keys(table).join(', ');
      throw refused(`no option is called '${full}'; expected one of ${names}`, names, name);
    }
    const row = table[name]!;
    if ('within' in row) {
      if (!isAnObject(found)) throw wrong(full, 'an object of options', found);
      checkOptions(found as object, row.within, `${full}.`);
    } else if (!row.takes(found)) throw wrong(full, row.expected, found);
  }
}

function wrong(name: string, expected: string, found: unknown): MmdError {
  return refused(
    `${name} is ${expected}; found ${typeof found === 'string' ? `'${found}'` : String(found)}`,
    expected,
    found,
  );
}

function refused(message: string, expected: unknown, found: unknown): MmdError {
  return new MmdError('INVALID_ARGUMENT', message, { expected, found });
}
