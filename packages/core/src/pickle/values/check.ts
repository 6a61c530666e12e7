/**
 * Checks of the arguments of value constructors: a value that Python cannot load would make the whole file unloadable.
 *
 * @module
 */

import { MmdError } from '../../errors.ts';

/**
 * Throws unless an argument is as required.
 * @param what - what it must be, as a sentence: `a buffer must be a Uint8Array`
 * @throws MmdError INVALID_ARGUMENT
 */
export function checkArgument(ok: boolean, what: string, found: unknown): asserts ok {
  if (!ok) throw new MmdError('INVALID_ARGUMENT', `${what}; found ${shown(found)}`, { found });
}

/** A value as shown in a message: its kind, or the value itself if it is short. */
function shown(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.slice(0, 40));
  if (typeof value === 'object' && value !== null) return Array.isArray(value) ? 'an array' : 'an object';
  return typeof value === 'function' ? 'a function' : String(value);
}

/** An integer of any size. */
export function isInteger(value: unknown): value is number | bigint {
  return typeof value === 'bigint' || (typeof value === 'number' && Number.isSafeInteger(value));
}

/** Whether a value can be iterated over. */
export function isIterable(value: unknown): value is Iterable<unknown> {
  return typeof (value as Iterable<unknown> | null | undefined)?.[Symbol.iterator] === 'function';
}
