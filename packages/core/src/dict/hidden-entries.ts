/**
 * Searches for entries that no FRAME leads to, in what a salvage has reason to doubt.
 *
 * @module
 */

import { decodeUtf8, isText } from '../bytes/index.ts';
import {
  DEAD,
  ENTRY_HEAD_SIZE,
  ENTRY_TAIL_SIZE,
  endsAsDict,
  entryEnd,
  FRAME_SIZE,
  getU64,
  isEntryTail,
  KEY_MAX,
  LIVE,
  TERMINATOR_SIZE,
} from '../format/layout.ts';
import type { EntryPlace } from './catalog.ts';
import type { DictCore } from './core.ts';
import { dataFrom, findInFile } from './find-in-file.ts';
import { hindranceOfRemains } from './readability.ts';
import type { RescueSource } from './rescue-source.ts';
import type { DictStore } from './store.ts';

/**
 * Live entries that no FRAME leads to: those whose length is wrong, and those that such a length reaches over.
 * @param suspects - file offsets of possible ones, ascending
 * @param met - entries that are known; found ones are added
 */
export function hiddenEntries(
  core: DictCore,
  source: RescueSource,
  suspects: readonly number[],
  met: Set<number>,
): [string, EntryPlace][] {
  const { file, read } = core.store;
  const size = file.size();
  const found: [string, EntryPlace][] = [];
  /** The first entry at or after `searched`; many suspects share it. */
  let next = -1;
  let searched = Infinity;
  const search = (from: number): number => {
    if (from < searched || (next >= 0 && from > next)) {
      next = findInFile(core.store, from, size);
      searched = from;
    }
    return next;
  };
  const take = (offset: number, end: number): void => {
    const head = read(offset, ENTRY_HEAD_SIZE + KEY_MAX);
    const keyLength = head[ENTRY_HEAD_SIZE - 1]!;
    const keyEnd = ENTRY_HEAD_SIZE + keyLength;
    // One of the two opcodes may be damaged.
    if ((head[0] !== 0x95 && head[9] !== 0x8c) || end - offset <= keyEnd + ENTRY_TAIL_SIZE) return;
    const tail = read(end - ENTRY_TAIL_SIZE, ENTRY_TAIL_SIZE);
    if (!isEntryTail(tail, 0) || tail[6] !== LIVE || !isText(head, ENTRY_HEAD_SIZE, keyEnd)) return;
    // The frame's length is not needed.
    if (source.isBad(offset + ENTRY_HEAD_SIZE - 1, offset + keyEnd) || source.isBad(end - ENTRY_TAIL_SIZE, end)) return;
    const key = decodeUtf8(head, ENTRY_HEAD_SIZE, keyEnd);
    found.push([key, { offset, frameLength: end - offset - FRAME_SIZE, keyLength }]);
  };
  const terminated = endsAsDict(read(Math.max(0, size - TERMINATOR_SIZE), TERMINATOR_SIZE));
  const last = terminated ? size - TERMINATOR_SIZE : size;
  /** The borders found last; `next` is the first one not yet passed. */
  const borders = { places: [] as readonly number[], next: 0, from: -1, until: -1 };
  /** There is no whole entry between these offsets, but there may be several whose length is wrong. */
  const takeBetween = (from: number, until: number): void => {
    take(from, until);
    if (until !== borders.until || from < borders.from) {
      const places = bordersOf(core.store, from, until);
      Object.assign(borders, { places, next: 0, from, until });
      for (const [i, place] of places.entries()) take(place, places[i + 1] ?? until);
    }
    while ((borders.places[borders.next] ?? Infinity) <= from) borders.next++;
    const border = borders.places[borders.next];
    if (border !== undefined) take(from, border);
  };
  /** Bytes that may be read in vain: a file may consist of entries that all reach to its end. */
  let budget = 4 * size;
  /** Whether the length of an entry that was found is wrong, too; `undefined` once the budget is used up. */
  const reachesOver = (offset: number, end: number): boolean | undefined => {
    const keyLength = read(offset, ENTRY_HEAD_SIZE)[ENTRY_HEAD_SIZE - 1]!;
    const view = core.strictView('', { offset, frameLength: end - offset - FRAME_SIZE, keyLength });
    if (budget < view.length) return undefined;
    const over = hindranceOfRemains(core, view).problem !== undefined;
    if (over) budget -= view.length;
    return over;
  };
  for (const suspect of suspects) {
    let start = search(suspect + 1);
    takeBetween(suspect, start < 0 ? last : start);
    while (start >= 0 && !met.has(start)) {
      met.add(start);
      const from = start;
      let end = entryEnd(start, getU64(read(start, FRAME_SIZE), 1));
      const over = reachesOver(start, end);
      if (over === undefined) takeBetween(start, end);
      else take(start, end);
      if (over) end = start + 1;
      else if (end >= last || met.has(end)) break;
      start = search(end);
      if (start !== end) takeBetween(end === from + 1 ? from : end, start < 0 ? last : start);
    }
  }
  return found;
}

/** Bytes that are searched for borders at a time. */
const PIECE = 2 ** 18;

/** Offsets between `from` and `until` where the tail of an entry is followed by a possible FRAME. */
function bordersOf({ file, read }: DictStore, from: number, until: number): number[] {
  const places: number[] = [];
  for (let start = dataFrom(file, from); start < until; start = dataFrom(file, start + PIECE)) {
    // A tail may begin in the previous piece.
    const first = Math.max(0, start - ENTRY_TAIL_SIZE);
    const bytes = read(first, Math.min(start + PIECE, until) - first);
    for (let pos = bytes.indexOf(0x95, ENTRY_TAIL_SIZE); pos >= 0; pos = bytes.indexOf(0x95, pos + 1)) {
      const tail = pos - ENTRY_TAIL_SIZE;
      const state = bytes[tail + 6];
      if (isEntryTail(bytes, tail) && (state === LIVE || state === DEAD)) places.push(first + pos);
    }
  }
  return places;
}
