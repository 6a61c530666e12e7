/**
 * Hostile rows: small programs that break the rules of the stack, of text arguments and of the entry form.
 *
 * @module
 */

import { asm, dict, global, int, latin1, type Part, pickle, str, tuple } from './assembler.ts';
import { BROKEN, type HostileCase } from './hostile-case.ts';

/** Programs that break the stack's rules; all are typed errors. */
const STACK: Readonly<Record<string, Uint8Array>> = {
  'nothing at all': new Uint8Array(),
  'PROTO alone': asm(['PROTO', 4]),
  'STOP on an empty stack': asm('STOP'),
  'STOP on a mark': asm('MARK', 'STOP'),
  'POP on an empty stack': asm('POP', 'NONE', 'STOP'),
  'POP_MARK without a mark': asm('NONE', 'POP_MARK', 'NONE', 'STOP'),
  'DUP on an empty stack': asm('DUP', 'STOP'),
  'DUP of a mark': asm('MARK', 'DUP', 'STOP'),
  'PROTO 6': asm(['PROTO', 6], 'NONE', 'STOP'),
  'PROTO 255': asm(['PROTO', 255], 'NONE', 'STOP'),
  'an unknown opcode': pickle(Uint8Array.of(0xff)),
  'text that is not a pickle': latin1('hello, world\n'),
  JSON: latin1('{"a": 1}'),
  'APPEND on an int': pickle(int(1), int(2), 'APPEND'),
  'APPEND on nothing': pickle(int(1), 'APPEND'),
  'APPENDS on a tuple': pickle('EMPTY_TUPLE', 'MARK', int(1), 'APPENDS'),
  'APPENDS on a text': pickle(str('a'), 'MARK', str('b'), 'APPENDS'),
  'APPENDS without a mark': pickle('EMPTY_LIST', int(1), 'APPENDS'),
  'APPENDS below a mark': pickle('MARK', int(1), 'APPENDS'),
  'SETITEM on a list': pickle('EMPTY_LIST', int(0), int(1), 'SETITEM'),
  'SETITEMS of three': pickle('EMPTY_DICT', 'MARK', int(1), int(2), int(3), 'SETITEMS'),
  'DICT of one': pickle('MARK', int(1), 'DICT'),
  'DICT of a list as a key': pickle('MARK', 'EMPTY_LIST', int(1), 'DICT'),
  'a bytearray as a key': pickle('EMPTY_DICT', ['BYTEARRAY8', 'a'], int(1), 'SETITEM'),
  'a dict as a set item': pickle('EMPTY_SET', 'MARK', 'EMPTY_DICT', 'ADDITEMS'),
  'a tuple of a list as a key': pickle('EMPTY_DICT', 'EMPTY_LIST', 'TUPLE1', int(1), 'SETITEM'),
  'a frozenset of a set': pickle('MARK', 'EMPTY_SET', 'FROZENSET'),
  'a tuple that holds itself as a key': pickle(
    'EMPTY_LIST',
    ['BINPUT', 0],
    ['BINGET', 0],
    'TUPLE1',
    ['BINPUT', 1],
    'POP',
    ['BINGET', 1],
    'APPEND',
    'POP',
    'EMPTY_DICT',
    ['BINGET', 1],
    'NONE',
    'SETITEM',
  ),
  'ADDITEMS on a frozenset': pickle('MARK', 'FROZENSET', 'MARK', int(1), 'ADDITEMS'),
  'ADDITEMS on a dict': pickle('EMPTY_DICT', 'MARK', int(1), 'ADDITEMS'),
  'BUILD on None': pickle('NONE', 'EMPTY_DICT', 'BUILD'),
  'BUILD on a list': pickle('EMPTY_LIST', 'EMPTY_DICT', 'BUILD'),
  'BUILD on a number': pickle(int(1), 'EMPTY_DICT', 'BUILD'),
  'REDUCE on a text': pickle(str('os.system'), tuple(str('x')), 'REDUCE'),
  'REDUCE on an int': pickle(int(1), 'EMPTY_TUPLE', 'REDUCE'),
  'REDUCE with arguments that are not a tuple': pickle(global('a b'), 'EMPTY_LIST', 'REDUCE'),
  'NEWOBJ on a list': pickle('EMPTY_LIST', 'EMPTY_TUPLE', 'NEWOBJ'),
  'NEWOBJ_EX with text keywords': pickle(global('a b'), 'EMPTY_TUPLE', str('x'), 'NEWOBJ_EX'),
  'NEWOBJ_EX with keywords that are ints': pickle(global('a b'), 'EMPTY_TUPLE', dict([int(1), int(2)]), 'NEWOBJ_EX'),
  'OBJ with nothing above the mark': pickle('MARK', 'OBJ'),
  'OBJ on an int': pickle('MARK', int(1), 'OBJ'),
  'STACK_GLOBAL of ints': pickle(int(1), int(2), 'STACK_GLOBAL'),
  'STACK_GLOBAL of bytes': pickle(['SHORT_BINBYTES', 'os'], ['SHORT_BINBYTES', 'system'], 'STACK_GLOBAL'),
  'TUPLE3 of two': pickle(int(1), int(2), 'TUPLE3'),
  'TUPLE2 over a mark': pickle('MARK', int(1), 'TUPLE2'),
  'LIST without a mark': pickle(int(1), 'LIST'),
  'MEMOIZE on an empty stack': pickle('MEMOIZE', 'NONE'),
  'BINPUT on an empty stack': pickle(['BINPUT', 0], 'NONE'),
  'BINPUT of a mark': pickle('MARK', ['BINPUT', 0], 'POP', ['BINGET', 0]),
  'NEXT_BUFFER without buffers': pickle('NEXT_BUFFER'),
  'READONLY_BUFFER on an int': pickle(int(1), 'READONLY_BUFFER'),
  'BINPERSID on an empty stack': pickle('BINPERSID'),
  'EXT1 of 0': pickle(['EXT1', 0]),
  'EXT2 of 0': pickle(['EXT2', 0]),
  'EXT4 of -1': pickle(['EXT4', -1]),
  'EXT4 of 0': pickle(['EXT4', 0]),
  'a frame in a frame': asm(['PROTO', 4], ['FRAME', 11], ['FRAME', 1], 'NONE', 'STOP', 'STOP'),
  'a frame that cuts an opcode': asm(['PROTO', 4], ['FRAME', 3], ['BININT', 7], 'STOP'),
  'a frame that ends in a text': asm(['PROTO', 4], ['FRAME', 4], ['BINUNICODE', 'hello'], 'STOP'),
  'a GLOBAL that leaves its frame': asm(['PROTO', 4], ['FRAME', 3], ['GLOBAL', 'os system'], 'STOP'),
};

