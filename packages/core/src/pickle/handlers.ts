/**
 * The opcodes that the machine's loop does not handle inline, by name.
 *
 * @module
 */

import { decodeInteger } from '../bytes/integers.ts';
import { decodeLatin1, hasSurrogatePair, isWellFormed } from '../bytes/utf8.ts';
import { addItems, build, call, popArguments } from './calls.ts';
import type { Machine } from './machine.ts';
import { type CodeOf, HIGHEST_PROTOCOL, OPCODES, type OpcodeName } from './opcodes.ts';
import {
  decodeRawUnicode,
  parseBool,
  parseFloatText,
  parseInteger,
  stripQuotes,
  unescapeBytes,
} from './text-arguments.ts';
import { OutOfBandBuffer } from './values/buffer.ts';
import { PyDict } from './values/dict.ts';
import { type OpaqueGlobal, OpaqueObject } from './values/opaque.ts';
import { ByteArray, ELLIPSIS, NOT_IMPLEMENTED, PyFloat, PyString } from './values/scalars.ts';
import { FrozenSet, PySet } from './values/set.ts';
import { Tuple, tupleOver } from './values/tuple.ts';

/** The opcodes that the loop handles inline. */
type Hot =
  | 'BININT1'
  | 'BININT2'
  | 'BININT'
  | 'BINFLOAT'
  | 'SHORT_BINUNICODE'
  | 'BINUNICODE'
  | 'NONE'
  | 'NEWTRUE'
  | 'NEWFALSE'
  | 'EMPTY_LIST'
  | 'EMPTY_DICT'
  | 'MARK'
  | 'MEMOIZE'
  | 'BINPUT'
  | 'BINGET'
  | 'LONG_BINGET'
  | 'LONG_BINPUT'
  | 'TUPLE'
  | 'TUPLE1'
  | 'TUPLE2'
  | 'TUPLE3'
  | 'APPEND'
  | 'APPENDS'
  | 'SETITEM'
  | 'SETITEMS'
  | 'STOP';

type Cold = Exclude<OpcodeName, Hot>;

type Handler = (m: Machine) => void;

