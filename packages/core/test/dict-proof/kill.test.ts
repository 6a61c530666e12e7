import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { pythons, TempDir } from '@mmdpickle/test-support';
import { afterAll, expect, test } from 'vitest';
import { ndarray } from '../../src/ndarray/index.ts';
import { MmapDict } from '../../src/node.ts';
import { stateText } from './canonical.ts';
import { expectText } from './crash-harness.ts';
import { Judge } from './judge.ts';
import { apply, emptyRows, rowsFrom, STILL } from './kill-plan.mjs';

const LONG = process.env.MMDPICKLE_LONG === '1';
const KILLS = LONG ? 500 : 10;
const WRITER = fileURLToPath(new URL('./kill-writer.mjs', import.meta.url));
const ENTRY = new URL('../../dist/node.js', import.meta.url).href;

const judge = new Judge(pythons());
afterAll(() => judge[Symbol.asyncDispose]());

const STILL_ENTRIES = Array.from({ length: STILL }, (_, i): [string, number] => [`still ${i}`, i]);

/** The contents expected after each step. */
class Expected {
  readonly values: Map<string, unknown> = new Map(STILL_ENTRIES);
  count = 0;

  step(step: number): string {
    const { values } = this;
    apply(step, {
      set: (key, value) => {
        if (key === 'rows') this.count = 0;
        else values.set(key, value instanceof Float64Array ? ndarray(value) : value);
      },
      delete: (key) => void values.delete(key),
      batch: (change) => change(),
      rows: () => this.count,
      append: (count) => {
        this.count += count;
      },
      vacuum: () => undefined,
      reclaim: () => undefined,
      reopen: () => undefined,
    });
    return this.text();
  }

  text(): string {
    return stateText([...this.values, ['rows', ndarray(rowsFrom(0, this.count), [this.count, 2])]]);
  }
}

/** Runs the writer for some milliseconds after it reported `steps` steps, kills it, and returns the last step reported. */
async function runAndKill(path: string, first: number, steps: number, milliseconds: number): Promise<number> {
  const child = spawn(process.execPath, [WRITER, ENTRY, path, String(first)], { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  let timer: NodeJS.Timeout | undefined;
  let errors = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    errors += text;
  });
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text;
    if (timer === undefined && output.split('\n').length >= steps + 2) {
      timer = setTimeout(() => child.kill('SIGKILL'), milliseconds);
    }
  });
  const [code, signal] = await new Promise<[number | null, string | null]>((resolve) => {
    child.on('close', (...end) => resolve(end));
  });
  if (signal !== 'SIGKILL') throw new Error(`the writer ended by itself (${code}): ${errors}`);
  // A line that was cut is a step that was not reported.
  const told = output.split('\n').slice(1, -1);
  return told.length === 0 ? first - 1 : Number(told.at(-1));
}

test(`after ${KILLS} kills at random moments nothing acknowledged is lost, and stock Python loads the file`, {
  timeout: 1_800_000,
}, async () => {
  using dir = new TempDir();
  const path = dir.file('killed');
  MmapDict.open(path).set('rows', emptyRows).update(STILL_ENTRIES).close();
  const expected = new Expected();
  let text = expected.text();
  let next = 0;
  let acknowledged = 0;
  let inFlight = 0;
  let repaired = 0;
  let indexed = 0;
  for (let kill = 0; kill < KILLS; kill++) {
    // Every other writer reports one step before its time starts, however slow the machine is.
    const last = await runAndKill(path, next, kill % 2, Math.random() * 40);
    for (; next <= last; next++) text = expected.step(next);
    acknowledged = next;
    const after = new Expected();
    for (const [key, value] of expected.values) after.values.set(key, value);
    after.count = expected.count;
    const allowed = [text, after.step(next)];
    await judge.add(readFileSync(path), allowed.join('\n'), (found) =>
      expectText(found, allowed, `Python after kill ${kill}`),
    );
    {
      using reader = MmapDict.open(path, { mode: 'r' });
      if (reader.core.store.entries.base !== undefined) indexed++;
      for (const [key, value] of STILL_ENTRIES) expect(reader.get(key)).toBe(value);
      expectText(stateText(reader), allowed, `a reader after kill ${kill}`);
    }
    using writer = MmapDict.open(path);
    repaired += writer.repairs.length;
    const found = stateText(writer);
    expectText(found, allowed, `a writer after kill ${kill}`);
    expect(writer.fsck().findings.filter(({ severity }) => severity === 'error')).toEqual([]);
    if (found !== text) {
      // The step in flight was committed.
      inFlight++;
      text = expected.step(next++);
    }
  }
  await judge.finish();
  expect(acknowledged).toBeGreaterThanOrEqual(Math.floor(KILLS / 2));
  if (LONG)
    process.stdout.write(
      `${KILLS} kills, ${acknowledged} acknowledged steps, ${inFlight} in flight had committed, ${repaired} repairs, ${indexed} with an index\n`,
    );
});
