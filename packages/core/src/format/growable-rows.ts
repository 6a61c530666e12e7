/**
 * What a watcher asks of values it does not read.
 *
 * @module
 */

import { sizeOf } from '../ndarray/shapes.ts';
import { parseArray } from './array-value.ts';
import { parseMasked } from './masked-value.ts';
import type { ValueReader } from './value-reader.ts';

/** What a growable array holds. */
export interface GrowableRows {
  /** The committed ones. */
  readonly rows: number;
  /** Their type and shape, and whether they are masked: rows of another kind are not those of the same array. */
  readonly kind: string;
  /** Of the first row, from the value's first byte on. */
  readonly dataPos: number;
  /** The bytes of one row. */
  readonly rowBytes: number;
  /** Of the first row of the mask, and the bytes of one, where there is a mask. */
  readonly maskPos: number | undefined;
  readonly maskBytes: number;
}

/**
 * The rows of a growable array, masked or not; `undefined` for any other value.
 * @param length - of the value. One that is not masked may have grown in place since it was asked for
 * @param reader - makes a cursor at the value's first byte, over so many bytes
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