/** All other opcodes: a missing one is a compile error. */
const HANDLERS: { readonly [N in Cold]: Handler } = {
  INT: (m) => {
    const text = decodeLatin1(line(m));
    m.push(parseBool(text) ?? integer(m, parseInteger(text, 'INT')));
  },
  LONG: (m) => m.push(integer(m, parseInteger(decodeLatin1(line(m)).replace(/L$/, ''), 0))),
  LONG1: (m) => pushInteger(m, m.bytes[m.take(1)]!),
  LONG4: (m) => {
    const length = m.view.getInt32(m.take(4), true);
    if (length < 0) throw m.error('CORRUPT', 'a negative length', length);
    pushInteger(m, length);
  },
  STRING: (m) => {
    const quoted = stripQuotes(m.takeLine());
    if (quoted === undefined) throw m.error('CORRUPT', 'the STRING argument is not quoted');
    const bytes = unescapeBytes(quoted);
    if (typeof bytes === 'string') throw m.error('CORRUPT', bytes);
    m.spend(bytes.length);
    pushString(m, bytes);
  },
  BINSTRING: (m) => {
    const length = m.view.getInt32(m.take(4), true);
    if (length < 0) throw m.error('CORRUPT', 'a negative length', length);
    pushString(m, m.payload(length));
  },
  SHORT_BINSTRING: (m) => pushString(m, m.payload(m.bytes[m.take(1)]!)),
  BINBYTES: (m) => m.push(m.payload(m.view.getUint32(m.take(4), true))),
  SHORT_BINBYTES: (m) => m.push(m.payload(m.bytes[m.take(1)]!)),
  BINBYTES8: (m) => m.push(m.payload(m.takeCount64())),
  BYTEARRAY8: (m) => m.push(m.payloadArray(m.takeCount64())),
  NEXT_BUFFER: (m) => {
    const next = m.buffers?.next();
    if (next === undefined || next.done === true) {
      throw m.error('UNSUPPORTED_VALUE', `out-of-band buffer ${m.bufferCount} was not given`, m.bufferCount);
    }
    m.push(new OutOfBandBuffer(next.value, m.bufferCount++));
  },
  READONLY_BUFFER: (m) => {
    const buffer = m.pop();
    if (buffer instanceof OutOfBandBuffer) m.push(new OutOfBandBuffer(buffer.bytes, buffer.index, true));
    // Bytes are already read-only.
    else if (buffer instanceof Uint8Array && !(buffer instanceof ByteArray)) m.push(buffer);
    else throw m.error('BAD_OPCODE', 'READONLY_BUFFER of something that is not a buffer');
  },
  UNICODE: (m) => {
    const bytes = m.takeLine();
    m.spend(bytes.length);
    const text = decodeRawUnicode(bytes, m.offset + 1);
    m.push(m.lossless ? text : String(text));
  },
  BINUNICODE8: (m) => {
    const length = m.takeCount64();
    m.push(m.text(m.take(length), length));
  },
  FLOAT: (m) => {
    const text = decodeLatin1(line(m));
    const value = parseFloatText(text);
    if (value === undefined) throw m.error('CORRUPT', 'the FLOAT argument is not a decimal number');
    m.push(m.float(value, text.startsWith('-')));
  },
  LIST: (m) => m.push(m.popItems()),
  EMPTY_TUPLE: (m) => m.push(tupleOver([])),
  DICT: (m) => {
    const items = m.popItems();
    if (items.length % 2 === 1) throw m.error('BAD_OPCODE', 'a key without a value');
    const dict = new PyDict();
    PyDict.fill(dict, items, 0, items.length, m.space, m.shapes);
    m.push(dict);
  },
  EMPTY_SET: (m) => m.push(new PySet()),
  ADDITEMS: (m) => addItems(m, m.popMark()),
  FROZENSET: (m) => {
    const items = m.popItems();
    const set = new FrozenSet();
    PySet.fill(set, items, 0, items.length, m.space);
    m.push(set);
  },
  POP: (m) => {
    if (m.height <= m.fence) m.popMark();
    else keepCall(m, m.pop());
  },
  DUP: (m) => m.push(m.share(m.top())),
  POP_MARK: (m) => {
    m.height = m.popMark();
  },
  GET: (m) => m.push(m.recall(slot(m))),
  PUT: (m) => m.memoize(slot(m)),
  EXT1: (m) => pushExtension(m, m.bytes[m.take(1)]!),
  EXT2: (m) => pushExtension(m, m.view.getUint16(m.take(2), true)),
  EXT4: (m) => pushExtension(m, m.view.getInt32(m.take(4), true)),
  GLOBAL: (m) => m.push(constantOf(global(m, utf8Line))),
  STACK_GLOBAL: (m) => {
    const name = m.pop();
    const module = m.pop();
    if (typeof name !== 'string' || typeof module !== 'string')
      throw m.error('BAD_OPCODE', 'the module and name of a global are not strings');
    m.push(constantOf(named(m, module, name)));
  },
  REDUCE: (m) => {
    const args = popArguments(m);
    call(m, 'REDUCE', m.pop(), args);
    m.reducedAt = m.pos;
  },
  BUILD: build,
  INST: (m) => {
    const cls = global(m, asciiLine);
    call(m, 'INST', cls, tupleOver(m.popItems()));
  },
  OBJ: (m) => {
    const items = m.popItems();
    if (items.length === 0) throw m.underflow();
    const cls = items[0];
    call(m, 'OBJ', cls, tupleOver(items.slice(1)));
  },
  NEWOBJ: (m) => {
    const args = popArguments(m);
    call(m, 'NEWOBJ', m.pop(), args);
  },
  NEWOBJ_EX: (m) => {
    const kwargs = m.pop();
    if (!(kwargs instanceof PyDict)) throw m.error('BAD_OPCODE', 'the keyword arguments of a call are not a dict');
    for (const name of kwargs.keys()) {
      if (typeof name === 'string' || name instanceof PyString) continue;
      throw m.error('BAD_OPCODE', 'the name of a keyword argument is not a string');
    }
    const args = popArguments(m);
    call(m, 'NEWOBJ_EX', m.pop(), args, kwargs);
  },
  PROTO: (m) => {
    const proto = m.bytes[m.take(1)]!;
    if (m.entry) throw m.error('BAD_OPCODE', 'PROTO inside an entry');
    if (proto > HIGHEST_PROTOCOL) throw m.error('BAD_OPCODE', `protocol ${proto} is unknown`, proto);
    m.proto = proto;
  },
  FRAME: (m) => {
    if (m.entry) throw m.error('BAD_OPCODE', 'FRAME inside an entry');
    const length = m.takeCount64();
    if (m.limit !== m.end && m.limit !== m.pos) throw m.error('CORRUPT', 'a frame inside a frame');
    if (!(m.pos + length <= m.end)) throw m.truncated(m.pos, length);
    const limit = m.pos + length;
    // A double would change the machine's hidden class and slow down every read of the limit.
    m.limit = limit < 2 ** 31 ? limit | 0 : limit;
  },
  PERSID: (m) => pushPersistent(m, 'PERSID', asciiLine(m)),
  BINPERSID: (m) => pushPersistent(m, 'BINPERSID', m.pop()),
};

