/**
 * Finds the keys and values of a pickled dict: a pass over its opcodes that tracks the heights of the stack, not what is on it.
 *
 * @module
 */

import { MmdError } from '../errors.ts';
import { OPCODES, type OpcodeRow } from '../pickle/opcodes.ts';
import type { StorageFile } from '../storage/storage-file.ts';
import { PickleCursor } from './pickle-cursor.ts';

/** Opcodes that together push one object, or one key and its value. */
export interface PickleRange {
  readonly start: number;
  readonly end: number;
  /** Memo slots in use before them: MEMOIZE continues from there. */
  readonly memo: number;
}

/** The pieces of a pickled dict. */
export interface DictPieces {
  /** The protocol that it declares; `undefined` if it does not. */
  readonly protocol: number | undefined;
  /** The dict itself, before its items are set. */
  readonly root: PickleRange;
  /** The number of items that are set. */
  readonly count: number;
  /** File offset after STOP. */
  readonly end: number;
  /** Memo slots that are read: by the piece that set them, by another piece, or by an object that another piece needs. */
  readonly shared: ReadonlySet<number>;
}

/** Per opcode: items popped without a mark, whether it pops down to a mark, items popped under the mark, items pushed. */
const TAKES = new Uint8Array(256);
const TO_MARK = new Uint8Array(256);
const UNDER = new Uint8Array(256);
const GIVES = new Uint8Array(256);
for (const { code, before, after } of Object.values(OPCODES) as OpcodeRow[]) {
  const mark = before.indexOf('mark');
  TO_MARK[code] = mark >= 0 ? 1 : 0;
  UNDER[code] = Math.max(mark, 0);
  TAKES[code] = mark >= 0 ? 0 : before.length;
  GIVES[code] = after.length;
}

const { MARK, MEMOIZE, PUT, BINPUT, LONG_BINPUT, GET, BINGET, LONG_BINGET } = OPCODES;
const { POP, POP_MARK, REDUCE, DUP, STOP, FRAME, PROTO, SETITEM, SETITEMS, BUILD, APPEND, APPENDS, ADDITEMS } = OPCODES;

/** Opcodes that change the object under their arguments and leave it on the stack. */
const IN_PLACE = new Uint8Array(256);
for (const { code } of [SETITEM, SETITEMS, BUILD, APPEND, APPENDS, ADDITEMS]) IN_PLACE[code] = 1;

/** The pickle is not laid out as picklers do: only the pickle machine can interpret it. */
class Irregular extends Error {}

/** Analyses a pickle in one pass. Returns `undefined` if it cannot be split into pieces: then it must be loaded whole. */
export function dictPieces(file: StorageFile): DictPieces | undefined {
  const shared = new Set<number>();
  const pass = new Pass(file, shared, undefined);
  try {
    let count = 0;
    for (const pairs of pass.run()) count += pairs.length;
    return { protocol: pass.protocol, root: pass.root(), count, end: pass.end, shared };
  } catch (error) {
    if (error instanceof Irregular) return undefined;
    throw error;
  }
}

/** What the second pass finds as it proceeds. */
export interface FoundPieces {
  /** The ranges that create the objects in the shared slots, as far as the pass has come. */
  readonly objects: ReadonlyMap<number, PickleRange>;
  /** Each key with its value, in file order, in batches of as many as one opcode sets. */
  readonly pairs: Iterable<readonly PickleRange[]>;
}

/** Goes through a pickle that {@link dictPieces} has analysed. */
export function findPieces(file: StorageFile, { shared }: DictPieces): FoundPieces {
  const objects = new Map<number, PickleRange>();
  return { objects, pairs: new Pass(file, shared as Set<number>, objects).run() };
}

/**
 * One pass. Columns by stack position: where the object starts, where it was last on top, its memo slots, and whether it comes from one.
 */
class Pass {
  protocol: number | undefined;
  /** File offset after STOP, once that was met. */
  end = 0;
  readonly #cursor: PickleCursor;
  readonly #shared: Set<number>;
  readonly #objects: Map<number, PickleRange> | undefined;
  readonly #starts: number[] = [];
  readonly #ends: number[] = [];
  readonly #memos: number[] = [];
  readonly #slots: (number[] | undefined)[] = [];
  /** Whether the object at a height was pushed by a GET. */
  readonly #recalled: boolean[] = [];
  readonly #marks: { readonly height: number; readonly start: number; readonly memo: number }[] = [];
  #height = 0;
  /** Memo slots in use; one more than the highest. */
  #memo = 0;
  #counts: boolean | undefined;
  #rootEnd = 0;
  #rootSlots: number[] = [];

  /** @param objects - absent in the first pass, which finds out what is shared */
  constructor(file: StorageFile, shared: Set<number>, objects: Map<number, PickleRange> | undefined) {
    this.#cursor = new PickleCursor(file);
    this.#shared = shared;
    this.#objects = objects;
  }

