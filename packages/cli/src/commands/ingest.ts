import { MmapDict } from '@mmdpickle/core/node';
import { FilePattern, type Into, type Policy, type RollingOptions, rollingFiles } from '@mmdpickle/rx';
import type { CommandSpec, Invocation, OptionSpec } from '../command.ts';
import { leased } from '../dicts.ts';
import { usageError } from '../errors.ts';
import { type CaptureOptions, capture } from '../ingest/capture.ts';
import { type FrameForm, parseSchemaOption, requireSchema } from '../ingest/format.ts';
import { type ByteInput, openSource, SOURCES } from '../ingest/source.ts';
import { report, StatusLine } from '../ingest/status.ts';
import { TARGETS } from '../ingest/targets.ts';
import { parseByteCount, parseDTypeName, parsePositive, parseShapeOption, parseTime } from '../option-values.ts';
import { bytesText, parseDuration } from '../text.ts';
import { printResult } from './result.ts';

const POLICIES: readonly Policy[] = ['block', 'drop-oldest', 'drop-newest', 'sample', 'error'];

const OPTIONS: readonly OptionSpec[] = [
  {
    flags: '--from <source>',
    doc: `where the frames come from: ${SOURCES.map(({ form, doc }) => `${form} (${doc})`).join(', ')}`,
    default: '-',
  },
  {
    flags: '--format <format>',
    doc: 'raw elements, or one record per line; a CSV stream begins with a header line',
    choices: ['raw', 'ndjson', 'csv'],
    default: 'raw',
  },
  { flags: '--dtype <dtype>', doc: 'raw: the element type', parse: parseDTypeName, default: 'uint8' },
  {
    flags: '--shape <dims>',
    doc: 'raw: the shape of one frame, such as 512,1024; one element if not given',
    parse: parseShapeOption,
  },
  {
    flags: '--schema <columns>',
    doc: 'records: the columns, such as celsius:float32,ok:bool,acceleration:float32[3]',
    parse: parseSchemaOption,
  },
  {
    flags: '--into <target>',
    doc: `where they go: ${Object.entries(TARGETS)
      .map(([name, { doc }]) => `${name} (${doc})`)
      .join(', ')}`,
    choices: Object.keys(TARGETS),
    default: 'frames',
  },
  { flags: '--key <key>', doc: 'the key, or for frames their prefix; frame/ or data if not given' },
  { flags: '--rows <n>', doc: 'chunks: rows of each array', parse: parsePositive, default: 1000 },
  { flags: '--planes <n>', doc: 'ring, fill: planes of the array', parse: parsePositive, default: 100 },
  { flags: '--max-frames <n>', doc: 'end after this many frames', parse: parsePositive },
  {
    flags: '--duration <time>',
    doc: 'end this long after the source is ready (with tcp-listen: has a client): 10s, 5m, 2h',
    parse: parseTime,
  },
  {
    flags: '--rollover <limit>',
    doc: 'start a new file after 1000f (frames), 1GiB or 10m, say; OUT must contain {n}',
    parse: parseRollover,
  },
  { flags: '--keep <n>', doc: 'with --rollover: how many files to keep; all if not given', parse: parsePositive },
  {
    flags: '--policy <policy>',
    doc: 'what to do when the disk is too slow; if not given, block if the source can wait, else drop-oldest',
    choices: POLICIES,
  },
  {
    flags: '--invalid <what>',
    doc: 'what to do with lines and messages that are not valid frames: stop, the default if the source can wait, or skip and count them; of an invalid CSV record of several lines only the first line is skipped',
    choices: ['stop', 'skip'],
  },
  {
    flags: '--queue <bytes>',
    doc: 'how many bytes may wait for the disk',
    parse: parseByteCount,
    default: 64 * 2 ** 20,
    typed: '64MiB',
  },
  {
    flags: '--batch <time>',
    doc: 'collect frames for this long and commit them together; default 100ms if the source is a file, else each frame is committed at once',
    parse: parseTime,
  },
  {
    flags: '--durability <level>',
    doc: 'commit: each commit is on the disk before it counts',
    choices: ['none', 'commit'],
    default: 'none',
  },
];

