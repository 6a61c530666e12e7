import { closeSync, openSync, readSync, statSync } from 'node:fs';
import { getSystemErrorMap } from 'node:util';
import { isMmdError, MmdError } from '@mmdpickle/core';
import { OPCODES } from '@mmdpickle/core/pickle';
import { adviceFor, exitCodeOf } from './error-ends.ts';
import { EXIT_CODES, Stopped } from './exit-codes.ts';
import { jsonText } from './json.ts';
import { type Terminal, tell } from './terminal.ts';
import { printable } from './text.ts';

/** The error for an invalid command line: exit code 2. */
export function usageError(message: string, found?: unknown): MmdError {
  return new MmdError('INVALID_ARGUMENT', message, { found });
}

/** The error for a key that is not in the file: exit code 3. */
export function keyNotFound(path: string, key: string): MmdError {
  return new MmdError('NOT_FOUND', `no key ${JSON.stringify(key)} in ${path}; 'mmdpickle ls' lists the keys`, {
    path,
    key,
  });
}

/** How an error is reported. */
export interface ReportOptions {
  /** As JSON, for scripts. */
  readonly json: boolean;
  /** With the stack. */
  readonly debug: boolean;
}

/** Reports an error in one line: what, where, and what to do; the stack only on request. Returns the exit code. */
export function reportError(thrown: unknown, terminal: Terminal, { json, debug }: ReportOptions): number {
  const error = asMmdError(thrown);
  const message = inWords(error);
  if (json) {
    const { code, path, key, offset, errno } = error as Partial<MmdError>;
    tell(terminal, jsonText({ error: { code: code ?? 'FAILED', message, path, key, offset, errno } }));
  } else tell(terminal, `mmdpickle: ${printable(message)}${isMmdError(error) ? circumstances(error) : ''}`);
  if (debug) tell(terminal, stackOf(error));
  const { aborted, reason } = terminal.signal;
  if (aborted) return reason instanceof Stopped ? reason.exitCode : EXIT_CODES.interrupted.code;
  return isMmdError(error) ? exitCodeOf(error.code) : EXIT_CODES.problems.code;
}

function circumstances({ code, path, offset, message }: MmdError): string {
  const where = path !== undefined && !message.includes(path) ? ` in ${printable(path)}` : '';
  // If a file is not a pickle at all, the offset says nothing.
  const at =
    offset !== undefined && code !== 'NOT_A_PICKLE' && !message.includes(String(offset)) ? ` at offset ${offset}` : '';
  const own = OWN_ADVICE.find(([words]) => message.includes(words));
  const advice = own === undefined ? adviceFor(code, () => path !== undefined && startsAsPickle(path)) : own[1];
  return `${where}${at} [${code}]${advice === undefined ? '' : `; ${advice}`}`;
}

/** Whether a file starts like a pickle. False for other formats and for standard input, on which fsck is of no use. */
function startsAsPickle(path: string): boolean {
  try {
    if (!statSync(path, { bigint: true }).isFile()) return false;
    const fd = openSync(path, 'r');
    try {
      const first = new Uint8Array(1);
      return readSync(fd, first) === 1 && first[0] === OPCODES.PROTO.code;
    } finally {
      closeSync(fd);
    }
  } catch {
    // The advice is only a hint: the error itself is reported anyway.
    return false;
  }
}

function stackOf(error: Error): string {
  const cause = error.cause instanceof Error ? `\ncaused by ${stackOf(error.cause)}` : '';
  return `${error.stack ?? ''}${cause}`;
}

/** Phrases in the library's messages, and what to say instead. */
const ENCODING_WORDS = [
  "load with encoding 'latin1', 'utf-8' or 'bytes'",
  'use --encoding latin1, utf-8 or bytes',
] as const;
const WORDS = [
  ['with { allowPickle: true }', 'with --allow-pickle'],
  ENCODING_WORDS,
  ['; use convert(src, dst) to make it one, or openPickle(path) to read it', ''],
  ['npyToMmd of @mmdpickle/npy-interop', "'mmdpickle import'"],
  ['npzToMmd of @mmdpickle/npy-interop', "'mmdpickle import'"],
] as const;

/** Advice by message, where the code alone is not enough; undefined if the message itself says what to do. */
const OWN_ADVICE: ReadonlyArray<readonly [words: string, advice: string | undefined]> = [
  [ENCODING_WORDS[0], undefined],
  ['not a pickle, but', undefined],
  ['a key that is not a string', "'mmdpickle put FILE KEY @PICKLE --type pickle' stores it as one value"],
];

/** The message in terms of the command line; if it ends with an errno name, with its meaning. */
function inWords(error: Error): string {
  const { errno } = error as Partial<MmdError>;
  const message = WORDS.reduce((text, [ours, typed]) => text.replace(ours, typed), error.message);
  if (errno === undefined || !message.endsWith(errno)) return message;
  for (const [name, text] of getSystemErrorMap().values()) if (name === errno) return `${message} (${text})`;
  return message;
}

/** Converts errors of Node's own calls to MmdErrors, so that they have the same form and exit codes. */
function asMmdError(error: unknown): Error {
  if (!(error instanceof Error)) return new Error(String(error));
  // A `using` declaration whose dict could not be closed, either, wraps the two: what failed first is what to report.
  if (error.name === 'SuppressedError') return asMmdError((error as SuppressedError).suppressed);
  // Node's streams wrap the signal's reason in an error of their own.
  if (error.name === 'AbortError' && error.cause instanceof Error) return error.cause;
  const { code, errno, path } = error as NodeJS.ErrnoException;
  const known = errno === undefined ? undefined : getSystemErrorMap().get(errno);
  if (isMmdError(error) || code === undefined || known === undefined) return error;
  const message = path === undefined ? known[1] : `${path}: ${known[1]}`;
  return new MmdError(code === 'ENOENT' ? 'NOT_FOUND' : code === 'ENOSPC' ? 'NO_SPACE' : 'IO', message, {
    path,
    errno: code,
    cause: error,
  });
}
