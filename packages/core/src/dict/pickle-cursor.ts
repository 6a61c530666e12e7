/**
 * The opcodes of a pickle in a file, one after another, through a small window: large arguments are skipped, not read.
 *
 * @module
 */

import { MmdError } from '../errors.ts';
import { type ArgumentName, OPCODES, type OpcodeRow } from '../pickle/opcodes.ts';
import type { StorageFile } from '../storage/storage-file.ts';

/** How the length of an argument is determined: fixed bytes, the size of a count before it, or lines of text. */
const SHAPES: Readonly<
  Record<ArgumentName, { readonly fixed?: number; readonly count?: number; readonly lines?: number }>
> = {
  uint1: { fixed: 1 },
  uint2: { fixed: 2 },
  uint4: { fixed: 4 },
  int4: { fixed: 4 },
  uint8: { fixed: 8 },
  float8: { fixed: 8 },
  long1: { count: 1 },
  long4: { count: 4 },
  string1: { count: 1 },
  string4: { count: 4 },
  bytes1: { count: 1 },
  bytes4: { count: 4 },
  bytes8: { count: 8 },
  bytearray8: { count: 8 },
  unicodestring1: { count: 1 },
  unicodestring4: { count: 4 },
  unicodestring8: { count: 8 },
  decimalnl_short: { lines: 1 },
  decimalnl_long: { lines: 1 },
  floatnl: { lines: 1 },
  stringnl: { lines: 1 },
  stringnl_noescape: { lines: 1 },
  unicodestringnl: { lines: 1 },
  stringnl_noescape_pair: { lines: 2 },
};

const NONE = 255;
/** By opcode: bytes of a fixed argument, {@link NONE} if a count or lines determine them; -1 for a byte that is not an opcode. */
const FIXED = new Int16Array(256).fill(-1);
const COUNT = new Uint8Array(256);
const LINES = new Uint8Array(256);
for (const { code, arg } of Object.values(OPCODES) as OpcodeRow[]) {
  const { fixed, count, lines } = arg === null ? { fixed: 0 } : SHAPES[arg];
  FIXED[code] = fixed ?? NONE;
  COUNT[code] = count ?? 0;
  LINES[code] = lines ?? 0;
}

/** Where the opcode at a position ends, with its argument; -1 for a byte that is not an opcode, or an argument made of lines. */
export function endOfOpcode(bytes: Uint8Array, pos: number): number {
  const code = bytes[pos]!;
  const fixed = FIXED[code]!;
  if (fixed < 0) return -1;
  if (fixed !== NONE) return pos + 1 + fixed;
  const count = COUNT[code]!;
  if (count === 0) return -1;
  let length = 0;
  for (let i = count; i > 0; i--) length = length * 256 + (bytes[pos + i] ?? 0);
  return pos + 1 + count + length;
}

const CHUNK = 2 ** 18;

/** A position in a pickle that begins at the start of a file. */
export class PickleCursor {
  /** The current opcode, where it starts, where its payload starts (after a count), and where it ends. */
  code = 0;
  start = 0;
  payload = 0;
  end = 0;
  readonly size: number;
  readonly #file: StorageFile;
  readonly #chunk: number;
  #bytes: Uint8Array;
  #from = 0;
  #to = 0;

  constructor(file: StorageFile, chunk: number = CHUNK) {
    this.#file = file;
    this.size = file.size();
    this.#chunk = chunk;
    this.#bytes = new Uint8Array(Math.min(chunk, this.size + 1));
  }

  /** The next opcode will be the one at `pos`. */
  seek(pos: number): void {
    this.end = pos;
  }

