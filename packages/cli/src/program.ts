/**
 * Builds the program from the command table and runs it: parsing, help, errors, exit codes.
 *
 * @module
 */

import { isMmdError, type MmdError } from '@mmdpickle/core';
import { Command, CommanderError, Option } from 'commander';
import type { CommandSpec, Example, Invocation } from './command.ts';
import { EXIT_CODES, exitCodeOf } from './exit-codes.ts';
import { type Terminal, tell } from './terminal.ts';

/** The options that every command takes. */
const GLOBAL_OPTIONS = [
  { flags: '--json', doc: 'print JSON for scripts' },
  { flags: '--quiet', doc: 'no progress bars and no status lines' },
  { flags: '--debug', doc: 'show the stack of an error' },
] as const;

/** The commander program for the table; `ran` is told how a command ended. */
export function buildProgram(
  commands: readonly CommandSpec[],
  terminal: Terminal,
  version: string,
  ran: (exitCode: number) => void,
): Command {
  const program = new Command('mmdpickle')
    .description('One file, one dictionary, memory-mapped arrays, readable by every stock Python.')
    .version(version)
    .exitOverride()
    .configureOutput({
      writeOut: (text) => terminal.stdout.write(text),
      writeErr: (text) => terminal.stderr.write(text),
      getOutHelpWidth: () => 100,
      getErrHelpWidth: () => 100,
    })
    .helpCommand('help [command]', 'show what a command does')
    .addHelpText('after', `\nExit codes:\n${exitCodeLines()}`);
  for (const spec of commands) addCommand(program, spec, terminal, ran);
  return program;
}

/**
 * Runs one command line.
 *
 * @param argv - the words after the program's name
 * @returns the exit code; see {@link EXIT_CODES}
 */
export async function runProgram(
  commands: readonly CommandSpec[],
  argv: readonly string[],
  terminal: Terminal,
  version: string,
): Promise<number> {
  let exitCode: number = EXIT_CODES.ok.code;
  const program = buildProgram(commands, terminal, version, (code) => {
    exitCode = code;
  });
  try {
    if (argv.length === 0) program.outputHelp();
    else await program.parseAsync([...argv], { from: 'user' });
    return exitCode;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT_CODES.ok.code : EXIT_CODES.usage.code;
    // The reader went away (`| head`): what it wanted, it has.
    if ((error as { code?: unknown }).code === 'EPIPE') return exitCode;
    reportError(error, terminal, argv.includes('--debug'));
    return isMmdError(error) ? exitCodeOf(error.code) : EXIT_CODES.problems.code;
  }
}

function addCommand(program: Command, spec: CommandSpec, terminal: Terminal, ran: (exitCode: number) => void): void {
  const command = program.command(spec.name).summary(spec.summary).description(`${spec.summary}.`);
  const names = spec.args.split(' ').filter((word) => word !== '');
  for (const name of names) command.argument(name, spec.argDocs[name.replaceAll(/[<>[\].]/g, '')] ?? '');
  for (const { flags, doc, parse, choices, default: preset } of spec.options) {
    const option = new Option(flags, doc);
    if (choices !== undefined) option.choices(choices);
    if (preset !== undefined) option.default(preset);
    if (parse !== undefined) option.argParser((text) => parse(text));
    command.addOption(option);
  }
  for (const { flags, doc } of GLOBAL_OPTIONS) command.option(flags, doc);
  command.addHelpText('after', `\nExamples:\n${exampleLines(spec.examples)}`);
  command.action(async (...words: unknown[]) => {
    const values = words.slice(0, names.length);
    const variadic = names.at(-1)?.includes('...') === true;
    const options = words[names.length] as Record<string, unknown>;
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

/** One line that says what, where and what to do; the stack only on request. */
function reportError(error: unknown, terminal: Terminal, debug: boolean): void {
  const text = error instanceof Error ? error.message : String(error);
  const where = isMmdError(error) ? placeOf(error) : '';
  const code = isMmdError(error) ? ` [${error.code}]` : '';
  tell(terminal, `mmdpickle: ${text}${where}${code}`);
  if (debug && error instanceof Error) tell(terminal, error.stack ?? '');
}

function placeOf(error: MmdError): string {
  const path = error.path !== undefined && !error.message.includes(error.path) ? ` in ${error.path}` : '';
  const offset =
    error.offset !== undefined && !error.message.includes(String(error.offset)) ? ` at offset ${error.offset}` : '';
  return path + offset;
}

function exitCodeLines(): string {
  return Object.values(EXIT_CODES)
    .map(({ code, doc }) => `  ${code}  ${doc}\n`)
    .join('');
}

function exampleLines(examples: readonly Example[]): string {
  return examples.map(({ line, doc }) => `  $ ${line}\n      ${doc}\n`).join('');
}
