import { MmapDict } from '@mmdpickle/core/node';
import type { LoadOptions } from '@mmdpickle/core/pickle';
import type { CommandSpec, Invocation } from '../command.ts';
import { leased } from '../dicts.ts';
import { usageError } from '../errors.ts';
import { tellRest } from '../input.ts';
import { ENCODING } from '../option-values.ts';
import { ProgressBar } from '../progress.ts';
import { tellNote } from '../terminal.ts';
import { work } from '../work.ts';
import { printResult } from './result.ts';

/** The result of a conversion. */
interface Conversion {
  readonly keys: number;
  /** Arrays whose spelling was changed. */
  readonly arrays: number;
}

/** `mmdpickle convert`: ordinary pickles to mmdpickle, and one array spelling to another. */
export const convert: CommandSpec = {
  args: '<source> [target]',
  argDocs: {
    source: 'a pickle of a dict, or an mmdpickle file',
    target: 'the mmdpickle file to write; it must not exist. Without it the source is changed in place',
  },
  options: [
    {
      flags: '--upgrade',
      doc: 'write arrays as every numpy loads them; in place no array data moves (the default with a target)',
    },
    {
      flags: '--downgrade',
      doc: "write arrays as Python's mmappickle 1.0 maps them; in place only what was upgraded in place",
    },
    ENCODING,
  ],
  examples: [
    { line: 'mmdpickle convert settings.pkl settings.mmdpickle', doc: 'an ordinary pickle' },
    { line: 'mmdpickle convert run.mmdpickle old.mmdpickle --downgrade', doc: 'a copy for mmappickle 1.0' },
    {
      line: 'mmdpickle convert --upgrade run.mmdpickle',
      doc: 'a file that mmappickle 1.0 wrote, for current numpy',
    },
  ],
  async run(invocation) {
    const { args, options } = invocation;
    const [source = '', target] = args;
    if (options.upgrade === true && options.downgrade === true)
      throw usageError('--upgrade and --downgrade are opposites: give one');
    const down = options.downgrade === true;
    if (target === undefined) {
      if (!down && options.upgrade !== true)
        throw usageError(
          `give a target ('mmdpickle convert ${source} TARGET'), or --upgrade or --downgrade to change it in place`,
        );
      const { keys, arrays, others } = respell(source, down);
      if (others > 0)
        tellNote(invocation, `${others} arrays of ${source} are in the modern layout: give a target to rewrite them`);
      await printResult(invocation, { keys, arrays }, `${arrays} arrays re-encoded`);
      return 'ok';
    }
    const { keys, arrays } = await convertTo(source, target, down ? 'legacy' : 'modern', invocation);
    await printResult(invocation, { keys, arrays }, `${keys} keys in ${target}, ${arrays} of them arrays`);
    return 'ok';
  },
};

/** Changes the spelling in place. `others` counts arrays that cannot be respelled. */
function respell(path: string, down: boolean): Conversion & { readonly others: number } {
  using dict = MmapDict.open(path, { mode: 'r+' });
  using _lease = leased(dict);
  const arrays = down ? dict.downgrade() : dict.upgrade();
  let others = 0;
  if (down) for (const key of dict.keys()) if (dict.getMeta(key)?.layout === 'modern') others += 1;
  return { keys: dict.size, arrays, others };
}

async function convertTo(
  path: string,
  target: string,
  layout: 'modern' | 'legacy',
  invocation: Invocation,
): Promise<Conversion> {
  using bar = new ProgressBar(invocation, 'convert', 'count');
  const encoding = invocation.options.encoding as LoadOptions['encoding'];
  const { end, ...done } = await work(invocation, 'convert', { path, target, layout, encoding }, { bar });
  if (end !== undefined) tellRest(invocation, path, end);
  return done;
}
