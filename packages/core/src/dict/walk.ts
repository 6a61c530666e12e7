/**
 * Walks over entries, for what a handle knows of its file.
 *
 * @module
 */

import { entryEnd } from '../format/layout.ts';
import { answer, type ScanEnd, type ScannedEntry, scanEntries } from '../format/scan.ts';
import { type TailKind, tailKindOf } from '../format/tail-entry.ts';
import type { StorageFile } from '../storage/storage-file.ts';
import type { EntryPlace } from './catalog.ts';
import { IndexTable } from './index-table.ts';
import type { JournalPlace } from './stranded.ts';

const EMPTY = new Uint8Array(0);

/** The largest piece that a walk reads at once: half of a second-level cache. */
export const WALK_CHUNK: number = 2 ** 18;

/** After so many entries, a walk makes room for as many as there will be if the rest are like these. */
const SAMPLE = 256;

/** Receives the entries that a walk meets. */
export interface EntryTaker {
  /** Called for every entry, including tail entries; borrowed. */
  take(entry: ScannedEntry): void;
  /** The estimated number of entries in all. */
  expect(count: number): void;
}

const NOBODY: EntryTaker = { take: () => undefined, expect: () => undefined };

/**
 * One walk, and what it met. An object literal, not a class: V8 drops the hidden class of a class with its last object, and with it all
 * code compiled for it, so that every walk would begin in the interpreter.
 */
export interface Walk {
  readonly taker: EntryTaker;
  readonly from: number;
  readonly size: number;
  /** Number of entries met. */
  seen: number;
  /** The last entry that is not a tail entry; -1 if none was met. */
  last: number;
  frameLength: number;
  keyLength: number;
  /** File offset of the first tail entry after that; -1 for none. */
  tailStart: number;
  lastTail: number;
  tail: TailKind | undefined;
  /** File offset of the end of the last index met; 0 for none. */
  indexEnd: number;
  /** Journals that are followed by entries. */
  readonly stranded: JournalPlace[];
  /** {@link walkAhead} stopped at an entry that must not be taken without the lock. */
  closer: boolean;
}

/**
 * Walks to the terminator, or to where the chain of entries breaks.
 * @param from - file offset of the first entry
 * @param size - of the file
 */
export function walkToEnd(
  file: StorageFile,
  from: number,
  size: number,
  taker: EntryTaker,
): { walk: Walk; end: ScanEnd } {
  const walk = newWalk(taker, from, size);
  return { walk, end: scan(file, walk, meet, Infinity, WALK_CHUNK) };
}

/** Walks to `until`, where an entry is known to begin; `taker` receives what is met, nothing else is recorded. */
export function walkTo(file: StorageFile, from: number, until: number, taker: EntryTaker): ScanEnd {
  return endAt(scan(file, newWalk(taker, from, file.size()), take, until, WALK_CHUNK), until);
}

/**
 * Like {@link walkTo}, without passing the entries on.
 * @returns undefined if it would read more than `budget` bytes, and gave up
 */
export function walkAtMost(file: StorageFile, from: number, until: number, budget: number): ScanEnd | undefined {
  const size = file.size();
  const requests = scanEntries(from, size, take, until, WALK_CHUNK, newWalk(NOBODY, from, size));
  const read = readerOf(file);
  let left = budget;
  for (let step = requests.next(); ; ) {
    if (step.done === true) return endAt(step.value, until);
    const { offset, length } = step.value;
    left -= length;
    if (left < 0) return undefined;
    step = requests.next(read(offset, length));
  }
}

/** A walk that does not end at `until` followed a wrong length, and did not meet what that hides. */
export function endAt(end: ScanEnd, until: number): ScanEnd {
  if (end.kind === 'damage' || end.offset === until) return end;
  const message = 'a known entry boundary is missing';
  return { kind: 'damage', offset: until, truncated: false, message, expected: until, found: end.offset };
}

/**
 * Checks the end of a walk by the index. One made for this very state says where the entries end: a walk that went past that followed a
 * wrong length. And what precedes any index is older: a walk that ended before it met an old terminator, in the middle of the file.
 * @param end - how the walk ended
 * @param until - file offset of the end of the last entry met
 */
