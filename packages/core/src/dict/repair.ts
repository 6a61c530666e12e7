/**
 * What a writer does first, under the lock: it repairs what a killed one left.
 *
 * @module
 */

import { failedToRead, MmdError } from '../errors.ts';
import { parseArray } from '../format/array-value.ts';
import { findBorder, findEntry } from '../format/find-entry.ts';
import { readJournal } from '../format/journal.ts';
import {
  ENTRY_HEAD_SIZE,
  ENTRY_TAIL_SIZE,
  endsAsDict,
  entryEnd,
  FRAME_SIZE,
  getU64,
  HEADER_SIZE,
  isHeader,
  isTerminator,
  isWholeTail,
  TERMINATOR_SIZE,
  terminator,
  u64Bytes,
} from '../format/layout.ts';
import { parseMasked } from '../format/masked-value.ts';
import { answer } from '../format/scan.ts';
import { JOURNAL_SWITCH, journalOff } from '../format/tail-entry.ts';
import { type FetchBytes, ValueReader } from '../format/value-reader.ts';
import { OPCODES, type OpcodeRow } from '../pickle/opcodes.ts';
import type { LastEntry } from './anchor.ts';
import { writeBorderless } from './append-buffer.ts';
import type { EntryPlace } from './catalog.ts';
import { dataFrom, findInFile } from './find-in-file.ts';
import { endOfOpcode, PickleCursor } from './pickle-cursor.ts';
import type { DictStore } from './store.ts';
import { finishJournal } from './tail.ts';
import type { FileReader } from './walk.ts';

/** Finishes what a killed writer committed, cuts off what it did not, and writes the terminator that a torn append lacks. */
export function repair(store: DictStore): void {
  const { file, torn } = store;
  if (torn !== undefined && !cutTornTail(store, torn.offset)) store.checkWhole();
  checkNotJoined(store);
  if (store.partial) {
    writeBorderless(file, store.terminator, terminator(), store.durable);
    store.partial = false;
    store.repairs.push({ kind: 'partial-commit', offset: store.terminator, bytes: 0 });
  }
  if (store.size > store.terminator + TERMINATOR_SIZE) {
    const bytes = store.size - store.terminator - TERMINATOR_SIZE;
    store.repairs.push({ kind: 'unclaimed-bytes', offset: store.terminator + TERMINATOR_SIZE, bytes });
    file.truncate(store.terminator + TERMINATOR_SIZE);
    store.size = store.terminator + TERMINATOR_SIZE;
  }
  silence(store);
  if (store.journal !== undefined) {
    store.repairs.push({ kind: 'journal', offset: store.end, bytes: 0 });
    finishJournal(store, store.journal);
    store.raise();
  }
  finishGrowing(store);
}

/** Switches off damaged journals that others have appended after: stock Python stops at them, and would see no later commit. */
function silence(store: DictStore): void {
  const { file, read, stranded } = store;
  const damaged = stranded.filter((place) => answer(readJournal(...place), read) === undefined);
  if (damaged.length === 0) return;
  for (const [offset, end] of damaged) {
    file.write(offset + JOURNAL_SWITCH, journalOff(offset, end));
    store.repairs.push({ kind: 'journal', offset, bytes: 0 });
  }
  store.stranded = stranded.filter((place) => !damaged.includes(place));
  store.raise();
}

/** Bytes after the terminator are cut off, unless they are another file that somebody appended: no append begins with a header. */
function checkNotJoined({ file, read, terminator }: DictStore): void {
  const offset = terminator + TERMINATOR_SIZE;
  if (!isHeader(read(offset, HEADER_SIZE))) return;
  const { name: path } = file;
  const message = `${path}: another dict begins at ${offset}, after the end of this one; recover both with salvage(src, dst)`;
  throw new MmdError('CORRUPT', message, { offset, path });
}

