import { COMMANDS, EXIT_CODES, loadCommands } from '@mmdpickle/cli';
import { afterAll, describe, expect, it } from 'vitest';
import { Bench, twoAtATime } from './command-line.ts';

const bench = await Bench.open();
afterAll(() => bench[Symbol.dispose]());

const commands = await loadCommands(COMMANDS);

describe('every documented example works as written', () => {
  it.each(commands.map(({ name, examples }) => ({ name, examples })))('$name', async ({ examples }) => {
    expect(examples.length).toBeGreaterThan(0);
    await twoAtATime(examples, async ({ line, exit = 'ok' }) => {
      const { code, stderr } = await bench.shell(bench.folder(), line);
      expect({ line, code, stderr }).toEqual({ line, code: EXIT_CODES[exit].code, stderr });
      const complaints = stderr.split('\n').filter((text) => text !== '' && !text.startsWith('{'));
      expect(complaints.filter((text) => text.startsWith('mmdpickle:'))).toEqual([]);
    });
  });
});
