/** The thread of {@link work}: runs one task and ends. @module */

import { parentPort, workerData } from 'node:worker_threads';
import type { ProgressOptions } from '@mmdpickle/core';
import type { Progress } from './progress.ts';
import { TASKS } from './tasks.ts';
import { plainError, type Said, STOPPED, type TaskData } from './work.ts';

/** Progress reports are drawn: more frequent ones would not be seen. */
const TELL_MS = 50;

const { name, given, stop } = workerData as TaskData;
const flag = new Uint8Array(stop);
const say = (said: Said): void => parentPort?.postMessage(said);

/** Checks the flag: a busy thread receives no events. */
class FlagSignal extends EventTarget {
  get aborted(): boolean {
    return Atomics.load(flag, 0) !== 0;
  }

  throwIfAborted(): void {
    if (this.aborted) throw Object.assign(new Error('stopped'), { name: STOPPED });
  }
}

let told = performance.now();
function onProgress(progress: Progress): void {
  if (performance.now() - told < TELL_MS) return;
  told = performance.now();
  say({ progress });
}

try {
  const task = TASKS[name] as (given: unknown, options: ProgressOptions) => unknown;
  say({ result: await task(given, { signal: new FlagSignal() as unknown as AbortSignal, onProgress }) });
} catch (error) {
  say({ error: plainError(error) });
}
