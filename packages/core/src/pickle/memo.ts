/**
 * The memo of the machine.
 *
 * @module
 */

/**
 * Slots of a piece: 256 KiB, which V8 never moves. One array that grew would be moved, into fresh pages, each time, and
 * compiled code that stores into an array of more than 128 KiB is thrown away when it has to grow.
 */
const PIECE_BITS = 15;
const PIECE = 1 << PIECE_BITS;
/** A small memo keeps its room for the next pickle. */
const KEPT = 64;

/** Stands in an array for a number, because a number there is the position of a text. */
const NUMBER: object = Object.freeze({});

/**
 * Slots by index. Any index from 0 to 2^32 - 1 is legal, so it is a map by meaning; indices that come in order, as
 * picklers write them, stay in arrays for speed. Every index lives in exactly one of the two.
 *
 * Picklers memoize every text, and read few of them again. So a slot may hold where the text stands: that costs the
 * garbage collector nothing.
 */
export class Memo {
  /** Slots from 0 to `#count`, in pieces of one size; while there is one only, it is as large as it has to be. */
  #pieces: unknown[][] = [];
  /** The last piece, and the first index that is beyond it. */
  #last: unknown[] = [];
  #full = 0;
  #count = 0;
  #sparse: Map<number, unknown> | null = null;
  #numbers: Map<number, number> | null = null;

  constructor() {
    this.#renew();
  }

  /** Also called at the start: V8 takes a field that was set but once for a constant, and compiles anew when it is not. */
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

  /** Tells whether {@link addText} may be called: all slots came in order, and there are fewer than `maximum`. */
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

  /** Where the text stands that is the value of a slot in use; -1 if it holds its value. */
  textAt(index: number): number {
    if (index >= this.#count) return -1;
    const value = this.#pieces[index >> PIECE_BITS]![index & (PIECE - 1)];
    return typeof value === 'number' ? value : -1;
  }

  /** The value of a slot that is in use, and no position of a text. */
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

/** All pieces are arrays of one kind, which is the only one that compiled code then meets. */
function room(length: number): unknown[] {
  return new Array<unknown>(length).fill(null);
}