/** The handlers by byte. */
export const COLD: Readonly<Record<CodeOf<Cold>, Handler>> = (() => {
  const byCode = new Array<Handler | undefined>(256).fill(undefined);
  for (const [name, handler] of Object.entries(HANDLERS)) byCode[OPCODES[name as OpcodeName].code] = handler;
  return byCode as unknown as Readonly<Record<CodeOf<Cold>, Handler>>;
})();

/** Takes a line that holds a number. */
function line(m: Machine): Uint8Array {
  const bytes = m.takeLine();
  if (bytes.length > m.limits.integer) throw m.exceeded('integer');
  return bytes;
}

function integer(m: Machine, value: number | bigint | undefined): number | bigint {
  if (value === undefined) throw m.error('CORRUPT', 'the argument is not an integer');
  return value;
}

function slot(m: Machine): number {
  const index = integer(m, parseInteger(decodeLatin1(line(m)), 10));
  if (typeof index !== 'number' || index < 0) throw m.error('CORRUPT', 'the argument is not a memo index');
  return index + 0;
}

function pushInteger(m: Machine, length: number): void {
  // Taken first: bytes that are missing are not a matter of limits.
  const pos = m.take(length);
  if (length > m.limits.integer) throw m.exceeded('integer');
  m.spend(length);
  m.push(length === 8 ? integer64(m.view, pos) : decodeInteger(m.bytes, pos, pos + length));
}

/** Eight bytes: the size of most integers beyond the safe range. A sum that is safe is exact. */
function integer64(view: DataView, pos: number): number | bigint {
  const narrow = view.getInt32(pos + 4, true) * 2 ** 32 + view.getUint32(pos, true);
  return Number.isSafeInteger(narrow) ? narrow : view.getBigInt64(pos, true);
}

/** Pushes an 8-bit string of Python 2, decoded as the option says. */
function pushString(m: Machine, bytes: Uint8Array): void {
  if (m.encoding === 'bytes') {
    m.push(bytes);
    return;
  }
  if (bytes.length > m.limits.string) throw m.exceeded('string');
  m.spend(bytes.length);
  if (m.encoding === 'latin1') m.push(decodeLatin1(bytes));
  else if (m.encoding === 'utf-8') m.push(m.decode(bytes));
  else if (bytes.some((byte) => byte > 0x7f)) {
    throw m.error('CORRUPT', "a Python 2 string is not ASCII: load with encoding 'latin1', 'utf-8' or 'bytes'");
  } else m.push(decodeLatin1(bytes));
}

/** Takes a line of UTF-8, which, unlike a text, may not hold surrogates. */
function utf8Line(m: Machine): string {
  const bytes = m.takeLine();
  m.spend(bytes.length);
  const text = m.decode(bytes);
  if (!isWellFormed(text) || hasSurrogatePair(bytes, 0, bytes.length)) {
    throw m.error('CORRUPT', 'the name of a global contains a surrogate');
  }
  return text;
}

