/**
 * How bytes become frames: raw elements, or records as JSON or CSV, one per line.
 *
 * @module
 */

import type { Readable } from 'node:stream';
import { type DTypeLike, isMmdError, MmdError, memoryOver, NDArray, parseDType, parseJson } from '@mmdpickle/core';
import {
  atLine,
  checkRecord,
  cutFrames,
  type PlainRecord,
  parseSchema,
  type RecordSchema,
  readNdjson,
} from '@mmdpickle/rx';
import { parse as parseCsv } from 'csv-parse/sync';
import { isLong } from '../arrays.ts';
import { usageError } from '../errors.ts';
import { CSV_TEXT, parseNumber, parseTruth } from '../text.ts';
import { CsvRows } from './csv-rows.ts';

/** The form of the frames, from the command line. */
export interface FrameForm {
  readonly format: 'raw' | 'ndjson' | 'csv';
  /** Raw: the element type and the shape of one frame. */
  readonly dtype: DTypeLike;
  readonly shape: readonly number[];
  /** Records: the columns. */
  readonly schema: RecordSchema | undefined;
}

/** The longest CSV record, like the longest NDJSON line: one whose quote is never closed must not fill memory. */
const MAX_RECORD = 2 ** 20;

export type IngestFrame = NDArray | PlainRecord;

/** Parses `--schema`: `celsius:float32,ok:bool,acceleration:float32[3]`. */
export function parseSchemaOption(text: string): RecordSchema {
  // Without a prototype, so that a column can have any name.
  const schema = Object.create(null) as Record<string, DTypeLike | { dtype: DTypeLike; shape: number[] }>;
  for (const part of text.split(/,(?![^[]*\])/)) {
    const match = /^([^:]+):([^[\]]+(?:\[\d*[A-Za-z]+\])?)(?:\[(\d+(?:,\d+)*)\])?$/.exec(part.trim());
    if (match === null) throw usageError(`expected name:dtype or name:dtype[n,m], found ${part}`, part);
    const [, name = '', dtype = '', dims] = match;
    if (name in schema) throw usageError(`two columns are named ${name}`, part);
    schema[name] = dims === undefined ? dtype : { dtype, shape: dims.split(',').map(Number) };
  }
  for (const { name, dtype } of parseSchema(schema)) {
    if (dtype.kind === 'V' || isLong(dtype))
      throw usageError(`column ${name}: ${dtype.name} cannot be read from text`, name);
  }
  return schema;
}

/**
 * Frames of a stream that can wait, one at a time.
 *
 * @param onInvalid - called for each line that is not a valid frame, and for a frame that is cut off; without it, the first one throws
 */
export function framesOf(
  stream: Readable,
  form: FrameForm,
  onInvalid: (() => void) | undefined,
): AsyncIterable<IngestFrame> {
  const { format, dtype, shape, schema } = form;
  if (format === 'csv') return csvRecords(stream, requireSchema(form), onInvalid);
  if (format === 'ndjson') return jsonRecords(stream, schema, onInvalid);
  return cutFrames(stream, { dtype, shape, ...(onInvalid !== undefined && { onTail: onInvalid }) });
}

/** The frames in one message. */
export function framesIn(message: Uint8Array, form: FrameForm): IngestFrame[] {
  if (form.format === 'raw') return rawFrames(message, form);
  const text = decodeText(message);
  if (form.format === 'csv') {
    const schema = requireSchema(form);
    return messageRows(text, Object.keys(schema)).map((row) => typedRecord(row, schema));
  }
  return text
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) => jsonRecord(line, form.schema));
}

function messageRows(text: string, columns: string[]): Record<string, string>[] {
  try {
    return parseCsv(text, { columns, ...CSV_TEXT });
  } catch (cause) {
    throw new MmdError('CORRUPT', `csv: ${(cause as Error).message}`, { cause });
  }
}

function rawFrames(message: Uint8Array, { dtype, shape }: FrameForm): NDArray[] {
  const type = parseDType(dtype);
  const size = shape.reduce((product, dim) => product * dim, type.itemsize);
  if (size === 0 || message.length % size !== 0) {
    throw new MmdError(
      'TRUNCATED',
      `a message of ${message.length} bytes is not a whole number of frames of ${size} bytes`,
      {
        expected: size,
        found: message.length,
      },
    );
  }
  return Array.from({ length: message.length / size }, (_, index) =>
    NDArray.over(memoryOver(message.subarray(index * size, (index + 1) * size)), type, shape),
  );
}

function jsonRecord(line: string, schema: RecordSchema | undefined): PlainRecord {
  let record: unknown;
  try {
    record = parseJson(line);
  } catch (cause) {
    throw new MmdError('CORRUPT', `not JSON: ${line.slice(0, 80)}`, { found: line, cause });
  }
  return fitting(schema === undefined ? [] : parseSchema(schema), record);
}

async function* jsonRecords(
  stream: Readable,
  schema: RecordSchema | undefined,
  onInvalid: (() => void) | undefined,
): AsyncGenerator<PlainRecord> {
  try {
    yield* readNdjson(stream, {
      ...(schema !== undefined && { schema }),
      ...(onInvalid !== undefined && { onInvalid }),
    });
  } catch (cause) {
    throw asBadInput(cause);
  }
}

