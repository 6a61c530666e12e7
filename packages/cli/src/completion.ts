/**
 * What shells offer behind the Tab key: commands, options, choices, file names, and the keys of the file that is named.
 *
 * @module
 */

import { readdirSync } from 'node:fs';
import { dirname, join, sep } from 'node:path';
import tab from '@bomb.sh/tab/commander';
import { MmapDict } from '@mmdpickle/core/node';
import type { Command } from 'commander';

/** What the arguments are that name no file; every other one does. */
const COMPLETERS: Readonly<Record<string, (words: readonly string[]) => Iterable<string>>> = {
  key: keysOfNamedFile,
  keys: keysOfNamedFile,
  from: keysOfNamedFile,
  to: keysOfNamedFile,
  prefix: keysOfNamedFile,
  value: () => [],
};

/** More keys than these help nobody. */
const MOST_KEYS = 1000;

/**
 * Adds the command that prints a shell's script, and the hidden one that the script asks.
 *
 * @param argv - when a shell asks: `complete`, `--`, and the words so far, the last of them unfinished
 */
export function addCompletion(program: Command, argv: readonly string[], scriptCommand: string): void {
  const words = argv.slice(argv.indexOf('--') + 1);
  const root = tab(program, { completionCommandName: scriptCommand });
  for (const command of root.commands.values()) {
    for (const argument of command.arguments.values()) {
      const candidates = COMPLETERS[argument.name] ?? filesBeside;
      argument.handler = (complete) => {
        for (const candidate of candidates(words)) complete(candidate, '');
      };
    }
  }
}

function* keysOfNamedFile(words: readonly string[]): Generator<string> {
  const path = words.slice(1).find((word) => !word.startsWith('-'));
  if (path === undefined) return;
  let found = 0;
  try {
    using dict = MmapDict.open(path, { mode: 'r' });
    for (const key of dict.keys()) {
      // A line break or an escape sequence would be other candidates, or commands to the terminal.
      if (/\p{C}/u.test(key)) continue;
      yield key;
      if (++found === MOST_KEYS) return;
    }
  } catch {
    // Not a file of ours: there is nothing to offer, and a completion must not print errors.
  }
}

function* filesBeside(words: readonly string[]): Generator<string> {
  const word = words.at(-1) ?? '';
  const folder = word.endsWith(sep) ? word : dirname(word);
  const prefix = folder === '.' && !word.startsWith('.') ? '' : folder;
  try {
    for (const entry of readdirSync(folder, { withFileTypes: true }))
      yield join(prefix, entry.name) + (entry.isDirectory() ? sep : '');
  } catch {
    // No such directory: nothing to offer.
  }
}