/** Finishes growing in place before anything is appended. */
function finishGrowing(store: DictStore): void {
  const last = store.foundLast;
  const cut = last && lastGrowthCut(store, last);
  store.foundLast = undefined;
  if (cut === undefined) return;
  store.file.write(cut.lengthOffset, u64Bytes(cut.dataLength));
  store.repairs.push({ kind: 'unfinished-growth', offset: last!.offset, bytes: 0 });
}

/**
 * Detects interrupted growing in place: the array does not fill its entry, and stock Python meets the old terminator inside the room.
 * @param reader - at the start of an entry's value
 * @returns where the length of the data is stored, and what it must become
 * @throws CORRUPT if there is no terminator: the entry's length is wrong, and other entries may follow
 */
export function growthCut(
  reader: ValueReader,
): { readonly lengthOffset: number; readonly dataLength: number } | undefined {
  const array = parseArray(reader);
  const { offset, pos, length } = reader;
  if (array?.countPos === undefined || pos === length) return undefined;
  const room = length - pos;
  if (room >= OLD_END) reader.skip(ENTRY_TAIL_SIZE);
  if (room < OLD_END || !isTerminator(reader.take(TERMINATOR_SIZE), 0)) {
    throw new MmdError('CORRUPT', `the entry has ${room} unexpected bytes after its array at ${offset + pos}`, {
      offset: offset + pos,
      expected: 0,
      found: room,
    });
  }
  return { lengthOffset: offset + array.dataPos - 8, dataLength: array.dataLength + room };
}

/** The tail of the entry before it grew, and the terminator after it. */
const OLD_END = ENTRY_TAIL_SIZE + TERMINATOR_SIZE;

/** Like {@link growthCut}, for the last entry. */
export function lastGrowthCut(store: DictStore, { offset, frameLength }: LastEntry): ReturnType<typeof growthCut> {
  const keyLength = store.read(offset, ENTRY_HEAD_SIZE)[ENTRY_HEAD_SIZE - 1];
  return keyLength === undefined ? undefined : growthCut(valueReader(store, { offset, frameLength, keyLength }));
}

/** Reads a value in pieces of 512 bytes. */
function valueReader({ read }: Pick<DictStore, 'read'>, place: EntryPlace): ValueReader {
  const [start, length] = valueRange(place);
  const fetch: FetchBytes = (pos, count) => read(start + pos, Math.min(Math.max(count, HEAD), length - pos));
  return new ValueReader(start, length, fetch);
}

/** The file offset and length of an entry's value. */
export function valueRange({ offset, frameLength, keyLength }: EntryPlace): readonly [offset: number, length: number] {
  const value = offset + ENTRY_HEAD_SIZE + keyLength;
  return [value, entryEnd(offset, frameLength) - ENTRY_TAIL_SIZE - value];
}

const HEAD = 512;

/** How far after the known part of a value the next entry is searched for: replacing a large list must not take as long as reading it. */
const SEARCHED = 2 ** 20;

/**
 * Whether an entry contains others up to its very end: its length is wrong, and its last bytes belong to another entry. Most values say in
 * their head where they end; lists, dicts and objects are searched, {@link SEARCHED} bytes of each.
 * @param readHead - reads the value's first bytes, if they are read with others around them
 */
export function reachesOver(store: DictStore, place: EntryPlace, readHead: FileReader = store.read): boolean {
  const [offset, length] = valueRange(place);
  const end = entryEnd(place.offset, place.frameLength);
  const head = readHead(offset, Math.min(HEAD, end - offset));
  // Small values, as most are, are read once.
  const read = (from: number, count: number): Uint8Array => {
    const at = from - offset;
    return at >= 0 && at + count <= head.length ? head.subarray(at, at + count) : store.read(from, count);
  };
  const from = endOfValue(() => valueReader({ read }, place));
  if (from === length) return false;
  const search = (at: number): number => answer(findEntry(at, Math.min(end, at + SEARCHED)), read);
  let at = search(offset + from);
  // Bytes and texts may contain what looks like entries, even whole files of this format.
  if (at < 0 || isWhole(store, offset, offset + length)) return false;
  for (; at >= 0; at = search(at)) {
    at = entryEnd(at, getU64(read(at, FRAME_SIZE), 1));
    if (at === end) return true;
  }
  return false;
}

