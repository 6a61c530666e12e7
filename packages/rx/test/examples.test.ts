import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { NDArray } from '@mmdpickle/core';
import { MmapDict } from '@mmdpickle/core/node';
import { pythons, TempDir } from '@mmdpickle/test-support';
import { expect, test } from 'vitest';

const [python] = pythons();
const broker = ['/usr/sbin/mosquitto', '/usr/bin/mosquitto'].some(existsSync);

async function run(command: string, args: readonly string[]): Promise<string> {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let out = '';
  let errors = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    out += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    errors += text;
  });
  const [code] = await once(child, 'close');
  expect({ code, errors }).toEqual({ code: 0, errors: '' });
  return out;
}

function example(script: string, ...args: string[]): Promise<string> {
  return run(process.execPath, [fileURLToPath(new URL(`../../../examples/${script}`, import.meta.url)), ...args]);
}

/** Runs the line of Python that an example ends with. */
async function pythonLine(out: string): Promise<string> {
  const line = /^python3 -c "(.*)"$/m.exec(out)?.[1] ?? 'raise Exception("no line")';
  return python === undefined
    ? ''
    : run(python.executable, ['-W', 'error', '-W', 'ignore::ResourceWarning', '-c', line]);
}

test.skipIf(!broker)('MQTT ingest: rows of both sensors, broken messages told, Python reads it', async () => {
  using dir = new TempDir();
  const out = await example('mqtt-ingest/ingest.mjs', dir.file('plant.mmdpickle'), '--seconds', '2');
  expect(out).toMatch(/oven: (\d+) received, \1 written, 0 dropped/);
  expect(out).toMatch(/pump: (\d+) received, \1 written, 0 dropped/);
  expect(out).toMatch(/left out: \d+ messages with INVALID_ARGUMENT/);
  expect(await pythonLine(out)).toMatch(python === undefined ? /^$/ : /^\[1[78]\d/);
  using dict = MmapDict.open(dir.file('plant.mmdpickle'), { mode: 'r' });
  const rows = (key: string): number => (dict.get(key) as NDArray).shape[0] ?? 0;
  expect(rows('oven/celsius')).toBeGreaterThan(10);
  expect(rows('oven/time')).toBe(rows('oven/celsius'));
  expect((dict.get('pump/vibration') as NDArray).shape).toEqual([rows('pump/seq'), 3]);
});

test('time-lapse: the viewer process sees every frame, and stops the capture', async () => {
  using dir = new TempDir();
  const path = dir.file('lapse.mmdpickle');
  const out = await example('time-lapse/run.mjs', path, '5');
  expect(out).toContain('stopping: the viewer has seen enough');
  expect([...out.matchAll(/frame\/\d+ {2}seq (\d+)/g)].map(([, seq]) => Number(seq))).toEqual([0, 1, 2, 3, 4]);
  expect(out).toMatch(/ 0 dropped/);
  expect(await pythonLine(out)).toContain(python === undefined ? '' : "'frame/000000004', 'frame/000000004.meta'");
});

test('image registration: the second run takes its steps from the file', async () => {
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
