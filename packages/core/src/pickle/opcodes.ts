/**
 * The pickle language: its 68 opcodes as rows of data. The decoder, the disassembler, the emitter, the checker and
 * the machine are loops over this table, or typed against it.
 *
 * Source of the definition: CPython's `Lib/pickletools.py`.
 *
 * @module
 */

/** What may be on the stack, by pickletools' names; `mark` and `stackslice` are the topmost mark and all above it. */
export type StackItem =
  | 'any'
  | 'bool'
  | 'buffer'
  | 'bytearray'
  | 'bytes'
  | 'bytes_or_str'
  | 'dict'
  | 'float'
  | 'int'
  | 'int_or_bool'
  | 'list'
  | 'mark'
  | 'None'
  | 'set'
  | 'stackslice'
  | 'str'
  | 'tuple';

/** The encodings of an argument in the stream; see `arguments.ts`. */
export type ArgumentName =
  | 'bytearray8'
  | 'bytes1'
  | 'bytes4'
  | 'bytes8'
  | 'decimalnl_long'
  | 'decimalnl_short'
  | 'float8'
  | 'floatnl'
  | 'int4'
  | 'long1'
  | 'long4'
  | 'string1'
  | 'string4'
  | 'stringnl'
  | 'stringnl_noescape'
  | 'stringnl_noescape_pair'
  | 'uint1'
  | 'uint2'
  | 'uint4'
  | 'uint8'
  | 'unicodestring1'
  | 'unicodestring4'
  | 'unicodestring8'
  | 'unicodestringnl';

/** One row of {@link OPCODES}. */
export interface OpcodeRow {
  /** The byte in the stream. */
  readonly code: number;
  /** How the argument after it is encoded; null if there is none. */
  readonly arg: ArgumentName | null;
  /** The stack's top before and after, deepest first. */
  readonly before: readonly StackItem[];
  readonly after: readonly StackItem[];
  /** The protocol that introduced it. */
  readonly proto: 0 | 1 | 2 | 3 | 4 | 5;
  readonly doc: string;
}

