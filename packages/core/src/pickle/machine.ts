/**
 * The pickle machine: stack, marks, memo and the loop. It never recurses, never calls what it reads, and never
 * allocates what a length merely claims.
 *
 * @module
 */

import { isMmdError, MmdError } from '../errors.ts';
import type { ReadContext } from './builtin.ts';
import { appendItems, forbidden, setItems } from './calls.ts';
import { namingForeign } from './foreign.ts';
import { COLD } from './handlers.ts';
import { CACHED_LENGTH } from './input.ts';
import { KnownGlobals } from './known-globals.ts';
import type { CodeOf, OpcodeName } from './opcodes.ts';
import type { LoadOptions } from './options.ts';
import { AWAITED, emptyList, State } from './state.ts';
import { PyDict } from './values/dict.ts';
import { KeySpace } from './values/keys.ts';
import { Shapes } from './values/shapes.ts';
import { tupleOf1, tupleOf2, tupleOf3, tupleOver } from './values/tuple.ts';
import { WARM_LENGTH, WARM_UP, WARM_UPS } from './warm-up.ts';

/** Reads one pickle after another; between them it keeps buffers and caches, but no state. */
export class Machine extends State implements ReadContext {
  readonly globals: KnownGlobals;
  proto = 0;
  /** True while it reads: a user's callback may load another pickle meanwhile. */
  running = false;
  /** The position after the last REDUCE. */
  reducedAt = -1;
  buffers: Iterator<Uint8Array> | undefined;
  bufferCount = 0;
  #space: KeySpace | undefined;
  #warm = false;
  readonly shapes: Shapes = new Shapes();
  /** Created once, so that passing it to every dict costs no closure. */
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
   * @param start - position of the first opcode
   * @param end - for an entry the end of its value, else the end of the input
   */
  run(bytes: Uint8Array, start: number, end: number): unknown {
    if (end - start >= WARM_LENGTH) KEPT.#warmUp();
    this.#reset(bytes, start, end);
    this.running = true;
    try {
      this.#loop();
      return this.#result();
    } catch (error) {
      throw this.entry
        ? this.#located(error)
        : namingForeign(this.#located(error), bytes, start, start + (this.options.offset ?? 0));
    } finally {
      this.release();
      this.globals.clear();
      this.shapes.clear();
      this.running = false;
    }
  }

  /** See {@link WARM_UP}. */
  #warmUp(): void {
    if (this.#warm) return;
    this.#warm = true;
    for (let i = 0; i < WARM_UPS; i++) this.run(WARM_UP, 0, WARM_UP.length);
  }

  /** Adds the opcode's offset to an error from code that does not know it: the code for keys. */
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

  #result(): unknown {
    const value = this.pop();
    if (this.unfinished !== null && this.options.unknown === 'error') {
      throw forbidden(this, this.unfinished.keys().next().value?.callable);
    }
    if (this.entry && (this.height !== 0 || this.marks.length !== 0)) {
      throw this.error(
        'BAD_OPCODE',
        `an entry must leave one value; this one left ${this.height} more items or a mark`,
      );
    }
    return value;
  }

