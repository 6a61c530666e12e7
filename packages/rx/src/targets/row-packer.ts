/**
 * Packs the rows of a batch contiguously, so that they are appended and committed together.
 *
 * @module
 */

import {
  type DType,
  type DTypeLike,
  isArraySource,
  MaskedArray,
  MmdError,
  memoryOver,
  NDArray,
  parseDType,
  type TypedArray,
} from '@mmdpickle/core';
import { rowOf, type TypedArrayConstructor } from '@mmdpickle/core/ndarray';
import { isOfBytes, isTypedArray } from './frame.ts';

/** Parses a dtype. @throws MmdError UNSUPPORTED_DTYPE, also for a dtype with a shape of its own */
export function elementType(dtype: DTypeLike): DType {
  const type = parseDType(dtype);
  if (type.base === undefined) return type;
  throw new MmdError('UNSUPPORTED_DTYPE', `dtype ${type.name} has a shape of its own: put its axes in the shape`, {
    found: type.name,
  });
}

/** Checks rows against a dtype and shape, and packs them. */
export class RowPacker {
  readonly type: DType;
  readonly rowShape: readonly number[];
  readonly rowBytes: number;
  readonly #masked: boolean;
  readonly #size: number;
  /** The typed array class whose elements are those of the dtype, if there is one (there is none for bool). */
  readonly #own: TypedArrayConstructor | undefined;

  /** @param masked - whether rows may be masked: without a mask, masked elements would be stored as if they were valid */
  constructor(dtype: DTypeLike, rowShape: readonly number[], masked: boolean) {
    this.type = elementType(dtype);
    this.#masked = masked;
    this.rowShape = [...rowShape];
    this.#size = rowShape.reduce((product, dim) => product * dim, 1);
    this.rowBytes = this.#size * this.type.itemsize;
    const big = this.type.byteorder === '>';
    // A typed array cannot tell how many rows without elements it holds.
    const counted = this.#size > 0 && !big && this.type.kind !== 'b' && this.type.fields === undefined;
    this.#own = counted ? rowOf(this.type)?.array : undefined;
  }

  /** @throws MmdError INVALID_ARGUMENT for a row of another size or shape, or with a mask that would be lost */
  check(row: unknown): void {
    if (this.#isElement(row)) return;
    if (row instanceof MaskedArray && !this.#masked) {
      throw new MmdError('INVALID_ARGUMENT', 'a masked row needs a masked array; this array has no mask', {
        expected: 'an array without a mask',
        found: 'a masked array',
      });
    }
    if (isTypedArray(row)) this.#expect(!isOfBytes(this.type) && row.length === this.#size, row.length);
    else if (row instanceof NDArray || row instanceof MaskedArray) {
      const fits = row.shape.length === this.rowShape.length && row.shape.every((dim, i) => dim === this.rowShape[i]);
      this.#expect(fits, row.shape);
    } else if (this.rowShape.length > 0) this.#expect(isArraySource(row) || isNested(row, this.rowShape), row);
  }

  /**
   * All rows contiguously: a typed array if the dtype has one (then a single row is borrowed), else an array of shape
   * `[rows.length, ...rowShape]`.
   */
  pack(rows: readonly unknown[]): NDArray | TypedArray {
    // There is nothing to set, and an empty list does not tell the length of the axes after its own.
    if (this.#size === 0) return NDArray.zeros([rows.length, ...this.rowShape], this.type);
    const own = this.#own;
    const [first] = rows;
    if (own !== undefined && rows.length === 1 && first instanceof own) return first;
    const elements = own === undefined ? undefined : new own(rows.length * this.#size);
    const bytes =
      elements === undefined ? new Uint8Array(rows.length * this.rowBytes) : new Uint8Array(elements.buffer);
    let packed: NDArray | undefined;
    for (const [i, row] of rows.entries()) {
      if (own !== undefined && row instanceof own) elements!.set(row as never, i * this.#size);
      else {
        packed ??= NDArray.over(memoryOver(bytes), this.type, [rows.length, ...this.rowShape]);
        if (row instanceof MaskedArray) new MaskedArray(packed.row(i), NDArray.zeros(this.rowShape, 'bool')).set(row);
        else if (this.rowShape.length === 0) packed.set(i, row instanceof NDArray ? row.get() : this.#scalarOf(row));
        else packed.row(i).set(row);
      }
    }
    return elements ?? packed!;
  }

  #scalarOf(row: unknown): unknown {
    return isTypedArray(row) && !this.#isElement(row) ? row[0] : row;
  }

  /** Whether a row is a single element of bytes, given as a Uint8Array. */
  #isElement(row: unknown): boolean {
    return isOfBytes(this.type) && this.rowShape.length === 0 && row instanceof Uint8Array;
  }

  #expect(fits: boolean, found: unknown): void {
    if (fits) return;
    const what = typeof found === 'number' ? `; found ${found} element${found === 1 ? '' : 's'}` : '';
    throw new MmdError(
      'INVALID_ARGUMENT',
      `a row of ${this.type.name} must have shape [${this.rowShape.join(', ')}]${what}`,
      {
        expected: this.rowShape,
        found,
      },
    );
  }
}

/** Whether nested lists have exactly this shape: others would be broadcast, as in numpy. */
function isNested(value: unknown, [length, ...shape]: readonly number[]): boolean {
  if (length === undefined) return true;
  return Array.isArray(value) && value.length === length && value.every((item) => isNested(item, shape));
}
