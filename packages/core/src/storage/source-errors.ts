/**
 * Errors shared by all byte sources.
 *
 * @module
 */

import { MmdError } from '../errors.ts';

/** TRUNCATED: the range reaches past the end. */
export function endsBefore(name: string, offset: number, length: number, size: number): MmdError {
  return new MmdError('TRUNCATED', `${name}: bytes ${offset} to ${offset + length} reach past the end at ${size}`, {
    path: name,
    offset,
    expected: length,
    found: Math.max(0, size - offset),
  });
}
