/**
 * The codec of everything that is not a mapped array: the pickle machine.
 *
 * @module
 */

import type { ValueCodec } from './codecs.ts';
import { encodedParts } from './encoded-value.ts';

/** Codec of values that are stored as pickle opcodes. Claims every value and every entry. */
export const pickleCodec: ValueCodec = {
  name: 'pickle',
  encode(value, { entries }) {
    const parts = entries.encodeParts(value);
    return encodedParts('pickle', parts, entries.memoEnd);
  },
  describe() {
    return { kind: 'pickle' };
  },
  decode(stored) {
    const bytes = stored.bytes();
    return stored.decoder.loadEntry(bytes, 0, bytes.length);
  },
};
