/** The commands that look at a pickle without loading it: dis and check. @module */

import { isMmdError } from '@mmdpickle/core';
import { MmapDict, NodeFile } from '@mmdpickle/core/node';
import { check as checkPickle, dis as disassemble } from '@mmdpickle/core/pickle';
import type { CommandSpec } from '../command.ts';
import { readInput } from '../input.ts';
import { colorsFor, print, printJson, type Terminal } from '../terminal.ts';
import { keyText, table } from '../text.ts';

/** `mmdpickle dis`: opcodes as `pickletools.dis` prints them; of an mmdpickle file entry by entry. */
export const dis: CommandSpec = {
  name: 'dis',
  summary: 'Disassemble a pickle as pickletools does, or an mmdpickle file entry by entry',
  args: '<file> [key]',
  argDocs: { file: 'a pickle or mmdpickle file, - for standard input', key: 'only the entry with this key' },
  options: [
    { flags: '--plain', doc: 'the whole file as one pickle, array bytes and all' },
    { flags: '--all', doc: 'dead entries too' },
  ],
  examples: [
    { line: 'mmdpickle dis run.mmdpickle gain', doc: 'the opcodes of one value' },
    { line: 'mmdpickle dis settings.pkl', doc: 'any pickle' },
  ],
  async run({ terminal, args, options }) {
    const [path = '', key] = args;
    if (path !== '-' && options.plain !== true) {
      const dict = openIfDict(path);
      if (dict !== undefined) {
        using _open = dict;
        await disassembleEntries(terminal, path, dict, key, options.all === true);
        return 'ok';
      }
    }
    const bytes = await readInput(path, terminal);
    await print(terminal, disassemble(bytes));
    return 'ok';
  },
};

/** `mmdpickle check`: what a pickle would call, for people and for CI. */
export const check: CommandSpec = {
  name: 'check',
  summary: 'List the globals that a pickle would import and call; exit code 1 when one is not known to be harmless',
  args: '<file>',
  argDocs: { file: 'any pickle, - for standard input' },
  options: [],
  examples: [
    { line: 'mmdpickle check run.mmdpickle', doc: 'nothing but numpy here' },
    { line: 'mmdpickle check hostile.pkl', doc: 'would call os.system', exit: 'problems' },
  ],
  async run({ terminal, args, json }) {
    const report = checkPickle(await readInput(args[0] ?? '', terminal));
    if (json) {
      await printJson(terminal, report);
      return report.known ? 'ok' : 'problems';
    }
    const { green, red } = colorsFor(terminal);
    const rows = report.globals.map(({ module, name, offset, known, calls }) => [
      `${module} ${name}`,
      String(offset),
      String(calls),
      known ? green('known') : red('NOT known'),
    ]);
    await print(
      terminal,
      table(
        [
          { title: 'global' },
          { title: 'offset', align: 'right' },
          { title: 'calls', align: 'right' },
          { title: 'verdict' },
        ],
        rows,
      ),
    );
    if (report.indirectCalls.length > 0)
      await print(terminal, red(`indirect calls at ${report.indirectCalls.join(', ')}\n`));
    await print(
      terminal,
      report.known ? green('ok: every call is known\n') : red('NOT ok: loading this in Python may run anything\n'),
    );
    return report.known ? 'ok' : 'problems';
  },
};

/** The dict in a file that has one; undefined for other pickles. */
function openIfDict(path: string): MmapDict | undefined {
  try {
    return MmapDict.open(path, { mode: 'r' });
  } catch (error) {
    if (isMmdError(error, 'NOT_MMDPICKLE')) return undefined;
    throw error;
  }
}

async function disassembleEntries(
  terminal: Terminal,
  path: string,
  dict: MmapDict,
  key: string | undefined,
  all: boolean,
): Promise<void> {
  const { bold } = colorsFor(terminal);
  using file = NodeFile.open(path, 'r');
  for (const entry of dict.scan()) {
    if (key !== undefined ? entry.key !== key || !entry.live : !entry.live && !all) continue;
    const name = entry.key === undefined ? '(a key that is not UTF-8)' : keyText(entry.key);
    await print(terminal, `${bold(`entry ${entry.offset}..${entry.end} ${entry.state} ${name}`)}\n`);
    const meta = entry.live && entry.key !== undefined ? dict.getMeta(entry.key) : undefined;
    const data =
      meta?.nbytes !== undefined && meta.entryOffset === entry.offset
        ? { offset: meta.offset, ...payloadAt(file, meta.offset) }
        : undefined;
    await print(terminal, disassembleValue(file, entry.valueOffset, entry.valueLength, data));
  }
}

interface Payload {
  readonly offset: number;
  readonly length: number;
}

/** An array's bytes stand behind the 8 bytes of their length. */
function payloadAt(file: NodeFile, offset: number): { readonly length: number } {
  const bytes = new Uint8Array(8);
  file.read(offset - 8, bytes);
  return { length: Number(new DataView(bytes.buffer).getBigUint64(0, true)) };
}

/** Disassembles a value where it stands, with offsets in the file; an array's bytes are left out, and not read. */
function disassembleValue(file: NodeFile, start: number, length: number, data: Payload | undefined): string {
  const headLength = data === undefined ? length : data.offset - start;
  const tailLength = data === undefined ? 0 : length - headLength - data.length;
  // PROTO before, STOP behind: a value alone is no pickle.
  const bytes = new Uint8Array(2 + headLength + tailLength + 1);
  bytes.set([0x80, 4]);
  file.read(start, bytes.subarray(2, 2 + headLength));
  if (data !== undefined) {
    bytes.fill(0, 2 + headLength - 8, 2 + headLength);
    file.read(data.offset + data.length, bytes.subarray(2 + headLength, 2 + headLength + tailLength));
  }
  bytes[bytes.length - 1] = 0x2e;
  const inFile = (pos: number): number =>
    start + pos - 2 + (data !== undefined && pos >= 2 + headLength ? data.length : 0);
  const dataPos = data === undefined ? undefined : 2 + headLength - 9;
  return disassemble(bytes)
    .split('\n')
    .slice(1, -3)
    .map((line) => {
      const colon = line.indexOf(':');
      const pos = Number(line.slice(0, colon));
      const rest = line.slice(colon).replace(/\(MARK at (\d+)\)$/, (_, mark) => `(MARK at ${inFile(Number(mark))})`);
      return `${String(inFile(pos)).padStart(8)}${rest}${pos === dataPos ? ` ${data?.length} bytes at ${data?.offset}` : ''}\n`;
    })
    .join('');
}
