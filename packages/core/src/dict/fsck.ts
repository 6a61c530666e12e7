/**
 * Checks files, and repairs what can be repaired.
 *
 * @module
 */

import { hasSurrogatePair } from '../bytes/index.ts';
import type { MmdError } from '../errors.ts';
import { type CheckResult, checkFile, type Finding, finding } from '../format/check.ts';
import { opaqueHead } from '../format/filler.ts';
import {
  COMMIT_NUMBER_OFFSET,
  ENTRY_HEAD_SIZE,
  entryEnd,
  FRAME_SIZE,
  getU64,
  HEADER_SIZE,
  nextCommitNumber,
  stateOffset,
  u64Bytes,
} from '../format/layout.ts';
import { answer, keyOf, type ScannedEntry, scanEntries } from '../format/scan.ts';
import { runSteps, type Step } from '../format/steps.ts';
import { isActiveJournal, JOURNAL_START, JOURNAL_SWITCH, tailKindOf } from '../format/tail-entry.ts';
import type { EntryPlace } from './catalog.ts';
import type { DictCore } from './core.ts';
import { dataFrom, findInFile } from './find-in-file.ts';
import { liveEntries } from './live-entries.ts';
import { hindranceOf, hindranceOfRemains } from './readability.ts';
import { growthCut } from './repair.ts';
import { underLock } from './under-lock.ts';
import type { ProgressOptions } from './vacuum.ts';

/** Options of `fsck`. */
export interface FsckOptions extends ProgressOptions {
  /**
   * Carry out the plan. It cuts off what no commit claimed, and an entry whose end the file has lost; whole entries stay. Default false.
   */
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
    // What the batch has written is after the terminator: a repair would cut it off.
    core.outsideBatch('fsck with repair');
  } else if (core.inTransaction()) core.writer.settle();
  if (!core.inTransaction()) store.follow();
  if (!repair) {
    const result = check(core, options, false);
    if (!errors(result)) return { ...result, ok: true, repaired: false };
  }
  // A commit in progress makes a file look damaged.
  return underLock(core, (file) => {
    const result = check(core, options, repair);
    const repaired = repair && result.plan.length > 0;
    if (repaired) {
      runSteps(result.plan, file);
      file.sync();
      store.commitNumber = nextCommitNumber(file.loadI32(COMMIT_NUMBER_OFFSET));
      file.storeI32(COMMIT_NUMBER_OFFSET, store.commitNumber);
      store.invalidate();
    }
    return { ...result, ok: !errors(result), repaired };
  });
}

function errors({ findings }: CheckResult): boolean {
  return findings.some(({ severity }) => severity === 'error');
}

/** @param alone - `onProgress` must not change the file that the plan is made for */
function check(core: DictCore, options: FsckOptions, alone: boolean): CheckResult {
  const { file, read } = core.store;
  const result = answer(
    checkFile(file.size(), file.name, (offset) => dataFrom(file, offset)),
    read,
  );
  if (result.findings.some(({ code }) => code === 'header')) return result;
  if (options.values === false) return { ...result, plan: withoutSpared(core, result) };
  const values = alone ? core.alone('fsck', () => checkValues(core, options)) : checkValues(core, options);
  const plan = sparing(result.plan, values.spared);
  return { ...result, findings: [...result.findings, ...values.findings], plan: [...plan, ...values.plan] };
}

/** The plan without the writes of these state bytes. */
function sparing(plan: readonly Step[], spared: ReadonlySet<number>): readonly Step[] {
  return plan.filter((step) => step.do !== 'write' || !spared.has(step.offset));
}

/** The plan if no other values are checked: a hidden entry stays live if the value that hides it cannot be read. */
function withoutSpared(core: DictCore, { findings, plan }: CheckResult): readonly Step[] {
  const hidden = findings.filter(({ code }) => code === 'shadowed-entry');
  if (hidden.length === 0) return plan;
  const { store } = core;
  const places = liveEntries(store);
  const spared = new Set<number>();
  for (const { key, offset } of hidden) {
    const slot = key === undefined ? -1 : places.find(key);
    if (slot < 0 || hindranceOf(core, core.strictView(key!, places.place(slot))).problem === undefined) continue;
    spared.add(stateOffset(offset, getU64(store.read(offset, FRAME_SIZE), 1)));
  }
  return sparing(plan, spared);
}

