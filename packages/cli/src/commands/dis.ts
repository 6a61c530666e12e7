import { type EntryInfo, type EntryMeta, type MmapDict, NodeFile } from '@mmdpickle/core/node';
import { dis as disassemble, genops } from '@mmdpickle/core/pickle';
import type { CommandSpec, Invocation } from '../command.ts';
import { openIfDict, requireKeys } from '../dicts.ts';
import { usageError } from '../errors.ts';
import { mapInput } from '../input.ts';
import { jsonText } from '../json.ts';
import { colorsFor, print, type Terminal } from '../terminal.ts';
import { keyText } from '../text.ts';

/** Dead entries above this size are listed but not disassembled: they are mostly bytes of deleted arrays. */
const DEAD_LIMIT = 64 * 1024;

/** `mmdpickle dis`: opcodes as `pickletools.dis` prints them; of an mmdpickle file entry by entry. */
export const dis: CommandSpec = {
  args: '<file> [key]',
  argDocs: { file: 'a pickle or mmdpickle file, - for standard input', key: 'only the entry with this key' },
  options: [
    { flags: '--plain', doc: 'the whole file as one pickle, including array bytes' },
    { flags: '--all', doc: 'dead entries too' },
  ],
  examples: [
    { line: 'mmdpickle dis run.mmdpickle gain', doc: 'the opcodes of one value' },
    { line: 'mmdpickle dis settings.pkl', doc: 'any pickle' },
    { line: 'mmdpickle dis --json settings.pkl', doc: 'a JSON line for each opcode' },
  ],
  async run(invocation) {
    const { terminal, args, options, json } = invocation;
    const [path = ''] = args;
    using dict = path === '-' || options.plain === true ? undefined : openIfDict(path);
    if (dict === undefined && args[1] !== undefined)
      throw usageError(
        `${options.plain === true ? '--plain shows the file as' : `${path} is`} one pickle, which has no keys: omit the key`,
      );
    if (dict !== undefined) {
      await disassembleEntries(invocation, dict);
      return 'ok';
    }
    using input = await mapInput(path, terminal);
    if (!json) disassemble(input.bytes, { onLine: (line) => terminal.stdout.write(`${line}\n`) });
    else for (const op of genops(input.bytes)) await printOp(terminal, op.name, op.pos, op.arg);
    return 'ok';
  },
};

async function disassembleEntries({ terminal, args, options, json }: Invocation, dict: MmapDict): Promise<void> {
  const [path = '', key] = args;
  if (key !== undefined) requireKeys(dict, path, [key]);
  const { bold } = colorsFor(terminal);
  using file = NodeFile.open(path, 'r');
  for (const entry of dict.scan()) {
    const meta = entry.live && entry.key !== undefined ? dict.getMeta(entry.key) : undefined;
    // A live entry that is hidden by a later one with the same key has no meta of its own.
    const current = meta?.entryOffset === entry.offset ? meta : undefined;
    if (key !== undefined ? entry.key !== key || current === undefined : !entry.live && options.all !== true) continue;
    const { offset, end, state } = entry;
    if (json) await print(terminal, `${jsonText({ entry: offset, end, state, key: entry.key ?? null })}\n`);
    else {
      const name = entry.key === undefined ? '(a key that is not UTF-8)' : keyText(entry.key);
      await print(terminal, `${bold(`entry ${offset}..${end} ${state} ${name}`)}\n`);
    }
    if (current === undefined && entry.valueLength > DEAD_LIMIT) {
      if (!json) await print(terminal, `    ${entry.valueLength} bytes; --plain disassembles all\n`);
      continue;
    }
    const value = new ValueExcerpt(file, entry, current === undefined ? [] : payloadsOf(file, current));
    if (!json) await print(terminal, value.text());
    else for (const op of value.ops()) await printOp(terminal, op.name, op.pos, op.arg);
  }
}

async function printOp(terminal: Terminal, name: string, pos: number, arg: unknown): Promise<void> {
  await print(terminal, `${jsonText({ pos, name, arg })}\n`);
}

/** A range of the file. */
interface Range {
  readonly offset: number;
  readonly length: number;
}

/** Where the bytes of an array and of its mask are: after the 8 bytes of their length. */
function payloadsOf(file: NodeFile, { nbytes, offset, mask }: EntryMeta): Range[] {
  if (nbytes === undefined) return [];
  return [offset, ...(mask === undefined ? [] : [mask.dataOffset])].map((at) => {
    const bytes = new Uint8Array(8);
    file.read(at - 8, bytes);
    return { offset: at, length: Number(new DataView(bytes.buffer).getBigUint64(0, true)) };
  });
}

/** One opcode with its offset in the file. */
interface OpInFile {
  readonly pos: number;
  readonly name: string;
  /** The argument; for an array's bytes, their range in the file. */
  readonly arg: unknown;
}

/** A value as a pickle of its own (with PROTO and STOP added), without the bytes of arrays, which are not even read. */
class ValueExcerpt {
  readonly #bytes: Uint8Array;
  /** The ranges left out, and their positions in the excerpt. */
  readonly #gaps: (Range & { readonly pos: number })[] = [];
  readonly #shift: number;

  constructor(file: NodeFile, { valueOffset, valueLength }: EntryInfo, payloads: readonly Range[]) {
    const left = payloads.reduce((sum, { length }) => sum + length, 0);
    this.#bytes = new Uint8Array(2 + valueLength - left + 1);
    this.#bytes.set([0x80, 4]);
    this.#bytes[this.#bytes.length - 1] = 0x2e;
    this.#shift = valueOffset - 2;
    let from = valueOffset;
    let pos = 2;
    for (const payload of payloads) {
      pos += file.read(from, this.#bytes.subarray(pos, pos + payload.offset - from));
      this.#bytes.fill(0, pos - 8, pos);
      this.#gaps.push({ ...payload, pos });
      from = payload.offset + payload.length;
    }
    file.read(from, this.#bytes.subarray(pos, -1));
  }

  /** As `pickletools.dis` prints it, with offsets in the file. */
  text(): string {
    const lines = disassemble(this.#bytes).split('\n').slice(1, -3);
    return lines
      .map((line) => {
        const colon = line.indexOf(':');
        const pos = Number(line.slice(0, colon));
        const rest = line
          .slice(colon)
          .replace(/\(MARK at (\d+)\)$/, (_, at) => `(MARK at ${this.#inFile(Number(at))})`);
        const gap = this.#gapOf(pos);
        const note = gap === undefined ? '' : ` ${gap.length} bytes at ${gap.offset}`;
        return `${String(this.#inFile(pos)).padStart(8)}${rest}${note}\n`;
      })
      .join('');
  }

  *ops(): Generator<OpInFile> {
    for (const { pos, name, arg } of genops(this.#bytes)) {
      if (pos < 2 || name === 'STOP') continue;
      const gap = this.#gapOf(pos);
      yield { pos: this.#inFile(pos), name, arg: gap === undefined ? arg : { bytes: gap.length, at: gap.offset } };
    }
  }

  /** What was left out of the argument of the opcode at `pos`. */
  #gapOf(pos: number): Range | undefined {
    return this.#gaps.find((gap) => gap.pos === pos + 9);
  }

  #inFile(pos: number): number {
    return this.#gaps.reduce((at, gap) => (pos >= gap.pos ? at + gap.length : at), pos + this.#shift);
  }
}
