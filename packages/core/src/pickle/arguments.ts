/**
 * The encodings of an opcode's argument: each has one row, which reads and writes it. Errors are worded like those of
 * Python's pickletools, so that a disassembly fails with the same text.
 *
 * @module
 */

import type { ByteWriter } from '../bytes/byte-writer.ts';
import { decodeInteger, encodeInteger, narrowInteger } from '../bytes/integers.ts';
import { decodeLatin1, decodeUtf8, encodeUtf8, hasSurrogatePair } from '../bytes/utf8.ts';
import { type ErrorCode, MmdError } from '../errors.ts';
import type { ArgumentName } from './opcodes.ts';
import { reprBytes, reprFloat } from './python-repr.ts';
import { decodeRawUnicode, parseFloatText, parseInteger, unescapeBytes } from './text-arguments.ts';
import { ByteArray, PyFloat, PyString } from './values/scalars.ts';

/** Where arguments are read from. */
export class ArgumentReader {
  readonly bytes: Uint8Array;
  pos: number;
  /** Text lines of Python 2 must be ASCII, as for pickletools; CPython's readers accept more. */
  readonly ascii: boolean;

  constructor(bytes: Uint8Array, pos: number, ascii: boolean) {
    this.bytes = bytes;
    this.pos = pos;
    this.ascii = ascii;
  }

  fail(code: ErrorCode, message: string): MmdError {
    return new MmdError(code, message, { offset: this.pos });
  }

  /** The next bytes; the error says what was expected. */
  take(count: number, message: (left: number) => string): Uint8Array {
    const left = this.bytes.length - this.pos;
    if (!(count <= left)) throw this.fail('TRUNCATED', message(left));
    return this.bytes.subarray(this.pos, (this.pos += count));
  }

  line(what: string): Uint8Array {
    const end = this.bytes.indexOf(0x0a, this.pos);
    if (end === -1) throw this.fail('TRUNCATED', `no newline found when trying to read ${what}`);
    const line = this.bytes.subarray(this.pos, end);
    this.pos = end + 1;
    return line;
  }

  /** The text of a line. */
  text(bytes: Uint8Array): string {
    const at = this.ascii ? bytes.findIndex((byte) => byte > 0x7f) : -1;
    if (at === -1) return decodeLatin1(bytes);
    const byte = `0x${bytes[at]!.toString(16)}`;
    throw this.fail('CORRUPT', `'ascii' codec can't decode byte ${byte} in position ${at}: ordinal not in range(128)`);
  }
}

/** The value of an argument. A float is a PyFloat, to distinguish it from an int; a PyString holds a surrogate pair. */
export type Argument = number | bigint | boolean | string | Uint8Array | PyFloat | PyString;

interface ArgumentRow {
  readonly read: (from: ArgumentReader) => Argument;
  readonly write: (to: ByteWriter, value: Argument) => void;
}

function integer(bytes: Uint8Array, signed: boolean): number {
  let value = 0;
  for (let i = bytes.length - 1; i >= 0; i--) value = value * 256 + bytes[i]!;
  return signed && bytes.at(-1)! > 0x7f ? value - 2 ** (8 * bytes.length) : value;
}

function fixed(name: string, size: number, signed: boolean): (from: ArgumentReader) => number {
  return (from) =>
    integer(
      from.take(size, () => `not enough data in stream to read ${name}`),
      signed,
    );
}

const count1 = fixed('uint1', 1, false);
const countSigned = fixed('int4', 4, true);
const count4 = fixed('uint4', 4, false);

/** Exact, whatever its size. */
function count8(from: ArgumentReader): number | bigint {
  const bytes = from.take(8, () => 'not enough data in stream to read uint8');
  return narrowInteger(new DataView(bytes.buffer, bytes.byteOffset, 8).getBigUint64(0, true));
}

/** Bytes with a length before them. */
function counted(name: string, count: (from: ArgumentReader) => number | bigint): (from: ArgumentReader) => Uint8Array {
  return (from) => {
    const length = count(from);
    if (length < 0) throw from.fail('CORRUPT', `${name} byte count < 0: ${length}`);
    if (length > 0x7fffffffffffffffn) throw from.fail('TRUNCATED', `${name} byte count > sys.maxsize: ${length}`);
    return from.take(Number(length), (left) => `expected ${length} bytes in a ${name}, but only ${left} remain`);
  };
}

