import { execFileSync, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { TempDir } from '@mmdpickle/test-support';
import { rolldown } from 'rolldown';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isMmdError } from '../../src/errors.ts';
import { load, loadEntry } from '../../src/pickle/index.ts';
import { BOMB_CASES } from './hostile-bombs.ts';
import { CALL_CASES } from './hostile-calls.ts';
import type { HostileCase } from './hostile-case.ts';
import { RULE_CASES } from './hostile-rules.ts';
import { SHARING_CASES } from './hostile-sharing.ts';
import { VALUE_CASES } from './hostile-values.ts';

const CHILD = fileURLToPath(new URL('./hostile-child.mjs', import.meta.url));
const BUILT = fileURLToPath(new URL('../../dist/pickle/index.js', import.meta.url));
const LONG = process.env.MMDPICKLE_LONG === '1';
const CASES: readonly HostileCase[] = [...CALL_CASES, ...BOMB_CASES, ...SHARING_CASES, ...VALUE_CASES];
/** A heap too small for what a bomb would allocate, with Node 20's young generation in later versions too; no helper threads. */
const ENGINE = ['--single-threaded', '--expose-gc', '--max-old-space-size=260', '--max-semi-space-size=16'];
/** Rows that need few resources: they check the result. They share processes, unless MMDPICKLE_LONG=1. */
const LIGHT: ReadonlySet<HostileCase> = new Set([
  ...VALUE_CASES,
  ...CASES.filter(({ name }) => /^(lies: |check finds |os\.system |constructor\.constructor through)/.test(name)),
]);
const BATCHES: readonly (readonly HostileCase[])[] = [
  ...CASES.filter((row) => !LIGHT.has(row)).map((row) => [row]),
  ...batchesOf([...LIGHT], LONG ? 1 : 24),
];
const ALONE = BATCHES.filter(({ length }) => length === 1);

function batchesOf<T>(items: readonly T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(items.length / size) }, (_, i) => items.slice(i * size, (i + 1) * size));
}

/** What a child says about one input. */
interface Report {
  /** `inert`, a code, `NATIVE` for any other exception, or how the process ended. */
  readonly outcome: string;
  readonly shows?: string;
  readonly message?: string;
  readonly seconds: number;
  readonly megabytes: number;
  readonly polluted: boolean;
}

/** Runs inputs in one process. */
function runProcess(snapshot: string, rows: readonly HostileCase[]): Promise<readonly Report[]> {
  return new Promise((resolve) => {
    const doors = rows.map(({ door = 'both' }) => door);
    const child = spawn(process.execPath, [...ENGINE, '--snapshot-blob', snapshot, ...doors], {
      stdio: ['pipe', 'pipe', 'pipe'],
      timeout: 12_000 * rows.length,
      killSignal: 'SIGKILL',
    });
    let out = '';
    let noise = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (noise = (noise + text).slice(0, 300)));
    child.stdin.on('error', () => undefined);
    child.on('close', (code, signal) => {
      const said = out.split('\n').slice(0, -1);
      const outcome = `ended with ${code ?? signal}: ${noise}`;
      resolve(
        rows.map((_, i) =>
          said[i] === undefined
            ? { outcome, seconds: 0, megabytes: 0, polluted: false }
            : (JSON.parse(said[i]) as Report),
        ),
      );
    });
    for (const { bytes } of rows) {
      const input = bytes();
      const length = new Uint8Array(4);
      new DataView(length.buffer).setUint32(0, input.length, true);
      child.stdin.write(length);
      child.stdin.write(input);
    }
    child.stdin.end();
  });
}

/** A snapshot of the child with the built package: it starts as fast as Node itself, where a bundle takes twice as long. */
async function snapshotIn(dir: TempDir): Promise<string> {
  const bundle = await rolldown({ input: CHILD, platform: 'node', tsconfig: false, logLevel: 'silent' });
  const script = dir.file('hostile-child.cjs');
  await bundle.write({ file: script, format: 'cjs' });
  await bundle.close();
  const snapshot = dir.file('hostile-child.blob');
  execFileSync(process.execPath, [...ENGINE, '--snapshot-blob', snapshot, '--build-snapshot', script]);
  return snapshot;
}

/** Runs two processes at a time. */
async function runAll(snapshot: string): Promise<Map<string, Report>> {
  const reports = new Map<string, Report>();
  const waiting = BATCHES.values();
  const worker = async (): Promise<void> => {
    for (const rows of waiting) {
      const said = await runProcess(snapshot, rows);
      for (const [i, { name }] of rows.entries()) reports.set(name, said[i] as Report);
    }
  };
  await Promise.all([worker(), worker()]);
  return reports;
}

describe('the hostile table', () => {
  it('has at least 200 inputs that run in separate processes, each with a unique name', () => {
    expect(ALONE.length).toBeGreaterThanOrEqual(200);
    const names = [...CASES, ...RULE_CASES].map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
  });

  it.each(RULE_CASES)('$name: a typed error', ({ bytes, door, gives }) => {
    let thrown: unknown;
    try {
      (door === 'loadEntry' ? loadEntry : load)(bytes());
    } catch (error) {
      thrown = error;
    }
    expect(isMmdError(thrown), String(thrown)).toBe(true);
    expect(gives).toContain((thrown as { code: string }).code);
  });
});

describe('the hostile table, in processes of their own', () => {
  let reports = new Map<string, Report>();
  const dir = new TempDir();
  afterAll(() => dir[Symbol.dispose]());
  beforeAll(async () => {
    if (!existsSync(BUILT)) throw new Error('the children run the built package: run `pnpm build` first');
    reports = await runAll(await snapshotIn(dir));
  }, 170_000);

  it.each(CASES)('$name', ({ name, gives, shows }) => {
    const report = reports.get(name) as Report;
    const told = JSON.stringify(report);
    if (gives === 'inert') expect(report.outcome, told).toBe('inert');
    else if (gives !== undefined) expect(gives, told).toContain(report.outcome);
    else expect(report.outcome, told).toMatch(/^(inert|[A-Z_]{4,})$/);
    expect(report.outcome, told).not.toBe('NATIVE');
    expect(report.polluted, told).toBe(false);
    expect(report.seconds, told).toBeLessThan(2);
    expect(report.megabytes, told).toBeLessThan(300);
    if (shows !== undefined) for (const part of shows.split(' ')) expect(report.shows).toContain(part);
  });
});
