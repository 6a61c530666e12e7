import { check as checkPickle } from '@mmdpickle/core/pickle';
import type { CommandSpec } from '../command.ts';
import { mapInput } from '../input.ts';
import { colorsFor, print, printJson } from '../terminal.ts';
import { printable, table } from '../text.ts';

/** `mmdpickle check`: what a pickle would call, for people and for CI. */
export const check: CommandSpec = {
  args: '<file>',
  argDocs: { file: 'any pickle, with nothing after it; - for standard input' },
  options: [],
  examples: [
    { line: 'mmdpickle check run.mmdpickle', doc: 'nothing but numpy here' },
    { line: 'mmdpickle check hostile.pkl', doc: 'would call os.system', exit: 'problems' },
    { line: 'cat settings.pkl | mmdpickle check -', doc: 'a pickle from a pipe' },
  ],
  async run({ terminal, args, json }) {
    using input = await mapInput(args[0] ?? '', terminal);
    const report = checkPickle(input.bytes);
    // A program that wrote several pickles into one file loads all of them.
    const rest = input.bytes.length - report.end;
    const exit = report.known && rest === 0 ? 'ok' : 'problems';
    if (json) {
      await printJson(terminal, { ...report, rest });
      return exit;
    }
    const { green, red } = colorsFor(terminal);
    const rows = report.globals.map(({ module, name, offset, known, calls }) => [
      printable(`${module} ${name}`),
      String(offset),
      String(calls),
      known ? green('known') : red('NOT known'),
    ]);
    if (rows.length > 0) await print(terminal, table(COLUMNS, rows));
    for (const [doubt, text] of DOUBTS) {
      if (report[doubt].length > 0) await print(terminal, red(`${text} ${report[doubt].join(', ')}\n`));
    }
    const unseen = `NOT ok: the pickle ends at ${report.end}, and ${rest} more bytes were ignored\n`;
    const verdict = rest === 0 ? green('ok: every global is known\n') : red(unseen);
    await print(terminal, report.known ? verdict : red('NOT ok: loading this in Python may run arbitrary code\n'));
    return exit;
  },
};

/** Findings other than globals by name. */
const DOUBTS = [
  ['indirectCalls', 'calls of something other than a plain global, at'],
  ['changes', 'changes to something that the pickle did not create, at'],
  ['extensions', 'globals that Python looks up by an extension code:'],
] as const;

const COLUMNS = [
  { title: 'global' },
  { title: 'offset', align: 'right' },
  { title: 'calls', align: 'right' },
  { title: 'verdict' },
] as const;