async function* csvRecords(
  stream: Readable,
  schema: RecordSchema,
  onInvalid: (() => void) | undefined,
): AsyncGenerator<PlainRecord> {
  const csv = new CsvRows(MAX_RECORD);
  // The first line names the columns; the schema says which of them are stored, and as what.
  let heading: readonly string[] | undefined;

  function* records(piece: string, last = false): Generator<PlainRecord> {
    for (const { cells, line, problem } of csv.take(piece, last)) {
      let record: PlainRecord | undefined;
      try {
        if (problem !== undefined) throw problem;
        if (heading === undefined) heading = headingOf(cells, schema);
        else record = typedRecord(decodedRow(named(cells, heading), schema), schema);
      } catch (error) {
        if (onInvalid === undefined || heading === undefined) throw atLine(line, error);
        onInvalid();
        // A stray quote may have merged many rows into one.
        csv.again();
      }
      if (record !== undefined) yield record;
    }
  }

  for await (const piece of decoded(stream)) yield* records(piece);
  yield* records('', true);
}

/** The text of a stream: UTF-8, or what spreadsheets call Unicode (UTF-16 with a BOM). U+FFFD replaces invalid bytes. */
async function* decoded(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  let decoder: TextDecoder | undefined;
  let first: Uint8Array = new Uint8Array();
  for await (const chunk of bytes) {
    first = decoder === undefined ? Buffer.concat([first, chunk]) : chunk;
    if (decoder === undefined && first.length < 2) continue;
    decoder ??= new TextDecoder(first[0] === 0xff && first[1] === 0xfe ? 'utf-16le' : 'utf-8');
    yield decoder.decode(first, { stream: true });
  }
  yield decoder === undefined ? new TextDecoder().decode(first) : decoder.decode();
}

function headingOf(names: readonly string[], schema: RecordSchema): readonly string[] {
  // Two columns may share a name if neither is stored.
  const twice = names.find((name, column) => names.indexOf(name) !== column && Object.hasOwn(schema, name));
  if (twice === undefined) return names;
  throw new MmdError('CORRUPT', `csv: two columns are named '${twice}' in the header`, { found: twice });
}

/** The cells of a row by column name. */
function named(cells: readonly string[], heading: readonly string[]): Readonly<Record<string, string>> {
  if (cells.length === heading.length)
    return Object.fromEntries(heading.map((name, column) => [name, cells[column] as string]));
  const text = `csv: ${cells.length} cells, but the header has ${heading.length}`;
  throw new MmdError('CORRUPT', text, { expected: heading.length, found: cells.length });
}

/** Refuses cells with U+FFFD, by which decoding replaces invalid UTF-8: stored, it would look like what was sent. */
function decodedRow(row: Readonly<Record<string, string>>, schema: RecordSchema): Readonly<Record<string, string>> {
  const [bad] = Object.entries(row).filter(([name, cell]) => cell.includes('\uFFFD') && Object.hasOwn(schema, name));
  if (bad === undefined) return row;
  const text = `csv: column '${bad[0]}': ${JSON.stringify(bad[1])} is not UTF-8, or contains the replacement character U+FFFD`;
  throw new MmdError('CORRUPT', text, { found: bad[1] });
}

/** Converts the cells of a row to the types of their columns. */
function typedRecord(row: Readonly<Record<string, string>>, schema: RecordSchema): PlainRecord {
  const columns = parseSchema(schema);
  const record = Object.fromEntries(
    columns.map(({ name, dtype, shape }) => {
      const cell = Object.hasOwn(row, name) ? row[name] : undefined;
      if (cell === undefined)
        throw new MmdError('CORRUPT', `csv: no column '${name}' in the header`, { expected: name });
      const values = shape.length > 0 ? cell.split(/\s+/) : [cell];
      const typed = values.map((value) => cellValue(value, dtype.kind, name));
      return [name, shape.length > 0 ? typed : typed[0]];
    }),
  );
  return fitting(columns, record);
}

/** The record, checked against the schema. */
function fitting(columns: ReturnType<typeof parseSchema>, record: unknown): PlainRecord {
  try {
    checkRecord(columns, record as PlainRecord);
    return record as PlainRecord;
  } catch (cause) {
    throw asBadInput(cause);
  }
}

/** A record that does not match the schema is bad input, not an invalid argument of the command. */
function asBadInput(cause: unknown): unknown {
  return isMmdError(cause, 'INVALID_ARGUMENT') ? new MmdError('CORRUPT', cause.message, { cause }) : cause;
}

function cellValue(text: string, kind: string, name: string): unknown {
  if (kind === 'U') return text;
  if (kind === 'S') return new TextEncoder().encode(text);
  const whole = 'iumM'.includes(kind);
  const value = kind === 'b' ? parseTruth(text) : whole ? wholeNumber(text) : parseNumber(text);
  if (value !== undefined) return value;
  const expected = kind === 'b' ? 'neither true nor false' : whole ? 'not a whole number' : 'not a number';
  throw new MmdError('CORRUPT', `csv: column '${name}': ${JSON.stringify(text)} is ${expected}`, {
    found: text,
  });
}

function wholeNumber(text: string): bigint | undefined {
  return /^[+-]?\d+$/.test(text) ? BigInt(text) : undefined;
}

export function requireSchema({ schema }: FrameForm): RecordSchema {
  if (schema !== undefined) return schema;
  throw usageError('--format csv needs --schema name:dtype,...');
}

function decodeText(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new MmdError('CORRUPT', 'a message is not UTF-8', { cause });
  }
}
