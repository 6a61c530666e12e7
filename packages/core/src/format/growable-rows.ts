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
 * @param reader - makes a cursor at the value's first byte; it may reach further than the value
 */
export function growableRows(reader: () => ValueReader): number | undefined {
  const data = parseMasked(reader())?.data ?? parseArray(reader());
  return data?.countPos === undefined ? undefined : data.shape[0];
}
