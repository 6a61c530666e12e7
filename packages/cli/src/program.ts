/**
 * Builds the program from the command table and runs it: parsing, help, completions, exit codes.
 *
 * @module
 */

import { Command, CommanderError, Option } from 'commander';
import type { CommandRow, CommandSpec, Example, Invocation, OptionSpec } from './command.ts';
import { reportError, usageError } from './errors.ts';
import { EXIT_CODES } from './exit-codes.ts';
import { jsonText } from './json.ts';
import type { Terminal } from './terminal.ts';
import { printable } from './text.ts';

/** The options that every command accepts. */
export const GLOBAL_OPTIONS: readonly OptionSpec[] = [
  { flags: '--json', doc: 'print JSON for scripts: results, status lines and errors' },
  { flags: '--quiet', doc: 'no progress bars and no status lines' },
  { flags: '--debug', doc: 'show the stack of an error' },
];

/** The commands for completion: the one that prints a shell's script, and the one that the script calls. */
const COMPLETION = { script: 'completion', answer: 'complete' } as const;

const HELP_WIDTH = 100;

/**
 * Runs one command line.
 *
 * @param argv - the words after the program's name
 * @returns the exit code; see {@link EXIT_CODES}
 */
export async function runProgram(
  commands: readonly CommandRow[],
  argv: readonly string[],
  terminal: Terminal,
  version: string,
): Promise<number> {
  let exitCode: number = EXIT_CODES.ok.code;
  const json = argv.includes('--json');
  const program = emptyProgram(terminal, version, json);
  try {
    const named = commandIn(argv);
    const completing = named === COMPLETION.script || named === COMPLETION.answer;
    for (const row of commands) {
      const command = program.command(row.name).summary(row.summary).description(`${row.summary}.`);
      if (!completing && row.name !== named) continue;
      fillIn(command, await row.load(), terminal, (code) => {
        exitCode = code;
      });
    }
    if (completing) {
      const { addCompletion } = await import('./completion.ts');
      addCompletion(program, argv, COMPLETION.script);
    } else
      program.command(`${COMPLETION.script} <shell>`).summary('Print the completions of zsh, bash, fish or powershell');
    if (argv[0] === 'help' && named !== undefined && !program.commands.some((command) => command.name() === named))
      program.error(`unknown command '${named}'`);
    if (argv.length === 0) program.outputHelp();
    else await program.parseAsync([...argv], { from: 'user' });
    return exitCode;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT_CODES.ok.code : EXIT_CODES.usage.code;
    // The reader went away (`| head`): it has what it wanted.
    if ((error as { code?: unknown }).code === 'EPIPE') return exitCode;
    return reportError(error, terminal, { json, debug: argv.includes('--debug') });
  }
}

function emptyProgram(terminal: Terminal, version: string, json: boolean): Command {
  const program = new Command('mmdpickle')
    .description('One file, one dictionary, memory-mapped arrays, readable by every stock Python.')
    .version(version)
    .exitOverride()
    .configureOutput({
      writeOut: (text) => terminal.stdout.write(text),
      writeErr: (text) => terminal.stderr.write(text),
      getOutHelpWidth: () => HELP_WIDTH,
      getErrHelpWidth: () => HELP_WIDTH,
      outputError: (text, write) => {
        const message = usageLine(text);
        write(
          `${json ? jsonText({ error: { code: 'INVALID_ARGUMENT', message } }) : `mmdpickle: ${printable(message)}`}\n`,
        );
      },
    })
    .configureHelp({ showGlobalOptions: true })
    .helpCommand('help [command]', 'Show what a command does')
    .addHelpText('after', `\nExit codes:\n${exitCodeLines()}`);
  for (const { flags, doc } of GLOBAL_OPTIONS) program.option(flags, doc);
  return program;
}

/** The command that a command line names, even if it only asks for its help. */
function commandIn(argv: readonly string[]): string | undefined {
  const words = argv.filter((word) => !word.startsWith('-'));
  return words[0] === 'help' ? words[1] : words[0];
}

function fillIn(command: Command, spec: CommandSpec, terminal: Terminal, ran: (exitCode: number) => void): void {
  const names = spec.args.split(' ').filter((word) => word !== '');
  for (const name of names) command.argument(name, spec.argDocs[argumentName(name)] ?? '');
  for (const option of spec.options) command.addOption(toOption(option));
  command.addHelpText('after', `\nExamples:\n${exampleLines(spec.examples)}`);
  command.action(async (...words: unknown[]) => {
    const values = words.slice(0, names.length);
    const variadic = names.at(-1)?.includes('...') === true;
    const options = command.optsWithGlobals();
    const invocation: Invocation = {
      terminal,
      args: (variadic ? values.slice(0, -1) : values) as (string | undefined)[],
      rest: variadic ? ((values.at(-1) ?? []) as string[]) : [],
      options,
      json: options.json === true,
      quiet: options.quiet === true,
    };
    ran(EXIT_CODES[await spec.run(invocation)].code);
  });
}

/** The name in an argument's notation: `inputs` for `<inputs...>`. */
function argumentName(word: string): string {
  return word.replaceAll(/[<>[\].]/g, '');
}

function toOption({ flags, doc, parse, choices, default: preset, typed }: OptionSpec): Option {
  const option = new Option(flags, doc);
  if (choices !== undefined) option.choices(choices);
  if (preset !== undefined) option.default(preset, typed);
  if (parse === undefined) return option;
  return option.argParser((text) => {
    try {
      return parse(text);
    } catch (error) {
      throw usageError(`${option.long}: ${(error as Error).message}`, text);
    }
  });
}

/** Commander's message about an invalid command line, as one line in our style. */
function usageLine(text: string): string {
  const said = text
    .trim()
    .replace(/^error: /, '')
    .replaceAll(/\s*\n\s*/g, ' ');
  return `${said}; see --help`;
}

function exitCodeLines(): string {
  return Object.values(EXIT_CODES)
    .map(({ code, doc }) => `  ${String(code).padEnd(3)}  ${doc}\n`)
    .join('');
}

function exampleLines(examples: readonly Example[]): string {
  return examples.map(({ line, doc }) => `  $ ${line}\n      ${doc}\n`).join('');
}
