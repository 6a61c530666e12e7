import type { ErrorCode } from '@mmdpickle/core';

/** What the process's exit code says. Scripts may rely on it. */
export const EXIT_CODES = {
  ok: { code: 0, doc: 'all went well' },
  problems: { code: 1, doc: 'problems were found, frames were dropped, or something failed' },
  usage: { code: 2, doc: 'the command line makes no sense' },
  notFound: { code: 3, doc: 'no such file, key or member' },
  corrupt: { code: 4, doc: 'the input is damaged, or not of the expected format' },
  locked: { code: 5, doc: 'another process holds the lock or the lease' },
} as const;

export type ExitReason = keyof typeof EXIT_CODES;

const REASONS: { readonly [code in ErrorCode]?: ExitReason } = {
  NOT_FOUND: 'notFound',
  NOT_A_PICKLE: 'corrupt',
  NOT_A_DICT: 'corrupt',
  NOT_MMDPICKLE: 'corrupt',
  BAD_FORMAT: 'corrupt',
  TRUNCATED: 'corrupt',
  CORRUPT: 'corrupt',
  BAD_OPCODE: 'corrupt',
  LOCKED: 'locked',
  INVALID_ARGUMENT: 'usage',
};

/** The exit code for an error code; anything without a code of its own is a problem. */
export function exitCodeOf(code: ErrorCode): number {
  return EXIT_CODES[REASONS[code] ?? 'problems'].code;
}
