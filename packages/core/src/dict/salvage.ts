/**
 * Recovers what is intact in damaged files.
 *
 * @module
 */

import { isMmdError, type MmdError } from '../errors.ts';
import { type Journal, joinJournals } from '../format/journal.ts';
import {
  DEAD,
  decodeHeader,
  ENTRY_HEAD_SIZE,
  ENTRY_TAIL_SIZE,
  entryEnd,
  HEADER_SIZE,
  isEntryTail,
  isHeader,
  LIVE,
  stateOffset,
  TERMINATOR_SIZE,
} from '../format/layout.ts';
import { answer, keyOf } from '../format/scan.ts';
import { tailKindOf } from '../format/tail-entry.ts';
import type { EntryPlace } from './catalog.ts';
import type { DictCore } from './core.ts';
import { findInFile } from './find-in-file.ts';
import { foreignValueOrError } from './foreign-value.ts';
import { hiddenEntries } from './hidden-entries.ts';
import { buryDead } from './live-entries.ts';
import { rawValue } from './raw-value.ts';
import { hindranceOfRemains, problemOf } from './readability.ts';
import { RescueSource, type UnreadableRange } from './rescue-source.ts';
import type { DictStore } from './store.ts';
import { journalOfWalk } from './stranded.ts';
import type { ProgressOptions } from './vacuum.ts';
import { type EntryTaker, walkToEnd } from './walk.ts';

/** What `salvage` recovered from a file. */
export interface SalvageResult {
  readonly recovered: readonly string[];
  /**
   * Entries whose values cannot be read, and why. Their keys are recovered as well if an earlier entry has them, or if only the end of the
   * entry, which says whether the key was deleted, is damaged: the last bytes of the value may then be damaged, too.
   */
  readonly lost: readonly { readonly key: string; readonly offset: number; readonly message: string }[];
  /** File offsets where the chain of frames is broken, or where a key is damaged. */
  readonly breaks: readonly number[];
  /**
   * Bytes that the disk could not deliver, in order, in whole blocks of 4096: as far as something needed them, since a value that cannot be
   * read completely is given up at its first error. Another attempt may be able to read them.
   */
  readonly unreadable: readonly UnreadableRange[];
}

/**
 * Copies every intact entry of a damaged file into another dict, in one commit. Bytes that the disk cannot deliver count as damaged.
 * @throws NOT_A_PICKLE, NOT_MMDPICKLE, TRUNCATED for a file with neither a header nor an entry: it is not a dict; IO if the disk delivers
 * neither
 */
export function salvage(from: DictCore, to: DictCore, options: ProgressOptions = {}): SalvageResult {
  from.alive();
  const { store } = from;
  // If others have replaced the file, the new one is what the dict holds now.
  if (!from.inTransaction()) store.follow();
  const { file } = store;
  const source = file instanceof RescueSource ? file : new RescueSource(file);
  store.file = source;
  try {
    return new Salvage(from, source, to, options).run();
  } finally {
    if (store.file === source) store.file = file;
  }
}

type Lost = SalvageResult['lost'][number];

/** One salvage. */
class Salvage {
  readonly #from: DictCore;
  readonly #source: RescueSource;
  readonly #to: DictCore;
  readonly #options: ProgressOptions;
  readonly #found: Survivors;
  readonly #recovered = new Set<string>();
  readonly #lost = new Map<string, Lost>();
  /** Keys in `#lost` whose bytes could not be read. */
  readonly #unread = new Set<string>();
  /** File offsets of entries whose values are damaged: their lengths may be wrong. */
  readonly #damaged: number[] = [];

  constructor(from: DictCore, source: RescueSource, to: DictCore, options: ProgressOptions) {
    this.#from = from;
    this.#source = source;
    this.#to = to;
    this.#options = options;
    this.#found = entriesOf(from, source);
  }