// biome-ignore format: a table is read by columns
/** All opcodes by name. */
export const OPCODES = {
  INT: { code: 0x49, arg: 'decimalnl_short', before: [], after: ['int_or_bool'], proto: 0, doc: 'an int in decimal text; 00 and 01 are the bools' },
  BININT: { code: 0x4a, arg: 'int4', before: [], after: ['int'], proto: 1, doc: 'an int in four signed bytes' },
  BININT1: { code: 0x4b, arg: 'uint1', before: [], after: ['int'], proto: 1, doc: 'an int in one unsigned byte' },
  BININT2: { code: 0x4d, arg: 'uint2', before: [], after: ['int'], proto: 1, doc: 'an int in two unsigned bytes' },
  LONG: { code: 0x4c, arg: 'decimalnl_long', before: [], after: ['int'], proto: 0, doc: 'an int of any size in decimal text' },
  LONG1: { code: 0x8a, arg: 'long1', before: [], after: ['int'], proto: 2, doc: 'an int of up to 255 bytes' },
  LONG4: { code: 0x8b, arg: 'long4', before: [], after: ['int'], proto: 2, doc: 'an int of up to 2^31 - 1 bytes' },
  STRING: { code: 0x53, arg: 'stringnl', before: [], after: ['bytes_or_str'], proto: 0, doc: 'a Python 2 str as a quoted literal' },
  BINSTRING: { code: 0x54, arg: 'string4', before: [], after: ['bytes_or_str'], proto: 1, doc: 'a Python 2 str with a four-byte signed length' },
  SHORT_BINSTRING: { code: 0x55, arg: 'string1', before: [], after: ['bytes_or_str'], proto: 1, doc: 'a Python 2 str of up to 255 bytes' },
  BINBYTES: { code: 0x42, arg: 'bytes4', before: [], after: ['bytes'], proto: 3, doc: 'bytes with a four-byte length' },
  SHORT_BINBYTES: { code: 0x43, arg: 'bytes1', before: [], after: ['bytes'], proto: 3, doc: 'bytes of up to 255' },
  BINBYTES8: { code: 0x8e, arg: 'bytes8', before: [], after: ['bytes'], proto: 4, doc: 'bytes with an eight-byte length' },
  BYTEARRAY8: { code: 0x96, arg: 'bytearray8', before: [], after: ['bytearray'], proto: 5, doc: 'a bytearray with an eight-byte length' },
  NEXT_BUFFER: { code: 0x97, arg: null, before: [], after: ['buffer'], proto: 5, doc: 'the next buffer that was handed over beside the stream' },
  READONLY_BUFFER: { code: 0x98, arg: null, before: ['buffer'], after: ['buffer'], proto: 5, doc: 'make the buffer on top read-only' },
  NONE: { code: 0x4e, arg: null, before: [], after: ['None'], proto: 0, doc: 'None' },
  NEWTRUE: { code: 0x88, arg: null, before: [], after: ['bool'], proto: 2, doc: 'True' },
  NEWFALSE: { code: 0x89, arg: null, before: [], after: ['bool'], proto: 2, doc: 'False' },
  UNICODE: { code: 0x56, arg: 'unicodestringnl', before: [], after: ['str'], proto: 0, doc: 'a str in raw-unicode-escape text' },
  SHORT_BINUNICODE: { code: 0x8c, arg: 'unicodestring1', before: [], after: ['str'], proto: 4, doc: 'a str of up to 255 bytes of UTF-8' },
  BINUNICODE: { code: 0x58, arg: 'unicodestring4', before: [], after: ['str'], proto: 1, doc: 'a str of UTF-8 with a four-byte length' },
  BINUNICODE8: { code: 0x8d, arg: 'unicodestring8', before: [], after: ['str'], proto: 4, doc: 'a str of UTF-8 with an eight-byte length' },
  FLOAT: { code: 0x46, arg: 'floatnl', before: [], after: ['float'], proto: 0, doc: 'a float in decimal text' },
  BINFLOAT: { code: 0x47, arg: 'float8', before: [], after: ['float'], proto: 1, doc: 'a float, big-endian IEEE 754' },
  EMPTY_LIST: { code: 0x5d, arg: null, before: [], after: ['list'], proto: 1, doc: 'a new list' },
  APPEND: { code: 0x61, arg: null, before: ['list', 'any'], after: ['list'], proto: 0, doc: 'append the top to the list under it' },
  APPENDS: { code: 0x65, arg: null, before: ['list', 'mark', 'stackslice'], after: ['list'], proto: 1, doc: 'extend the list under the mark by the items above it' },
  LIST: { code: 0x6c, arg: null, before: ['mark', 'stackslice'], after: ['list'], proto: 0, doc: 'a list of the items above the mark' },
  EMPTY_TUPLE: { code: 0x29, arg: null, before: [], after: ['tuple'], proto: 1, doc: 'the empty tuple' },
  TUPLE: { code: 0x74, arg: null, before: ['mark', 'stackslice'], after: ['tuple'], proto: 0, doc: 'a tuple of the items above the mark' },
  TUPLE1: { code: 0x85, arg: null, before: ['any'], after: ['tuple'], proto: 2, doc: 'a tuple of the top' },
  TUPLE2: { code: 0x86, arg: null, before: ['any', 'any'], after: ['tuple'], proto: 2, doc: 'a tuple of the top two' },
  TUPLE3: { code: 0x87, arg: null, before: ['any', 'any', 'any'], after: ['tuple'], proto: 2, doc: 'a tuple of the top three' },
  EMPTY_DICT: { code: 0x7d, arg: null, before: [], after: ['dict'], proto: 1, doc: 'a new dict' },
  DICT: { code: 0x64, arg: null, before: ['mark', 'stackslice'], after: ['dict'], proto: 0, doc: 'a dict of the keys and values above the mark' },
  SETITEM: { code: 0x73, arg: null, before: ['dict', 'any', 'any'], after: ['dict'], proto: 0, doc: 'set the key and value on top in the dict under them' },
  SETITEMS: { code: 0x75, arg: null, before: ['dict', 'mark', 'stackslice'], after: ['dict'], proto: 1, doc: 'set the keys and values above the mark in the dict under it' },
  EMPTY_SET: { code: 0x8f, arg: null, before: [], after: ['set'], proto: 4, doc: 'a new set' },
  ADDITEMS: { code: 0x90, arg: null, before: ['set', 'mark', 'stackslice'], after: ['set'], proto: 4, doc: 'add the items above the mark to the set under it' },
  FROZENSET: { code: 0x91, arg: null, before: ['mark', 'stackslice'], after: ['frozenset'], proto: 4, doc: 'a frozenset of the items above the mark' },
  POP: { code: 0x30, arg: null, before: ['any'], after: [], proto: 0, doc: 'drop the top, be it an item or a mark' },
  DUP: { code: 0x32, arg: null, before: ['any'], after: ['any', 'any'], proto: 0, doc: 'push the top once more' },
  MARK: { code: 0x28, arg: null, before: [], after: ['mark'], proto: 0, doc: 'push a mark' },
  POP_MARK: { code: 0x31, arg: null, before: ['mark', 'stackslice'], after: [], proto: 1, doc: 'drop everything down to the topmost mark, and the mark' },
  GET: { code: 0x67, arg: 'decimalnl_short', before: [], after: ['any'], proto: 0, doc: 'push the memo slot that decimal text names' },
  BINGET: { code: 0x68, arg: 'uint1', before: [], after: ['any'], proto: 1, doc: 'push the memo slot of one byte' },
  LONG_BINGET: { code: 0x6a, arg: 'uint4', before: [], after: ['any'], proto: 1, doc: 'push the memo slot of four bytes' },
  PUT: { code: 0x70, arg: 'decimalnl_short', before: [], after: [], proto: 0, doc: 'store the top in the memo slot that decimal text names' },
  BINPUT: { code: 0x71, arg: 'uint1', before: [], after: [], proto: 1, doc: 'store the top in the memo slot of one byte' },
  LONG_BINPUT: { code: 0x72, arg: 'uint4', before: [], after: [], proto: 1, doc: 'store the top in the memo slot of four bytes' },
  MEMOIZE: { code: 0x94, arg: null, before: ['any'], after: ['any'], proto: 4, doc: 'store the top in the memo slot numbered by the count of slots' },
  EXT1: { code: 0x82, arg: 'uint1', before: [], after: ['any'], proto: 2, doc: 'the object that the extension registry has under a one-byte code' },
  EXT2: { code: 0x83, arg: 'uint2', before: [], after: ['any'], proto: 2, doc: 'the object that the extension registry has under a two-byte code' },
  EXT4: { code: 0x84, arg: 'int4', before: [], after: ['any'], proto: 2, doc: 'the object that the extension registry has under a four-byte code' },
  GLOBAL: { code: 0x63, arg: 'stringnl_noescape_pair', before: [], after: ['any'], proto: 0, doc: 'the module attribute that two lines of text name' },
  STACK_GLOBAL: { code: 0x93, arg: null, before: ['str', 'str'], after: ['any'], proto: 4, doc: 'the module attribute that the two strings on top name' },
  REDUCE: { code: 0x52, arg: null, before: ['any', 'any'], after: ['any'], proto: 0, doc: 'call the callable under the top with the tuple on top' },
  BUILD: { code: 0x62, arg: null, before: ['any', 'any'], after: ['any'], proto: 0, doc: 'set the state on top on the object under it' },
  INST: { code: 0x69, arg: 'stringnl_noescape_pair', before: ['mark', 'stackslice'], after: ['any'], proto: 0, doc: 'call the class that two lines of text name with the items above the mark' },
  OBJ: { code: 0x6f, arg: null, before: ['mark', 'any', 'stackslice'], after: ['any'], proto: 1, doc: 'call the class above the mark with the items above it' },
  NEWOBJ: { code: 0x81, arg: null, before: ['any', 'any'], after: ['any'], proto: 2, doc: 'cls.__new__(cls, *args)' },
  NEWOBJ_EX: { code: 0x92, arg: null, before: ['any', 'any', 'any'], after: ['any'], proto: 4, doc: 'cls.__new__(cls, *args, **kwargs)' },
  PROTO: { code: 0x80, arg: 'uint1', before: [], after: [], proto: 2, doc: 'the protocol version' },
  STOP: { code: 0x2e, arg: null, before: ['any'], after: [], proto: 0, doc: 'the end: the top is the value' },
  FRAME: { code: 0x95, arg: 'uint8', before: [], after: [], proto: 4, doc: 'the length of the frame that follows' },
  PERSID: { code: 0x50, arg: 'stringnl_noescape', before: [], after: ['any'], proto: 0, doc: 'the object that the persistent id, a line of text, names' },
  BINPERSID: { code: 0x51, arg: null, before: ['any'], after: ['any'], proto: 1, doc: 'the object that the persistent id on top names' },
} as const;

/** The name of an opcode, such as `'BININT1'`. */
export type OpcodeName = keyof typeof OPCODES;

/** The byte of an opcode, by name. */
export type CodeOf<N extends OpcodeName> = (typeof OPCODES)[N]['code'];

/** An opcode with its name. */
export interface Opcode extends OpcodeRow {
  readonly name: OpcodeName;
}

/** Opcodes by byte; `undefined` where a byte is not an opcode. */
export const OPCODE_BY_CODE: readonly (Opcode | undefined)[] = (() => {
  const byCode: (Opcode | undefined)[] = Array.from({ length: 256 }, () => undefined);
  for (const name of Object.keys(OPCODES) as OpcodeName[])
    byCode[OPCODES[name].code] = { ...(OPCODES[name] as OpcodeRow), name };
  return byCode;
})();

/** The highest protocol of the table. */
export const HIGHEST_PROTOCOL = 5;
