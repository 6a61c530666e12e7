/**
 * A dict as its growable arrays see it: where they are, how they move, and their part of a commit.
 *
 * @module
 */

import type { ArraySource } from '../ndarray/index.ts';
import { sizeOf } from '../ndarray/shapes.ts';
import type { EntryPlace } from './catalog.ts';
import type { DictCore } from './core.ts';
import type { GrowablePlace } from './growable-array.ts';
import { type GrowableDict, isAtomic } from './growable-host.ts';
import { OpenRange } from './raw-value.ts';
import { growthCut } from './repair.ts';

/** An object literal of closures: its hidden class survives, while that of a class is dropped with its last object. */
export function growableDict(core: DictCore): GrowableDict {
  const { store } = core;
  return {
    revision: () => {
      core.refresh();
      return store.statesUnknown ? undefined : store.entries.revision;
    },
    generation: () => store.entries.generation,
    read: (key, read) => core.consistent(key, read),
    lookAgain: () => !core.inTransaction() && store.lookAgain(),
    begin: () => core.begin(),
    commit: () => core.commit(),
    rollback: () => core.rollback(),
    unseal: () => core.writer.unseal(),
    careful: () => core.writer.active || store.durable,
    countAtOnce: ({ countOffset }, rows) => core.writer.countAtOnce(countOffset, rows),
    count: (key, place, rows) => core.writer.count(key, place, rows),
    pendingCount: ({ countOffset }) =>
      (core.inTransaction() ? core.writer.pendingCount(countOffset) : undefined) ??
      store.journal?.stores.get(countOffset),
    afterwards: (task) => core.afterwards(task),
    growReserve: (key, place, rows) => growReserve(core, key, place, rows),
    finishGrow: (place) => {
      const cut = growthCut(core.view('', entryOf(place)).reader());
      if (cut !== undefined) core.writer.patch(cut.lengthOffset, cut.dataLength);
    },
    sealReserve: (key) => sealReserve(core, key),
    map: (place, offset, length) => place.file.map(offset, length, core.access()),
  };
}

function entryOf({ entryOffset, frameLength, keyLength }: GrowablePlace): EntryPlace {
  return { offset: entryOffset, frameLength, keyLength };
}

/**
 * Makes room for at least `rows` rows: in place if the array is the last entry and its row count cannot be torn, otherwise in a new entry.
 */
function growReserve(core: DictCore, key: string, place: GrowablePlace, rows: number): void {
  const { file, dataOffset, dataLength, rowBytes, maskOffset, rowShape, type } = place;
  const { writer } = core;
  const wanted = Math.max(rows * rowBytes, dataLength + 4096);
  const length = Math.ceil(wanted / rowBytes) * rowBytes;
  const stays = maskOffset === undefined && isAtomic(place);
  if (stays && writer.resizeLast(key, entryOf(place), dataOffset, dataLength, length)) return;
  const committed = core.growables.rows(place);
  writer.settle();
  const shape = [committed, ...rowShape];
  const mask = committed * sizeOf(rowShape);
  const source: ArraySource = {
    arraySource: true,
    dtype: type,
    shape,
    capacity: rows,
    file: new OpenRange(file, dataOffset, committed * rowBytes),
    ...(maskOffset !== undefined && {
      mask: { arraySource: true, dtype: 'bool', shape, file: new OpenRange(file, maskOffset, mask) },
      fillValue: core.meta(key)?.fillValue,
    }),
  };
  // A codec is user code, and may use the key buffer.
  const value = core.encodeValue(source, 'modern');
  writer.set(key, core.keyBytes, core.encodeKey(key), value);
}

/** Cuts off the unused room; if that is impossible, frees its disk blocks. */
function sealReserve(core: DictCore, key: string): void {
  core.transact(() => {
    const place = core.growables.locate(key);
    const { dataOffset, dataLength, maskOffset, unfinished, rowShape, capacity } = place;
    const rows = core.growables.rows(place);
    const used = rows * place.rowBytes;
    // A wrong length may reach over other entries: this throws, and nothing is cut.
    if (unfinished) growthCut(core.view(key, entryOf(place)).reader());
    const trimmed =
      maskOffset === undefined &&
      !unfinished &&
      core.writer.resizeLast(key, entryOf(place), dataOffset, dataLength, used);
    if (!trimmed) core.writer.giveBack(dataOffset + used, dataLength - used);
    if (maskOffset === undefined) return;
    const row = sizeOf(rowShape);
    core.writer.giveBack(maskOffset + rows * row, (capacity - rows) * row);
  });
}