  run(): SalvageResult {
    const { breaks } = this.#found;
    const { writer } = this.#to;
    const copyAll = (): void => {
      this.#noteDamaged();
      this.#copyLive();
      this.#copyHidden();
      if (this.#found.met.size + this.#recovered.size + this.#lost.size === 0) this.#refuseOther();
    };
    this.#to.transact(() => writer.interruptible(this.#options.signal, copyAll));
    const unreadable = this.#source.unreadable();
    return { recovered: [...this.#recovered], lost: [...this.#lost.values()], breaks, unreadable };
  }

  #noteDamaged(): void {
    for (const [key, place] of this.#found.damaged) {
      const end = endOf(place);
      const problem = this.#source.problemIn(end - ENTRY_TAIL_SIZE, end);
      const message = "the entry's tail (memo hint and state) is damaged";
      if (problem === undefined) this.#lost.set(key, { key, offset: place.offset, message });
      else this.#lose(key, place, `${problem.message}: they say whether the key was deleted`, true);
    }
  }

  #lose(key: string, { offset }: EntryPlace, message: string, unread: boolean): void {
    this.#lost.set(key, { key, offset, message });
    if (unread) this.#unread.add(key);
  }

  #copyLive(): void {
    const { live, spare } = this.#found;
    let done = 0;
    for (const [key, place] of live) {
      this.#options.signal?.throwIfAborted();
      const problem = this.#problemFor(key, place);
      // A value too large for this reader may be intact: others may have larger limits.
      const readable = problem === undefined || isMmdError(problem, 'LIMIT_EXCEEDED');
      const error = readable ? this.#copy(key, place) : problem;
      if (error !== undefined) {
        // Where only the copy failed, the value's head is right, and so is its length.
        if (!readable) this.#damaged.push(place.offset);
        this.#lose(key, place, error.message, this.#source.meant(error));
        const others = spare.get(key) ?? [];
        others.findLast((other) => this.#isWhole(key, other) && this.#copy(key, other) === undefined);
      }
      this.#options.onProgress?.({ done: ++done, total: live.size });
    }
  }

  /** Copies what only looks like an entry, or like a live one, for keys that have no other. */
  #copyHidden(): void {
    const { damaged, met, suspects, unseen, breaks } = this.#found;
    const { signal } = this.#options;
    const unreadable = unseen.filter((place) => {
      signal?.throwIfAborted();
      return hindranceOfRemains(this.#from, this.#from.strictView('', place)).problem !== undefined;
    });
    const doubtful = [...suspects, ...breaks, ...this.#damaged, ...unreadable.map(({ offset }) => offset)];
    doubtful.sort((a, b) => a - b);
    const hidden = new Map<string, EntryPlace>();
    for (const [key, place] of [
      ...mayLive(this.#from, damaged),
      ...hiddenEntries(this.#from, this.#source, doubtful, met),
    ]) {
      signal?.throwIfAborted();
      // A guessed length may be wrong even if another entry of the key is whole.
      if (!this.#recovered.has(key) && this.#isWhole(key, place)) hidden.set(key, place);
    }
    for (const [key, place] of hidden) {
      signal?.throwIfAborted();
      const error = this.#copy(key, place);
      if (error !== undefined) this.#lose(key, place, error.message, true);
      else if (this.#hasTail(place) && (!this.#unread.has(key) || this.#replacesLost(key, place)))
        this.#lost.delete(key);
    }
  }

  /** Whether no more than the state byte is damaged: what overwrote more of a tail may have overwritten the end of the value, too. */
  #hasTail(place: EntryPlace): boolean {
    return isEntryTail(this.#from.store.read(endOf(place) - ENTRY_TAIL_SIZE, ENTRY_TAIL_SIZE), 0);
  }

  /** Whether this is the very entry that could not be read with another length, and all of it can be read. */
  #replacesLost(key: string, place: EntryPlace): boolean {
    return this.#lost.get(key)?.offset === place.offset && !this.#source.isBad(keyStart(place), endOf(place));
  }

  /** Returns the error if the disk could not deliver the value: then nothing is copied. */
  #copy(key: string, place: EntryPlace): MmdError | undefined {
    const { writer } = this.#to;
    const { mark } = writer;
    const error = this.#source.attempt(() => {
      const view = this.#from.view(key, place, this.#found.counts);
      const value = foreignValueOrError(this.#from, this.#to, view);
      this.#to.put(key, value instanceof Error ? rawValue(view) : value);
    });
    if (error === undefined) {
      writer.settleBorrowed();
      this.#recovered.add(key);
    } else writer.takeBack(mark);
    return error;
  }

  #problemFor(key: string, place: EntryPlace): Error | undefined {
    const from = this.#from;
    let problem: Error | undefined;
    const unread = this.#source.attempt(() => {
      problem = problemOf(from, from.view(key, place));
      if (problem !== undefined) return;
      const value = foreignValueOrError(from, this.#to, from.view(key, place));
      if (value instanceof Error) problem = value;
    });
    return unread ?? problem;
  }

  #isWhole(key: string, place: EntryPlace): boolean {
    const dead = this.#found.deaths.has(stateOffset(place.offset, place.frameLength));
    return !dead && this.#problemFor(key, place) === undefined;
  }

  /** Nothing of a dict was found. */
  #refuseOther(): void {
    const { file, read } = this.#from.store;
    const error = this.#source.attempt(() => void decodeHeader(read(0, HEADER_SIZE), file.name));
    if (error !== undefined) throw error;
  }
}

/** File offset of the key's length, which precedes the key. */
function keyStart({ offset }: Pick<EntryPlace, 'offset'>): number {
  return offset + ENTRY_HEAD_SIZE - 1;
}

function endOf({ offset, frameLength }: EntryPlace): number {
  return entryEnd(offset, frameLength);
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
function entriesOf({ store }: DictCore, source: RescueSource): Survivors {
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
      const kind = tailKindOf(bytes, keyPos, keyLength);
      if (state === 'dead') {
        if (kind === undefined) unseen.push({ offset, frameLength, keyLength });
        return;
      }
      // Bytes that cannot be read are zeros here, which may be a key's.
      const key = source.isBad(keyStart(entry), keyStart(entry) + 1 + keyLength) ? undefined : keyOf(entry);
      if (state === 'damaged') suspects.push(offset);
      // These are no values of the dict, and nothing is missing without them.
      if (state === 'damaged' && (kind === 'index' || kind === 'checksums')) return;
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
