#!/usr/bin/env node
import process from 'node:process';
import { run } from './index.ts';

const abort = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    // The second one means it: whatever is being drained is left to the next opener's repair.
    if (abort.signal.aborted) process.exit(130);
    abort.abort(new Error(`stopped by ${signal}`));
  });
}
// `| head` closes the pipe while we print: that is no fault of anybody.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
  throw error;
});

process.exitCode = await run(process.argv.slice(2), {
  stdin: process.stdin,
  stdout: process.stdout,
  stderr: process.stderr,
  env: process.env,
  signal: abort.signal,
});