function asciiLine(m: Machine): string {
  const bytes = m.takeLine();
  m.spend(bytes.length);
  if (bytes.some((byte) => byte > 0x7f)) throw m.error('CORRUPT', 'the argument is not ASCII');
  return decodeLatin1(bytes);
}

/** The global that two lines name. */
function global(m: Machine, readLine: (m: Machine) => string): OpaqueGlobal {
  const module = readLine(m);
  return named(m, module, readLine(m));
}

function named(m: Machine, module: string, name: string): OpaqueGlobal {
  return m.proto >= 3 ? m.globals.global(module, name) : m.globals.fromPython2(module, name);
}

/** The constant that a global stands for, if it does, else the global. */
function constantOf(global: OpaqueGlobal): unknown {
  if (global.module !== 'builtins') return global;
  return global.name === 'Ellipsis' ? ELLIPSIS : global.name === 'NotImplemented' ? NOT_IMPLEMENTED : global;
}

function pushExtension(m: Machine, code: number): void {
  if (code <= 0) throw m.error('CORRUPT', 'extension codes start at 1', code);
  const known = m.options.extension?.(code);
  // A registry has the names of the Python that wrote it: they are translated like names in the pickle.
  if (known !== undefined) m.push(constantOf(named(m, known[0], known[1])));
  else pushUnresolved(m, 'EXT', code);
}

function pushPersistent(m: Machine, kind: 'PERSID' | 'BINPERSID', id: unknown): void {
  const value = m.options.persistentLoad?.(id);
  if (value === undefined) pushUnresolved(m, kind, id);
  else m.push(value);
}

function pushUnresolved(m: Machine, kind: 'EXT' | 'PERSID' | 'BINPERSID', id: unknown): void {
  if (m.options.unknown === 'error') {
    throw m.error('FORBIDDEN_GLOBAL', `unresolved ${kind === 'EXT' ? 'extension code' : 'persistent id'}`, id);
  }
  m.push(new OpaqueObject(kind, null, Tuple.of(id)));
}

/**
 * A call whose result is dropped at once was made for its effect: a six-item reduce sets the state of an object this
 * way. It belongs to its first argument; a known value has no place for it and would lose its state. A result that got
 * a memo slot first is needed elsewhere: picklers drop it like this where a tuple contains itself.
 */
function keepCall(m: Machine, value: unknown): void {
  if (!(value instanceof OpaqueObject) || m.start !== m.reducedAt || isMadeAlready(m, value)) return;
  const target = value.args[0];
  if (target instanceof OpaqueObject) OpaqueObject.operate(target, { op: 'CALL', call: value });
  else if (isMutable(target)) {
    throw m.error('UNSUPPORTED_VALUE', `${value} is called for its effect on a value that cannot record it`);
  }
}

/**
 * Whether a GET follows, of what the same call made before: an object that its own arguments refer back to is first
 * made among them, and Python's pickler drops the one that it makes from them in the end.
 */
function isMadeAlready(m: Machine, { callable, args }: OpaqueObject): boolean {
  const { bytes, pos, memo } = m;
  const get = bytes[pos];
  let index = -1;
  if (get === OPCODES.BINGET.code) index = bytes[pos + 1]!;
  else if (get === OPCODES.LONG_BINGET.code && pos + 5 <= m.end) index = m.view.getUint32(pos + 1, true);
  else if (get === OPCODES.GET.code) {
    const line = decodeLatin1(bytes, pos + 1, Math.min(m.end, pos + 1 + MAX_INDEX));
    index = Number(/^[0-9]+(?=\n)/.exec(line)?.[0]);
  }
  if (index < 0 || !memo.has(index)) return false;
  const made = memo.get(index);
  return made instanceof OpaqueObject && made.callable === callable && made.args.length === args.length;
}

/** Digits of a memo index, and the newline after them. */
const MAX_INDEX = 11;

/** Whether a call could change a value: not text and numbers, including those that lossless mode marks. */
function isMutable(value: unknown): boolean {
  if (typeof value !== 'object' || value === null || value instanceof PyFloat || value instanceof PyString)
    return false;
  return !(value instanceof Uint8Array) || value instanceof ByteArray;
}
