import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { NDArray } from '@mmdpickle/core';
import { MmapDict } from '@mmdpickle/core/node';
import { watchDict } from '@mmdpickle/rx';
import { pythons, TempDir } from '@mmdpickle/test-support';
import { expect, test } from 'vitest';
import { until } from './blocker.ts';

const [python] = pythons();
const broker = ['/usr/sbin/mosquitto', '/usr/bin/mosquitto'].some(existsSync);

/** @param enough - where it is given: Ctrl-C as soon as this holds */
async function run(command: string, args: readonly string[], enough?: () => boolean): Promise<string> {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let out = '';
  let errors = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    out += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    errors += text;
  });
  const closed = once(child, 'close');
  if (enough !== undefined) {
    const waited = until(() => child.exitCode !== null || enough(), 'what was waited for');
    await waited.finally(() => child.kill('SIGINT'));
  }
  const [code] = await closed;
  expect({ code, errors }).toEqual({ code: 0, errors: '' });
  return out;
}

const pathOf = (script: string): string => fileURLToPath(new URL(`../../../examples/${script}`, import.meta.url));

function example(script: string, ...args: string[]): Promise<string> {
  return run(process.execPath, [pathOf(script), ...args]);
}

/** Runs the line of Python at the end of an example. */
async function pythonLine(out: string): Promise<string> {
  const line = /^python3 -c "(.*)"$/m.exec(out)?.[1] ?? 'raise Exception("no line")';
  return python === undefined
    ? ''
    : run(python.executable, ['-W', 'error', '-W', 'ignore::ResourceWarning', '-c', line]);
}

test
  .skipIf(!broker)
  .concurrent(
    'MQTT ingest: rows of both sensors are stored, broken messages reported, and Python reads the file',
    async () => {
      using dir = new TempDir();
      const path = dir.file('plant.mmdpickle');
      // Broken messages are among the first hundred.
      const told = new Map<string, number>();
      const watch = watchDict(path, { from: 'start' }).subscribe((change) => {
        if (change.kind === 'appended') told.set(change.key, change.rows.end);
      });
      const enough = (): boolean => ['oven/celsius', 'pump/seq'].every((key) => (told.get(key) ?? 0) >= 100);
      const out = await run(process.execPath, [pathOf('mqtt-ingest/ingest.mjs'), path, '--seconds', '600'], enough);
      watch.unsubscribe();
      expect(out).toMatch(/oven: (\d+) received, \1 written, 0 dropped/);
      expect(out).toMatch(/pump: (\d+) received, \1 written, 0 dropped/);
      expect(out).toMatch(/left out: \d+ messages with INVALID_ARGUMENT/);
      expect(await pythonLine(out)).toMatch(python === undefined ? /^$/ : /^\[1[78]\d/);
      using dict = MmapDict.open(path, { mode: 'r' });
      const rows = (key: string): number => (dict.get(key) as NDArray).shape[0] ?? 0;
      expect(rows('oven/time')).toBe(rows('oven/celsius'));
      expect((dict.get('pump/vibration') as NDArray).shape).toEqual([rows('pump/seq'), 3]);
    },
  );

test.concurrent('time-lapse: the viewer process sees every frame, and stops the capture', async () => {
  using dir = new TempDir();
  const path = dir.file('lapse.mmdpickle');
  const out = await example('time-lapse/run.mjs', path, '5');
  expect(out).toContain('stopping: the viewer has seen enough');
  expect([...out.matchAll(/frame\/\d+ {2}seq (\d+)/g)].map(([, seq]) => Number(seq))).toEqual([0, 1, 2, 3, 4]);
  expect(out).toMatch(/ 0 dropped/);
  expect(await pythonLine(out)).toContain(python === undefined ? '' : "'frame/000000004', 'frame/000000004.meta'");
});

test.concurrent('image registration: the second run reads its steps from the file', async () => {
  using dir = new TempDir();
  const path = dir.file('scene.mmdpickle');
  expect(await example('image-registration/register.mjs', path, 'mean')).toContain('11 steps computed, 0 taken');
  expect(await example('image-registration/register.mjs', path, 'maximum')).toContain('1 steps computed, 10 taken');
  using dict = MmapDict.open(path, { mode: 'r' });
  // Registered images agree: their mean is nearly as bright as their maximum where the brightest star is.
  const mean = (dict.get('result/mean') as NDArray).max() as number;
  const maximum = (dict.get('result/maximum') as NDArray).max() as number;
  expect(mean).toBeGreaterThan(maximum * 0.9);
});
