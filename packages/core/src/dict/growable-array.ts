/**
 * Arrays that grow by rows, in place: the rows are written into reserved room, and one 8-byte store commits them.
 *
 * @module
 */

import { viewBytes } from '../bytes/index.ts';
import { MmdError } from '../errors.ts';
import { bytesOf } from '../format/array-codec.ts';
import {
  type ArrayMemory,
  type ArraySource,
  type DType,
  isArraySource,
  NDArray,
  ndarray,
  type TypedArray,
} from '../ndarray/index.ts';
import { sizeOf } from '../ndarray/shapes.ts';
import type { StorageFile } from '../storage/storage-file.ts';

/** Rows to append: a typed array or nested lists of one or more rows, or an array of the rows' shape. */
export type RowsLike = TypedArray | NDArray | readonly unknown[] | number | bigint | boolean | string;

/** A source that is stored as a growable array. */
export type GrowableSource = ArraySource & { readonly capacity: number; readonly mask?: undefined };

/** The file offsets of a growable array's parts. */
export interface GrowablePlace {
  readonly file: StorageFile;
  readonly entryOffset: number;
  readonly frameLength: number;
  readonly keyLength: number;
  readonly type: DType;
  readonly rowShape: readonly number[];
  readonly countOffset: number;
  readonly dataOffset: number;
  readonly dataLength: number;
  /** Number of rows there is room for. */
  readonly capacity: number;
  readonly rowBytes: number;
  /** A crash interrupted growing in place. */
  readonly unfinished: boolean;
  readonly maskOffset?: number;
  /** Masked arrays: there is a fill value. */
  readonly filled: boolean;
}

/** Writes rows after the committed ones. */
export type WriteRows = (place: GrowablePlace, committed: number) => void;

/** What a growable array needs of its dict. */
export interface GrowableHost {
  /** The array as it is in the file now, which may have moved or grown. @throws NOT_FOUND, INVALID_ARGUMENT */
  locate(key: string): GrowablePlace;
  /**
   * Where the array is now, and its committed rows.
   * @param was - where it was before: its rows must be of the same shape and dtype, otherwise it is another array
   * @throws NOT_FOUND, INVALID_ARGUMENT, CORRUPT
   */
  look(key: string, was?: GrowablePlace): { readonly place: GrowablePlace; readonly rows: number };
  /** The committed rows, or those that the open batch will commit. */
  rows(place: GrowablePlace): number;
  /** Takes the lock, makes room for `count` more rows, calls `write` to put them there, and commits. `done` runs after the commit. */
  append(key: string, was: GrowablePlace, count: number, write: WriteRows, done: () => void): void;
  /**
   * Like `append`, at less cost, for the simple case: no batch is open, the array is where it was, and there is room.
   * @param bytes - the rows
   * @returns the number of rows after the append; -1 if this is not the simple case, with nothing done
   */
  appendAtOnce(key: string, place: GrowablePlace, bytes: Uint8Array, count: number): number;
  /** Trims the unused room. */
  seal(key: string): void;
  map(place: GrowablePlace, offset: number, length: number): ArrayMemory;
}

/** Rows as bytes of the array's dtype, in C order: borrowed from the input, or a copy. */
export interface EncodedRows {
  readonly bytes: Uint8Array;
  readonly count: number;
}

/** Encodes rows. @throws INVALID_ARGUMENT if they do not fit */
export function rowBytes(rows: RowsLike, type: DType, rowShape: readonly number[]): EncodedRows {
  const itemsize = bytesOf(rowShape, type);
  if (ArrayBuffer.isView(rows) && sameElements(rows as TypedArray, type)) {
    const { byteLength } = rows;
    // Rows of no bytes: the length of a typed array does not say how many there are.
    const count = byteLength / itemsize;
    if (!Number.isInteger(count)) throw notRows(`${byteLength} bytes`, type, rowShape);
    return { bytes: viewBytes(rows), count };
  }
  const refuse = (found: unknown): never => {
    throw notRows(found, type, rowShape);
  };
  const rowSize = sizeOf(rowShape);
  let array: NDArray;
  if (rows instanceof NDArray) array = rows;
  else if (ArrayBuffer.isView(rows)) {
    const flat = ndarray(rows, undefined, { dtype: type });
    if (rowSize === 0 || flat.size % rowSize !== 0) refuse(`${flat.size} elements`);
    array = flat.reshape([flat.size / rowSize, ...rowShape]);
  } else if (isArraySource(rows)) return refuse('an array source');
  else array = ndarray(rows, undefined, { dtype: type });
  const { shape } = array;
  const isRow = shape.length === rowShape.length;
  const tail = isRow ? shape : shape.slice(1);
  if (tail.length !== rowShape.length || tail.some((dim, i) => dim !== rowShape[i])) refuse(`shape [${shape}]`);
  const count = isRow ? 1 : shape[0]!;
  return { bytes: (array.dtype === type.name ? array : array.astype(type)).packedBytes(), count };
}

function notRows(found: unknown, type: DType, rowShape: readonly number[]): MmdError {
  return new MmdError(
    'INVALID_ARGUMENT',
    `append: expected rows of shape [${rowShape}] and dtype ${type.name}, found ${String(found)}`,
    {
      expected: [...rowShape],
      found,
    },
  );
}

