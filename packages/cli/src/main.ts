#!/usr/bin/env node
import { createReadStream, fstatSync } from 'node:fs';
import process from 'node:process';
import { EXIT_CODES, STOPS, Stopped } from './exit-codes.ts';
import { run } from './index.ts';
import type { Terminal } from './terminal.ts';

let abort: AbortController | undefined;

/** Aborted by SIGINT, SIGTERM and SIGHUP (the terminal was closed) once a command has asked for it; until then they kill the process. */
function stopSignal(): AbortSignal {
  if (abort !== undefined) return abort.signal;
  const controller = new AbortController();
  abort = controller;
  for (const name of Object.keys(STOPS) as (keyof typeof STOPS)[]) {
    process.on(name, () => {
      const reason = new Stopped(name);
      // A second signal exits at once: what is still being drained is left to the repair by the next process that opens the file.
      if (controller.signal.aborted) process.exit(reason.exitCode);
      controller.abort(reason);
    });
  }
  return controller.signal;
}

process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  // `| head` closes the pipe while we print: that is not an error.
  if (error.code === 'EPIPE') process.exit(EXIT_CODES.ok.code);
  process.stderr.write(`mmdpickle: writing to standard output: ${error.code ?? error.message}\n`);
  process.exit(EXIT_CODES.problems.code);
});
// Nobody reads standard error any more: the work continues.
process.stderr.on('error', () => {});

const { stdout, stderr, env, argv } = process;
const terminal: Terminal = {
  get stdin() {
    // Node would treat a directory as an empty file.
    return fstatSync(0, { bigint: true }).isDirectory() ? createReadStream('-', { fd: 0 }) : process.stdin;
  },
  stdout,
  stderr,
  env,
  get signal() {
    return stopSignal();
  },
  // In the same directory as this file once both are built.
  thread: new URL('./work-thread.js', import.meta.url),
};
process.exitCode = await run(argv.slice(2), terminal);
