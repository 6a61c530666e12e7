/** The commands that keep a file in shape: vacuum, reclaim, fsck. @module */

import { MmapDict } from '@mmdpickle/core/node';
import type { CommandSpec } from '../command.ts';
import { ProgressBar } from '../progress.ts';
import { print, printJson } from '../terminal.ts';
import { bytesText } from '../text.ts';

/** `mmdpickle vacuum`: writes the live entries into a new file and renames it over the old. */
export const vacuum: CommandSpec = {
  name: 'vacuum',
  summary: 'Write the file anew without dead space',
  args: '<file>',
  argDocs: { file: 'the mmdpickle file' },
  options: [
    { flags: '--in-place', doc: 'keep the inode, for peers that hold the file open; not safe while others map it' },
  ],
  examples: [{ line: 'mmdpickle vacuum run.mmdpickle', doc: 'a new file beside the old, renamed over it' }],
  async run(invocation) {
    const { args, options, terminal, json } = invocation;
    using dict = MmapDict.open(args[0] ?? '', { mode: 'r+' });
    const before = dict.fileSize;
    using bar = new ProgressBar(invocation, 'vacuum');
    dict.vacuum({ inPlace: options.inPlace === true, signal: terminal.signal, onProgress: bar.update });
    const after = dict.fileSize;
    if (json) await printJson(terminal, { before, after, freed: before - after });
    else await print(terminal, `${bytesText(before)} -> ${bytesText(after)}, ${bytesText(before - after)} freed\n`);
    return 'ok';
  },
};

/** `mmdpickle reclaim`: punches holes where dead arrays lie. */
export const reclaim: CommandSpec = {
  name: 'reclaim',
  summary: 'Give the disk space of dead entries back without moving anything',
  args: '<file>',
  argDocs: { file: 'the mmdpickle file' },
  options: [],
  examples: [{ line: 'mmdpickle reclaim run.mmdpickle', doc: 'holes where deleted arrays were' }],
  async run({ args, terminal, json }) {
    using dict = MmapDict.open(args[0] ?? '', { mode: 'r+' });
    const freed = dict.reclaim();
    if (json) await printJson(terminal, { freed });
    else await print(terminal, `${bytesText(freed)} given back\n`);
    return 'ok';
  },
};