function text(
  name: string,
  count: (from: ArgumentReader) => number | bigint,
): (from: ArgumentReader) => string | PyString {
  const bytes = counted(name, count);
  return (from) => {
    const found = bytes(from);
    const decoded = decodeUtf8(found, 0, found.length);
    return hasSurrogatePair(found, 0, found.length) ? new PyString(found, decoded) : decoded;
  };
}

function long(name: string, count: (from: ArgumentReader) => number): (from: ArgumentReader) => number | bigint {
  return (from) => {
    const length = count(from);
    if (length < 0) throw from.fail('CORRUPT', `${name} byte count < 0: ${length}`);
    const bytes = from.take(length, () => `not enough data in stream to read ${name}`);
    return decodeInteger(bytes, 0, bytes.length);
  };
}

/** A number's text as `float()` reads bytes: a disassembly shows what Python shows, `load` is stricter. */
function plainNumber(text: string): string {
  // In bytes a no-break space is not whitespace, and underscores are only allowed between digits.
  if (text.includes('\xa0') || /(?<![0-9])_|_(?![0-9])/.test(text)) return '';
  return text.trim().replaceAll('_', '');
}

/** An integer as pickletools reads it; outside of a disassembly, also as `load` does. */
function decimal(from: ArgumentReader, digits: string, shown: Uint8Array, base: 0 | 'INT'): number | bigint {
  const value = parseInteger(digits, 10) ?? (from.ascii ? undefined : parseInteger(digits, base));
  if (value === undefined) throw from.fail('CORRUPT', `invalid literal for int() with base 10: ${reprBytes(shown)}`);
  return value;
}

function unescaped(from: ArgumentReader, bytes: Uint8Array): Uint8Array {
  const result = unescapeBytes(bytes);
  if (typeof result === 'string') throw from.fail('CORRUPT', result);
  return result;
}

/** A line without quotes; escapes are undone, as pickletools does. */
const plainLine = (from: ArgumentReader): string => from.text(unescaped(from, from.line('stringnl')));

function quotedLine(from: ArgumentReader): string {
  const line = from.line('stringnl');
  const quote = String.fromCharCode(line[0] ?? 0);
  if (quote !== '"' && quote !== "'") throw from.fail('CORRUPT', `no string quotes around ${reprBytes(line)}`);
  if (line.at(-1) !== line[0]) {
    throw from.fail(
      'CORRUPT',
      `strinq quote ${reprBytes(line.subarray(0, 1))} not found at both ends of ${reprBytes(line)}`,
    );
  }
  return from.text(unescaped(from, line.subarray(1, Math.max(1, line.length - 1))));
}

const wrong = (value: Argument, what: string): MmdError =>
  new MmdError('INVALID_ARGUMENT', `the argument must be ${what}`, { expected: what, found: typeof value });

function bytesArgument(value: Argument): Uint8Array {
  if (value instanceof Uint8Array) return value;
  throw wrong(value, 'bytes');
}

function integerArgument(value: Argument): bigint {
  if (typeof value === 'bigint' || (typeof value === 'number' && Number.isSafeInteger(value))) return BigInt(value);
  throw wrong(value, 'an integer');
}

/** Writes an integer of a fixed size. */
function putInteger(to: ByteWriter, value: Argument, size: number, signed = false): void {
  const given = integerArgument(value);
  const kept = signed ? BigInt.asIntN(8 * size, given) : BigInt.asUintN(8 * size, given);
  if (kept !== given) throw wrong(value, `an integer of ${size} bytes`);
  for (let i = 0; i < size; i++) to.u8(Number((given >> BigInt(8 * i)) & 0xffn));
}

const writeFixed =
  (size: number, signed: boolean) =>
  (to: ByteWriter, value: Argument): void =>
    putInteger(to, value, size, signed);

const writeCounted =
  (size: number, encode: (value: Argument) => Uint8Array, signed = false) =>
  (to: ByteWriter, value: Argument): void => {
    const bytes = encode(value);
    putInteger(to, bytes.length, size, signed);
    to.raw(bytes);
  };

const utf8 = (value: Argument): Uint8Array => {
  if (typeof value === 'string') return encodeUtf8(value);
  if (value instanceof PyString) return value.utf8;
  throw wrong(value, 'text');
};
const latin1 = (value: Argument): Uint8Array =>
  typeof value === 'string' ? Uint8Array.from(value, (c) => c.charCodeAt(0)) : bytesArgument(value);
const longBytes = (value: Argument): Uint8Array => encodeInteger(integerArgument(value));

/** Writes text as it is, and a newline. */
const writeLine = (to: ByteWriter, value: Argument): void => {
  to.utf8(value instanceof PyFloat ? reprFloat(value.value) : String(value));
  to.u8(0x0a);
};

