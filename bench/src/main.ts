/** `pnpm bench [filter ...] [--quick] [--long] [--json file] [--dir directory] [--rounds n] [--list]` */

import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { cpus, release, tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { CASES } from './cases.ts';
import { PEERS } from './peers.ts';
import { pythonFor } from './python.ts';
import { absence, caseTable, type GoalResult, goalsOf, goalTable } from './report.ts';
import { type CaseResult, FULL, paramsOf, QUICK, runCase } from './runner.ts';
import { formatBytes } from './table.ts';
import { warmMemory } from './warm.ts';

const { values: options, positionals: filters } = parseArgs({
  allowPositionals: true,
  options: {
    quick: { type: 'boolean', default: false },
    long: { type: 'boolean', default: false },
    list: { type: 'boolean', default: false },
    json: { type: 'string' },
    dir: { type: 'string', default: tmpdir() },
    rounds: { type: 'string' },
    sides: { type: 'string' },
    profile: { type: 'boolean', default: false },
  },
});

const only = options.sides?.split(',');
const chosen = CASES.filter(
  (candidate) =>
    (filters.length === 0 || filters.some((filter) => candidate.name.includes(filter))) &&
    (options.quick ? candidate.quick !== false : true) &&
    (candidate.long === undefined || options.long),
)
  .map((candidate) => ({ ...candidate, sides: candidate.sides.filter((side) => only?.includes(side) ?? true) }))
  .filter(({ sides }) => sides.length > 0);
if (options.list) {
  for (const { name, about } of chosen) console.log(`${name}: ${about}`);
  process.exit(0);
}
if (chosen.length === 0) {
  const of = only === undefined ? '' : ` with the sides ${only.join(', ')}`;
  console.error(`no case matches ${filters.join(' ')}${of}; --list shows them all`);
  process.exit(2);
}

const dir = mkdtempSync(join(options.dir, 'mmdpickle-bench-'));
const clean = (): void => rmSync(dir, { recursive: true, force: true });
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    clean();
    process.exit(130);
  });
}

const began = Date.now();
const environment = describeEnvironment();
console.log(
  Object.entries(environment)
    .map(([name, value]) => `${name}: ${value}`)
    .join('\n'),
);

const results: CaseResult[] = [];
const goals: GoalResult[] = [];
const base = options.quick ? QUICK : FULL;
const rounds =
  options.rounds === undefined ? {} : { minRounds: Number(options.rounds), maxRounds: Number(options.rounds) };
const budget = { ...base, ...rounds, ...(options.profile ? { profileDir: process.cwd() } : {}) };
try {
  const touched = Math.max(...chosen.map((one) => one.touches(paramsOf(one, options.quick))));
  warmMemory(touched * 1.5);
  for (const benchCase of chosen) {
    const result = await runCase(benchCase, dir, options.quick, budget);
    results.push(result);
    goals.push(...goalsOf(benchCase, result));
    console.log(`\n${caseTable(benchCase, result)}`);
  }
} finally {
  clean();
}

if (goals.length > 0) console.log(`\nGoals\n${goalTable(goals)}`);
const absent = results.flatMap(({ name, lanes }) =>
  lanes.filter(({ state }) => state === 'missing' || state === 'failed').map((lane) => `${name}: ${absence(lane)}`),
);
if (absent.length > 0) console.log(`\nNot measured\n${absent.join('\n')}`);
const met = goals.filter(({ verdict }) => verdict === 'met').length;
console.log(
  `\n${results.length} cases, ${met} of ${goals.length} goals met, ${absent.length} sides missing or failed, ` +
    `${((Date.now() - began) / 1000).toFixed(0)} s`,
);
if (options.json !== undefined) {
  writeFileSync(options.json, `${JSON.stringify({ environment, budget, results, goals }, null, 1)}\n`);
}
// A side that failed is an error of the benchmark; a missed goal or a peer that is not installed is a result.
process.exitCode = results.some(({ lanes }) => lanes.some(({ state }) => state === 'failed')) ? 1 : 0;

function describeEnvironment(): Record<string, string> {
  const commit = attempt(() => execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim());
  const pythons = new Set(
    Object.values(PEERS)
      .filter(({ runtime }) => runtime === 'python')
      .map(({ needs }) => describePython(needs)),
  );
  const type = attempt(() => ` (type 0x${statfsSync(options.dir).type.toString(16)})`) ?? '';
  return {
    date: new Date().toISOString(),
    commit: commit ?? 'unknown',
    node: process.version,
    pythons: [...pythons].join(', '),
    system: `${process.platform} ${release()}, ${cpus().length} x ${cpus()[0]?.model ?? 'unknown'}, ${formatBytes(totalmem())}`,
    directory: `${options.dir === tmpdir() ? 'the temporary one' : options.dir}${type}`,
    mode: options.quick ? 'quick' : options.long ? 'long' : 'full',
  };
}

/** Describes it by version: a path means nothing to others. */
function describePython(needs: readonly string[]): string {
  const python = pythonFor(needs);
  if (python === undefined) return `none with ${needs.join(', ')}`;
  return attempt(() => execFileSync(python, ['--version'], { encoding: 'utf8' }).trim()) ?? python;
}

function attempt<T>(action: () => T): T | undefined {
  try {
    return action();
  } catch {
    return undefined;
  }
}
