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
import type { DictCore } from './core.ts';
import { writeTails } from './index-writer.ts';
import { liveEntries } from './live-entries.ts';
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
    const entries: EntrySums[] = [];
    if (options.checksums) {
      core.alone('seal', () =>
        store.entries.catalog.each((slot) => {
          options.signal?.throwIfAborted();
          const { offset, frameLength } = store.entries.catalog.place(slot);
          entries.push({ offset, frameLength, sums: sumEntry(offset, frameLength, readUntil(store, options)) });
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

/** Reads until a signal aborts: an entry may take minutes. */
function readUntil({ read }: DictStore, { signal }: ProgressOptions): DictStore['read'] {
  return (offset, length) => {
    signal?.throwIfAborted();
    return read(offset, length);
  };
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
  if (result.findings.length === 0) return result;
  // A commit in progress makes a file look damaged.
  return underLock(core, () => compare(core, options));
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
  const names = new Map([...liveEntries(store)].map(([key, { offset }]) => [offset, key]));
  const summed = new Set(found.entries.map(({ offset }) => offset));
  // The state byte is not part of an entry's sum, but only entries that were live are summed.
  for (const [offset, key] of names) {
    if (!summed.has(offset))
      findings.push(finding('bad-checksum', offset, 'the entry was dead when the file was sealed', key));
  }
  for (const [i, { offset, frameLength, sums }] of found.entries.entries()) {
    options.signal?.throwIfAborted();
    const actual = sumEntry(offset, frameLength, readUntil(store, options));
    const changed = [...sums.entries()].filter(([block, sum]) => actual[block] !== sum);
    for (const [block] of changed) {
      const at = offset + block * CHECKSUM_BLOCK;
      findings.push(finding('bad-checksum', at, `MiB ${block} of the entry at ${offset} changed`, names.get(offset)));
    }
    if (changed.length === 0 && !store.isLive({ offset, frameLength, keyLength: 0 })) {
      findings.push(finding('bad-checksum', offset, 'the entry was live when the file was sealed'));
    }
    options.onProgress?.({ done: i + 1, total: found.entries.length });
  }
  return { sealed: true, checked: found.entries.length, findings };
}
