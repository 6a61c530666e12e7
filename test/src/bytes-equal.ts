/**
 * Set up for every test file: arrays of bytes are compared as a whole. Vitest goes through them by their keys, at a
 * microsecond a byte.
 *
 * @module
 */

import { expect } from 'vitest';

expect.addEqualityTesters([
  (one: unknown, other: unknown): boolean | undefined => {
    if (!(one instanceof Uint8Array && other instanceof Uint8Array)) return undefined;
    // What else differs, such as a Buffer from its parent, is left to the matcher.
    if (one.constructor !== other.constructor) return undefined;
    return Buffer.compare(one, other) === 0;
  },
]);
