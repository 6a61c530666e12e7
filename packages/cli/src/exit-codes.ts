/** The exit codes of the process. Scripts may rely on them. */
export const EXIT_CODES = {
  ok: { code: 0, doc: 'all went well' },
  problems: { code: 1, doc: 'problems were found, frames were dropped, or something failed' },
  usage: { code: 2, doc: 'the command line is invalid' },
  notFound: { code: 3, doc: 'no such file, key or member' },
  corrupt: { code: 4, doc: 'the input is damaged, or not of the expected format' },
  locked: { code: 5, doc: 'another process holds the lock or the lease' },
  hungUp: { code: 129, doc: 'ended by SIGHUP (the terminal was closed) before it finished' },
  interrupted: { code: 130, doc: 'interrupted (Ctrl-C, SIGINT) before it finished' },
  terminated: { code: 143, doc: 'ended by SIGTERM before it finished' },
} as const;

export type ExitReason = keyof typeof EXIT_CODES;

/** The signals that end a command, and their exit reasons; the exit code is 128 plus the signal's number, as in shells. */
export const STOPS = { SIGINT: 'interrupted', SIGTERM: 'terminated', SIGHUP: 'hungUp' } as const;

/** Why a command was stopped: the reason of its AbortSignal. */
export class Stopped extends Error {
  readonly exitCode: number;

  constructor(by: keyof typeof STOPS) {
    super(`stopped by ${by}`);
    this.exitCode = EXIT_CODES[STOPS[by]].code;
  }
}