/** Whether the opcodes from `start` end exactly at `end`, with no FRAME among them, since that would begin the next entry. */
function isWhole({ file }: DictStore, start: number, end: number): boolean {
  const cursor = new PickleCursor(file);
  cursor.seek(start);
  try {
    while (cursor.end < end) if (cursor.next() === OPCODES.FRAME.code) return false;
  } catch (error) {
    if (failedToRead(error)) throw error;
    // It is damaged.
    return false;
  }
  return cursor.end === end;
}

/** @throws CORRUPT if the entry's state byte belongs to another one: see {@link reachesOver} */
export function checkEnd(store: DictStore, key: string | undefined, place: EntryPlace, readHead?: FileReader): void {
  if (!reachesOver(store, place, readHead)) return;
  const { offset } = place;
  const path = store.file.name;
  const message = `${path}: the entry at ${offset} has a wrong length and overlaps other entries; use salvage(src, dst)`;
  throw new MmdError('CORRUPT', message, { offset, key, path });
}

/** The position up to which a value's head proves that the value extends. The data of an array may be anything, and very long. */
function endOfValue(reader: () => ValueReader): number {
  try {
    const array = reader();
    if (parseArray(array) !== undefined) return array.pos === array.length ? array.pos : 0;
    const whole = reader();
    const masked = parseMasked(whole);
    if (masked !== undefined) return masked.fill?.start ?? whole.length;
    return endOfScalar(reader());
  } catch (error) {
    if (failedToRead(error)) throw error;
    // It does not have the length that it claims.
    return 0;
  }
}

/** Stack types that a single opcode can produce as a whole value. */
const WHOLE: ReadonlySet<string> = new Set(['None', 'bool', 'int', 'float', 'str', 'bytes', 'bytearray']);
const SCALARS: ReadonlySet<number> = new Set(
  (Object.values(OPCODES) as OpcodeRow[])
    .filter(({ before, after }) => before.length === 0 && after.length === 1 && WHOLE.has(after[0]!))
    .map(({ code }) => code),
);

/** Like {@link endOfValue}, for numbers, text and bytes. */
function endOfScalar(reader: ValueReader): number {
  const head = reader.take(Math.min(9, reader.length));
  return SCALARS.has(head[0]!) ? Math.max(0, endOfOpcode(head, 0)) : 0;
}

/**
 * Cuts off an incomplete entry at the end of the file: what follows the last whole entry was never committed, or is lost. Nothing is cut
 * off that may contain an entry, nor before a terminator, nor after a damaged entry: then the file is damaged in the middle.
 */
function cutTornTail(store: DictStore, offset: number): boolean {
  const { file } = store;
  const size = file.size();
  // As after a power loss that left zeros: Python would not load what is committed after such an entry.
  if (offset > HEADER_SIZE && !isWholeTail(store.read(offset - ENTRY_TAIL_SIZE, ENTRY_TAIL_SIZE), 0)) return false;
  const last = store.read(size - TERMINATOR_SIZE, TERMINATOR_SIZE);
  if (store.options.lenient || endsAsDict(last) || findInFile(store, offset, size) >= 0) return false;
  // An entry that is whole except for its length.
  const border = findBorder(offset, size, (from) => dataFrom(file, from));
  if (answer(border, store.read) >= 0) return false;
  writeBorderless(file, offset, terminator(), store.durable);
  file.truncate(offset + TERMINATOR_SIZE);
  store.repairs.push({ kind: 'torn-tail', offset, bytes: size - offset });
  store.raise();
  store.invalidate();
  store.refresh(true);
  return store.torn === undefined;
}
