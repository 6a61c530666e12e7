/**
 * Checking, sealing and rescuing files.
 *
 * @module
 */

import { decodeUtf8, hasSurrogatePair, isText } from '../bytes/index.ts';
import { isMmdError } from '../errors.ts';
import { BINBYTES8 } from '../format/array-value.ts';
import { type CheckResult, checkFile, type Finding, finding } from '../format/check.ts';
import { CHECKSUM_BLOCK, decodeChecksums, type EntrySums, encodeChecksums, sumEntry } from '../format/checksums.ts';
import { opaqueHead } from '../format/filler.ts';
import { findEntry } from '../format/find-entry.ts';
import { type Journal, joinJournals } from '../format/journal.ts';
import {
  COMMIT_NUMBER_OFFSET,
  ENTRY_HEAD_SIZE,
  ENTRY_TAIL_SIZE,
  entryEnd,
  FRAME_SIZE,
  getU64,
  HEADER_SIZE,
  isEntryTail,
  KEY_MAX,
  LIVE,
  nextCommitNumber,
  stateOffset,
  TERMINATOR_SIZE,
  u64Bytes,
} from '../format/layout.ts';
import { answer, keyOf, scanEntries } from '../format/scan.ts';
import { runSteps, type Step } from '../format/steps.ts';
import { TAIL_PREFIX_SIZE, tailKindOf } from '../format/tail-entry.ts';
import type { EntryPlace } from './catalog.ts';
import type { DictCore } from './core.ts';
import type { EntryView } from './entry-view.ts';
import { writeTails } from './index-writer.ts';
import { rawValue } from './raw-value.ts';
import { growthCut } from './repair.ts';
import { journalOfWalk } from './stranded.ts';
import type { ProgressOptions } from './vacuum.ts';
import { type EntryTaker, walkToEnd } from './walk.ts';

/** Options of `fsck`. */
export interface FsckOptions extends ProgressOptions {
  /** Carry out the plan. It truncates only what no commit claimed. Default false. */
  readonly repair?: boolean;
  /** Also read every value (but not the data of arrays). Default true. */
  readonly values?: boolean;
}

/** What `fsck` found. */
export interface FsckResult extends CheckResult {
  /** No finding is an error. */
  readonly ok: boolean;
  /** The plan was carried out. */
  readonly repaired: boolean;
}

/** Checks a file's structure and values, and repairs what can be repaired without losing a commit. */
export function fsck(core: DictCore, options: FsckOptions = {}): FsckResult {
  const { store } = core;
  core.alive();
  const repair = options.repair === true;
  if (repair) {
    core.changing();
    // What a batch has written is behind the terminator: a repair would cut it off.
    core.outsideBatch('fsck with repair');
  } else if (core.inTransaction()) core.writer.settle();
  const { file } = store;
  const errors = ({ findings }: CheckResult): boolean => findings.some(({ severity }) => severity === 'error');
  let locked = repair;
  if (repair) file.lock(store.options.lockTimeout);
  try {
    let result = check(core, options, repair);
    if (errors(result) && !locked) {
      // Who is in the middle of a commit makes a file look damaged.
      file.lock(store.options.lockTimeout);
      locked = true;
      result = check(core, options, repair);
    }
    const repaired = repair && result.plan.length > 0;
    if (repaired) {
      runSteps(result.plan, file);
      file.sync();
      store.commitNumber = nextCommitNumber(file.loadI32(COMMIT_NUMBER_OFFSET));
      file.storeI32(COMMIT_NUMBER_OFFSET, store.commitNumber);
      store.invalidate();
    }
    return { ...result, ok: !errors(result), repaired };
  } finally {
    if (locked) file.unlock();
  }
}

