/**
 * How stand-ins are written, by prototype.
 *
 * @module
 */

import type { Reduction } from './builtin.ts';
import type { WriteContext } from './writers.ts';

/** Gives the call that makes a value. */
export type Reduce = (value: object, context: WriteContext) => Reduction | undefined;

/** The writers by prototype. */
export const TYPES: ReadonlyMap<unknown, Reduce> = new Map();
