import { createReadStream, statSync } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import {
  type ArraySource,
  Complex,
  type DType,
  isMmdError,
  MmdError,
  type NDArray,
  ndarray,
  parseDType,
} from '@mmdpickle/core';
import { atLine } from '@mmdpickle/rx';
import { CsvError, parse } from 'csv-parse';
import { usageError } from '../errors.ts';
import { CSV_TEXT, parseNumber } from '../text.ts';
import type { Transfer } from './formats.ts';

/**
 * The arrays in a CSV file: one of two axes or, if the first line is a heading, one for each column, named `key/column`.
 * They take the memory of their elements, not that of the text.
 *
 * @throws MmdError BAD_FORMAT, naming the line
 */
export async function readCsv(
  path: string,
  key: string,
  dtype: string,
  transfer: Pick<Transfer, 'signal'>,
): Promise<Map<string, ArraySource>> {
  const type = parseDType(dtype);
  if (!NUMBERS.includes(type.kind)) throw usageError(`--dtype: ${dtype} is not a numeric type`, dtype);
  let heading: readonly string[] | undefined;
  let columns: readonly Elements[] | undefined;
  let [rows, width] = [0, 0];
  for await (const { cells, line } of records(path, transfer)) {
    if (columns === undefined) {
      width = cells.length;
      if (cells.some((cell) => cell !== '' && numberOf(cell, type) === undefined)) heading = distinct(cells, path);
      columns = (heading ?? ['']).map(() => new Elements(type, path));
      if (heading !== undefined) continue;
    }
    rows += 1;
    for (const [column, cell] of cells.entries())
      columns[heading === undefined ? 0 : column]?.push(cellElement(cell, type, path, line), line);
  }
  if (heading === undefined) return new Map([[key, (columns?.[0] ?? new Elements(type, path)).source([rows, width])]]);
  return new Map(columns?.map((column, i) => [`${key}/${heading[i]}`, column.source([rows])]));
}

function distinct(names: readonly string[], path: string): readonly string[] {
  const twice = names.find((name, column) => names.indexOf(name) !== column);
  if (twice === undefined) return names;
  throw new MmdError('BAD_FORMAT', `${path}: two columns are named ${JSON.stringify(twice)}`, { path, found: twice });
}

/** The kinds of types that are numbers, or numbers of units as times are. */
const NUMBERS = 'biufcmM';

/** The element in a cell; null is NaT. */
type Element = number | bigint | Complex | null;

/** How many numbers are converted to elements at once. */
const PIECE = 65_536;

/** A growing list of elements. */
class Elements {
  readonly #type: DType;
  readonly #path: string;
  readonly #pieces: NDArray[] = [];
  #numbers: Element[] = [];
  /** The lines that `#numbers` come from. */
  #lines: number[] = [];

  constructor(type: DType, path: string) {
    this.#type = type;
    this.#path = path;
  }

  push(number: Element, line: number): void {
    this.#numbers.push(number);
    this.#lines.push(line);
    if (this.#numbers.length === PIECE) this.#flush();
  }

  source(shape: readonly number[]): ArraySource {
    this.#flush();
    const pieces = this.#pieces;
    return {
      arraySource: true,
      dtype: this.#type,
      shape,
      *bytes() {
        for (const piece of pieces) yield* piece.bytes();
      },
    };
  }

  #flush(): void {
    const numbers = this.#numbers;
    try {
      this.#pieces.push(this.#array(numbers));
    } catch (error) {
      for (const [i, number] of numbers.entries()) this.#check(number, this.#lines[i] as number);
      throw error;
    }
    this.#numbers = [];
    this.#lines = [];
  }

