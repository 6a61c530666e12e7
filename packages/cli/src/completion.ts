/**
 * Tab completion in shells: commands, options, choices, file names, and the keys of the named file.
 *
 * @module
 */

import { readdirSync } from 'node:fs';
import { dirname, join, sep } from 'node:path';
import tab from '@bomb.sh/tab/commander';
import { MmapDict } from '@mmdpickle/core/node';
import type { Command } from 'commander';

/** Candidates for arguments that are not file names; all other arguments are. */
const COMPLETERS: Readonly<Record<string, (words: readonly string[]) => Iterable<string>>> = {
  key: keysOfNamedFile,
  keys: keysOfNamedFile,
  from: keysOfNamedFile,
  to: keysOfNamedFile,
  prefix: keysOfNamedFile,
  value: () => [],
};

/** The most keys that are offered: more would help nobody. */
const MOST_KEYS = 1000;

/**
 * Adds the command that prints a shell's completion script, and the hidden command that the script calls.
 *
 * @param argv - when a shell calls it: `complete`, `--`, and the words so far, of which the last is unfinished
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
  const typed = words.at(-1) ?? '';
  let found = 0;
  try {
    using dict = MmapDict.open(path, { mode: 'r' });
    for (const key of dict.keys()) {
      // A line break would make two candidates of it, and an escape sequence would control the terminal.
      if (!key.startsWith(typed) || /\p{C}/u.test(key)) continue;
      yield key;
      if (++found === MOST_KEYS) return;
    }
  } catch {
    // Not an mmdpickle file: nothing to offer, and a completion must not print errors.
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
