/**
 * Writes and parses the few opcodes that shapes, dtypes and padding consist of.
 *
 * @module
 */

import { type ByteWriter, decodeInteger, decodeUtf8, encodeUtf8, encodeUtf8Into } from '../bytes/index.ts';
import { MmdError } from '../errors.ts';
import type { DType, DTypeSpec } from '../ndarray/index.ts';
import type { ShapeMemo } from './array-value.ts';
import { putU32, putU64 } from './layout.ts';
import type { ValueReader } from './value-reader.ts';

/** Text of at most this many characters has fewer than 256 bytes. */
const SURELY_SHORT = 85;

/** SHORT_BINUNICODE, or BINUNICODE above 255 bytes. */
export function putText(writer: ByteWriter, text: string): void {
  const { length } = text;
  if (length <= SURELY_SHORT) {
    // Encoded directly into place: calling an encoder costs more than all of this.
    const start = writer.reserve(2 + 3 * length);
    const end = encodeUtf8Into(text, writer.bytes, start + 2);
    writer.bytes[start] = 0x8c;
    writer.bytes[start + 1] = end - start - 2;
    writer.length = end;
    return;
  }
  const bytes = encodeUtf8(text);
  if (bytes.length < 256) {
    writer.u8(0x8c);
    writer.u8(bytes.length);
  } else {
    writer.u8(0x58);
    writer.u32(bytes.length);
  }
  writer.raw(bytes);
}

/** A safe integer in its shortest form. */
export function putInteger(writer: ByteWriter, value: number): void {
  if (value >= 0 && value < 256) {
    writer.u8(0x4b);
    writer.u8(value);
  } else if (value >= 0 && value < 65536) {
    writer.u8(0x4d);
    writer.u16(value);
  } else if (value >= -(2 ** 31) && value < 2 ** 31) {
    writer.u8(0x4a);
    writer.i32(value);
  } else putLong8(writer, value);
}

/** LONG1 with 8 bytes. */
function putLong8(writer: ByteWriter, value: number): void {
  writer.u8(0x8a);
  writer.u8(8);
  const pos = writer.reserve(8);
  if (value >= 0) putU64(writer.bytes, pos, value);
  else new DataView(writer.bytes.buffer).setBigInt64(pos, BigInt(value), true);
  writer.length += 8;
}

/** A tuple of what `put` writes for each item. */
export function putTuple<T>(writer: ByteWriter, items: readonly T[], put: (item: T, index: number) => void): void {
  if (items.length > 3) writer.u8(0x28);
  for (const [index, item] of items.entries()) put(item, index);
  writer.u8([0x29, 0x85, 0x86, 0x87][items.length] ?? 0x74);
}

/** A shape tuple; `fixedFirst` gives the first dimension 8 bytes whatever its value. */
export function putShape(writer: ByteWriter, shape: readonly number[], fixedFirst: boolean): void {
  putTuple(writer, shape, (dim, index) =>
    fixedFirst && index === 0 ? putLong8(writer, dim) : putInteger(writer, dim),
  );
}

/** A dtype as `numpy.dtype()` takes it: text, or a list of field tuples, or numpy's dict form. */
export function putDType(writer: ByteWriter, type: DType): void {
  putSpec(writer, type.fields === undefined && type.shape === undefined ? (type.descr as DTypeSpec) : type.spec);
}

function putSpec(writer: ByteWriter, spec: DTypeSpec): void {
  if (typeof spec === 'string') putText(writer, spec);
  else if (!Array.isArray(spec)) putSpecDict(writer, spec);
  // A field starts with its name. So a list of numbers in second place is the shape of a sub-array (also one of records),
  // and text in first place is the void type that the fields overlay.
  else if (spec.length === 2 && (isShape(spec[1]) || typeof spec[0] === 'string')) {
    putTuple<unknown>(writer, spec, (item, index) => {
      if (index === 1 && isShape(item)) putShape(writer, item as number[], false);
      else putSpec(writer, item as DTypeSpec);
    });
  } else putList(writer, spec as readonly (readonly unknown[])[], (field) => putField(writer, field));
}