  /** Steps to the next opcode. @throws TRUNCATED, NOT_A_PICKLE, BAD_OPCODE */
  next(): number {
    const start = this.end;
    this.start = start;
    const code = this.#byte(start);
    this.code = code;
    const fixed = FIXED[code]!;
    let end = start + 1;
    if (fixed < 0) throw this.#unknown(code);
    if (fixed !== NONE) end += fixed;
    else if (COUNT[code]! > 0) {
      const bytes = COUNT[code]!;
      let length = 0;
      for (let i = bytes - 1; i >= 0; i--) length = length * 256 + this.#byte(end + i);
      // A negative count is CORRUPT, as in the pickle machine.
      if (bytes === 4 && length >= 2 ** 31 && (code === OPCODES.BINSTRING.code || code === OPCODES.LONG4.code)) {
        throw new MmdError('CORRUPT', `negative length at ${start}`, { offset: start, found: length - 2 ** 32 });
      }
      end += bytes;
      this.payload = end;
      end += length;
    } else for (let i = LINES[code]!; i > 0; i--) end = this.#lineEnd(end);
    if (end > this.size) throw this.#truncated(end);
    this.end = end;
    return code;
  }

  /** The index that a PUT or GET of any kind names; -1 if it is not a plain number. */
  index(): number {
    const at = this.start + 1;
    const length = this.end - at;
    if (FIXED[this.code] !== NONE) {
      let value = 0;
      for (let i = length - 1; i >= 0; i--) value = value * 256 + this.#byte(at + i);
      return value;
    }
    let value = 0;
    for (let i = 0; i < length - 1; i++) {
      const digit = this.#byte(at + i) - 0x30;
      if (digit < 0 || digit > 9) return -1;
      value = value * 10 + digit;
    }
    return length > 1 && Number.isSafeInteger(value) ? value : -1;
  }

  /** A fixed argument as a number. */
  number(): number {
    let value = 0;
    for (let i = this.end - 1; i > this.start; i--) value = value * 256 + this.#byte(i);
    return value;
  }

  /** Copies the current opcode with its argument. */
  copy(into: Uint8Array, pos: number): void {
    const { start, end } = this;
    if (start >= this.#from && end <= this.#to) {
      const bytes = this.#bytes;
      for (let from = start - this.#from, to = pos, last = end - this.#from; from < last; ) into[to++] = bytes[from++]!;
      return;
    }
    const count = this.#file.read(start, into.subarray(pos, pos + end - start));
    if (count < end - start) throw this.#truncated(end);
  }

  #byte(pos: number): number {
    if (pos < this.#from || pos >= this.#to) this.#load(pos);
    return this.#bytes[pos - this.#from]!;
  }

  #lineEnd(from: number): number {
    for (let pos = from; ; ) {
      if (pos < this.#from || pos >= this.#to) this.#load(pos);
      const found = this.#bytes.subarray(0, this.#to - this.#from).indexOf(0x0a, pos - this.#from);
      if (found >= 0) return this.#from + found + 1;
      pos = this.#to;
    }
  }

  #load(pos: number): void {
    if (pos >= this.size) throw this.#truncated(pos + 1);
    // If the read fails, the window holds nothing.
    this.#to = this.#from;
    const count = this.#file.read(pos, this.#bytes.subarray(0, Math.min(this.#chunk, this.size - pos)));
    if (count === 0) throw this.#truncated(pos + 1);
    this.#from = pos;
    this.#to = pos + count;
  }

  #truncated(needed: number): MmdError {
    const { name } = this.#file;
    const { start, size } = this;
    const fields = { offset: start, expected: needed - start, found: size - start, path: name };
    if (size === 0) return new MmdError('NOT_A_PICKLE', `${name}: the file is empty`, fields);
    return new MmdError('TRUNCATED', `${name}: the pickle ends before its STOP (at ${start})`, fields);
  }

  #unknown(code: number): MmdError {
    const { name } = this.#file;
    const text = `${name}: byte 0x${code.toString(16).padStart(2, '0')} at ${this.start} is not an opcode`;
    return new MmdError(this.start === 0 ? 'NOT_A_PICKLE' : 'BAD_OPCODE', text, {
      offset: this.start,
      found: code,
      path: name,
    });
  }
}
