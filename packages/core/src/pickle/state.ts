/**
 * What the machine works on: the stack, its marks and the memo.
 *
 * @module
 */

import type { MmdError } from '../errors.ts';
import type { Unfinished } from './builtin.ts';
import { Input } from './input.ts';
import { Memo } from './memo.ts';
import { OpaqueObject } from './values/opaque.ts';
import { weigh } from './work.ts';

/** Stack items that are kept from one pickle to the next. */
const KEPT_STACK = 256;

/**
 * Placeholder on the stack, under a mark, and in the memo for a list whose items follow: the list is made from them,
 * with exactly their size (V8 gives a list that is made empty room for 17 at the first item, 150 bytes). Between the
 * opcode that makes the list and the mark there is at most the opcode that memoizes it, so only the opcode that removes
 * the mark, and GET, see this.
 */
export const AWAITED: object = Object.freeze({});

/** Stack, marks and memo of one pickle after another. */
export class State extends Input {
  /**
   * Items from 0 to `height`. The array never shrinks while it is in use: items above are left over. It has no holes,
   * so lists sliced from it have none.
   */
  stack: unknown[] = emptyStack();
  height = 0;
  /** Stack heights of the pending marks; `fence` is the last, or 0. */
  marks: number[] = [];
  fence = 0;
  readonly memo: Memo = new Memo();
  /** The memo slot of the list whose items follow the next mark, or -1. */
  awaitedSlot = -1;
  /** The same for the pending marks; meaningful where {@link AWAITED} is under the mark. */
  readonly awaitedAt: number[] = [];
  /** Values that wait for their BUILD, with the memo slots that hold them; null if there are none. */
  unfinished: Map<
    OpaqueObject,
    { readonly finish: (state: unknown) => unknown; slots: number[]; shared: boolean }
  > | null = null;
  /** The capacity reserved for long lists. */
  readonly #rooms = new Map<unknown[], number>();

  /** Drops everything that was read; the value belongs to the caller. */
  release(): void {
    if (this.stack.length > KEPT_STACK) this.stack = emptyStack();
    else {
      // An opcode takes a byte or more and pushes at most one item: a short input has not touched the rest. A call of
      // fill(), and storing a length, leave compiled code: together they took a third of the time of reading a record.
      const { stack } = this;
      const used = Math.min(stack.length, this.end - this.origin);
      for (let i = 0; i < used; i++) stack[i] = null;
    }
    this.height = 0;
    if (this.marks.length > 0) this.marks.length = 0;
    if (this.awaitedAt.length > 0) this.awaitedAt.length = 0;
    this.fence = 0;
    this.memo.clear();
    if (this.#rooms.size > 0) this.#rooms.clear();
    this.unfinished = null;
  }

  /** Removes the top item. */
  pop(): unknown {
    if (this.height <= this.fence) throw this.underflow();
    return this.stack[--this.height];
  }

  /** The top item. */
  top(): unknown {
    if (this.height <= this.fence) throw this.underflow();
    return this.stack[this.height - 1];
  }

  push(value: unknown): void {
    this.stack[this.height++] = value;
  }

  /** Removes the topmost mark; the items from the returned height on were above it. */
  popMark(): number {
    const { marks, stack } = this;
    if (marks.length === 0) throw this.markless();
    const mark = this.fence;
    const slot = this.dropMark();
    // If another mark is at the same height, the items belong to that one.
    if (mark > this.fence && stack[mark - 1] === AWAITED) this.arrive(mark - 1, emptyList(), slot);
    return mark;
  }

  markless(): MmdError {
    return this.error('BAD_OPCODE', 'there is no mark on the stack');
  }

  /** Doubles the capacity of the stack. Done in the loop, V8 would discard its code each time a large stack grows. */
  growStack(): void {
    const { stack } = this;
    for (let i = stack.length; i > 0; i--) stack.push(null);
  }

  /**
   * Removes the topmost mark; the caller has checked that there is one, and handles the list whose items follow it, of
   * which this returns the memo slot.
   */
  dropMark(): number {
    const { marks } = this;
    marks.pop();
    this.fence = marks.length === 0 ? 0 : marks[marks.length - 1]!;
    return this.awaitedAt.pop()!;
  }

  /** Removes the topmost mark and the items above it. */
  popItems(): unknown[] {
    const { height } = this;
    this.height = this.popMark();
    return this.stack.slice(this.height, height);
  }

  memoize(index: number): void {
    if (this.height <= this.fence) throw this.underflow();
    const value = this.stack[this.height - 1];
    if (this.unfinished !== null && value instanceof OpaqueObject) this.unfinished.get(value)?.slots.push(index);
    this.memo.set(index, value);
    if (this.memo.size > this.limits.memo) throw this.exceeded('memo');
  }

  recall(index: number): unknown {
    if (!this.memo.has(index)) throw this.error('CORRUPT', `memo slot ${index} was never set`, index);
    const at = this.memo.textAt(index);
    if (at >= 0) return this.#recallText(index, at);
    const value = this.memo.get(index);
    return value === AWAITED ? this.#materialize(index) : this.share(value);
  }

  /** Reads a text whose slot holds its position; from now on the slot holds the text. */
  #recallText(index: number, at: number): string {
    const text = this.textAgain(at);
    this.memo.set(index, text);
    return text;
  }