/** @param alone - what `onProgress` does must not change what the plan is made for */
function check(core: DictCore, options: FsckOptions, alone: boolean): CheckResult {
  const { file, read } = core.store;
  const result = answer(checkFile(file.size(), file.name), read);
  if (options.values === false || result.findings.some(({ code }) => code === 'header')) return result;
  const values = alone ? core.alone('fsck', () => checkValues(core, options)) : checkValues(core, options);
  const plan = result.plan.filter((step) => step.do !== 'write' || !values.spared.has(step.offset));
  return { ...result, findings: [...result.findings, ...values.findings], plan: [...plan, ...values.plan] };
}

function checkValues(
  core: DictCore,
  { signal, onProgress }: ProgressOptions,
): { readonly findings: Finding[]; readonly plan: Step[]; readonly spared: ReadonlySet<number> } {
  const findings: Finding[] = [];
  const plan: Step[] = [];
  const spared = new Set<number>();
  const { live: places } = entriesOf(core, false);
  let done = 0;
  for (const [key, place] of places) {
    signal?.throwIfAborted();
    const view = core.view(key, place);
    const problem = problemOf(core, view);
    if (problem !== undefined) findings.push(finding('unreadable-value', place.offset, problem.message, key));
    else {
      const cut = growthCut(view.reader());
      if (cut !== undefined) {
        const { lengthOffset, dataLength } = cut;
        const bytes = u64Bytes(dataLength);
        findings.push(finding('unfinished-growth', place.offset, `the data is to have ${dataLength} bytes`, key));
        plan.push({ do: 'write', offset: lengthOffset, bytes, why: 'unfinished-growth' });
      }
    }
    onProgress?.({ done: ++done, total: places.size });
  }
  checkRemains(core, places, { findings, plan, spared }, signal);
  return { findings, plan, spared };
}

/** Python unpickles dead entries too, and drops what they hold; and live ones that a later one hides. */
function checkRemains(
  core: DictCore,
  shown: ReadonlyMap<string, EntryPlace>,
  { findings, plan, spared }: { findings: Finding[]; plan: Step[]; spared: Set<number> },
  signal: AbortSignal | undefined,
): void {
  const { store } = core;
  const why = 'unreadable-remains';
  const requests = scanEntries(HEADER_SIZE, store.file.size(), (entry) => {
    const { offset, frameLength, keyLength, keyPos, bytes, state } = entry;
    if (state === 'damaged' || (state === 'dead' && tailKindOf(bytes, keyPos, keyLength) !== undefined)) return;
    signal?.throwIfAborted();
    const key = keyOf(entry);
    if (state === 'live' && (key === undefined || shown.get(key)?.offset === offset)) return;
    if (key === undefined && !hasSurrogatePair(bytes, keyPos, keyPos + keyLength)) {
      findings.push(finding(why, offset, 'the key of a dead entry is not UTF-8'));
      plan.push({ do: 'write', offset: offset + ENTRY_HEAD_SIZE, bytes: new Uint8Array(keyLength).fill(0x20), why });
    }
    const view = core.view(key ?? '', { offset, frameLength, keyLength });
    const problem = problemOfRemains(core, view);
    if (problem === undefined) return;
    // Where the length of a dead entry is wrong, Python still reads what it reaches over.
    const inside = answer(findEntry(view.offset, entryEnd(offset, frameLength)), store.read);
    const more = inside >= 0 ? `; an entry stands inside it at ${inside}: salvage` : '';
    findings.push(finding(why, offset, `${problem.message}${more}`, key));
    if (inside < 0) plan.push({ do: 'write', offset: view.offset, bytes: opaqueHead(view.length), why });
    else spared.add(stateOffset(offset, frameLength));
  });
  answer(requests, store.read);
}

/** Why what nobody asks for cannot be passed over. */
function problemOfRemains(core: DictCore, view: EntryView): Error | undefined {
  // What was reclaimed, and what moves an array, may be larger than memory.
  const reader = view.reader();
  if (reader.accept(opaqueHead(view.length))) return undefined;
  if (view.length >= 9 && reader.u8() === BINBYTES8 && reader.u64() === view.length - 9) return undefined;
  const problem = problemOf(core, view);
  return isMmdError(problem, 'LIMIT_EXCEEDED') ? undefined : problem;
}

