/**
 * Writing the tail index, so that the next open does not walk.
 *
 * @module
 */

import { isMmdError } from '../errors.ts';
import { ENTRY_TAIL_SIZE, nextCommitNumber, TERMINATOR_SIZE } from '../format/layout.ts';
import { TAIL_PREFIX_SIZE, type TailKind, tailEntryFrame } from '../format/tail-entry.ts';
import { hashKey, IndexBuilder } from '../format/tail-index.ts';
import type { DictCore } from './core.ts';

/** Below this many keys a walk is as quick as a look into an index. */
const MIN_KEYS = 64;

/**
 * Appends a tail index for the dict as it is now. Does nothing for few keys, and none where another writer is at work or the
 * disk is full: it only makes the next open quicker.
 */
export function writeIndex(core: DictCore): void {
  const { store } = core;
  try {
    if (store.base !== undefined) {
      core.transact(() => writeTails(core, undefined, false), 0);
      return;
    }
    // The table takes a while to make, so others are not kept waiting meanwhile: whoever commits makes it worthless.
    if (!store.file.tryLock()) return;
    store.file.unlock();
    core.refresh();
    const { revision, commitNumber } = store;
    const table = buildIndex(core, false);
    if (table === undefined) return;
    core.transact(() => {
      if (store.revision === revision && store.commitNumber === commitNumber) appendTails(core, undefined, table);
    }, 0);
  } catch (error) {
    if (!isMmdError(error, 'LOCKED') && !isMmdError(error, 'NO_SPACE')) throw error;
  }
}

/**
 * Appends tail entries, as the whole of a commit.
 *
 * @param checksums - the payload of an integrity entry, made for the next commit number
 * @param always - write the index even where there are few keys
 */
export function writeTails(core: DictCore, checksums: Uint8Array | undefined, always: boolean): void {
  appendTails(core, checksums, buildIndex(core, always));
}

function appendTails({ store, writer }: DictCore, checksums: Uint8Array | undefined, table: Table | undefined): void {
  const { memoHint, end, commitNumber } = store;
  const parts: Uint8Array[] = [];
  let size = 0;
  const add = (kind: TailKind, payload: Uint8Array): void => {
    const { prefix, suffix } = tailEntryFrame(kind, payload.length, memoHint);
    parts.push(prefix, payload, suffix);
    size += prefix.length + payload.length + suffix.length;
  };
  if (checksums !== undefined) add('checksums', checksums);
  if (table !== undefined) {
    const { builder, seed } = table;
    const fileSize = end + size + TAIL_PREFIX_SIZE + builder.payload.length + ENTRY_TAIL_SIZE + TERMINATOR_SIZE;
    add('index', builder.finish({ seed, commitNumber: nextCommitNumber(commitNumber), fileSize, end }));
  }
  if (parts.length > 0) writer.appendTail(parts);
}

/** Hashes and places of all keys, without the footer that says of which state of the file. */
interface Table {
  readonly builder: IndexBuilder;
  readonly seed: number;
}

function buildIndex({ store }: DictCore, always: boolean): Table | undefined {
  const { base, catalog } = store;
  const keys = catalog.size + (base?.footer.keys ?? 0);
  if (keys < MIN_KEYS && !always) return undefined;
  const seed = base?.footer.seed ?? catalog.seed;
  const builder = new IndexBuilder(keys);
  const own = new Set<number>();
  catalog.each((slot, bytes, start, end) => {
    const offset = catalog.offset(slot);
    builder.add(base === undefined ? catalog.hash(slot) : hashKey(bytes, start, end, seed), offset);
    if (base !== undefined) own.add(offset);
  });
  // What the old index has and nobody looked up goes over by its hash; dead entries among it are told by their state.
  const whole = base?.each((hash, offset) => {
    if (!own.has(offset)) builder.add(hash, offset);
  });
  return whole === false ? undefined : { builder, seed };
}
