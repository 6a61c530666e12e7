/**
 * Hostile rows: one big value that many calls, keys or types refer to, so that a careless reader copies or walks it
 * every time; and numbers, texts and types whose handling could be worse than linear.
 *
 * @module
 */

import { asm, call, concat, dict, global, int, latin1, type Part, pickle, repeat, str, tuple } from './assembler.ts';
import type { HostileCase } from './hostile-case.ts';
import { seeded } from './mutations.ts';

const LONG = process.env.MMDPICKLE_LONG === '1';
const MILLION = 1_000_000;
/** Values over one array: with so many, copies of it would take gigabytes. */
const OVER = LONG ? 20_000 : 5000;
const INTS = LONG ? MILLION : 300_000;
const GLOBALS = LONG ? 200_000 : 100_000;
const SO_MANY = OVER.toLocaleString('en');
const PROTO = asm(['PROTO', 4]);
const STOP = asm('STOP');
const whole = (...pieces: readonly Uint8Array[]): Uint8Array => concat([PROTO, ...pieces, STOP]);

/** Doubles the value on top of the stack: [x] -> [(x, x)]. Sixty times gives 2^60 leaves in 240 bytes. */
const doubled = (times: number, close: Part = 'TUPLE2'): Uint8Array => repeat(times, 'DUP', close);

const bigText = asm(['BINUNICODE', 'x'.repeat(MILLION)], ['BINPUT', 0]);

/** A list of 10,000 parts in memo slot 0. */
const bigList = (part: (i: number) => Part): Uint8Array =>
  asm(
    'MARK',
    Array.from({ length: 10_000 }, (_, i) => part(i)),
    'LIST',
    ['BINPUT', 0],
  );

/** A global in slot 1, called many times with slot 0 (and the arguments before and after it). */
const calledOver = (name: string, times: number, before: Part = [], after: Part = []): Uint8Array =>
  asm(
    global(name),
    ['BINPUT', 1],
    'MARK',
    repeat(times, ['BINGET', 1], 'MARK', before, ['BINGET', 0], after, 'TUPLE', 'REDUCE'),
    'LIST',
  );

/** A structured dtype of two fields, both of the type in slot 0, which it then replaces. */
const structOf = (size: number): Part => [
  call('numpy dtype', str(`V${size}`), 'NEWFALSE', 'NEWTRUE'),
  tuple(
    int(3),
    str('|'),
    'NONE',
    tuple(str('a'), str('b')),
    dict([str('a'), tuple(['BINGET', 0], int(0))], [str('b'), tuple(['BINGET', 0], int(size / 2))]),
    int(size),
    int(1),
    int(0),
  ),
  'BUILD',
  ['BINPUT', 0],
  'POP',
];
const plainType = (code: string): Part => [
  call('numpy dtype', str(code), 'NEWFALSE', 'NEWTRUE'),
  tuple(int(3), str('|'), 'NONE', 'NONE', 'NONE', int(-1), int(-1), int(0)),
  'BUILD',
  ['BINPUT', 0],
  'POP',
];
const hugeInt = (size: number, fill: number): Part => ['LONG4', new Uint8Array(size).fill(fill, 0, size - 1)];

/** An array of zeros, with elements of one byte or of zero bytes. */
const arrayOf = (length: number, type: string): Part =>
  call('numpy ndarray', tuple(int(length)), str(type), ['BYTEARRAY8', new Uint8Array(length)]);

/** A positive odd number of seeded bytes. */
function oddInt(size: number, seed: number): Part {
  const draw = seeded(seed);
  const bytes = Uint8Array.from({ length: size }, () => draw(256));
  bytes[0] = (bytes[0] as number) | 1;
  bytes[size - 1] = 0x55;
  return ['LONG4', bytes];
}

