import { MmapDict } from '@mmdpickle/core/node';
import { requireArray } from '../arrays.ts';
import type { CommandSpec } from '../command.ts';
import { requireKeys } from '../dicts.ts';
import { usageError } from '../errors.ts';
import { parsePositive } from '../option-values.ts';
import { ProgressBar } from '../progress.ts';
import { type Statistics, statisticsOf } from '../statistics.ts';
import { print, printJson } from '../terminal.ts';

const BAR_WIDTH = 40;

/** `mmdpickle stats`: minimum, maximum, mean, deviation and histogram of an array. */
export const stats: CommandSpec = {
  args: '<file> <key>',
  argDocs: { file: 'the mmdpickle file', key: "the array's key" },
  options: [{ flags: '--bins <n>', doc: 'number of bars in the histogram', parse: parseBins, default: 10 }],
  examples: [{ line: 'mmdpickle stats run.mmdpickle dark', doc: 'with a histogram drawn in the terminal' }],
  async run(invocation) {
    const { terminal, args, options, json } = invocation;
    const [path = '', key = ''] = args;
    using dict = MmapDict.open(path, { mode: 'r' });
    requireKeys(dict, path, [key]);
    using bar = new ProgressBar(invocation, 'stats');
    const statistics = statisticsOf(requireArray(dict.get(key), key, 'stats'), options.bins as number, bar.update);
    bar[Symbol.dispose]();
    if (json) await printJson(terminal, statistics);
    else await print(terminal, statisticsText(statistics));
    return 'ok';
  },
};

function parseBins(text: string): number {
  const bins = parsePositive(text);
  if (bins > 1000) throw usageError(`expected 1 to 1000, found ${text}`, text);
  return bins;
}

function statisticsText({ histogram, ...numbers }: Statistics): string {
  const lines = Object.entries(numbers).map(([name, value]) => `${name.padEnd(9)} ${value ?? '-'}\n`);
  const { min, max } = numbers;
  if (min !== undefined && max !== undefined) {
    const most = Math.max(...histogram);
    const [low, high] = [Number(min), Number(max)];
    const edges = histogram.map((_, bin) => (low + ((high - low) * bin) / histogram.length).toPrecision(5));
    const width = Math.max(...edges.map((edge) => edge.length));
    lines.push('\n');
    for (const [bin, count] of histogram.entries()) {
      const bar = '█'.repeat(Math.round((BAR_WIDTH * count) / most));
      lines.push(`${(edges[bin] ?? '').padStart(width)}  ${bar.padEnd(BAR_WIDTH)}  ${count}\n`);
    }
  }
  return lines.join('');
}
