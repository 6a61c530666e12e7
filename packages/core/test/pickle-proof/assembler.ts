/**
 * A small assembler over named opcodes: hostile pickles are written down as rows of opcodes, not as hex.
 *
 * @module
 */

import { OPCODES, type OpcodeName } from '../../src/pickle/opcodes.ts';

/** A false length prefix: it says `length`, but `bytes` follow. */
export interface Lie {
  readonly length: number | bigint;
  readonly bytes: Uint8Array | string;
}

/** The argument of an opcode; text is encoded as Latin-1 where bytes are expected. */
export type Argument = number | bigint | string | Uint8Array | Lie;

/** One opcode, an opcode with its argument, raw bytes, or a list of these. */
export type Part = OpcodeName | readonly [OpcodeName, Argument] | Uint8Array | readonly Part[];

/** Widths of the length prefixes and numbers in bytes, by the argument's name in OPCODES. */
const WIDTHS: Readonly<Record<string, number>> = {
  uint1: 1,
  uint2: 2,
  uint4: 4,
  int4: 4,
  uint8: 8,
  string1: 1,
  string4: 4,
  bytes1: 1,
  bytes4: 4,
  bytes8: 8,
  bytearray8: 8,
  unicodestring1: 1,
  unicodestring4: 4,
  unicodestring8: 8,
  long1: 1,
  long4: 4,
};

/** Each opcode by name as one byte; shared, as programs have hundreds of thousands of them. */
const CODES = Object.fromEntries(
  Object.entries(OPCODES).map(([name, { code }]) => [name, Uint8Array.of(code)]),
) as Readonly<Record<OpcodeName, Uint8Array>>;

/** Bytes of a text, one per character. */
export function latin1(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

function little(value: number | bigint, width: number): Uint8Array {
  const bytes = new Uint8Array(width);
  if (typeof value === 'number' && width <= 4) {
    for (let i = 0; i < width; i++) bytes[i] = value >> (8 * i);
    return bytes;
  }
  let rest = BigInt.asUintN(width * 8, BigInt(value));
  for (let i = 0; i < width; i++, rest >>= 8n) bytes[i] = Number(rest & 0xffn);
  return bytes;
}

function twosComplement(value: bigint): Uint8Array {
  if (value === 0n) return new Uint8Array();
  let width = Math.max(1, value.toString(16).length >> 1);
  while (BigInt.asIntN(width * 8, value) !== value) width++;
  return little(value, width);
}

function argument(name: OpcodeName, value: Argument): Uint8Array[] {
  const kind = OPCODES[name].arg;
  if (kind === null) throw new Error(`${name} takes no argument`);
  if (kind === 'float8') {
    const bytes = new Uint8Array(8);
    new DataView(bytes.buffer).setFloat64(0, Number(value));
    return [bytes];
  }
  if (kind.endsWith('nl') || kind.includes('nl_')) {
    const text = value instanceof Uint8Array ? value : latin1(String(value));
    const lines = kind === 'stringnl_noescape_pair' ? text.map((byte) => (byte === 0x20 ? 0x0a : byte)) : text;
    return [lines, latin1('\n')];
  }
  const width = WIDTHS[kind];
  if (width === undefined) throw new Error(`no encoding for ${kind}`);
  if (/^u?int/.test(kind)) return [little(value as number | bigint, width)];
  let payload: Uint8Array;
  if (typeof value === 'bigint' || typeof value === 'number') payload = twosComplement(BigInt(value));
  else if (value instanceof Uint8Array) payload = value;
  else if (typeof value === 'object') {
    return [little(value.length, width), typeof value.bytes === 'string' ? latin1(value.bytes) : value.bytes];
  } else payload = kind.startsWith('unicode') ? new TextEncoder().encode(value) : latin1(value);
  return [little(payload.length, width), payload];
}

/** An opcode that takes an argument is never alone, so a list that starts with one is the pair. */
function isCall(part: readonly unknown[]): part is readonly [OpcodeName, Argument] {
  return typeof part[0] === 'string' && OPCODES[part[0] as OpcodeName].arg !== null;
}

/** The bytes of a program. An opcode with an argument is written as a pair. */
export function asm(...program: readonly Part[]): Uint8Array {
  const pieces: Uint8Array[] = [];
  const pending: Part[] = [...program].reverse();
  for (let part = pending.pop(); part !== undefined; part = pending.pop()) {
    if (part instanceof Uint8Array) pieces.push(part);
    else if (typeof part === 'string') pieces.push(CODES[part]);
    else if (isCall(part)) pieces.push(CODES[part[0]], ...argument(part[0], part[1]));
    else for (let i = part.length - 1; i >= 0; i--) pending.push(part[i] as Part);
  }
  return concat(pieces);
}

/** One array of all the bytes. */
export function concat(pieces: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let pos = 0;
  for (const piece of pieces) {
    bytes.set(piece, pos);
    pos += piece.length;
  }
  return bytes;
}

/** A program many times over, without making a part per repetition. */
export function repeat(count: number, ...program: readonly Part[]): Uint8Array {
  const once = asm(...program);
  const bytes = new Uint8Array(once.length * count);
  for (let i = 0; i < count; i++) bytes.set(once, i * once.length);
  return bytes;
}

/** A whole pickle: PROTO 4, the program, STOP. */
export function pickle(...program: readonly Part[]): Uint8Array {
  return asm(['PROTO', 4], ...program, 'STOP');
}

/** A text, an int, a GLOBAL, a tuple: the parts that most programs are made of. */
export const str = (text: string): Part => ['BINUNICODE', text];
export const int = (value: number | bigint): Part => ['LONG1', BigInt(value)];
export const global = (dotted: string): Part => ['GLOBAL', dotted];
export const tuple = (...items: readonly Part[]): Part => ['MARK', ...items, 'TUPLE'];
export const list = (...items: readonly Part[]): Part => ['MARK', ...items, 'LIST'];
export const dict = (...pairs: readonly (readonly [Part, Part])[]): Part => ['MARK', ...pairs.flat(), 'DICT'];
/** `module name` called with arguments through REDUCE. */
export const call = (dotted: string, ...args: readonly Part[]): Part => [global(dotted), tuple(...args), 'REDUCE'];
