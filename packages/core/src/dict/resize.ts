/**
 * Resizing the data of the last entry's array, without moving it (docs/format.md, "Growable arrays").
 *
 * @module
 */

import { entryEnd, TERMINATOR_SIZE, terminator, toSectorEnd, u64Bytes } from '../format/layout.ts';
import type { EntryPlace } from './catalog.ts';
import type { DictStore } from './store.ts';

/** A resize of an array's data: file offset, old length, new length in bytes. */
export interface Resize {
  readonly entry: EntryPlace;
  readonly dataOffset: number;
  readonly dataLength: number;
  readonly newLength: number;
}

/** Whether it is the last entry, its new end does not overlap the old one, and no length field can be torn. */
export function canResize(store: DictStore, { entry, dataOffset, dataLength, newLength }: Resize): boolean {
  const end = entryEnd(entry.offset, entry.frameLength);
  const suffix = end - dataOffset - dataLength;
  const fits = Math.abs(newLength - dataLength) >= suffix + TERMINATOR_SIZE;
  return fits && end === store.end && inSector(entry.offset + 1) && inSector(dataOffset - 8);
}

/** Resizes, in an order of writes whose every intermediate state loads. Returns the entry's new FRAME length. */
export function resize(
  store: DictStore,
  { entry, dataOffset, dataLength, newLength }: Resize,
  durable: boolean,
): number {
  const { file } = store;
  const suffix = entryEnd(entry.offset, entry.frameLength) - dataOffset - dataLength;
  const frameLength = entry.frameLength + newLength - dataLength;
  const frame = { offset: entry.offset + 1, value: frameLength };
  const data = { offset: dataOffset - 8, value: newLength };
  // Growing, the frame goes first; shrinking, the data does: the frame always covers the data.
  file.writeParts(dataOffset + newLength, [store.read(dataOffset + dataLength, suffix), terminator()]);
  for (const { offset, value } of newLength > dataLength ? [frame, data] : [data, frame]) {
    if (durable) file.sync();
    file.write(offset, u64Bytes(value));
  }
  if (durable) file.sync();
  if (newLength < dataLength) file.truncate(entryEnd(entry.offset, frameLength) + TERMINATOR_SIZE);
  return frameLength;
}

/** Whether the 8 bytes at `offset` lie in one sector, so that a write of them is not torn. */
function inSector(offset: number): boolean {
  return toSectorEnd(offset) >= 8;
}