export function checkByIndex(
  file: StorageFile,
  end: ScanEnd,
  until: number,
  size: number,
  commitNumber: number,
): ScanEnd {
  const footer = end.kind === 'terminator' ? IndexTable.last(file, size)?.footer : undefined;
  if (footer === undefined || until === footer.end) return end;
  if (until > footer.end) return footer.commitNumber === commitNumber ? endAt(end, footer.end) : end;
  const message = 'a terminator precedes entries listed in an index';
  return { kind: 'damage', offset: end.offset, truncated: false, message, expected: footer.end, found: end.offset };
}

/**
 * Walks over the live and dead entries that others have committed.
 * @param size - where to stop
 */
export function walkAhead(file: StorageFile, from: number, size: number, taker: EntryTaker): Walk {
  const walk = newWalk(taker, from, size);
  scan(file, walk, meetAhead, Infinity, size - from);
  return walk;
}

/** The last entry met that is not a tail entry. */
export function lastOf({ last, frameLength, keyLength }: Walk): EntryPlace | undefined {
  return last < 0 ? undefined : { offset: last, frameLength, keyLength };
}

/** A walk that has met nothing yet. */
export function newWalk(taker: EntryTaker, from: number, size: number): Walk {
  return {
    taker,
    from,
    size,
    seen: 0,
    last: -1,
    frameLength: 0,
    keyLength: 0,
    tailStart: -1,
    lastTail: -1,
    tail: undefined,
    indexEnd: 0,
    stranded: [],
    closer: false,
  };
}

function scan(
  file: StorageFile,
  walk: Walk,
  visit: (entry: ScannedEntry, walk: Walk) => void,
  until: number,
  largest: number,
): ScanEnd {
  return answer(scanEntries(walk.from, walk.size, visit, until, largest, walk), readerOf(file));
}

/** All bytes of a range of a file; fewer at its end. Borrowed until the next call. */
export type FileReader = (offset: number, length: number) => Uint8Array;

/** Reads one piece after another into one buffer, which stays in the processor's cache, and whose pages are already present. */
export function readerOf(file: StorageFile): FileReader {
  let buffer = EMPTY;
  return (offset, length) => {
    if (buffer.length < length) buffer = new Uint8Array(length);
    const bytes = buffer.length === length ? buffer : buffer.subarray(0, length);
    const count = file.read(offset, bytes);
    return count === length ? bytes : bytes.subarray(0, count);
  };
}

/*
 * What a scan calls for every entry: one function for all walks of a kind, since V8 compiles the scan's loop for the function
 * that it calls, and drops the code with it.
 */

/** Visits an entry of a walk to the terminator, and records its place. */
export function meet(entry: ScannedEntry, walk: Walk): void {
  if (++walk.seen === SAMPLE) walk.taker.expect((SAMPLE * walk.size) / (entry.offset - walk.from));
  const tail = entry.state === 'dead' ? tailOf(entry) : undefined;
  if (tail === undefined) {
    if (walk.tailStart >= 0 && walk.tail === 'journal') walk.stranded.push([walk.lastTail, entry.offset]);
    walk.tailStart = -1;
    walk.last = entry.offset;
    walk.frameLength = entry.frameLength;
    walk.keyLength = entry.keyLength;
  } else {
    if (walk.tailStart < 0) walk.tailStart = entry.offset;
    walk.lastTail = entry.offset;
    walk.tail = tail;
    if (tail === 'index') walk.indexEnd = entryEnd(entry.offset, entry.frameLength);
  }
  walk.taker.take(entry);
}

function meetAhead(entry: ScannedEntry, walk: Walk): void {
  // A tail entry may be gone a moment later, with other entries in its place.
  walk.closer ||= entry.state === 'damaged' || (entry.state === 'dead' && tailOf(entry) !== undefined);
  if (walk.closer) return;
  walk.last = entry.offset;
  walk.frameLength = entry.frameLength;
  walk.keyLength = entry.keyLength;
  walk.taker.take(entry);
}

function take(entry: ScannedEntry, walk: Walk): void {
  walk.taker.take(entry);
}

function tailOf({ bytes, keyPos, keyLength }: ScannedEntry): TailKind | undefined {
  return tailKindOf(bytes, keyPos, keyLength);
}
