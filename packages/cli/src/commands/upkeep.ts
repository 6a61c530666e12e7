/** The commands that keep a file in shape: vacuum and reclaim. @module */

import { MmapDict } from '@mmdpickle/core/node';
import type { CommandSpec } from '../command.ts';
import { leasedFile } from '../dicts.ts';
import { ProgressBar } from '../progress.ts';
import { bytesText } from '../text.ts';
import { work } from '../work.ts';
import { printResult } from './result.ts';

/** `mmdpickle vacuum`: writes the live entries into a new file and renames it over the old. */
export const vacuum: CommandSpec = {
  args: '<file>',
  argDocs: { file: 'the mmdpickle file' },
  options: [
    { flags: '--in-place', doc: 'keep the inode, for processes that hold the file open; not safe while others map it' },
  ],
  examples: [{ line: 'mmdpickle vacuum run.mmdpickle', doc: 'a new file beside the old, renamed over it' }],
  async run(invocation) {
    const { args, options } = invocation;
    const [path = ''] = args;
    using lease = leasedFile(path);
    using bar = new ProgressBar(invocation, 'vacuum', 'count');
    const given = { path, inPlace: options.inPlace === true };
    const { before, after } = await work(invocation, 'vacuum', given, { bar, signal: lease.signal });
    bar[Symbol.dispose]();
    const freed = before - after;
    const line = `${bytesText(before)} -> ${bytesText(after)}, ${freed < 0 ? `${bytesText(-freed)} more` : `${bytesText(freed)} freed`}`;
    await printResult(invocation, { before, after, freed }, line);
    return 'ok';
  },
};

/** `mmdpickle reclaim`: punches holes where dead arrays are stored. */
export const reclaim: CommandSpec = {
  args: '<file>',
  argDocs: { file: 'the mmdpickle file' },
  options: [],
  examples: [{ line: 'mmdpickle reclaim run.mmdpickle', doc: 'holes where deleted arrays were' }],
  async run(invocation) {
    using dict = MmapDict.open(invocation.args[0] ?? '', { mode: 'r+' });
    using bar = new ProgressBar(invocation, 'reclaim', 'count');
    const freed = dict.reclaim({ onProgress: bar.update });
    bar[Symbol.dispose]();
    await printResult(invocation, { freed }, `${bytesText(freed)} freed`);
    return 'ok';
  },
};
