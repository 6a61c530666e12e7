import { MmdError, type NDArray } from '@mmdpickle/core';
import { stringify } from 'csv-stringify/sync';
import { type AnyArray, dataOf, isLong } from '../arrays.ts';

/**
 * An array as CSV, a line for each row of the first axis; the elements of deeper axes are in one line. Structured
 * arrays get a heading with the names of their fields; masked elements are empty cells.
 *
 * @throws MmdError UNSUPPORTED_DTYPE for numbers that JavaScript can only represent as bytes
 */
export function* csvRows(array: AnyArray): Generator<string> {
  const { type } = dataOf(array);
  if (isLong(type))
    throw new MmdError('UNSUPPORTED_DTYPE', `CSV: the elements of ${type.name} cannot be read as numbers here`);
  const fields = type.fields?.map(({ name }) => name);
  if (fields !== undefined) yield csvLine(fields);
  const length = array.shape.length === 0 ? 1 : (array.shape[0] ?? 0);
  for (let index = 0; index < length; index += 1) {
    const row = array.shape.length === 0 ? array : (array.slice(index) as AnyArray);
    yield csvLine(
      elementsOf(row).flatMap((value) => (fields === undefined ? [cell(value)] : recordCells(value, fields))),
    );
  }
}

/** A row of one empty cell is quoted, as in Python's csv: readers skip empty lines, so a row would be missing. */
function csvLine(cells: readonly string[]): string {
  return stringify([cells], { quoted_empty: cells.length === 1 });
}

function elementsOf(array: AnyArray): unknown[] {
  const nested = (array as NDArray).toNested();
  return Array.isArray(nested) ? nested.flat(Number.POSITIVE_INFINITY) : [nested];
}

function recordCells(record: unknown, fields: readonly string[]): string[] {
  if (record === null) return fields.map(() => '');
  return fields.map((name) => cell((record as Record<string, unknown>)[name]));
}

function cell(value: unknown): string {
  if (value === null || value === undefined) return '';
  if (value === true) return 'True';
  if (value === false) return 'False';
  if (value instanceof Uint8Array)
    return Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('latin1');
  if (Array.isArray(value)) return value.map(cell).join(' ');
  // A nested record: it has no prototype, and so no methods.
  if (Object.getPrototypeOf(value) === null) return Object.values(value).map(cell).join(' ');
  return Object.is(value, -0) ? '-0' : String(value);
}
