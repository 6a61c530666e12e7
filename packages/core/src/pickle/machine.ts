/**
 * The pickle machine: stack, marks, memo and the loop. It never recurses, never calls what it reads, and allocates
 * nothing because a length claims it.
 *
 * @module
 */

import { isMmdError, MmdError } from '../errors.ts';
import type { ReadContext, Unfinished } from './builtin.ts';
import { setItems } from './calls.ts';
import { COLD, type HotCode } from './handlers.ts';
import { Input } from './input.ts';
import { KnownGlobals } from './known-globals.ts';
import { Memo } from './memo.ts';
import type { LoadOptions } from './options.ts';
import { PyDict } from './values/dict.ts';
import { KeySpace } from './values/keys.ts';
import { OpaqueObject } from './values/opaque.ts';
import { tupleOf1, tupleOf2 } from './values/tuple.ts';
import { weigh } from './work.ts';

/** Strings up to this many bytes are looked up among those already read. */
const CACHED_LENGTH = 24;
/** Stack items that are kept from one pickle to the next. */
const KEPT_STACK = 256;

/** One machine reads one pickle after the other; what it keeps between them is memory, never meaning. */
export class Machine extends Input implements ReadContext {
  readonly globals: KnownGlobals;
  proto = 0;
  /** It is reading: a callback of the user's may ask for another pickle meanwhile. */
  running = false;
  /** The position after the last REDUCE. */
  reducedAt = -1;
  /**
   * Items from 0 to `height`. The array never shrinks while it is in use: what stands above is left over.
   */
  stack: unknown[] = new Array<unknown>(KEPT_STACK).fill(null);
  height = 0;
  /** Stack heights of the pending marks; `fence` is the last, or 0. */
  marks: number[] = [];
  fence = 0;
  readonly memo: Memo = new Memo();
  /** Values that wait for their BUILD, with the memo slots that hold them; null: there are none. */
  unfinished: Map<
    OpaqueObject,
    { readonly finish: (state: unknown) => unknown; slots: number[]; shared: boolean }
  > | null = null;
  buffers: Iterator<Uint8Array> | undefined;
  bufferCount = 0;
  #space: KeySpace | undefined;
  /** The room behind long lists. */
  readonly #rooms = new Map<unknown[], number>();
  /** Bound once: handing it to every dict costs no closure. */
  readonly space: () => KeySpace;

  constructor(options: LoadOptions = {}, entry = false) {
    super(options, entry);
    this.globals = new KnownGlobals(options);
    this.space = () => (this.#space ??= new KeySpace(this.limits.keys));
  }

  /**
   * Reads one pickle, or one entry, that starts at `start`.
   *
   * @param bytes - borrowed; with `borrow` the value refers to them
   * @param start - where the first opcode stands
   * @param end - for an entry the end of its value, else how far the input goes
   */
  run(bytes: Uint8Array, start: number, end: number): unknown {
    this.#reset(bytes, start, end);
    this.running = true;
    try {
      this.#loop();
      return this.#result();
    } catch (error) {
      throw this.#located(error);
    } finally {
      this.#release();
      this.running = false;
    }
  }

  /** Gives the offset of the opcode to an error of something that does not know where it stands: a key. */
  #located(error: unknown): unknown {
    const keyed = isMmdError(error, 'BAD_KEY') || isMmdError(error, 'LIMIT_EXCEEDED');
    if (!keyed || error.offset !== undefined) return error;
    const { code, message, found, limit, maximum } = error;
    return new MmdError(code, `${message} (at ${this.offset})`, {
      offset: this.offset,
      found,
      limit,
      maximum,
      cause: error,
    });
  }

