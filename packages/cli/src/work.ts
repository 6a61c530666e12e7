/**
 * Work that blocks its thread until it is done: copies from file to file, in one commit. Signals are only handled between turns
 * of the event loop, so large files are processed in a thread of their own, which checks a flag.
 *
 * @module
 */

import { statSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { isMmdError, MmdError, type ProgressOptions } from '@mmdpickle/core';
import type { Invocation } from './command.ts';
import type { Progress, ProgressBar } from './progress.ts';
import type { TASKS } from './tasks.ts';

/** Smaller files are copied in the time that a thread takes to start. */
const WORTH_A_THREAD = 2 ** 23;

export type TaskName = keyof typeof TASKS;
type Given<K extends TaskName> = Parameters<(typeof TASKS)[K]>[0];
type Result<K extends TaskName> = Awaited<ReturnType<(typeof TASKS)[K]>>;

/** The input of the thread. */
export interface TaskData {
  readonly name: TaskName;
  /** The argument of the task: plain data. */
  readonly given: unknown;
  /** One byte, nonzero if the task is to stop. */
  readonly stop: SharedArrayBuffer;
}

/** The messages of the thread: its progress, and at last its result or error. */
export type Said = { readonly progress: Progress } | { readonly result: unknown } | { readonly error: ThreadError };

/** An error as plain data: class and fields of an error are lost between threads. */
export interface ThreadError {
  readonly message: string;
  readonly stack: string | undefined;
  readonly fields: Readonly<Record<string, unknown>>;
}

/** Options of {@link work}. */
export interface TaskOptions {
  readonly bar: ProgressBar;
  /** Stops the task, as the terminal's signal does. */
  readonly signal?: AbortSignal;
}

/**
 * Runs a task, in a thread of its own if the file that it reads is large.
 * @throws what the task throws, or the reason of the signal that stopped it
 */
export async function work<K extends TaskName>(
  { terminal }: Invocation,
  name: K,
  given: Given<K> & { readonly path: string },
  { bar, signal }: TaskOptions,
): Promise<Result<K>> {
  const size = statSync(given.path, { throwIfNoEntry: false })?.size ?? 0;
  if (terminal.thread === undefined || size < WORTH_A_THREAD) {
    const { TASKS: tasks } = await import('./tasks.ts');
    const task = tasks[name] as (given: Given<K>, options: ProgressOptions) => Result<K> | Promise<Result<K>>;
    return task(given, { onProgress: bar.update, ...(signal && { signal }) });
  }
  const stop = AbortSignal.any([terminal.signal, ...(signal === undefined ? [] : [signal])]);
  return (await inThread(terminal.thread, name, given, stop, bar)) as Result<K>;
}

async function inThread(
  module: URL,
  name: TaskName,
  given: unknown,
  signal: AbortSignal,
  bar: ProgressBar,
): Promise<unknown> {
  const data: TaskData = { name, given, stop: new SharedArrayBuffer(1) };
  const flag = new Uint8Array(data.stop);
  const onAbort = (): void => void Atomics.store(flag, 0, 1);
  signal.addEventListener('abort', onAbort);
  if (signal.aborted) onAbort();
  const thread = new Worker(module, { workerData: data });
  try {
    return await new Promise((resolve, reject) => {
      thread.on('message', (said: Said) => {
        if ('progress' in said) bar.update(said.progress);
        else if ('result' in said) resolve(said.result);
        // The signal's reason says more than that the task was stopped.
        else reject(signal.aborted && said.error.fields.name === STOPPED ? signal.reason : errorOf(said.error));
      });
      thread.once('error', reject);
      thread.once('exit', () => reject(new Error('the thread ended without a result')));
    });
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

/** The name of the error that a stopped task throws. */
export const STOPPED = 'Stopped';

/** Makes plain data of an error, for {@link errorOf}. */
export function plainError(thrown: unknown): ThreadError {
  if (!(thrown instanceof Error)) return { message: String(thrown), stack: undefined, fields: {} };
  const { message, stack, name } = thrown;
  const { path, key, offset, errno, code, pid, syscall } = thrown as Partial<MmdError> & NodeJS.ErrnoException;
  return { message, stack, fields: { name, code, path, key, offset, errno, pid, syscall } };
}

function errorOf({ message, stack, fields }: ThreadError): Error {
  const plain = Object.assign(new Error(message), fields);
  const error = isMmdError(plain) ? new MmdError(plain.code, message, plain) : plain;
  if (stack !== undefined) error.stack = stack;
  return error;
}
