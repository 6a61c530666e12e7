/**
 * What a watcher needs to know about growable arrays that it does not read.
 *
 * @module
 */

import { sizeOf } from '../ndarray/shapes.ts';
import { parseArray } from './array-value.ts';
import { parseMasked } from './masked-value.ts';
import type { ValueReader } from './value-reader.ts';

/** The rows of a growable array, and where they are. */
export interface GrowableRows {
  /** Number of committed rows. */
  readonly rows: number;
  /** The rows' type and shape, and whether they are masked: rows of another kind belong to another array. */
  readonly kind: string;
  /** Position of the first row, from the value's first byte on. */
  readonly dataPos: number;
  /** Bytes of one row. */
  readonly rowBytes: number;
  /** Position of the mask's first row; `undefined` if there is no mask. */
  readonly maskPos: number | undefined;
  /** Bytes of one row of the mask; 0 if there is no mask. */
  readonly maskBytes: number;
}

/**
 * The rows of a growable array, masked or not; `undefined` for any other value.
 * @param length - bytes of the value; one without a mask may have grown in place since they were counted
 * @param reader - makes a cursor at the value's first byte, over the given number of bytes
 */
export function growableRows(length: number, reader: (length: number) => ValueReader): GrowableRows | undefined {
  const masked = parseMasked(reader(length));
  const data = masked?.data ?? parseArray(reader(Number.MAX_SAFE_INTEGER));
  if (data?.countPos === undefined) return undefined;
  const [rows = 0, ...shape] = data.shape;
  const elements = sizeOf(shape);
  const kind = JSON.stringify([data.type.spec, shape, masked !== undefined]);
  const rowBytes = elements * data.type.itemsize;
  const mask = { maskPos: masked?.mask.dataPos, maskBytes: masked === undefined ? 0 : elements };
  return { rows, kind, dataPos: data.dataPos, rowBytes, ...mask };
}
