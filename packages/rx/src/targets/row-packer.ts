/**
 * Puts rows of a batch one behind the other, so that they are appended and committed at once.
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
  ndarray,
  parseDType,
  sameDType,
} from '@mmdpickle/core';
import { isTypedArray } from './frame.ts';

/** Checks rows against a dtype and shape, and packs them. */
export class RowPacker {
  readonly type: DType;
  readonly rowShape: readonly number[];
  readonly rowBytes: number;
  readonly #size: number;

  constructor(dtype: DTypeLike, rowShape: readonly number[]) {
    this.type = parseDType(dtype);
    this.rowShape = [...rowShape];
    this.#size = rowShape.reduce((product, dim) => product * dim, 1);
    this.rowBytes = this.#size * this.type.itemsize;
  }

  /** @throws MmdError INVALID_ARGUMENT for a row of another size or shape */
  check(row: unknown): void {
    if (isTypedArray(row)) this.#expect(row.length === this.#size, row.length);
    else if (row instanceof NDArray || row instanceof MaskedArray) {
      const fits = row.shape.length === this.rowShape.length && row.shape.every((dim, i) => dim === this.rowShape[i]);
      this.#expect(fits, row.shape);
    } else {
      const scalar = !Array.isArray(row) && !isArraySource(row);
      this.#expect(!scalar || this.rowShape.length === 0, row);
    }
  }

  /** All rows in one array of shape `[rows.length, ...rowShape]`; a single row of the right dtype is borrowed. */
  pack(rows: readonly unknown[]): NDArray {
    const shape = [rows.length, ...this.rowShape];
    const [first] = rows;
    if (rows.length === 1 && isTypedArray(first)) {
      const array = ndarray(first, shape);
      if (sameDType(array.type, this.type)) return array;
    }
    const bytes = new Uint8Array(rows.length * this.rowBytes);
    const packed = NDArray.over(memoryOver(bytes), this.type, shape);
    rows.forEach((row, i) => {
      if (isTypedArray(row) && sameDType(ndarray(row).type, this.type)) {
        bytes.set(new Uint8Array(row.buffer, row.byteOffset, row.byteLength), i * this.rowBytes);
      } else if (this.rowShape.length === 0) packed.set(i, row instanceof NDArray ? row.get() : scalarOf(row));
      else packed.row(i).set(row instanceof MaskedArray ? row.data : row);
    });
    return packed;
  }

  #expect(fits: boolean, found: unknown): void {
    if (fits) return;
    throw new MmdError('INVALID_ARGUMENT', `a row has shape [${this.rowShape.join(', ')}] of ${this.type.name}`, {
      expected: this.rowShape,
      found,
    });
  }
}

function scalarOf(row: unknown): unknown {
  return isTypedArray(row) ? row[0] : row;
}
