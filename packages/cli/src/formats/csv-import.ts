import { readFileSync } from 'node:fs';
import { MmdError, type NDArray, ndarray, parseDType } from '@mmdpickle/core';
import { parse } from 'csv-parse/sync';
import { parseNumber } from '../text.ts';

/**
 * The arrays in a CSV file: one of two axes or, where the first line is a heading, one for each column, named `key/column`.
 *
 * @throws MmdError BAD_FORMAT, naming the line
 */
export function readCsv(path: string, key: string, dtype = 'float64'): Map<string, NDArray> {
  const rows = parseRows(path);
  const [heading = []] = rows;
  const named = heading.some((cell) => cell !== '' && numberOf(cell) === undefined);
  const twice = named ? heading.find((name, column) => heading.indexOf(name) !== column) : undefined;
  if (twice !== undefined) {
    const text = `${path}: two columns are named ${JSON.stringify(twice)}`;
    throw new MmdError('BAD_FORMAT', text, { path, found: twice });
  }
  const body = named ? rows.slice(1) : rows;
  const { kind, itemsize } = parseDType(dtype);
  const wide = (kind === 'i' || kind === 'u') && itemsize === 8;
  const numbers = body.map((row, index) =>
    row.map((cell) => cellNumber(cell, wide, `${path}: line ${index + (named ? 2 : 1)}`)),
  );
  if (!named) return new Map([[key, ndarray(numbers as number[][], [body.length, heading.length], dtype)]]);
  return new Map(
    heading.map((name, column) => [
      `${key}/${name}`,
      ndarray(numbers.map((row) => row[column] ?? Number.NaN) as number[], [body.length], dtype),
    ]),
  );
}

function parseRows(path: string): string[][] {
  const bytes = readFileSync(path);
  try {
    return parse(bytes, { skip_empty_lines: true, bom: true, trim: true });
  } catch (cause) {
    throw new MmdError('BAD_FORMAT', `${path}: ${(cause as Error).message}`, { path, cause });
  }
}

const WORDS: Readonly<Record<string, number>> = { true: 1, false: 0 };

function numberOf(cell: string): number | undefined {
  return WORDS[cell.toLowerCase()] ?? parseNumber(cell);
}

function cellNumber(cell: string, wide: boolean, where: string): number | bigint {
  if (wide && /^[+-]?\d+$/.test(cell)) return BigInt(cell);
  const value = cell === '' ? Number.NaN : numberOf(cell);
  if (value !== undefined) return value;
  throw new MmdError('BAD_FORMAT', `${where}: ${JSON.stringify(cell)} is not a number`, { found: cell });
}
