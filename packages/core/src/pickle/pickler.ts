/**
 * The writer: turns a value into opcodes, without recursion.
 *
 * @module
 */

import { viewBytes } from '../bytes/index.ts';
import { MmdError } from '../errors.ts';
import { isArraySource, isBytes } from '../ndarray/array-source.ts';
import type { DType } from '../ndarray/dtypes.ts';
import { isDType } from '../ndarray/make-dtype.ts';
import { toBothNumpys, toPython2 } from './compat.ts';
import { writeFlatRecord } from './flat-record.ts';
import { DICT, type Frame, Frames, LIST, NOTHING, SET, STEPS, TUPLE } from './frame.ts';
import { REDUCERS } from './globals.ts';
import { limitExceeded } from './limits.ts';
import { BATCH, C, OpcodeWriter } from './opcode-writer.ts';
import { NOTED, PutMemo } from './put-memo.ts';
import { Args, BufferRef, Created, Extension, Fill, GlobalRef, Op } from './steps.ts';
import { Pieces } from './types/numpy.ts';
import { inPlace, unwritable } from './unwritable.ts';
import { PyDict } from './values/dict.ts';
import { checkHashable, checkKeys, checkNoSlice, KeySpace } from './values/keys.ts';
import { OpaqueObject } from './values/opaque.ts';
import { ByteArray } from './values/scalars.ts';
import { Tuple } from './values/tuple.ts';
import { bytesSteps, joinPieces, stepsOf, type WriteContext } from './writers.ts';

/** How many dict keys are remembered, so that a repeated one costs two bytes; also long texts, and long integers. */
const REMEMBERED_TEXTS = 4096;
/** How many keys of the last dict are remembered by position: a lookup there is faster than in the Map. */
const REMEMBERED_PLACES = 64;
/** From this length on, a list's room is reserved at once, instead of being doubled, with a copy, again and again. */
const LONG_LIST = 4096;
const MOST_ROOM = 67_108_864;
/** Extra room, because numbers reserve a whole batch ahead. */
const BATCH_ROOM: number = 16 * BATCH;
/** The opcodes of short tuples, by length. */
const TUPLES: readonly number[] = [C.EMPTY_TUPLE, C.TUPLE1, C.TUPLE2, C.TUPLE3];
/** From this size on, bytes that are one object here are one object in Python too. */
const SHARED_BYTES = 16;
/** Texts and integers of this many characters are written once: a pickle that shares one stays small, as it was. */
const LONG = 256;
const LONG_INTEGER: bigint = 1n << BigInt(4 * LONG);

/** Writes one value after another; between them it keeps buffers, but no state. */
export class Pickler extends OpcodeWriter implements WriteContext {
  readonly entry: boolean;
  readonly byteArrays: boolean;
  readonly space: () => KeySpace;
  readonly bufferCallback: ((bytes: Uint8Array) => unknown) | undefined;
  /** One more than the highest memo index that was written. */
  memoEnd = 0;
  /** True while it writes: a user's getter or array source may have another value written meanwhile. */
  writing = false;
  readonly #maxDepth: number;
  readonly #frames = new Frames();
  readonly #memo = new PutMemo();
  #globals = new Map<string, number>();
  #texts = new Map<string, number>();
  #longTexts = new Map<string, number>();
  /** By hexadecimal text: V8 hashes a bigint by its last digits. */
  #longIntegers = new Map<string, number>();
  /** The first of equal plain dtypes: which of them are one object depends on what was parsed before. */
  #types = new Map<string, object>();
  #dicts = 0;
  #space: KeySpace | undefined;
  /** Calls whose arguments are being written, with the depth of their steps, or -1 for the second time. */
  readonly #making = new Map<OpaqueObject, number>();
  /** Open arguments that are to be written again at their next occurrence. */
  readonly #again = new Set<object>();

