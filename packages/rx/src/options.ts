/**
 * What options take, as data: given ones that could only be a mistake are refused before anything is done.
 *
 * @module
 */

import { MmdError } from '@mmdpickle/core';

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

const isAnything: OptionRow = { takes: () => true, expected: 'anything' };
const isFlag: OptionRow = { takes: (value) => typeof value === 'boolean', expected: 'true or false' };
const isFunction: OptionRow = { takes: (value) => typeof value === 'function', expected: 'a function' };
const isObject: OptionRow = { takes: isAnObject, expected: 'an object' };
const isText: OptionRow = { takes: (value) => typeof value === 'string', expected: 'a text' };
const isPositive: OptionRow = {
  takes: (value) => typeof value === 'number' && value > 0,
  expected: 'a number above 0',
};
const isWhole: OptionRow = { takes: isCount, expected: 'a whole number from 0 on' };
const isShape: OptionRow = {
  takes: (value) => Array.isArray(value) && value.every(isCount),
  expected: 'a list of whole numbers from 0 on',
};
const isFlagOrFunction: OptionRow = {
  takes: (value) => typeof value === 'boolean' || typeof value === 'function',
  expected: 'true, false or a function',
};
const isScheduler: OptionRow = {
  takes: (value) => has(value, 'schedule', 'function') && has(value, 'now', 'function'),
  expected: 'a scheduler of rxjs',
};

/** Of every operator and sink. */
export const INGEST_OPTIONS: OptionTable = {
  queue: { within: { frames: isPositive, bytes: isPositive } },
  policy: isOneOf('error', 'drop-newest', 'drop-oldest', 'sample', 'block'),
  batch: { within: { frames: isPositive, bytes: isPositive, ms: isPositive } },
  durability: isOneOf('none', 'commit'),
  lockTimeout: isPositive,
  retry: { within: { count: isWhole, delayMs: isPositive, maxDelayMs: isPositive } },
  drainMs: isPositive,
  signal: {
    takes: (value) => has(value, 'aborted', 'boolean') && has(value, 'addEventListener', 'function'),
    expected: 'an AbortSignal',
  },
  statsMs: isPositive,
  scheduler: isScheduler,
};

export const SINK_OPTIONS: OptionTable = { ...INGEST_OPTIONS, receipts: isObject };

export const FRAMES_OPTIONS: OptionTable = {
  key: {
    takes: (value) => typeof value === 'string' || typeof value === 'function',
    expected: 'a prefix or a function',
  },
  meta: isFlagOrFunction,
  shape: isShape,
  firstSeq: isWhole,
  replace: isFlag,
};

const COMPANION_OPTIONS: OptionTable = { time: isFlagOrFunction, seq: isFlag };

export const ROWS_OPTIONS: OptionTable = {
  ...COMPANION_OPTIONS,
  dtype: isAnything,
  rowShape: isShape,
  schema: isObject,
  records: isOneOf('structured', 'columns'),
  masked: isFlag,
  fillValue: isAnything,
  layout: isFunction,
  capacity: isWhole,
  reserve: isFlag,
};

export const FILL_OPTIONS: OptionTable = { ...COMPANION_OPTIONS, mode: isOneOf('plain', 'stop', 'ring') };

export const ROLLING_OPTIONS: OptionTable = {
  frames: isPositive,
  bytes: isPositive,
  ms: isPositive,
  keep: isPositive,
  open: isObject,
};

const LOOK_OPTIONS: OptionTable = { pollMs: isPositive, events: isFlag, scheduler: isScheduler };

export const WATCH_OPTIONS: OptionTable = {
  ...LOOK_OPTIONS,
  from: {
    takes: (value) =>
      value === 'now' ||
      value === 'start' ||
      (typeof value === 'number' && value >= 0) ||
      (has(value, 'live', 'object') && has(value, 'file', 'object') && has(value, 'path', 'string')),
    expected: "'now', 'start', a number of a change or a cursor",
  },
};

export const FOLLOW_OPTIONS: OptionTable = { ...LOOK_OPTIONS, prefix: isText, follow: isFlag };

function isOneOf(...values: readonly string[]): OptionRow {
  const shown = values.map((value) => `'${value}'`).join(', ');
  return { takes: (value) => values.includes(value as string), expected: `one of ${shown}` };
}

function isCount(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function isAnObject(value: unknown): value is { readonly [name: string]: unknown } {
  return typeof value === 'object' && value !== null;
}

/** Whether a value is an object with something of this type under a name. */
export function has(value: unknown, name: string, type: string): boolean {
  return isAnObject(value) && typeof value[name] === type;
}

/**
 * Refuses values that no option takes, and names that none has. What is undefined is not given.
 *
 * @param path - of the object in the options, for nested ones
 * @throws MmdError INVALID_ARGUMENT
 */
export function checkOptions(options: unknown, table: OptionTable, path = ''): void {
  if (!isAnObject(options))
    throw wrong(path === '' ? 'the last argument' : path.slice(0, -1), 'an object of options', options);
  for (const name of Object.keys(options)) {
    const found = options[name];
    if (found === undefined) continue;
    const row = Object.hasOwn(table, name) ? table[name] : undefined;
    if (row === undefined) {
      const names = Object.keys(table).join(', ');
      throw refused(`no option is called '${path}${name}'; expected one of ${names}`, names, name);
    }
    if ('within' in row) checkOptions(found, row.within, `${path}${name}.`);
    else if (!row.takes(found)) throw wrong(path + name, row.expected, found);
  }
}

/** The error for an argument, or an option, that is something else. */
export function wrong(name: string, expected: string, found: unknown): MmdError {
  return refused(
    `${name} is ${expected}; found ${typeof found === 'string' ? `'${found}'` : String(found)}`,
    expected,
    found,
  );
}

function refused(message: string, expected: unknown, found: unknown): MmdError {
  return new MmdError('INVALID_ARGUMENT', message, { expected, found });
}
