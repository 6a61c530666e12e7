import {
  type DTypeLike,
  MaskedArray,
  type MmapDict,
  MmdError,
  memoryOver,
  NDArray,
  type TypedArray,
} from '@mmdpickle/core';
import { viewBytes } from '@mmdpickle/core/ndarray';
import type { Pending, Placed, Target } from '../ingest/target.ts';
import {
  arranged,
  type Column,
  checkRecord,
  type PlainRecord,
  parseSchema,
  type RecordSchema,
  structuredDescr,
} from '../sources/schema.ts';
import { type CompanionOptions, companionColumns, type RowColumn } from './companions.ts';
import { ownFrame } from './frame.ts';
import { RowPacker } from './row-packer.ts';
import { growable, type RowArray, type RowLayout, type RowStore } from './row-store.ts';

/** The type of the rows, and how they are stored. Either `dtype` (and `rowShape`) or `schema` must be given. */
export interface RowsOptions<T> extends CompanionOptions<T> {
  readonly dtype?: DTypeLike;
  /** The shape of one row. Default `[]`: one number per row. */
  readonly rowShape?: readonly number[];
  /** The frames are records with these columns. */
  readonly schema?: RecordSchema;
  /** How records are stored: one array of a structured dtype at `key` (default), or an array `<key>/<column>` each. */
  readonly records?: 'structured' | 'columns';
  /** Keep a mask: a dropped frame is then a masked row, so that row `i` is always frame `i`. */
  readonly masked?: boolean;
  /** The fill value of masked rows. */
  readonly fillValue?: unknown;
  /** {@link growable} (default), or {@link chunked}. */
  readonly layout?: RowLayout;
  /** Number of rows to allocate room for at first. */
  readonly capacity?: number;
  /** Reserve the disk space for the capacity at once. */
  readonly reserve?: boolean;
}

/** Blank rows are written in pieces of this many bytes. */
const BLANK_BYTES = 2 ** 20;

/**
 * A target with one row per frame, in growable arrays whose rows are committed together.
 * @param zeroSeq - the frame number of row 0, if there are no rows yet
 */
export function rowsTarget<T>(dict: MmapDict, key: string, options: RowsOptions<T>, zeroSeq: number): Target<T> {
  const layout = options.layout ?? growable();
  const main = mainColumns<T>(key, options);
  const { columns, rowBytes } = main;
  const all = [...columns, ...companionColumns(key, options, options.capacity)];
  refuseTwins(all);
  const stores = all.map((column) => layout(dict, column.key, column.spec));
  const masked = options.masked === true;
  const firstSeq = resumeSeq(options, stores);
  /**
   * Frame number minus row number. The next frame number follows from the number of rows, which stays right after frames
   * that got not even a masked row, rolled-back batches, and rows of other streams.
   */
  const lead = Math.max(zeroSeq, firstSeq) - Math.max(...stores.map((store) => store.refresh()));
  let nextSeq = 0;
  /** Number of rows, including those of this batch, which are not committed yet. */
  let length = 0;

  function appendBlank(seq: number, count: number): void {
    const most = Math.max(1, Math.floor(BLANK_BYTES / rowBytes));
    for (let done = 0; done < count; done += most) {
      const part = Math.min(most, count - done);
      for (const [i, column] of all.entries()) stores[i]!.append(blankRows(column, seq + done, part), part);
      length += part;
    }
  }

  /** Adds blank rows to columns that others left shorter (or that are new beside old ones), so that row numbers match. */
  function begin(): void {
    const lengths = stores.map((store) => store.refresh());
    length = Math.max(...lengths);
    nextSeq = length + lead;
    all.forEach((column, i) => {
      const missing = length - lengths[i]!;
      if (missing > 0) stores[i]!.append(blankRows(column, -1, missing), missing);
    });
  }

  function appendRun(frames: readonly Pending<T>[]): Placed[] {
    const start = length;
    all.forEach((column, i) => {
      const rows = column.pack(frames);
      stores[i]!.append(
        column.spec.masked ? withMask(arrayOf(rows, column, frames.length), frames) : rows,
        frames.length,
      );
    });
    length += frames.length;
    return frames.map((_, i) => ({ key, rows: { start: start + i, end: start + i + 1 } }));
  }

  return {
    firstSeq,
    measure(item) {
      main.check(item);
      return rowBytes;
    },
    own: ownFrame,
    write(frames) {
      begin();
      if (!masked) return appendRun(frames);
      const placed: Placed[] = [];
      for (const run of runsOf(frames)) {
        const { seq } = run[0]!;
        appendBlank(nextSeq, seq - nextSeq);
        placed.push(...appendRun(run));
        nextSeq = seq + run.length;
      }
      return placed;
    },
    finish(endSeq) {
      begin();
      if (masked && nextSeq < endSeq) appendBlank(nextSeq, endSeq - nextSeq);
      for (const store of stores) store.seal();
    },
  };
}

