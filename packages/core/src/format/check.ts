/**
 * fsck as a pure function: what is wrong with a file, where, and the plan that repairs it.
 *
 * @module
 */

import { MmdError } from '../errors.ts';
import { findBorder, findEntry } from './find-entry.ts';
import { findIndex } from './index-lookup.ts';
import { type Journal, readJournal } from './journal.ts';
import {
  DEAD,
  decodeHeader,
  ENTRY_TAIL_SIZE,
  endsAsDict,
  FRAME_SIZE,
  getU64,
  HEADER_SIZE,
  isHeader,
  isTerminator,
  isWholeTail,
  stateOffset,
  TERMINATOR_SIZE,
  terminator,
  u64Bytes,
} from './layout.ts';
import { type ByteRequest, keyOf, type ScannedEntry, scanEntries } from './scan.ts';
import type { Step } from './steps.ts';
import { isActiveJournal, JOURNAL_START, JOURNAL_SWITCH, journalOff, type TailKind, tailKindOf } from './tail-entry.ts';
import { decodeIndexFooter, INDEX_FOOTER_SIZE } from './tail-index.ts';

/** Code of a finding. */
export type FindingCode =
  | 'header'
  | 'torn-tail'
  | 'broken-chain'
  | 'damaged-entry'
  | 'bad-key'
  | 'unreadable-value'
  | 'unreadable-remains'
  | 'opaque-value'
  | 'bad-checksum'
  | 'half-commit'
  | 'unclaimed-bytes'
  | 'pending-journal'
  | 'damaged-journal'
  | 'unfinished-growth'
  | 'shadowed-entry'
  | 'stale-index';

/** A row of {@link FINDINGS}. */
export interface FindingRow {
  readonly severity: 'error' | 'warning' | 'info';
  readonly repair: boolean;
  readonly doc: string;
}

/** What can be wrong with a file. `repair` says whether a plan can repair it without losing anything intact. */
export const FINDINGS: Readonly<Record<FindingCode, FindingRow>> = {
  header: { severity: 'error', repair: false, doc: 'the header is not that of an mmdpickle file' },
  'torn-tail': { severity: 'error', repair: true, doc: 'the file ends inside an entry, or without a terminator' },
  'broken-chain': { severity: 'error', repair: false, doc: 'the chain of frames breaks before the end; use salvage' },
  'damaged-entry': { severity: 'error', repair: false, doc: 'the tail of an entry is damaged' },
  'bad-key': { severity: 'error', repair: false, doc: 'a key is not valid UTF-8, or contains a surrogate pair' },
  'unreadable-value': { severity: 'error', repair: false, doc: 'the value of a live entry cannot be read' },
  'unreadable-remains': {
    severity: 'error',
    repair: true,
    doc: 'the key or value of a dead entry cannot be read; nothing is lost, but Python cannot load the file',
  },
  'opaque-value': {
    severity: 'warning',
    repair: false,
    doc: 'a value is made by a class or call that is unknown to this library; Python loads the file only if it has it and accepts the arguments',
  },
  'bad-checksum': { severity: 'error', repair: false, doc: 'bytes changed since the file was sealed' },
  'half-commit': {
    severity: 'warning',
    repair: true,
    doc: 'a commit was interrupted at a sector boundary; the terminator must be rewritten',
  },
  'unclaimed-bytes': { severity: 'warning', repair: true, doc: 'bytes after the terminator that belong to no commit' },
  'pending-journal': {
    severity: 'warning',
    repair: true,
    doc: 'a writer was killed after committing a batch, before finishing it',
  },
  'damaged-journal': {
    severity: 'error',
    repair: false,
    doc: 'a journal has a wrong checksum; stock Python runs its program and sees nothing after it; this library skips it, and the next change removes or disables it',
  },
  'unfinished-growth': {
    severity: 'error',
    repair: true,
    doc: 'a writer was killed while growing an array in place; whatever is appended after it stays hidden from Python',
  },
  'shadowed-entry': {
    severity: 'warning',
    repair: true,
    doc: 'a live entry is hidden by a later one with the same key',
  },
  'stale-index': {
    severity: 'info',
    repair: false,
    doc: 'a tail index was made for another state of the file; it is ignored',
  },
};

/** A problem found in a file. */
export interface Finding {
  readonly code: FindingCode;
  readonly severity: 'error' | 'warning' | 'info';
  /** File offset. */
  readonly offset: number;
  readonly message: string;
  readonly key?: string | undefined;
}

/** What a check found, and the plan that repairs what can be repaired. */
export interface CheckResult {
  readonly findings: readonly Finding[];
  /** Number of live entries walked, and of all others: dead, damaged and tail entries. */
  readonly live: number;
  readonly dead: number;
  readonly plan: readonly Step[];
}

