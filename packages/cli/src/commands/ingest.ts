import { pipeline } from 'node:stream/promises';
import { MmapDict } from '@mmdpickle/core/node';
import {
  appendTo,
  chunked,
  FilePattern,
  framesPlace,
  type IngestOptions,
  type IngestStats,
  type Into,
  nodeSink,
  type Place,
  type Policy,
  planesPlace,
  type RollingOptions,
  type RowsOptions,
  rollingFiles,
  rowsPlace,
} from '@mmdpickle/rx';
import { EmptyNDArray } from '@mmdpickle/stubs';
import { from, fromEvent, ignoreElements, lastValueFrom, mergeMap, type Observable, take, takeUntil } from 'rxjs';
import type { CommandSpec, Invocation, OptionSpec } from '../command.ts';
import { usageError } from '../errors.ts';
import {
  type FrameForm,
  framesIn,
  framesOf,
  type IngestFrame,
  parseSchemaOption,
  parseShapeOption,
} from '../ingest/format.ts';
import { type ByteInput, openSource, SOURCES } from '../ingest/source.ts';
import { report, StatusLine } from '../ingest/status.ts';
import { parseByteCount, parsePositive, parseTime } from '../option-values.ts';
import { print, printJson } from '../terminal.ts';
import { bytesText, parseDuration } from '../text.ts';

const POLICIES: readonly Policy[] = ['block', 'drop-oldest', 'drop-newest', 'sample', 'error'];

/** Where the frames go, by `--into`. */
const TARGETS = {
  frames: { doc: 'an entry for each frame, KEY is their prefix', place: framesInto },
  rows: {
    doc: 'rows of a growable array',
    place: (into, settings) => rowsPlace(into, settings.key, rowsOptions(settings)),
  },
  chunks: {
    doc: 'arrays of --rows rows each',
    place: (into, settings) =>
      rowsPlace(into, settings.key, { ...rowsOptions(settings), layout: chunked({ rows: settings.rows }) }),
  },
  ring: {
    doc: 'an array of --planes planes, the oldest is written over',
    place: (into, settings) => planes(into, settings, 'ring'),
  },
  fill: {
    doc: 'an array of --planes planes, ends when it is full',
    place: (into, settings) => planes(into, settings, 'stop'),
  },
} as const satisfies Record<string, { doc: string; place(into: Into, settings: Settings): Place<IngestFrame> }>;

interface Settings {
  readonly key: string;
  readonly form: FrameForm;
  readonly rows: number;
  readonly planes: number;
}

const choices = (table: Readonly<Record<string, { doc: string }>>): string =>
  Object.entries(table)
    .map(([name, { doc }]) => `${name} (${doc})`)
    .join(', ');

const OPTIONS: readonly OptionSpec[] = [
  {
    flags: '--from <source>',
    doc: `where the frames come from: ${SOURCES.map(({ form, doc }) => `${form} (${doc})`).join(', ')}`,
    default: '-',
  },
  {
    flags: '--format <format>',
    doc: 'raw elements, or records a line each',
    choices: ['raw', 'ndjson', 'csv'],
    default: 'raw',
  },
  { flags: '--dtype <dtype>', doc: 'raw: the element type', default: 'uint8' },
  { flags: '--shape <dims>', doc: 'raw: the shape of one frame, 512,1024', parse: parseShapeOption, default: [] },
  {
    flags: '--schema <columns>',
    doc: 'records: celsius:float32,ok:bool,acceleration:float32[3]',
    parse: parseSchemaOption,
  },
  {
    flags: '--into <target>',
    doc: `where they go: ${choices(TARGETS)}`,
    choices: Object.keys(TARGETS),
    default: 'frames',
  },
  { flags: '--key <key>', doc: 'the key, for frames their prefix; frame/ or data when not given' },
  { flags: '--rows <n>', doc: 'chunks: rows of each array', parse: parsePositive, default: 1000 },
  { flags: '--planes <n>', doc: 'ring, fill: planes of the array', parse: parsePositive, default: 100 },
  { flags: '--max-frames <n>', doc: 'end after so many frames', parse: parsePositive },
  { flags: '--duration <time>', doc: 'end after this time: 10s, 5m, 2h', parse: parseTime },
  {
    flags: '--rollover <limit>',
    doc: 'a new file after 1000f (frames), 1GiB or 10m; OUT then holds {n}',
    parse: rollover,
  },
  { flags: '--keep <n>', doc: 'with --rollover: how many files to keep', parse: parsePositive },
  {
    flags: '--policy <policy>',
    doc: 'what happens when the disk is too slow; block where the source can wait, else drop-oldest',
    choices: POLICIES,
  },
  { flags: '--queue <bytes>', doc: 'how much may wait for the disk', parse: parseByteCount, default: 64 * 2 ** 20 },
  { flags: '--batch <time>', doc: 'collect frames for so long and commit them together', parse: parseTime },
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
  argDocs: { out: 'the mmdpickle file, made when it is not there; with {n} in its name for --rollover' },
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
      doc: 'a new file every two frames, the last three are kept',
    },
  ],
  async run(invocation) {
    const { args, options, terminal, json } = invocation;
    const [path = ''] = args;
    const settings = settingsOf(invocation);
    using home = openHome(path, invocation);
    const place = TARGETS[options.into as keyof typeof TARGETS].place(home.into, settings);
    const input = await openSource(options.from as string, terminal);
    const stats = await capture(input, place, settings.form, path, invocation);
    if (json) await printJson(terminal, report(stats, path));
    else
      await print(
        terminal,
        `${stats.written} frames, ${bytesText(stats.bytes)} written; ${stats.droppedTotal} dropped\n`,
      );
    return stats.droppedTotal === 0 ? 'ok' : 'problems';
  },
};

