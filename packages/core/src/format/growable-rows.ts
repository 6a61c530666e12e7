/**
 * What a watcher asks of values it does not read.
 *
 * @module
 */

import { parseArray } from './array-value.ts';
import { parseMasked } from './masked-value.ts';
import type { ValueReader } from './value-reader.ts';

/**
 * The committed rows of a growable array, masked or not; `undefined` for any other value.
 * @param length - of the value. One that is not masked may have grown in place since it was asked for
 * @param reader - makes a cursor at the value's first byte, over so many bytes
 */
export function growableRows(length: number, reader: (length: number) => ValueReader): number | undefined {
  const data = parseMasked(reader(length))?.data ?? parseArray(reader(Number.MAX_SAFE_INTEGER));
  return data?.countPos === undefined ? undefined : data.shape[0];
}
