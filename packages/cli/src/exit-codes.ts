/** What the process's exit code says. Scripts may rely on it. */
export const EXIT_CODES = {
  ok: { code: 0, doc: 'all went well' },
  problems: { code: 1, doc: 'problems were found, frames were dropped, or something failed' },
  usage: { code: 2, doc: 'the command line makes no sense' },
  notFound: { code: 3, doc: 'no such file, key or member' },
  corrupt: { code: 4, doc: 'the input is damaged, or not of the expected format' },
  locked: { code: 5, doc: 'another process holds the lock or the lease' },
  interrupted: { code: 130, doc: 'interrupted (Ctrl-C) before it was done' },
} as const;

export type ExitReason = keyof typeof EXIT_CODES;