/** numpy's dtypes of typed arrays whose bytes need no conversion on a little-endian machine. */
const ELEMENTS: ReadonlyMap<unknown, string> = new Map<unknown, string>([
  [Int8Array, 'int8'],
  [Uint8Array, 'uint8'],
  [Uint8ClampedArray, 'uint8'],
  [Int16Array, 'int16'],
  [Uint16Array, 'uint16'],
  [Int32Array, 'int32'],
  [Uint32Array, 'uint32'],
  [Float32Array, 'float32'],
  [Float64Array, 'float64'],
  [BigInt64Array, 'int64'],
  [BigUint64Array, 'uint64'],
]);

function sameElements(rows: TypedArray, type: DType): boolean {
  const name = ELEMENTS.get(rows instanceof Uint8Array ? Uint8Array : rows.constructor);
  if (name === undefined) return false;
  return (
    name === type.name ||
    ((type.kind === 'M' || type.kind === 'm') && rows instanceof BigInt64Array && type.byteorder !== '>')
  );
}

/**
 * An array whose first axis grows: `append` commits rows in place, and readers, including stock Python, see exactly the committed ones.
 * Returned by `MmapDict.get` for entries that were set from a source with a `capacity`.
 *
 * @example
 * ```ts
 * import { type GrowableArray } from '@mmdpickle/core';
 * import { MmapDict } from '@mmdpickle/core/node';
 * import { GrowableNDArray } from '@mmdpickle/stubs';
 *
 * using dict = MmapDict.open('growing.mmdpickle');
 * const rows = dict.set('t', new GrowableNDArray([2], 'float32', { capacity: 1000 })).get('t') as GrowableArray;
 * rows.append(new Float32Array([1, 2, 3, 4])).shape; // [2, 2]
 * ```
 */
export class GrowableArray extends NDArray {
  readonly key: string;
  readonly #host: GrowableHost;
  readonly #type: DType;
  readonly #rowShape: readonly number[];
  readonly #rowBytes: number;
  #place: GrowablePlace;
  #rows: number;
  /** What was appended last: data capture fills one typed array again and again. */
  #given: RowsLike | undefined;
  #encoded: EncodedRows | undefined;

  /** @internal Returned by `MmapDict.get`. */
  constructor(host: GrowableHost, key: string, type: DType, rowShape: readonly number[]) {
    const { place, rows } = host.look(key);
    const rowBytes = bytesOf(rowShape, type);
    super({ memory: host.map(place, place.dataOffset, rows * rowBytes), dtype: type, shape: [rows, ...rowShape] });
    this.key = key;
    this.#host = host;
    this.#type = type;
    this.#rowShape = rowShape;
    this.#rowBytes = rowBytes;
    this.#place = place;
    this.#rows = rows;
  }

  /** Number of rows there is room for before the array must grow. */
  get capacity(): number {
    return this.#place.capacity;
  }

  /**
   * Appends one or more rows and commits them. Inside `dict.batch` they are committed with the batch. When the room is full, it doubles.
   *
   * @param rows - elements of the array's dtype: a typed array of whole rows, an array, or nested lists; copied
   * @throws INVALID_ARGUMENT for rows of another shape, or if the key has another value by now; UNSUPPORTED_VALUE; READ_ONLY, LOCKED,
   * CLOSED, NO_SPACE, IO; NOT_FOUND if the key, or the file, is gone; nothing is committed then
   */
  append(rows: RowsLike): this {
    const { bytes, count } = this.#encode(rows);
    const total = this.#host.appendAtOnce(this.key, this.#place, bytes, count);
    if (total >= 0) {
      this.#follow(this.#place, total);
      return this;
    }
    this.#host.append(
      this.key,
      this.#place,
      count,
      (place, committed) => place.file.write(place.dataOffset + committed * this.#rowBytes, bytes),
      () => this.refresh(),
    );
    return this;
  }

  #encode(rows: RowsLike): EncodedRows {
    const known = this.#encoded;
    // If the length differs, its buffer was resized, or transferred.
    const same = known !== undefined && rows === this.#given;
    if (same && known.count * this.#rowBytes === (rows as TypedArray).byteLength) return known;
    const encoded = rowBytes(rows, this.#type, this.#rowShape);
    const borrowed = ArrayBuffer.isView(rows) && encoded.bytes.buffer === rows.buffer;
    this.#given = borrowed ? rows : undefined;
    this.#encoded = borrowed ? encoded : undefined;
    return encoded;
  }

  /**
   * Takes in what others, or a batch, committed. Returns true if the shape changed. @throws CLOSED, NOT_FOUND, INVALID_ARGUMENT, CORRUPT
   */
  refresh(): boolean {
    const before = this.#place;
    const { place, rows } = this.#host.look(this.key, before);
    const same = rows === this.#rows;
    if (!same || place !== before) this.#follow(place, rows);
    return !same;
  }

  #follow(place: GrowablePlace, rows: number): void {
    this.#rows = rows;
    this.#place = place;
    this.relayLater(() => ({
      memory: this.#host.map(place, place.dataOffset, rows * this.#rowBytes),
      dtype: this.#type,
      shape: [rows, ...this.#rowShape],
    }));
  }

  /**
   * Frees the disk space of unused room, and its place in the file if the array is the last entry.
   * @throws READ_ONLY, LOCKED, CLOSED, NOT_FOUND, INVALID_ARGUMENT, IO
   */
  seal(): void {
    // If another array has the key by now, it must not be sealed.
    this.refresh();
    this.#host.seal(this.key);
    this.refresh();
  }
}