/** A finding with the severity of its code. */
export function finding(code: FindingCode, offset: number, message: string, key?: string): Finding {
  return { code, severity: FINDINGS[code].severity, offset, message, ...(key !== undefined && { key }) };
}

interface Seen {
  readonly offset: number;
  readonly frameLength: number;
}

/**
 * Checks the structure of a file; values are not read.
 *
 * @param size - the size of the file
 * @param name - for error messages
 * @param dataFrom - as for {@link findEntry}
 */
export function* checkFile(
  size: number,
  name: string,
  dataFrom?: (offset: number) => number,
): Generator<ByteRequest, CheckResult, Uint8Array> {
  const findings: Finding[] = [];
  const plan: Step[] = [];
  let counts = { live: 0, dead: 0 };
  const head: Uint8Array = yield { offset: 0, length: Math.min(size, HEADER_SIZE) };
  let commitNumber: number;
  try {
    ({ commitNumber } = decodeHeader(head, name));
  } catch (error) {
    if (!(error instanceof MmdError)) throw error;
    return { findings: [finding('header', error.offset ?? 0, error.message)], ...counts, plan };
  }
  const live = new Map<string, Seen>();
  let tail: { start: number; last: number; kind: TailKind } | undefined;
  /** Journals after which another writer has appended entries. */
  const stranded: (readonly [offset: number, end: number])[] = [];
  const end = yield* scanEntries(HEADER_SIZE, size, (entry) => {
    const kind = entry.state === 'dead' ? tailKindOf(entry.bytes, entry.keyPos, entry.keyLength) : undefined;
    if (kind === undefined && tail?.kind === 'journal') stranded.push([tail.last, entry.offset]);
    tail = kind && { start: tail?.start ?? entry.offset, last: entry.offset, kind };
    counts = { ...counts, ...(entry.state === 'live' ? { live: counts.live + 1 } : { dead: counts.dead + 1 }) };
    if (entry.state !== 'dead') checkEntry(entry, live, findings, plan);
  });
  if (end.kind === 'damage') {
    const last: Uint8Array = yield { offset: Math.max(0, size - TERMINATOR_SIZE), length: TERMINATOR_SIZE };
    const next = yield* findEntry(end.offset, size, dataFrom);
    const message = `${end.message}: expected ${end.expected}, found ${end.found}`;
    const border = next >= 0 ? -1 : yield* findBorder(end.offset, size, dataFrom);
    const before: Uint8Array = yield { offset: end.offset - ENTRY_TAIL_SIZE, length: ENTRY_TAIL_SIZE };
    // After a damaged entry nothing can be committed that Python loads.
    const follows = end.offset === HEADER_SIZE || isWholeTail(before, 0);
    if (next >= 0 || border >= 0 || endsAsDict(last) || !follows) {
      const ends = border >= 0 ? `; an entry ends at ${border}` : '';
      const more = next >= 0 ? `; entries continue at ${next}` : ends;
      findings.push(finding('broken-chain', end.offset, `${message}${more}`));
    } else {
      findings.push(finding('torn-tail', end.offset, message));
      plan.push({ do: 'write', offset: end.offset, bytes: terminator(), why: 'torn-tail' }, { do: 'sync' });
      plan.push({ do: 'truncate', size: end.offset + TERMINATOR_SIZE, why: 'torn-tail' });
    }
    return { findings, ...counts, plan };
  }
  const after = end.offset + TERMINATOR_SIZE;
  if (end.partial) {
    const head: Uint8Array = yield { offset: end.offset, length: FRAME_SIZE + TERMINATOR_SIZE };
    const { code: why, message } = partialTerminator(head, size - end.offset - FRAME_SIZE);
    findings.push(finding(why, end.offset, message));
    plan.push({ do: 'write', offset: end.offset, bytes: terminator(), why }, { do: 'sync' });
  }
  const behind: Uint8Array = yield { offset: after, length: Math.min(HEADER_SIZE, size - after) };
  if (isHeader(behind)) {
    const message = 'another file was appended after the terminator and is not read; use salvage';
    return { findings: [...findings, finding('broken-chain', after, message)], ...counts, plan: [] };
  }
  // What precedes an index was committed: this terminator is an old one, which the disk brought back.
  const index = yield* findIndex(size, undefined);
  if (index !== undefined && index.footer.end > end.offset) {
    const message = `a terminator precedes entries listed in an index, which end at ${index.footer.end}; use salvage`;
    return { findings: [...findings, finding('broken-chain', end.offset, message)], ...counts, plan: [] };
  }
  if (size > after) {
    findings.push(finding('unclaimed-bytes', after, `${size - after} bytes after the terminator`));
    plan.push({ do: 'truncate', size: after, why: 'unclaimed-bytes' });
  }
  for (const [offset, journalEnd] of stranded) {
    const at = offset + JOURNAL_SWITCH;
    if (!isActiveJournal(yield { offset: at, length: JOURNAL_START }, offset, journalEnd)) continue;
    const journal = yield* readJournal(offset, journalEnd);
    if (journal === undefined) findings.push(damagedJournal(offset));
    else planJournal(journal, offset, findings, plan);
    const why = journal === undefined ? 'damaged-journal' : 'pending-journal';
    plan.push({ do: 'write', offset: at, bytes: journalOff(offset, journalEnd), why });
  }
  if (tail !== undefined) yield* checkTail(tail as never, end.offset, size, commitNumber, findings, plan);
  return { findings, ...counts, plan };
}

