/**
 * Frees the disk space of dead entries without moving anything.
 *
 * @module
 */

import { BINBYTES8 } from '../format/array-value.ts';
import { alignUp, HEADER_SIZE, PAGE_ALIGNMENT, putU64, toSectorEnd } from '../format/layout.ts';
import { answer, scanEntries } from '../format/scan.ts';
import type { EntryPlace } from './catalog.ts';
import type { DictCore } from './core.ts';
import { reachesOver, valueRange } from './repair.ts';
import type { DictStore } from './store.ts';
import type { ProgressOptions } from './vacuum.ts';

/** Smaller values free too little to be worth a system call. */
const MIN_VALUE = 2 * PAGE_ALIGNMENT;
const HEAD = 9;

/**
 * Punches holes for dead values. A dead value is first turned into one long bytes object by overwriting its first 9 bytes, so that the
 * zeros that follow mean nothing to Python.
 * @returns bytes freed; 0 if the file system has no holes
 */
export function reclaim(core: DictCore, options: ProgressOptions = {}): number {
  const { store } = core;
  let freed = 0;
  core.transact(() => {
    const { file } = store;
    const found: EntryPlace[] = [];
    const indexes = indexesOf(store);
    const requests = scanEntries(
      HEADER_SIZE,
      file.size(),
      ({ state, offset, frameLength, keyLength }) => {
        const [value, length] = valueRange({ offset, frameLength, keyLength });
        // Nine bytes across a sector boundary could be torn: such a value keeps its disk space.
        if (state !== 'dead' || length < MIN_VALUE || toSectorEnd(value) < HEAD) return;
        if (!indexes.has(offset)) found.push({ offset, frameLength, keyLength });
      },
      store.end,
    );
    answer(requests, store.read);
    // An entry whose length is wrong reaches over others, which may be live.
    const dead = found.filter((place) => !reachesOver(store, place)).map(valueRange);
    // From the end: the file system then finds the end of a value's data at the hole punched last, and need not search all that follows.
    dead.reverse();
    for (const [i, [value, length]] of dead.entries()) {
      options.signal?.throwIfAborted();
      const head = new Uint8Array(HEAD);
      head[0] = BINBYTES8;
      putU64(head, 1, length - HEAD);
      const start = alignUp(value + HEAD, PAGE_ALIGNMENT);
      const end = Math.floor((value + length) / PAGE_ALIGNMENT) * PAGE_ALIGNMENT;
      file.write(value, head);
      if (store.durable) file.sync();
      const had = file.dataRanges(start, end).reduce((sum, range) => sum + range.end - range.offset, 0);
      if (!file.punchHole(start, end - start)) break;
      freed += had;
      options.onProgress?.({ done: i + 1, total: dead.length });
    }
  });
  return freed;
}

/** File offsets of the indexes that the dict, or the next index, relies on. */
function indexesOf({ index }: DictStore): ReadonlySet<number> {
  const offsets = new Set<number>();
  for (let table = index; table !== undefined; table = table.olderIfWhole()) offsets.add(table.entry);
  return offsets;
}
