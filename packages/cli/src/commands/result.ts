import type { Invocation } from '../command.ts';
import { print, printJson } from '../terminal.ts';
import { printable } from '../text.ts';

/** Prints what a command did: a JSON document for scripts, a line for people. */
export async function printResult({ terminal, json }: Invocation, facts: object, line: string): Promise<void> {
  if (json) await printJson(terminal, facts);
  else await print(terminal, `${printable(line)}\n`);
}