/**
 * What is wrong where a terminator has to be written.
 * @param head - the bytes from there on
 * @param left - how many bytes follow the FRAME there
 */
function partialTerminator(
  head: Uint8Array,
  left: number,
): { readonly code: 'torn-tail' | 'half-commit'; readonly message: string } {
  const length = getU64(head, 1);
  // After a crash, the bytes of the append follow; otherwise Python finds a FRAME that extends past the end of the file.
  if (length > left) {
    return {
      code: 'torn-tail',
      message: `the terminator has a FRAME of ${length} bytes, of which ${left} are present`,
    };
  }
  const message = isTerminator(head, FRAME_SIZE)
    ? 'the terminator follows a FRAME of which nothing else is left'
    : 'an append was interrupted at a sector boundary before it was committed';
  return { code: 'half-commit', message };
}

function checkEntry(entry: ScannedEntry, live: Map<string, Seen>, findings: Finding[], plan: Step[]): void {
  const { offset, frameLength, state } = entry;
  const key = keyOf(entry);
  if (key === undefined)
    findings.push(finding('bad-key', offset, 'the key is not valid UTF-8, or contains a surrogate pair'));
  if (state === 'damaged') {
    findings.push(finding('damaged-entry', offset, "the entry's tail (memo hint and state) is damaged", key));
    return;
  }
  if (key === undefined) return;
  const before = live.get(key);
  if (before !== undefined) {
    findings.push(finding('shadowed-entry', before.offset, `hidden by the entry at ${offset}`, key));
    const at = stateOffset(before.offset, before.frameLength);
    plan.push({ do: 'write', offset: at, bytes: Uint8Array.of(DEAD), why: 'shadowed-entry' });
  }
  live.set(key, { offset, frameLength });
}

function* checkTail(
  tail: { start: number; last: number; kind: TailKind },
  end: number,
  size: number,
  commitNumber: number,
  findings: Finding[],
  plan: Step[],
): Generator<ByteRequest, void, Uint8Array> {
  const payloadEnd = end - ENTRY_TAIL_SIZE;
  if (tail.kind === 'journal') {
    const journal = yield* readJournal(tail.last, end);
    if (journal === undefined) {
      const start: Uint8Array = yield { offset: tail.last + JOURNAL_SWITCH, length: JOURNAL_START };
      if (isActiveJournal(start, tail.last, end)) findings.push(damagedJournal(tail.last));
      return;
    }
    planJournal(journal, tail.last, findings, plan);
    const why = 'pending-journal';
    plan.push({ do: 'write', offset: tail.start, bytes: terminator(), why });
    plan.push({ do: 'truncate', size: tail.start + TERMINATOR_SIZE, why });
  } else if (tail.kind === 'index') {
    const bytes: Uint8Array = yield { offset: payloadEnd - INDEX_FOOTER_SIZE, length: INDEX_FOOTER_SIZE };
    const footer = decodeIndexFooter(bytes);
    if (footer?.commitNumber !== commitNumber || footer.fileSize !== size) {
      findings.push(
        finding(
          'stale-index',
          tail.last,
          `made for commit ${footer?.commitNumber}, but the file is at ${commitNumber}`,
        ),
      );
    }
  }
}

function damagedJournal(offset: number): Finding {
  return finding(
    'damaged-journal',
    offset,
    'its checksum is wrong, or it refers to something other than an earlier entry',
  );
}

function planJournal(journal: Journal, offset: number, findings: Finding[], plan: Step[]): void {
  const { deaths, stores, overwrites = [] } = journal;
  findings.push(
    finding('pending-journal', offset, `${deaths.size} entries to mark as dead, ${stores.size} row counts to store`),
  );
  const why = 'pending-journal';
  for (const at of deaths) plan.push({ do: 'write', offset: at, bytes: Uint8Array.of(DEAD), why });
  for (const [at, rows] of stores) {
    plan.push({ do: 'write', offset: at, bytes: u64Bytes(rows), why });
  }
  for (const [at, bytes] of overwrites) plan.push({ do: 'write', offset: at, bytes, why });
  plan.push({ do: 'sync' });
}