  #array(numbers: readonly Element[]): NDArray {
    return ndarray(numbers as number[], [numbers.length], { dtype: this.#type });
  }

  /** Checks one number. @throws MmdError that names the line */
  #check(number: Element, line: number): void {
    try {
      this.#array([number]);
    } catch (error) {
      throw inFile(this.#path, line, error);
    }
  }
}

async function* records(
  path: string,
  transfer: Pick<Transfer, 'signal'>,
): AsyncGenerator<{ readonly cells: readonly string[]; readonly line: number }> {
  // A pipe that nobody writes to is read by a thread that only the end of the process stops.
  const options = statSync(path, { bigint: true }).isFile() ? { signal: transfer.signal } : {};
  const parser = parse({ ...CSV_TEXT, info: true });
  // Its error is thrown by the parser, too.
  const reading = pipeline(createReadStream(path), (bytes) => decoded(bytes, path), parser, options).catch(() => {});
  try {
    for await (const { record, info } of parser as AsyncIterable<{ record: string[]; info: { lines: number } }>)
      yield { cells: record, line: info.lines };
  } catch (cause) {
    // Node names the file if opening failed, but not if reading did, as for a directory.
    if (cause instanceof Error && 'errno' in cause) (cause as NodeJS.ErrnoException).path ??= path;
    if (!(cause instanceof CsvError)) throw cause;
    throw new MmdError('BAD_FORMAT', `${path}: ${cause.message}`, { path, cause });
  } finally {
    parser.destroy();
    await reading;
  }
}

/** Decodes UTF-8, and what spreadsheets call Unicode (UTF-16 with a BOM). @throws MmdError BAD_FORMAT for invalid bytes */
async function* decoded(bytes: AsyncIterable<Uint8Array>, path: string): AsyncGenerator<string> {
  let decoder: TextDecoder | undefined;
  try {
    for await (const piece of bytes) {
      decoder ??= new TextDecoder(piece[0] === 0xff && piece[1] === 0xfe ? 'utf-16le' : 'utf-8', { fatal: true });
      yield decoder.decode(piece, { stream: true });
    }
    yield decoder?.decode() ?? '';
  } catch (cause) {
    if (!(cause instanceof TypeError)) throw cause;
    throw new MmdError('BAD_FORMAT', `${path}: the text is not UTF-8`, { path, cause });
  }
}

const WORDS: ReadonlyMap<string, number> = new Map([
  ['true', 1],
  ['false', 0],
]);

function numberOf(cell: string, { kind }: DType): number | Complex | undefined {
  return WORDS.get(cell.toLowerCase()) ?? parseNumber(cell) ?? (kind === 'c' ? complexOf(cell) : undefined);
}

/** Parses a complex number as Python and `get --csv` spell it: `(1-2j)`, and `2j` if the real part is 0. */
function complexOf(cell: string): Complex | undefined {
  const [, real = '0', imaginary = ''] =
    /^\(?(?:(.+?)(?=[+-]))??([+-]?(?:inf(?:inity)?|nan|[\d.]+(?:e[+-]?\d+)?))j\)?$/i.exec(cell) ?? [];
  const [re, im] = [parseNumber(real), parseNumber(imaginary)];
  return re === undefined || im === undefined ? undefined : new Complex(re, im);
}

function inFile(path: string, line: number, error: unknown): unknown {
  const told = atLine(line, error);
  if (!isMmdError(told)) return told;
  const { code, message, found, cause } = told;
  return new MmdError(code, `${path}: ${message}`, { path, found, cause });
}

function cellElement(cell: string, type: DType, path: string, line: number): Element {
  const { kind, itemsize } = type;
  if ('iumM'.includes(kind) && itemsize === 8 && /^[+-]?\d+$/.test(cell)) return BigInt(cell);
  if (cell === '' && 'mM'.includes(kind)) return null;
  const value = cell === '' ? Number.NaN : numberOf(cell, type);
  if (value === undefined || ('iu'.includes(kind) && Number.isNaN(value))) throw badCell('a number');
  // As an element, everything but 0 would be true, even a missing value.
  if (kind === 'b' && value !== 0 && value !== 1) throw badCell('true or false');
  return value;

  function badCell(expected: string): unknown {
    const text = `${JSON.stringify(cell)} is not ${expected}`;
    return inFile(path, line, new MmdError('BAD_FORMAT', text, { found: cell }));
  }
}