  /**
   * The opcodes that make up most of every pickle are handled inline, the others by {@link COLD}. All of them are
   * listed, so that V8 makes a jump table of the switch: without the cold ones they are spread too widely for one, and
   * every opcode costs a chain of comparisons, most of all before the loop is compiled.
   */
  #loop(): void {
    const { bytes, stack, memo, lossless, view, entry, marks } = this;
    // No opcode adds more than one item to the stack.
    let room = Math.min(stack.length - 1, this.limits.stack);
    let left = this.limits.opcodes;
    const maxMemo = this.limits.memo;
    const fused = !lossless && !entry && this.end < 2 ** 31;
    let { pos, height, limit } = this;
    for (;;) {
      if (pos >= limit) {
        if (limit !== this.end) {
          limit = this.limit = this.end;
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
      if (height > room) {
        if (height > this.limits.stack) throw this.exceeded('stack');
        this.growStack();
        room = Math.min(stack.length - 1, this.limits.stack);
      }
      this.start = pos;
      const code = bytes[pos++]! as CodeOf<OpcodeName>;
      switch (code) {
        case 0x4b: // BININT1
          if (pos >= limit) limit = this.leaveFrame(pos, 1);
          stack[height++] = bytes[pos++]!;
          break;
        case 0x4d: // BININT2
          if (pos + 2 > limit) limit = this.leaveFrame(pos, 2);
          stack[height++] = bytes[pos]! | (bytes[pos + 1]! << 8);
          pos += 2;
          break;
        case 0x4a: // BININT
          if (pos + 4 > limit) limit = this.leaveFrame(pos, 4);
          stack[height++] = bytes[pos]! | (bytes[pos + 1]! << 8) | (bytes[pos + 2]! << 16) | (bytes[pos + 3]! << 24);
          pos += 4;
          break;
        case 0x47: {
          // BINFLOAT
          if (pos + 8 > limit) limit = this.leaveFrame(pos, 8);
          const value = view.getFloat64(pos);
          stack[height++] = lossless ? this.markedFloat(value, pos) : value;
          pos += 8;
          break;
        }
        case 0x8c: {
          // SHORT_BINUNICODE
          if (pos >= limit) limit = this.leaveFrame(pos, 1);
          const length = bytes[pos++]!;
          if (pos + length > limit) limit = this.leaveFrame(pos, length);
          stack[height++] = length <= CACHED_LENGTH && !lossless ? this.shortText(pos, length) : this.text(pos, length);
          pos += length;
          // Nearly every text is memoized by the next opcode: handled here too, unless a budget ends there.
          if (fused && pos < limit && bytes[pos] === 0x94 && left > 0 && height <= room && memo.fits(maxMemo)) {
            memo.addText(this.start);
            this.start = pos++;
            left--;
          }
          break;
        }
        case 0x58: {
          // BINUNICODE
          if (pos + 4 > limit) limit = this.leaveFrame(pos, 4);
          const length = view.getUint32(pos, true);
          pos += 4;
          if (pos + length > limit) limit = this.leaveFrame(pos, length);
          stack[height++] = length <= CACHED_LENGTH && !lossless ? this.shortText(pos, length) : this.text(pos, length);
          pos += length;
          if (fused && pos + 5 <= limit && left > 0 && height <= room && memo.fits(maxMemo)) {
            const put = bytes[pos];
            const size = put === 0x71 ? 2 : put === 0x72 ? 5 : 0;
            const slot = size === 2 ? bytes[pos + 1] : size === 5 ? view.getUint32(pos + 1, true) : -2;
            if (slot === memo.size) {
              memo.addText(this.start);
              this.start = pos;
              pos += size;
              left--;
            }
          }
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
          stack[height++] = this.itemsFollow(pos) ? AWAITED : emptyList();
          break;
        case 0x7d: // EMPTY_DICT
          stack[height++] = new PyDict();
          break;
        case 0x28: // MARK
          if (marks.length >= this.limits.depth) throw this.exceeded('depth');
          this.awaitedAt.push(this.awaitedSlot);
          marks.push((this.fence = height));
          break;
        case 0x94: // MEMOIZE
          // In an entry the index would depend on the entries before it.
          if (entry) throw this.error('BAD_OPCODE', 'MEMOIZE inside an entry');
          this.height = height;
          this.memoize(memo.size);
          break;
        case 0x71: // BINPUT
          if (pos >= limit) limit = this.leaveFrame(pos, 1);
          this.height = height;
          this.memoize(bytes[pos++]!);
          break;
        case 0x72: // LONG_BINPUT
          if (pos + 4 > limit) limit = this.leaveFrame(pos, 4);
          this.height = height;
          this.memoize(view.getUint32(pos, true));
          pos += 4;
          break;
        case 0x68: // BINGET
          if (pos >= limit) limit = this.leaveFrame(pos, 1);
          stack[height++] = this.recall(bytes[pos++]!);
          break;
        case 0x6a: // LONG_BINGET
          if (pos + 4 > limit) limit = this.leaveFrame(pos, 4);
          stack[height++] = this.recall(view.getUint32(pos, true));
          pos += 4;
          break;
        case 0x85: // TUPLE1
          if (height <= this.fence) throw this.underflow();
          stack[height - 1] = tupleOf1(stack[height - 1]);
          break;
        case 0x86: // TUPLE2
          if (height <= this.fence + 1) throw this.underflow();
          height--;
          stack[height - 1] = tupleOf2(stack[height - 1], stack[height]);
          break;
        case 0x87: // TUPLE3
          if (height <= this.fence + 2) throw this.underflow();
          height -= 2;
          stack[height - 1] = tupleOf3(stack[height - 1], stack[height], stack[height + 1]);
          break;
        case 0x74: // TUPLE
          {
            const mark = this.popMark();
            stack[mark] = tupleOver(stack, mark, height);
            height = mark + 1;
          }
          break;
        case 0x61: // APPEND
          if (height <= this.fence) throw this.underflow();
          this.height = height;
          appendItems(this, height - 1);
          height--;
          break;
        case 0x65: {
          // APPENDS
          if (marks.length === 0) throw this.markless();
          const mark = this.fence;
          const slot = this.dropMark();
          if (mark > this.fence && stack[mark - 1] === AWAITED) this.arrive(mark - 1, stack.slice(mark, height), slot);
          else {
            this.height = height;
            appendItems(this, mark);
          }
          height = mark;
          break;
        }
        case 0x73: // SETITEM
          if (height - this.fence < 3) throw this.underflow();
          this.height = height;
          setItems(this, height - 2);
          height -= 2;
          break;
        case 0x75: // SETITEMS
          this.height = height;
          setItems(this, this.popMark());
          height = this.height;
          break;
        case 0x2e: // STOP
          if (entry) throw this.error('BAD_OPCODE', 'STOP inside an entry');
          this.pos = pos;
          this.height = height;
          return;
        case 0x29: // EMPTY_TUPLE
        case 0x30: // POP
        case 0x31: // POP_MARK
        case 0x32: // DUP
        case 0x42: // BINBYTES
        case 0x43: // SHORT_BINBYTES
        case 0x46: // FLOAT
        case 0x49: // INT
        case 0x4c: // LONG
        case 0x50: // PERSID
        case 0x51: // BINPERSID
        case 0x52: // REDUCE
        case 0x53: // STRING
        case 0x54: // BINSTRING
        case 0x55: // SHORT_BINSTRING
        case 0x56: // UNICODE
        case 0x62: // BUILD
        case 0x63: // GLOBAL
        case 0x64: // DICT
        case 0x67: // GET
        case 0x69: // INST
        case 0x6c: // LIST
        case 0x6f: // OBJ
        case 0x70: // PUT
        case 0x80: // PROTO
        case 0x81: // NEWOBJ
        case 0x82: // EXT1
        case 0x83: // EXT2
        case 0x84: // EXT4
        case 0x8a: // LONG1
        case 0x8b: // LONG4
        case 0x8d: // BINUNICODE8
        case 0x8e: // BINBYTES8
        case 0x8f: // EMPTY_SET
        case 0x90: // ADDITEMS
        case 0x91: // FROZENSET
        case 0x92: // NEWOBJ_EX
        case 0x93: // STACK_GLOBAL
        case 0x95: // FRAME
        case 0x96: // BYTEARRAY8
        case 0x97: // NEXT_BUFFER
        case 0x98: // READONLY_BUFFER
          this.pos = pos;
          this.height = height;
          COLD[code](this);
          ({ pos, height, limit } = this);
          break;
        default:
          code satisfies never;
          throw this.unknownOpcode(code);
      }
    }
  }
}

/**
 * V8 drops a hidden class, and the machine code compiled for it, at the first garbage collection that finds no live
 * object of the class. Machines live only as long as one `load`, so one is kept alive for its class.
 * @kept
 */
export const KEPT: Machine = new Machine();
