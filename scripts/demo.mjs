/** The demo command: builds if needed, then runs the capture. Arguments: --seconds, --hz, --out. */
import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

const tsc = fileURLToPath(
  new URL('bin/tsc', `file://${createRequire(import.meta.url).resolve('typescript/package.json')}`),
);
const run = (args) => spawnSync(process.execPath, args, { stdio: 'inherit' }).status ?? 1;

// Ctrl-C is handled by the capture, which drains and seals; this process waits for it.
process.on('SIGINT', () => {});
process.exitCode = run([tsc, '-b', 'demo']) || run(['demo/dist/main.js', ...process.argv.slice(2)]);
