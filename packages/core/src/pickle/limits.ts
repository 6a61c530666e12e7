/**
 * Budgets for hostile or unbounded input, as data. The machine never recurses and never allocates what a length field
 * merely claims, so these bound what remains: the work and memory that an input can demand beyond its own size.
 *
 * @module
 */

import { MmdError } from '../errors.ts';

/** The budgets, with defaults and reasons. */
export const LIMITS = {
  opcodes: { value: 1_000_000_000, why: 'an opcode costs at most one input byte, and about 10 ns' },
  memo: { value: 100_000_000, why: 'slots in use; each holds an object alive' },
  stack: { value: 100_000_000, why: 'items; no pickler leaves more than its batch of 1000 and the nesting depth' },
  depth: { value: 500_000, why: 'pending marks when reading, nested values when writing; neither recurses' },
  string: { value: 536_870_888, why: 'bytes of one string: the longest that V8 can hold' },
  integer: { value: 4_194_304, why: 'bytes, or decimal digits, of one integer: half a second to convert' },
  bytes: { value: 17_179_869_184, why: 'bytes that are decoded into new memory, summed up; borrowed views are free' },
  work: {
    value: 128,
    why: 'units that known calls may copy or walk for a byte of input, beyond 16 Mi: only sharing makes it more than a few',
  },
  text: { value: 100_000_000, why: 'characters of a disassembly, which indentation makes quadratic in the marks' },
  keys: { value: 50_000_000, why: 'parts of dict keys and set items that are not plain strings, summed up' },
} as const;

/** The name of a budget. */
export type LimitName = keyof typeof LIMITS;

/** The value of every budget. */
export type LoadLimits = { readonly [N in LimitName]: number };

/** The default budgets, used where no option overrides them. */
export const DEFAULT_LIMITS: LoadLimits = Object.freeze(
  Object.fromEntries(Object.entries(LIMITS).map(([name, { value }]) => [name, value])),
) as LoadLimits;

/** The budgets with the given overrides; `undefined` counts as not given. */
export function limitsWith(given: { readonly [N in LimitName]?: number | undefined }): LoadLimits {
  const limits: { [N in LimitName]: number } = { ...DEFAULT_LIMITS };
  for (const name of Object.keys(LIMITS) as LimitName[]) limits[name] = given[name] ?? DEFAULT_LIMITS[name];
  return limits;
}

/** The error for an exhausted budget. */
export function limitExceeded(limit: LimitName, maximum: number, offset?: number): MmdError {
  return new MmdError('LIMIT_EXCEEDED', `exceeds limits.${limit} (${maximum}); raise it if this is intended`, {
    limit,
    maximum,
    offset,
  });
}
