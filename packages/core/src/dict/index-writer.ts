/**
 * Writing the tail index, so that the next open does not walk.
 *
 * @module
 */

import { isMmdError } from '../errors.ts';
import {
  ENTRY_HEAD_SIZE,
  ENTRY_TAIL_SIZE,
  getU64,
  HEADER_SIZE,
  nextCommitNumber,
  TERMINATOR_SIZE,
} from '../format/layout.ts';
import { TAIL_PREFIX_SIZE, type TailKind, tailEntryFrame } from '../format/tail-entry.ts';
import { hashKey, IndexBuilder, indexBlocks } from '../format/tail-index.ts';
import type { DictCore } from './core.ts';
import type { IndexTable } from './index-table.ts';
import { hindranceOf } from './readability.ts';
import type { DictStore } from './store.ts';
import { dropTail } from './tail.ts';

/** Below this many keys a walk is as quick as a look into an index, */
const MIN_KEYS = 64;

/** unless it meets so many entries, nearly all of them dead; or there are so many bytes of them where nobody walked. */
const MANY_ENTRIES = 1024;
const MANY_BYTES = 65_536;

/** Reasons to go without an index: others are at work, the disk is full, the file was removed, or is damaged, which whoever asks it next is told. */
const UNNEEDED = ['LOCKED', 'NO_SPACE', 'NOT_FOUND', 'READ_ONLY', 'CORRUPT', 'TRUNCATED'] as const;

/**
 * Makes the file end with an index of the dict as it is now. Does nothing where a walk is as quick, nor where another writer is at
 * work, the disk is full, the file was removed or is damaged: it only makes the next open quicker.
 */
export function writeIndex(core: DictCore): void {
  const { store } = core;
  try {
    if (store.entries.base !== undefined) {
      core.transact(() => {
        buryHidden(core);
        if (!renewed(store)) appendTails(core, undefined, buildIndex(core, false));
      }, 0);
      return;
    }
    // The table takes a while to make, so others are not kept waiting meanwhile: whoever commits makes it worthless.
    if (!store.file.tryLock()) return;
    store.file.unlock();
    core.refresh();
    const { commitNumber, entries } = store;
    const { revision } = entries;
    const last = store.endsWithIndex();
    const table = last ? undefined : buildIndex(core, false);
    if (!last && table === undefined) return;
    core.transact(() => {
      if (entries.revision !== revision || store.commitNumber !== commitNumber) return;
      buryHidden(core);
      if (table !== undefined) appendTails(core, undefined, table);
      else renewed(store);
    }, 0);
  } catch (error) {
    if (!UNNEEDED.some((code) => isMmdError(error, code))) throw error;
  }
}

/** What later entries of their keys hide dies, where these can be read. */
function buryHidden(core: DictCore): void {
  const { entries } = core.store;
  core.writer.buryHidden((key) => {
    const slot = entries.find(key);
    if (slot < 0) return true;
    const view = core.strictView(key, entries.catalog.place(slot));
    return core.alone('close', () => hindranceOf(core, view).problem === undefined);
  });
}

/** Where nothing was appended behind the last index, all that it says still holds. */
function renewed(store: DictStore): boolean {
  if (!store.endsWithIndex()) return false;
  store.index!.renew(store.commitNumber);
  return true;
}

/**
 * Appends tail entries, as the whole of a commit.
 *
 * @param checksums - the payload of an integrity entry, made for the next commit number
 * @param always - write the index even where a walk is as quick
 */
export function writeTails(core: DictCore, checksums: Uint8Array | undefined, always: boolean): void {
  buryHidden(core);
  appendTails(core, checksums, buildIndex(core, always));
}

/**
 * Appends the index of a file that is about to take another one's place, so that no handle that follows has to walk it: the same
 * handles would all do so, and each under the lock.
 *
 * @param commitNumber - that the file will have then
 */
export function writeIndexFor(core: DictCore, commitNumber: number): void {
  core.transact(() => appendTails(core, undefined, buildIndex(core, false), commitNumber));
}

