/**
 * The spellings of an array value (docs/format.md, "Arrays"), as rows of one table: all are read, the
 * requested one is written.
 *
 * @module
 */

import { ByteWriter } from '../bytes/index.ts';
import { MmdError } from '../errors.ts';
import { type DType, type DTypeSpec, parseDType } from '../ndarray/index.ts';
import { ALIGNMENTS, alignUp, putU64 } from './layout.ts';
import { parseLiterals, putDType, putPadding, putShape, putText } from './literal-value.ts';
import type { ValueReader } from './value-reader.ts';

/** How an array is spelled in the file. */
export type ArraySpelling = 'modern' | 'legacy' | 'upgraded';

/** Opcodes that carry an array's bytes. */
export const BYTEARRAY8 = 0x96;
export const BINBYTES8 = 0x8e;
/** Size of such an opcode and its length. */
const DATA_HEAD_SIZE = 9;

function globals(...names: string[]): Uint8Array {
  const writer = new ByteWriter(64);
  for (const [i, name] of names.entries()) {
    putText(writer, name);
    if (i % 2 === 1) writer.u8(0x93);
  }
  return writer.finish();
}

/** The padding that makes the upgrade prefix as long as the legacy one. */
const UPGRADE_PADDING = new Uint8Array([0x8c, 30, ...new Array<number>(30).fill(0x20), 0x30]);

/** A row of {@link ARRAY_SPELLINGS}. */
export interface ArraySpellingRow {
  readonly name: ArraySpelling;
  /** The first bytes of such a value. */
  readonly prefix: Uint8Array;
  readonly dataFirst: boolean;
  /** The opcode that carries the data when this library writes it. */
  readonly opcode: number;
  readonly doc: string;
}

/**
 * The spellings of arrays. `dataFirst`: data, dtype and shape follow in this order; otherwise shape and dtype come before
 * the data. The legacy and the upgrade prefix are equally long, so one can replace the other in place.
 */
export const ARRAY_SPELLINGS: readonly ArraySpellingRow[] = [
  {
    name: 'modern',
    prefix: Uint8Array.of(...globals('numpy', 'ndarray'), 0x28),
    dataFirst: false,
    opcode: BYTEARRAY8,
    doc: 'numpy.ndarray(shape, dtype, buffer[, 0, None, order])',
  },
  {
    name: 'legacy',
    prefix: globals('numpy.core.fromnumeric', 'reshape', 'numpy.core.multiarray', 'fromstring'),
    dataFirst: true,
    opcode: BINBYTES8,
    doc: 'what mmappickle 1.0 writes and maps: reshape(fromstring(data, dtype), shape)',
  },
  {
    name: 'upgraded',
    prefix: Uint8Array.of(...UPGRADE_PADDING, ...globals('numpy', 'reshape', 'numpy', 'frombuffer')),
    dataFirst: true,
    opcode: BYTEARRAY8,
    doc: 'a legacy value made loadable by every numpy, in place: reshape(frombuffer(data, dtype), shape)',
  },
];

const [MODERN, LEGACY] = ARRAY_SPELLINGS as readonly [ArraySpellingRow, ArraySpellingRow];

/** The first bytes of the modern spelling. */
export const MODERN_PREFIX: Uint8Array = MODERN.prefix;

/** A parsed array value. Positions count from the value's first byte. */
export interface ParsedArray {
  readonly spelling: ArraySpelling;
  readonly type: DType;
  readonly shape: readonly number[];
  readonly order: 'C' | 'F';
  /** Position of the array's first data byte. */
  readonly dataPos: number;
  /** Bytes of data; for a growable array, of its whole capacity. */
  readonly dataLength: number;
  readonly dataOpcode: number;
  /** Position of the spelling's prefix. */
  readonly prefixPos: number;
  /** Growable: position of the 8 bytes of the committed row count. */
  readonly countPos?: number;
  /** Memo index at which the shape was PUT, or from which it was GOT. */
  readonly shapePut?: number;
  readonly shapeGot?: number;
}

/** Shapes that earlier arrays of the same value have PUT in the memo. */
export type ShapeMemo = Map<number, { readonly shape: readonly number[]; readonly countPos?: number }>;

