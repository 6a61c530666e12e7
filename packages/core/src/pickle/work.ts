/**
 * The cost of making a value from arguments.
 *
 * @module
 */

import { PyDict } from './values/dict.ts';

/** Texts up to this length are free: picklers share them, and they cost less than the call. */
const SHORT_TEXT = 256;

/**
 * Units for the budget `work`: what a known call may walk or copy of its arguments, one level down. Bytes are not
 * counted, because they are borrowed; code that copies them counts them.
 */
export function weigh(args: readonly unknown[]): number {
  let units = 64 * args.length;
  for (const arg of args) {
    if (typeof arg === 'string') {
      if (arg.length > SHORT_TEXT) units += 2 * arg.length;
    } else if (typeof arg === 'object' && arg !== null) {
      if (Array.isArray(arg)) units += 64 * arg.length;
      else if (arg instanceof PyDict)
        units += 64 * ((2 * PyDict.rowLength(arg) || PyDict.pairs(arg)?.length) ?? arg.size);
      else if (arg instanceof Set) units += 64 * arg.size;
    }
  }
  return units;
}
