/**
 * The journal: a tail entry that makes a change in several places one commit.
 *
 * An append, a delete and a row count are each committed by one write. A batch that needs more than one of these
 * writes the changes into a journal, commits that (and what it appends) by one write, carries them out, and drops the
 * journal. A reader that finds a journal treats its changes as done; a writer carries them out first.
 *
 * Payload: CRC-32C of what follows up to the footer (u32), count of deaths (u32), count of stores (u32), count of
 * overwrites (u32); then the file offset of each state byte to become dead (u64 each); for each store its file offset
 * (u64) and the row count (i64); for each overwrite its file offset (u64), length (u32) and bytes; then the footer of
 * all tail entries.
 *
 * @module
 */

import { crc32c } from './checksum.ts';
import { DEAD, ENTRY_TAIL_SIZE, getU32, getU64, HEADER_SIZE, isEntryTail, LIVE, putU32, putU64 } from './layout.ts';
import type { ByteRequest } from './scan.ts';
import { putTailFooter, TAIL_FOOTER_SIZE, tailFooter } from './tail-entry.ts';

/**
 * Where a journal's payload starts.
 * @param bytes - the last bytes of the entry, at least 24
 * @param entryEnd - the end of the entry, as a file offset or as a position in bytes
 * @returns the start, counted in the same way; `undefined` if there is no journal's footer
 */
export function journalStart(bytes: Uint8Array, entryEnd: number): number | undefined {
  const footer = tailFooter(bytes, bytes.length - ENTRY_TAIL_SIZE - TAIL_FOOTER_SIZE);
  return footer?.kind === 'journal' ? entryEnd - ENTRY_TAIL_SIZE - footer.length : undefined;
}

/** The changes that are carried out after the commit. */
export interface Journal {
  /** File offsets of state bytes that become dead. */
  readonly deaths: ReadonlySet<number>;
  /** Row counts to store: file offset and rows. */
  readonly stores: ReadonlyMap<number, number>;
  /** Bytes to write elsewhere, in this order: file offset and bytes. No bytes are a barrier: sync before what follows, if durable. */
  readonly overwrites?: readonly (readonly [offset: number, bytes: Uint8Array])[];
}

/**
 * Applies row counts that are yet to be stored to bytes that were read, as if they were stored.
 * @param start - file offset of the bytes
 */
export function layCounts(stores: ReadonlyMap<number, number>, bytes: Uint8Array, start: number): void {
  const last = start + bytes.length - 8;
  if (stores.size <= bytes.length) {
    for (const [offset, rows] of stores) if (offset >= start && offset <= last) putU64(bytes, offset - start, rows);
    return;
  }
  // With very many row counts, each read would go through all of them.
  for (let offset = start; offset <= last; offset++) {
    const rows = stores.get(offset);
    if (rows !== undefined) putU64(bytes, offset - start, rows);
  }
}

/** Joins journals into one, to be carried out in this order. */
export function joinJournals(journals: readonly Journal[]): Journal | undefined {
  if (journals.length < 2) return journals[0];
  return {
    deaths: new Set(journals.flatMap(({ deaths }) => [...deaths])),
    stores: new Map(journals.flatMap(({ stores }) => [...stores])),
    overwrites: journals.flatMap(({ overwrites = [] }) => overwrites),
  };
}

/**
 * Reads the journal in an entry.
 * @param offset - file offset of the entry
 * @param end - file offset of its end
 * @returns `undefined` if the journal is not valid
 */
export function* readJournal(offset: number, end: number): Generator<ByteRequest, Journal | undefined, Uint8Array> {
  const footer = ENTRY_TAIL_SIZE + TAIL_FOOTER_SIZE;
  const start = journalStart(yield { offset: end - footer, length: footer }, end);
  if (start === undefined || start < offset) return undefined;
  const journal = decodeJournal(yield { offset: start, length: end - ENTRY_TAIL_SIZE - start });
  return journal !== undefined && staysWithin(journal, offset) && (yield* standsThere(journal)) ? journal : undefined;
}

/** Number of last places that prove that nothing moved: a single one may match another entry's by chance. */
const PROOFS = 8;

