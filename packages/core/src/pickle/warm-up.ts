/**
 * A pickle that takes the machine through every opcode of its loop.
 *
 * V8 compiles a loop for the paths that it has seen, and discards the code when another one is taken: in a first load
 * of 100,000 records the loop was compiled four times over, with the interpreter running in between, and the load took
 * three times as long as a later one. So a machine of the module reads this pickle before the first long one.
 *
 * @module
 */

import { OPCODES } from './opcodes.ts';

const C = Object.fromEntries(Object.entries(OPCODES).map(([name, { code }]) => [name, code])) as {
  readonly [N in keyof typeof OPCODES]: number;
};

/** How often to read it: V8 records what a function sees only after some calls. */
export const WARM_UPS = 8;

/** Input from this length on is worth a warm-up. */
export const WARM_LENGTH = 262_144;

const SCALARS: readonly number[] = [
  ...[C.BININT1, 7, C.BININT2, 1, 2, C.BININT, 1, 2, 3, 0xf4, C.BINFLOAT, 0x3f, 0xf8, 0, 0, 0, 0, 0, 0],
  ...[C.BINFLOAT, 0x40, 0x09, 0x21, 0xfb, 0x54, 0x44, 0x2d, 0x18, C.NONE, C.NEWTRUE, C.NEWFALSE],
  ...[C.SHORT_BINUNICODE, 1, 0x61, C.MEMOIZE, C.SHORT_BINUNICODE, 1, 0x61, C.SHORT_BINUNICODE, 3, 0x61, 0xc3, 0xbc],
  ...[C.BINUNICODE, 2, 0, 0, 0, 0x61, 0x62, C.BINPUT, 2, C.BINUNICODE, 2, 0, 0, 0, 0xc3, 0xa4, C.NONE, C.POP],
  ...[C.LONG1, 5, 1, 2, 3, 4, 5, C.SHORT_BINBYTES, 1, 0x61],
];

/** More items than the stack keeps between pickles, and enough for a large batch. */
const MANY: readonly number[] = [C.MARK, ...new Array<number>(520).fill(C.NONE), C.APPENDS];

/** Lists, tuples and dicts of all opcodes, in frames as Python writes them. */
export const WARM_UP: Uint8Array = (() => {
  const body = [
    ...[C.EMPTY_LIST, C.MEMOIZE, C.MARK, ...SCALARS, C.APPENDS, C.MARK, ...SCALARS.slice(0, 5), C.APPENDS],
    ...[C.EMPTY_LIST, C.LONG_BINPUT, 3, 0, 0, 0, C.MARK, C.BINGET, 1, C.LONG_BINGET, 1, 0, 0, 0, C.APPENDS, C.APPEND],
    ...[
      C.EMPTY_LIST,
      C.BINPUT,
      4,
      C.MARK,
      C.EMPTY_LIST,
      C.BININT1,
      1,
      C.APPEND,
      C.BINGET,
      4,
      C.APPENDS,
      C.BINPUT,
      3,
      C.APPEND,
    ],
    ...[C.BININT1, 1, C.TUPLE1, C.BININT1, 1, C.TUPLE2, C.NONE, C.BINGET, 1, C.TUPLE3, C.MEMOIZE, C.APPEND],
    ...[
      C.MARK,
      C.NONE,
      C.NONE,
      C.NONE,
      C.BINFLOAT,
      0x3f,
      0xf8,
      0,
      0,
      0,
      0,
      0,
      0,
      C.TUPLE,
      C.APPEND,
      C.EMPTY_TUPLE,
      C.APPEND,
    ],
    ...[C.EMPTY_DICT, C.MEMOIZE, C.MARK, C.BINGET, 1, C.BININT1, 7, C.BINGET, 2, C.EMPTY_LIST, C.SETITEMS, C.APPEND],
    ...[C.EMPTY_DICT, C.MARK, C.BININT1, 1, C.NONE, C.BININT, 1, 2, 3, 4, C.NONE, C.SETITEMS, C.APPEND],
    ...[C.EMPTY_DICT, C.BINGET, 1, C.BININT1, 7, C.SETITEM, C.APPEND, ...MANY, ...MANY],
    ...new Array<number[]>(70).fill([C.NONE, C.MEMOIZE, C.POP]).flat(),
  ];
  return Uint8Array.of(
    C.PROTO,
    4,
    C.FRAME,
    body.length & 0xff,
    body.length >> 8,
    0,
    0,
    0,
    0,
    0,
    0,
    ...body,
    C.NONE,
    C.POP,
    C.STOP,
  );
})();
