/**
 * Hostile rows: inputs that demand time or memory out of proportion to their length.
 *
 * @module
 */

import { asm, call, concat, dict, global, int, latin1, type Part, pickle, repeat, str, tuple } from './assembler.ts';
import { BROKEN, type HostileCase } from './hostile-case.ts';

const LONG = process.env.MMDPICKLE_LONG === '1';
const MILLION = 1_000_000;
/** Levels of nesting: recursion overflows the stack at ten thousand. */
const DEEP = LONG ? MILLION : 100_000;
/** Levels of nestings whose levels are calls, and of those whose calls make sets and the like. */
const CALLS = Math.min(DEEP, 300_000);
const MADE = Math.min(DEEP, 200_000);
/** Items or steps that cost the same each: what is quadratic takes minutes with as many. */
const MANY = LONG ? MILLION : 300_000;
const SO_MANY = MANY.toLocaleString('en');
const PROTO = asm(['PROTO', 4]);
const STOP = asm('STOP');
const whole = (...pieces: readonly Uint8Array[]): Uint8Array => concat([PROTO, ...pieces, STOP]);

/** Nestings: a million levels, on which the open marks meet their limit, or as many as recursion would never bear. */
const NESTINGS: Readonly<Record<string, () => Uint8Array>> = {
  'EMPTY_LIST and APPEND': () => whole(repeat(DEEP, 'EMPTY_LIST'), repeat(DEEP - 1, 'APPEND')),
  'MARK and LIST': () => whole(repeat(MILLION, 'MARK'), repeat(MILLION, 'LIST')),
  'MARK and TUPLE': () => whole(repeat(MILLION, 'MARK'), repeat(MILLION, 'TUPLE')),
  'MARK and APPENDS': () => whole(repeat(MILLION, 'EMPTY_LIST', 'MARK'), asm('NONE'), repeat(MILLION, 'APPENDS')),
  TUPLE1: () => whole(asm('NONE'), repeat(DEEP, 'TUPLE1')),
  TUPLE2: () => whole(asm('NONE'), repeat(DEEP, 'NONE', 'TUPLE2')),
  FROZENSET: () => whole(repeat(MILLION, 'MARK'), repeat(MILLION, 'FROZENSET')),
  'EMPTY_DICT and SETITEM': () => whole(repeat(DEEP, 'EMPTY_DICT', 'NONE'), asm('NONE'), repeat(DEEP, 'SETITEM')),
  'MARK and DICT': () => whole(repeat(MILLION, 'MARK', 'NONE'), asm('NONE'), repeat(MILLION, 'DICT')),
  'dict keys of nested tuples': () => whole(asm('EMPTY_DICT', 'NONE'), repeat(DEEP, 'TUPLE1'), asm('NONE', 'SETITEM')),
  'frozensets as set items': () => whole(asm('EMPTY_SET', 'MARK', 'NONE'), repeat(CALLS, 'TUPLE1'), asm('ADDITEMS')),
  BINPERSID: () => whole(asm('NONE'), repeat(DEEP, 'BINPERSID')),
  'REDUCE of REDUCE': () => whole(repeat(CALLS, global('a b'), 'MARK'), repeat(CALLS, 'TUPLE', 'REDUCE')),
  'NEWOBJ of NEWOBJ': () => whole(repeat(CALLS, global('a b'), 'MARK'), repeat(CALLS, 'TUPLE', 'NEWOBJ')),
  'REDUCE on what REDUCE made': () => whole(asm(global('a b')), repeat(DEEP, 'EMPTY_TUPLE', 'REDUCE')),
  'BUILD in BUILD': () =>
    whole(repeat(CALLS, global('a b'), 'EMPTY_TUPLE', 'NEWOBJ'), asm('NONE'), repeat(CALLS, 'BUILD')),
  'OBJ in OBJ': () => whole(repeat(CALLS, 'MARK', global('a b')), repeat(CALLS, 'OBJ')),
  'INST in INST': () => whole(repeat(CALLS, 'MARK'), repeat(CALLS, ['INST', 'a b'])),
  'set(...) in lists': () =>
    whole(repeat(MADE, global('builtins frozenset'), 'MARK'), repeat(MADE, 'LIST', 'TUPLE1', 'REDUCE')),
  'OrderedDict in OrderedDict': () =>
    whole(
      repeat(MADE, global('collections OrderedDict'), 'EMPTY_TUPLE', 'REDUCE', 'NONE'),
      asm('NONE'),
      repeat(MADE, 'SETITEM'),
    ),
  'exceptions in exceptions': () =>
    whole(repeat(MADE, global('builtins ValueError'), 'MARK'), repeat(MADE, 'TUPLE', 'REDUCE')),
  'a million open marks': () => concat([PROTO, repeat(MILLION, 'MARK')]),
  'a dtype of dtypes': () =>
    whole(
      repeat(100_000, global('numpy dtype'), 'MARK'),
      asm(str('f8')),
      repeat(100_000, 'NEWFALSE', 'NEWTRUE', 'TUPLE', 'REDUCE'),
    ),
};

