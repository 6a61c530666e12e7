/**
 * The `mmdpickle` command as a function: for embedding it, and for the `mmdpickle` binary itself.
 *
 * @module
 */

import { readFileSync } from 'node:fs';
import { COMMANDS } from './commands/index.ts';
import { runProgram } from './program.ts';
import type { Terminal } from './terminal.ts';

export {
  type CommandRow,
  type CommandSpec,
  type Example,
  type Invocation,
  type LoadedCommand,
  loadCommands,
  type OptionSpec,
} from './command.ts';
export { COMMANDS } from './commands/index.ts';
export { EXIT_CODES, type ExitReason } from './exit-codes.ts';
export type { Terminal } from './terminal.ts';

/**
 * Runs one command line.
 *
 * @param argv - the words after `mmdpickle`
 * @param terminal - the streams to read and print on
 * @returns the exit code
 *
 * @example
 * ```ts
 * import process from 'node:process';
 * import { run } from '@mmdpickle/cli';
 *
 * const { stdin, stdout, stderr, env } = process;
 * await run(['--version'], { stdin, stdout, stderr, env, signal: new AbortController().signal }); // 0
 * ```
 */
export function run(argv: readonly string[], terminal: Terminal): Promise<number> {
  const manifest = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string };
  return runProgram(COMMANDS, argv, terminal, manifest.version);
}