function putField(writer: ByteWriter, field: readonly unknown[]): void {
  putTuple<unknown>(writer, field, (item, index) => {
    if (index === 0) putName(writer, item as string | readonly [string, string]);
    else if (index === 1) putSpec(writer, item as DTypeSpec);
    else putShape(writer, item as number[], false);
  });
}

function isShape(value: unknown): boolean {
  return Array.isArray(value) && value.every((dim) => typeof dim === 'number');
}

function putName(writer: ByteWriter, name: string | readonly [string, string]): void {
  if (typeof name === 'string') putText(writer, name);
  else putTuple(writer, name, (text) => putText(writer, text));
}

function putList<T>(writer: ByteWriter, items: readonly T[], put: (item: T) => void): void {
  writer.u8(0x5d);
  writer.u8(0x28);
  for (const item of items) put(item);
  writer.u8(0x65);
}

function putSpecDict(writer: ByteWriter, spec: Exclude<DTypeSpec, string | readonly unknown[]>): void {
  writer.u8(0x7d);
  writer.u8(0x28);
  putText(writer, 'names');
  putList(writer, spec.names, (name) => putText(writer, name));
  putText(writer, 'formats');
  putList(writer, spec.formats, (format) => putSpec(writer, format));
  if (spec.offsets !== undefined) {
    putText(writer, 'offsets');
    putList(writer, spec.offsets, (offset) => putInteger(writer, offset));
  }
  if (spec.titles !== undefined) {
    putText(writer, 'titles');
    putList(writer, spec.titles, (title) => (title === null ? writer.u8(0x4e) : putText(writer, title)));
  }
  if (spec.itemsize !== undefined) {
    putText(writer, 'itemsize');
    putInteger(writer, spec.itemsize);
  }
  if (spec.aligned !== undefined) {
    putText(writer, 'aligned');
    writer.u8(spec.aligned ? 0x88 : 0x89);
  }
  writer.u8(0x75);
}

/** Writes `count` bytes of opcodes that push an object and pop it; `count` is 0 or at least 2. */
export function putPadding(writer: ByteWriter, count: number): void {
  if (count === 0) return;
  const pos = writer.reserve(count);
  const pop = pos + count - 1;
  const { bytes } = writer;
  if (count === 2) bytes[pos] = 0x4e;
  else if (count < 259) {
    bytes[pos] = 0x43;
    bytes[pos + 1] = count - 3;
    bytes.fill(0, pos + 2, pop);
  } else {
    bytes[pos] = 0x42;
    putU32(bytes, pos + 1, count - 6);
    bytes.fill(0, pos + 5, pop);
  }
  bytes[pop] = 0x30;
  writer.length = pop + 1;
}

/** The stack that {@link parseLiterals} leaves, and what else it found. */
export interface ParsedLiterals {
  readonly stack: readonly unknown[];
  /** Position of the 8 bytes of a LONG1 that is the first item of the first tuple. */
  readonly countPos?: number;
  /** Memo index at which a shape was PUT, or from which it was GOT. */
  readonly put?: number;
  readonly got?: number;
}

const MARK = Symbol('mark');
/** More opcodes than any shape or dtype of a sane size has. */
const MAX_OPCODES = 200_000;

/**
 * Runs literal opcodes (integers, text, None, booleans, tuples, lists, dicts, padding) up to one of `stops`, which is
 * not consumed.
 *
 * @param stack - the initial stack; it is modified
 * @param stops - opcodes to stop at
 * @param memo - shapes that were PUT before; PUTs here are added
 * @throws BAD_OPCODE for anything else; TRUNCATED
 */
