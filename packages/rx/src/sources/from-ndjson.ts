import { MmdError, parseJson } from '@mmdpickle/core';
import { checkOptions } from '@mmdpickle/core/options';
import type { Observable } from 'rxjs';
import { NDJSON_OPTIONS } from '../options.ts';
import { atLine } from './at-line.ts';
import { type ByteChunks, byteChunks } from './byte-chunks.ts';
import { LineCutter } from './line-cutter.ts';
import { observe } from './observe.ts';
import { type Column, checkRecord, type PlainRecord, parseSchema, type RecordSchema } from './schema.ts';

/** How newline-delimited JSON is read. */
export interface NdjsonOptions {
  /** The columns that each record must have. Default: any object. */
  readonly schema?: RecordSchema;
  /** Called for each line that is not JSON or does not match the schema; it is skipped. Without it the first one ends the stream. */
  readonly onInvalid?: (error: MmdError) => void;
  /** The longest line, in bytes. Default 1 MiB. */
  readonly maxLineBytes?: number;
}

/**
 * Reads one record per line. Blank lines are skipped, and integers beyond 2^53 - 1 become bigints. The next piece is read
 * when the records of the previous one are handled.
 *
 * @throws MmdError CORRUPT for a line that is not JSON in UTF-8, INVALID_ARGUMENT for one that does not match the schema,
 *   LIMIT_EXCEEDED for one that is too long
 */
export async function* readNdjson(source: ByteChunks, options: NdjsonOptions = {}): AsyncGenerator<PlainRecord> {
  checkOptions(options, NDJSON_OPTIONS);
  const columns = options.schema === undefined ? [] : parseSchema(options.schema);
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  const cutter = new LineCutter(options.maxLineBytes ?? 2 ** 20);

  function* records(lines: Iterable<Uint8Array>): Generator<PlainRecord> {
    for (const line of lines) {
      try {
        const record = parseLine(decoder, line, cutter.line);
        if (record === undefined) continue;
        checkLine(columns, record, cutter.line);
        yield record;
      } catch (error) {
        if (options.onInvalid === undefined || !(error instanceof MmdError)) throw error;
        options.onInvalid(error);
      }
    }
  }

  for await (const chunk of byteChunks(source)) yield* records(cutter.push(chunk));
  yield* records(cutter.end());
}

/** @throws MmdError that gives the line and the column */
function checkLine(columns: readonly Column[], record: unknown, line: number): asserts record is PlainRecord {
  try {
    checkRecord(columns, record);
  } catch (error) {
    throw atLine(line, error);
  }
}

/** The value of a line; undefined for a blank one. */
function parseLine(decoder: TextDecoder, bytes: Uint8Array, number: number): unknown {
  let line: string;
  try {
    line = decoder.decode(bytes);
  } catch (cause) {
    throw new MmdError('CORRUPT', `line ${number} is not UTF-8`, { cause });
  }
  // Some writers begin a file with a byte order mark, which is not part of its first line.
  if (number === 1 && line.startsWith('\uFEFF')) line = line.slice(1);
  if (line.trim() === '') return undefined;
  try {
    return parseJson(line);
  } catch (cause) {
    throw new MmdError('CORRUPT', `line ${number} is not JSON`, { found: line.slice(0, 80), cause });
  }
}

/**
 * {@link readNdjson} as an Observable.
 *
 * @example
 * ```ts
 * import { fromNdjson } from '@mmdpickle/rx';
 *
 * const lines = [new TextEncoder().encode('{"celsius": 21.5}\n{"celsius": 21.6}\n')];
 * fromNdjson(lines, { schema: { celsius: 'float32' } }).subscribe((record) => record.celsius);
 * ```
 */
export function fromNdjson(source: ByteChunks, options: NdjsonOptions = {}): Observable<PlainRecord> {
  return observe(source, (chunks) => readNdjson(chunks, options));
}
