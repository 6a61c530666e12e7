import { COMMANDS, EXIT_CODES, loadCommands } from '@mmdpickle/cli';
import { afterAll, describe, expect, it } from 'vitest';
import { Bench } from './command-line.ts';

const bench = await Bench.open();
afterAll(() => bench[Symbol.dispose]());

const commands = await loadCommands(COMMANDS);

describe('every documented example works as written', () => {
  it.each(commands.map(({ name, examples }) => ({ name, examples })))('$name', async ({ examples }) => {
    expect(examples.length).toBeGreaterThan(0);
    for (const [i, { line, exit = 'ok' }] of examples.entries()) {
      // In a shell, the first of each command starts the bundle; what needs no shell runs here, unless in the long mode.
      const inShell = i === 0 || process.env.MMDPICKLE_LONG === '1';
      const { code, stderr } = await bench[inShell ? 'shell' : 'line'](bench.folder(), line);
      expect({ line, code, stderr }).toEqual({ line, code: EXIT_CODES[exit].code, stderr });
      const complaints = stderr.split('\n').filter((text) => text !== '' && !text.startsWith('{'));
      expect(complaints.filter((text) => text.startsWith('mmdpickle:'))).toEqual([]);
    }
  });
});
