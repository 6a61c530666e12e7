/**
 * The test command: makes sure the judges are there (a Python with numpy, a browser), builds, runs the
 * suite, and prints `N passed, N failed, N skipped`. Arguments go to vitest.
 *
 * The count comes from vitest's JSON report; the exit status wins over it, because the report alone says
 * success after an unhandled rejection or a crashed worker.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const REPORT = '.reports/vitest.json';
const SUMMARY = '.reports/summary.txt';
const JUDGES = [
  { what: 'numpy 1.x', needs: 'python3-numpy', there: () => runs('/usr/bin/python3', ['-c', 'import numpy']) },
  { what: 'a browser', needs: 'chromium fonts-dejavu-core', there: () => existsSync('/usr/bin/chromium') },
  { what: 'an MQTT broker', needs: 'mosquitto', there: () => existsSync('/usr/sbin/mosquitto') },
];

const root = process.getuid?.() === 0 && runs('apt-get', ['--version']);
for (const { what, needs, there } of JUDGES) {
  if (there()) continue;
  if (root) installPackages(needs.split(' '));
  if (!there())
    process.stderr.write(`test: ${what} is not on this machine (Debian package ${needs}); its cases are skipped\n`);
}

rmSync('.reports', { recursive: true, force: true });
mkdirSync('.reports', { recursive: true });
const require = createRequire(import.meta.url);
const bin = (name, path) => new URL(path, `file://${require.resolve(`${name}/package.json`)}`).pathname;

const built = node([bin('typescript', 'bin/tsc'), '-b']);
const status =
  built === 0
    ? node([
        bin('vitest', 'vitest.mjs'),
        'run',
        '--reporter=default',
        '--reporter=json',
        `--outputFile.json=${REPORT}`,
        ...process.argv.slice(2),
      ])
    : built;

const counts = count(status);
const line = `${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`;
writeFileSync(SUMMARY, `${line}\n`);
process.stdout.write(`${line}\n`);
process.exitCode = counts.failed > 0 ? 1 : 0;

/** Counts each test once; one that never ended, and a run that failed for another reason, are failures. */
function count(exitStatus) {
  const counts = { passed: 0, failed: 0, skipped: 0 };
  if (existsSync(REPORT)) {
    for (const file of JSON.parse(readFileSync(REPORT, 'utf8')).testResults) {
      for (const { status } of file.assertionResults) {
        if (status === 'passed') counts.passed += 1;
        else if (status === 'skipped' || status === 'todo' || status === 'disabled') counts.skipped += 1;
        else counts.failed += 1;
      }
    }
  }
  if (exitStatus !== 0 && counts.failed === 0) counts.failed = 1;
  if (counts.passed === 0 && counts.failed === 0) counts.failed = 1;
  return counts;
}

function node(args) {
  return spawnSync(process.execPath, args, { stdio: 'inherit' }).status ?? 1;
}

function runs(command, args) {
  return spawnSync(command, args, { stdio: 'ignore' }).status === 0;
}

function installPackages(names) {
  const install = ['install', '-y', '-qq', '--no-install-recommends', ...names];
  if (runs('apt-get', install)) return;
  runs('apt-get', ['update', '-qq']);
  runs('apt-get', install);
}
