/** The commands that look for damage: fsck, seal, verify. @module */

import { fsck as checkFile, type FsckResult, MmapDict } from '@mmdpickle/core/node';
import type { CommandSpec, Invocation } from '../command.ts';
import { usageError } from '../errors.ts';
import type { ExitReason } from '../exit-codes.ts';
import { ProgressBar } from '../progress.ts';
import { colorsFor, print, printJson } from '../terminal.ts';
import { keyText, printable, table } from '../text.ts';
import { work } from '../work.ts';
import { printResult } from './result.ts';

type Finding = FsckResult['findings'][number];

const FILE = { args: '<file>', argDocs: { file: 'the mmdpickle file' } } as const;

/** `mmdpickle fsck`: checks structure and values; a reader never writes, so nothing is repaired unless requested. */
export const fsck: CommandSpec = {
  ...FILE,
  options: [
    {
      flags: '--repair',
      doc: 'finish or cut off what a crash left, including an entry cut in two by the end of the file; whole entries stay',
    },
    { flags: '--salvage <new>', doc: 'copy every intact entry into a new file; the damaged file is not changed' },
    { flags: '--no-values', doc: 'check only the structure, not whether each value can be read' },
  ],
  examples: [
    { line: 'mmdpickle fsck run.mmdpickle', doc: 'is it sound?' },
    { line: 'mmdpickle fsck --repair torn.mmdpickle', doc: 'after a power loss' },
    {
      line: 'mmdpickle fsck damaged.mmdpickle --salvage rescued.mmdpickle',
      doc: 'whatever can be read of a damaged file',
      exit: 'problems',
    },
  ],
  async run(invocation) {
    const { args, options } = invocation;
    const [path = ''] = args;
    const target = options.salvage as string | undefined;
    if (target === undefined) return await check(path, invocation);
    if (options.repair === true) throw usageError('--repair changes the file, --salvage leaves it alone: give one');
    return await rescue(path, target, invocation);
  },
};

async function check(path: string, invocation: Invocation): Promise<ExitReason> {
  const { options, terminal, json } = invocation;
  const values = options.values !== false;
  using bar = new ProgressBar(invocation, 'fsck', 'count');
  const first = checkFile(path, { values, repair: options.repair === true, onProgress: bar.update });
  const { repaired, live, dead } = first;
  const left = repaired ? checkFile(path, { values }) : first;
  bar[Symbol.dispose]();
  if (json) {
    const { findings } = first;
    await printJson(terminal, { ok: left.ok, repaired, live, dead, findings, left: left.findings });
  } else {
    await printFindings(invocation, first.findings);
    const repairable = !repaired && first.plan.length > 0 ? "; 'mmdpickle fsck --repair' repairs what it can" : '';
    const verdict = repaired
      ? `repaired, ${left.ok ? 'sound now' : 'but not completely'}`
      : left.ok
        ? 'sound'
        : 'NOT sound';
    await print(terminal, `${printable(path)}: ${verdict}: ${live} live entries, ${dead} dead${repairable}\n`);
  }
  return left.ok ? 'ok' : 'problems';
}

async function rescue(path: string, target: string, invocation: Invocation): Promise<ExitReason> {
  using bar = new ProgressBar(invocation, 'salvage', 'count');
  const { recovered, lost, breaks, unreadable } = await work(invocation, 'salvage', { path, target }, { bar });
  bar[Symbol.dispose]();
  const { terminal, json } = invocation;
  if (!json) {
    for (const { key, offset, message } of lost)
      await print(terminal, `lost ${keyText(key)} at ${offset}: ${printable(message)}\n`);
    if (breaks.length > 0) await print(terminal, `the chain of entries is broken at ${breaks.join(', ')}\n`);
    for (const { offset, length } of unreadable)
      await print(terminal, `${length} bytes at ${offset} cannot be read; another attempt may be able to\n`);
  }
  const line = `${recovered.length} keys recovered into ${target}, ${lost.length} lost`;
  await printResult(invocation, { recovered, lost, breaks, unreadable }, line);
  return lost.length === 0 && breaks.length === 0 && unreadable.length === 0 ? 'ok' : 'problems';
}

/** `mmdpickle seal`: writes a CRC-32C for every entry; the next change drops them. */
export const seal: CommandSpec = {
  ...FILE,
  options: [],
  examples: [{ line: 'mmdpickle seal run.mmdpickle', doc: 'before archiving the file' }],
  async run(invocation) {
    using dict = MmapDict.open(invocation.args[0] ?? '', { mode: 'r+' });
    using bar = new ProgressBar(invocation, 'seal', 'count');
    dict.seal({ checksums: true, onProgress: bar.update });
    bar[Symbol.dispose]();
    await printResult(invocation, { sealed: dict.size }, `${dict.size} entries sealed`);
    return 'ok';
  },
};

/** `mmdpickle verify`: compares a file with the checksums of the last seal. */
export const verify: CommandSpec = {
  ...FILE,
  options: [],
  examples: [{ line: 'mmdpickle verify sealed.mmdpickle', doc: 'is every byte unchanged?' }],
  async run(invocation) {
    const { args, json } = invocation;
    const [path = ''] = args;
    using dict = MmapDict.open(path, { mode: 'r' });
    using bar = new ProgressBar(invocation, 'verify', 'count');
    const { sealed, checked, findings } = dict.verify({ onProgress: bar.update });
    bar[Symbol.dispose]();
    if (!json) await printFindings(invocation, findings);
    const line = sealed
      ? `${path}: ${checked} entries compared, ${findings.length === 0 ? 'all as sealed' : 'NOT as sealed'}`
      : `${path}: changed since it was sealed, or never sealed; 'mmdpickle seal' writes the checksums`;
    await printResult(invocation, { sealed, checked, findings }, line);
    return sealed && findings.length === 0 ? 'ok' : 'problems';
  },
};

const COLUMNS = [
  { title: 'severity' },
  { title: 'what' },
  { title: 'offset', align: 'right' },
  { title: 'why' },
] as const;

async function printFindings({ terminal }: Invocation, findings: readonly Finding[]): Promise<void> {
  if (findings.length === 0) return;
  const { red, yellow, dim } = colorsFor(terminal);
  const paint = { error: red, warning: yellow, info: dim } as const;
  const rows = findings.map(({ severity, code, offset, message, key }) => [
    paint[severity](severity),
    code,
    String(offset),
    printable(key === undefined ? message : `${keyText(key)}: ${message}`),
  ]);
  await print(terminal, table(COLUMNS, rows));
}
