/** The commands that change single keys: rm, mv, cp. @module */

import { MmapDict } from '@mmdpickle/core/node';
import type { CommandSpec } from '../command.ts';
import { keyNotFound } from '../errors.ts';
import { ProgressBar } from '../progress.ts';

/** `mmdpickle rm`: deletes keys, all or none. */
export const rm: CommandSpec = {
  name: 'rm',
  summary: 'Delete keys; the space comes back by vacuum or reclaim',
  args: '<file> <keys...>',
  argDocs: { file: 'the mmdpickle file', keys: 'the keys' },
  options: [{ flags: '-f, --force', doc: 'no error for keys that are not there' }],
  examples: [{ line: 'mmdpickle rm run.mmdpickle dark', doc: 'delete one key' }],
  async run({ args, rest, options }) {
    const [path = ''] = args;
    using dict = MmapDict.open(path, { mode: 'r+' });
    const missing = rest.find((key) => !dict.has(key));
    if (missing !== undefined && options.force !== true) throw keyNotFound(path, missing);
    dict.batch(() => {
      for (const key of rest) dict.delete(key);
    });
    return 'ok';
  },
};

/** `mmdpickle mv`: renames a key; array data stays where it is in meaning, and is copied by the system only. */
export const mv: CommandSpec = {
  name: 'mv',
  summary: 'Rename a key',
  args: '<file> <from> <to>',
  argDocs: { file: 'the mmdpickle file', from: 'the key', to: 'its new name; an entry with that name is replaced' },
  options: [],
  examples: [{ line: 'mmdpickle mv run.mmdpickle dark dark/before', doc: 'put a key into a folder' }],
  async run({ args }) {
    const [path = '', from = '', to = ''] = args;
    using dict = MmapDict.open(path, { mode: 'r+' });
    if (!dict.has(from)) throw keyNotFound(path, from);
    dict.rename(from, to);
    return 'ok';
  },
};

/** `mmdpickle cp`: entries from one file to another, byte for byte, by copy_file_range. */
export const cp: CommandSpec = {
  name: 'cp',
  summary: 'Copy entries to another file without passing them through memory',
  args: '<source> <target> [keys...]',
  argDocs: {
    source: 'the mmdpickle file to read',
    target: 'the one to write, made when it is not there',
    keys: 'the keys; all when none is given',
  },
  options: [],
  examples: [
    { line: 'mmdpickle cp run.mmdpickle archive.mmdpickle cube dark', doc: 'two keys into another file' },
    { line: 'mmdpickle cp run.mmdpickle copy.mmdpickle', doc: 'all live keys' },
  ],
  async run(invocation) {
    const { args, rest, terminal } = invocation;
    const [from = '', to = ''] = args;
    using source = MmapDict.open(from, { mode: 'r' });
    const missing = rest.find((key) => !source.has(key));
    if (missing !== undefined) throw keyNotFound(from, missing);
    using target = MmapDict.open(to);
    using bar = new ProgressBar(invocation, 'copy');
    source.copy(rest.length > 0 ? rest : [...source.keys()], target, {
      signal: terminal.signal,
      onProgress: bar.update,
    });
    return 'ok';
  },
};
