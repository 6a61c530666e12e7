/**
 * Checks files, and repairs what can be repaired.
 *
 * @module
 */

import { hasSurrogatePair } from '../bytes/index.ts';
import { type CheckResult, checkFile, type Finding, finding } from '../format/check.ts';
import { opaqueHead } from '../format/filler.ts';
import { findEntry } from '../format/find-entry.ts';
import {
  COMMIT_NUMBER_OFFSET,
  ENTRY_HEAD_SIZE,
  entryEnd,
  HEADER_SIZE,
  nextCommitNumber,
  stateOffset,
  u64Bytes,
} from '../format/layout.ts';
import { answer, keyOf, scanEntries } from '../format/scan.ts';
import { runSteps, type Step } from '../format/steps.ts';
import { tailKindOf } from '../format/tail-entry.ts';
import type { EntryPlace } from './catalog.ts';
import type { DictCore } from './core.ts';
import { liveEntries } from './live-entries.ts';
import { problemOf, problemOfRemains } from './readability.ts';
import { growthCut } from './repair.ts';
import type { ProgressOptions } from './vacuum.ts';

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
  const places = liveEntries(core.store);
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