/** Why a value cannot be read; `undefined` where it can. */
function problemOf(core: DictCore, view: EntryView): Error | undefined {
  try {
    const [codec, meta] = core.describe(view);
    if (meta.shape === undefined) codec.decode(view, meta);
    else growthCut(view.reader());
    return undefined;
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  }
}

/** What {@link entriesOf} finds. What journals say counts as done. */
interface LiveEntries {
  readonly live: Map<string, EntryPlace>;
  /** File offsets of entries that may live, or be dead: what tells is damaged, and no later one has the key. */
  readonly damaged: ReadonlyMap<string, number>;
  readonly breaks: number[];
  readonly counts: ReadonlyMap<number, number> | undefined;
  readonly deaths: ReadonlySet<number>;
  /** File offsets of all that were met, of the damaged among them; and those that are dead, or hidden by a later one. */
  readonly met: Set<number>;
  readonly suspects: readonly number[];
  readonly unseen: readonly EntryPlace[];
}

/** The last live entry of each key, as far as the chain of frames goes, or beyond every break of it. */
function entriesOf(core: DictCore, beyondBreaks: boolean): LiveEntries {
  const live = new Map<string, EntryPlace>();
  const breaks: number[] = [];
  const damaged = new Map<string, number>();
  const journals: (Journal | undefined)[] = [];
  const met = new Set<number>();
  const suspects: number[] = [];
  const unseen: EntryPlace[] = [];
  const { store } = core;
  const size = store.file.size();
  /** Since the last break. */
  let lately = new Map<string, EntryPlace>();
  const taker: EntryTaker = {
    take(entry) {
      const { offset, frameLength, keyLength, state, bytes, keyPos } = entry;
      if (beyondBreaks) met.add(offset);
      if (state === 'dead') {
        const passed = !beyondBreaks || tailKindOf(bytes, keyPos, keyLength) !== undefined;
        if (!passed) unseen.push({ offset, frameLength, keyLength });
        return;
      }
      const key = keyOf(entry);
      if (state === 'damaged') suspects.push(offset);
      if (key === undefined) breaks.push(offset);
      else if (state === 'live') {
        const hidden = lately.get(key) ?? live.get(key);
        if (hidden !== undefined) unseen.push(hidden);
        lately.set(key, { offset, frameLength, keyLength });
      } else damaged.set(key, offset);
    },
    expect: () => undefined,
  };
  for (let from = HEADER_SIZE; from >= 0; ) {
    const { walk, end } = walkToEnd(store.file, from, size, taker);
    const atEnd = end.kind === 'terminator';
    // Behind a break, a terminator that entries follow may be that of another dict, which a value of this one holds.
    const goOn = beyondBreaks && !(atEnd && from === HEADER_SIZE);
    const next = goOn ? answer(findEntry(end.offset + (atEnd ? TERMINATOR_SIZE : 1), size), store.read) : -1;
    const nested = atEnd && next >= 0;
    for (const [key, place] of lately) if (!nested || !live.has(key)) live.set(key, place);
    lately = new Map();
    if (!nested) journals.push(answer(journalOfWalk(walk, end), store.read));
    if (!atEnd && beyondBreaks) breaks.push(end.offset);
    from = next;
  }
  const journal = joinJournals(journals.filter((each) => each !== undefined));
  const deaths = new Set(journal?.deaths);
  for (const [key, { offset, frameLength }] of live) if (deaths.has(stateOffset(offset, frameLength))) live.delete(key);
  for (const [key, { offset }] of live) if (offset > (damaged.get(key) ?? offset)) damaged.delete(key);
  return { live, damaged, breaks, counts: journal?.stores, deaths, met, suspects, unseen };
}

/**
 * Live entries that no FRAME leads to: those whose length is wrong, and what that reaches over.
 * @param suspects - file offsets of what may be such, rising
 * @param met - entries that are known; what is found is added
 */
