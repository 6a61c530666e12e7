import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { Python, pythons, TempDir } from '@mmdpickle/test-support';
import { describe, expect, it } from 'vitest';

const MAIN = join(import.meta.dirname, '../demo/dist/main.js');

/** Runs the demo in a directory of its own; after `interruptAfterMs` it gets the signal that Ctrl-C sends. */
async function runDemo(directory: string, args: readonly string[], interruptAfterMs?: number) {
  const child = spawn(process.execPath, [MAIN, ...args], { cwd: directory, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text;
    if (interruptAfterMs !== undefined && text.includes('Capturing')) {
      setTimeout(() => child.kill('SIGINT'), interruptAfterMs);
    }
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => (output += text));
  const code = await new Promise<number | null>((resolve) => child.once('exit', resolve));
  return { code, output };
}

const LOAD = `
import pickle
value = pickle.load(open(args["path"], "rb"))
result = {key: list(item.shape) for key, item in value.items() if hasattr(item, "shape")}
`;

describe('the demo', () => {
  // Alone: for two seconds, in which a second process starts and follows.
  it('captures, follows, lists the file and opens it in Python', async () => {
    using directory = new TempDir();
    const { code, output } = await runDemo(directory.path, ['--seconds', '2']);
    expect(output).toMatch(/follower .*appended/);
    expect(output).toMatch(/cpu +float64 +\[40, \d+\]/);
    expect(output).toMatch(/frames written in .* 0 dropped/);
    expect(output).toContain("python3 -c \"import pickle; d = pickle.load(open('sensors.mmdpickle', 'rb'))");
    if (pythons().length > 0) expect(output).toContain("'load': (40, 3)");
    expect(code).toBe(0);
  });

  it.concurrent('ends a follower that starts after the capture has finished', async () => {
    using directory = new TempDir();
    const { code, output } = await runDemo(directory.path, ['--seconds', '0.01']);
    expect(output).toMatch(/^0 frames written in/m);
    expect(code).toBe(0);
  });

  it.concurrent.each([
    ['--hz', '2.5'],
    ['--hz', '0'],
    ['--seconds', 'x'],
  ])('refuses %s %s', async (...args) => {
    using directory = new TempDir();
    expect(await runDemo(directory.path, args)).toMatchObject({
      code: 2,
      output: expect.stringMatching(/^demo: --sec/),
    });
  });

  it.concurrent.each(pythons())(
    'leaves a sealed file that Python $version with numpy $numpy loads after Ctrl-C',
    async (info) => {
      using directory = new TempDir();
      const { output } = await runDemo(directory.path, ['--seconds', '30'], 1200);
      expect(output).toMatch(/frames written in/);
      await using python = new Python(info);
      const shapes = await python.run<Record<string, number[]>>(LOAD, { path: directory.file('sensors.mmdpickle') });
      const rows = shapes.load?.[0] ?? 0;
      expect(rows).toBeGreaterThan(0);
      expect(rows).toBeLessThan(600);
      expect(shapes['load/time']).toEqual([rows]);
    },
  );
});
