/**
 * Recovers what is intact in damaged files.
 *
 * @module
 */

import { decodeUtf8, isText } from '../bytes/index.ts';
import { isMmdError } from '../errors.ts';
import { type Journal, joinJournals } from '../format/journal.ts';
import {
  DEAD,
  decodeHeader,
  ENTRY_HEAD_SIZE,
  ENTRY_TAIL_SIZE,
  endsAsDict,
  entryEnd,
  FRAME_SIZE,
  getU64,
  HEADER_SIZE,
  isEntryTail,
  isHeader,
  KEY_MAX,
  LIVE,
  stateOffset,
  TERMINATOR_SIZE,
} from '../format/layout.ts';
import { answer, keyOf } from '../format/scan.ts';
import { tailKindOf } from '../format/tail-entry.ts';
import type { EntryPlace } from './catalog.ts';
import type { DictCore } from './core.ts';
import { dataFrom, findInFile } from './find-in-file.ts';
import { foreignValueOrError } from './foreign-value.ts';
import { buryDead } from './live-entries.ts';
import { rawValue } from './raw-value.ts';
import { hindranceOfRemains, problemOf } from './readability.ts';
import type { DictStore } from './store.ts';
import { journalOfWalk } from './stranded.ts';
import type { ProgressOptions } from './vacuum.ts';
import { type EntryTaker, walkToEnd } from './walk.ts';

/** What `salvage` recovered from a file. */
export interface SalvageResult {
  readonly recovered: readonly string[];
  /** Entries whose values cannot be read, and why. Their keys are recovered as well if an earlier entry has them. */
  readonly lost: readonly { readonly key: string; readonly offset: number; readonly message: string }[];
  /** File offsets where the chain of frames is broken. */
  readonly breaks: readonly number[];
}

/**
 * Copies every intact entry of a damaged file into another dict, in one commit.
 * @throws NOT_A_PICKLE, NOT_MMDPICKLE, TRUNCATED for a file with neither a header nor an entry: it is not a dict
 */
export function salvage(from: DictCore, to: DictCore, options: ProgressOptions = {}): SalvageResult {
  from.alive();
  // If others have replaced the file, the new one is what the dict holds now.
  if (!from.inTransaction()) from.store.follow();
  const { live, damaged, breaks, counts, deaths, met, suspects, unseen, spare } = entriesOf(from);
  const recovered = new Set<string>();
  const message = "the entry's tail (memo hint and state) is damaged";
  const lost = new Map([...damaged].map(([key, { offset }]) => [key, { key, offset, message }]));
  const copy = (key: string, place: EntryPlace): void => {
    const view = from.view(key, place, counts);
    const value = foreignValueOrError(from, to, view);
    to.put(key, value instanceof Error ? rawValue(view) : value);
    to.writer.settleBorrowed();
    recovered.add(key);
  };
  const problemFor = (key: string, place: EntryPlace): Error | undefined => {
    const problem = problemOf(from, from.view(key, place));
    if (problem !== undefined) return problem;
    const value = foreignValueOrError(from, to, from.view(key, place));
    return value instanceof Error ? value : undefined;
  };
  const isWhole = (key: string, place: EntryPlace): boolean =>
    !deaths.has(stateOffset(place.offset, place.frameLength)) && problemFor(key, place) === undefined;
  let done = 0;
  const copyAll = (): void => {
    for (const [key, place] of live) {
      options.signal?.throwIfAborted();
      const problem = problemFor(key, place);
      // A value too large for this reader may be intact: others may have larger limits.
      if (problem === undefined || isMmdError(problem, 'LIMIT_EXCEEDED')) copy(key, place);
      else {
        lost.set(key, { key, offset: place.offset, message: problem.message });
        const whole = spare.get(key)?.findLast((other) => isWhole(key, other));
        if (whole !== undefined) copy(key, whole);
      }
      options.onProgress?.({ done: ++done, total: live.size });
    }
    const unreadable = unseen.filter((place) => {
      options.signal?.throwIfAborted();
      return hindranceOfRemains(from, from.strictView('', place)).problem !== undefined;
    });
    const doubtful = [...suspects, ...breaks, ...[...lost.values(), ...unreadable].map(({ offset }) => offset)];
    doubtful.sort((a, b) => a - b);
    const hidden = new Map<string, EntryPlace>();
    for (const [key, place] of [...mayLive(from, damaged), ...hiddenEntries(from, doubtful, met)]) {
      options.signal?.throwIfAborted();
      // A guessed length may be wrong even if another entry of the key is whole.
      if (!recovered.has(key) && isWhole(key, place)) hidden.set(key, place);
    }
    for (const [key, place] of hidden) {
      options.signal?.throwIfAborted();
      copy(key, place);
      lost.delete(key);
    }
    if (met.size + recovered.size + lost.size === 0)
      decodeHeader(from.store.read(0, HEADER_SIZE), from.store.file.name);
  };
  to.transact(() => to.writer.interruptible(options.signal, copyAll));
  return { recovered: [...recovered], lost: [...lost.values()], breaks };
}

/** What {@link entriesOf} finds. Journals count as done. */
interface Survivors {
  readonly live: Map<string, EntryPlace>;
  /** Entries that may be live or dead: their tail is damaged, and no later one has the key. */
  readonly damaged: ReadonlyMap<string, EntryPlace>;
  readonly breaks: number[];
  readonly counts: ReadonlyMap<number, number> | undefined;
  readonly deaths: ReadonlySet<number>;
  /** File offsets of all entries met, and of the damaged ones among them; then the entries that are dead, or hidden by later ones. */
  readonly met: Set<number>;
  readonly suspects: readonly number[];
  readonly unseen: readonly EntryPlace[];
  /** Live entries hidden by another one with their key, which may be the damaged one. The best candidate is the last. */
  readonly spare: ReadonlyMap<string, readonly EntryPlace[]>;
}

