/**
 * The test command: installs, where it can, programs that tests need (a Python with numpy, a browser, an MQTT
 * broker), builds, runs the suite, and prints the failures and `N passed, N failed, N skipped`. Arguments go to vitest.
 *
 * Failures come from our reporter; a bad exit status is a failure too, because no report is written if vitest itself
 * ends early.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { REPORT } from './summary-reporter.mjs';

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

const built = node(['scripts/build.mjs']);
const status =
  built === 0
    ? node([
        bin('vitest', 'vitest.mjs'),
        'run',
        '--reporter=default',
        '--reporter=./scripts/summary-reporter.mjs',
        ...process.argv.slice(2),
      ])
    : built;

const { counts, failures } = report(status);
const line = `${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`;
const summary = [...failures.map((failure) => `failed: ${failure}`), line].join('\n');
writeFileSync(SUMMARY, `${summary}\n`);
process.stdout.write(`${summary}\n`);
process.exitCode = counts.failed > 0 ? 1 : 0;

/** What the reporter wrote. Every failure counts, including those outside every test and that of the run itself. */
function report(exitStatus) {
  const { counts, failures } = existsSync(REPORT)
    ? JSON.parse(readFileSync(REPORT, 'utf8'))
    : { counts: { passed: 0, skipped: 0 }, failures: [] };
  if (failures.length === 0 && (exitStatus !== 0 || counts.passed === 0))
    failures.push(`the run ended with status ${exitStatus}, of which its report says nothing`);
  return { counts: { ...counts, failed: failures.length }, failures };
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
