/**
 * Where the commands read and print; only `main.ts` touches the process's streams.
 *
 * @module
 */

import type { Readable, Writable } from 'node:stream';
import pico from 'picocolors';
import { jsonText } from './json.ts';
import { encoded, printable } from './text.ts';

/** The process as the commands see it. */
export interface Terminal {
  readonly stdin: Readable & { readonly isTTY?: boolean };
  readonly stdout: Writable & { readonly isTTY?: boolean; readonly columns?: number };
  readonly stderr: Writable & { readonly isTTY?: boolean };
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Aborted by SIGINT, SIGTERM and SIGHUP. Reading this property takes over these signals: do so only in code that can stop. */
  readonly signal: AbortSignal;
  /** The module of a thread for blocking work, during which signals are still handled; without it, they are not. See `work.ts`. */
  readonly thread?: URL;
}

/** Colours of standard output: off unless it is a terminal, and off under NO_COLOR. */
export function colorsFor(terminal: Terminal): ReturnType<typeof pico.createColors> {
  const { NO_COLOR, FORCE_COLOR } = terminal.env;
  const wanted = FORCE_COLOR ? FORCE_COLOR !== '0' : terminal.stdout.isTTY === true;
  return pico.createColors(wanted && !NO_COLOR);
}

/**
 * Writes text or bytes to standard output and waits while the reader is slow.
 *
 * @throws MmdError UNSUPPORTED_VALUE for text that {@link encoded} refuses
 */
export async function print(terminal: Terminal, chunk: string | Uint8Array): Promise<void> {
  if (terminal.stdout.write(encoded(chunk))) return;
  await new Promise<void>((resolve, reject) => {
    const done = (settle: () => void) => () => {
      terminal.stdout.off('drain', drained).off('error', failed).off('close', drained);
      settle();
    };
    const drained = done(resolve);
    const failed = (error: Error): void => done(() => reject(error))();
    terminal.stdout.once('drain', drained).once('error', failed).once('close', drained);
  });
}

/** Writes a line of CSV: unchanged to files and pipes; on a terminal, characters that would control it are spelled out. */
export function printRow(terminal: Terminal, line: string): Promise<void> {
  return print(terminal, terminal.stdout.isTTY === true ? `${printable(line.replace(/\n$/, ''))}\n` : line);
}

/** Writes one JSON document on a line of its own. */
export function printJson(terminal: Terminal, value: unknown): Promise<void> {
  return print(terminal, `${jsonText(value)}\n`);
}

/** Writes lines for people; standard output carries results only, so this goes to standard error. */
export function tell(terminal: Terminal, lines: string): void {
  terminal.stderr.write(`${lines.split('\n').map(printable).join('\n')}\n`);
}

/** Where {@link tellNote} prints, and in which form. */
export interface Noted {
  readonly terminal: Terminal;
  readonly json: boolean;
}

/** Prints a note beside the result, such as what was left out; as JSON for scripts. */
export function tellNote({ terminal, json }: Noted, note: string): void {
  tell(terminal, json ? jsonText({ note }) : note);
}