/** The last live entry of each key, including those after breaks of the chain of frames. */
function entriesOf({ store }: DictCore): Survivors {
  const live = new Map<string, EntryPlace>();
  const breaks: number[] = [];
  const damaged = new Map<string, EntryPlace>();
  const journals: (Journal | undefined)[] = [];
  const met = new Set<number>();
  const suspects: number[] = [];
  const unseen: EntryPlace[] = [];
  const spare = new Map<string, EntryPlace[]>();
  const spares = (key: string): EntryPlace[] => {
    const places = spare.get(key) ?? [];
    spare.set(key, places);
    return places;
  };
  const size = store.file.size();
  /** Since the last break. */
  let lately = new Map<string, EntryPlace>();
  const taker: EntryTaker = {
    take(entry) {
      const { offset, frameLength, keyLength, state, bytes, keyPos } = entry;
      met.add(offset);
      if (state === 'dead') {
        if (tailKindOf(bytes, keyPos, keyLength) === undefined) unseen.push({ offset, frameLength, keyLength });
        return;
      }
      const key = keyOf(entry);
      if (state === 'damaged') suspects.push(offset);
      if (key === undefined) breaks.push(offset);
      else if (state === 'live') {
        const hidden = lately.get(key) ?? live.get(key);
        if (hidden !== undefined) {
          unseen.push(hidden);
          spares(key).push(hidden);
        }
        lately.set(key, { offset, frameLength, keyLength });
      } else damaged.set(key, { offset, frameLength, keyLength });
    },
    expect: () => undefined,
  };
  const headed = isHeader(store.read(0, HEADER_SIZE));
  const start = headed ? HEADER_SIZE : firstEntry(store);
  /** Entries after the terminator of this file, if the file up to there is whole. */
  const joined = new Map<string, EntryPlace>();
  let behindWhole = false;
  let behindTerminator = false;
  for (let from = start; from >= 0; ) {
    const { walk, end } = walkToEnd(store.file, from, size, taker);
    const atEnd = end.kind === 'terminator';
    // After a break, a terminator followed by entries may be that of another dict, contained in a value of this one.
    const whole = headed && atEnd && from === start;
    // Entries preceded by a header are a dict of their own, whose journals refer to other offsets.
    const own = from === start || !isHeader(store.read(from - HEADER_SIZE, HEADER_SIZE));
    const behind = end.offset + (atEnd ? TERMINATOR_SIZE : 1);
    const next = nextEntry(store, behind, whole);
    const gaps = behindWhole || !own || (!whole && atEnd && next >= 0);
    const found = behindWhole ? joined : live;
    for (const [key, place] of lately) {
      if (gaps && found.has(key)) spares(key).unshift(place);
      else found.set(key, place);
    }
    lately = new Map();
    // After the terminator there may be a batch, journal included, whose writer was killed before the commit.
    if (!gaps && !behindTerminator) journals.push(answer(journalOfWalk(walk, end), store.read));
    behindWhole ||= whole;
    behindTerminator ||= atEnd;
    if (!atEnd) breaks.push(end.offset);
    else if (whole && next >= 0) breaks.push(behind);
    from = next;
  }
  const journal = joinJournals(journals.filter((each) => each !== undefined));
  const deaths = buryDead(live, journal);
  for (const [key, place] of joined) {
    if (live.has(key)) spares(key).unshift(place);
    else live.set(key, place);
  }
  for (const [key, { offset }] of live) if (offset > (damaged.get(key)?.offset ?? offset)) damaged.delete(key);
  return { live, damaged, breaks, counts: journal?.stores, deaths, met, suspects, unseen, spare };
}

/** The entries whose state byte is at least as close to live as to dead: recovering a dead entry is better than losing a live one. */
function mayLive({ store }: DictCore, damaged: ReadonlyMap<string, EntryPlace>): [string, EntryPlace][] {
  return [...damaged].filter(([, { offset, frameLength }]) => {
    const [state = DEAD] = store.read(stateOffset(offset, frameLength), 1);
    return bitsOf(state ^ LIVE) <= bitsOf(state ^ DEAD);
  });
}

function bitsOf(byte: number): number {
  return byte === 0 ? 0 : (byte & 1) + bitsOf(byte >> 1);
}

/** File offset of the first entry. A file without a header may have lost it, and begin with an entry. */
function firstEntry(store: DictStore): number {
  const first = findInFile(store, 0, store.file.size());
  return first >= 0 && first < HEADER_SIZE ? first : HEADER_SIZE;
}

/**
 * Where entries continue; -1 for nowhere. After a whole dict these are another file that was appended, or what follows an older terminator
 * that was written over the middle of this one.
 */
function nextEntry(store: DictStore, behind: number, whole: boolean): number {
  if (whole && isHeader(store.read(behind, HEADER_SIZE))) return behind + HEADER_SIZE;
  return findInFile(store, behind, store.file.size());
}

/**
 * Live entries that no FRAME leads to: those whose length is wrong, and those that such a length reaches over.
 * @param suspects - file offsets of possible ones, ascending
 * @param met - entries that are known; found ones are added
 */
function hiddenEntries(core: DictCore, suspects: readonly number[], met: Set<number>): [string, EntryPlace][] {
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
