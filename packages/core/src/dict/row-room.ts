/**
 * Disk for the rows to come: taken ahead of the writer.
 *
 * @module
 */

import type { GrowablePlace } from './growable-array.ts';

/** From here on disk is reserved ahead. */
const FROM = 2 ** 20;
/** The part of what was written that is reserved ahead, and the most that is. */
const SHARE = 4;
const MOST = 16 * 2 ** 20;

/**
 * What one handle appended to one growable array. The filesystem allocates a stretch of disk in one step faster than row by
 * row (a fifth of the time of a row of 256 KiB). It is a quarter of the rows at most, and stays until the array is sealed.
 */
export class RowRoom {
  readonly place: GrowablePlace;
  #written = 0;
  #reservedEnd = 0;
  #reserving = true;

  constructor(place: GrowablePlace) {
    this.place = place;
  }

  /** Call before rows are written at a file offset. */
  reserve(offset: number, length: number): void {
    this.#written += length;
    const end = offset + length;
    if (this.#written < FROM || end <= this.#reservedEnd || !this.#reserving) return;
    const { file, dataOffset, dataLength } = this.place;
    const reserved = Math.min(end + Math.min(MOST, this.#written / SHARE), dataOffset + dataLength);
    try {
      file.allocate(offset, Math.ceil(reserved - offset), { keepSize: true });
      this.#reservedEnd = reserved;
    } catch {
      // A disk that cannot give so much ahead may still hold the rows: the write tells.
      this.#reserving = false;
    }
  }
}