const ORDER_TAIL = Uint8Array.of(0x4b, 0, 0x4e, 0x8c, 1);
const END = Uint8Array.of(0x74, 0x52);
const PAIR = Uint8Array.of(0x86, 0x52);

/**
 * Parses the array value at the reader's position and moves past it; its data is not fetched.
 *
 * @returns `undefined` if there is no array value, or one that is not valid (docs/format.md, "Arrays"), which is
 * left to the pickle machine; the position is then unspecified
 */
export function parseArray(reader: ValueReader, memo: ShapeMemo = new Map()): ParsedArray | undefined {
  const start = reader.pos;
  // Most values are not arrays, as length or first byte show: an array begins with text or padding, and is longer than a number.
  if (reader.length - start < SHORTEST_PREFIX || !ARRAY_STARTS.includes(reader.peek())) return undefined;
  try {
    if (!skipPadding(reader)) return undefined;
    const prefixPos = reader.pos;
    const row = ARRAY_SPELLINGS.find(({ prefix }) => reader.accept(prefix));
    if (row === undefined) return undefined;
    return row.dataFirst ? parseDataFirst(reader, row.name, prefixPos) : parseModern(reader, prefixPos, memo);
  } catch (error) {
    if (error instanceof MmdError && error.errno === undefined) {
      reader.pos = start;
      return undefined;
    }
    throw error;
  }
}

const ARRAY_STARTS: readonly number[] = [0x8c, 0x43, 0x42, 0x4e, 0x4b];

/**
 * False only if neither an array nor a masked array can be in `bytes[start, end)`. Checks three bytes, which rule out every other
 * value but text that begins like a prefix, and values that begin with a number, None or bytes followed by more.
 * @param available - end of the bytes that may be read; if there are fewer than three, the result is true
 */
export function maybeArray(bytes: Uint8Array, start: number, end: number, available: number = end): boolean {
  if (end - start < SHORTEST_PREFIX) return false;
  if (available - start < 3) return true;
  if (!ARRAY_STARTS.includes(bytes[start]!)) return false;
  const letter = bytes[start + 2]!;
  // Every prefix begins with a text that begins with `n`, or with UPGRADE_PADDING.
  return bytes[start] !== 0x8c || letter === 0x6e || letter === 0x20;
}

const SHORTEST_PREFIX: number = Math.min(...ARRAY_SPELLINGS.map(({ prefix }) => prefix.length));

/** Skips padding; false if what looks like padding is not. */
function skipPadding(reader: ValueReader): boolean {
  for (;;) {
    const opcode = reader.peek();
    if (opcode === 0x43 || opcode === 0x42) {
      reader.skip(1);
      reader.skip(opcode === 0x43 ? reader.u8() : reader.u32());
    } else if (opcode === 0x4e) reader.skip(1);
    else if (opcode === 0x4b) reader.skip(2);
    else return true;
    if (reader.peek() !== 0x30) return false;
    reader.skip(1);
  }
}

function parseModern(reader: ValueReader, prefixPos: number, memo: ShapeMemo): ParsedArray | undefined {
  const { stack, countPos, put, got } = parseLiterals(reader, [], [BYTEARRAY8, BINBYTES8], memo);
  if (stack.length !== 2) return undefined;
  const dataOpcode = reader.u8();
  const dataLength = reader.u64();
  const dataPos = reader.pos;
  reader.skip(dataLength);
  let order: 'C' | 'F' = 'C';
  if (reader.accept(ORDER_TAIL)) {
    const letter = String.fromCharCode(reader.u8());
    if (letter !== 'C' && letter !== 'F') return undefined;
    order = letter;
  }
  if (!reader.accept(END)) return undefined;
  const shape = checkShape(stack[0]);
  const type = parseSpec(stack[1]);
  if (shape === undefined || type === undefined || !fits(shape, type, dataLength, true)) return undefined;
  return {
    spelling: 'modern',
    type,
    shape,
    order,
    dataPos,
    dataLength,
    dataOpcode,
    prefixPos,
    // Dimensions of 2^31 or more are spelled like row counts; but no rows can be appended in Fortran order.
    ...(countPos !== undefined && order === 'C' && { countPos }),
    ...(put !== undefined && { shapePut: put }),
    ...(got !== undefined && { shapeGot: got }),
  };
}

