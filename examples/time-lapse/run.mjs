// Runs the capture and the viewer as two processes.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const [path = 'lapse.mmdpickle', frames = '30'] = process.argv.slice(2);
const start = (script, ...args) =>
  spawn(process.execPath, [fileURLToPath(new URL(script, import.meta.url)), ...args], { stdio: 'inherit' });

const capture = start('capture.mjs', path);
while (!existsSync(path)) await new Promise((resolve) => setTimeout(resolve, 10));
start('viewer.mjs', path, '--frames', frames);
const [code] = await once(capture, 'exit');
process.exitCode = code ?? 1;
