/**
 * Masked arrays that grow by rows: data and mask share one row count, so one store commits both.
 *
 * @module
 */

import { MmdError } from '../errors.ts';
import { type ArraySource, type DType, MaskedArray, NDArray, parseDType } from '../ndarray/index.ts';
import { sizeOf } from '../ndarray/shapes.ts';
import { type GrowableHost, type GrowablePlace, type RowsLike, rowBytes } from './growable-array.ts';

/** A source that is stored as a growable masked array. */
export type GrowableMaskedSource = ArraySource & { readonly capacity: number; readonly mask: ArraySource };

/** An array that can be mapped anew when rows are added. */
class Rows extends NDArray {
  readonly #type: DType;
  readonly #rowShape: readonly number[];

  constructor(host: GrowableHost, place: GrowablePlace, offset: number, rows: number, type: DType) {
    super(init(host, place, offset, rows, type, place.rowShape));
    this.#type = type;
    this.#rowShape = place.rowShape;
  }

  /** Maps the rows at another place, or more of them; what is returned then shows them. */
  mapped(host: GrowableHost, place: GrowablePlace, offset: number, rows: number): () => void {
    const next = init(host, place, offset, rows, this.#type, this.#rowShape);
    return () => this.relay(next);
  }
}

function init(
  host: GrowableHost,
  place: GrowablePlace,
  offset: number,
  rows: number,
  type: DType,
  rowShape: readonly number[],
) {
  const shape = [rows, ...rowShape];
  const nbytes = shape.reduce((product, dim) => product * dim, type.itemsize);
  return { memory: host.map(place, offset, nbytes), dtype: type, shape };
}

/**
 * A masked array whose first axis grows, returned by `MmapDict.get` for entries that were set from a source with a `mask` and a `capacity`.
 */
export class GrowableMaskedArray extends MaskedArray {
  readonly key: string;
  readonly #host: GrowableHost;
  #place: GrowablePlace;

  /** @internal Returned by `MmapDict.get`. */
  constructor(host: GrowableHost, key: string, fillValue: unknown) {
    const { place, rows } = host.look(key);
    const data = new Rows(host, place, place.dataOffset, rows, place.type);
    const mask = new Rows(host, place, place.maskOffset!, rows, parseDType('bool'));
    super(data, mask, { fillValue });
    this.key = key;
    this.#host = host;
    this.#place = place;
  }

  /** Number of rows there is room for before the array must grow. */
  get capacity(): number {
    return this.#place.capacity;
  }

  /**
   * Appends one or more rows and commits data and mask together.
   *
   * @param rows - a masked array, or rows as `GrowableArray.append` takes them
   * @param mask - which elements are masked, if `rows` is not a masked array; default none
   * @throws as `GrowableArray.append`: INVALID_ARGUMENT; UNSUPPORTED_VALUE, also for a null outside of a masked array; READ_ONLY, LOCKED,
   * CLOSED, NOT_FOUND, NO_SPACE, IO; nothing is committed then
   */
  append(rows: MaskedArray | RowsLike, mask?: RowsLike): this {
    const { type, rowShape } = this.#place;
    const data = rowBytes(rows instanceof MaskedArray ? dataOf(rows, type) : rows, type, rowShape);
    const hidden = rows instanceof MaskedArray ? rows.mask : mask;
    const size = sizeOf(rowShape) * data.count;
    const hides =
      hidden === undefined
        ? { bytes: new Uint8Array(size), count: data.count }
        : rowBytes(hidden, parseDType('bool'), rowShape);
    if (hides.count !== data.count) {
      throw new MmdError('INVALID_ARGUMENT', `append: ${data.count} rows, but a mask of ${hides.count}`, {
        expected: data.count,
        found: hides.count,
      });
    }
    this.#host.append(
      this.key,
      this.#place,
      data.count,
      (place, committed) => {
        place.file.write(place.dataOffset + committed * place.rowBytes, data.bytes);
        place.file.write(place.maskOffset! + committed * sizeOf(place.rowShape), hides.bytes);
      },
      () => this.refresh(),
    );
    return this;
  }

  /**
   * Takes in what others, or a batch, committed. Returns true if the shape changed. @throws CLOSED, NOT_FOUND, INVALID_ARGUMENT, CORRUPT
   */
  refresh(): boolean {
    const before = this.#place;
    const { place, rows } = this.#host.look(this.key, before);
    const same = rows === this.shape[0];
    if (same && place === before) return false;
    // Both are mapped before either is shown: a mapping may fail, and data without a mask would stay so.
    const showData = (this.data as Rows).mapped(this.#host, place, place.dataOffset, rows);
    const showMask = (this.mask as Rows).mapped(this.#host, place, place.maskOffset!, rows);
    showData();
    showMask();
    this.#place = place;
    return !same;
  }

  /** Frees the disk space of unused room. @throws READ_ONLY, LOCKED, CLOSED, NOT_FOUND, INVALID_ARGUMENT, IO */
  seal(): void {
    this.refresh();
    this.#host.seal(this.key);
  }
}

/** The elements converted to the type; masked ones mean nothing, and need not be convertible. */
function dataOf(rows: MaskedArray, type: DType): NDArray {
  if (rows.dtype === type.name) return rows.data;
  return new MaskedArray(NDArray.zeros(rows.shape, type), NDArray.zeros(rows.shape, 'bool')).set(rows).data;
}