function parseDataFirst(reader: ValueReader, spelling: ArraySpelling, prefixPos: number): ParsedArray | undefined {
  const dataOpcode = reader.u8();
  if (dataOpcode !== BYTEARRAY8 && dataOpcode !== BINBYTES8) return undefined;
  const dataLength = reader.u64();
  const dataPos = reader.pos;
  reader.skip(dataLength);
  const memo: ShapeMemo = new Map();
  const reduce = (): unknown => {
    const { stack } = parseLiterals(reader, [DATA], [REDUCE], memo);
    reader.skip(1);
    const pair = stack[0];
    return stack.length === 1 && Array.isArray(pair) && pair.length === 2 && pair[0] === DATA ? pair[1] : undefined;
  };
  const type = parseSpec(reduce());
  const shape = checkShape(reduce());
  if (shape === undefined || type === undefined || !fits(shape, type, dataLength, false)) return undefined;
  return { spelling, type, shape, order: 'C', dataPos, dataLength, dataOpcode, prefixPos };
}

/** Placeholder for what the data opcode, and then the inner call, leaves on the stack. */
const DATA = Symbol('data');
const REDUCE = 0x52;

/** The dimensions, if numpy accepts them; a lone integer is a 1-d shape. */
function checkShape(value: unknown): readonly number[] | undefined {
  const dims: unknown[] = Array.isArray(value) ? value : [value];
  if (dims.length > 64) return undefined;
  return dims.every((dim) => Number.isSafeInteger(dim) && (dim as number) >= 0) ? (dims as number[]) : undefined;
}

function parseSpec(spec: unknown): DType | undefined {
  const type = parseDType(spec as DTypeSpec);
  // Pointers have no meaning in a file; a sub-array type would change the shape.
  return type.hasObject || type.shape !== undefined ? undefined : type;
}

function fits(shape: readonly number[], type: DType, dataLength: number, capacity: boolean): boolean {
  // As in numpy, a zero dimension does not lift the limit of the others.
  if (!Number.isSafeInteger(shape.reduce((product, dim) => product * (dim || 1), type.itemsize))) return false;
  const nbytes = shape.reduce((product, dim) => product * dim, type.itemsize);
  return capacity ? nbytes <= dataLength : nbytes === dataLength;
}

/** Form of an array to write. */
export interface ArrayForm {
  readonly type: DType;
  readonly shape: readonly number[];
  readonly order: 'C' | 'F';
  /** Bytes of data to make room for; at least what shape and dtype need. */
  readonly dataLength: number;
  /** Give the first dimension a fixed width, so that it can be overwritten. */
  readonly growable?: boolean;
  /** PUT the shape in the memo at this index, or GET it from there. */
  readonly shapePut?: number;
  readonly shapeGet?: number;
}

/** The bytes around an array's data; the data itself comes between `head` and `tail`. */
export interface ArrayFrameBytes {
  readonly head: Uint8Array;
  readonly tail: Uint8Array;
}

/** The multiple at which an array's data has to start. */
export function dataAlignment(dataLength: number, growable = false): number {
  let found = 1;
  for (const { alignment, from, growableFrom } of ALIGNMENTS) {
    if (dataLength >= (growable ? growableFrom : from)) found = alignment;
  }
  return found;
}

/**
 * The modern spelling of an array whose value is at file offset `offset`, padded so that the data is aligned and
 * a growable array's row count is at a multiple of 8.
 *
 * @param writer - receives the bytes; the result borrows them
 * @param preamble - reused if the previous array had the same type and shape
 */