function writeQuoted(to: ByteWriter, value: Argument): void {
  to.utf8(reprBytes(latin1(value)).slice(1));
  to.u8(0x0a);
}

function writeRawUnicode(to: ByteWriter, value: Argument): void {
  for (const unit of value instanceof PyString ? value : String(value)) {
    const code = unit.codePointAt(0)!;
    if (code > 0xffff) to.utf8(`\\U${code.toString(16).padStart(8, '0')}`);
    else if (code > 0xff || code === 0x5c || code === 0x0a || code === 0)
      to.utf8(`\\u${code.toString(16).padStart(4, '0')}`);
    else to.u8(code);
  }
  to.u8(0x0a);
}

/** All encodings of an argument. */
export const ARGUMENTS: Readonly<Record<ArgumentName, ArgumentRow>> = {
  uint1: { read: count1, write: writeFixed(1, false) },
  uint2: { read: fixed('uint2', 2, false), write: writeFixed(2, false) },
  int4: { read: countSigned, write: writeFixed(4, true) },
  uint4: { read: count4, write: writeFixed(4, false) },
  uint8: { read: count8, write: writeFixed(8, false) },
  stringnl: { read: quotedLine, write: writeQuoted },
  stringnl_noescape: { read: plainLine, write: writeLine },
  stringnl_noescape_pair: {
    read: (from) => `${plainLine(from)} ${plainLine(from)}`,
    write: (to, value) => {
      const [module, ...name] = String(value).split(' ');
      writeLine(to, module!);
      writeLine(to, name.join(' '));
    },
  },
  string1: {
    read: (from) => decodeLatin1(counted('string1', count1)(from)),
    write: writeCounted(1, latin1),
  },
  string4: {
    read: (from) => decodeLatin1(counted('string4', countSigned)(from)),
    write: writeCounted(4, latin1, true),
  },
  bytes1: { read: counted('bytes1', count1), write: writeCounted(1, bytesArgument) },
  bytes4: { read: counted('bytes4', count4), write: writeCounted(4, bytesArgument) },
  bytes8: { read: counted('bytes8', count8), write: writeCounted(8, bytesArgument) },
  bytearray8: {
    read: (from) => {
      const bytes = counted('bytearray8', count8)(from);
      return new ByteArray(bytes.buffer as ArrayBuffer, bytes.byteOffset, bytes.length);
    },
    write: writeCounted(8, bytesArgument),
  },
  unicodestringnl: {
    read: (from) => {
      const { pos } = from;
      return decodeRawUnicode(from.line('unicodestringnl'), pos);
    },
    write: writeRawUnicode,
  },
  unicodestring1: { read: text('unicodestring1', count1), write: writeCounted(1, utf8) },
  unicodestring4: { read: text('unicodestring4', count4), write: writeCounted(4, utf8) },
  unicodestring8: { read: text('unicodestring8', count8), write: writeCounted(8, utf8) },
  decimalnl_short: {
    read: (from) => {
      const line = from.line('stringnl');
      const digits = decodeLatin1(line);
      if (digits === '00' || digits === '01') return digits === '01';
      return decimal(from, digits, line, 'INT');
    },
    write: (to, value) => writeLine(to, typeof value === 'boolean' ? (value ? '01' : '00') : value),
  },
  decimalnl_long: {
    read: (from) => {
      const line = from.line('stringnl');
      const digits = line.at(-1) === 0x4c ? line.subarray(0, -1) : line;
      return decimal(from, decodeLatin1(digits), digits, 0);
    },
    write: (to, value) => writeLine(to, `${value}L`),
  },
  floatnl: {
    read: (from) => {
      const line = from.line('stringnl');
      const value = parseFloatText(plainNumber(decodeLatin1(line)), true);
      if (value === undefined) throw from.fail('CORRUPT', `could not convert string to float: ${reprBytes(line)}`);
      return new PyFloat(value);
    },
    write: writeLine,
  },
  float8: {
    read: (from) => {
      const bytes = from.take(8, () => 'not enough data in stream to read float8');
      return new PyFloat(new DataView(bytes.buffer, bytes.byteOffset, 8).getBigUint64(0));
    },
    write: (to, value) => {
      const pos = to.reserve(8);
      to.view.setBigUint64(pos, (value instanceof PyFloat ? value : new PyFloat(Number(value))).bits);
      to.length += 8;
    },
  },
  long1: { read: long('long1', count1), write: writeCounted(1, longBytes) },
  long4: { read: long('long4', countSigned), write: writeCounted(4, longBytes, true) },
};