/** Refuses two columns with the same key: their rows would be interleaved in one array. */
function refuseTwins(columns: readonly { readonly key: string }[]): void {
  const twin = columns.find(({ key }, i) => columns.findIndex((other) => other.key === key) !== i);
  if (twin === undefined) return;
  const text = `'${twin.key}' is a column and a companion: rename the column, or disable the companion`;
  throw new MmdError('INVALID_ARGUMENT', text, { key: twin.key });
}

interface MainColumns<T> {
  readonly columns: RowColumn<T>[];
  readonly rowBytes: number;
  check(item: T): void;
}

function mainColumns<T>(key: string, options: RowsOptions<T>): MainColumns<T> {
  const { dtype, rowShape = [], schema, records = 'structured', masked = false } = options;
  if ((dtype === undefined) === (schema === undefined)) {
    throw new MmdError('INVALID_ARGUMENT', 'rows need either a dtype or the schema of records, not both', { key });
  }
  if (schema === undefined) {
    const packer = new RowPacker(dtype!, rowShape, masked);
    const column = packedColumn<T>(key, packer, options, (item) => item);
    return { columns: [column], rowBytes: packer.rowBytes, check: (item) => packer.check(item) };
  }
  const parsed = parseSchema(schema);
  const packers =
    records === 'structured'
      ? [new RowPacker(structuredDescr(parsed), [], masked)]
      : parsed.map((column) => new RowPacker(column.dtype, column.shape, masked));
  const columns =
    records === 'structured'
      ? [packedColumn<T>(key, packers[0]!, options, (item) => arrangedRecord(parsed, item as PlainRecord))]
      : parsed.map((column, i) =>
          packedColumn<T>(`${key}/${column.name}`, packers[i]!, options, (item) =>
            arranged(column, (item as PlainRecord)[column.name]),
          ),
        );
  return {
    columns,
    rowBytes: packers.reduce((sum, packer) => sum + packer.rowBytes, 0),
    check: (item) => checkRecord(parsed, item),
  };
}

/** The values in field order, not by name: checked properties may be inherited, and numpy renames a field without a name. */
function arrangedRecord(columns: readonly Column[], record: PlainRecord): readonly unknown[] {
  return columns.map((column) => arranged(column, record[column.name]));
}

function packedColumn<T>(
  key: string,
  packer: RowPacker,
  options: RowsOptions<T>,
  pick: (item: T) => unknown,
): RowColumn<T> {
  const { masked = false, fillValue = null, capacity, reserve = false } = options;
  return {
    key,
    spec: { dtype: packer.type, rowShape: packer.rowShape, masked, fillValue, capacity, reserve },
    pack: (frames) => packer.pack(frames.map(({ item }) => pick(item))),
    blank: (_seq, count) =>
      NDArray.over(memoryOver(new Uint8Array(count * packer.rowBytes)), packer.type, [count, ...packer.rowShape]),
  };
}

function blankRows<T>(column: RowColumn<T>, seq: number, count: number): RowArray {
  const blank = column.blank(seq, count);
  if (!column.spec.masked) return blank;
  const rows = arrayOf(blank, column, count);
  return new MaskedArray(rows, maskFor(rows.shape, true));
}

function arrayOf<T>(rows: NDArray | TypedArray, { spec }: RowColumn<T>, count: number): NDArray {
  if (rows instanceof NDArray) return rows;
  return NDArray.over(memoryOver(viewBytes(rows)), spec.dtype, [count, ...spec.rowShape]);
}

function withMask<T>(rows: NDArray, frames: readonly Pending<T>[]): MaskedArray {
  const mask = maskFor(rows.shape, false);
  frames.forEach(({ item }, i) => {
    if (item instanceof MaskedArray) mask.row(i).set(item.mask);
  });
  return new MaskedArray(rows, mask);
}

function maskFor(shape: readonly number[], hidden: boolean): NDArray {
  const size = shape.reduce((product, dim) => product * dim, 1);
  return NDArray.over(memoryOver(new Uint8Array(size).fill(hidden ? 1 : 0)), 'bool', shape);
}

/** Splits frames into runs of consecutive sequence numbers. */
function runsOf<T>(frames: readonly Pending<T>[]): Pending<T>[][] {
  const runs: Pending<T>[][] = [];
  for (const frame of frames) {
    const run = runs.at(-1);
    if (run !== undefined && run.at(-1)!.seq + 1 === frame.seq) run.push(frame);
    else runs.push([frame]);
  }
  return runs;
}

/** One more than the last number in `<key>/seq`, or the number of rows if that is higher or there is no such companion. */
function resumeSeq<T>(options: RowsOptions<T>, stores: readonly RowStore[]): number {
  const rows = stores[0]!.refresh();
  const last = options.seq === false ? undefined : stores.at(-1)!.last();
  return last === undefined ? rows : Math.max(rows, Number(last) + 1);
}