/** Runs the stream to its end, to a limit, or to Ctrl-C; drains and seals in every case. */
async function capture(
  input: ByteInput,
  place: Place<IngestFrame>,
  form: FrameForm,
  path: string,
  invocation: Invocation,
): Promise<IngestStats> {
  const { options, terminal } = invocation;
  const { maxFrames, duration: durationMs } = options as { maxFrames?: number; duration?: number };
  const policy = (options.policy as Policy | undefined) ?? (input.waits ? 'block' : 'drop-oldest');
  const stop = new AbortController();
  const end = (): void => stop.abort();
  terminal.signal.addEventListener('abort', end, { once: true });
  const timeout = durationMs === undefined ? undefined : setTimeout(end, durationMs);
  const ingestOptions: IngestOptions = {
    queue: { bytes: options.queue as number },
    policy,
    durability: options.durability as 'none' | 'commit',
    ...(options.batch !== undefined && { batch: { ms: options.batch as number } }),
  };
  try {
    if (policy === 'block') {
      if (!input.waits) throw usageError(`--policy block: ${String(options.from)} cannot wait`, policy);
      const sink = nodeSink(place, ingestOptions);
      using _status = new StatusLine(invocation, path, () => sink.stats());
      await pipeline(limited(framesOf(input.stream, form), maxFrames, stop.signal), sink);
      return sink.stats();
    }
    const frames$: Observable<IngestFrame> = input.waits
      ? from(framesOf(input.stream, form))
      : input.messages$.pipe(mergeMap((message) => framesIn(message, form)));
    const operator = appendTo(place, ingestOptions);
    using _status = new StatusLine(invocation, path, () => operator.stats());
    const stopped$ = fromEvent(stop.signal, 'abort');
    const run$ = frames$.pipe(
      take(maxFrames ?? Number.POSITIVE_INFINITY),
      takeUntil(stopped$),
      operator,
      ignoreElements(),
    );
    await lastValueFrom(run$, { defaultValue: undefined });
    return operator.stats();
  } finally {
    clearTimeout(timeout);
    terminal.signal.removeEventListener('abort', end);
    if (input.waits) input.stream.destroy();
  }
}

/** The frames up to a number of them, or until the signal: also while the source is silent. */
async function* limited<T>(source: AsyncIterable<T>, max: number | undefined, signal: AbortSignal): AsyncGenerator<T> {
  const iterator = source[Symbol.asyncIterator]();
  const aborted = new Promise<{ done: true; value: undefined }>((resolve) => {
    signal.addEventListener('abort', () => resolve({ done: true, value: undefined }), { once: true });
  });
  for (let count = 0; count < (max ?? Number.POSITIVE_INFINITY) && !signal.aborted; count += 1) {
    const next = await Promise.race([iterator.next(), aborted]);
    if (next.done === true) return;
    yield next.value;
  }
}

/** The file, or the row of files, that the frames go to. */
function openHome(path: string, { options }: Invocation): { readonly into: Into } & Disposable {
  const limits = options.rollover as RollingOptions | undefined;
  if (limits === undefined) {
    if (FilePattern.is(path)) throw usageError(`${path} holds {n}: say with --rollover when the next file begins`);
    const dict = MmapDict.open(path);
    return { into: dict, [Symbol.dispose]: () => dict.close() };
  }
  const keep = options.keep as number | undefined;
  return {
    into: rollingFiles(path, { ...limits, ...(keep !== undefined && { keep }) }),
    [Symbol.dispose]: () => undefined,
  };
}

function settingsOf({ options }: Invocation): Settings {
  const into = options.into as keyof typeof TARGETS;
  return {
    key: (options.key as string | undefined) ?? (into === 'frames' ? 'frame/' : 'data'),
    rows: options.rows as number,
    planes: options.planes as number,
    form: {
      format: options.format as FrameForm['format'],
      dtype: options.dtype as string,
      shape: options.shape as number[],
      schema: options.schema as FrameForm['schema'],
    },
  };
}

function framesInto(into: Into, { key }: Settings): Place<IngestFrame> {
  return framesPlace<IngestFrame>(into, { key });
}

function rowsOptions({ form }: Settings): RowsOptions<IngestFrame> {
  if (form.format === 'raw') return { dtype: form.dtype, rowShape: form.shape };
  if (form.schema === undefined) throw usageError(`--into rows: records need --schema name:dtype,...`);
  return { schema: form.schema };
}

function planes(into: Into, { key, form, planes: count }: Settings, mode: 'ring' | 'stop'): Place<IngestFrame> {
  if (!(into instanceof MmapDict))
    throw usageError('--rollover goes with frames, rows and chunks: planes have a number of their own');
  if (form.format !== 'raw') throw usageError(`--into planes of an array takes raw frames, not ${form.format}`);
  return planesPlace<IngestFrame>(into, key, new EmptyNDArray([count, ...form.shape], form.dtype), {
    mode,
  }) as Place<IngestFrame>;
}

function rollover(text: string): RollingOptions {
  const frames = /^(\d+)f$/.exec(text);
  if (frames !== null) return { frames: parsePositive(frames[1] ?? '') };
  // `10m` is ten minutes: megabytes are written MB or MiB.
  const ms = parseDuration(text);
  return ms === undefined || /^\d+$/.test(text) ? { bytes: parseByteCount(text) } : { ms };
}
