import { MmapDict } from '@mmdpickle/core/node';
import type { CommandSpec } from '../command.ts';
import { countArrays } from '../dicts.ts';
import { describeEntry } from '../entries.ts';
import { keyNotFound } from '../errors.ts';
import { print, printJson } from '../terminal.ts';
import { bytesText, printable, shareText } from '../text.ts';

/** `mmdpickle info`: describes the file as a whole, or one entry as far as possible without reading its data. */
export const info: CommandSpec = {
  args: '<file> [key]',
  argDocs: { file: 'the mmdpickle file', key: 'describe this entry' },
  options: [],
  examples: [
    { line: 'mmdpickle info run.mmdpickle', doc: 'size, keys, dead space, commit number' },
    { line: 'mmdpickle info run.mmdpickle cube', doc: 'dtype, shape, offset, layout of one array' },
  ],
  async run({ terminal, args, json }) {
    const [path = '', key] = args;
    using dict = MmapDict.open(path, { mode: 'r' });
    const facts = key === undefined ? fileFacts(path, dict) : entryFacts(path, dict, key);
    if (json) await printJson(terminal, facts);
    else await print(terminal, factLines(facts));
    return 'ok';
  },
};

type Facts = Readonly<Record<string, unknown>>;

function fileFacts(path: string, dict: MmapDict): Facts {
  let entries = 0;
  let live = 0;
  let liveBytes = 0;
  for (const entry of dict.scan()) {
    entries += 1;
    if (!entry.live) continue;
    live += 1;
    liveBytes += entry.end - entry.offset;
  }
  const size = dict.fileSize;
  return {
    path,
    size,
    commitNumber: dict.commitNumber,
    keys: dict.size,
    arrays: countArrays(dict),
    entries,
    deadEntries: entries - live,
    liveBytes,
    liveShare: shareText(liveBytes, size),
  };
}

function entryFacts(path: string, dict: MmapDict, key: string): Facts {
  const meta = dict.getMeta(key);
  if (meta === undefined) throw keyNotFound(path, key);
  return { ...describeEntry(meta) };
}

function factLines(facts: Facts): string {
  const width = Math.max(...Object.keys(facts).map((name) => name.length));
  return Object.entries(facts)
    .map(([name, value]) => `${name.padEnd(width)}  ${factText(name, value)}\n`)
    .join('');
}

function factText(name: string, value: unknown): string {
  if (typeof value === 'number' && /size|bytes/i.test(name)) return `${value} (${bytesText(value)})`;
  return Array.isArray(value) ? `[${value.join(', ')}]` : printable(String(value));
}
