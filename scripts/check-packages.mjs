/**
 * Packs every published package as it would be released, and checks with publint and attw that
 * consumers can import it: exports exist, types resolve, no source condition leaks out.
 * Its README must be packed, and link only to files packed with it.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

const PACKAGES = resolve('packages');
const TOOLS = [
  { tool: 'publint', options: ['--strict'] },
  { tool: 'attw', options: ['--profile', 'esm-only'] },
];
const out = mkdtempSync(join(tmpdir(), 'mmdpickle-pack-'));
const failures = [];
try {
  for (const name of readdirSync(PACKAGES)) {
    const directory = join(PACKAGES, name);
    const manifest = JSON.parse(readFileSync(join(directory, 'package.json'), 'utf8'));
    if (manifest.private) continue;
    const before = new Set(readdirSync(out));
    execFileSync('npx', ['--yes', 'pnpm@12.21.0', 'pack', '--pack-destination', out], {
      cwd: directory,
      stdio: 'pipe',
    });
    const tarball = join(
      out,
      readdirSync(out).find((file) => !before.has(file)),
    );
    const dangling = danglingLinks(tarball, directory);
    process.stdout.write(`${dangling.length === 0 ? 'ok  ' : 'FAIL'} ${manifest.name} links of the README\n`);
    if (dangling.length > 0) failures.push(`${manifest.name}: not packed: ${dangling.join(', ')}`);
    for (const { tool, options } of TOOLS) {
      const run = spawnSync('npx', ['--no-install', tool, tarball].concat(options), { encoding: 'utf8' });
      process.stdout.write(`${run.status === 0 ? 'ok  ' : 'FAIL'} ${manifest.name} ${tool}\n`);
      if (run.status !== 0) failures.push(`${manifest.name} ${tool}:\n${run.stdout}${run.stderr}`);
    }
  }
} finally {
  rmSync(out, { recursive: true, force: true });
}
for (const failure of failures) process.stderr.write(`${failure}\n`);
process.exitCode = failures.length > 0 ? 1 : 0;

/** The links in the README to files that are not packed; the README itself if it is not packed. */
function danglingLinks(tarball, directory) {
  const list = execFileSync('tar', ['-tzf', tarball], { encoding: 'utf8' });
  const packed = new Set(list.split('\n').map((path) => path.replace(/^package\//, '')));
  if (!packed.has('README.md')) return ['README.md'];
  const links = [...readFileSync(join(directory, 'README.md'), 'utf8').matchAll(/\]\(([^)]+)\)/g)];
  return links.map(([, target]) => target).filter((target) => !/^https?:|^#/.test(target) && !packed.has(target));
}