function checkValues(core: DictCore, { signal, onProgress }: ProgressOptions): ValueCheck {
  const check = new ValueCheck(core);
  const places = liveEntries(core.store);
  let done = 0;
  places.each((slot) => {
    signal?.throwIfAborted();
    check.live(places.key(slot), places.place(slot));
    onProgress?.({ done: ++done, total: places.size });
  });
  const requests = scanEntries(HEADER_SIZE, core.store.file.size(), (entry) => {
    signal?.throwIfAborted();
    const key = keyOf(entry);
    const slot = entry.state !== 'live' || key === undefined ? -1 : places.find(key);
    const shown = entry.state === 'live' && (key === undefined || (slot >= 0 && places.offset(slot) === entry.offset));
    if (!shown && entry.state !== 'damaged') check.remains(key, entry);
  });
  answer(requests, core.store.read);
  check.tellOpaque();
  return check;
}

/** Checks values, one after another. */
class ValueCheck {
  readonly findings: Finding[] = [];
  readonly plan: Step[] = [];
  /** State bytes to leave alone: Python reads what such a dead entry reaches over, or cannot read what hides such a live one. */
  readonly spared = new Set<number>();
  readonly #core: DictCore;
  /** Keys whose values cannot be read. */
  readonly #unreadable = new Set<string>();
  /** Findings by what is unknown in them. */
  readonly #opaque = new Map<unknown, { readonly first: Finding; count: number }>();

  constructor(core: DictCore) {
    this.#core = core;
  }

  live(key: string, place: EntryPlace): void {
    const { offset } = place;
    const view = this.#core.strictView(key, place);
    const { problem, opaque } = hindranceOf(this.#core, view);
    if (problem !== undefined) {
      this.#unreadable.add(key);
      this.findings.push(finding('unreadable-value', offset, problem.message, key));
      return;
    }
    if (opaque !== undefined) this.#noteOpaque(opaque, offset, key);
    const cut = growthCut(view.reader());
    if (cut === undefined) return;
    const { lengthOffset, dataLength } = cut;
    const why = 'unfinished-growth';
    this.findings.push(finding(why, offset, `the data should have ${dataLength} bytes`, key));
    this.plan.push({ do: 'write', offset: lengthOffset, bytes: u64Bytes(dataLength), why });
  }

  /**
   * Checks an entry whose value is not used: Python unpickles dead entries too, and live ones hidden by a later one, and drops the result.
   */
  remains(key: string | undefined, entry: ScannedEntry): void {
    const { offset, frameLength, keyLength, keyPos, bytes, state } = entry;
    const { store } = this.#core;
    const why = 'unreadable-remains';
    if (key !== undefined && this.#unreadable.has(key)) this.spared.add(stateOffset(offset, frameLength));
    if (key === undefined && !hasSurrogatePair(bytes, keyPos, keyPos + keyLength)) {
      this.findings.push(finding(why, offset, 'the key of a dead entry is not valid UTF-8'));
      const blank = new Uint8Array(keyLength).fill(0x20);
      this.plan.push({ do: 'write', offset: offset + ENTRY_HEAD_SIZE, bytes: blank, why });
    }
    const view = this.#core.strictView(key ?? '', { offset, frameLength, keyLength });
    // An unfinished journal is not a value, but a program.
    const start = offset + JOURNAL_SWITCH;
    const journal = state === 'dead' && tailKindOf(bytes, keyPos, keyLength) === 'journal';
    if (journal && isActiveJournal(store.read(start, JOURNAL_START), offset, entryEnd(offset, frameLength))) return;
    const { problem, opaque } = hindranceOfRemains(this.#core, view);
    if (opaque !== undefined) this.#noteOpaque(opaque, offset, key);
    if (problem === undefined) return;
    // If the length of a dead entry is wrong, Python still reads what it reaches over.
    const inside = findInFile(store, view.offset, entryEnd(offset, frameLength));
    const more = inside >= 0 ? `; another entry begins inside it at ${inside}; use salvage` : '';
    this.findings.push(finding(why, offset, `${problem.message}${more}`, key));
    if (inside < 0) this.plan.push({ do: 'write', offset: view.offset, bytes: opaqueHead(view.length), why });
    else this.spared.add(stateOffset(offset, frameLength));
  }

  #noteOpaque({ found, message }: MmdError, offset: number, key: string | undefined): void {
    const noted = this.#opaque.get(found);
    if (noted !== undefined) noted.count += 1;
    else this.#opaque.set(found, { first: finding('opaque-value', offset, message, key), count: 1 });
  }

  /** Adds one finding for each unknown thing, however many values contain it. */
  tellOpaque(): void {
    for (const { first, count } of this.#opaque.values()) {
      const more = count > 1 ? `, and in ${count - 1} more` : '';
      this.findings.push({ ...first, message: `${first.message}${more}; only Python can tell whether it loads` });
    }
  }
}
