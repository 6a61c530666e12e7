// pnpm bench: compiles what changed, then runs the benchmark from dist, as users run the packages.
import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const bench = join(dirname(fileURLToPath(import.meta.url)), '..');
const args = process.argv.slice(2);
const root = createRequire(join(bench, '..', 'package.json'));
const tsc = join(dirname(root.resolve('typescript/package.json')), 'bin', 'tsc');

if (args.includes('--build-peers')) {
  // Not part of `pnpm install`: users of mmdpickle should not have to compile SQLite.
  const peer = dirname(createRequire(join(bench, 'package.json')).resolve('better-sqlite3/package.json'));
  process.exit(run('npx', ['--yes', 'node-gyp', 'rebuild', '--release'], peer));
}
if (!args.includes('--no-build')) {
  const status = run(process.execPath, [tsc, '-b', bench], bench);
  if (status !== 0) process.exit(status);
}
process.exit(
  run(process.execPath, [
    join(bench, 'dist', 'bench', 'src', 'main.js'),
    ...args.filter((arg) => arg !== '--no-build'),
  ]),
);

function run(command, argv, cwd = process.cwd()) {
  const { status, error } = spawnSync(command, argv, { cwd, stdio: 'inherit' });
  if (error) throw error;
  return status ?? 1;
}