export function encodeModernArray(
  form: ArrayForm,
  offset: number,
  writer: ByteWriter = new ByteWriter(128),
  preamble?: ArrayPreamble,
): ArrayFrameBytes {
  const start = writer.length;
  if (form.growable) {
    // The MARK of a long shape tuple, LONG1 and its length come before the count.
    const toCount = MODERN.prefix.length + (form.shape.length > 3 ? 1 : 0) + 2;
    putPadding(writer, paddingFor(offset + toCount, 8));
  }
  if (preamble === undefined || form.growable) putPreamble(writer, form);
  else preamble.put(writer, form);
  const { dataLength } = form;
  const alignment = dataAlignment(dataLength, form.growable);
  putPadding(writer, paddingFor(offset + writer.length - start + DATA_HEAD_SIZE, alignment));
  const pos = writer.reserve(DATA_HEAD_SIZE + ORDER_TAIL.length + 1 + END.length);
  const { bytes } = writer;
  bytes[pos] = BYTEARRAY8;
  putU64(bytes, pos + 1, dataLength);
  const toData = pos + DATA_HEAD_SIZE;
  let end = toData;
  if (form.order === 'F') {
    bytes.set(ORDER_TAIL, end);
    end += ORDER_TAIL.length;
    bytes[end++] = 0x46;
  }
  bytes[end++] = END[0]!;
  bytes[end++] = END[1]!;
  writer.length = end;
  // Two views of the writer's buffer; copies would cost an allocation each.
  return { head: bytes.subarray(start, toData), tail: bytes.subarray(toData, end) };
}

/** Writes what comes before padding and data: the prefix, the shape and the dtype. */
function putPreamble(writer: ByteWriter, form: ArrayForm): void {
  writer.raw(MODERN.prefix);
  if (form.shapeGet !== undefined) {
    writer.u8(0x68);
    writer.u8(form.shapeGet);
  } else {
    putShape(writer, form.shape, form.growable === true);
    if (form.shapePut !== undefined) {
      writer.u8(0x71);
      writer.u8(form.shapePut);
    }
  }
  putDType(writer, form.type);
}

/**
 * The preamble of the last array written, as the next frame of a stream has the same one. Encoding it takes thirty calls, in
 * code that is not compiled yet and that the frame's megabyte has evicted from the CPU caches.
 */
export class ArrayPreamble {
  #type: DType | undefined;
  #shape: readonly number[] = [];
  #bytes: Uint8Array = new Uint8Array(0);

  /** Writes the preamble of an array that neither grows nor shares its shape through the memo. */
  put(writer: ByteWriter, form: ArrayForm): void {
    const { type, shape } = form;
    if (type !== this.#type || !this.#hasShape(shape)) {
      const start = writer.length;
      putPreamble(writer, form);
      this.#bytes = writer.bytes.slice(start, writer.length);
      this.#type = type;
      this.#shape = shape;
    } else writer.raw(this.#bytes);
  }

  #hasShape(shape: readonly number[]): boolean {
    const own = this.#shape;
    if (shape.length !== own.length) return false;
    for (let i = 0; i < shape.length; i++) if (shape[i] !== own[i]) return false;
    return true;
  }
}

/** Padding bytes that move `offset` to a multiple of `alignment`; never 1, which no opcodes can fill. */
function paddingFor(offset: number, alignment: number): number {
  const padding = alignUp(offset, alignment) - offset;
  return padding === 1 ? padding + alignment : padding;
}

/** The legacy spelling. It has no padding inside the value: a filler entry before it aligns the data. */
export function encodeLegacyArray(form: ArrayForm): ArrayFrameBytes {
  const writer = new ByteWriter(128);
  checkLegacy(form);
  writer.raw(LEGACY.prefix);
  writer.u8(BINBYTES8);
  writer.u64(form.dataLength);
  const head = writer.finish();
  writer.length = 0;
  putText(writer, form.type.name);
  writer.raw(PAIR);
  putShape(writer, form.shape, false);
  writer.raw(PAIR);
  return { head, tail: writer.finish() };
}

function checkLegacy(form: ArrayForm): void {
  const refuse = (what: string): never => {
    throw new MmdError('UNSUPPORTED_VALUE', `the legacy layout does not support ${what}; use layout 'modern'`, {
      found: what,
    });
  };
  if (form.growable) refuse('growable arrays');
  if (form.order === 'F') refuse('Fortran order');
  if (form.shape.length === 0) refuse('0-d arrays');
  if (form.type.fields !== undefined) refuse('structured dtypes');
  // fromstring and frombuffer count elements by their size.
  if (form.type.itemsize === 0) refuse('elements of 0 bytes');
  if (form.shape.some((dim) => dim > 2 ** 31 - 1)) refuse('dimensions above 2^31-1');
}