  constructor(
    protocol: 2 | 3 | 4 | 5,
    maxDepth: number,
    entry: boolean,
    bufferCallback?: (bytes: Uint8Array) => unknown,
  ) {
    super(protocol);
    this.entry = entry;
    this.byteArrays = entry || protocol === 5;
    this.#maxDepth = maxDepth;
    this.bufferCallback = bufferCallback;
    this.space = () => (this.#space ??= new KeySpace());
  }

  /**
   * Appends a value to the sink.
   * @param memoBase - the first memo index to use
   */
  write(value: unknown, memoBase: number): void {
    this.memoEnd = memoBase;
    this.writing = true;
    try {
      if (this.protocol >= 4 && isRecord(value) && writeFlatRecord(this.sink, value)) return;
      this.#item(value);
      while (this.#frames.depth > 0) this.#continue(this.#frames.top());
    } catch (error) {
      throw inPlace(error, this.#frames);
    } finally {
      this.writing = false;
      this.#dicts = 0;
      this.#memo.clear();
      if (this.#globals.size > 0) this.#globals = new Map();
      if (this.#texts.size > 0) this.#texts = new Map();
      if (this.#longTexts.size > 0) this.#longTexts = new Map();
      if (this.#longIntegers.size > 0) this.#longIntegers = new Map();
      this.#frames.release();
      if (this.#types.size > 0) this.#types = new Map();
      this.#space = undefined;
      if (this.#making.size > 0) this.#making.clear();
      this.#again.clear();
    }
  }

  #item(value: unknown): void {
    switch (typeof value) {
      case 'string':
        this.#textOnce(value);
        break;
      case 'number':
        this.number(value);
        break;
      case 'boolean':
        this.sink.u8(value ? C.NEWTRUE : C.NEWFALSE);
        break;
      case 'bigint':
        if (value < LONG_INTEGER && value > -LONG_INTEGER) this.bigint(value);
        else this.#once(this.#longIntegers, value.toString(16), () => this.bigint(value));
        break;
      case 'object':
        if (value === null) this.sink.u8(C.NONE);
        else this.#object(value);
        break;
      default:
        throw unwritable(`a value of type ${typeof value}`, typeof value);
    }
  }

  #object(value: object): void {
    const prototype: unknown = Object.getPrototypeOf(value);
    // Complete after one byte, EMPTY_LIST or EMPTY_DICT: one lookup checks whether it is new, and notes it.
    if (prototype === Array.prototype) {
      if (this.#memo.add(value, -2 - this.sink.length)) this.#newList(value as unknown[]);
      else this.#recall(value);
      return;
    }
    if (prototype === PyDict.prototype) {
      if (this.#memo.addDict(value as PyDict, -2 - this.sink.length)) this.#pyDict(value as PyDict);
      else this.#recall(value);
      return;
    }
    if (prototype === Tuple.prototype) {
      this.#tuple(value as Tuple);
      return;
    }
    if (prototype === Map.prototype) {
      this.#map(value as Map<unknown, unknown>);
      return;
    }
    if (isPlain(value, prototype)) {
      this.#plain(value);
      return;
    }
    if (!this.#recall(value)) this.#other(value);
  }

  /** Values of less common classes: written as steps, by the mapping table. */
  #other(value: object): void {
    if (value instanceof Op) this.sink.u8(value.code);
    else if (value instanceof GlobalRef) this.#global(value);
    else if (value instanceof Args) this.#push(TUPLE, value.items, value.items.length, null);
    else if (value instanceof Created) this.#created(value.value);
    else if (value instanceof Fill) this.#fill(value);
    else if (value instanceof Extension) this.extension(value.code);
    else if (value instanceof BufferRef) {
      this.sink.u8(C.NEXT_BUFFER);
      if (value.readonly) this.sink.u8(C.READONLY_BUFFER);
    } else if (value instanceof Pieces) this.#pieces(value);
    else if (isBytes(value)) this.#bytes(value);
    else if (isDType(value)) this.#dtype(value);
    else if (isArraySource(value) || REDUCERS.has(Object.getPrototypeOf(value))) this.#steps(value);
    else if (Array.isArray(value)) this.#list(value);
    else if (value instanceof Map) this.#map(value);
    // An object of another realm is as plain as one of ours.
    else if (Object.getPrototypeOf(Object.getPrototypeOf(value)) === null) this.#plain(value);
    else this.#steps(value);
  }

  #dtype(value: DType): void {
    const spec = typeof value.spec === 'string' ? value.spec : undefined;
    const first = spec === undefined ? value : (this.#types.get(spec) ?? value);
    if (first !== value && this.#recall(first)) return;
    if (spec !== undefined) this.#types.set(spec, value);
    this.#steps(value);
  }

  #steps(value: object): void {
    if (value instanceof OpaqueObject && value.args.length > 0) this.#begin(value);
    const steps = stepsOf(value, this);
    this.#push(STEPS, steps, steps.length, value);
  }

  /**
   * Begins a call. One that occurs among its own arguments is made there, while the open list or dict among these lacks
   * some of its items. That is written again, because the call may copy it; so does Python's pickler, which asks the
   * object for its arguments again. If it was referred to already, it is not: it stays one object.
   */
  #begin(value: OpaqueObject): void {
    const depth = this.#making.get(value);
    this.#making.set(value, depth === undefined ? this.#frames.depth : -1);
    if (depth === undefined || depth < 0) return;
    let at = depth + 1;
    while (at < this.#frames.depth - 1 && this.#frames.at(at).kind === TUPLE) at++;
    const open = this.#frames.at(at).value;
    const prototype: unknown = open === null ? null : Object.getPrototypeOf(open);
    const plain = prototype === Array.prototype || prototype === PyDict.prototype;
    if (plain && this.#memo.get(open!)! < 0) this.#again.add(open!);
  }

  #writeAgain(value: object): void {
    this.#memo.set(value, -2 - this.sink.length);
    if (value instanceof PyDict) this.#pyDict(value);
    else this.#newList(value as unknown[]);
  }

  /** GETs an object that was written before. */
  #recall(value: object): boolean {
    const at = this.#memo.get(value);
    if (at === undefined) return false;
    if (this.#again.size > 0 && this.#again.delete(value)) {
      this.#writeAgain(value);
      return true;
    }
    this.get(at < 0 ? this.#assign(this.#memo, value, at) : at);
    return true;
  }

  /** GETs what was written before under that key. */
  #getAgain(memo: Map<string, number>, key: string): boolean {
    const at = memo.get(key);
    if (at === undefined) return false;
    this.get(at < 0 ? this.#assign(memo, key, at) : at);
    return true;
  }

  #assign<K>(memo: { set(key: K, at: number): unknown }, key: K, at: number): number {
    const index = this.memoEnd++;
    this.sink.put(-1 - at, index);
    memo.set(key, index);
    return index;
  }

  /** Remembers the object that is now complete on the stack. */
  #note(value: object): void {
    this.#memo.add(value, -1 - this.sink.length);
  }

  #push(kind: number, items: readonly unknown[], end: number, value: object | null): Frame {
    if (this.#frames.depth >= this.#maxDepth) throw limitExceeded('depth', this.#maxDepth);
    if (kind === TUPLE && end > 3) this.sink.u8(C.MARK);
    return this.#frames.push(kind, items, end, value);
  }

  /** Writes items of the innermost container until one of them is a container, or it is complete. */
  #continue(frame: Frame): void {
    this.sink.boundary();
    switch (frame.kind) {
      case TUPLE:
        if (this.#tupleItems(frame)) this.#endTuple(frame);
        return;
      case STEPS:
        if (this.#items(frame, frame.end)) this.#frames.pop();
        return;
      default:
        this.#batch(frame);
    }
  }

  /** Writes items up to `to`; false if one of them is a container, which must be written first. */
  #items(frame: Frame, to: number): boolean {
    const { items } = frame;
    const depth = this.#frames.depth;
    while (frame.index < to) {
      const at = frame.index++;
      const item = items[at];
      if (typeof item === 'number') {
        frame.index = this.numbers(items, at, to);
        continue;
      }
      this.#item(item);
      // A step may also have ended its own frame.
      if (this.#frames.depth !== depth) return false;
    }
    return true;
  }

  /**
   * The same for all items of a tuple. They are few, and frozen: with a loop of their own, the other loop has few
   * enough kinds of arrays for V8 to read them without a call.
   */
  #tupleItems(frame: Frame): boolean {
    const { items, end } = frame;
    const depth = this.#frames.depth;
    while (frame.index < end) {
      const item = items[frame.index++];
      if (typeof item === 'number') this.number(item);
      else {
        this.#item(item);
        if (this.#frames.depth !== depth) return false;
      }
    }
    return true;
  }

  /** The same for keys and values. */
  #pairs(frame: Frame, to: number): boolean {
    const { items } = frame;
    const depth = this.#frames.depth;
    while (frame.index < to) {
      const at = frame.index++;
      const item = items[at];
      if (typeof item === 'string') {
        if (at % 2 === 0) this.#keyText(item, frame, at >> 1);
        else this.#textOnce(item);
      } else if (typeof item === 'number') this.number(item);
      else {
        if (this.entry && at % 2 === 0) checkNoSlice(item, this.space);
        this.#item(item);
        if (this.#frames.depth !== depth) return false;
      }
    }
    return true;
  }

  #batch(frame: Frame): void {
    const { sink } = this;
    const unit = frame.kind === DICT ? 2 : 1;
    do {
      if (frame.index === frame.batchEnd) {
        sink.boundary();
        const count = frame.batchEnd - frame.batchStart;
        if (frame.kind === SET) {
          if (count > 0) sink.u8(C.ADDITEMS);
        } else if (count > unit) sink.u8(frame.kind === LIST ? C.APPENDS : C.SETITEMS);
        else if (count === unit) sink.u8(frame.kind === LIST ? C.APPEND : C.SETITEM);
        if (frame.index === frame.end) {
          this.#frames.pop();
          return;
        }
        frame.batchStart = frame.index;
        frame.batchEnd = Math.min(frame.end, frame.index + BATCH * unit);
        if (frame.batchEnd - frame.batchStart > unit || frame.kind === SET) sink.u8(C.MARK);
      }
    } while (frame.kind === DICT ? this.#pairs(frame, frame.batchEnd) : this.#items(frame, frame.batchEnd));
  }

  #list(value: readonly unknown[]): void {
    this.#memo.add(value, -2 - this.sink.length);
    this.#newList(value);
  }

  /** Writes a list that is already noted. */
  #newList(value: readonly unknown[]): void {
    this.sink.u8(C.EMPTY_LIST);
    // A Proxy may return anything, and something different each time.
    const length = value.length >>> 0;
    if (length >= LONG_LIST) this.sink.reserve(Math.min(9 * length + BATCH_ROOM, MOST_ROOM));
    if (length > 0) this.#push(LIST, value, length, value);
  }

  /** Notes and begins a dict; false if it was written before: then it writes a reference. */
  #newDict(value: object): boolean {
    if (!this.#memo.add(value, -2 - this.sink.length)) {
      this.#recall(value);
      return false;
    }
    this.#emptyDict();
    return true;
  }

  #emptyDict(): void {
    this.sink.u8(C.EMPTY_DICT);
    this.#dicts++;
  }

  #pyDict(value: PyDict): void {
    this.#emptyDict();
    const row = PyDict.rowLength(value);
    if (row > 0) {
      const frame = this.#push(DICT, NOTHING, 2 * row, value);
      PyDict.layRow(value, frame.scratch);
      frame.items = frame.scratch;
      return;
    }
    const pairs = PyDict.pairs(value);
    if (pairs === undefined) this.#entries(value);
    else if (pairs.length > 0) this.#push(DICT, pairs, pairs.length, value);
  }

  #map(value: ReadonlyMap<unknown, unknown>): void {
    if (!this.#newDict(value)) return;
    checkKeys(value, this.space);
    this.#entries(value);
  }

  #entries(value: ReadonlyMap<unknown, unknown>): void {
    if (value.size === 0) return;
    const frame = this.#push(DICT, NOTHING, value.size * 2, value);
    const { scratch } = frame;
    let end = 0;
    value.forEach((item, key) => {
      scratch[end++] = key;
      scratch[end++] = item;
    });
    // A subclass of Map may report another size, and other keys than were checked.
    if (end !== frame.end)
      throw new MmdError('UNSUPPORTED_VALUE', 'the size of a Map does not match its entries', { found: value.size });
    if (Object.getPrototypeOf(value) !== Map.prototype)
      for (let i = 0; i < end; i += 2) checkHashable(scratch[i], this.space);
    frame.items = scratch;
  }

  #plain(value: object): void {
    if (!this.#newDict(value)) return;
    const keys = Object.keys(value);
    if (keys.length === 0) return;
    const frame = this.#push(DICT, NOTHING, keys.length * 2, value);
    const { scratch } = frame;
    let end = 0;
    for (const key of keys) {
      scratch[end++] = key;
      scratch[end++] = (value as Record<string, unknown>)[key];
    }
    frame.items = scratch;
  }

  #tuple(value: Tuple): void {
    if (value.length === 0) {
      this.sink.u8(C.EMPTY_TUPLE);
      return;
    }
    // A tuple inside itself is written again: it cannot be referred to before it is complete.
    const slot = this.#memo.begin(value);
    if (slot === NOTED && this.#recall(value)) return;
    this.#push(TUPLE, value, value.length, value).slot = slot;
  }

  /** The items are on the stack. A tuple that contains itself was completed on the way: that one is used. */
  #endTuple(frame: Frame): void {
    const { sink } = this;
    const { value, end } = frame;
    this.#frames.pop();
    // Complete after one byte.
    if (value !== null && !this.#memo.complete(frame.slot, value, -2 - sink.length)) {
      if (end > 3) sink.u8(C.POP_MARK);
      else this.#drop(end);
      this.#recall(value);
      return;
    }
    sink.u8(TUPLES[end] ?? C.TUPLE);
  }

  #created(value: object): void {
    if (value instanceof OpaqueObject) this.#making.delete(value);
    if (!this.#memo.has(value)) {
      this.#note(value);
      return;
    }
    // Already completed, with all that follows, inside its own arguments.
    this.#drop(1);
    this.#recall(value);
    this.#frames.pop();
  }