const ROWS: readonly HostileCase[] = [
  { name: 'sharing: a tuple of 2^60 leaves', bytes: () => whole(asm('NONE'), doubled(60)), gives: 'inert' },
  {
    name: 'sharing: a list of 2^60 leaves',
    bytes: () => whole(asm('NONE'), repeat(60, 'DUP', 'MARK', 'POP', 'TUPLE2', 'EMPTY_LIST', 'MARK', 'POP', 'POP')),
  },
  {
    name: 'sharing: lists that hold the list before twice',
    bytes: () =>
      whole(
        asm('EMPTY_LIST', ['BINPUT', 0]),
        repeat(100_000, 'POP', 'MARK', ['BINGET', 0], ['BINGET', 0], 'LIST', ['BINPUT', 0]),
      ),
    gives: 'inert',
  },
  {
    name: 'sharing: a tuple of 2^60 leaves as a dict key',
    bytes: () => whole(asm('EMPTY_DICT', 'NONE'), doubled(60), asm('NONE', 'SETITEM')),
  },
  {
    name: 'sharing: two equal tuples of 2^60 leaves as dict keys',
    bytes: () =>
      whole(
        asm('EMPTY_DICT', 'NONE'),
        doubled(60),
        asm('NONE', 'SETITEM', 'NONE'),
        doubled(60),
        asm('NONE', 'SETITEM'),
      ),
  },
  {
    name: 'sharing: a frozenset of 2^60 leaves as a set item',
    bytes: () =>
      whole(
        asm('EMPTY_SET', 'MARK', 'MARK', 'FROZENSET'),
        repeat(60, ['BINPUT', 0], 'POP', 'MARK', ['BINGET', 0], ['BINGET', 0], 'TUPLE2', 'FROZENSET'),
        asm('ADDITEMS'),
      ),
  },
  {
    name: 'sharing: 2,000 tuple keys that all hold one text of a million letters',
    bytes: () =>
      whole(
        bigText,
        asm('POP', 'EMPTY_DICT', 'MARK'),
        ...Array.from({ length: 2000 }, (_, i) => asm(['BINGET', 0], int(i), 'TUPLE2', 'NONE')),
        asm('SETITEMS'),
      ),
  },
  {
    name: 'sharing: 2,000 tuple keys that all hold one int of a million bytes',
    bytes: () =>
      whole(
        asm(['LONG4', new Uint8Array(MILLION).fill(0x55)], ['BINPUT', 0], 'POP', 'EMPTY_DICT', 'MARK'),
        ...Array.from({ length: 2000 }, (_, i) => asm(['BINGET', 0], int(i), 'TUPLE2', 'NONE')),
        asm('SETITEMS'),
      ),
  },
  {
    name: 'sharing: 2,000 keys of one bytes value of a megabyte',
    bytes: () =>
      whole(
        asm(['BINBYTES', new Uint8Array(MILLION)], ['BINPUT', 0], 'POP', 'EMPTY_DICT', 'MARK'),
        ...Array.from({ length: 2000 }, (_, i) => asm(['BINGET', 0], int(i), 'TUPLE2', 'NONE')),
        asm('SETITEMS'),
      ),
  },
  {
    name: 'sharing: one int of a megabyte as 2,000 dict keys',
    bytes: () =>
      whole(
        asm(['LONG4', new Uint8Array(MILLION).fill(0x55)], ['BINPUT', 0], 'POP', 'EMPTY_DICT', 'MARK'),
        repeat(2000, ['BINGET', 0], 'NONE'),
        asm('SETITEMS'),
      ),
  },
  {
    name: 'sharing: one text decoded through _codecs.encode 2,000 times',
    bytes: () =>
      whole(
        bigText,
        asm('POP', global('_codecs encode'), ['BINPUT', 1], 'POP', 'MARK'),
        repeat(2000, ['BINGET', 1], ['BINGET', 0], str('latin1'), 'TUPLE2', 'REDUCE'),
        asm('LIST'),
      ),
  },
  {
    name: 'sharing: bytearray(one bytes of a megabyte) 2,000 times',
    bytes: () =>
      whole(
        asm(['BINBYTES', new Uint8Array(MILLION)], ['BINPUT', 0], global('builtins bytearray'), ['BINPUT', 1], 'MARK'),
        repeat(2000, ['BINGET', 1], ['BINGET', 0], 'TUPLE1', 'REDUCE'),
        asm('LIST'),
      ),
  },
  {
    name: 'sharing: set(one list of 10,000) 5,000 times',
    bytes: () =>
      whole(
        asm('MARK'),
        ...Array.from({ length: 10_000 }, (_, i) => asm(int(i))),
        asm('LIST', ['BINPUT', 0], global('builtins set'), ['BINPUT', 1], 'MARK'),
        repeat(5000, ['BINGET', 1], ['BINGET', 0], 'TUPLE1', 'REDUCE'),
        asm('LIST'),
      ),
  },
  {
    name: 'sharing: array.array over one list of 10,000, 5,000 times',
    bytes: () =>
      whole(
        asm('MARK'),
        ...Array.from({ length: 10_000 }, (_, i) => asm(int(i))),
        asm('LIST', ['BINPUT', 0], global('array array'), ['BINPUT', 1], 'MARK'),
        repeat(5000, ['BINGET', 1], str('q'), ['BINGET', 0], 'TUPLE2', 'REDUCE'),
        asm('LIST'),
      ),
  },
  {
    name: 'sharing: Decimal of one text of a million digits, 2,000 times',
    bytes: () =>
      whole(
        asm(['BINUNICODE', '7'.repeat(MILLION)], ['BINPUT', 0], global('decimal Decimal'), ['BINPUT', 1], 'MARK'),
        repeat(2000, ['BINGET', 1], ['BINGET', 0], 'TUPLE1', 'REDUCE'),
        asm('LIST'),
      ),
  },
  {
    name: 'sharing: Counter over one dict of 10,000, 5,000 times',
    bytes: () =>
      whole(
        asm(
          'EMPTY_DICT',
          'MARK',
          Array.from({ length: 10_000 }, (_, i) => [int(i), int(1)]),
          'SETITEMS',
          ['BINPUT', 0],
        ),
        calledOver('collections Counter', 5000),
      ),
  },
  {
    name: 'sharing: OrderedDict over one list of 10,000 pairs, 5,000 times',
    bytes: () =>
      whole(
        bigList((i) => ['MARK', int(i), 'NONE', 'LIST']),
        calledOver('collections OrderedDict', 5000),
      ),
  },
  {
    name: 'sharing: deque over one list of 10,000, 5,000 times',
    bytes: () => whole(bigList(int), calledOver('collections deque', 5000)),
  },
  {
    name: 'sharing: frozenset over one list of 10,000, 5,000 times',
    bytes: () => whole(bigList(int), calledOver('builtins frozenset', 5000)),
  },
  {
    name: 'sharing: bytearray over one text of a million letters, 2,000 times',
    bytes: () => whole(bigText, calledOver('builtins bytearray', 2000, [], str('latin-1'))),
  },
  {
    name: 'sharing: one tuple of 10,000 parts as the arguments of 5,000 paths',
    bytes: () =>
      whole(
        asm('MARK', repeat(10_000, str('part')), 'TUPLE', ['BINPUT', 0]),
        asm(global('pathlib PurePosixPath'), ['BINPUT', 1], 'MARK'),
        repeat(5000, ['BINGET', 1], ['BINGET', 0], 'REDUCE'),
        asm('LIST'),
      ),
  },
  ...['PurePosixPath', 'PureWindowsPath'].map(
    (path): HostileCase => ({
      name: `sharing: one text of 200,000 names as the argument of 10,000 ${path}s`,
      bytes: () =>
        whole(asm(['BINUNICODE', 'a/'.repeat(200_000)], ['BINPUT', 0]), calledOver(`pathlib ${path}`, 10_000)),
    }),
  ),
  {
    name: 'sharing: one tuple of 10,000 as the arguments of 5,000 exceptions and opaque objects',
    bytes: () =>
      whole(
        asm('MARK', repeat(10_000, str('part')), 'TUPLE', ['BINPUT', 0]),
        asm(global('builtins ValueError'), ['BINPUT', 1], global('a b'), ['BINPUT', 2], 'MARK'),
        repeat(5000, ['BINGET', 1], ['BINGET', 0], 'REDUCE', ['BINGET', 2], ['BINGET', 0], 'NEWOBJ'),
        asm('LIST'),
      ),
  },
  {
    name: 'sharing: numpy.dtype over one list of 10,000 fields, 2,000 times',
    bytes: () =>
      whole(
        bigList((i) => tuple(str(`f${i}`), str('<f8'))),
        calledOver('numpy dtype', 2000),
      ),
  },
  {
    name: `sharing: one array of a megabyte over which ${SO_MANY} arrays lie`,
    bytes: () =>
      whole(
        asm(['BYTEARRAY8', new Uint8Array(MILLION)], ['BINPUT', 0]),
        calledOver('numpy ndarray', OVER, [tuple(int(MILLION)), str('|u1')]),
      ),
  },
  {
    name: `sharing: one array of 300,000 elements that is reshaped ${SO_MANY} times`,
    bytes: () =>
      whole(
        asm(call('numpy ndarray', tuple(int(300_000)), str('|u1'), ['BYTEARRAY8', new Uint8Array(300_000)]), [
          'BINPUT',
          0,
        ]),
        calledOver('numpy reshape', OVER, [], tuple(int(1000), int(300))),
      ),
  },
  {
    name: 'sharing: an out-of-shape scalar of a megabyte as 2,000 dict keys',
    bytes: () =>
      whole(
        asm(plainType(`S${MILLION}`)),
        asm(
          global('numpy.core.multiarray scalar'),
          ['BINGET', 0],
          ['BINBYTES', new Uint8Array(MILLION).fill(65)],
          'TUPLE2',
          'REDUCE',
        ),
        asm(['BINPUT', 1], 'POP', 'EMPTY_DICT', 'MARK'),
        repeat(2000, ['BINGET', 1], 'NONE'),
        asm('SETITEMS'),
      ),
  },
  ...['S', 'U'].map(
    (kind): HostileCase => ({
      name: `sharing: 2,000 ${kind} scalars over one bytes value of a megabyte, as set items`,
      bytes: () =>
        whole(
          asm(plainType(`${kind}${kind === 'S' ? MILLION : MILLION / 4}`)),
          asm(['BINBYTES', new Uint8Array(MILLION).map((_, i) => (i % 4 === 0 ? 65 : 0))], ['BINPUT', 1], 'POP'),
          asm(global('numpy.core.multiarray scalar'), ['BINPUT', 2], 'EMPTY_SET', 'MARK'),
          repeat(2000, ['BINGET', 2], ['BINGET', 0], ['BINGET', 1], 'TUPLE2', 'REDUCE'),
          asm('ADDITEMS'),
        ),
      gives: 'inert',
    }),
  ),
  {
    name: 'sharing: 2,000 U scalars over one bytes value that is not text but mostly zeros, as set items',
    bytes: () =>
      whole(
        asm(plainType('U250000'), ['BINBYTES', new Uint8Array(MILLION).fill(0x7f, MILLION - 8)], ['BINPUT', 1], 'POP'),
        asm(global('numpy.core.multiarray scalar'), ['BINPUT', 2], 'EMPTY_SET', 'MARK'),
        repeat(2000, ['BINGET', 2], ['BINGET', 0], ['BINGET', 1], 'TUPLE2', 'REDUCE'),
        asm('ADDITEMS'),
      ),
    gives: 'inert',
  },
  ...[
    { name: 'a short step', step: (i: number) => int(3 + i) },
    { name: 'a long step', step: () => ['BINGET', 2] as const },
  ].map(
    ({ name, step }): HostileCase => ({
      name: `sharing: 2,000 ranges of ${name} to one int of two megabytes, as set items`,
      bytes: () =>
        whole(
          asm(hugeInt(2 * MILLION, 0x55), ['BINPUT', 0], 'POP', hugeInt(MILLION, 0x33), ['BINPUT', 2], 'POP'),
          asm(global('builtins range'), ['BINPUT', 1], 'EMPTY_SET', 'MARK'),
          ...Array.from({ length: 2000 }, (_, i) =>
            asm(['BINGET', 1], int(i), ['BINGET', 0], step(i), 'TUPLE3', 'REDUCE'),
          ),
          asm('ADDITEMS'),
        ),
      gives: ['LIMIT_EXCEEDED'],
    }),
  ),
  {
    name: 'sharing: one text of a million letters 20,000 times in a set',
    bytes: () => whole(bigText, asm('EMPTY_SET', 'MARK', int(1)), repeat(20_000, ['BINGET', 0]), asm('ADDITEMS')),
    gives: 'inert',
  },
  {
    name: 'sharing: slices nested 100,000 deep as a dict key',
    bytes: () =>
      whole(
        asm('EMPTY_DICT', global('builtins slice'), ['BINPUT', 0], 'POP', 'NONE'),
        repeat(100_000, ['BINPUT', 1], 'POP', ['BINGET', 0], ['BINGET', 1], ['BINGET', 1], 'NONE', 'TUPLE3', 'REDUCE'),
        asm('NONE', 'SETITEM'),
      ),
    gives: 'inert',
  },
  {
    name: 'types: 2^40 fields in 40 zero-size structs',
    bytes: () =>
      pickle(
        plainType('V0'),
        Array.from({ length: 40 }, () => structOf(0)),
        ['BINGET', 0],
      ),
  },
  {
    name: 'types: 2^20 fields in 20 structs, as an array',
    bytes: () =>
      pickle(
        plainType('V1'),
        Array.from({ length: 20 }, (_, i) => structOf(2 ** (i + 1))),
        call('numpy ndarray', tuple(int(0)), ['BINGET', 0], ['BYTEARRAY8', '']),
      ),
  },
  {
    name: 'types: 2^40 fields as a dict key',
    bytes: () =>
      pickle(
        plainType('V0'),
        Array.from({ length: 40 }, () => structOf(0)),
        'EMPTY_DICT',
        ['BINGET', 0],
        'NONE',
        'SETITEM',
      ),
  },
  {
    name: 'types: structs nested 10,000 deep',
    bytes: () => pickle(plainType('V0'), repeat(10_000, structOf(0)), ['BINGET', 0]),
  },
  {
    name: 'types: a struct of 50,000 fields',
    bytes: () =>
      pickle(
        call('numpy dtype', [
          'MARK',
          Array.from({ length: 50_000 }, (_, i) => tuple(str(`f${i}`), str('<f8'))),
          'LIST',
        ]),
      ),
  },
  {
    name: 'types: a struct of 20,000 fields of one name',
    bytes: () => pickle(call('numpy dtype', ['MARK', repeat(20_000, tuple(str('f'), str('<f8'))), 'LIST'])),
  },
  { name: 'types: a text of 100,000 brackets', bytes: () => pickle(call('numpy dtype', str('['.repeat(100_000)))) },
  {
    name: 'types: a structured text that nests 20,000 deep',
    bytes: () => pickle(call('numpy dtype', str(`${"[('a', ".repeat(20_000)}'<f8'${')]'.repeat(20_000)}`))),
  },
  {
    name: 'types: a sub-array of a sub-array, 5,000 deep',
    bytes: () =>
      whole(
        asm(global('numpy dtype'), ['BINPUT', 1], str('u1')),
        repeat(5000, tuple(int(1)), 'TUPLE2'),
        asm(['BINPUT', 0], 'POP', ['BINGET', 1], ['BINGET', 0], 'TUPLE1', 'REDUCE'),
      ),
  },
  {
    name: 'numbers: a Fraction of two ints of 200,000 bytes',
    bytes: () => pickle(call('fractions Fraction', hugeInt(200_000, 0x55), hugeInt(200_000, 0x33))),
  },
  {
    name: 'numbers: 2,000 Fractions of one int of four megabytes',
    bytes: () =>
      whole(asm(hugeInt(4 * MILLION, 0x33), ['BINPUT', 0]), calledOver('fractions Fraction', 2000, ['BINGET', 0])),
    gives: 'inert',
  },
  {
    name: 'numbers: a Fraction of text with a million digits',
    bytes: () => pickle(call('fractions Fraction', str(`${'7'.repeat(MILLION)}/${'3'.repeat(MILLION)}`))),
  },
  {
    name: 'numbers: a Fraction of 100,000 bytes as a dict key',
    bytes: () =>
      pickle('EMPTY_DICT', call('fractions Fraction', hugeInt(100_000, 0x55), int(1n << 70n)), 'NONE', 'SETITEM'),
  },
  {
    name: 'numbers: a Decimal of 300,000 zeros between ones as a dict key',
    bytes: () => pickle('EMPTY_DICT', call('decimal Decimal', str(`1${'0'.repeat(300_000)}1`)), 'NONE', 'SETITEM'),
  },
  {
    name: 'numbers: a Decimal of a million digits as a dict key',
    bytes: () => pickle('EMPTY_DICT', call('decimal Decimal', str('7'.repeat(MILLION))), 'NONE', 'SETITEM'),
  },
  {
    name: 'numbers: a Decimal of a million digits and an exponent as a dict key',
    bytes: () => pickle('EMPTY_DICT', call('decimal Decimal', str(`${'7'.repeat(MILLION)}E-900`)), 'NONE', 'SETITEM'),
  },
  {
    name: 'numbers: one Decimal of 100,000 digits as 2,000 dict keys',
    bytes: () =>
      whole(
        asm(call('decimal Decimal', str('7'.repeat(100_000))), ['BINPUT', 0], 'POP', 'EMPTY_DICT', 'MARK'),
        repeat(2000, ['BINGET', 0], 'NONE'),
        asm('SETITEMS'),
      ),
  },
  {
    name: 'numbers: LONG with 16 million digits',
    bytes: () => pickle(['LONG', new Uint8Array(16 * MILLION).fill(0x37)]),
  },
  {
    name: 'numbers: a range of huge ints as a dict key',
    bytes: () =>
      pickle(
        'EMPTY_DICT',
        call('builtins range', int(0), hugeInt(MILLION, 0x55), hugeInt(MILLION / 2, 0x33)),
        'NONE',
        'SETITEM',
      ),
  },
  {
    name: `numbers: ${INTS.toLocaleString('en')} ints of nine bytes`,
    bytes: () => whole(asm('MARK'), repeat(INTS, ['LONG1', 2n ** 66n]), asm('LIST')),
  },
  { name: 'numbers: a UUID of a million letters', bytes: () => pickle(call('uuid UUID', str('{'.repeat(MILLION)))) },
  {
    name: 'types: a dtype whose align flag is a tuple of 2^60 leaves',
    bytes: () => whole(asm(global('numpy dtype'), str('f8'), 'NONE'), doubled(60), asm('NEWTRUE', 'TUPLE3', 'REDUCE')),
  },
  {
    name: 'types: a dtype whose align flag is a tuple 300,000 deep',
    bytes: () =>
      whole(
        asm(global('numpy dtype'), str('f8'), 'NONE'),
        repeat(300_000, 'TUPLE1'),
        asm('NEWTRUE', 'TUPLE3', 'REDUCE'),
      ),
  },
  {
    name: 'types: a struct whose 1,000 fields are named by one text of a million letters',
    bytes: () =>
      whole(
        bigText,
        asm('POP', global('numpy dtype'), 'MARK'),
        ...Array.from({ length: 1000 }, (_, i) =>
          asm('MARK', 'MARK', ['BINGET', 0], str(`${i}`), 'TUPLE', str('<f8'), 'TUPLE'),
        ),
        asm('LIST', 'TUPLE1', 'REDUCE'),
      ),
  },
  {
    name: `sharing: one array in Fortran order of a megabyte that is reshaped ${SO_MANY} times`,
    bytes: () =>
      whole(
        asm(
          call(
            'numpy ndarray',
            tuple(int(1000), int(1000)),
            str('|u1'),
            ['BYTEARRAY8', new Uint8Array(MILLION)],
            int(0),
            'NONE',
            str('F'),
          ),
          ['BINPUT', 0],
        ),
        calledOver('numpy reshape', OVER, [], tuple(int(MILLION))),
      ),
  },
  {
    name: 'sharing: 2,000 attributes of one text of a million letters, through getattr',
    bytes: () =>
      whole(
        bigText,
        asm('POP', global('builtins getattr'), ['BINPUT', 1], 'MARK'),
        ...Array.from({ length: 2000 }, (_, i) =>
          asm(['BINGET', 1], global(`module${i} name`), ['BINGET', 0], 'TUPLE2', 'REDUCE'),
        ),
        asm('LIST'),
      ),
  },
  {
    name: 'numbers: a Fraction of two ints of 100,000 bytes that have nothing in common',
    bytes: () => pickle(call('fractions Fraction', oddInt(100_000, 12345), oddInt(100_000, 54321))),
  },
  {
    name: 'numbers: one pair of ints of 2,000 bytes as 2,000 Fractions',
    bytes: () =>
      whole(
        asm(oddInt(2000, 12345), oddInt(2000, 54321), 'TUPLE2', ['BINPUT', 0], global('fractions Fraction'), [
          'BINPUT',
          1,
        ]),
        asm('MARK'),
        repeat(2000, ['BINGET', 1], ['BINGET', 0], 'REDUCE'),
        asm('LIST'),
      ),
  },
  ...(['list', 'dict'] as const).map(
    (form): HostileCase => ({
      name: `types: a ${form} of two fields that are the ${form} before, forty times`,
      bytes: () =>
        whole(
          asm(global('numpy dtype'), str('f8'), ['BINPUT', 0]),
          repeat(
            40,
            'POP',
            form === 'list'
              ? ['MARK', tuple(str('a'), ['BINGET', 0]), tuple(str('b'), ['BINGET', 0]), 'LIST']
              : dict(
                  [str('names'), ['MARK', str('a'), str('b'), 'LIST']],
                  [str('formats'), ['MARK', ['BINGET', 0], ['BINGET', 0], 'LIST']],
                ),
            ['BINPUT', 0],
          ),
          asm('TUPLE1', 'REDUCE'),
        ),
      gives: ['LIMIT_EXCEEDED'],
    }),
  ),
  {
    name: 'types: one text of 17 fields, read 100,000 times',
    bytes: () =>
      whole(
        asm(str(`[${Array.from({ length: 17 }, (_, i) => `('${'abcdefghijklmnopq'[i]}','f8')`).join(',')}]`)),
        asm('TUPLE1', ['BINPUT', 0], global('numpy dtype'), ['BINPUT', 1], 'MARK'),
        repeat(100_000, ['BINGET', 1], ['BINGET', 0], 'REDUCE', 'NONE'),
        asm('LIST'),
      ),
    gives: ['LIMIT_EXCEEDED'],
  },
  ...(
    [
      ['an array of 250,000 elements', 'i1', arrayOf(250_000, '|u1')],
      [
        'a scalar of 250,000 bytes',
        'S1000000',
        call('numpy.core.multiarray scalar', call('numpy dtype', str('S250000')), [
          'BINBYTES',
          new Uint8Array(250_000).fill(65),
        ]),
      ],
      ['a letter, in empty arrays of elements of two billion bytes', 'S2000000000', ['SHORT_BINBYTES', latin1('a')]],
    ] as const
  ).map(
    ([what, type, fill]): HostileCase => ({
      name: `sharing: 2,000 masked arrays whose fill value is ${what}`,
      bytes: () =>
        whole(
          asm(global('numpy.ma MaskedArray'), ['BINPUT', 1], 'MARK', arrayOf(0, type), arrayOf(0, '?')),
          asm('NONE', 'NEWFALSE', 'NEWTRUE', int(0), fill, 'TUPLE', ['BINPUT', 0], 'MARK'),
          repeat(2000, ['BINGET', 1], ['BINGET', 0], 'REDUCE'),
          asm('LIST'),
        ),
      gives: ['LIMIT_EXCEEDED'],
    }),
  ),
  {
    name: 'an array of one axis, and 400,000 axes to put in order',
    bytes: () =>
      pickle(
        call(
          'numpy.core.numeric _frombuffer',
          ['BYTEARRAY8', new Uint8Array(1)],
          str('u1'),
          tuple(int(1)),
          str('K'),
          tuple(repeat(400_000, ['BININT1', 0])),
        ),
      ),
    gives: 'inert',
  },
  {
    name: 'texts: a UUID with 300,000 braces between letters',
    bytes: () => pickle(call('uuid UUID', str(`a${'{'.repeat(300_000)}a`))),
    gives: 'inert',
  },
  {
    name: 'texts: a Windows path of 100,000 segments on a share of half a million letters',
    bytes: () =>
      pickle(
        call(
          'pathlib PureWindowsPath',
          str(`\\\\host\\${'a'.repeat(500_000)}`),
          str('x'),
          ['BINPUT', 0],
          repeat(100_000, ['BINGET', 0]),
        ),
      ),
  },
  {
    name: `${GLOBALS.toLocaleString('en')} globals of different names`,
    bytes: () =>
      whole(
        asm(
          'MARK',
          Array.from({ length: GLOBALS }, (_, i) => ['GLOBAL', `module${i} name`] as const),
          'LIST',
        ),
      ),
  },
];

/** Each goes through plain `load`. */
export const SHARING_CASES: readonly HostileCase[] = ROWS.map((row) => ({ door: 'load' as const, ...row }));
