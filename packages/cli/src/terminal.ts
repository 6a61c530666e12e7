/**
 * Where the command reads and prints. The one place that touches the process's streams, so that
 * tests can drive the real program in a real process and still read this file in a minute.
 *
 * @module
 */

import type { Readable, Writable } from 'node:stream';
import pico from 'picocolors';

/** The process as the commands see it. */
export interface Terminal {
  readonly stdin: Readable & { readonly isTTY?: boolean };
  readonly stdout: Writable & { readonly isTTY?: boolean; readonly columns?: number };
  readonly stderr: Writable & { readonly isTTY?: boolean };
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Aborted by SIGINT and SIGTERM. */
  readonly signal: AbortSignal;
}

/** Colours of standard output: off unless it is a terminal, and off under NO_COLOR. */
export function colorsFor(terminal: Terminal): ReturnType<typeof pico.createColors> {
  const { NO_COLOR, FORCE_COLOR } = terminal.env;
  const wanted = FORCE_COLOR ? FORCE_COLOR !== '0' : terminal.stdout.isTTY === true;
  return pico.createColors(wanted && !NO_COLOR);
}

/** Writes text or bytes to standard output and waits while the reader is slow. */
export async function print(terminal: Terminal, chunk: string | Uint8Array): Promise<void> {
  if (terminal.stdout.write(chunk)) return;
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

/** Writes one JSON document, a line of its own. */
export function printJson(terminal: Terminal, value: unknown): Promise<void> {
  return print(terminal, `${JSON.stringify(value, jsonValue)}\n`);
}

/** Writes a line for people; standard output carries results only, so this goes to standard error. */
export function tell(terminal: Terminal, line: string): void {
  terminal.stderr.write(`${line}\n`);
}

/** What JSON has no form for: big integers become numbers or text, bytes base64, not-a-number text. */
function jsonValue(_key: string, value: unknown): unknown {
  if (typeof value === 'bigint') return Number.isSafeInteger(Number(value)) ? Number(value) : String(value);
  if (typeof value === 'number' && !Number.isFinite(value)) return String(value);
  if (value instanceof Uint8Array)
    return Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('base64');
  if (value instanceof Map) {
    return Object.fromEntries([...value].map(([key, item]) => [typeof key === 'string' ? key : String(key), item]));
  }
  if (value instanceof Set) return [...value];
  if (ArrayBuffer.isView(value)) return Array.from(value as unknown as ArrayLike<unknown>);
  return value;
}
