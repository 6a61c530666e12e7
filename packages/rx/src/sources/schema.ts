/**
 * What a plain record looks like: the columns that records of one stream have.
 *
 * @module
 */

import { type Descr, type DescrField, type DType, type DTypeLike, MmdError, parseDType } from '@mmdpickle/core';

/** One column: a dtype alone, or with the shape of one record's value. */
export type SchemaColumn = DTypeLike | { readonly dtype: DTypeLike; readonly shape: readonly number[] };

/**
 * Column names with their dtypes, in the order in which they are stored.
 *
 * @example
 * ```ts
 * import { checkRecord, parseSchema } from '@mmdpickle/rx';
 *
 * const columns = parseSchema({ celsius: 'float32', acceleration: { dtype: 'float32', shape: [3] } });
 * checkRecord(columns, { celsius: 21.5, acceleration: [0, 0, 9.81] });
 * ```
 */
export type RecordSchema = { readonly [column: string]: SchemaColumn };

/** A parsed column. */
export interface Column {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** Elements in one record's value. */
  readonly size: number;
}

/** A record: a value for each column. Columns with a shape take arrays, typed arrays, or nested arrays. */
export type PlainRecord = { readonly [column: string]: unknown };

/**
 * Parses a schema.
 * @throws MmdError INVALID_ARGUMENT for a schema without columns or a bad shape, UNSUPPORTED_DTYPE
 */
export function parseSchema(schema: RecordSchema): readonly Column[] {
  const columns = Object.entries(schema).map(([name, spec]) => {
    const shaped = hasShape(spec);
    const dtype = parseDType(shaped ? spec.dtype : spec);
    const shape = shaped ? spec.shape : [];
    if (dtype.kind === 'O') {
      throw new MmdError('UNSUPPORTED_DTYPE', `column '${name}' holds Python objects`, { found: dtype.name });
    }
    if (!shape.every((dim) => Number.isSafeInteger(dim) && dim >= 0)) {
      throw new MmdError('INVALID_ARGUMENT', `column '${name}' has shape [${shape.join(', ')}]`, { found: shape });
    }
    return { name, dtype, shape: [...shape], size: shape.reduce((product, dim) => product * dim, 1) };
  });
  if (columns.length > 0) return columns;
  throw new MmdError('INVALID_ARGUMENT', 'a schema has at least one column', { expected: 'columns', found: schema });
}

function hasShape(spec: SchemaColumn): spec is { readonly dtype: DTypeLike; readonly shape: readonly number[] } {
  return typeof spec === 'object' && spec !== null && !Array.isArray(spec) && 'dtype' in spec && !('itemsize' in spec);
}

/** The structured dtype whose fields are the columns. */
export function structuredDescr(columns: readonly Column[]): Descr {
  return columns.map(
    ({ name, dtype, shape }): DescrField => (shape.length > 0 ? [name, dtype.descr, [...shape]] : [name, dtype.descr]),
  );
}

/**
 * Checks that a record has each column, with a value of its kind and size. Other properties are ignored.
 * @throws MmdError INVALID_ARGUMENT that names the column
 */
export function checkRecord(columns: readonly Column[], record: unknown): asserts record is PlainRecord {
  if (typeof record !== 'object' || record === null || Array.isArray(record) || ArrayBuffer.isView(record)) {
    throw new MmdError('INVALID_ARGUMENT', 'a record is a plain object', { expected: 'an object', found: record });
  }
  for (const column of columns) {
    const value = (record as PlainRecord)[column.name];
    const problem = column.shape.length === 0 ? problemOf(column.dtype, value) : problemOfArray(column, value);
    if (problem === undefined) continue;
    throw new MmdError('INVALID_ARGUMENT', `column '${column.name}': ${problem}`, {
      key: column.name,
      expected: `${column.dtype.name} of shape [${column.shape.join(', ')}]`,
      found: value,
    });
  }
}

/** The elements of a column's value, in C order. */
export function flatten(value: unknown): unknown[] {
  if (ArrayBuffer.isView(value)) return [...(value as unknown as Iterable<unknown>)];
  return Array.isArray(value) ? value.flat(Number.POSITIVE_INFINITY) : [value];
}

function problemOfArray({ dtype, shape, size }: Column, value: unknown): string | undefined {
  if (ArrayBuffer.isView(value)) {
    const { length } = value as Uint8Array;
    return length === size ? undefined : `expected ${size} elements, found ${length}`;
  }
  if (!Array.isArray(value)) return `expected an array of shape [${shape.join(', ')}], found ${typeof value}`;
  const elements = flatten(value);
  if (elements.length !== size) return `expected ${size} elements, found ${elements.length}`;
  return elements.map((element) => problemOf(dtype, element)).find((problem) => problem !== undefined);
}

/** What JavaScript types each numpy kind is filled from. */
const TYPES_OF_KIND: { readonly [kind in DType['kind']]: readonly string[] } = {
  b: ['boolean'],
  i: ['number', 'bigint'],
  u: ['number', 'bigint'],
  f: ['number', 'bigint'],
  c: ['number', 'bigint', 'object'],
  m: ['number', 'bigint', 'object'],
  M: ['number', 'bigint', 'object'],
  S: ['object'],
  U: ['string'],
  V: ['object'],
  O: [],
};

function problemOf(dtype: DType, value: unknown): string | undefined {
  const type = typeof value;
  if (value === undefined) return 'missing';
  if (!TYPES_OF_KIND[dtype.kind].includes(type))
    return `expected ${dtype.name}, found ${value === null ? 'null' : type}`;
  if ((dtype.kind === 'i' || dtype.kind === 'u') && type === 'number' && !Number.isInteger(value)) {
    return `expected a whole number, found ${String(value)}`;
  }
  return undefined;
}
