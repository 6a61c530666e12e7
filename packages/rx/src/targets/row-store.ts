/**
 * Storage for the rows of one column: one growable array, or a series of arrays with a fixed number of rows.
 *
 * @module
 */

import {
  type DTypeLike,
  GrowableArray,
  GrowableMaskedArray as GrowableMaskedRows,
  isMmdError,
  MaskedArray,
  type MmapDict,
  MmdError,
  NDArray,
  parseDType,
  sameDType,
  slice,
  type TypedArray,
} from '@mmdpickle/core';
import { GrowableMaskedArray, GrowableNDArray } from '@mmdpickle/stubs';

/** The type of a column's rows, and how its array is allocated. */
export interface ColumnSpec {
  readonly dtype: DTypeLike;
  readonly rowShape: readonly number[];
  readonly masked: boolean;
  readonly fillValue: unknown;
  /** Number of rows to allocate room for. */
  readonly capacity: number | undefined;
  readonly reserve: boolean;
}

/** Contiguous rows; a typed array holds whole rows of the column's dtype. */
export type RowArray = NDArray | MaskedArray | TypedArray;

/** An array that rows can be appended to. */
export type Growing = GrowableArray | GrowableMaskedRows;

/** The rows of one column. */
export interface RowStore {
  /**
   * Reads the state in the dict again, at the start of each batch: rows that a rolled-back batch appended are forgotten.
   * @returns the number of committed rows
   */
  refresh(): number;
  /** For a column of sequence numbers: the last committed one, skipping blank rows; undefined if there is none. */
  last(): bigint | undefined;
  /** Appends `count` rows, inside a batch of the dict. */
  append(rows: RowArray, count: number): void;
  /** Trims the spare room, inside a batch. */
  seal(): void;
}

/** How a column is laid out in the dict. */
export type RowLayout = (dict: MmapDict, key: string, spec: ColumnSpec) => RowStore;

/** Rows of a sealed array are copied in pieces of this many bytes. */
const COPY_BYTES = 8 * 2 ** 20;

/** A layout with one growable array at the key itself. A sealed one is copied once into a new growable array. */
export function growable(): RowLayout {
  return (dict, key, spec) => {
    let array = existing(dict, key, spec);
    return {
      refresh() {
        if (!dict.has(key)) array = undefined;
        try {
          array?.refresh();
        } catch (error) {
          if (!isMmdError(error, 'INVALID_ARGUMENT')) throw error;
          // The batch that made it growable again was rolled back.
          array = existing(dict, key, spec);
        }
        return array?.shape[0] ?? dict.getMeta(key)?.shape?.[0] ?? 0;
      },
      last: () => lastOf(dict, key),
      append(rows) {
        array ??= dict.has(key) ? (existing(dict, key, spec) ?? regrow(dict, key, spec)) : create(dict, key, spec);
        appendTo(array, rows);
      },
      seal() {
        existing(dict, key, spec)?.seal();
        array = undefined;
      },
    };
  };
}

export function appendTo(array: Growing, rows: RowArray): void {
  (array as { append(rows: RowArray): unknown }).append(rows);
}

/** The last sequence number in a column of them that is not a blank. */
export function lastOf(dict: MmapDict, key: string): bigint | undefined {
  const array = dict.get(key);
  if (!(array instanceof NDArray) || array.ndim !== 1) return undefined;
  for (let row = array.size - 1; row >= 0; row -= 1) {
    const value = array.get(row);
    if (typeof value !== 'bigint') return undefined;
    if (value >= 0n) return value;
  }
  return undefined;
}

/** Creates the array, and returns it as read from the dict. */
export function create(dict: MmapDict, key: string, spec: ColumnSpec): Growing {
  const { dtype, rowShape, reserve, fillValue, capacity } = spec;
  const options = capacity === undefined ? { reserve } : { reserve, capacity };
  const stub = spec.masked
    ? new GrowableMaskedArray(rowShape, dtype, { ...options, fillValue })
    : new GrowableNDArray(rowShape, dtype, options);
  const array = dict.set(key, stub).get(key);
  if (isGrowing(array)) return array;
  throw new MmdError('UNSUPPORTED_VALUE', `'${key}': this dict does not support growable arrays`, {
    key,
    path: dict.name,
  });
}

/**
 * The growable array at the key; undefined if the array is sealed or missing.
 * @throws MmdError INVALID_ARGUMENT if the entry does not hold rows of this type
 */
export function existing(dict: MmapDict, key: string, spec: ColumnSpec): Growing | undefined {
  if (!dict.has(key)) return undefined;
  const array = dict.get(key);
  const fits =
    (array instanceof NDArray || array instanceof MaskedArray) &&
    array instanceof MaskedArray === spec.masked &&
    sameDType(array.type, parseDType(spec.dtype)) &&
    array.shape.length === spec.rowShape.length + 1 &&
    spec.rowShape.every((dim, i) => dim === array.shape[i + 1]);
  if (fits) return isGrowing(array) ? array : undefined;
  const isArray = array instanceof NDArray || array instanceof MaskedArray;
  const expected = { dtype: parseDType(spec.dtype).name, rowShape: spec.rowShape, masked: spec.masked };
  const rows = `${spec.masked ? 'masked ' : ''}rows of shape [${spec.rowShape.join(', ')}] of ${expected.dtype}`;
  const kind = array instanceof MaskedArray ? 'a masked array' : 'an array';
  const is = isArray
    ? `${kind} of shape [${array.shape.join(', ')}] of ${array.type.name}`
    : 'a value that is not an array';
  throw new MmdError('INVALID_ARGUMENT', `'${key}' already exists as ${is}: cannot append ${rows}`, {
    key,
    expected,
    found: isArray ? { dtype: array.type.name, shape: array.shape } : typeof array,
  });
}

function isGrowing(array: unknown): array is Growing {
  return array instanceof GrowableArray || array instanceof GrowableMaskedRows;
}

function regrow(dict: MmapDict, key: string, spec: ColumnSpec): Growing {
  const sealed = dict.get(key) as NDArray | MaskedArray;
  const rows = sealed.shape[0] ?? 0;
  const array = create(dict, key, {
    ...spec,
    fillValue: spec.fillValue ?? (sealed instanceof MaskedArray ? sealed.fillValue : null),
    capacity: Math.max(spec.capacity ?? 0, 2 * rows, 1),
  });
  const rowBytes = spec.rowShape.reduce((product, dim) => product * dim, sealed.type.itemsize);
  const step = Math.max(1, Math.floor(COPY_BYTES / Math.max(1, rowBytes)));
  for (let start = 0; start < rows; start += step) appendTo(array, sealed.slice(slice(start, start + step)));
  return array;
}