function appendTails(
  { store, writer }: DictCore,
  checksums: Uint8Array | undefined,
  table: Table | undefined,
  madeFor?: number,
): void {
  if (checksums === undefined && table === undefined) return;
  // It raises the number that both are made for.
  dropTail(store);
  const { end, commitNumber } = store;
  const { memoHint } = store.entries;
  const parts: Uint8Array[] = [];
  let size = 0;
  const add = (kind: TailKind, payload: Uint8Array): void => {
    const { prefix, suffix } = tailEntryFrame(kind, payload.length, memoHint);
    parts.push(prefix, payload, suffix);
    size += prefix.length + payload.length + suffix.length;
  };
  if (checksums !== undefined) add('checksums', checksums);
  if (table !== undefined) {
    const { builder, seed, older } = table;
    const fileSize = end + size + TAIL_PREFIX_SIZE + builder.payload.length + ENTRY_TAIL_SIZE + TERMINATOR_SIZE;
    const payload = builder.finish({
      seed,
      commitNumber: madeFor ?? nextCommitNumber(commitNumber),
      keys: older?.footer.keys ?? 0,
      fileSize,
      end,
      older: older?.end ?? 0,
    });
    add('index', payload);
  }
  writer.appendTail(parts);
}

/** Hashes and places of keys, without the footer that says of which state of the file. */
interface Table {
  readonly builder: IndexBuilder;
  readonly seed: number;
  /** Has the other keys. */
  readonly older: IndexTable | undefined;
}

/**
 * A table of the keys that no index in the file has, and of those of its newest indexes that are no larger than what there is
 * already: each index then is more than twice as large as the next, so that there are few.
 */
function buildIndex(core: DictCore, always: boolean): Table | undefined {
  const { store } = core;
  const { standing } = store;
  const { base, catalog, removed } = store.entries;
  const tables = lostTables(store);
  if (tables === undefined) return undefined;
  let keys = countBehind(store, standing) + tables.reduce((sum, { slots }) => sum + slots, 0);
  let older = standing;
  while (older !== undefined && older.footer.blocks <= indexBlocks(keys)) {
    tables.push(older);
    keys += older.slots;
    const next: IndexTable | undefined | 'torn' = older.older();
    if (next === 'torn') return undefined;
    older = next;
  }
  if (keys < MIN_KEYS && older === undefined && !always && isQuicklyWalked(store)) return undefined;
  // Once the file was walked, the catalog has all entries.
  const carried = base === undefined ? [] : tables;
  const seed = (older ?? carried[0])?.footer.seed ?? catalog.seed;
  const builder = new IndexBuilder(base === undefined ? countBehind(store, older) : keys);
  const offsets = new Set<number>();
  const suspects = new Set<number>([...removed].map((key) => hashOf(core, key, seed)));
  const from = older?.footer.end ?? HEADER_SIZE;
  catalog.each((_slot, segment, at) => {
    const offset = segment.offsets[at]!;
    if (offset < from) return;
    const start = segment.keyStarts[at]!;
    const hash =
      seed === catalog.seed ? segment.hashes[at]! : hashKey(segment.keys, start, start + segment.keyLengths[at]!, seed);
    builder.add(hash, offset);
    if (carried.length === 0) return;
    offsets.add(offset);
    suspects.add(hash);
  });
  // What older indexes have and nobody looked up goes over by its hash. Dead entries among it are told by their state when they
  // are asked for; those that died here are left out.
  let room = true;
  const whole = carried.every(
    (table) =>
      table.footer.seed === seed &&
      table.each((hash, offset) => {
        if (offset < from || offsets.has(offset) || (suspects.has(hash) && !isLiveAt(store, offset))) return;
        room &&= builder.add(hash, offset);
      }),
  );
  return whole && room ? { builder, seed, older } : undefined;
}

/** Whether the next open needs no index of the few keys that there are: such a dict may have been changed very often. */
function isQuicklyWalked({ entries, end }: DictStore): boolean {
  return entries.base === undefined ? entries.walked < MANY_ENTRIES : end < MANY_BYTES;
}

/** Indexes that the dict stands on, but that the file will not hold any more; `undefined` where they are torn. */
function lostTables({ entries, standing }: DictStore): IndexTable[] | undefined {
  const tables: IndexTable[] = [];
  let table: IndexTable | undefined | 'torn' = entries.base?.newest;
  while (table !== undefined) {
    if (table === 'torn') return undefined;
    if (standing !== undefined && table.footer.end <= standing.footer.end) break;
    tables.push(table);
    table = table.older();
  }
  return tables;
}

function countBehind({ entries }: DictStore, table: IndexTable | undefined): number {
  const { catalog } = entries;
  if (table === undefined) return catalog.size;
  let count = 0;
  catalog.each((slot) => {
    if (catalog.offset(slot) >= table.footer.end) count++;
  });
  return count;
}

function hashOf(core: DictCore, key: string, seed: number): number {
  return hashKey(core.keyBytes, 0, core.encodeKey(key), seed);
}

function isLiveAt(store: DictStore, offset: number): boolean {
  const frameLength = getU64(store.read(offset, ENTRY_HEAD_SIZE), 1);
  return store.isLive({ offset, frameLength, keyLength: 0 });
}
