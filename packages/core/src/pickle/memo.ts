/**
 * The memo of the machine.
 *
 * @module
 */

/**
 * Slots of a piece: 32 KiB. One array that grew would be moved, into fresh pages, each time, and code that stores into
 * an array of more than 128 KiB is thrown away by V8 when it has to grow.
 */
const PIECE_BITS = 12;
const PIECE = 1 << PIECE_BITS;
/** A small memo keeps its room for the next pickle. */
const KEPT = 64;
/** Room, to be copied: all pieces are arrays of one kind, which is the only one that compiled code then meets. */
const ROOM: readonly unknown[] = Array.from({ length: PIECE }, () => null);

/**
 * Slots by index. Any index from 0 to 2^32 - 1 is legal, so it is a map by meaning; indices that come in order, as
 * picklers write them, stay in arrays for speed. Every index lives in exactly one of the two.
 */
export class Memo {
  /** Slots from 0 to `#count`, in pieces of one size; while there is one only, it is as large as it has to be. */
  #pieces: unknown[][] = [];
  /** The last piece, and the first index that is beyond it. */
  #last: unknown[] = [];
  #full = 0;
  #count = 0;
  #sparse: Map<number, unknown> | null = null;

  constructor() {
    this.#renew();
  }

  /** Also called at the start: V8 takes a field that was set but once for a constant, and compiles anew when it is not. */
  #renew(): void {
    this.#last = ROOM.slice(0, KEPT);
    this.#pieces = [this.#last];
    this.#full = KEPT;
  }

  /** Slots in use. */
  get size(): number {
    return this.#sparse === null ? this.#count : this.#count + this.#sparse.size;
  }

  set(index: number, value: unknown): void {
    if (index < this.#count) this.#pieces[index >> PIECE_BITS]![index & (PIECE - 1)] = value;
    else if (index === this.#count && (this.#sparse === null || !this.#sparse.has(index))) this.#push(value);
    else (this.#sparse ??= new Map()).set(index, value);
  }

  #push(value: unknown): void {
    if (this.#count === this.#full) this.#grow();
    this.#last[this.#count++ & (PIECE - 1)] = value;
  }

  #grow(): void {
    const { length } = this.#last;
    if (length < PIECE) {
      this.#last = this.#last.concat(ROOM.slice(0, 7 * length));
      this.#pieces[0] = this.#last;
      this.#full = 8 * length;
    } else {
      this.#last = ROOM.slice();
      this.#pieces.push(this.#last);
      this.#full += PIECE;
    }
  }

  has(index: number): boolean {
    return index < this.#count || (this.#sparse?.has(index) ?? false);
  }

  /** The value of a slot that is in use. */
  get(index: number): unknown {
    return index < this.#count ? this.#pieces[index >> PIECE_BITS]![index & (PIECE - 1)] : this.#sparse?.get(index);
  }

  clear(): void {
    if (this.#count > KEPT) this.#renew();
    else if (this.#count > 0) this.#last.fill(null, 0, this.#count);
    this.#count = 0;
    this.#sparse = null;
  }
}