/**
 * Whether the entries are still where they were: bytes inserted into the file, or lost from it, move the last places in any case.
 * With overwrites this is not checked, as they may change the places themselves.
 */
function* standsThere({ deaths, stores, overwrites = [] }: Journal): Generator<ByteRequest, boolean, Uint8Array> {
  if (overwrites.length > 0) return true;
  const lastOf = (places: Iterable<number>): number[] => [...places].sort((a, b) => b - a).slice(0, PROOFS);
  for (const death of lastOf(deaths)) {
    const tail: Uint8Array = yield { offset: death - STATE_AT, length: ENTRY_TAIL_SIZE };
    const state = tail[STATE_AT];
    if (!isEntryTail(tail, 0) || (state !== LIVE && state !== DEAD)) return false;
  }
  for (const store of lastOf(stores.keys())) {
    const count: Uint8Array = yield { offset: store - 2, length: 2 };
    // LONG1 of eight bytes.
    if (count[0] !== 0x8a || count[1] !== 8) return false;
  }
  return true;
}

/** Whether all places are in entries before `end`. Only a forged journal names others, in the header or past the end of the file. */
function staysWithin({ deaths, stores, overwrites = [] }: Journal, end: number): boolean {
  const within = (at: number, length: number): boolean => at >= HEADER_SIZE && at + length <= end;
  return (
    [...deaths].every((at) => within(at, 1)) &&
    [...stores.keys()].every((at) => within(at, 8)) &&
    overwrites.every(([at, { length }]) => length === 0 || within(at, length))
  );
}

const HEAD = 16;
/** Position of the state byte in an entry's tail. */
const STATE_AT = 6;

/** The payload of a journal. */
export function encodeJournal({ deaths, stores, overwrites = [] }: Journal): Uint8Array {
  const text = overwrites.reduce((sum, [, bytes]) => sum + 12 + bytes.length, 0);
  const end = HEAD + 8 * deaths.size + 16 * stores.size + text;
  const payload = new Uint8Array(end + TAIL_FOOTER_SIZE);
  putU32(payload, 4, deaths.size);
  putU32(payload, 8, stores.size);
  putU32(payload, 12, overwrites.length);
  let pos = HEAD;
  for (const offset of deaths) {
    putU64(payload, pos, offset);
    pos += 8;
  }
  for (const [offset, rows] of stores) {
    putU64(payload, pos, offset);
    putU64(payload, pos + 8, rows);
    pos += 16;
  }
  for (const [offset, bytes] of overwrites) {
    putU64(payload, pos, offset);
    putU32(payload, pos + 8, bytes.length);
    payload.set(bytes, pos + 12);
    pos += 12 + bytes.length;
  }
  putU32(payload, 0, crc32c(payload.subarray(4, end)));
  putTailFooter('journal', payload);
  return payload;
}

/** Decodes a payload; `undefined` if it is torn: then it was never committed, given the order of writes, and is ignored. */
export function decodeJournal(payload: Uint8Array): Journal | undefined {
  if (payload.length < HEAD + TAIL_FOOTER_SIZE) return undefined;
  const end = payload.length - TAIL_FOOTER_SIZE;
  if (crc32c(payload.subarray(4, end)) !== getU32(payload, 0)) return undefined;
  const [deathCount, storeCount, overwriteCount] = [getU32(payload, 4), getU32(payload, 8), getU32(payload, 12)];
  if (HEAD + 8 * deathCount + 16 * storeCount + 12 * overwriteCount > end) return undefined;
  const deaths = new Set<number>();
  const stores = new Map<number, number>();
  const overwrites: [number, Uint8Array][] = [];
  let pos = HEAD;
  for (let i = 0; i < deathCount; i++, pos += 8) deaths.add(getU64(payload, pos));
  for (let i = 0; i < storeCount; i++, pos += 16) stores.set(getU64(payload, pos), getU64(payload, pos + 8));
  for (let i = 0; i < overwriteCount; i++) {
    const length = getU32(payload, pos + 8);
    overwrites.push([getU64(payload, pos), payload.slice(pos + 12, pos + 12 + length)]);
    pos += 12 + length;
  }
  return pos === end ? { deaths, stores, overwrites } : undefined;
}
