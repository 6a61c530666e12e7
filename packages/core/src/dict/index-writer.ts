/**
 * Writing the tail index, so that the next open does not walk.
 *
 * @module
 */

import { encodeUtf8 } from '../bytes/index.ts';
import { ENTRY_TAIL_SIZE, nextCommitNumber, TERMINATOR_SIZE } from '../format/layout.ts';
import { TAIL_PREFIX_SIZE, tailEntryFrame } from '../format/tail-entry.ts';
import { hashKey, IndexBuilder } from '../format/tail-index.ts';
import type { DictCore } from './core.ts';

/** Below this many keys a walk is as quick as a look into an index. */
const MIN_KEYS = 64;

/** Appends a tail index for the dict as it is now. Does nothing for few keys. */
export function writeIndex(core: DictCore): void {
  const { store, writer } = core;
  core.begin();
  try {
    const { base, catalog } = store;
    const seed = base?.footer.seed ?? (Math.random() * 2 ** 32) >>> 0;
    const known = new Map<number, true>();
    const own: [hash: number, offset: number][] = [];
    catalog.each((key, slot) => {
      const bytes = encodeUtf8(key);
      own.push([hashKey(bytes, 0, bytes.length, seed), catalog.offset(slot)]);
    });
    let keys = own.length;
    if (base !== undefined) {
      // What the old index has and nobody looked up goes over by its hash; dead entries among it are told by their state.
      for (const [, offset] of own) known.set(offset, true);
      keys += base.footer.keys;
    }
    if (keys < MIN_KEYS) {
      core.commit();
      return;
    }
    const builder = new IndexBuilder(keys);
    for (const [hash, offset] of own) builder.add(hash, offset);
    const whole = base?.each((hash, offset) => {
      if (!known.has(offset)) builder.add(hash, offset);
    });
    if (whole === false) {
      core.rollback();
      return;
    }
    const { end, commitNumber, memoHint } = store;
    const payload = builder.payload;
    const fileSize = end + TAIL_PREFIX_SIZE + payload.length + ENTRY_TAIL_SIZE + TERMINATOR_SIZE;
    builder.finish({ seed, commitNumber: nextCommitNumber(commitNumber), fileSize, end });
    const { prefix, suffix } = tailEntryFrame('index', payload.length, memoHint);
    writer.appendTail(prefix, payload, suffix);
  } catch (error) {
    core.rollback();
    throw error;
  }
  core.commit();
}
