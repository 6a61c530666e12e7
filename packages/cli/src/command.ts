/**
 * A command is a row of data: the program, its help, the completions, the man page, the guide and the tests loop over rows.
 *
 * @module
 */

import type { ExitReason } from './exit-codes.ts';
import type { Terminal } from './terminal.ts';

/** A command line as it was typed, after parsing. */
export interface Invocation {
  readonly terminal: Terminal;
  /** The positional arguments, missing optional ones as undefined; a variadic one takes the rest. */
  readonly args: readonly (string | undefined)[];
  /** What a variadic last argument took. */
  readonly rest: readonly string[];
  readonly options: Readonly<Record<string, unknown>>;
  /** `--json`: one JSON document (or one a line, for streams) instead of text for people. */
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
  /** The default as it would be typed, where it is not. */
  readonly typed?: string;
}

/** What an option is for, what it takes, and what holds without it. */
export function docOf({ doc, choices, default: preset, typed }: OptionSpec): string {
  const taken = choices === undefined || choices.every((choice) => doc.includes(choice)) ? [] : [choices.join(', ')];
  const more = [...taken, ...(preset === undefined ? [] : [`default ${typed ?? String(preset)}`])];
  return more.length === 0 ? doc : `${doc} (${more.join('; ')})`;
}

/** A line that works as it stands in a directory with the sample files of the tests. */
export interface Example {
  readonly line: string;
  readonly doc: string;
  /** How it ends there, when not with `ok`. */
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
  /** Does the work and says how it ended. */
  run(invocation: Invocation): Promise<ExitReason>;
}

/** A row of the command table. What the command needs is loaded when it is asked for: `ls` waits for no network code. */
export interface CommandRow {
  readonly name: string;
  readonly summary: string;
  load(): Promise<CommandSpec>;
}

/** A row with everything loaded. */
export interface LoadedCommand extends CommandRow, CommandSpec {}

/** Loads all rows, for what shows every command: completions, the man page, the guide. */
export async function loadCommands(rows: readonly CommandRow[]): Promise<LoadedCommand[]> {
  return await Promise.all(rows.map(async (row) => ({ ...row, ...(await row.load()) })));
}
