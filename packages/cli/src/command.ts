/**
 * A command is a row of data: the program, its help, the completions, the man page, the guide and the tests loop over the rows.
 *
 * @module
 */

import type { ExitReason } from './exit-codes.ts';
import type { Terminal } from './terminal.ts';

/** A parsed command line. */
export interface Invocation {
  readonly terminal: Terminal;
  /** The positional arguments, undefined for missing optional ones; those of a variadic last argument are in `rest`. */
  readonly args: readonly (string | undefined)[];
  /** The values of a variadic last argument. */
  readonly rest: readonly string[];
  readonly options: Readonly<Record<string, unknown>>;
  /** `--json`: one JSON document (for streams, one per line) instead of text for people. */
  readonly json: boolean;
  /** `--quiet`: no progress bars and no status lines. */
  readonly quiet: boolean;
}

/** An option: flags as commander writes them. */
export interface OptionSpec {
  readonly flags: string;
  readonly doc: string;
  /** Turns the text into the value; throws an error whose message says what was expected. */
  readonly parse?: (text: string) => unknown;
  readonly choices?: readonly string[];
  readonly default?: unknown;
  /** The default as a user would type it, if `default` is something else. */
  readonly typed?: string;
}

/** The description of an option: its purpose, its choices and its default. */
export function docOf({ doc, choices, default: preset, typed }: OptionSpec): string {
  const taken = choices === undefined || choices.every((choice) => doc.includes(choice)) ? [] : [choices.join(', ')];
  const more = [...taken, ...(preset === undefined ? [] : [`default ${typed ?? String(preset)}`])];
  return more.length === 0 ? doc : `${doc} (${more.join('; ')})`;
}

/** A command line that works unchanged in a directory with the sample files of the tests. */
export interface Example {
  readonly line: string;
  readonly doc: string;
  /** The exit reason there, if not `ok`. */
  readonly exit?: ExitReason;
}

/** What a command takes and does. */
export interface CommandSpec {
  /** As commander writes them: `<file> [key]`, `<inputs...>`. */
  readonly args: string;
  /** What each argument is, by name. */
  readonly argDocs: Readonly<Record<string, string>>;
  readonly options: readonly OptionSpec[];
  readonly examples: readonly Example[];
  /** Does the work and returns how it ended. */
  run(invocation: Invocation): Promise<ExitReason>;
}

/** A row of the command table. The code of a command is loaded on demand: `ls` does not wait for network code. */
export interface CommandRow {
  readonly name: string;
  readonly summary: string;
  load(): Promise<CommandSpec>;
}

/** A row with everything loaded. */
export interface LoadedCommand extends CommandRow, CommandSpec {}

/** Loads all rows, for pages that show every command: completions, the man page, the guide. */
export async function loadCommands(rows: readonly CommandRow[]): Promise<LoadedCommand[]> {
  return await Promise.all(rows.map(async (row) => ({ ...row, ...(await row.load()) })));
}
