/**
 * Why a stream of frames ends with an error, in words.
 *
 * @module
 */

import { type ErrorFields, isMmdError, MmdError } from '@mmdpickle/core';
import type { BoundedQueue } from './bounded-queue.ts';
import type { Pending } from './target.ts';

/** Errors that one frame alone would meet too. A disk without room for a batch may have room for its first frames. */
export function isHopeless(error: unknown): boolean {
  return ['LOCKED', 'IO', 'CLOSED', 'READ_ONLY'].some((code) => isMmdError(error, code as 'IO'));
}

/** Of a source that fails with nothing, as a promise that is rejected so: to the engine that would be no error. */
export function sourceFailed(): MmdError {
  return new MmdError('IO', 'the source failed, and did not say why');
}

/** The same of a frame whose getters throw nothing, and of a reader of receipts. */
export function failedSilently(): MmdError {
  return new MmdError('INVALID_ARGUMENT', 'a frame, or the reader of a receipt, threw and did not say why');
}

/** Why frames could not be written, of a stream that had failed before. */
export function lostAfter(failed: unknown, lost: unknown): unknown {
  const message = `${lost instanceof Error ? lost.message : textOf(lost)}; before that the stream had failed: ${textOf(failed)}`;
  const cause = new AggregateError([failed, lost], message);
  if (!isMmdError(lost)) return cause;
  const fields: ErrorFields = lost;
  return new MmdError(lost.code, message, { ...fields, cause });
}

/** Not of objects that are no errors: what makes text of them is theirs, and may throw. */
const textOf = (thrown: unknown): string =>
  thrown instanceof Error || Object(thrown) !== thrown ? String(thrown) : typeof thrown;

/** Of a frame that there is no room for. */
export function overflow(bytes: number, queue: BoundedQueue<Pending<unknown>>): MmdError {
  return new MmdError(
    'LIMIT_EXCEEDED',
    `a frame of ${bytes} bytes came while ${queue.frames} frames of ${queue.bytes} bytes waited for the file`,
    { limit: 'queue', maximum: queue.maxBytes, found: bytes },
  );
}
