/**
 * The memo of the machine.
 *
 * @module
 */

/**
 * Slots per piece: 256 KiB, which V8 never moves. A single growing array would be moved into fresh pages each time, and
 * compiled code that stores into an array of more than 128 KiB is discarded when the array has to grow.
 */
const PIECE_BITS = 15;
const PIECE = 1 << PIECE_BITS;
/** A memo with at most this many slots keeps its array for the next pickle. */
const KEPT = 64;

/** Placeholder for a number in an array, because a number there is the position of a text. */
const NUMBER: object = Object.freeze({});

/**
 * Slots by index. Any index from 0 to 2^32 - 1 is legal, so this is logically a map; indices that come in order, as
 * picklers write them, are kept in arrays for speed. Every index is in exactly one of the two.
 *
 * Picklers memoize every text but refer back to few of them. So a slot may hold the position of its text, which costs
 * the garbage collector nothing.
 */
export class Memo {
  /** Slots from 0 to `#count`, in pieces of one size; a single piece is only as large as it has to be. */
  #pieces: unknown[][] = [];
  /** The last piece, and the first index beyond it. */
  #last: unknown[] = [];
  #full = 0;
  #count = 0;
  #sparse: Map<number, unknown> | null = null;
  #numbers: Map<number, number> | null = null;

  constructor() {
    this.#renew();
  }

  /** Also called at the start: V8 treats a field set only once as a constant, and recompiles when it changes. */
  #renew(): void {
    this.#last = room(KEPT);
    this.#pieces = [this.#last];
    this.#full = KEPT;
  }

  /** Slots in use. */
  get size(): number {
    return this.#sparse === null ? this.#count : this.#count + this.#sparse.size;
  }

  set(index: number, value: unknown): void {
    if (typeof value === 'number') this.#setNumber(index, value);
    else if (index < this.#count) this.#pieces[index >> PIECE_BITS]![index & (PIECE - 1)] = value;
    else if (index === this.#count && (this.#sparse === null || !this.#sparse.has(index))) this.#push(value);
    else (this.#sparse ??= new Map()).set(index, value);
  }

  #setNumber(index: number, value: number): void {
    const dense = index < this.#count || (index === this.#count && this.#sparse?.has(index) !== true);
    if (dense) {
      (this.#numbers ??= new Map()).set(index, value);
      this.set(index, NUMBER);
    } else (this.#sparse ??= new Map()).set(index, value);
  }

  /** Whether {@link addText} may be called: all slots came in order, and there are fewer than `maximum`. */
  fits(maximum: number): boolean {
    return this.#sparse === null && this.#count < maximum;
  }

  /** Adds a slot for the text of the opcode at `pos`. */
  addText(pos: number): void {
    this.#push(pos);
  }

  #push(value: unknown): void {
    if (this.#count === this.#full) this.#grow();
    this.#last[this.#count++ & (PIECE - 1)] = value;
  }

  #grow(): void {
    const { length } = this.#last;
    if (length < PIECE) {
      this.#last = this.#last.concat(room(7 * length));
      this.#pieces[0] = this.#last;
      this.#full = 8 * length;
    } else {
      this.#last = room(PIECE);
      this.#pieces.push(this.#last);
      this.#full += PIECE;
    }
  }

  has(index: number): boolean {
    return index < this.#count || (this.#sparse?.has(index) ?? false);
  }

  /** The position of the text in a slot in use; -1 if the slot holds its value itself. */
  textAt(index: number): number {
    if (index >= this.#count) return -1;
    const value = this.#pieces[index >> PIECE_BITS]![index & (PIECE - 1)];
    return typeof value === 'number' ? value : -1;
  }

  /** The value of a slot in use that does not hold the position of a text. */
  get(index: number): unknown {
    if (index >= this.#count) return this.#sparse?.get(index);
    const value = this.#pieces[index >> PIECE_BITS]![index & (PIECE - 1)];
    return value === NUMBER ? this.#numbers!.get(index) : value;
  }

  clear(): void {
    if (this.#count > KEPT) this.#renew();
    else if (this.#count > 0) this.#last.fill(null, 0, this.#count);
    this.#count = 0;
    this.#sparse = null;
    this.#numbers = null;
  }
}

/** All pieces are arrays of one kind, the only one that compiled code then sees. */
function room(length: number): unknown[] {
  return new Array<unknown>(length).fill(null);
}
