/**
 * The allow-list: what makes an object of which global. Nothing else is ever called.
 *
 * @module
 */

import type { Reconstruct } from './builtin.ts';

/** By module, then by name; Maps, so that no name reaches a prototype. */
export const GLOBALS: ReadonlyMap<string, ReadonlyMap<string, Reconstruct>> = new Map();
