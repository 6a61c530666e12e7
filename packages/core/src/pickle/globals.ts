/**
 * The mapping table, both ways: which globals make which values, and how every class is written.
 *
 * @module
 */

import { Complex } from '../ndarray/complex.ts';
import type { Reconstruct, Reduction } from './builtin.ts';
import { DATETIME_ROWS } from './types/datetime.ts';
import { NUMPY_ROWS } from './types/numpy.ts';
import { PLAIN_ROWS } from './types/plain.ts';
import type { TypeRow } from './types/row.ts';
import { STDLIB_ROWS } from './types/stdlib.ts';
import { DefaultDict, Deque, PyArray } from './values/collections.ts';
import { PyDate, PyDateTime, PyTime, PyTimeDelta, PyTimeZone } from './values/datetime.ts';
import { PyDecimal, PyFraction, PyPath } from './values/numbers.ts';
import { PyRange, PySlice } from './values/scalars.ts';
import type { WriteContext } from './writers.ts';

/** Every Python type that has no opcode of its own. */
export const TYPE_ROWS: readonly TypeRow[] = [...PLAIN_ROWS, ...DATETIME_ROWS, ...STDLIB_ROWS, ...NUMPY_ROWS];

/**
 * The allow-list: by module, then by name, the function that makes an object for a global. Maps, so that no name
 * reaches a prototype. Only what is here, or in the user's `globals`, is ever called.
 */
export const GLOBALS: ReadonlyMap<string, ReadonlyMap<string, Reconstruct>> = (() => {
  const modules = new Map<string, Map<string, Reconstruct>>();
  for (const { globals } of TYPE_ROWS) {
    for (const [key, reconstruct] of Object.entries(globals)) {
      const [module, name] = key.split(' ') as [string, string];
      const names = modules.get(module) ?? new Map<string, Reconstruct>();
      modules.set(module, names.set(name, reconstruct));
    }
  }
  return modules;
})();

/**
 * The allowed classes whose `__new__`, which NEWOBJ calls, makes the same as a call. `__new__` of a set, a deque or a
 * Counter leaves its arguments to `__init__`; whether that of a path does changed in Python 3.12; functions have none.
 */
export const MADE_BY_NEW: ReadonlySet<string> = new Set([
  'builtins bytes',
  'builtins frozenset',
  'builtins range',
  'builtins slice',
  'datetime datetime',
  'datetime date',
  'datetime time',
  'datetime timedelta',
  'datetime timezone',
  'decimal Decimal',
  'fractions Fraction',
  // Without arguments, and with a state that follows.
  'uuid UUID',
  'numpy ndarray',
  'numpy dtype',
  'numpy.ma MaskedArray',
  'numpy.ma.core MaskedArray',
]);

/**
 * The classes without attributes and without a `__setstate__` of their own: a state of None has no effect on their
 * objects.
 */
export const STATELESS: ReadonlySet<unknown> = new Set(
  [
    Complex,
    DefaultDict,
    Deque,
    PyArray,
    PyDate,
    PyDateTime,
    PyDecimal,
    PyFraction,
    PyPath,
    PyRange,
    PySlice,
    PyTime,
    PyTimeDelta,
    PyTimeZone,
  ].map(({ prototype }) => prototype),
);

/** How instances of a class are written, by prototype. */
export const REDUCERS: ReadonlyMap<unknown, (value: object, context: WriteContext) => Reduction> = new Map(
  TYPE_ROWS.flatMap(({ type, reduce }) =>
    type === undefined || reduce === undefined
      ? []
      : [[type.prototype as unknown, reduce as (value: object, context: WriteContext) => Reduction]],
  ),
);
