/** The commands that change single keys: rm, mv, cp. @module */

import { MmapDict } from '@mmdpickle/core/node';
import type { CommandSpec } from '../command.ts';
import { requireKeys } from '../dicts.ts';
import { ProgressBar } from '../progress.ts';
import { printJson } from '../terminal.ts';
import { work } from '../work.ts';

/** `mmdpickle rm`: deletes keys, all or none. */
export const rm: CommandSpec = {
  args: '<file> <keys...>',
  argDocs: { file: 'the mmdpickle file', keys: 'the keys' },
  options: [{ flags: '-f, --force', doc: 'no error for missing keys' }],
  examples: [{ line: 'mmdpickle rm run.mmdpickle dark', doc: 'delete one key' }],
  async run({ terminal, args, rest, options, json }) {
    const [path = ''] = args;
    using dict = MmapDict.open(path, { mode: 'r+' });
    const removed = dict.batch(() => {
      if (options.force !== true) requireKeys(dict, path, rest);
      return rest.filter((key) => dict.delete(key));
    });
    if (json) await printJson(terminal, { removed });
    return 'ok';
  },
};

/** `mmdpickle mv`: renames a key. Its value is copied by the operating system, and never unpickled. */
export const mv: CommandSpec = {
  args: '<file> <from> <to>',
  argDocs: { file: 'the mmdpickle file', from: 'the key', to: 'its new name; an entry with that name is replaced' },
  options: [],
  examples: [{ line: 'mmdpickle mv run.mmdpickle dark dark/before', doc: 'put a key into a folder' }],
  async run(invocation) {
    const { terminal, args, json } = invocation;
    const [path = '', from = '', to = ''] = args;
    using bar = new ProgressBar(invocation, 'move', 'count');
    await work(invocation, 'move', { path, from, to }, { bar });
    if (json) await printJson(terminal, { from, to });
    return 'ok';
  },
};

/** `mmdpickle cp`: copies entries from one file to another, byte for byte, with copy_file_range. */
export const cp: CommandSpec = {
  args: '<source> <target> [keys...]',
  argDocs: {
    source: 'the mmdpickle file to read',
    target: 'the one to write, created if it does not exist',
    keys: 'the keys; all if none is given',
  },
  options: [],
  examples: [
    { line: 'mmdpickle cp run.mmdpickle archive.mmdpickle cube dark', doc: 'two keys into another file' },
    { line: 'mmdpickle cp run.mmdpickle copy.mmdpickle', doc: 'all live keys' },
  ],
  async run(invocation) {
    const { args, rest, terminal, json } = invocation;
    const [from = '', to = ''] = args;
    using bar = new ProgressBar(invocation, 'copy', 'count');
    const keys = await work(invocation, 'copy', { path: from, target: to, keys: rest }, { bar });
    if (json) await printJson(terminal, { keys });
    return 'ok';
  },
};
