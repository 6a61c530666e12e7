/**
 * The shape of a row of the hostile table.
 *
 * @module
 */

import type { ErrorCode } from '../../src/errors.ts';

/** Through which function the input goes. */
export type Door = 'load' | 'lossless' | 'both' | 'loadEntry' | 'genops' | 'dis' | 'check';

/** One malicious input and what it may give. */
export interface HostileCase {
  readonly name: string;
  /** Made when it is needed: some are megabytes. */
  readonly bytes: () => Uint8Array;
  /** `inert`: data, nothing called. A list: one of these typed errors. Absent: inert data or any typed error. */
  readonly gives?: 'inert' | readonly ErrorCode[];
  /** Default `both`: `load` in plain and in lossless mode; bombs go through one of them. */
  readonly door?: Door;
  /** A text that the rendering of the inert data holds, so that nothing of it got lost. */
  readonly shows?: string;
}

/** The error codes of input that contradicts itself. */
export const BROKEN: readonly ErrorCode[] = ['TRUNCATED', 'CORRUPT', 'BAD_OPCODE', 'NOT_A_PICKLE'];
