/**
 * The errors that end a stream of frames.
 *
 * @module
 */

import { type ErrorFields, isMmdError, MmdError } from '@mmdpickle/core';
import type { BoundedQueue } from './bounded-queue.ts';
import type { Pending } from './target.ts';

/** Whether writing one frame alone would fail too. NO_SPACE is not hopeless: a batch's first frames may still fit. */
export function isHopeless(error: unknown): boolean {
  return ['LOCKED', 'IO', 'CLOSED', 'READ_ONLY'].some((code) => isMmdError(error, code as 'IO'));
}

/** The error of a source that fails with `undefined` or `null`, which the engine would not take for an error. */
export function sourceFailed(): MmdError {
  return new MmdError('IO', 'the source failed with undefined or null');
}

/** The same for a frame whose getters throw `undefined` or `null`, or a reader of receipts that does. */
export function failedSilently(): MmdError {
  return new MmdError('INVALID_ARGUMENT', 'a frame, or the reader of a receipt, threw undefined or null');
}

/** The error for frames that could not be written (`lost`) after the stream had already failed (`failed`). */
export function lostAfter(failed: unknown, lost: unknown): unknown {
  const message = `${lost instanceof Error ? lost.message : textOf(lost)}; before that the stream had failed: ${textOf(failed)}`;
  const cause = new AggregateError([failed, lost], message);
  if (!isMmdError(lost)) return cause;
  const fields: ErrorFields = lost;
  return new MmdError(lost.code, message, { ...fields, cause });
}

/** Text of a thrown value. Of an object that is no Error only the type: its own conversion to text may throw. */
const textOf = (thrown: unknown): string =>
  thrown instanceof Error || Object(thrown) !== thrown ? String(thrown) : typeof thrown;

/** The error for a frame that the queue has no room for. */
export function overflow(bytes: number, queue: BoundedQueue<Pending<unknown>>): MmdError {
  return new MmdError(
    'LIMIT_EXCEEDED',
    `the queue has no room for a frame of ${bytes} bytes: ${queue.frames} frames of ${queue.bytes} bytes are waiting for the file`,
    { limit: 'queue', maximum: queue.maxBytes, found: bytes },
  );
}
