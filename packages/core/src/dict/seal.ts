/**
 * Seals files with checksums, and verifies them.
 *
 * @module
 */

import { type Finding, finding } from '../format/check.ts';
import { CHECKSUM_BLOCK, decodeChecksums, type EntrySums, encodeChecksums, sumEntry } from '../format/checksums.ts';
import { ENTRY_TAIL_SIZE, entryEnd, nextCommitNumber } from '../format/layout.ts';
import { answer, scanEntries } from '../format/scan.ts';
import { TAIL_PREFIX_SIZE, tailKindOf } from '../format/tail-entry.ts';
import { firstAfter } from './ascending.ts';
import type { Catalog } from './catalog.ts';
import type { DictCore } from './core.ts';
import { writeTails } from './index-writer.ts';
import { liveEntries } from './live-entries.ts';
import { ReadAhead } from './read-ahead.ts';
import type { DictStore } from './store.ts';
import { dropTail } from './tail.ts';
import { underLock } from './under-lock.ts';
import type { ProgressOptions } from './vacuum.ts';

/** Writes the checksums (if requested) of all live entries, and the tail index, at the end of the file. */
export function seal(core: DictCore, options: ProgressOptions & { readonly checksums?: boolean } = {}): void {
  core.outsideBatch('seal');
  core.transact(() => {
    const { store } = core;
    core.settled();
    store.checkWhole();
    core.checkNoKeyDamaged();
    const entries: EntrySums[] = [];
    if (options.checksums) {
      const read = readerOfEntries(store, options);
      core.alone('seal', () =>
        store.entries.catalog.each((slot) => {
          options.signal?.throwIfAborted();
          const { offset, frameLength } = store.entries.catalog.place(slot);
          entries.push({ offset, frameLength, sums: sumEntry(offset, frameLength, read(frameLength)) });
          options.onProgress?.({ done: entries.length, total: store.entries.catalog.size });
        }),
      );
    }
    dropTail(store);
    const payload = options.checksums ? encodeChecksums(nextCommitNumber(store.commitNumber), entries) : undefined;
    writeTails(core, payload, true);
  });
  core.writer.settled();
}

/** An entry of fewer bytes is read with those around it. */
const SMALL = 32_768;

/** What reads an entry with a FRAME of a given length, until a signal aborts: a large one may take minutes. Borrowed until the next call. */
function readerOfEntries(
  { file, read }: DictStore,
  { signal }: ProgressOptions,
): (frameLength: number) => DictStore['read'] {
  const large: DictStore['read'] = (offset, length) => {
    signal?.throwIfAborted();
    return read(offset, length);
  };
  const small = new ReadAhead().reader(file, large);
  return (frameLength) => (frameLength < SMALL ? small : large);
}

/** What `verify` found. */
export interface VerifyResult {
  /** The file was sealed with checksums, and nothing was committed since. */
  readonly sealed: boolean;
  readonly checked: number;
  readonly findings: readonly Finding[];
}

/** Compares every live entry with the checksums of the last seal. */
export function verify(core: DictCore, options: ProgressOptions = {}): VerifyResult {
  const result = compare(core, options);
  // A commit in progress makes a file look damaged; and entries that were read ahead may have been changed before they were compared.
  const isSettled = result.findings.length === 0 && (!result.sealed || core.store.unchanged());
  return isSettled ? result : underLock(core, () => compare(core, options));
}

function compare(core: DictCore, options: ProgressOptions): VerifyResult {
  const { store } = core;
  core.refresh();
  // A file whose header is cut off was opened for salvage.
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
    const findings = damaged ? [finding('bad-checksum', payloadAt![0], 'the checksums themselves are damaged')] : [];
    return { sealed: false, checked: 0, findings };
  }
  const findings: Finding[] = [];
  const live = liveEntries(store);
  let names: ReadonlyMap<number, string> | undefined;
  const nameOf = (at: number): string | undefined => (names ??= namesByOffset(live)).get(at);
  const summed = new Float64Array(found.count);
  let done = 0;
  for (const { offset } of found.entries) summed[done++] = offset;
  summed.sort();
  // The state byte is not part of an entry's sum, but only entries that were live are summed.
  live.each((slot) => {
    const offset = live.offset(slot);
    if (summed[firstAfter(summed, offset) - 1] !== offset)
      findings.push(finding('bad-checksum', offset, 'the entry was dead when the file was sealed', live.key(slot)));
  });
  const reader = readerOfEntries(store, options);
  done = 0;
  for (const { offset, frameLength, sums } of found.entries) {
    options.signal?.throwIfAborted();
    const read = reader(frameLength);
    const actual = sumEntry(offset, frameLength, read);
    let intact = true;
    for (const [block, sum] of sums.entries()) {
      if (actual[block] === sum) continue;
      intact = false;
      const at = offset + block * CHECKSUM_BLOCK;
      findings.push(finding('bad-checksum', at, `MiB ${block} of the entry at ${offset} changed`, nameOf(offset)));
    }
    if (intact && !store.isLive({ offset, frameLength, keyLength: 0 }, read)) {
      findings.push(finding('bad-checksum', offset, 'the entry was live when the file was sealed'));
    }
    options.onProgress?.({ done: ++done, total: found.count });
  }
  return { sealed: true, checked: found.count, findings };
}

function namesByOffset(live: Catalog): ReadonlyMap<number, string> {
  const names = new Map<number, string>();
  live.each((slot) => names.set(live.offset(slot), live.key(slot)));
  return names;
}