  root(): PickleRange {
    return { start: this.#starts[0]!, end: this.#rootEnd, memo: this.#memos[0]! };
  }

  *run(): Generator<PickleRange[]> {
    const cursor = this.#cursor;
    let frameEnd = 0;
    let filled = false;
    let code = 0;
    for (;;) {
      const before = code;
      code = cursor.next();
      if (cursor.start < frameEnd && cursor.end > frameEnd) throw new Irregular();
      const marks = this.#marks;
      if (code === FRAME.code) {
        if (cursor.start < frameEnd) throw new Irregular();
        frameEnd = cursor.end + cursor.number();
        if (frameEnd > cursor.size) throw new Irregular();
        continue;
      }
      if (code === PROTO.code) {
        if (cursor.start > 0) throw new Irregular();
        this.protocol = cursor.number();
        continue;
      }
      if (code === STOP.code) {
        if (this.#height !== 1 || marks.length > 0) throw new Irregular();
        if (this.#rootSlots.some((slot) => this.#shared.has(slot))) throw new Irregular();
        this.end = cursor.end;
        return;
      }
      if (code === MARK.code) {
        marks.push({ height: this.#height, start: cursor.start, memo: this.#memo });
        continue;
      }
      if (code === MEMOIZE.code || code === PUT.code || code === BINPUT.code || code === LONG_BINPUT.code) {
        this.#put(code === MEMOIZE.code ? this.#memo : cursor.index(), code === MEMOIZE.code);
      } else if (TO_MARK[code] === 1) {
        const mark = marks.pop();
        if (mark === undefined || mark.height < UNDER[code]!) throw new Irregular();
        const under = mark.height - UNDER[code]!;
        const ofRoot = under === 0 && UNDER[code] === 1;
        const pairs = ofRoot && code === SETITEMS.code ? this.#pairs(1, cursor.start) : undefined;
        this.#drop(mark.height);
        if (IN_PLACE[code] === 1) this.#change();
        else if (code === POP_MARK.code) this.#leave(before);
        if (pairs !== undefined) {
          filled = true;
          yield pairs;
        } else if (ofRoot || (mark.height === 0 && filled)) throw new Irregular();
        else if (IN_PLACE[code] === 0 && GIVES[code] === 1) this.#push(mark.start, mark.memo);
      } else if (code === POP.code && marks.at(-1)?.height === this.#height) {
        marks.pop();
        this.#leave(before);
      } else {
        const takes = TAKES[code]!;
        const height = this.#height - takes;
        if (height < (marks.at(-1)?.height ?? 0) || code === DUP.code) throw new Irregular();
        if (takes === 0) {
          if (code === GET.code || code === BINGET.code || code === LONG_BINGET.code) {
            const index = cursor.index();
            // A slot that is set only later is not valid yet.
            if (index < 0 || index >= this.#memo) throw new Irregular();
            this.#shared.add(index);
            this.#push(cursor.start, this.#memo, true);
          } else this.#push(cursor.start, this.#memo);
        } else if (height === 0 && code === SETITEM.code) {
          const pairs = this.#pairs(1, cursor.start);
          this.#drop(1);
          filled = true;
          yield pairs;
        } else if (height === 0 && (filled || code === POP.code)) throw new Irregular();
        else if (code === POP.code) {
          this.#drop(height);
          this.#leave(before);
        } else if (IN_PLACE[code] === 1) {
          this.#drop(height + 1);
          this.#change();
        } else {
          const start = this.#starts[height]!;
          const memo = this.#memos[height]!;
          this.#drop(height);
          this.#push(start, memo);
        }
        if (height === 0 && code !== SETITEM.code) this.#rootEnd = cursor.end;
      }
      if (this.#height === 1 && !filled && marks.length === 0 && TO_MARK[code] === 1) this.#rootEnd = cursor.end;
      if (this.#height > (marks.at(-1)?.height ?? 0)) this.#ends[this.#height - 1] = cursor.end;
    }
  }

  #push(start: number, memo: number, recalled = false): void {
    const height = this.#height++;
    this.#recalled[height] = recalled;
    this.#starts[height] = start;
    this.#memos[height] = memo;
    this.#slots[height] = undefined;
    if (height === 0) this.#rootSlots = [];
  }

  #put(index: number, counts: boolean): void {
    // Picklers number the slots upwards, in one way only; anything else is left to the pickle machine.
    if (this.#counts !== undefined && this.#counts !== counts) throw new Irregular();
    this.#counts = counts;
    const height = this.#height;
    if (index < this.#memo || height <= (this.#marks.at(-1)?.height ?? 0)) throw new Irregular();
    this.#memo = index + 1;
    if (height === 1) this.#rootSlots.push(index);
    if (this.#objects === undefined || !this.#shared.has(index)) return;
    const slots = this.#slots[height - 1];
    if (slots === undefined) this.#slots[height - 1] = [index];
    else slots.push(index);
  }

  /** The object on top is changed: if another piece made it, it would change there too. */
  #change(): void {
    if (this.#recalled[this.#height - 1]) throw new Irregular();
  }

  /**
   * The top object is popped. Outside of the items, none of the pieces would execute it; and a call that is made for its effect may change
   * another item.
   * @param before - the previous opcode
   */
  #leave(before: number): void {
    if (this.#height <= 1 || before === REDUCE.code) throw new Irregular();
  }

  /** Cuts down the stack: the objects above `height` are complete now. */
  #drop(height: number): void {
    for (let at = this.#height - 1; at >= height; at--) {
      const slots = this.#slots[at];
      if (slots === undefined) continue;
      const range = { start: this.#starts[at]!, end: this.#ends[at]!, memo: this.#memos[at]! };
      for (const slot of slots) this.#objects!.set(slot, range);
    }
    this.#height = height;
  }

  #pairs(from: number, end: number): PickleRange[] {
    const pairs: PickleRange[] = [];
    if ((this.#height - from) % 2 !== 0) throw new Irregular();
    for (let at = from; at < this.#height; at += 2) {
      const next = at + 2 < this.#height ? this.#starts[at + 2]! : end;
      pairs.push({ start: this.#starts[at]!, end: next, memo: this.#memos[at]! });
    }
    return pairs;
  }
}

/** The error for a GET of a slot that was never PUT. */
export function missingSlot(slot: number, name: string): MmdError {
  return new MmdError('CORRUPT', `${name}: memo slot ${slot} is read but was never set`, {
    path: name,
    found: slot,
  });
}
