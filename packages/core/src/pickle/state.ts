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
 * Stands on the stack, under a mark, and in the memo for a list whose items follow: the list is made of them, of
 * exactly their size (V8 gives a list that is made empty room for 17 at the first item, 150 bytes). Between the opcode
 * that makes the list and the mark stands at most the opcode that memoizes it, so that nothing sees this but the opcode
 * that removes the mark, and GET.
 */
export const AWAITED: object = Object.freeze({});

/** Stack, marks and memo of one pickle after the other. */
export class State extends Input {
  /**
   * Items from 0 to `height`. The array never shrinks while it is in use: what stands above is left over. It has no
   * holes, so that lists that are cut out of it have none.
   */
  stack: unknown[] = emptyStack();
  height = 0;
  /** Stack heights of the pending marks; `fence` is the last, or 0. */
  marks: number[] = [];
  fence = 0;
  readonly memo: Memo = new Memo();
  /** The memo slot of the list that the next mark brings the items of, or -1. */
  awaitedSlot = -1;
  /** The same for the pending marks; it means something where {@link AWAITED} stands under the mark. */
  readonly awaitedAt: number[] = [];
  /** Values that wait for their BUILD, with the memo slots that hold them; null: there are none. */
  unfinished: Map<
    OpaqueObject,
    { readonly finish: (state: unknown) => unknown; slots: number[]; shared: boolean }
  > | null = null;
  /** The room behind long lists. */
  readonly #rooms = new Map<unknown[], number>();

  /** Lets go of everything that was read; the value belongs to the caller. */
  release(): void {
    if (this.stack.length > KEPT_STACK) this.stack = emptyStack();
    else {
      // No opcode, of a byte or more, pushes more than one item: a short input has not touched the rest. A call of
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
    // Another mark at the same height would be the one that the items come after.
    if (mark > this.fence && stack[mark - 1] === AWAITED) this.arrive(mark - 1, emptyList(), slot);
    return mark;
  }

  markless(): MmdError {
    return this.error('BAD_OPCODE', 'there is no mark on the stack');
  }

  /** Doubles the room of the stack. In the loop V8 would throw the loop's code away each time that a large one grows. */
  growStack(): void {
    const { stack } = this;
    for (let i = stack.length; i > 0; i--) stack.push(null);
  }

  /**
   * Removes the topmost mark; the caller has seen that there is one, and sees to the list that it brings, of which this
   * returns the memo slot.
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

  /** A text whose slot holds where it stands; from now on the slot holds the text. */
  #recallText(index: number, at: number): string {
    const text = this.textAgain(at);
    this.memo.set(index, text);
    return text;
  }

  /** A list that is referred to before its items came: it is made now, and gets them as any other. */
  #materialize(index: number): unknown[] {
    const list = emptyList();
    let depth = this.marks.length - 1;
    while (this.awaitedAt[depth] !== index || this.stack[this.marks[depth]! - 1] !== AWAITED) depth--;
    this.stack[this.marks[depth]! - 1] = list;
    this.memo.set(index, list);
    return list;
  }

  /** Notes that a value is now referred to once more: it can no longer be replaced when it is finished. */
  share(value: unknown): unknown {
    if (this.unfinished !== null && value instanceof OpaqueObject) {
      const waiting = this.unfinished.get(value);
      if (waiting !== undefined) waiting.shared = true;
    }
    return value;
  }

  /** Pushes what stands for a value until its BUILD. */
  pushUnfinished(placeholder: OpaqueObject, { finish }: Unfinished): void {
    this.unfinished ??= new Map();
    this.unfinished.set(placeholder, { finish, slots: [], shared: false });
    this.push(placeholder);
  }

  /** Gives the placeholder on top its state, and puts the finished value in its place; false if it stays opaque. */
  finish(placeholder: OpaqueObject, state: unknown): boolean {
    const waiting = this.unfinished?.get(placeholder);
    if (waiting === undefined) return false;
    this.unfinished!.delete(placeholder);
    if (this.unfinished!.size === 0) this.unfinished = null;
    if (Array.isArray(state)) this.work(weigh(state));
    // What was appended to it, for example, would be lost.
    const changed = waiting.shared || placeholder.operations.length > 0;
    const value = changed ? undefined : waiting.finish(state);
    if (value === undefined) return false;
    this.stack[this.height - 1] = value;
    for (const slot of waiting.slots) if (this.memo.get(slot) === placeholder) this.memo.set(slot, value);
    return true;
  }

  /**
   * Tells whether the list that is made by the opcode before `pos` gets its items from a mark that follows, with
   * nothing in between but its memo slot.
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

  /** Puts the list that was awaited at `at` there, and into its memo slot; its mark is gone already. */
  arrive(at: number, list: unknown[], slot: number): void {
    this.stack[at] = list;
    // The slot may have been given to something else meanwhile.
    if (slot >= 0 && this.memo.get(slot) === AWAITED) this.memo.set(slot, list);
  }

  /**
   * Doubles the room behind a long list that `count` items are to be added to. V8 by itself grows an array by half, into
   * fresh pages each time, which took three quarters of the time of loading a million integers.
   */
  makeRoom(list: unknown[], count: number): void {
    const { length } = list;
    const room = this.#rooms.get(list) ?? 0;
    if (length + count <= room || length < 512 || length > 2 ** 24) return;
    // Cutting an array down to half its room or more leaves the room as it is.
    list.length = length * 2;
    list.length = length;
    this.#rooms.set(list, length * 2);
  }
}

/** Cut out of, where a literal of its own would be compiled anew each time V8 changes its mind where to put them. */
const ONE: readonly unknown[] = [null];

/**
 * A list with room for one item, which is what a list has that gets its items one by one and not after a mark. All
 * lists are arrays of one kind, as cut out of the stack.
 */
export function emptyList(): unknown[] {
  const list = ONE.slice();
  list.pop();
  return list;
}

function emptyStack(): unknown[] {
  return NULLS.slice();
}

/** Copied, not made anew: a loop of pushes takes 50 us in a process that was just started. */
const NULLS: readonly unknown[] = Array.from({ length: KEPT_STACK }, () => null);