function hiddenEntries(core: DictCore, suspects: readonly number[], met: Set<number>): Map<string, EntryPlace> {
  const { file, read } = core.store;
  const size = file.size();
  const found = new Map<string, EntryPlace>();
  /** The first entry at or behind `searched`; many suspects have the same. */
  let next = -1;
  let searched = Infinity;
  const search = (from: number): number => {
    if (from < searched || (next >= 0 && from > next)) {
      next = answer(findEntry(from, size), read);
      searched = from;
    }
    return next;
  };
  const take = (offset: number, end: number): void => {
    const head = read(offset, ENTRY_HEAD_SIZE + KEY_MAX);
    const keyLength = head[ENTRY_HEAD_SIZE - 1]!;
    const keyEnd = ENTRY_HEAD_SIZE + keyLength;
    // One of the two may be what is damaged.
    if ((head[0] !== 0x95 && head[9] !== 0x8c) || end - offset <= keyEnd + ENTRY_TAIL_SIZE) return;
    const tail = read(end - ENTRY_TAIL_SIZE, ENTRY_TAIL_SIZE);
    if (!isEntryTail(tail, 0) || tail[6] !== LIVE || !isText(head, ENTRY_HEAD_SIZE, keyEnd)) return;
    const key = decodeUtf8(head, ENTRY_HEAD_SIZE, keyEnd);
    found.set(key, { offset, frameLength: end - offset - FRAME_SIZE, keyLength });
  };
  const last = size - TERMINATOR_SIZE;
  for (const suspect of suspects) {
    let start = search(suspect + 1);
    take(suspect, start < 0 ? last : start);
    while (start >= 0 && !met.has(start)) {
      met.add(start);
      const end = entryEnd(start, getU64(read(start, FRAME_SIZE), 1));
      take(start, end);
      if (end >= last || met.has(end)) break;
      start = search(end);
      if (start !== end) take(end, start < 0 ? last : start);
    }
  }
  return found;
}

/** What `salvage` got out of a file. */
export interface SalvageResult {
  readonly recovered: readonly string[];
  /** Keys whose values cannot be read, and why. */
  readonly lost: readonly { readonly key: string; readonly offset: number; readonly message: string }[];
  /** File offsets where the chain of frames is broken. */
  readonly breaks: readonly number[];
}

/** Copies every intact entry of a damaged file into another dict, in one commit. */
export function salvage(from: DictCore, to: DictCore, options: ProgressOptions = {}): SalvageResult {
  const { live, damaged, breaks, counts, deaths, met, suspects, unseen } = entriesOf(from, true);
  const recovered = new Set<string>();
  const message = 'memo hint or state are not what every entry has';
  const lost = new Map([...damaged].map(([key, offset]) => [key, { key, offset, message }]));
  const copy = (key: string, place: EntryPlace): void => {
    to.put(key, rawValue(from.view(key, place, counts)));
    to.writer.settle();
    recovered.add(key);
  };
  to.transact(() => {
    for (const [key, place] of live) {
      options.signal?.throwIfAborted();
      const problem = problemOf(from, from.view(key, place));
      // What is too large for this reader may be intact: others have more room.
      if (problem === undefined || isMmdError(problem, 'LIMIT_EXCEEDED')) copy(key, place);
      else lost.set(key, { key, offset: place.offset, message: problem.message });
      options.onProgress?.({ done: recovered.size + lost.size, total: live.size });
    }
    const unreadable = unseen.filter((place) => {
      options.signal?.throwIfAborted();
      return problemOfRemains(from, from.view('', place)) !== undefined;
    });
    const doubtful = [...suspects, ...breaks, ...[...lost.values(), ...unreadable].map(({ offset }) => offset)];
    doubtful.sort((a, b) => a - b);
    for (const [key, place] of hiddenEntries(from, doubtful, met)) {
      options.signal?.throwIfAborted();
      if (recovered.has(key) || deaths.has(stateOffset(place.offset, place.frameLength))) continue;
      if (problemOf(from, from.view(key, place)) !== undefined) continue;
      copy(key, place);
      lost.delete(key);
    }
  });
  return { recovered: [...recovered], lost: [...lost.values()], breaks };
}

