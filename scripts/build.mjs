/**
 * The build command: tsc compiles the libraries to one file per module, as bundlers of users expect; rolldown
 * bundles the `mmdpickle` command from its own sources and theirs. Node takes half a millisecond for each file it imports,
 * so that a command of 200 modules took as long to start as to do its work. Arguments go to `tsc -b`.
 */
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { createRequire, isBuiltin } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { rolldown } from 'rolldown';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const COMMAND = join(ROOT, 'packages/cli');

const tsc = join(dirname(createRequire(import.meta.url).resolve('typescript/package.json')), 'bin/tsc');
const { status } = spawnSync(process.execPath, [tsc, '-b', ...process.argv.slice(2)], { stdio: 'inherit', cwd: ROOT });
if (status === 0) await buildCommand();
process.exitCode = status ?? 1;

async function buildCommand() {
  const { dependencies } = JSON.parse(readFileSync(join(COMMAND, 'package.json'), 'utf8'));
  const build = await rolldown({
    input: ['index', 'main', 'work-thread'].map((name) => join(COMMAND, `src/${name}.ts`)),
    external: (id) => isBuiltin(id) || Object.keys(dependencies).some((name) => `${id}/`.startsWith(`${name}/`)),
    platform: 'node',
    tsconfig: false,
    transform: { target: 'es2022' },
    resolve: { conditionNames: ['@mmdpickle/source', 'node', 'import'] },
    // An import that is neither bundled nor a dependency would fail only for users who install the package.
    onLog(level, log, handler) {
      handler(level === 'warn' ? 'error' : level, log);
    },
  });
  const dist = join(COMMAND, 'dist');
  // Keep the types, but remove old chunks, which would be packed too.
  for (const file of readdirSync(dist)) if (/\.js(\.map)?$/.test(file)) rmSync(join(dist, file));
  await build.write({
    dir: dist,
    cleanDir: false,
    format: 'esm',
    sourcemap: true,
    // In the folder of the entries: package.json is then one folder up.
    chunkFileNames: 'chunk-[name].js',
  });
  await build.close();
}