  /**
   * Pops items off the stack again. A POP right after a REDUCE would mean that the call was made for its effect on its
   * first argument, so a None goes in between.
   */
  #drop(count: number): void {
    this.sink.u8(C.NONE);
    for (let i = 0; i <= count; i++) this.sink.u8(C.POP);
  }

  #fill({ kind, items }: Fill): void {
    if (items.length > 0) this.#push(kind === 'list' ? LIST : kind === 'dict' ? DICT : SET, items, items.length, null);
  }

  #keyText(text: string, { keys, slots }: Frame, place: number): void {
    // A single dict cannot repeat a key.
    if (this.#dicts < 2) {
      this.#textOnce(text);
      return;
    }
    if (keys[place] === text) {
      this.get(slots[place]!);
      return;
    }
    if (text.length >= LONG) {
      this.#textOnce(text);
      return;
    }
    const at = this.#texts.get(text);
    if (at !== undefined) {
      const index = at < 0 ? this.#assign(this.#texts, text, at) : at;
      if (place <= keys.length && place < REMEMBERED_PLACES) {
        keys[place] = text;
        slots[place] = index;
      }
      this.get(index);
      return;
    }
    this.text(text);
    if (this.#texts.size < REMEMBERED_TEXTS) this.#texts.set(text, -1 - this.sink.length);
  }

  #textOnce(text: string): void {
    if (text.length < LONG) this.text(text);
    else this.#once(this.#longTexts, text, () => this.text(text));
  }

  /** GETs what was written before, else writes it. */
  #once(memo: Map<string, number>, key: string, write: () => void): void {
    if (this.#getAgain(memo, key)) return;
    write();
    if (memo.size < REMEMBERED_TEXTS) memo.set(key, -1 - this.sink.length);
  }

  #bytes(value: Uint8Array): void {
    // A view of fixed length, even over a resizable buffer; this throws if the buffer was transferred.
    const bytes = viewBytes(value);
    const array = value instanceof ByteArray;
    if (array ? this.protocol < 5 : this.protocol < 3) {
      const steps = bytesSteps(value, bytes);
      this.#push(STEPS, steps, steps.length, value);
      return;
    }
    this.payload([bytes], bytes.length, array);
    if (array || bytes.length >= SHARED_BYTES) this.#note(value);
  }

  /** The bytes of an array, out of band if requested. */
  #pieces({ pieces, length, array }: Pieces): void {
    if (this.bufferCallback !== undefined && array && !this.bufferCallback(joinPieces(pieces, length))) {
      this.sink.u8(C.NEXT_BUFFER);
    } else if (this.protocol < 3) this.#bytes(joinPieces(pieces, length));
    else this.payload(pieces, length, array);
  }

  #global(given: GlobalRef): void {
    const today = given.asIs ? ([given.module, given.name] as const) : toBothNumpys(given.module, given.name);
    const [module, name] = this.protocol === 2 && !given.asIs ? toPython2(...today) : today;
    // With the length, no two globals have the same key.
    const key = `${module.length} ${module}${name}`;
    if (this.#getAgain(this.#globals, key)) return;
    this.globalNames(module, name);
    this.#globals.set(key, -1 - this.sink.length);
  }
}

/**
 * Keeps the hidden class, and the code compiled for it, alive between calls: see `KEPT` in machine.ts.
 * @kept
 */
export const KEPT_PICKLER: Pickler = new Pickler(4, 1, true);

/** Whether an object is a plain one that does not stand for something else. */
function isPlain(value: object, prototype: unknown): boolean {
  return (prototype === Object.prototype || prototype === null) && !isDType(value) && !isArraySource(value);
}

/** The same for any value. */
const isRecord = (value: unknown): value is object =>
  typeof value === 'object' && value !== null && isPlain(value, Object.getPrototypeOf(value));