  #reset(bytes: Uint8Array, start: number, end: number): void {
    this.open(bytes, start, end);
    this.buffers = this.options.buffers?.[Symbol.iterator]();
    this.bufferCount = 0;
    this.reducedAt = -1;
    this.#space = undefined;
    this.proto = this.entry ? 4 : 0;
  }

  /** Lets go of everything that was read; the value belongs to the caller. */
  #release(): void {
    if (this.stack.length > KEPT_STACK) this.stack = new Array<unknown>(KEPT_STACK);
    this.stack.fill(null);
    this.height = 0;
    this.marks.length = 0;
    this.fence = 0;
    this.memo.clear();
    if (this.#rooms.size > 0) this.#rooms.clear();
    this.unfinished = null;
    this.globals.clear();
  }

  #result(): unknown {
    const value = this.pop();
    if (this.entry && (this.height !== 0 || this.marks.length !== 0)) {
      throw this.error('BAD_OPCODE', `an entry leaves one value, this one left ${this.height} more items or a mark`);
    }
    return value;
  }

  /**
   * The opcodes that make up most of every pickle are handled in place; the others by {@link COLD}, whose type
   * leaves out exactly these.
   */
  #loop(): void {
    const { bytes, stack, memo, lossless, view, entry } = this;
    const maxStack = this.limits.stack;
    let left = this.limits.opcodes;
    let { pos, height } = this;
    for (;;) {
      if (pos >= this.limit) {
        if (this.limit !== this.end) {
          this.limit = this.end;
          continue;
        }
        if (entry && pos === this.end) {
          this.pos = pos;
          this.height = height;
          return;
        }
        this.start = this.pos = pos;
        throw this.error('TRUNCATED', 'the pickle ends before its STOP');
      }
      if (--left < 0) throw this.exceeded('opcodes');
      if (height > maxStack) throw this.exceeded('stack');
      this.start = pos;
      const code = bytes[pos++]! as HotCode;
      switch (code) {
        case 0x4b: // BININT1
          if (pos >= this.limit) throw this.truncated(pos, 1);
          stack[height++] = bytes[pos++]!;
          break;
        case 0x4d: // BININT2
          if (pos + 2 > this.limit) throw this.truncated(pos, 2);
          stack[height++] = bytes[pos]! | (bytes[pos + 1]! << 8);
          pos += 2;
          break;
        case 0x4a: // BININT
          if (pos + 4 > this.limit) throw this.truncated(pos, 4);
          stack[height++] = bytes[pos]! | (bytes[pos + 1]! << 8) | (bytes[pos + 2]! << 16) | (bytes[pos + 3]! << 24);
          pos += 4;
          break;
        case 0x47: {
          // BINFLOAT
          if (pos + 8 > this.limit) throw this.truncated(pos, 8);
          const value = view.getFloat64(pos);
          stack[height++] = lossless ? this.markedFloat(value, pos) : value;
          pos += 8;
          break;
        }
        case 0x8c: {
          // SHORT_BINUNICODE
          if (pos >= this.limit) throw this.truncated(pos, 1);
          const length = bytes[pos++]!;
          if (pos + length > this.limit) throw this.truncated(pos, length);
          stack[height++] = length <= CACHED_LENGTH && !lossless ? this.shortText(pos, length) : this.text(pos, length);
          pos += length;
          break;
        }
        case 0x58: {
          // BINUNICODE
          if (pos + 4 > this.limit) throw this.truncated(pos, 4);
          const length = view.getUint32(pos, true);
          pos += 4;
          if (pos + length > this.limit) throw this.truncated(pos, length);
          stack[height++] = length <= CACHED_LENGTH && !lossless ? this.shortText(pos, length) : this.text(pos, length);
          pos += length;
          break;
        }
        case 0x4e: // NONE
          stack[height++] = null;
          break;
        case 0x88: // NEWTRUE
          stack[height++] = true;
          break;
        case 0x89: // NEWFALSE
          stack[height++] = false;
          break;
        case 0x5d: // EMPTY_LIST
          stack[height++] = [];
          break;
        case 0x7d: // EMPTY_DICT
          stack[height++] = new PyDict();
          break;
        case 0x28: // MARK
          if (this.marks.length >= this.limits.depth) throw this.exceeded('depth');
          this.marks.push((this.fence = height));
          break;
        case 0x94: // MEMOIZE
          // In an entry the index would depend on the entries before it.
          if (entry) throw this.error('BAD_OPCODE', 'MEMOIZE inside an entry');
          this.height = height;
          this.memoize(memo.size);
          break;
        case 0x71: // BINPUT
          if (pos >= this.limit) throw this.truncated(pos, 1);
          this.height = height;
          this.memoize(bytes[pos++]!);
          break;
        case 0x68: // BINGET
          if (pos >= this.limit) throw this.truncated(pos, 1);
          stack[height++] = this.recall(bytes[pos++]!);
          break;
        case 0x6a: // LONG_BINGET
          if (pos + 4 > this.limit) throw this.truncated(pos, 4);
          stack[height++] = this.recall(view.getUint32(pos, true));
          pos += 4;
          break;
        case 0x85: // TUPLE1
          if (height <= this.fence) throw this.underflow();
          stack[height - 1] = tupleOf1(stack[height - 1]);
          break;
        case 0x86: {
          // TUPLE2
          if (height <= this.fence + 1) throw this.underflow();
          height--;
          stack[height - 1] = tupleOf2(stack[height - 1], stack[height]);
          break;
        }
        case 0x75: {
          // SETITEMS
          this.height = height;
          setItems(this, this.popMark());
          height = this.height;
          break;
        }
        case 0x2e: // STOP
          if (entry) throw this.error('BAD_OPCODE', 'STOP inside an entry');
          this.pos = pos;
          this.height = height;
          if (pos < this.limit && this.limit !== this.end)
            throw this.error('CORRUPT', 'STOP before the end of its frame');
          return;
        default: {
          code satisfies never;
          const handler = COLD[code];
          if (handler === undefined) throw this.unknownOpcode(code);
          this.pos = pos;
          this.height = height;
          handler(this);
          pos = this.pos;
          height = this.height;
        }
      }
    }
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
    const mark = this.marks.pop();
    if (mark === undefined) throw this.error('BAD_OPCODE', 'there is no mark on the stack');
    const { marks } = this;
    this.fence = marks.length === 0 ? 0 : marks[marks.length - 1]!;
    return mark;
  }

  /** Removes the topmost mark and the items above it. */
  popItems(): unknown[] {
    const { height } = this;
    this.height = this.popMark();
    return this.stack.slice(this.height, height);
  }

  memoize(index: number): void {
    const value = this.top();
    if (this.unfinished !== null && value instanceof OpaqueObject) this.unfinished.get(value)?.slots.push(index);
    this.memo.set(index, value);
    if (this.memo.size > this.limits.memo) throw this.exceeded('memo');
  }

  recall(index: number): unknown {
    if (!this.memo.has(index)) throw this.error('CORRUPT', `memo slot ${index} was never set`, index);
    return this.share(this.memo.get(index));
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
    const value = waiting.shared ? undefined : waiting.finish(state);
    if (value === undefined) return false;
    this.stack[this.height - 1] = value;
    for (const slot of waiting.slots) if (this.memo.get(slot) === placeholder) this.memo.set(slot, value);
    return true;
  }

  /**
   * Doubles the room behind a long list that `count` items are to be added to. V8 by itself grows an array by half, into
   * fresh pages each time, which took three quarters of the time of loading a million integers.
   */
  makeRoom(list: unknown[], count: number): void {
    const { length } = list;
    const room = this.#rooms.get(list) ?? 0;
    if (length + count <= room || length < 1024 || length > 2 ** 24) return;
    // Cutting an array down to half its room or more leaves the room as it is.
    list.length = length * 2;
    list.length = length;
    this.#rooms.set(list, length * 2);
  }
}

/**
 * V8 drops a hidden class, and the machine code that was compiled for it, at the first collection that finds no
 * object of the class alive. Machines live as long as one `load`, so one is kept for its class.
 * @kept
 */
export const KEPT: Machine = new Machine();