/** Opcodes that carry a length, and the false lengths that fit their width. */
const LIES: readonly (readonly [part: Part, name: string])[] = (
  [
    ['BINSTRING', [2 ** 31 - 1, -1, -(2 ** 31)]],
    ['BINUNICODE', [2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1]],
    ['BINUNICODE8', [2n ** 32n, 2n ** 53n, 2n ** 53n + 1n, 2n ** 63n, 2n ** 64n - 1n]],
    ['SHORT_BINUNICODE', [255]],
    ['BINBYTES', [2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1]],
    ['BINBYTES8', [2n ** 31n, 2n ** 32n, 2n ** 53n - 1n, 2n ** 53n, 2n ** 63n, 2n ** 64n - 1n]],
    ['BYTEARRAY8', [2n ** 31n, 2n ** 53n, 2n ** 63n - 1n, 2n ** 63n, 2n ** 64n - 1n]],
    ['LONG4', [2 ** 31 - 1, -1, -(2 ** 31)]],
    ['LONG1', [255]],
  ] as const
).flatMap(([name, lengths]) =>
  lengths.map((length) => [[name, { length, bytes: 'abc' }] as const, `${name} that claims ${length} bytes`] as const),
);

/** Keys that are equal modulo Python's hash prime, or that fall into one bucket of a hash by low bits. */
const COLLISIONS: Readonly<Record<string, (i: number) => Part>> = {
  'multiples of 2^32': (i) => int(BigInt(i) << 32n),
  'multiples of 2^61 - 1': (i) => int(BigInt(i) * (2n ** 61n - 1n)),
  'multiples of 2^64': (i) => int(BigInt(i) << 64n),
  'floats of one low word': (i) => ['BINFLOAT', i * 2 ** 40],
  'tuples of two ints': (i) => ['MARK', int(i), int(-i), 'TUPLE'],
  'negative bigints': (i) => int(-(BigInt(i) << 53n)),
  'texts that differ late': (i) => str(`${'k'.repeat(60)}${i}`),
  'bytes that differ late': (i) => ['SHORT_BINBYTES', `${'k'.repeat(60)}${i}`],
};

