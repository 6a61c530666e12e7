/**
 * The schema of plain records: the columns that the records of one stream have.
 *
 * @module
 */

import {
  type Descr,
  type DescrField,
  type DType,
  type DTypeLike,
  MmdError,
  memoryOver,
  NDArray,
} from '@mmdpickle/core';
import { isShape, wrongArgument } from '@mmdpickle/core/options';
import { isOfBytes, isTypedArray } from '../targets/frame.ts';
import { elementType } from '../targets/row-packer.ts';

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

/** A record: a value for each column. Columns with a shape take nested lists, flat lists in C order, and typed arrays. */
export type PlainRecord = { readonly [column: string]: unknown };

/**
 * Parses a schema.
 * @throws MmdError INVALID_ARGUMENT for a schema without columns or a bad shape, UNSUPPORTED_DTYPE
 */
export function parseSchema(schema: RecordSchema): readonly Column[] {
  if (typeof schema !== 'object' || schema === null || Array.isArray(schema))
    throw wrongArgument('a schema', 'an object of columns', schema);
  const columns = Object.entries(schema).map(([name, spec]) => {
    const shaped = hasShape(spec);
    const dtype = elementType(shaped ? spec.dtype : spec);
    const shape = shaped ? spec.shape : [];
    if (dtype.kind === 'O') {
      throw new MmdError(
        'UNSUPPORTED_DTYPE',
        `column '${name}' has a dtype of Python objects, which is not supported`,
        { found: dtype.name },
      );
    }
    if (!isShape.takes(shape)) throw wrongArgument(`the shape of column '${name}'`, isShape.expected, shape);
    return { name, dtype, shape: [...shape], size: shape.reduce((product, dim) => product * dim, 1) };
  });
  if (columns.length > 0) return columns;
  throw new MmdError('INVALID_ARGUMENT', 'a schema must have at least one column', {
    expected: 'columns',
    found: schema,
  });
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
 * Checks that a record has a value for each column, of its kind, range and shape. Other properties are ignored.
 * @throws MmdError INVALID_ARGUMENT that names the column
 */
export function checkRecord(columns: readonly Column[], record: unknown): asserts record is PlainRecord {
  if (typeof record !== 'object' || record === null || Array.isArray(record) || ArrayBuffer.isView(record)) {
    throw new MmdError('INVALID_ARGUMENT', 'a record must be a plain object', { expected: 'an object', found: record });
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

/** A column's value with a list for each axis of its shape: flat lists and typed arrays are nested in C order. */
export function arranged({ shape }: Column, value: unknown): unknown {
  if (shape.length < 2) return value;
  const elements = isTypedArray(value) ? [...(value as Iterable<unknown>)] : value;
  return Array.isArray(elements) && !elements.some(Array.isArray) ? nested(elements, shape) : value;
}

function nested(elements: readonly unknown[], [length = 0, ...shape]: readonly number[]): readonly unknown[] {
  if (shape.length === 0) return elements;
  const step = elements.length / length;
  return Array.from({ length }, (_, i) => nested(elements.slice(i * step, (i + 1) * step), shape));
}

function problemOfArray(column: Column, value: unknown): string | undefined {
  const { dtype, shape, size } = column;
  if (ArrayBuffer.isView(value)) {
    if (isOfBytes(dtype)) return `expected a list of ${size} elements of bytes, found a typed array`;
    const { length } = value as Uint8Array;
    return length === size ? problemOfSetting(dtype, shape, value) : `expected ${size} elements, found ${length}`;
  }
  if (!Array.isArray(value))
    return `expected a list or typed array of shape [${shape.join(', ')}], found ${typeof value}`;
  const flat = !value.some(Array.isArray);
  if (flat && value.length !== size) return `expected ${size} elements, found ${value.length}`;
  return problemOfLists(dtype, shape, arranged(column, value));
}

/** Checks nested lists against a shape, no deeper than the shape, however deep the lists are. */
function problemOfLists(dtype: DType, [length, ...shape]: readonly number[], value: unknown): string | undefined {
  if (length === undefined) return problemOf(dtype, value);
  if (!Array.isArray(value)) return `expected a list of ${length} items, found ${typeof value}`;
  if (value.length !== length) return `expected a list of ${length} items, found ${value.length}`;
  for (const item of value) {
    const problem = problemOfLists(dtype, shape, item);
    if (problem !== undefined) return problem;
  }
  return undefined;
}

/** The JavaScript types that each numpy kind accepts. */
const TYPES_OF_KIND: { readonly [kind in DType['kind']]: readonly string[] } = {
  b: ['boolean'],
  i: ['number', 'bigint'],
  u: ['number', 'bigint'],
  f: ['number', 'bigint'],
  c: ['number', 'bigint', 'object'],
  m: ['number', 'bigint', 'object'],
  M: ['number', 'bigint', 'object'],
  S: ['object', 'string'],
  U: ['string'],
  V: ['object'],
  O: [],
};

function problemOf(dtype: DType, value: unknown): string | undefined {
  const type = typeof value;
  if (value === undefined) return 'missing';
  if (!TYPES_OF_KIND[dtype.kind].includes(type))
    return `expected ${dtype.name}, found ${value === null ? 'null' : type}`;
  if (dtype.kind === 'i' || dtype.kind === 'u') return problemOfInteger(dtype, value as number | bigint);
  return problemOfSetting(dtype, [], value);
}

function problemOfInteger({ kind, itemsize, name }: DType, value: number | bigint): string | undefined {
  if (typeof value === 'number' && !Number.isInteger(value)) return `expected a whole number, found ${String(value)}`;
  const end = 2 ** (8 * itemsize - (kind === 'i' ? 1 : 0));
  return value >= (kind === 'i' ? -end : 0) && value < end ? undefined : `${name} cannot hold ${String(value)}`;
}

/** The error that setting the value in an array would give. */
function problemOfSetting(dtype: DType, shape: readonly number[], value: unknown): string | undefined {
  if (dtype.kind === 'f' || dtype.kind === 'b') return undefined;
  const size = shape.reduce((product, dim) => product * dim, dtype.itemsize);
  const array = NDArray.over(memoryOver(new Uint8Array(size)), dtype, [1, ...shape]);
  try {
    if (shape.length === 0) array.set(0, value);
    else array.row(0).set(value);
  } catch (error) {
    if (error instanceof MmdError) return error.message;
    throw error;
  }
  return undefined;
}