  /** Makes a list that is referred to before its items came; it gets them like any other list. */
  #materialize(index: number): unknown[] {
    const list = emptyList();
    let depth = this.marks.length - 1;
    while (this.awaitedAt[depth] !== index || this.stack[this.marks[depth]! - 1] !== AWAITED) depth--;
    this.stack[this.marks[depth]! - 1] = list;
    this.memo.set(index, list);
    return list;
  }

  /** Notes another reference to a value: an unfinished one can then no longer be replaced when it is finished. */
  share(value: unknown): unknown {
    if (this.unfinished !== null && value instanceof OpaqueObject) {
      const waiting = this.unfinished.get(value);
      if (waiting !== undefined) waiting.shared = true;
    }
    return value;
  }

  /** Pushes the placeholder of a value until its BUILD. */
  pushUnfinished(placeholder: OpaqueObject, { finish }: Unfinished): void {
    this.unfinished ??= new Map();
    this.unfinished.set(placeholder, { finish, slots: [], shared: false });
    this.push(placeholder);
  }

  /** Gives the placeholder on top its state, and replaces it with the finished value; false if it stays opaque. */
  finish(placeholder: OpaqueObject, state: unknown): boolean {
    const waiting = this.unfinished?.get(placeholder);
    if (waiting === undefined) return false;
    this.unfinished!.delete(placeholder);
    if (this.unfinished!.size === 0) this.unfinished = null;
    if (Array.isArray(state)) this.work(weigh(state));
    // Otherwise items appended to it, for example, would be lost.
    const changed = waiting.shared || placeholder.operations.length > 0;
    const value = changed ? undefined : waiting.finish(state);
    if (value === undefined) return false;
    this.stack[this.height - 1] = value;
    for (const slot of waiting.slots) if (this.memo.get(slot) === placeholder) this.memo.set(slot, value);
    return true;
  }

  /**
   * Whether the list made by the opcode before `pos` gets its items after a mark that follows, with nothing in between
   * but the opcode that memoizes it.
   */
  itemsFollow(pos: number): boolean {
    const { bytes } = this;
    this.awaitedSlot = -1;
    let at = pos;
    if (bytes[pos] === 0x94) {
      this.awaitedSlot = this.memo.size;
      at = pos + 1;
    } else if (bytes[pos] === 0x71) {
      this.awaitedSlot = bytes[pos + 1] ?? 0;
      at = pos + 2;
    } else if (bytes[pos] === 0x72 && pos + 5 < this.end) {
      this.awaitedSlot = this.view.getUint32(pos + 1, true);
      at = pos + 5;
    }
    return at < this.end && bytes[at] === 0x28;
  }

  /** Puts the list that was awaited at `at` there, and into its memo slot; its mark is already removed. */
  arrive(at: number, list: unknown[], slot: number): void {
    this.stack[at] = list;
    // The slot may have been reused meanwhile.
    if (slot >= 0 && this.memo.get(slot) === AWAITED) this.memo.set(slot, list);
  }

  /**
   * Doubles the capacity of a long list before `count` items are added to it. V8 by itself grows an array by half, into
   * fresh pages each time, which took three quarters of the time of loading a million integers.
   */
  makeRoom(list: unknown[], count: number): void {
    const { length } = list;
    const room = this.#rooms.get(list) ?? 0;
    if (length + count <= room || length < 512 || length > 2 ** 24) return;
    // Shrinking an array to half its capacity or more leaves the capacity as it is.
    list.length = length * 2;
    list.length = length;
    this.#rooms.set(list, length * 2);
  }
}

/** Sliced from: a literal would be recompiled each time V8 changes its mind about where to allocate it. */
const ONE: readonly unknown[] = [null];

/**
 * An empty list with room for one item, which is all that a list usually gets without a mark. All lists are arrays of
 * one kind, like those sliced from the stack.
 */
export function emptyList(): unknown[] {
  const list = ONE.slice();
  list.pop();
  return list;
}

function emptyStack(): unknown[] {
  return NULLS.slice();
}

/** Copied, not built again: a loop of pushes takes 50 us in a process that was just started. */
const NULLS: readonly unknown[] = Array.from({ length: KEPT_STACK }, () => null);
