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
    'For interactive use and for scripts. The tests run every example below.',
    '',
    '## For every command',
    '',
    ...optionLines(GLOBAL_OPTIONS),
    '- `-` means standard input or output wherever a file is read or written as a stream.',
    '- Results go to standard output; progress, status and errors go to standard error. An error is one line: what went wrong, where, and what to do.',
    '- Colours and live status lines appear only on terminals; `NO_COLOR` turns colours off.',
    '- Ctrl-C (SIGINT), SIGTERM and SIGHUP stop a command; a second one stops it at once. Whatever an import, cp, mv, vacuum, convert or salvage of a large file has written by then is undone; commands that only read simply end.',
    "- `mmdpickle completion bash` (or zsh, fish, powershell) prints the shell's completion script, which also completes the keys of a file.",
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
