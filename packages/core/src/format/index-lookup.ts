/**
 * Looking up a key in the tail index without the rest of the file: generators that request byte ranges, for files that are far away.
 * Handles of files on disk look keys up in their own way (`dict/base-index.ts`), by the same rules.
 *
 * @module
 */

import { hashKey } from './hash.ts';
import {
  DEAD,
  ENTRY_HEAD_SIZE,
  ENTRY_TAIL_SIZE,
  entryEnd,
  getU64,
  HEADER_SIZE,
  isEntryTail,
  isTerminator,
  LIVE,
  TERMINATOR_SIZE,
} from './layout.ts';
import type { ByteRequest } from './scan.ts';
import { TAIL_PREFIX_SIZE } from './tail-entry.ts';
import {
  decodeIndexEnding,
  findSlot,
  INDEX_BLOCK_SIZE,
  INDEX_ENDING,
  type IndexFooter,
  indexBlock,
  isBlock,
  isBlockFull,
  isIndexHead,
  isOvertaken,
  slotOffset,
} from './tail-index.ts';

/** Bytes that are requested of an entry: all of a small one. */
const ENTRY_WINDOW = 512;
/** Most requests for one key. A writer's indexes take a few; one whose blocks are all full would be read to the end. */
const REQUESTS_MAX = 256;

/** An index, and the file offset of the tail entry that holds it. */
export interface PlacedIndex {
  readonly footer: IndexFooter;
  readonly entry: number;
}

/** The live entry of a key. */
export interface FoundEntry {
  readonly offset: number;
  readonly frameLength: number;
  readonly keyLength: number;
  /** Its first bytes. */
  readonly head: Uint8Array;
}

/**
 * The index at the end of a file; `undefined` if there is none.
 * @param size - of the file
 * @param commitNumber - of its header: only an index that was made for this very state counts; `undefined` for one of any commit
 */
export function* findIndex(
  size: number,
  commitNumber: number | undefined,
): Generator<ByteRequest, PlacedIndex | undefined, Uint8Array> {
  const end = size - TERMINATOR_SIZE;
  if (end < HEADER_SIZE + INDEX_ENDING) return undefined;
  const bytes = yield { offset: end - INDEX_ENDING, length: INDEX_ENDING + TERMINATOR_SIZE };
  const found = isTerminator(bytes, INDEX_ENDING) ? decodeIndexEnding(bytes, end) : undefined;
  if (found === undefined || (found.footer.commitNumber !== commitNumber && commitNumber !== undefined))
    return undefined;
  const { footer, entry } = found;
  if (!isIndexHead(yield { offset: entry, length: TAIL_PREFIX_SIZE }, footer)) return undefined;
  return (yield* isOvertaken(footer, entry, size)) ? undefined : found;
}

/**
 * The live entry with a key; `'torn'` if the index gives no reliable answer.
 * @param key - its UTF-8
 */
export function* lookUp(
  index: PlacedIndex,
  key: Uint8Array,
): Generator<ByteRequest, FoundEntry | undefined | 'torn', Uint8Array> {
  const requests = lookIn(index, key);
  let step = requests.next();
  for (let left = REQUESTS_MAX; step.done !== true; left--) {
    if (left === 0) return 'torn';
    step = requests.next(yield step.value);
  }
  return step.value;
}

function* lookIn(
  index: PlacedIndex,
  key: Uint8Array,
): Generator<ByteRequest, FoundEntry | undefined | 'torn', Uint8Array> {
  const { seed } = index.footer;
  const hash = hashKey(key, 0, key.length, seed);
  let table = index;
  for (;;) {
    const found = yield* findIn(table, key, hash);
    if (found !== undefined) return found;
    const { older } = table.footer;
    if (older === 0) return undefined;
    if (older < HEADER_SIZE + INDEX_ENDING) return 'torn';
    const next = decodeIndexEnding(yield { offset: older - INDEX_ENDING, length: INDEX_ENDING }, older);
    if (next?.footer.seed !== seed) return 'torn';
    table = next;
  }
}

function* findIn(
  { footer, entry }: PlacedIndex,
  key: Uint8Array,
  hash: number,
): Generator<ByteRequest, FoundEntry | undefined | 'torn', Uint8Array> {
  const { blocks, end, seed } = footer;
  let number = indexBlock(hash, blocks);
  for (let probes = 0; probes < blocks; probes++) {
    const offset = entry + TAIL_PREFIX_SIZE + number * INDEX_BLOCK_SIZE;
    const block = yield { offset, length: INDEX_BLOCK_SIZE };
    // Over a network, its checksum costs nothing.
    if (!isBlock(block, number)) return 'torn';
    for (let slot = findSlot(block, hash, 0); slot >= 0; slot = findSlot(block, hash, slot + 1)) {
      const found = yield* entryAt(slotOffset(block, slot), key, hash, seed, end);
      if (found !== undefined) return found;
    }
    if (!isBlockFull(block)) return undefined;
    number = number + 1 === blocks ? 0 : number + 1;
  }
  return undefined;
}

/**
 * The entry at `offset` if it is live and has the key.
 * @param limit - file offset before which the entries of the index end
 */
function* entryAt(
  offset: number,
  key: Uint8Array,
  hash: number,
  seed: number,
  limit: number,
): Generator<ByteRequest, FoundEntry | undefined | 'torn', Uint8Array> {
  if (!(offset >= HEADER_SIZE && offset < limit)) return 'torn';
  const head = yield { offset, length: Math.min(ENTRY_WINDOW, limit - offset) };
  if (head.length < ENTRY_HEAD_SIZE || head[0] !== 0x95 || head[9] !== 0x8c) return 'torn';
  const keyLength = head[10]!;
  const value = ENTRY_HEAD_SIZE + keyLength;
  if (head.length < value) return 'torn';
  const same = keyLength === key.length && key.every((byte, i) => byte === head[ENTRY_HEAD_SIZE + i]);
  // Another key with the same hash; otherwise the entry's key is not what it was.
  if (!same) return hashKey(head, ENTRY_HEAD_SIZE, value, seed) === hash ? undefined : 'torn';
  const frameLength = getU64(head, 1);
  const end = entryEnd(offset, frameLength);
  if (!(end <= limit) || end - ENTRY_TAIL_SIZE <= offset + value) return 'torn';
  const tail =
    end - offset <= head.length
      ? head.subarray(end - offset - ENTRY_TAIL_SIZE)
      : yield { offset: end - ENTRY_TAIL_SIZE, length: ENTRY_TAIL_SIZE };
  if (tail.length < ENTRY_TAIL_SIZE || !isEntryTail(tail, 0)) return 'torn';
  if (tail[6] === DEAD) return undefined;
  return tail[6] === LIVE ? { offset, frameLength, keyLength, head } : 'torn';
}