/** Malformed text arguments; all are typed errors. */
const TEXT: Readonly<Record<string, Uint8Array>> = {
  'INT of words': pickle(['INT', 'seven']),
  'INT in octal with an invalid digit': pickle(['INT', '018']),
  'INT of a hexadecimal prefix alone': pickle(['INT', '0x']),
  'INT with an underscore at its end': pickle(['INT', '1_']),
  'INT of nothing': pickle(['INT', '']),
  'LONG of words': pickle(['LONG', 'sevenL']),
  'LONG of L alone': pickle(['LONG', 'L']),
  'FLOAT of words': pickle(['FLOAT', 'one']),
  'FLOAT of nothing': pickle(['FLOAT', '']),
  'FLOAT in hex': pickle(['FLOAT', '0x1p3']),
  'STRING without quotes': pickle(['STRING', 'abc']),
  'STRING of one quote': pickle(['STRING', "'"]),
  'STRING of two kinds of quotes': pickle(['STRING', '\'abc"']),
  'STRING with a cut escape': pickle(['STRING', "'\\x4'"]),
  'STRING beyond ASCII': pickle(['STRING', "'\\xff'"]),
  'SHORT_BINSTRING beyond ASCII': pickle(['SHORT_BINSTRING', '\xff']),
  'UNICODE with a cut escape': pickle(['UNICODE', '\\u12']),
  'UNICODE beyond U+10FFFF': pickle(['UNICODE', '\\U00110000']),
  'BINUNICODE in an overlong form': pickle(['BINUNICODE', Uint8Array.of(0xc0, 0x80)]),
  'BINUNICODE beyond U+10FFFF': pickle(['BINUNICODE', Uint8Array.of(0xf4, 0x90, 0x80, 0x80)]),
  'a truncated BINUNICODE': pickle(['BINUNICODE', Uint8Array.of(0xe2, 0x82)]),
  'BINUNICODE of a continuation byte': pickle(['BINUNICODE', Uint8Array.of(0x80)]),
  'SHORT_BINUNICODE of 0xff': pickle(['SHORT_BINUNICODE', Uint8Array.of(0xff)]),
  'GLOBAL whose name is not UTF-8': pickle(['GLOBAL', Uint8Array.of(0x6f, 0x73, 0x20, 0xff, 0xfe)]),
  'GET of words': pickle(['GET', 'zero']),
};

/** Bodies of entries that break the entry's rules; all are typed errors. */
const ENTRIES: Readonly<Record<string, Uint8Array>> = {
  nothing: new Uint8Array(),
  'two objects': asm('NONE', 'NONE'),
  'an open mark': asm('MARK', 'NONE'),
  'an open mark under the object': asm('MARK', 'NONE', 'POP_MARK'),
  'a POP below the start': asm('POP', 'NONE'),
  'a TUPLE2 that reaches below the start': asm('NONE', 'TUPLE2'),
  'a SETITEM on the outer dict': asm('NONE', 'NONE', 'SETITEM'),
  'a POP_MARK of the outer mark': asm('POP_MARK', 'MARK', 'NONE'),
  'a DICT of the outer mark': asm('NONE', 'DICT'),
  STOP: asm('NONE', 'STOP'),
  PROTO: asm(['PROTO', 4], 'NONE'),
  FRAME: asm(['FRAME', 1], 'NONE'),
  MEMOIZE: asm('NONE', 'MEMOIZE'),
  'a GET of another entry': asm(['BINGET', 0]),
};

const rows = (
  table: Readonly<Record<string, Part | Uint8Array>>,
  prefix: string,
  more: Partial<HostileCase>,
): HostileCase[] =>
  Object.entries(table).map(([name, part]) => ({ name: `${prefix}${name}`, bytes: () => asm(part), ...more }));

/** Small inputs that break a rule and must be refused. */
export const RULE_CASES: readonly HostileCase[] = [
  ...rows(STACK, 'stack: ', { gives: [...BROKEN, 'LIMIT_EXCEEDED', 'UNSUPPORTED_VALUE', 'BAD_KEY'] }),
  ...rows(TEXT, 'text: ', { gives: BROKEN }),
  ...rows(ENTRIES, 'entry: ', { gives: BROKEN, door: 'loadEntry' }),
];