/** The table; each goes through plain `load` unless it says otherwise. */
const ROWS: readonly HostileCase[] = [
  ...Object.entries(NESTINGS).map(([name, bytes]) => ({ name: `nesting: ${name}`, bytes })),
  { name: 'a million open marks through dis', bytes: () => concat([PROTO, repeat(MILLION, 'MARK')]), door: 'dis' },
  {
    name: 'a million nested lists through genops',
    bytes: () => whole(repeat(MILLION, 'MARK'), repeat(MILLION, 'LIST')),
    door: 'genops',
  },
  {
    name: `${SO_MANY} nested calls through check`,
    bytes: () => whole(asm(global('a b')), repeat(MANY, 'EMPTY_TUPLE', 'REDUCE')),
    door: 'check',
  },
  ...LIES.map(([part, name]) => ({
    name: `lies: ${name}`,
    bytes: () => asm(['PROTO', 4], part),
    gives: [...BROKEN, 'LIMIT_EXCEEDED'] as const,
  })),
  ...[2n, 2n ** 31n, 2n ** 53n, 2n ** 63n, 2n ** 64n - 1n].map((length) => ({
    name: `lies: a frame that claims ${length} bytes`,
    bytes: () => asm(['PROTO', 4], ['FRAME', length], ['BININT', 7], 'STOP'),
    gives: BROKEN,
  })),
  ...Object.entries(COLLISIONS).map(([name, key]) => ({
    name: `hash collisions: a dict of 32,768 ${name}`,
    bytes: () =>
      pickle(
        'EMPTY_DICT',
        'MARK',
        Array.from({ length: 32_768 }, (_, i) => [key(i), 'NONE']),
        'SETITEMS',
      ),
    gives: 'inert' as const,
  })),
  ...Object.entries(COLLISIONS)
    .slice(0, 4)
    .map(([name, key]) => ({
      name: `hash collisions: a set of 32,768 ${name}`,
      bytes: () =>
        pickle(
          'EMPTY_SET',
          'MARK',
          Array.from({ length: 32_768 }, (_, i) => key(i)),
          'ADDITEMS',
        ),
      gives: 'inert' as const,
    })),
  {
    name: 'a dict of 100,000 nan keys',
    bytes: () => whole(asm('EMPTY_DICT', 'MARK'), repeat(100_000, ['BINFLOAT', Number.NaN], 'NONE'), asm('SETITEMS')),
  },
  {
    name: 'a dict of 100,000 opaque keys',
    bytes: () => whole(asm('EMPTY_DICT', 'MARK'), repeat(100_000, call('a b'), 'NONE'), asm('SETITEMS')),
  },
  {
    name: 'memo: LONG_BINPUT 2^32 - 1',
    bytes: () => pickle('NONE', ['LONG_BINPUT', 2 ** 32 - 1], ['LONG_BINGET', 2 ** 32 - 1], 'TUPLE2'),
    gives: 'inert',
  },
  {
    name: 'memo: a million slots, far apart',
    bytes: () =>
      whole(
        asm(
          'NONE',
          Array.from({ length: 200_000 }, (_, i) => ['LONG_BINPUT', i * 20_000] as const),
        ),
      ),
    gives: 'inert',
  },
  { name: 'memo: a million MEMOIZE', bytes: () => whole(asm('NONE'), repeat(MILLION, 'MEMOIZE')), gives: 'inert' },
  { name: 'memo: PUT with an index of 10^300', bytes: () => pickle('NONE', ['PUT', `1${'0'.repeat(300)}`]) },
  { name: 'memo: PUT with a million digits', bytes: () => pickle('NONE', ['PUT', '9'.repeat(MILLION)]) },
  { name: 'memo: PUT with a negative index', bytes: () => pickle('NONE', ['PUT', '-1']), gives: BROKEN },
  { name: 'memo: GET of a slot that is not set', bytes: () => pickle(['GET', '7']), gives: BROKEN },
  {
    name: 'memo: BINGET of a slot that is not set',
    bytes: () => pickle('NONE', ['BINPUT', 1], ['BINGET', 0], 'TUPLE2'),
    gives: BROKEN,
  },
  {
    name: 'memo: LONG_BINGET 2^32 - 1 that is not set',
    bytes: () => pickle(['LONG_BINGET', 2 ** 32 - 1]),
    gives: BROKEN,
  },
  { name: 'memo: GET of __proto__', bytes: () => pickle(['GET', '__proto__']), gives: BROKEN },
  {
    name: 'memo: MEMOIZE after PUT overwrites slot 1',
    bytes: () => pickle('NEWTRUE', ['BINPUT', 1], 'NEWFALSE', 'MEMOIZE', ['BINGET', 1], 'TUPLE3'),
    gives: 'inert',
  },
  { name: 'a million items on the stack', bytes: () => whole(repeat(MILLION, 'NONE')) },
  { name: 'a million DUP', bytes: () => whole(asm('EMPTY_LIST'), repeat(MILLION, 'DUP')) },
  {
    name: 'a million items in one LIST',
    bytes: () => whole(asm('MARK'), repeat(MILLION, 'NONE'), asm('LIST')),
    gives: 'inert',
  },
  {
    name: 'a million items in one TUPLE',
    bytes: () => whole(asm('MARK'), repeat(MILLION, 'NONE'), asm('TUPLE')),
    gives: 'inert',
  },
  {
    name: 'a million items through one APPENDS',
    bytes: () => whole(asm('EMPTY_LIST', 'MARK'), repeat(MILLION, 'NONE'), asm('APPENDS')),
    gives: 'inert',
  },
  {
    name: 'a million arguments of INST',
    bytes: () => whole(asm('MARK'), repeat(MILLION, 'NONE'), asm(['INST', 'a b'])),
    gives: 'inert',
  },
  {
    name: 'a million arguments of OBJ',
    bytes: () => whole(asm('MARK', global('a b')), repeat(MILLION, 'NONE'), asm('OBJ')),
    gives: 'inert',
  },
  {
    name: `${SO_MANY} arguments of a known class`,
    bytes: () => whole(asm(global('pathlib PurePosixPath'), 'MARK'), repeat(MANY, str('a')), asm('TUPLE', 'REDUCE')),
  },
  { name: 'a million PROTO', bytes: () => whole(repeat(MILLION, ['PROTO', 4]), asm('NONE')) },
  { name: 'a million empty frames', bytes: () => whole(repeat(300_000, ['FRAME', 0]), asm('NONE')) },
  {
    name: 'a million POP on an opaque object',
    bytes: () => whole(asm(call('a b')), repeat(500_000, 'DUP', 'POP')),
    gives: 'inert',
  },
  {
    name: 'hundreds of thousands of BUILD on one object',
    bytes: () => whole(asm(call('a b')), repeat(Math.min(MANY, 500_000), 'NONE', 'BUILD')),
    gives: 'inert',
  },
  {
    name: `${MADE.toLocaleString('en')} popped calls on one object`,
    bytes: () =>
      whole(
        asm(call('a b'), ['BINPUT', 0], global('c d'), ['BINPUT', 1], 'POP'),
        repeat(MADE, ['BINGET', 1], ['BINGET', 0], 'TUPLE1', 'REDUCE', 'POP'),
      ),
  },
  { name: 'LONG with a million digits', bytes: () => pickle(['LONG', `${'7'.repeat(MILLION)}L`]), gives: 'inert' },
  { name: 'INT with a million digits', bytes: () => pickle(['INT', '7'.repeat(MILLION)]) },
  { name: 'LONG with 20 million digits', bytes: () => pickle(['LONG', new Uint8Array(20 * MILLION).fill(0x37)]) },
  { name: 'LONG4 of a megabyte', bytes: () => pickle(['LONG4', new Uint8Array(MILLION).fill(0x55)]), gives: 'inert' },
  { name: 'LONG4 of 20 megabytes', bytes: () => pickle(['LONG4', new Uint8Array(20 * MILLION).fill(0x55)]) },
  ...(['load', 'check', 'dis'] as const).map(
    (door): HostileCase => ({
      name: `${door} of a malformed FLOAT of ${SO_MANY} digits`,
      bytes: () => pickle(['FLOAT', `${'1'.repeat(MANY)}x`]),
      gives: ['CORRUPT'],
      door,
    }),
  ),
  { name: 'FLOAT with a million digits', bytes: () => pickle(['FLOAT', `0.${'1'.repeat(MILLION)}`]) },
  {
    name: 'a line of a million bytes without an end',
    bytes: () => asm(['PROTO', 2], concat([latin1('L'), new Uint8Array(MILLION).fill(0x37)])),
    gives: BROKEN,
  },
  {
    name: `UNICODE of ${SO_MANY} escapes`,
    bytes: () => pickle(['UNICODE', '\\u0041'.repeat(MANY)]),
    gives: 'inert',
  },
  {
    name: `STRING of ${SO_MANY} escapes`,
    bytes: () => pickle(['STRING', `'${'\\x41'.repeat(MANY)}'`]),
    gives: 'inert',
  },
  { name: 'a global whose name has a million parts', bytes: () => pickle(['GLOBAL', `a ${'b.'.repeat(MILLION)}c`]) },
  {
    name: 'a text of ten million characters',
    bytes: () => pickle(['BINUNICODE', 'x'.repeat(10 * MILLION)]),
    gives: 'inert',
  },
  {
    name: `${CALLS.toLocaleString('en')} opaque objects`,
    bytes: () => whole(asm('MARK'), repeat(CALLS, call('a b')), asm('LIST')),
  },
  {
    name: '100,000 datetimes',
    bytes: () =>
      whole(
        asm(global('datetime datetime'), ['BINPUT', 0], 'MARK'),
        repeat(100_000, ['BINGET', 0], ['SHORT_BINBYTES', '\x07\xe8\x01\x01\0\0\0\0\0\0'], 'TUPLE1', 'REDUCE'),
        asm('LIST'),
      ),
  },
  {
    name: 'numbers that alternate int and bigint as keys',
    bytes: () =>
      pickle(
        'EMPTY_DICT',
        'MARK',
        Array.from({ length: 50_000 }, (_, i) => [int(i % 2 ? BigInt(i) : BigInt(i) << 60n), 'NONE']),
        'SETITEMS',
      ),
    gives: 'inert',
  },
  {
    name: 'one tuple that holds 100,000 tuples, as a key',
    bytes: () => whole(asm('EMPTY_DICT', 'MARK'), repeat(100_000, 'NONE', 'TUPLE1'), asm('TUPLE', 'NONE', 'SETITEM')),
  },
  {
    name: 'a dict in itself as a value, a million times',
    bytes: () => whole(asm('EMPTY_DICT', ['BINPUT', 0]), repeat(200_000, 'NONE', ['BINGET', 0], 'SETITEM')),
    gives: 'inert',
  },
  {
    name: 'a slice of huge ints',
    bytes: () => pickle(call('builtins slice', int(2n ** 900n), int(-(2n ** 900n)), 'NONE')),
  },
  {
    name: 'a dict of pairs, key and value the same tuple',
    bytes: () =>
      pickle(
        tuple(),
        ['BINPUT', 0],
        'POP',
        dict([
          ['BINGET', 0],
          ['BINGET', 0],
        ]),
      ),
    gives: 'inert',
  },
];

/** Bombs whose cost may differ in lossless mode. */
const LOSSLESS = /differ late|floats|nan keys|EMPTY_LIST and APPEND|TUPLE1|escapes|alternate/;

export const BOMB_CASES: readonly HostileCase[] = [
  ...ROWS.map((row) => ({ door: 'load' as const, ...row })),
  ...ROWS.filter(({ name }) => LOSSLESS.test(name)).map((row) => ({
    ...row,
    name: `${row.name}, lossless`,
    door: 'lossless' as const,
  })),
];
