/**
 * Setup for every test file: byte arrays are compared as a whole. Vitest would compare them key by key, at a microsecond
 * per byte.
 *
 * @module
 */

import { expect } from 'vitest';

expect.addEqualityTesters([
  (one: unknown, other: unknown): boolean | undefined => {
    if (!(one instanceof Uint8Array && other instanceof Uint8Array)) return undefined;
    // Different classes, such as a Buffer and a Uint8Array, are left to the matcher.
    if (one.constructor !== other.constructor) return undefined;
    return Buffer.compare(one, other) === 0;
  },
]);
