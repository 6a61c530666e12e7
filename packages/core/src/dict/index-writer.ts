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

/** Below this many keys a walk is as fast as looking into an index, */
const MIN_KEYS = 64;

/** unless it meets so many entries, nearly all of them dead; or, if nobody walked, there are so many bytes of entries. */
const MANY_ENTRIES = 1024;
const MANY_BYTES = 65_536;

/**
 * Reasons to go without an index: another writer, a full disk, a removed file, or a damaged one, as the next call that needs it reports.
 */
const UNNEEDED = ['LOCKED', 'NO_SPACE', 'NOT_FOUND', 'READ_ONLY', 'CORRUPT', 'TRUNCATED'] as const;

/**
 * Makes the file end with an index of the dict as it is now. Does nothing if a walk is as fast, or for the reasons above: the index only
 * makes the next open faster.
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
    // The table takes a while to build, so the lock is not held meanwhile: another writer's commit makes the table worthless.
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

/** Marks entries dead that later ones with their keys hide, if those can be read. */
function buryHidden(core: DictCore): void {
  const { entries } = core.store;
  core.writer.buryHidden((key) => {
    const slot = entries.find(key);
    if (slot < 0) return true;
    const view = core.strictView(key, entries.catalog.place(slot));
    return core.alone('close', () => hindranceOf(core, view).problem === undefined);
  });
}

/** Renews the last index if nothing was appended after it: then all that it says still holds. */
function renewed(store: DictStore): boolean {
  if (!store.endsWithIndex()) return false;
  store.index!.renew(store.commitNumber);
  return true;
}

/**
 * Appends tail entries, as a commit of its own.
 *
 * @param checksums - the payload of a checksums entry, made for the next commit number
 * @param always - write the index even if a walk is as fast
 */
export function writeTails(core: DictCore, checksums: Uint8Array | undefined, always: boolean): void {
  buryHidden(core);
  appendTails(core, checksums, buildIndex(core, always));
}

/**
 * Appends the index to a file that is about to replace another one. Without it every handle that follows would walk the whole file,
 * holding the lock.
 *
 * @param commitNumber - the file's number once it has replaced the other
 */
export function writeIndexFor(core: DictCore, commitNumber: number): void {
  core.transact(() => appendTails(core, undefined, buildIndex(core, false), commitNumber));
}

function appendTails(
  { store, writer }: DictCore,
  checksums: Uint8Array | undefined,
  table: Table | undefined,
  number?: number,
): void {
  if (checksums === undefined && table === undefined) return;
  // This raises the number that both are made for.
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
      commitNumber: number ?? nextCommitNumber(commitNumber),
      keys: older?.footer.keys ?? 0,
      fileSize,
      end,
      older: older?.end ?? 0,
    });
    add('index', payload);
  }
  writer.appendTail(parts);
}

/** Hashes and offsets of keys, without the footer that says for which state of the file. */
interface Table {
  readonly builder: IndexBuilder;
  readonly seed: number;
  /** The index that has the other keys. */
  readonly older: IndexTable | undefined;
}

/**
 * A table of the keys that no index in the file has, and of those of the newest indexes that are no larger than what was collected before:
 * each index then is more than twice as large as the next, so that there are few.
 */
function buildIndex(core: DictCore, always: boolean): Table | undefined {
  const { store } = core;
  const { standing } = store;
  const { base, catalog, removed } = store.entries;
  // An index would say that a key is missing whose entry is damaged.
  if (base === undefined && store.entries.damagedKeys().length > 0) return undefined;
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
  // Keys of older indexes that were not looked up are carried over by hash. Dead entries among them are recognised by their state at
  // lookup; those that this handle deleted are left out.
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

/** Whether the next open needs no index for so few keys: the dict may have been changed very often. */
function isQuicklyWalked({ entries, end }: DictStore): boolean {
  return entries.base === undefined ? entries.walked < MANY_ENTRIES : end < MANY_BYTES;
}

/** Indexes that the dict relies on, but that the file will no longer hold; `undefined` if they are torn. */
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
