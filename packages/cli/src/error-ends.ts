import type { ErrorCode } from '@mmdpickle/core';
import { EXIT_CODES, type ExitReason } from './exit-codes.ts';

interface ErrorRow {
  readonly exit?: ExitReason;
  readonly advice?: string;
  /** The advice only helps with files that are pickles. */
  readonly ofPickles?: true;
}

/** The exit reason for an error code and, if its message does not say, what to do about it. */
const ERRORS: { readonly [code in ErrorCode]?: ErrorRow } = {
  NOT_FOUND: { exit: 'notFound' },
  NOT_A_PICKLE: { exit: 'corrupt', advice: "give a pickle, or import the file with 'mmdpickle import'" },
  NOT_A_DICT: { exit: 'corrupt', advice: "'mmdpickle import' stores such a value under one key" },
  NOT_MMDPICKLE: { exit: 'corrupt', advice: "'mmdpickle convert' makes an mmdpickle file from it" },
  BAD_FORMAT: { exit: 'corrupt', advice: 'use --format if the file name does not show the format' },
  TRUNCATED: { exit: 'corrupt', advice: "'mmdpickle fsck' shows what is intact", ofPickles: true },
  CORRUPT: { exit: 'corrupt', advice: "'mmdpickle fsck' shows what is intact", ofPickles: true },
  BAD_OPCODE: { exit: 'corrupt', advice: "'mmdpickle dis' shows it up to that point" },
  LOCKED: { exit: 'locked', advice: 'try again when the other writer is done' },
  INVALID_ARGUMENT: { exit: 'usage' },
  READ_ONLY: { advice: 'check the permissions of the file and of its file system' },
  NO_SPACE: { advice: "free some space; 'mmdpickle vacuum' or 'reclaim' may help" },
};

/** The exit code for an error code; anything without a code of its own is a problem. */
export function exitCodeOf(code: ErrorCode): number {
  return EXIT_CODES[ERRORS[code]?.exit ?? 'problems'].code;
}

/**
 * What to do about an error, if there is something that always helps.
 * @param isPickle - whether the file that the error is about starts as a pickle
 */
export function adviceFor(code: ErrorCode, isPickle: () => boolean): string | undefined {
  const row = ERRORS[code];
  return row?.ofPickles === true && !isPickle() ? undefined : row?.advice;
}
