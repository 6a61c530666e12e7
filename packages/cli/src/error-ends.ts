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
  NOT_A_PICKLE: { exit: 'corrupt', advice: "give a file that is a pickle, or 'mmdpickle import' it" },
  NOT_A_DICT: { exit: 'corrupt', advice: "'mmdpickle import' stores such a value under one key" },
  NOT_MMDPICKLE: { exit: 'corrupt', advice: "'mmdpickle convert' makes an mmdpickle file of it" },
  BAD_FORMAT: { exit: 'corrupt', advice: '--format says what a file is when its name does not' },
  TRUNCATED: { exit: 'corrupt', advice: "'mmdpickle fsck' tells what is intact", ofPickles: true },
  CORRUPT: { exit: 'corrupt', advice: "'mmdpickle fsck' tells what is intact", ofPickles: true },
  BAD_OPCODE: { exit: 'corrupt', advice: "'mmdpickle dis' shows it up to there" },
  LOCKED: { exit: 'locked', advice: 'try again when the other one is done' },
  INVALID_ARGUMENT: { exit: 'usage' },
  READ_ONLY: { advice: "the file's permissions, or those of its file system, say who may change it" },
  NO_SPACE: { advice: "free some space; 'mmdpickle vacuum' or 'reclaim' may find some" },
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