/** Writes the sums of all live entries, and the tail index, at the end of the file. */
export function seal(core: DictCore, options: ProgressOptions & { readonly checksums?: boolean } = {}): void {
  core.outsideBatch('seal');
  core.transact(() => {
    const { store } = core;
    core.settled();
    const entries: EntrySums[] = [];
    if (options.checksums) {
      core.alone('seal', () =>
        store.entries.catalog.each((slot) => {
          options.signal?.throwIfAborted();
          const { offset, frameLength } = store.entries.catalog.place(slot);
          entries.push({ offset, frameLength, sums: sumEntry(offset, frameLength, store.read) });
          options.onProgress?.({ done: entries.length, total: store.entries.catalog.size });
        }),
      );
    }
    const payload = options.checksums ? encodeChecksums(nextCommitNumber(store.commitNumber), entries) : undefined;
    writeTails(core, payload, true);
  });
  core.writer.settled();
}

/** What `verify` found. */
export interface VerifyResult {
  /** The file was sealed with checksums, and nothing was committed since. */
  readonly sealed: boolean;
  readonly checked: number;
  readonly findings: readonly Finding[];
}

/** Compares every live entry with the sums of the last seal. */
export function verify(core: DictCore, options: ProgressOptions = {}): VerifyResult {
  const { store } = core;
  core.refresh();
  // A file whose very header is cut off was opened to be rescued.
  if (store.file.size() < store.end) return { sealed: false, checked: 0, findings: [] };
  let payloadAt: readonly [number, number] | undefined;
  const requests = scanEntries(store.end, store.file.size(), (entry) => {
    if (entry.state !== 'dead' || tailKindOf(entry.bytes, entry.keyPos, entry.keyLength) !== 'checksums') return;
    const start = entry.offset + TAIL_PREFIX_SIZE;
    payloadAt = [start, entryEnd(entry.offset, entry.frameLength) - ENTRY_TAIL_SIZE - start];
  });
  answer(requests, store.read);
  const found = payloadAt && decodeChecksums(store.read(...(payloadAt as [number, number])));
  if (found === undefined || found.commitNumber !== store.commitNumber) {
    const damaged = payloadAt !== undefined && found === undefined;
    const findings = damaged ? [finding('bad-checksum', payloadAt![0], 'the sums themselves are damaged')] : [];
    return { sealed: false, checked: 0, findings };
  }
  const findings: Finding[] = [];
  const names = new Map([...entriesOf(core, false).live].map(([key, { offset }]) => [offset, key]));
  const summed = new Set(found.entries.map(({ offset }) => offset));
  // The byte that tells whether an entry lives is not part of its sum, but the sums are of those that lived.
  for (const [offset, key] of names) {
    if (!summed.has(offset))
      findings.push(finding('bad-checksum', offset, 'the entry was dead when the file was sealed', key));
  }
  for (const [i, { offset, frameLength, sums }] of found.entries.entries()) {
    options.signal?.throwIfAborted();
    const actual = sumEntry(offset, frameLength, store.read);
    const changed = [...sums.entries()].filter(([block, sum]) => actual[block] !== sum);
    for (const [block] of changed) {
      const at = offset + block * CHECKSUM_BLOCK;
      findings.push(finding('bad-checksum', at, `MiB ${block} of the entry at ${offset} changed`, names.get(offset)));
    }
    if (changed.length === 0 && !store.isLive({ offset, frameLength, keyLength: 0 })) {
      findings.push(finding('bad-checksum', offset, 'the entry lived when the file was sealed'));
    }
    options.onProgress?.({ done: i + 1, total: found.entries.length });
  }
  return { sealed: true, checked: found.entries.length, findings };
}
