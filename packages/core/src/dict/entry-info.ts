/**
 * Entries in file order, as users see them.
 *
 * @module
 */

import { MmdError } from '../errors.ts';
import {
  COMMIT_NUMBER_OFFSET,
  ENTRY_HEAD_SIZE,
  ENTRY_TAIL_SIZE,
  entryEnd,
  FRAME_SIZE,
  getU64,
  HEADER_SIZE,
  mayHaveMoved,
} from '../format/layout.ts';
import { keyOf, type ScanEnd, type ScannedEntry, scanEntries } from '../format/scan.ts';
import { tailKindOf } from '../format/tail-entry.ts';
import type { DictStore } from './store.ts';
import { type FileReader, readerOf, WALK_CHUNK } from './walk.ts';

/** An entry of the file, live or dead. */
export interface EntryInfo {
  readonly offset: number;
  readonly end: number;
  /** `undefined` if the key's bytes are not a string: not UTF-8, or with a pair of surrogates. */
  readonly key: string | undefined;
  readonly state: 'live' | 'dead' | 'damaged';
  readonly live: boolean;
  readonly valueOffset: number;
  readonly valueLength: number;
  readonly memoHint: number;
}

/** Entries that are collected before they are passed on: a walk over a piece is as fast as one over the file, and takes 100 us. */
const PIECE = 1024;

/** What a walk over one piece of the file met. */
interface Piece {
  readonly found: EntryInfo[];
  /** The last entry is one of the tail, which may be dropped at any time, and then no entry begins at its end. */
  atTail: boolean;
}

/**
 * All entries, up to the terminator or to damage, read as the iterator advances. Of the file that has the name when the first is requested,
 * even if a vacuum replaces it meanwhile.
 * @param from - file offset of an entry, or of the terminator; by default of the first one
 * @throws INVALID_ARGUMENT if no entry begins there; CORRUPT if an in-place vacuum moves entries meanwhile
 */
export function* entryInfos({ file }: DictStore, from: number | undefined): IterableIterator<EntryInfo> {
  const { name: path } = file;
  /** What begins after this was appended since; the last entry may grow past it. */
  const size = file.size();
  const noEntry = (): MmdError =>
    new MmdError('INVALID_ARGUMENT', `${path}: no entry begins at ${typeof from === 'number' ? from : typeof from}`, {
      found: from,
      path,
    });
  if (from !== undefined && !(Number.isSafeInteger(from) && from >= HEADER_SIZE && from <= size)) throw noEntry();
  if (size < HEADER_SIZE) return;
  const read = readerOf(file);
  let offset = from ?? HEADER_SIZE;
  let number = file.loadI32(COMMIT_NUMBER_OFFSET);
  /** Whether somebody has committed since the last look. */
  const changed = (): boolean => {
    const known = number;
    number = file.loadI32(COMMIT_NUMBER_OFFSET);
    if (!mayHaveMoved(known, number)) return number !== known;
    const message = `${path}: the entries from ${offset} on were moved while they were being scanned`;
    throw new MmdError('CORRUPT', message, { offset, path });
  };
  for (;;) {
    const { found, end } = readPiece(offset, file.size(), read);
    changed();
    if (end?.kind === 'damage' && end.offset === from) throw noEntry();
    for (const entry of found) if (entry.offset < size) yield entry;
    const last = found.at(-1);
    if (end !== undefined || last === undefined || last.end >= size) return;
    offset = last.end;
    // It was the last entry of all, and was resized: what follows is new.
    if (changed() && entryEnd(last.offset, getU64(read(last.offset, FRAME_SIZE), 1)) !== offset) return;
  }
}

/** The next entries, and how the walk ended if these are the last. */
function readPiece(
  offset: number,
  size: number,
  read: FileReader,
): { readonly found: EntryInfo[]; readonly end?: ScanEnd } {
  const piece: Piece = { found: [], atTail: false };
  const { found } = piece;
  const requests = scanEntries(offset, size, note, Infinity, WALK_CHUNK, piece);
  for (let step = requests.next(); ; ) {
    if (step.done === true) return { found, end: step.value };
    if (found.length >= PIECE && !piece.atTail) return { found };
    step = requests.next(read(step.value.offset, step.value.length));
  }
}

function note(entry: ScannedEntry, piece: Piece): void {
  const { offset, frameLength, keyLength, state, memoHint } = entry;
  piece.atTail = state === 'dead' && tailKindOf(entry.bytes, entry.keyPos, keyLength) !== undefined;
  piece.found.push({
    offset,
    end: entryEnd(offset, frameLength),
    key: keyOf(entry),
    state,
    live: state === 'live',
    valueOffset: offset + ENTRY_HEAD_SIZE + keyLength,
    valueLength: frameLength - 2 - keyLength - ENTRY_TAIL_SIZE,
    memoHint,
  });
}
