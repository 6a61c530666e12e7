import { MmapDict } from '@mmdpickle/core/node';
import type { CommandSpec, Invocation } from '../command.ts';
import { describeEntry, type EntryDescription } from '../entries.ts';
import { colorsFor, print, printJson } from '../terminal.ts';
import { bytesText, type Column, keyText, shareText, table } from '../text.ts';

/** `mmdpickle ls`: the file's table of contents. */
export const ls: CommandSpec = {
  name: 'ls',
  summary: 'List what a file holds, as a tree of its keys',
  args: '<file> [prefix]',
  argDocs: { file: 'the mmdpickle file', prefix: 'only keys that begin with this' },
  options: [{ flags: '-l, --long', doc: 'also offsets, alignment and array layout' }],
  examples: [
    { line: 'mmdpickle ls run.mmdpickle', doc: 'keys, types, shapes, sizes, dead space' },
    { line: 'mmdpickle ls -l run.mmdpickle frame/', doc: 'offsets and alignment of the keys below frame/' },
    { line: 'mmdpickle ls --json run.mmdpickle', doc: 'the same for a script' },
  ],
  async run(invocation) {
    const [path = '', prefix = ''] = invocation.args;
    using dict = MmapDict.open(path, { mode: 'r' });
    const entries: EntryDescription[] = [];
    for (const key of dict.keys()) {
      if (!key.startsWith(prefix)) continue;
      const meta = dict.getMeta(key);
      if (meta !== undefined) entries.push(describeEntry(meta));
    }
    const live = entries.reduce((sum, { bytes }) => sum + bytes, 0);
    const dead = deadBytes(dict);
    const size = dict.fileSize;
    if (invocation.json) {
      await printJson(invocation.terminal, { path, size, dead, commitNumber: dict.commitNumber, entries });
      return 'ok';
    }
    await printTree(invocation, entries, size);
    const count = `${entries.length} ${entries.length === 1 ? 'key' : 'keys'}`;
    const summary = `${count}, ${bytesText(live)} live, ${bytesText(dead)} dead (${shareText(dead, size)}), ${bytesText(size)} in all`;
    await print(invocation.terminal, `${colorsFor(invocation.terminal).dim(summary)}\n`);
    return 'ok';
  },
};

/** Bytes of dead entries: deleted and replaced values, fillers, indexes. */
function deadBytes(dict: MmapDict): number {
  let bytes = 0;
  for (const { live, offset, end } of dict.scan()) if (!live) bytes += end - offset;
  return bytes;
}

async function printTree(
  { terminal, options }: Invocation,
  entries: readonly EntryDescription[],
  size: number,
): Promise<void> {
  const long = options.long === true;
  const columns: Column[] = [
    { title: 'key' },
    { title: 'type' },
    { title: 'shape' },
    { title: 'bytes', align: 'right' },
    { title: 'share', align: 'right' },
    ...(long ? LONG_COLUMNS.map(({ column }) => column) : []),
  ];
  const { bold, cyan } = colorsFor(terminal);
  const rows: string[][] = [];
  let folder: readonly string[] = [];
  for (const entry of entries) {
    const parts = entry.key.split('/');
    const names = parts.slice(0, -1);
    const shared = names.findIndex((name, level) => folder[level] !== name);
    const from = shared === -1 ? names.length : shared;
    for (let level = from; level < names.length; level += 1)
      rows.push([`${'  '.repeat(level)}${bold(keyText(names[level] ?? ''))}/`]);
    folder = names;
    rows.push([
      `${'  '.repeat(names.length)}${keyText(parts.at(-1) ?? '')}`,
      cyan(entry.type),
      entry.shapeText,
      bytesText(entry.bytes),
      shareText(entry.bytes, size),
      ...(long ? LONG_COLUMNS.map(({ cell }) => cell(entry)) : []),
    ]);
  }
  await print(terminal, table(columns, rows));
}

/** What `-l` adds. */
const LONG_COLUMNS: readonly { readonly column: Column; readonly cell: (entry: EntryDescription) => string }[] = [
  { column: { title: 'entry', align: 'right' }, cell: ({ entryOffset }) => String(entryOffset) },
  { column: { title: 'data', align: 'right' }, cell: ({ offset }) => (offset === undefined ? '-' : String(offset)) },
  {
    column: { title: 'aligned', align: 'right' },
    cell: ({ alignment }) => (alignment === undefined ? '-' : String(alignment)),
  },
  { column: { title: 'layout' }, cell: ({ layout }) => layout ?? '-' },
  { column: { title: 'capacity' }, cell: ({ capacity }) => (capacity === undefined ? '-' : String(capacity)) },
];
