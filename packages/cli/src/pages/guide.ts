import { docOf, type LoadedCommand, type OptionSpec } from '../command.ts';
import { EXIT_CODES } from '../exit-codes.ts';
import { GLOBAL_OPTIONS } from '../program.ts';

/** The reference of all commands as markdown, for `docs/guide/cli.md`. */
export function guidePage(commands: readonly LoadedCommand[]): string {
  return [
    '# The `mmdpickle` command',
    '',
    '<!-- Made from the command table: `pnpm --filter @mmdpickle/cli run pages`. -->',
    '',
    'For a person at a terminal and for scripts. Every example below is run by the tests.',
    '',
    '## For every command',
    '',
    ...optionLines(GLOBAL_OPTIONS),
    '- `-` stands for standard input or output where a file is read or written as a stream.',
    '- Results go to standard output; progress, status and errors to standard error. An error is one line: what, where, what to do.',
    '- Colours and live lines appear on terminals only; `NO_COLOR` turns colours off.',
    '- Ctrl-C (SIGINT), SIGTERM and SIGHUP stop a command, a second one at once. What an import, cp, mv, vacuum, convert or salvage of a large file has written by then is taken back; what reads only just ends.',
    "- `mmdpickle completion bash` (or zsh, fish, powershell) prints the shell's completions, which know the keys of a file too.",
    '',
    '| exit code | meaning |',
    '| --- | --- |',
    ...Object.values(EXIT_CODES).map(({ code, doc }) => `| ${code} | ${doc} |`),
    '',
    ...commands.flatMap(commandLines),
  ].join('\n');
}

function commandLines({ name, summary, args, argDocs, options, examples }: LoadedCommand): string[] {
  return [
    `## \`mmdpickle ${name} ${args}\``,
    '',
    `${summary}.`,
    '',
    ...Object.entries(argDocs).map(([argument, doc]) => `- \`${argument}\`: ${doc}`),
    ...optionLines(options),
    '',
    '```sh',
    ...examples.flatMap(({ line, doc }) => [`# ${doc}`, line]),
    '```',
    '',
  ];
}

function optionLines(options: readonly OptionSpec[]): string[] {
  return options.map((option) => `- \`${option.flags}\`: ${docOf(option)}`);
}