export function parseLiterals(
  reader: ValueReader,
  stack: unknown[],
  stops: readonly number[],
  memo: ShapeMemo,
): ParsedLiterals {
  const base = stack.length;
  let countPos: number | undefined;
  let put: number | undefined;
  let got: number | undefined;
  const pop = (): unknown => {
    if (stack.length === 0 || stack.at(-1) === MARK) throw bad(reader, 'the stack is empty');
    return stack.pop();
  };
  const popMark = (): unknown[] => {
    const mark = stack.lastIndexOf(MARK);
    if (mark === -1) throw bad(reader, 'no MARK');
    const items = stack.splice(mark + 1);
    stack.pop();
    return items;
  };
  for (let n = 0; n < MAX_OPCODES; n++) {
    if (stops.includes(reader.peek())) {
      return {
        stack,
        ...(countPos !== undefined && { countPos }),
        ...(put !== undefined && { put }),
        ...(got !== undefined && { got }),
      };
    }
    const opcode = reader.u8();
    switch (opcode) {
      case 0x28: // MARK
        stack.push(MARK);
        break;
      case 0x30: // POP
        pop();
        break;
      case 0x4b: // BININT1
        stack.push(reader.u8());
        break;
      case 0x4d: // BININT2
        stack.push(reader.u16());
        break;
      case 0x4a: // BININT
        stack.push(reader.u32() | 0);
        break;
      case 0x8a: {
        // LONG1
        const length = reader.u8();
        const first = stack.length === base || (stack.length === base + 1 && stack[base] === MARK);
        if (length === 8 && first && base === 0) countPos = reader.pos;
        stack.push(decodeInteger(reader.take(length), 0, length));
        break;
      }
      case 0x43: // SHORT_BINBYTES: padding
        reader.skip(reader.u8());
        stack.push(null);
        break;
      case 0x42: // BINBYTES: padding
        reader.skip(reader.u32());
        stack.push(null);
        break;
      case 0x8c: // SHORT_BINUNICODE
      case 0x58: {
        // BINUNICODE
        const length = opcode === 0x8c ? reader.u8() : reader.u32();
        stack.push(decodeUtf8(reader.take(length), 0, length));
        break;
      }
      case 0x4e: // NONE
        stack.push(null);
        break;
      case 0x88: // NEWTRUE
      case 0x89: // NEWFALSE
        stack.push(opcode === 0x88);
        break;
      case 0x29: // EMPTY_TUPLE
      case 0x5d: // EMPTY_LIST
        stack.push([]);
        break;
      case 0x7d: // EMPTY_DICT
        stack.push({});
        break;
      case 0x85: // TUPLE1
      case 0x86: // TUPLE2
      case 0x87: {
        // TUPLE3
        const items: unknown[] = [];
        for (let i = opcode - 0x84; i > 0; i--) items.unshift(pop());
        stack.push(items);
        break;
      }
      case 0x74: // TUPLE
        stack.push(popMark());
        break;
      case 0x61: {
        // APPEND
        const item = pop();
        appendTo(reader, stack.at(-1), [item]);
        break;
      }
      case 0x65: {
        // APPENDS
        const items = popMark();
        appendTo(reader, stack.at(-1), items);
        break;
      }
      case 0x75: {
        // SETITEMS
        const items = popMark();
        setItems(reader, stack.at(-1), items);
        break;
      }
      case 0x71: // BINPUT
        put = reader.u8();
        memo.set(put, { shape: stack.at(-1) as readonly number[], ...(countPos !== undefined && { countPos }) });
        break;
      case 0x68: {
        // BINGET
        got = reader.u8();
        const known = memo.get(got);
        if (known === undefined) throw bad(reader, 'GET of a slot that is not a shape');
        stack.push(known.shape);
        break;
      }
      default:
        throw bad(reader, `unexpected opcode 0x${opcode.toString(16)}`);
    }
  }
  throw bad(reader, 'too many opcodes');
}

function appendTo(reader: ValueReader, list: unknown, items: readonly unknown[]): void {
  if (!Array.isArray(list)) throw bad(reader, 'APPENDS without a list');
  for (const item of items) list.push(item);
}

function setItems(reader: ValueReader, dict: unknown, items: readonly unknown[]): void {
  if (typeof dict !== 'object' || dict === null || Array.isArray(dict) || items.length % 2 !== 0)
    throw bad(reader, 'SETITEMS without a dict or a value');
  for (let i = 0; i < items.length; i += 2) {
    if (typeof items[i] !== 'string') throw bad(reader, 'a non-string key');
    Object.defineProperty(dict, items[i] as string, {
      value: items[i + 1],
      enumerable: true,
      configurable: true,
      writable: true,
    });
  }
}

function bad(reader: ValueReader, what: string): MmdError {
  return new MmdError('BAD_OPCODE', `shape or dtype at ${reader.offset + reader.pos}: ${what}`, {
    offset: reader.offset + reader.pos,
    found: what,
  });
}
