/**
 * The runtimes command: `node scripts/runtimes.mjs`, after a build. Tests the library on Bun and Deno, fetched by npm, next to Node.
 *
 * Each writes the same values; all write to one file at the same time; and each is killed while it writes. Node and stock
 * Python check the files. Fails if a file is damaged, a value differs, or anything acknowledged is lost.
 */
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { MmapDict } from '../packages/core/dist/node.js';
import { dump } from '../packages/core/dist/pickle/index.js';

/** The npm package of each runtime, and the arguments before a script. */
const RUNTIMES = {
  node: { wanted: undefined, flags: [] },
  bun: { wanted: 'bun@1.4.5', flags: ['run'] },
  deno: { wanted: 'deno@2.9.6', flags: ['run', '-A'] },
};
const COMMITS = 2000;
const KILLS = 5;
const SCENARIO = fileURLToPath(new URL('runtimes/scenario.mjs', import.meta.url));
const PYTHON = process.env.MMDPICKLE_PYTHON?.split(':')[0] ?? 'python3';

const directory = mkdtempSync(join(tmpdir(), 'mmdpickle-runtimes-'));
let failures = 0;
function check(right, what) {
  process.stdout.write(`${right ? 'ok  ' : 'FAIL'} ${what}\n`);
  if (!right) failures += 1;
}

try {
  const runtimes = Object.entries(RUNTIMES).map(([name, { wanted, flags }]) => {
    return { name, program: wanted === undefined ? process.execPath : installed(name, wanted), flags };
  });
  let expected;
  for (const { name, program, flags } of runtimes) {
    const path = join(directory, `${name}.mmdpickle`);
    const { status, stderr } = spawnSync(program, [...flags, SCENARIO, 'values', path], { encoding: 'utf8' });
    check(status === 0 && stderr === '', `${name}: writes and reads through every package ${stderr}`);
    const found = digests(path);
    expected ??= found;
    check(JSON.stringify(found) === JSON.stringify(expected), `${name}: the same values as on Node`);
    judge(name, path, Object.keys(expected).length);
  }

  const shared = join(directory, 'shared.mmdpickle');
  const ends = runtimes.map((runtime) => ended(start(runtime, ['puts', shared, runtime.name, String(COMMITS)])));
  check(
    (await Promise.all(ends)).every((status) => status === 0),
    'all write to one file at the same time',
  );
  judge('all', shared, COMMITS * runtimes.length);

  for (const runtime of runtimes) {
    const path = join(directory, `killed-${runtime.name}.mmdpickle`);
    for (let kill = 0; kill < KILLS; kill += 1) await killed(runtime, path);
  }
} finally {
  rmSync(directory, { recursive: true, force: true });
}
process.exitCode = failures > 0 ? 1 : 0;

/** Installs an npm package, and returns the path of its program. */
function installed(name, wanted) {
  const place = join(directory, name);
  const args = ['install', '--prefix', place, '--no-save', '--no-audit', '--no-fund', wanted];
  const { status, stderr } = spawnSync('npm', args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${wanted} could not be installed: ${stderr}`);
  return join(place, 'node_modules', '.bin', name);
}

function start({ program, flags }, args) {
  return spawn(program, [...flags, SCENARIO, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
}

function ended(child) {
  return new Promise((resolve) => child.once('close', resolve));
}

/** Starts a writer, kills it at a random moment after some hundreds of acknowledged commits, and checks that none is lost. */
async function killed(runtime, path) {
  const { name } = runtime;
  const child = start(runtime, ['forever', path]);
  const over = ended(child);
  const lines = createInterface({ input: child.stdout });
  let pid;
  let told = [0, 0];
  let left = 3;
  for await (const line of lines) {
    if (line.startsWith('pid ')) pid = Number(line.slice(4));
    else told = line.split(' ').map(Number);
    left -= 1;
    if (left === 0) setTimeout(() => process.kill(pid, 'SIGKILL'), Math.random() * 20);
  }
  await over;
  const dict = MmapDict.open(path);
  const found = [dict.size, dict.get('rows').shape[0]];
  const findings = dict.fsck().findings.filter(({ severity }) => severity === 'error');
  dict.close();
  const kept = found[0] >= told[0] && found[1] >= told[1] && findings.length === 0;
  check(kept, `${name}: killed, ${found[0]} keys and ${found[1]} rows of ${told[0]} and ${told[1]} acknowledged`);
  judge(name, path, found[0]);
}

/** A hash of each value in the form that Python would load. */
function digests(path) {
  const dict = MmapDict.open(path, { mode: 'r' });
  const found = {};
  for (const [key, value] of dict) found[key] = createHash('sha256').update(dump(value)).digest('hex');
  dict.close();
  return found;
}

function judge(name, path, keys) {
  const program = 'import pickle, sys; print(len(pickle.load(open(sys.argv[1], "rb"))))';
  const { stdout, stderr } = spawnSync(PYTHON, ['-W', 'error', '-c', program, path], { encoding: 'utf8' });
  const found = Number(stdout.trim());
  check(
    stdout !== '' && found === keys,
    `${name}: Python loads ${found} keys${found === keys ? '' : ` of ${keys} ${stderr}`}`,
  );
}
