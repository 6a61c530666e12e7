/**
 * Switching legacy arrays between the spelling that mmappickle 1.0 maps and the one that every numpy loads, in place.
 *
 * @module
 */

import { MmdError } from '../errors.ts';
import { ARRAY_SPELLINGS, type ArraySpelling, type ParsedArray, parseArray } from '../format/array-value.ts';
import { parseMasked } from '../format/masked-value.ts';
import type { DictCore } from './core.ts';

/** Rewrites the prefix of every array spelled `from`; the data stays where it is. Returns how many there were. */
export function respell(core: DictCore, from: ArraySpelling, to: ArraySpelling): number {
  const target = ARRAY_SPELLINGS.find(({ name }) => name === to)!;
  const source = ARRAY_SPELLINGS.find(({ name }) => name === from)!;
  if (target.prefix.length !== source.prefix.length) {
    throw new MmdError('INVALID_ARGUMENT', `${from} arrays cannot become ${to} in place`, { found: to });
  }
  let count = 0;
  core.transact(() => {
    core.settled();
    for (const key of core.store.catalog.keys()) {
      const view = core.find(key)!;
      const masked = parseMasked(view.reader());
      const arrays: (ParsedArray | undefined)[] =
        masked === undefined ? [parseArray(view.reader())] : [masked.data, masked.mask];
      for (const array of arrays) {
        if (array?.spelling !== from) continue;
        core.writer.overwrite(view.offset + array.prefixPos, Uint8Array.of(...target.prefix, target.opcode));
        count++;
      }
    }
  });
  return count;
}
