/**
 * Requests what a walk over large entries will read next, several pieces at once: over a network, each takes a round trip.
 *
 * @module
 */

import { HEADER_SIZE, TERMINATOR_SIZE } from '../format/layout.ts';
import { FIRST_CHUNK } from '../format/scan.ts';
import { TAIL_PREFIX_SIZE } from '../format/tail-entry.ts';
import { decodeIndexEnding, eachSlot, INDEX_DEPTH_MAX, INDEX_ENDING, indexPayloadSize } from '../format/tail-index.ts';
import { firstAfter } from './ascending.ts';

/** Bytes from one request to the next; a walk over closer entries reads everything, in ever larger chunks. */
const FAR = 8192;
/** After so many far requests, more are to be expected. */
const SAMPLE = 4;
/** How many pieces are requested at once, by a source that answers so many. */
const AHEAD = 16;
/** Bytes by which a border may be off from where it is expected; also more than a walk needs to know an entry. */
const SLACK = 512;
/** Most bytes of indexes that are read. */
const INDEX_MAX = 2 ** 25;

const NOWHERE: Float64Array = new Float64Array(0);

type Read = (offset: number, length: number, signal: AbortSignal | undefined) => Promise<Uint8Array>;

/** A range that was requested before the walk came to it. */
interface Piece {
  readonly start: number;
  readonly end: number;
  /** `undefined` if the request failed: it may be one too many for the server, or not be needed. */
  readonly bytes: Promise<Uint8Array | undefined>;
  /** One for each: a signal with many listeners makes Node print a warning. */
  readonly stop: AbortController;
}

/**
 * Answers the requests of a walk. Where the next entries begin is known from an index, or expected at the same distances as those
 * before; if that is wrong, or a request failed, what the walk needs is read when it asks.
 */
export class WalkAhead {
  readonly #source: Read;
  readonly #size: number;
  readonly #signal: AbortSignal | undefined;
  #pieces: Piece[] = [];
  #most = AHEAD;
  #last = 0;
  #step = 0;
  #far = 0;
  /** Where entries begin, in ascending order, if an index says so. */
  #places: Float64Array = NOWHERE;

  /** @param signal - aborts all requests */
  constructor(source: Read, size: number, signal?: AbortSignal) {
    this.#source = source;
    this.#size = size;
    this.#signal = signal;
    signal?.addEventListener('abort', this.#abort);
  }

  /** Reads a range. */
  readonly read = async (offset: number, length: number): Promise<Uint8Array> => {
    const step = offset - this.#last;
    const before = this.#step;
    this.#last = offset;
    this.#step = step;
    if (step >= FAR && length <= FIRST_CHUNK) {
      this.#far += 1;
      // A request for the index that fails was not needed: the walk itself never asks for it.
      if (this.#far === SAMPLE) this.#places = await this.#indexed().catch(() => NOWHERE);
      if (this.#far >= SAMPLE) this.#request(offset, Math.abs(step - before) <= SLACK);
    }
    return (await this.#early(offset, length)) ?? this.#source(offset, length, this.#signal);
  };

  /** What was requested before, or is requested beside others; `undefined` if it has to be requested alone. */
  async #early(offset: number, length: number): Promise<Uint8Array | undefined> {
    if (this.#pieces.length === 0) return undefined;
    const piece = this.#pieces.find(({ start, end }) => start <= offset && offset + length <= end);
    const pos = offset - (piece?.start ?? offset);
    const bytes = await (piece?.bytes ?? this.#source(offset, length, this.#signal).catch(() => undefined));
    if (bytes !== undefined && pos + length <= bytes.length) return bytes.subarray(pos, pos + length);
    await this.#retreat();
    return undefined;
  }

  /** Ends the requests that nobody waits for. */
  close(): void {
    this.#signal?.removeEventListener('abort', this.#abort);
    this.#abort();
  }

  readonly #abort = (): void => this.#drop(() => true);

  #drop(which: (piece: Piece) => boolean): void {
    for (const piece of this.#pieces) if (which(piece)) piece.stop.abort(this.#signal?.reason);
    this.#pieces = this.#pieces.filter((piece) => !which(piece));
  }

  /** Waits until nothing is under way, and requests less at once: a server may refuse more than a few connections. */
  async #retreat(): Promise<void> {
    this.#most >>= 1;
    const answered: Piece[] = [];
    for (const piece of this.#pieces) if ((await piece.bytes) !== undefined) answered.push(piece);
    this.#signal?.throwIfAborted();
    this.#pieces = answered;
  }

  /** Requests the pieces after `offset` that are not on their way. */
  #request(offset: number, regular: boolean): void {
    this.#drop(({ end }) => end <= offset);
    const known = this.#places.length > 0;
    if (!known && !regular) return;
    let next = known ? firstAfter(this.#places, offset + SLACK) : 1;
    while (this.#pieces.length < this.#most) {
      const place = known ? this.#places[next] : offset + next * this.#step;
      next += 1;
      if (place === undefined || place >= this.#size) break;
      if (!this.#pieces.some(({ start, end }) => start <= place && place + SLACK <= end)) this.#begin(place);
    }
  }

  /** Requests what is around a place. */
  #begin(place: number): void {
    const start = Math.max(0, place - SLACK);
    const end = Math.min(place + FIRST_CHUNK + SLACK, this.#size);
    const stop = new AbortController();
    const bytes = this.#source(start, end - start, stop.signal).catch(() => undefined);
    this.#pieces.push({ start, end, bytes, stop });
  }

  /** The places of an index and of those that it refers to; none if it is damaged, or if its entries are close together. */
  async #indexed(): Promise<Float64Array> {
    const offsets: number[] = [];
    const signal = this.#signal;
    let left = INDEX_MAX;
    let end = this.#size - TERMINATOR_SIZE;
    for (let depth = 0; depth < INDEX_DEPTH_MAX && end > HEADER_SIZE + INDEX_ENDING; depth++) {
      const found = decodeIndexEnding(await this.#source(end - INDEX_ENDING, INDEX_ENDING, signal), end);
      if (found === undefined) break;
      const { footer, entry } = found;
      const size = indexPayloadSize(footer.blocks);
      left -= size;
      // Small entries are not read ahead, so neither is their index.
      if (left < 0 || footer.keys * FAR > this.#size) break;
      const blocks = await this.#source(entry + TAIL_PREFIX_SIZE, size, signal);
      if (!eachSlot(footer, blocks, (_hash, offset) => offsets.push(offset))) break;
      // It ends before this one begins; 0 for none.
      end = footer.older;
    }
    if (offsets.length * FAR > this.#size) return NOWHERE;
    let covered = 0;
    // An index that anybody may have written can name every byte.
    return Float64Array.from(offsets)
      .sort()
      .filter((place) => {
        const far = place > covered;
        if (far) covered = place + FIRST_CHUNK - SLACK;
        return far;
      });
  }
}
