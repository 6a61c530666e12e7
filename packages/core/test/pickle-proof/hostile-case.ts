/**
 * The shape of a row of the hostile table.
 *
 * @module
 */

import type { ErrorCode } from '../../src/errors.ts';

/** The function that the input is passed to. */
export type Door = 'load' | 'lossless' | 'both' | 'loadEntry' | 'genops' | 'dis' | 'check';

/** One malicious input and the results it may have. */
export interface HostileCase {
  readonly name: string;
  /** Made only when needed: some are megabytes. */
  readonly bytes: () => Uint8Array;
  /** `inert`: data, nothing called. A list: one of these typed errors. Absent: inert data or any typed error. */
  readonly gives?: 'inert' | readonly ErrorCode[];
  /** Default `both`: `load` in plain and in lossless mode; bombs go through one of them. */
  readonly door?: Door;
  /** Text that the rendering of the inert data must contain, to show that nothing was lost. */
  readonly shows?: string;
}

/** The error codes of input that contradicts itself. */
export const BROKEN: readonly ErrorCode[] = ['TRUNCATED', 'CORRUPT', 'BAD_OPCODE', 'NOT_A_PICKLE'];
