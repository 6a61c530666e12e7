/**
 * Coverage-guided fuzzing of the pickle machine, seeded with the fixtures.
 *
 *     node scripts/fuzz-pickle.mjs [--seconds N] [--executions N] [--seed N] [--out DIR] [--quiet]
 *
 * It instruments a copy of the built package (packages/core/dist: build first), and mutates inputs in a worker; an
 * input that reaches a new branch, or a new kind of error, joins the corpus. A finding is any outcome but a value or a
 * typed error: another exception, a run of more than two seconds, a heap beyond 512 MB, or a value that differs
 * after writing and reading it again. Each finding is saved to DIR (default fixtures/regress) as a fixture.
 * Exits with status 1 if there was one.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Worker } from 'node:worker_threads';
import { instrumentTree } from './fuzz/instrument.mjs';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
/** Layout of the shared memory: number of executions, length of the current input, then the input. */
const HEADER = 16;
const LONGEST = 65_536;
const SLOW_SECONDS = 2;

const { values: options } = parseArgs({
  options: {
    seconds: { type: 'string', default: '60' },
    executions: { type: 'string', default: 'Infinity' },
    seed: { type: 'string', default: '1' },
    out: { type: 'string', default: join(ROOT, 'fixtures/regress') },
    quiet: { type: 'boolean', default: false },
  },
});
const wanted = Number(options.executions);

const instrumented = mkdtempSync(join(tmpdir(), 'mmdpickle-fuzz-'));
const branches = instrumentTree(join(ROOT, 'packages/core/dist'), instrumented);
const shared = new SharedArrayBuffer(HEADER + LONGEST);
const count = new Float64Array(shared, 0, 1);
const length = new Uint32Array(shared, 8, 1);
const findings = new Map();
// Counts from here: instrumenting takes some seconds itself.
const deadline = performance.now() + Number(options.seconds) * 1000;
let seed = Number(options.seed);
let status = { corpus: 0, covered: 0 };

function inputAtHand() {
  return new Uint8Array(shared, HEADER, Math.min(length[0], LONGEST)).slice();
}

function report(kind, detail, bytes) {
  const key = `${kind} ${detail
    .split('\n')
    .slice(0, 2)
    .join(' ')
    .replaceAll(/0x[0-9a-f]+|\d+/g, '#')}`;
  if (findings.has(key)) return;
  const name = `fuzz-${kind}-${seed}-${findings.size}`;
  findings.set(key, name);
  mkdirSync(options.out, { recursive: true });
  writeFileSync(join(options.out, `${name}.bin`), bytes);
  console.log(`FINDING ${name}: ${detail}`);
}

/** Runs one worker until it ends, crashes or hangs. */
function run() {
  return new Promise((resolve) => {
    const worker = new Worker(new URL('./fuzz/worker.mjs', import.meta.url), {
      workerData: {
        shared,
        header: HEADER,
        longest: LONGEST,
        seed,
        branches,
        wanted,
        pickle: join(instrumented, 'pickle/index.js'),
        fixtures: join(ROOT, 'fixtures'),
      },
      resourceLimits: { maxOldGenerationSizeMb: 512, stackSizeMb: 4 },
    });
    let last = -1;
    let since = process.cpuUsage();
    const watch = setInterval(() => {
      if (performance.now() > deadline) return void worker.postMessage('stop');
      if (count[0] !== last) {
        last = count[0];
        since = process.cpuUsage();
        return;
      }
      // Processor time, so that a busy machine does not cause findings.
      if (last > 0 && process.cpuUsage(since).user / 1e6 > SLOW_SECONDS) {
        report('slow', `more than ${SLOW_SECONDS} s`, inputAtHand());
        void worker.terminate();
      }
    }, 250);
    const progress = setInterval(() => {
      if (!options.quiet)
        console.log(`${count[0]} executions, ${status.corpus} inputs, ${status.covered}/${branches} branches`);
    }, 10_000);
    worker.on('message', (message) => {
      if (message.kind === 'status') status = message;
      else report(message.kind, message.detail, message.bytes);
    });
    worker.on('error', (error) =>
      report(error.code === 'ERR_WORKER_OUT_OF_MEMORY' ? 'memory' : 'native', String(error.stack), inputAtHand()),
    );
    worker.on('exit', () => {
      clearInterval(watch);
      clearInterval(progress);
      resolve();
    });
  });
}

const started = performance.now();
while (performance.now() < deadline && count[0] < wanted) {
  await run();
  seed++;
}
rmSync(instrumented, { recursive: true, force: true });
const seconds = (performance.now() - started) / 1000;
console.log(
  `${count[0]} executions in ${seconds.toFixed(0)} s (${Math.round(count[0] / seconds)}/s), ` +
    `${status.corpus} inputs in the corpus, ${status.covered} of ${branches} branches reached, ${findings.size} findings`,
);
process.exitCode = findings.size > 0 ? 1 : 0;
