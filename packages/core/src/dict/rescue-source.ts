/**
 * A file on a disk with bad sectors, as a salvage reads it.
 *
 * @module
 */

import { isMmdError, MmdError } from '../errors.ts';
import { ReadOnlyView } from '../storage/read-only-view.ts';
import type { DataRange } from '../storage/storage-file.ts';

/** Bytes that are given up together: the system reads whole pages. */
const BLOCK = 4096;
/** After so many blocks in a row that cannot be read, the end of the stretch is searched for: each failure of a disk takes seconds. */
const LONG = 16 * BLOCK;

/**
 * Errors of a medium that cannot be read at some place: media errors of disks are EIO, ENODATA, EILSEQ or EREMOTEIO, and failed checksums of
 * file systems are EBADMSG or EUCLEAN. All others (ESTALE, ENOMEM, ...) concern the file or the process.
 */
const OF_MEDIUM: ReadonlySet<string> = new Set(['EIO', 'ENODATA', 'EILSEQ', 'EREMOTEIO', 'EBADMSG', 'EUCLEAN']);

function isOfMedium(error: unknown): error is MmdError & { readonly errno: string } {
  return isMmdError(error, 'IO') && error.errno !== undefined && OF_MEDIUM.has(error.errno);
}

/** Bytes of a file that could not be read. */
export interface UnreadableRange {
  readonly offset: number;
  readonly length: number;
}

interface BadRange {
  readonly offset: number;
  readonly end: number;
  readonly errno: string;
}

/**
 * Reads what can be read: blocks that cannot are recorded, are never tried again, and read as zeros; inside {@link RescueSource.attempt}
 * they throw instead. Nothing is mapped: touching a page on a bad sector would kill the process.
 */
export class RescueSource extends ReadOnlyView {
  /** In order; at least a readable block lies between two of them. */
  readonly #bad: BadRange[] = [];
  #throwing = false;
  #thrown: MmdError | undefined;

  /** What could not be read so far, in order. */
  unreadable(): UnreadableRange[] {
    const size = this.size();
    return this.#bad.map(({ offset, end }) => ({ offset, length: Math.min(end, size) - offset }));
  }

  /** The error of the first byte in `[from, end)` that is known to be unreadable. */
  problemIn(from: number, end: number): MmdError | undefined {
    const bad = this.#badIn(from, end);
    return bad === undefined ? undefined : this.#errorAt(Math.max(bad.offset, from - (from % BLOCK)), bad.errno);
  }

  /** Whether a byte in `[from, end)` is known to be unreadable. */
  isBad(from: number, end: number): boolean {
    return this.#badIn(from, end) !== undefined;
  }

  /** Whether an error is the last one that {@link RescueSource.attempt} returned. */
  meant(error: Error): boolean {
    return error === this.#thrown;
  }

  /**
   * Does work that needs every byte that it reads here.
   * @returns the error if a byte could not be read. Other errors, of writing for example, are thrown
   */
  attempt(work: () => void): MmdError | undefined {
    this.#thrown = undefined;
    this.#throwing = true;
    try {
      work();
      return undefined;
    } catch (error) {
      const thrown = this.#thrown as MmdError | undefined;
      if (thrown === undefined || (error !== thrown && (error as Error).cause !== thrown)) throw error;
      return thrown;
    } finally {
      this.#throwing = false;
    }
  }

  override read(offset: number, into: Uint8Array): number {
    if (this.#badIn(offset, offset + into.length) === undefined) {
      try {
        return this.inner.read(offset, into);
      } catch (error) {
        if (!isOfMedium(error)) throw error;
      }
    }
    return this.#readBlocks(offset, into);
  }

  #readBlocks(offset: number, into: Uint8Array): number {
    const stop = Math.min(offset + into.length, this.size());
    for (let at = offset; at < stop; ) {
      let bad = this.#badIn(at, at + 1);
      const end = Math.min(at - (at % BLOCK) + BLOCK, stop);
      if (bad === undefined) {
        this.#leap(at);
        bad = this.#badIn(at, at + 1) ?? this.#tryBlock(at, into.subarray(at - offset, end - offset));
      }
      if (bad === undefined) at = end;
      else {
        if (this.#throwing) throw (this.#thrown = this.#errorAt(Math.max(bad.offset, at - (at % BLOCK)), bad.errno));
        into.fill(0, at - offset, Math.min(bad.end, stop) - offset);
        at = bad.end;
      }
    }
    return Math.max(0, stop - offset);
  }

  /** Reads bytes of one block; if that fails, the block is bad. */
  #tryBlock(at: number, into: Uint8Array): BadRange | undefined {
    try {
      this.inner.read(at, into);
      return undefined;
    } catch (error) {
      if (!isOfMedium(error)) throw error;
      const start = at - (at % BLOCK);
      return this.#addBad(start, start + BLOCK, error.errno);
    }
  }

  /**
   * Behind a long bad stretch, searches for its end, in steps as long as the stretch so far, and then by halves. What lies between two bad
   * blocks that were tried counts as bad.
   */
  #leap(at: number): void {
    if (this.#throwing) return;
    let bad = this.#badIn(at - 1, at);
    if (bad === undefined || bad.end - bad.offset < LONG) return;
    const last = this.size() - 1;
    const block = new Uint8Array(BLOCK);
    let readable: number;
    for (;;) {
      readable = Math.min(2 * bad.end - bad.offset, last - (last % BLOCK));
      if (readable < bad.end) return;
      const failed = this.#tryBlock(readable, block);
      if (failed === undefined) break;
      bad = this.#addBad(bad.end, failed.end, failed.errno);
    }
    while (readable > bad.end) {
      const blocks = (readable - bad.end) / BLOCK;
      const middle = bad.end + Math.floor(blocks / 2) * BLOCK;
      const failed = this.#tryBlock(middle, block);
      if (failed === undefined) readable = middle;
      else bad = this.#addBad(bad.end, failed.end, failed.errno);
    }
  }

  #badIn(from: number, end: number): BadRange | undefined {
    const first = this.#bad[this.#firstBehind(from)];
    return first !== undefined && first.offset < end ? first : undefined;
  }

  /** Index of the first bad range that ends behind `offset`. */
  #firstBehind(offset: number): number {
    let low = 0;
    for (let high = this.#bad.length; low < high; ) {
      const middle = (low + high) >> 1;
      if (this.#bad[middle]!.end > offset) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  /** Adds a range, merged with those that it meets or touches. */
  #addBad(from: number, until: number, errno: string): BadRange {
    const bad = this.#bad;
    const first = this.#firstBehind(from - 1);
    let next = first;
    while (next < bad.length && bad[next]!.offset <= until) next++;
    const offset = Math.min(from, bad[first]?.offset ?? from);
    const end = Math.max(until, next > first ? bad[next - 1]!.end : until);
    const added: BadRange = { offset, end, errno: next > first ? bad[first]!.errno : errno };
    bad.splice(first, next - first, added);
    return added;
  }

  #errorAt(offset: number, errno: string): MmdError {
    const { name: path } = this;
    return new MmdError('IO', `${path}: bytes at ${offset} cannot be read (${errno})`, { path, offset, errno });
  }

  override dataRanges(offset: number, end: number): DataRange[] {
    try {
      return this.inner.dataRanges(offset, end);
    } catch (error) {
      if (!isOfMedium(error)) throw error;
      return [{ offset, end: Math.min(end, this.size()) }];
    }
  }
}