/** `mmdpickle ingest`: a stream of frames into a file. */
export const ingest: CommandSpec = {
  args: '<out>',
  argDocs: { out: 'the mmdpickle file, created if it does not exist; with {n} in its name for --rollover' },
  options: OPTIONS,
  examples: [
    {
      line: 'cat frames.raw | mmdpickle ingest out.mmdpickle --dtype uint16 --shape 4,8',
      doc: 'raw frames from standard input',
    },
    {
      line: 'mmdpickle ingest out.mmdpickle --from records.ndjson --format ndjson --schema t:float64,ok:bool --into rows --key log',
      doc: 'records into one growable structured array',
    },
    {
      line: 'mmdpickle ingest out.mmdpickle --from records.csv --format csv --schema t:float64,ok:bool --into chunks --rows 2 --key log',
      doc: 'a CSV file into arrays of two rows each',
    },
    {
      line: "mmdpickle ingest 'run-{n}.mmdpickle' --from frames.raw --dtype uint16 --shape 4,8 --rollover 2f --keep 3",
      doc: 'a new file every two frames, keeping the last three',
    },
    {
      line: 'mmdpickle ingest out.mmdpickle --from udp://127.0.0.1:0 --dtype float32 --shape 3 --into ring --planes 8 --duration 300ms',
      doc: 'datagrams into a ring of eight planes, for a third of a second',
    },
  ],
  async run(invocation) {
    const { args, options } = invocation;
    const [path = ''] = args;
    const target = TARGETS[options.into as string];
    if (target === undefined) throw usageError(`--into: unknown target ${String(options.into)}`);
    const form = formOf(invocation);
    const placeIn = target.placeIn({
      key: (options.key as string | undefined) ?? target.key,
      rows: options.rows as number,
      planes: options.planes as number,
      rolling: options.rollover !== undefined,
      form,
    });
    // Everything that can be refused is checked before the file is created, so that no error leaves an empty file behind.
    using input = await openSource(options.from as string, invocation);
    const how = captureOptions(invocation, input);
    if (how.policy === 'block' && !input.waits)
      throw usageError('--policy block: this source cannot wait; choose a policy that drops frames', how.policy);
    using home = openHome(path, invocation);
    const stats = await capture(input, placeIn(home.into), form, how, (read) => new StatusLine(invocation, path, read));
    const { written, bytes, droppedTotal, invalid } = stats;
    const skipped = invalid > 0 ? `, ${invalid} invalid` : '';
    const line = `${written} frames, ${bytesText(bytes)} written; ${droppedTotal} dropped${skipped}`;
    await printResult(invocation, report(stats, path), line);
    return droppedTotal + invalid === 0 ? 'ok' : 'problems';
  },
};

function formOf({ options }: Invocation): FrameForm {
  const form: FrameForm = {
    format: options.format as FrameForm['format'],
    dtype: options.dtype as string,
    shape: (options.shape as number[] | undefined) ?? [],
    schema: options.schema as FrameForm['schema'],
  };
  // Without --format, a stream of records would be stored byte by byte without an error.
  if (form.format === 'raw' && form.schema !== undefined)
    throw usageError('--schema: raw elements have no columns; use --format ndjson or csv');
  if (form.format !== 'raw' && form.shape.length > 0)
    throw usageError('--shape: records have columns; use --schema name:float32[4,8]', form.shape);
  if (form.format === 'csv') requireSchema(form);
  if (form.format === 'raw' && form.shape.includes(0))
    throw usageError('--shape: a frame must have at least one element', form.shape);
  return form;
}

/** A file can be read again, and nobody waits for each of its frames: a commit for every frame would only be slow. */
const FILE_BATCH_MS = 100;

function captureOptions({ options, terminal }: Invocation, input: ByteInput): CaptureOptions {
  const batch = (options.batch as number | undefined) ?? (input.waits && input.isFile ? FILE_BATCH_MS : undefined);
  return {
    maxFrames: options.maxFrames as number | undefined,
    durationMs: options.duration as number | undefined,
    policy: options.policy as Policy | undefined,
    invalid: options.invalid as CaptureOptions['invalid'],
    signal: terminal.signal,
    ingest: {
      queue: { bytes: options.queue as number },
      durability: options.durability as 'none' | 'commit',
      ...(batch !== undefined && { batch: { ms: batch } }),
    },
  };
}

/** The file, with its lease, or the series of files that the frames are written to. */
function openHome(path: string, { options }: Invocation): { readonly into: Into } & Disposable {
  const limits = options.rollover as RollingOptions | undefined;
  if (limits === undefined) {
    if (options.keep !== undefined) throw usageError('--keep: needs --rollover, which sets when the next file begins');
    if (FilePattern.is(path)) throw usageError(`${path} contains {n}: use --rollover to set when the next file begins`);
    const dict = MmapDict.open(path);
    try {
      const lease = leased(dict);
      return {
        into: dict,
        [Symbol.dispose]() {
          dict.close();
          lease[Symbol.dispose]();
        },
      };
    } catch (error) {
      dict.close();
      throw error;
    }
  }
  const keep = options.keep as number | undefined;
  return {
    into: rollingFiles(path, { ...limits, ...(keep !== undefined && { keep }) }),
    [Symbol.dispose]: () => undefined,
  };
}

function parseRollover(text: string): RollingOptions {
  const frames = /^(\d+)f$/.exec(text);
  if (frames !== null) return { frames: parsePositive(frames[1] ?? '') };
  // `10m` means ten minutes: megabytes are written as MB or MiB.
  const ms = parseDuration(text);
  return ms === undefined || /^\d+$/.test(text) ? { bytes: parseByteCount(text) } : { ms };
}
