import { type EntryMeta, isMmdError } from '@mmdpickle/core';
import { MmapDict } from '@mmdpickle/core/node';
import type { CommandSpec } from '../command.ts';
import { alignmentOf, describeEntry, entryBytes, shapeText, typeText, valueBytes } from '../entries.ts';
import { jsonText } from '../json.ts';
import { colorsFor, print, type Terminal } from '../terminal.ts';
import { bytesText, type Column, keyText, shareText, Table } from '../text.ts';

/** Bytes of a file that belong to no entry: its header and terminator. */
const FRAMING = 24 + 11;

/** Lines that are formatted and printed together: the first ones appear at once, however many follow. */
const BLOCK = 2000;

/** `mmdpickle ls`: the file's table of contents. */
export const ls: CommandSpec = {
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
    const { terminal, json } = invocation;
    using dict = MmapDict.open(path, { mode: 'r' });
    const size = dict.fileSize;
    const lines = json ? jsonLines(path, dict) : tableLines(terminal, size, invocation.options.long === true);
    const totals = { keys: 0, live: 0, used: FRAMING };
    await print(terminal, lines.begin());
    let block = '';
    let damage: unknown;
    for (const key of dict.keys()) {
      let meta: EntryMeta | undefined;
      try {
        meta = dict.getMeta(key);
      } catch (error) {
        if (!isMmdError(error, 'CORRUPT')) throw error;
        // What is intact is listed first.
        damage ??= error;
      }
      if (meta === undefined) continue;
      totals.used += entryBytes(meta);
      if (!key.startsWith(prefix)) continue;
      totals.keys += 1;
      totals.live += valueBytes(meta);
      block += lines.add(meta);
      if (totals.keys % BLOCK !== 0) continue;
      await print(terminal, block + lines.flush());
      block = '';
    }
    const dead = Math.max(0, size - totals.used);
    await print(terminal, block + lines.flush() + lines.end({ keys: totals.keys, live: totals.live, dead, size }));
    if (damage !== undefined) throw damage;
    return 'ok';
  },
};

interface Totals {
  readonly keys: number;
  /** Bytes of the values listed. */
  readonly live: number;
  /** Bytes of the whole file that belong to no live entry. */
  readonly dead: number;
  readonly size: number;
}

/** A listing as text; lines that `add` does not return come from `flush`. */
interface Lines {
  begin(): string;
  add(meta: EntryMeta): string;
  flush(): string;
  end(totals: Totals): string;
}

function jsonLines(path: string, dict: MmapDict): Lines {
  let separator = '';
  return {
    begin: () => `{"path":${jsonText(path)},"commitNumber":${dict.commitNumber},"entries":[`,
    add(meta) {
      const text = `${separator}${jsonText(describeEntry(meta))}`;
      separator = ',';
      return text;
    },
    flush: () => '',
    end: ({ size, dead }) => `],"size":${size},"dead":${dead}}\n`,
  };
}

function tableLines(terminal: Terminal, size: number, long: boolean): Lines {
  const { bold, cyan, dim } = colorsFor(terminal);
  const more = long ? LONG_COLUMNS : [];
  const table = new Table([...COLUMNS, ...more.map(({ column }) => column)]);
  let folder: readonly string[] = [];
  return {
    begin: () => '',
    add(meta) {
      const names = meta.key.split('/');
      const leaf = names.pop() ?? '';
      let level = 0;
      while (level < names.length && folder[level] === names[level]) level += 1;
      for (; level < names.length; level += 1)
        table.add([`${'  '.repeat(level)}${bold(keyText(names[level] ?? ''))}/`]);
      folder = names;
      const bytes = valueBytes(meta);
      table.add([
        `${'  '.repeat(names.length)}${keyText(leaf)}`,
        cyan(typeText(meta)),
        shapeText(meta),
        bytesText(bytes),
        shareText(bytes, size),
        ...more.map(({ cell }) => cell(meta)),
      ]);
      return '';
    },
    flush: () => table.flush(),
    end: ({ keys, live, dead }) => {
      const count = `${keys} ${keys === 1 ? 'key' : 'keys'}`;
      const deadText = `${bytesText(dead)} dead (${shareText(dead, size)})`;
      return `${dim(`${count}, ${bytesText(live)} live, ${deadText}, ${bytesText(size)} in all`)}\n`;
    },
  };
}

const COLUMNS: readonly Column[] = [
  { title: 'key' },
  { title: 'type' },
  { title: 'shape' },
  { title: 'bytes', align: 'right' },
  { title: 'share', align: 'right' },
];

const orDash = (value: string | number | undefined): string => (value === undefined ? '-' : String(value));

/** The columns that `-l` adds. */
const LONG_COLUMNS: readonly { readonly column: Column; readonly cell: (meta: EntryMeta) => string }[] = [
  { column: { title: 'entry', align: 'right' }, cell: ({ entryOffset }) => String(entryOffset) },
  { column: { title: 'data', align: 'right' }, cell: ({ dtype, offset }) => orDash(dtype && offset) },
  { column: { title: 'aligned', align: 'right' }, cell: ({ dtype, offset }) => orDash(dtype && alignmentOf(offset)) },
  { column: { title: 'layout' }, cell: ({ layout }) => orDash(layout) },
  { column: { title: 'capacity' }, cell: ({ capacity }) => orDash(capacity) },
];
