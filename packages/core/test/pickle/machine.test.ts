import { describe, expect, it } from 'vitest';
import { type ErrorCode, isMmdError } from '../../src/errors.ts';
import { type MaskedArray, NDArray } from '../../src/ndarray/index.ts';
import {
  ByteArray,
  Complex,
  type Construct,
  Decoder,
  dump,
  ELLIPSIS,
  type EmitOp,
  emit,
  type LoadOptions,
  load,
  loadAt,
  loadEntry,
  OpaqueGlobal,
  OpaqueObject,
  type OutOfBandBuffer,
  type PyComplex,
  PyDict,
  PyFloat,
  PySet,
  PyString,
  Tuple,
} from '../../src/pickle/index.ts';

const bytes = (...list: number[]): Uint8Array => Uint8Array.from(list);
const run = (ops: readonly EmitOp[], options?: LoadOptions): unknown => load(emit([...ops, 'STOP']), options);

function failure(act: () => unknown): { code: ErrorCode; offset?: number; limit?: string } {
  try {
    act();
  } catch (error) {
    if (isMmdError(error)) return error as { code: ErrorCode };
    throw error;
  }
  throw new Error('nothing was thrown');
}

const object = (name = 'Thing'): EmitOp[] => [['GLOBAL', `shop ${name}`], 'EMPTY_TUPLE', 'REDUCE'];

describe('every opcode', () => {
  it.each<[string, EmitOp[], unknown]>([
    ['INT', [['INT', 12]], 12],
    ['INT of a bool', [['INT', true]], true],
    ['INT beyond 2^53', [['INT', -(10n ** 20n)]], -(10n ** 20n)],
    ['LONG', [['LONG', 7]], 7],
    ['LONG1', [['LONG1', -129]], -129],
    ['LONG1 of zero bytes', [['LONG1', 0]], 0],
    ['LONG4', [['LONG4', 2n ** 80n]], 2n ** 80n],
    ['BININT', [['BININT', -2]], -2],
    ['BININT1', [['BININT1', 255]], 255],
    ['BININT2', [['BININT2', 65_535]], 65_535],
    ['FLOAT', [['FLOAT', new PyFloat(-1.5)]], -1.5],
    ['FLOAT inf', [['FLOAT', new PyFloat(Number.NEGATIVE_INFINITY)]], Number.NEGATIVE_INFINITY],
    ['BINFLOAT', [['BINFLOAT', 0.1]], 0.1],
    ['STRING', [['STRING', bytes(97, 39, 10, 92)]], "a'\n\\"],
    ['BINSTRING', [['BINSTRING', 'abc']], 'abc'],
    ['SHORT_BINSTRING', [['SHORT_BINSTRING', 'abc']], 'abc'],
    ['UNICODE', [['UNICODE', 'é\n\\u0041 €😀']], 'é\n\\u0041 €😀'],
    ['SHORT_BINUNICODE', [['SHORT_BINUNICODE', 'é']], 'é'],
    ['BINUNICODE', [['BINUNICODE', 'x'.repeat(300)]], 'x'.repeat(300)],
    ['BINUNICODE8', [['BINUNICODE8', 'y']], 'y'],
    ['SHORT_BINBYTES', [['SHORT_BINBYTES', bytes(1)]], bytes(1)],
    ['BINBYTES', [['BINBYTES', bytes(1, 2)]], bytes(1, 2)],
    ['BINBYTES8', [['BINBYTES8', bytes(1, 2)]], bytes(1, 2)],
    ['BYTEARRAY8', [['BYTEARRAY8', bytes(1, 2)]], new ByteArray([1, 2])],
    ['NONE, NEWTRUE, NEWFALSE', ['NONE', 'NEWTRUE', 'NEWFALSE', 'TUPLE3'], new Tuple(null, true, false)],
    ['LIST', ['MARK', 'NONE', 'LIST'], [null]],
    ['TUPLE', ['MARK', 'NONE', 'NONE', 'NONE', 'NONE', 'TUPLE'], new Tuple(null, null, null, null)],
    ['DICT', ['MARK', 'NONE', ['BININT1', 1], 'DICT'], new Map([[null, 1]])],
    ['SETITEM', ['EMPTY_DICT', 'NONE', 'NEWTRUE', 'SETITEM'], new Map([[null, true]])],
    [
      'SETITEMS twice',
      ['EMPTY_DICT', 'MARK', 'NONE', 'NONE', 'SETITEMS', 'MARK', ['BININT1', 1], 'NONE', 'SETITEMS'],
      new Map([
        [null, null],
        [1, null],
      ] as [unknown, unknown][]),
    ],
    [
      'ADDITEMS twice',
      ['EMPTY_SET', 'MARK', 'NONE', 'ADDITEMS', 'MARK', ['BININT1', 1], 'ADDITEMS'],
      new Set([null, 1]),
    ],
    ['POP_MARK', ['NONE', 'MARK', 'NONE', 'POP_MARK'], null],
    ['POP of a mark', ['NONE', 'MARK', 'POP'], null],
    ['DUP', ['NONE', 'DUP', 'TUPLE2'], new Tuple(null, null)],
    ['PUT and GET', ['NONE', ['PUT', 7], 'POP', ['GET', 7]], null],
    ['LONG_BINPUT of 2^32 - 1', ['NONE', ['LONG_BINPUT', 2 ** 32 - 1], 'POP', ['LONG_BINGET', 2 ** 32 - 1]], null],
    [
      'MEMOIZE after sparse slots',
      ['NONE', ['BINPUT', 9], 'EMPTY_TUPLE', 'MEMOIZE', 'POP', 'POP', ['BINGET', 1]],
      new Tuple(),
    ],
    [
      'a memo slot that is set again',
      ['NONE', 'MEMOIZE', 'NEWTRUE', ['BINPUT', 0], ['BINGET', 0], 'TUPLE3'],
      new Tuple(null, true, true),
    ],
    [
      'a sparse slot that the count reaches',
      [
        'NEWTRUE',
        ['BINPUT', 1],
        'NONE',
        ['BINPUT', 0],
        'NEWFALSE',
        ['BINPUT', 1],
        ['BINGET', 1],
        ['BINGET', 0],
        'TUPLE2',
      ],
      new Tuple(false, null),
    ],
  ])('%s', (_name, ops, value) => {
    expect(run(ops)).toEqual(value);
    expect(run(ops, { borrow: false })).toEqual(value);
  });

  it('Ellipsis is a value, by both opcodes', () => {
    expect(run([['GLOBAL', 'builtins Ellipsis']])).toBe(ELLIPSIS);
    expect(String(run([['PROTO', 4], ['UNICODE', 'builtins'], ['UNICODE', 'NotImplemented'], 'STACK_GLOBAL']))).toBe(
      'NotImplemented',
    );
  });
});

describe('opcodes that do not fit their operands', () => {
  it.each<[string, EmitOp[], ErrorCode]>([
    ['APPEND without a list', ['NONE', 'APPEND'], 'BAD_OPCODE'],
    ['APPEND to a tuple', ['EMPTY_TUPLE', 'NONE', 'APPEND'], 'BAD_OPCODE'],
    ['APPEND on nothing', ['APPEND'], 'BAD_OPCODE'],
    ['APPENDS without a mark', ['EMPTY_LIST', 'APPENDS'], 'BAD_OPCODE'],
    ['APPENDS across a mark', ['EMPTY_LIST', 'MARK', 'MARK', 'NONE', 'APPENDS'], 'BAD_OPCODE'],
    ['SETITEM across a mark', ['EMPTY_DICT', 'MARK', 'NONE', 'NONE', 'SETITEM'], 'BAD_OPCODE'],
    ['SETITEM on a list', ['EMPTY_LIST', 'NONE', 'NONE', 'SETITEM'], 'BAD_OPCODE'],
    ['SETITEMS with a key alone', ['EMPTY_DICT', 'MARK', 'NONE', 'SETITEMS'], 'BAD_OPCODE'],
    ['DICT with a key alone', ['MARK', 'NONE', 'DICT'], 'BAD_OPCODE'],
    ['DICT with a list as key', ['MARK', 'EMPTY_LIST', 'NONE', 'DICT'], 'BAD_KEY'],
    ['ADDITEMS on a list', ['EMPTY_LIST', 'MARK', 'ADDITEMS'], 'BAD_OPCODE'],
    ['ADDITEMS on a frozenset', ['MARK', 'FROZENSET', 'MARK', 'ADDITEMS'], 'BAD_OPCODE'],
    ['FROZENSET of a list', ['MARK', 'EMPTY_LIST', 'FROZENSET'], 'BAD_KEY'],
    ['POP on nothing', ['POP'], 'BAD_OPCODE'],
    ['DUP on nothing', ['DUP'], 'BAD_OPCODE'],
    ['TUPLE1 on a mark', ['MARK', 'TUPLE1'], 'BAD_OPCODE'],
    ['TUPLE2 on one item', ['NONE', 'TUPLE2'], 'BAD_OPCODE'],
    ['TUPLE3 on two items', ['NONE', 'NONE', 'TUPLE3'], 'BAD_OPCODE'],
    ['STOP on nothing', [], 'BAD_OPCODE'],
    ['STOP on a mark', ['NONE', 'MARK'], 'BAD_OPCODE'],
    ['MEMOIZE on nothing', ['MEMOIZE'], 'BAD_OPCODE'],
    ['BINPUT on a mark', ['MARK', ['BINPUT', 0]], 'BAD_OPCODE'],
    ['GET of an empty slot', [['BINGET', 0]], 'CORRUPT'],
    ['GET of a negative slot', [['GET', -1]], 'CORRUPT'],
    ['PUT of a huge slot', ['NONE', ['PUT', 2n ** 70n]], 'CORRUPT'],
    ['STACK_GLOBAL of a number', ['NONE', ['UNICODE', 'x'], 'STACK_GLOBAL'], 'BAD_OPCODE'],
    ['STACK_GLOBAL with a number as module', [['UNICODE', 'x'], 'NONE', 'STACK_GLOBAL'], 'BAD_OPCODE'],
    ['REDUCE of a number', ['NONE', 'EMPTY_TUPLE', 'REDUCE'], 'BAD_OPCODE'],
    ['REDUCE with a list', [['GLOBAL', 'a b'], 'EMPTY_LIST', 'REDUCE'], 'BAD_OPCODE'],
    ['OBJ of nothing', ['MARK', 'OBJ'], 'BAD_OPCODE'],
    ['NEWOBJ of a text', [['UNICODE', 'a'], 'EMPTY_TUPLE', 'NEWOBJ'], 'BAD_OPCODE'],
    ['NEWOBJ_EX without keywords', [['GLOBAL', 'a b'], 'EMPTY_TUPLE', 'NONE', 'NEWOBJ_EX'], 'BAD_OPCODE'],
    [
      'NEWOBJ_EX with a number as keyword',
      [['GLOBAL', 'a b'], 'EMPTY_TUPLE', 'EMPTY_DICT', 'NONE', 'NONE', 'SETITEM', 'NEWOBJ_EX'],
      'BAD_OPCODE',
    ],
    ['BUILD on a number', ['NEWTRUE', 'EMPTY_DICT', 'BUILD'], 'BAD_OPCODE'],
    ['BUILD on a dict', ['EMPTY_DICT', 'EMPTY_DICT', 'BUILD'], 'BAD_OPCODE'],
    ['BUILD on a class', [['GLOBAL', 'a b'], 'EMPTY_DICT', 'BUILD'], 'BAD_OPCODE'],
    ['an extension code of 0', [['EXT1', 0]], 'CORRUPT'],
    ['a negative extension code', [['EXT4', -1]], 'CORRUPT'],
    ['a protocol from the future', [['PROTO', 6]], 'BAD_OPCODE'],
    ['READONLY_BUFFER of a bytearray', [['BYTEARRAY8', bytes()], 'READONLY_BUFFER'], 'BAD_OPCODE'],
    ['NEXT_BUFFER without buffers', ['NEXT_BUFFER'], 'UNSUPPORTED_VALUE'],
  ])('%s', (_name, ops, code) => {
    expect(failure(() => run(ops)).code).toBe(code);
  });

  it.each<[string, string | readonly number[], ErrorCode]>([
    ['an INT in octal with an invalid digit', 'I08\n.', 'CORRUPT'],
    ['an INT in octal that no C long can hold', 'I01777777777777777777777\n.', 'CORRUPT'],
    ['an INT in octal with an underscore', 'I0_7\n.', 'CORRUPT'],
    ['an INT with a NUL', 'I1\0\n.', 'CORRUPT'],
    ['an INT of digits beyond ASCII', 'I\u0663\n.', 'CORRUPT'],
    ['an INT with two underscores', 'I1__0\n.', 'CORRUPT'],
    ['a LONG in octal', 'L010L\n.', 'CORRUPT'],
    ['a PUT in hexadecimal', 'Np0x1\n.', 'CORRUPT'],
    ['a FLOAT with a blank', 'F 1.5\n.', 'CORRUPT'],
    ['a FLOAT with an underscore', 'F1_0.5\n.', 'CORRUPT'],
    ['a malformed FLOAT', 'F1.2.3\n.', 'CORRUPT'],
    ['a FLOAT that no float can hold', 'F1e309\n.', 'CORRUPT'],
    ['a STRING without quotes', 'Sabc\n.', 'CORRUPT'],
    ['a STRING with two kinds of quotes', 'S\'abc"\n.', 'CORRUPT'],
    ['a STRING that ends in a backslash', "S'a\\'\n.", 'CORRUPT'],
    ['a STRING with a wrong \\x', "S'\\xg0'\n.", 'CORRUPT'],
    ['a truncated UNICODE escape', 'V\\u00\n.', 'CORRUPT'],
    ['a UNICODE escape beyond U+10FFFF', 'V\\U00110000\n.', 'CORRUPT'],
    ['a line without its end', 'I12', 'TRUNCATED'],
    ['a LONG4 of negative length', [0x8b, 0xff, 0xff, 0xff, 0xff, 0x2e], 'CORRUPT'],
    ['a BINSTRING of negative length', [0x54, 0xff, 0xff, 0xff, 0xff, 0x2e], 'CORRUPT'],
    ['a BINBYTES8 of 2^63 bytes', [0x8e, 0, 0, 0, 0, 0, 0, 0, 0x80, 0x2e], 'TRUNCATED'],
    ['a truncated BININT', [0x4a, 1], 'TRUNCATED'],
    ['a truncated BININT1', [0x4b], 'TRUNCATED'],
    ['a truncated BININT2', [0x4d, 1], 'TRUNCATED'],
    ['a truncated BINFLOAT', [0x47, 1], 'TRUNCATED'],
    ['a SHORT_BINUNICODE without its length', [0x8c], 'TRUNCATED'],
    ['a truncated SHORT_BINUNICODE', [0x8c, 3, 0x61], 'TRUNCATED'],
    ['a BINUNICODE without its length', [0x58, 1], 'TRUNCATED'],
    ['a truncated BINUNICODE', [0x58, 3, 0, 0, 0, 0x61], 'TRUNCATED'],
    ['a truncated BINPUT', [0x4e, 0x71], 'TRUNCATED'],
    ['a truncated BINGET', [0x68], 'TRUNCATED'],
    ['a truncated LONG_BINGET', [0x6a, 0], 'TRUNCATED'],
    ['text that is not UTF-8', [0x8c, 2, 0xc3, 0x28, 0x2e], 'CORRUPT'],
    ['an unknown opcode at the start', [0xff], 'NOT_A_PICKLE'],
    ['an unknown opcode later', [0x4e, 0xff], 'BAD_OPCODE'],
    ['nothing', [], 'NOT_A_PICKLE'],
    ['a frame longer than the input', [0x80, 4, 0x95, 9, 0, 0, 0, 0, 0, 0, 0, 0x4e, 0x2e], 'TRUNCATED'],
    ['a frame that splits an argument', [0x80, 4, 0x95, 2, 0, 0, 0, 0, 0, 0, 0, 0x4d, 5, 0, 0x2e], 'CORRUPT'],
    ['a frame that splits a line', [0x80, 4, 0x95, 2, 0, 0, 0, 0, 0, 0, 0, 0x49, 0x31, 0x0a, 0x2e], 'CORRUPT'],
    [
      'a frame that ends after an opcode with a truncated argument',
      [0x95, 1, 0, 0, 0, 0, 0, 0, 0, 0x4d, 5],
      'TRUNCATED',
    ],
    [
      'a frame that ends after an opcode with a truncated line',
      [0x95, 1, 0, 0, 0, 0, 0, 0, 0, 0x49, 0x31],
      'TRUNCATED',
    ],
    ['a frame in a frame', [0x95, 10, 0, 0, 0, 0, 0, 0, 0, 0x95, 0, 0, 0, 0, 0, 0, 0, 0, 0x4e, 0x2e], 'CORRUPT'],
  ])('%s', (_name, input, code) => {
    const list = typeof input === 'string' ? new TextEncoder().encode(input) : Uint8Array.from(input);
    expect(failure(() => load(list)).code).toBe(code);
    if (input.length > 0) expect(failure(() => load(list, { offset: 1000 })).offset).toBeGreaterThanOrEqual(1000);
  });

  it('a hole in the bytes: load takes bytes only', () => {
    for (const wrong of ['I1\n.', undefined, null, [0x4e]] as never[]) {
      for (const read of [load, loadEntry, (given: Uint8Array) => loadAt(given, 0)]) {
        expect(failure(() => read(wrong)).code).toBe('INVALID_ARGUMENT');
      }
    }
    expect(failure(() => loadAt(bytes(0x4e, 0x2e), 3)).code).toBe('INVALID_ARGUMENT');
    expect(failure(() => loadAt(bytes(0x4e, 0x2e), 0.5)).code).toBe('INVALID_ARGUMENT');
  });
});

describe('text lines of protocol 0', () => {
  const line = (text: string): unknown => load(new TextEncoder().encode(text));
  it.each<[string, unknown]>([
    ['I+7\n.', 7],
    ['I-0\n.', false],
    ['I+1\n.', true],
    ['I 1\n.', true],
    ['I1 \n.', 1],
    ['I\t+0x_1F\f\n.', 31],
    ['I010\n.', 8],
    ['I-01000000000000000000000\n.', -(2n ** 63n)],
    ['I0b101\n.', 5],
    ['I1_000\r\n.', 1000],
    ['I0_0\n.', 0],
    ['L1_000L\n.', 1000],
    ['L-0O17 L\n.', -15],
    ['I7\np 1_0\n0g+010\r\n.', 7],
    ['L-12345678901234567890L\n.', -12345678901234567890n],
    ['F.5\n.', 0.5],
    ['F1e3\n.', 1000],
    ['FInfinity\n.', Number.POSITIVE_INFINITY],
    ['Fnan\n.', Number.NaN],
    ["S'\\x41\\101\\t\\q\\\n'\n.".replace('\\\n', ''), 'AA\t\\q'],
    ['V\\\\u0041\n.', '\\\\u0041'],
    ['V\\\\\\u0041\n.', '\\\\A'],
    ['V\\q\n.', '\\q'],
  ])('%j', (text, value) => {
    expect(line(text)).toEqual(value);
  });

  it('distinguish a surrogate pair of two escapes only in lossless mode', () => {
    const pair = new TextEncoder().encode('Va\\ud83d\\ude00b\\\\\\ud83d\n.');
    expect(load(pair)).toBe('a😀b\\\\\ud83d');
    const kept = load(pair, { lossless: true }) as PyString;
    expect(kept).toBeInstanceOf(PyString);
    expect([...kept]).toEqual(['a', '\ud83d', '\ude00', 'b', '\\', '\\', '\ud83d']);
    expect(load(new TextEncoder().encode('V\\ud83d\\\\ude00\n.'), { lossless: true })).toBe('\ud83d\\\\ude00');
  });
});

describe('Python 2 strings', () => {
  const high = emit([['SHORT_BINSTRING', bytes(0x61, 0xe9)], 'STOP']);
  it('are read with the given encoding', () => {
    expect(failure(() => load(high)).code).toBe('CORRUPT');
    expect(load(high, { encoding: 'latin1' })).toBe('aé');
    expect(load(high, { encoding: 'bytes' })).toEqual(bytes(0x61, 0xe9));
    expect(failure(() => load(high, { encoding: 'utf-8' })).code).toBe('CORRUPT');
    expect(load(emit([['BINSTRING', bytes(0xc3, 0xa9)], 'STOP']), { encoding: 'utf-8' })).toBe('é');
  });
});

describe('several pickles, entries and frames', () => {
  it('STOP ends a pickle before the end of its frame, whatever follows it', () => {
    const frame = [0x95, 3, 0, 0, 0, 0, 0, 0, 0, 0x4e, 0x2e, 0x4e];
    for (const input of [frame, [...frame, 0x4e]]) expect(loadAt(bytes(...input), 0)).toEqual({ value: null, end: 11 });
  });
  it('loadAt reports where a pickle ends', () => {
    const both = new Uint8Array([...dump(1), ...dump('two')]);
    const first = loadAt(both, 0);
    expect(first).toEqual({ value: 1, end: dump(1).length });
    expect(loadAt(both, first.end)).toEqual({ value: 'two', end: both.length });
  });

  it('a Decoder keeps nothing of what it has read', () => {
    const decoder = new Decoder();
    decoder.load(emit(['NONE', 'MEMOIZE', 'STOP']));
    expect(failure(() => decoder.load(emit([['BINGET', 0], 'STOP']))).code).toBe('CORRUPT');
    expect(decoder.load(emit(['MARK', 'NONE', 'STOP']))).toBeNull();
    expect(failure(() => decoder.load(emit(['NONE', 'POP_MARK', 'STOP']))).code).toBe('BAD_OPCODE');
    expect(decoder.load(emit(['NEWTRUE', 'STOP']))).toBe(true);
    const names = Array.from({ length: 300 }, (_, i): EmitOp => ['GLOBAL', `m n${i}`]);
    decoder.load(emit(['MARK', ...names, 'LIST', 'STOP']));
    expect(String(decoder.load(emit([['GLOBAL', 'm n1'], 'STOP'])))).toBe('m.n1');
    decoder.load(emit([...Array.from({ length: 300 }, (): EmitOp => 'NONE'), 'STOP']));
    const part = new Uint8Array([0, 0, ...emit([['BININT1', 5]])]);
    expect(decoder.loadEntry(part, 2, part.length)).toBe(5);
    expect(decoder.loadEntry(part, 2, 99)).toBe(5);
  });

  it.each<[string, EmitOp[], ErrorCode]>([
    ['nothing', [], 'BAD_OPCODE'],
    ['two values', ['NONE', 'NONE'], 'BAD_OPCODE'],
    ['a mark below its value', ['MARK', 'NONE'], 'BAD_OPCODE'],
    ['a STOP', ['NONE', 'STOP'], 'BAD_OPCODE'],
    ['a PROTO', [['PROTO', 4], 'NONE'], 'BAD_OPCODE'],
    ['a FRAME', [['FRAME', 1], 'NONE'], 'BAD_OPCODE'],
    ['a MEMOIZE', ['NONE', 'MEMOIZE'], 'BAD_OPCODE'],
    ['a GET of a slot set by others', [['BINGET', 0]], 'CORRUPT'],
    ['a POP below its start', ['POP', 'NONE'], 'BAD_OPCODE'],
  ])('an entry with %s is refused', (_name, ops, code) => {
    expect(failure(() => loadEntry(emit(ops))).code).toBe(code);
  });

  it('extra values below the result are accepted in a plain pickle', () => {
    expect(run(['NONE', 'NEWTRUE'])).toBe(true);
  });
});

describe('views and copies', () => {
  it('bytes and arrays are views of the input, unless copies are requested', () => {
    const input = emit([['SHORT_BINBYTES', bytes(1, 2)], ['BYTEARRAY8', bytes(3)], 'TUPLE2', 'STOP']);
    const [view, array] = load(input) as [Uint8Array, ByteArray];
    expect([view.buffer === input.buffer, array.buffer === input.buffer]).toEqual([true, true]);
    const [copy] = load(input, { borrow: false }) as [Uint8Array];
    expect(copy).toEqual(bytes(1, 2));
    expect(copy.buffer === input.buffer).toBe(false);
  });

  it('writable: false forbids stores into arrays', () => {
    const input = dump(new Float64Array([1, 2]), { protocol: 5 });
    (load(input) as NDArray).set(0, 7);
    expect((load(input) as NDArray).get(0)).toBe(7);
    const array = load(input, { writable: false }) as NDArray;
    expect(failure(() => array.set(0, 1)).code).toBe('READ_ONLY');
  });

  it('out-of-band buffers arrive in order, and keep whether they are read-only', () => {
    const ops: EmitOp[] = ['NEXT_BUFFER', 'NEXT_BUFFER', 'READONLY_BUFFER', 'TUPLE2'];
    const [a, b] = run(ops, { buffers: [bytes(1), bytes(2)] }) as [OutOfBandBuffer, OutOfBandBuffer];
    expect([a.bytes, a.index, a.readonly]).toEqual([bytes(1), 0, false]);
    expect([b.bytes, b.index, b.readonly]).toEqual([bytes(2), 1, true]);
    expect(failure(() => run(ops, { buffers: [bytes(1)] })).code).toBe('UNSUPPORTED_VALUE');
  });
});

describe('objects', () => {
  it('an unknown global is one frozen object per name', () => {
    const [a, b] = run([['GLOBAL', 'm A.B'], ['GLOBAL', 'm A.B'], 'TUPLE2']) as [OpaqueGlobal, OpaqueGlobal];
    expect([a === b, Object.isFrozen(a), a.module, a.name]).toEqual([true, true, 'm', 'A.B']);
  });

  it('names of Python 2 are mapped below protocol 3 only', () => {
    expect(String(run([['GLOBAL', 'copy_reg x']]))).toBe('copyreg.x');
    expect(String(run([['GLOBAL', 'UserDict UserDict']]))).toBe('collections.UserDict');
    expect(
      String(
        run([
          ['PROTO', 3],
          ['GLOBAL', 'copy_reg x'],
        ]),
      ),
    ).toBe('copy_reg.x');
  });

  it('an opaque object records how it was made and what was done to it, in order', () => {
    const made = run([
      ...object(),
      'EMPTY_DICT',
      'BUILD',
      'NONE',
      'APPEND',
      'MARK',
      'NEWTRUE',
      'NEWFALSE',
      'APPENDS',
      'NONE',
      'NEWTRUE',
      'SETITEM',
      'MARK',
      ['BININT1', 1],
      ['BININT1', 2],
      'SETITEMS',
      'MARK',
      'NONE',
      'ADDITEMS',
    ]) as OpaqueObject;
    expect(made.operations.map(({ op }) => op)).toEqual([
      'BUILD',
      'APPEND',
      'APPEND',
      'SETITEM',
      'SETITEM',
      'ADDITEMS',
    ]);
    expect([made.kind, String(made), String(made.global)]).toEqual(['REDUCE', 'REDUCE shop.Thing', 'shop.Thing']);
    expect(made.items).toEqual([null, true, false, null]);
    expect(made.dictItems).toEqual([
      [null, true],
      [1, 2],
    ]);
    expect(made.state).toEqual(new Map());
    expect(load(dump(made))).toEqual(made);
  });

  it.each<[string, EmitOp[]]>([
    ['INST', ['MARK', 'NONE', ['INST', 'shop Old']]],
    ['OBJ', ['MARK', ['GLOBAL', 'shop Old'], 'NONE', 'OBJ']],
    ['NEWOBJ', [['GLOBAL', 'shop Old'], 'NONE', 'TUPLE1', 'NEWOBJ']],
    [
      'NEWOBJ_EX',
      [['GLOBAL', 'shop Old'], 'NONE', 'TUPLE1', 'EMPTY_DICT', ['UNICODE', 'k'], 'NONE', 'SETITEM', 'NEWOBJ_EX'],
    ],
    ['REDUCE', [['GLOBAL', 'shop Old'], 'NONE', 'TUPLE1', 'REDUCE']],
    ['REDUCE', [...object(), 'NONE', 'TUPLE1', 'REDUCE']],
    ['BINPERSID', ['NONE', 'BINPERSID']],
    ['PERSID', [['PERSID', 'id7']]],
    ['EXT', [['EXT1', 7]]],
    ['EXT', [['EXT2', 700]]],
    ['EXT', [['EXT4', 70_000]]],
  ])('%s gives an object of that kind, which can be written again', (kind, ops) => {
    const made = run([['PROTO', 4], ...ops]) as OpaqueObject;
    expect(made.kind).toBe(kind);
    for (const protocol of [2, 4] as const) {
      const again = load(dump(made, { protocol })) as OpaqueObject;
      expect(again.args).toEqual(made.args);
      expect(String(again.callable)).toBe(String(made.callable));
    }
  });

  it('the class is found through copyreg helpers', () => {
    const made = run([
      ['GLOBAL', 'copyreg _reconstructor'],
      ['GLOBAL', 'shop Old'],
      ['GLOBAL', 'builtins object'],
      'NONE',
      'TUPLE3',
      'REDUCE',
    ]) as OpaqueObject;
    expect(String(made.global)).toBe('shop.Old');
    expect((run(['NONE', 'BINPERSID']) as OpaqueObject).global).toBeUndefined();
    expect(String(run(['NONE', 'BINPERSID']))).toBe('BINPERSID ?');
  });

  it('getattr of a global is a dotted name; any other getattr stays a call', () => {
    const ops = (attribute: EmitOp[]): EmitOp[] => [
      ['GLOBAL', '__builtin__ getattr'],
      ['GLOBAL', 'm A'],
      ...attribute,
      'TUPLE2',
      'REDUCE',
    ];
    expect(String(run(ops([['UNICODE', 'B']])))).toBe('m.A.B');
    for (const attribute of [['UNICODE', ''], ['UNICODE', 'a.b'], 'NONE'] as EmitOp[]) {
      expect(run(ops([attribute]))).toBeInstanceOf(OpaqueObject);
    }
    expect(run([['GLOBAL', 'copyreg __newobj_ex__'], ['GLOBAL', 'm A'], 'NONE', 'TUPLE2', 'REDUCE'])).toBeInstanceOf(
      OpaqueObject,
    );
    expect(
      (
        run([
          ['GLOBAL', 'copyreg __newobj_ex__'],
          ['GLOBAL', 'm A'],
          'EMPTY_TUPLE',
          'NONE',
          'TUPLE3',
          'REDUCE',
        ]) as OpaqueObject
      ).kind,
    ).toBe('REDUCE');
  });

  it('a call whose result is popped is attached to its first argument', () => {
    const [thing] = run([
      ...object(),
      ['BINPUT', 0],
      ['GLOBAL', 'shop set_state'],
      ['BINGET', 0],
      'NONE',
      'TUPLE2',
      'REDUCE',
      'POP',
      'TUPLE1',
    ]) as [OpaqueObject];
    expect(thing.operations.map(({ op }) => op)).toEqual(['CALL']);
    expect(load(dump([thing]))).toEqual([thing]);
    // Nothing to attach it to.
    expect(run(['NONE', ['GLOBAL', 'os system'], ['UNICODE', 'ls'], 'TUPLE1', 'REDUCE', 'POP'])).toBeNull();
    expect(run(['NONE', ...object(), 'POP'])).toBeNull();
  });

  it('a placeholder that is referenced before its BUILD stays opaque, and so does one with an unknown state', () => {
    const uuid: EmitOp[] = [['GLOBAL', 'uuid UUID'], 'EMPTY_TUPLE', 'NEWOBJ'];
    const state: EmitOp[] = ['EMPTY_DICT', ['UNICODE', 'int'], ['BININT1', 5], 'SETITEM', 'BUILD'];
    expect(String(run([...uuid, ['BINPUT', 0], ...state, ['BINGET', 0], 'TUPLE2']))).toBe(
      new Array(2).fill('00000000-0000-0000-0000-000000000005').join(),
    );
    const [first, second] = run([...uuid, 'DUP', ...state, 'TUPLE2']) as [OpaqueObject, OpaqueObject];
    expect([first instanceof OpaqueObject, first === second]).toEqual([true, true]);
    expect(run([...uuid, ['BINPUT', 0], ['BINGET', 0], ...state])).toBeInstanceOf(OpaqueObject);
    expect(run([...uuid, 'NONE', 'BUILD'])).toBeInstanceOf(OpaqueObject);
    expect(run([...uuid, ...uuid, ...state, 'TUPLE2'])).toHaveLength(2);
    const reused = run([
      ...uuid,
      ['BINPUT', 0],
      'NONE',
      ['BINPUT', 0],
      'POP',
      ...state,
      ['BINGET', 0],
      'TUPLE2',
    ]) as Tuple;
    expect([String(reused[0]), reused[1]]).toEqual(['00000000-0000-0000-0000-000000000005', null]);
    expect(run([...uuid, ...object(), ['BINPUT', 1], ['BINGET', 1], 'TUPLE3'])).toHaveLength(3);
  });
});

describe('user resolvers', () => {
  it('persistent ids and extension codes are resolved, or stay opaque', () => {
    expect(
      run([['PERSID', 'a'], 'NONE', 'BINPERSID', 'TUPLE2'], { persistentLoad: (id) => (id === 'a' ? 1 : undefined) }),
    ).toEqual(new Tuple(1, new OpaqueObject('BINPERSID', null, new Tuple(null))));
    expect(String(run([['EXT1', 3]], { extension: () => ['m', 'n'] }))).toBe('m.n');
    expect(run([['EXT1', 3]], { extension: () => undefined })).toBeInstanceOf(OpaqueObject);
  });

  it('names of extension codes are Python 2 names below protocol 3, like those in the pickle itself', () => {
    const made = (protocol: number, name: string) =>
      run(
        [
          ['PROTO', protocol],
          ['EXT1', 3],
        ],
        { extension: () => ['__builtin__', name] },
      );
    expect(String(made(2, 'xrange'))).toBe('builtins.range');
    expect(made(2, 'Ellipsis')).toBe(ELLIPSIS);
    expect(String(made(3, 'xrange'))).toBe('__builtin__.xrange');
  });

  class Thing {
    state: unknown;
    readonly args: readonly unknown[];
    constructor(args: readonly unknown[]) {
      this.args = args;
    }
  }

  it.each<[string, LoadOptions['globals']]>([
    [
      'a Map',
      new Map([
        [
          'shop Thing',
          {
            construct: (args: readonly unknown[]) => new Thing(args),
            setState: (thing: unknown, state: unknown) => ((thing as Thing).state = state),
          },
        ],
      ]),
    ],
    [
      'an object',
      {
        'shop Thing': {
          construct: (args) => new Thing(args),
          setState: (thing, state) => ((thing as Thing).state = state),
        },
      },
    ],
  ])('constructors in %s make objects and set their state', (_name, globals) => {
    const thing = run([...object(), 'NONE', 'BUILD'], { globals }) as Thing;
    expect(thing).toBeInstanceOf(Thing);
    expect(thing.state).toBeNull();
    expect(run(object('toString'), { globals })).toBeInstanceOf(OpaqueObject);
  });

  it("the first space in a constructor's name ends the module", () => {
    const globals = { 'a b c': () => 'made', 'a b': () => 'other' };
    const make = (module: string, name: string): unknown =>
      run([['BINUNICODE', module], ['BINUNICODE', name], 'STACK_GLOBAL', 'EMPTY_TUPLE', 'REDUCE'], { globals });
    expect(make('a', 'b c')).toBe('made');
    expect(make('a', 'b')).toBe('other');
    for (const [module, name] of [
      ['a b', 'c'],
      ['a b c', ''],
      ['a', ' b'],
    ] as const) {
      expect(make(module, name)).toBeInstanceOf(OpaqueObject);
    }
  });

  it('a constructor sees the call, may decline, and may return containers or plain values', () => {
    const seen: unknown[] = [];
    const make =
      (value: unknown): Construct =>
      (args, call) => {
        seen.push(args, call);
        return value;
      };
    const globals = {
      'shop Thing': make(undefined),
      'shop Map': make(new Map()),
      'shop Set': make(new Set()),
      'shop List': make([]),
      'shop Seven': make(7),
    };
    expect(run(object(), { globals })).toBeInstanceOf(OpaqueObject);
    expect(seen).toEqual([new Tuple(), { kind: 'REDUCE', module: 'shop', name: 'Thing', kwargs: null }]);
    expect(run([...object('Map'), 'NONE', 'NEWTRUE', 'SETITEM'], { globals })).toEqual(new Map([[null, true]]));
    expect(run([...object('Set'), 'MARK', 'NONE', 'ADDITEMS'], { globals })).toEqual(new Set([null]));
    expect(run([...object('List'), 'NONE', 'APPEND'], { globals })).toEqual([null]);
    expect(run(object('Seven'), { globals })).toBe(7);
    expect(failure(() => run([...object('Seven'), 'NONE', 'BUILD'], { globals })).code).toBe('BAD_OPCODE');
  });

  it("unknown: 'error' refuses every call that is not on the list", () => {
    const strict: LoadOptions = { unknown: 'error' };
    expect(failure(() => run(object(), strict)).code).toBe('FORBIDDEN_GLOBAL');
    expect(failure(() => run([['GLOBAL', 'builtins set'], 'NONE', 'TUPLE1', 'REDUCE'], strict)).code).toBe(
      'FORBIDDEN_GLOBAL',
    );
    expect(run([['GLOBAL', 'builtins set'], 'EMPTY_TUPLE', 'REDUCE'], strict)).toEqual(new PySet());
    expect(run([['GLOBAL', 'shop Thing']], strict)).toBeInstanceOf(OpaqueGlobal);
  });

  it.each<[string, EmitOp[]]>([
    ['an extension code', [['EXT1', 7]]],
    ['a persistent id', [['PERSID', 'seven']]],
    ['a persistent id on the stack', [['BININT1', 7], 'BINPERSID']],
  ])("unknown: 'error' refuses %s that nothing resolves", (_name, ops) => {
    expect(run(ops)).toBeInstanceOf(OpaqueObject);
    const resolved = {
      extension: () => ['shop', 'Thing'] as const,
      persistentLoad: () => 8,
      unknown: 'error',
    } as const;
    expect(run(ops, resolved)).not.toBeInstanceOf(OpaqueObject);
    expect(failure(() => run(ops, { unknown: 'error' })).code).toBe('FORBIDDEN_GLOBAL');
  });

  it.each<[string, EmitOp[]]>([
    ['that is missing', []],
    ['of another shape', ['EMPTY_DICT', 'BUILD']],
    ['after it was referenced', ['DUP', 'EMPTY_DICT', ['UNICODE', 'int'], ['BININT1', 5], 'SETITEM', 'BUILD']],
  ])("unknown: 'error' refuses an object that needs a state %s", (_name, ops) => {
    const uuid: EmitOp[] = [['GLOBAL', 'uuid UUID'], 'EMPTY_TUPLE', 'NEWOBJ', ...ops];
    expect(run(uuid)).toBeInstanceOf(OpaqueObject);
    expect(failure(() => run(uuid, { unknown: 'error' }))).toMatchObject({
      code: 'FORBIDDEN_GLOBAL',
      offset: expect.any(Number),
    });
  });
});

describe('budgets', () => {
  it.each<[string, EmitOp[], NonNullable<LoadOptions['limits']>]>([
    ['opcodes', ['NONE', 'POP', 'NONE'], { opcodes: 3 }],
    ['memo', ['NONE', 'MEMOIZE', 'MEMOIZE'], { memo: 1 }],
    ['stack', ['NONE', 'NONE', 'NONE', 'NONE'], { stack: 2 }],
    ['depth', ['MARK', 'MARK', 'NONE'], { depth: 1 }],
    [
      'string',
      [
        ['UNICODE', 'a'],
        ['BINUNICODE', 'x'.repeat(30)],
      ],
      { string: 29 },
    ],
    ['string', [['BINSTRING', 'x'.repeat(30)]], { string: 29 }],
    ['integer', [['LONG1', 2n ** 200n]], { integer: 8 }],
    ['integer', [['LONG', 10n ** 200n]], { integer: 8 }],
    ['bytes', [['BINUNICODE', 'x'.repeat(30)]], { bytes: 29 }],
    ['keys', ['EMPTY_DICT', 'NONE', 'TUPLE1', 'NONE', 'SETITEM', 'NONE', 'TUPLE1', 'NONE', 'SETITEM'], { keys: 1 }],
  ])('%s: a typed error that names it', (limit, ops, limits) => {
    expect(failure(() => run(ops, { limits }))).toMatchObject({ code: 'LIMIT_EXCEEDED', limit });
    expect(() => run(ops)).not.toThrow();
  });
});

describe('lossless mode', () => {
  const nan = (high: number): Uint8Array => bytes(0x47, high, 0xf8, 0, 0, 0, 0, 0, 1, 0x2e);
  it('marks what a JavaScript value would not preserve', () => {
    const lossless = { lossless: true };
    expect(run([['BINFLOAT', 1]], lossless)).toEqual(new PyFloat(1));
    expect(run([['FLOAT', new PyFloat(2)]], lossless)).toEqual(new PyFloat(2));
    expect(run([['BINFLOAT', -0]], lossless)).toBe(-0);
    expect(run([['BINFLOAT', 1.5]], lossless)).toBe(1.5);
    expect(run([['BINFLOAT', 1e300]], lossless)).toBe(1e300);
    expect(run([['BINFLOAT', Number.NaN]], lossless)).toBe(Number.NaN);
    expect(load(new TextEncoder().encode('F-nan\n.'), lossless)).toEqual(new PyFloat(0xfff8000000000000n));
    for (const high of [0x7f, 0xff]) {
      const kept = load(nan(high), lossless) as PyFloat;
      expect(kept).toBeInstanceOf(PyFloat);
      expect(dump(kept, { protocol: 2 }).slice(2)).toEqual(nan(high));
      expect(load(nan(high))).toBe(Number.NaN);
    }
    const pair = bytes(0xed, 0xa0, 0xbd, 0xed, 0xb8, 0x80);
    const text = new Uint8Array([0x8c, 6, ...pair, 0x2e]);
    const kept = load(text, lossless) as PyString;
    expect([kept.utf8, String(kept), JSON.stringify(kept)]).toEqual([pair, '😀', '"😀"']);
    expect(load(dump(kept), lossless)).toEqual(kept);
    expect(load(text)).toBe('😀');
    expect(run([['SHORT_BINUNICODE', '😀']], lossless)).toBe('😀');
  });
});

describe('a complex number', () => {
  const part = (bits: bigint): EmitOp => ['BINFLOAT', new PyFloat(bits)];
  const PAYLOAD = 0xfff8_0000_0000_0123n;
  const ONE = 0x3ff0_0000_0000_0000n;
  const CANONICAL = 0x7ff8_0000_0000_0000n;

  it.each([
    [PAYLOAD, ONE],
    [ONE, PAYLOAD],
    [PAYLOAD, CANONICAL],
    [0x7ff0_0000_0000_0001n, 0xfff0_0000_0000_0002n],
  ])('keeps the bits of its NaN in lossless mode: %s, %s', (real, imag) => {
    const pickle = emit([
      ['PROTO', 2],
      ['GLOBAL', 'builtins complex'],
      part(real),
      part(imag),
      'TUPLE2',
      'REDUCE',
      'STOP',
    ]);
    for (const lossless of [true, false]) expect(load(pickle, { lossless })).toBeInstanceOf(Complex);
    const kept = load(pickle, { lossless: true }) as PyComplex;
    expect([kept.real.bits, kept.imag.bits]).toEqual([real, imag]);
    expect([kept.re, kept.im]).toEqual([kept.real.value, kept.imag.value]);
    expect(Object.isFrozen(kept)).toBe(true);
    for (const protocol of [2, 3, 4, 5] as const) {
      const again = load(dump([kept, kept], { protocol }), { lossless: true }) as PyComplex[];
      expect(again[0]).toEqual(kept);
      expect(again[1]).toBe(again[0]);
    }
    expect(new PySet([kept, kept]).size).toBe(1);
  });

  it('is a plain one in lossless mode if no bits would be lost', () => {
    const pickle = dump([new Complex(1, Number.NaN), new Complex(-0, 2.5)]);
    expect(load(pickle, { lossless: true })).toEqual([new Complex(1, Number.NaN), new Complex(-0, 2.5)]);
  });
});

describe('arrays', () => {
  it('an object array, a masked array and the legacy spelling load', () => {
    const objects = load(dump(NDArray.ofObjects([1, 'a', null, 2n ** 70n], [2, 2]))) as NDArray;
    expect(objects.toNested()).toEqual([
      [1, 'a'],
      [null, 2n ** 70n],
    ]);
    const flat = run([
      ['GLOBAL', 'numpy.core.fromnumeric reshape'],
      ['GLOBAL', 'numpy.core.multiarray fromstring'],
      ['BINBYTES8', bytes(1, 0, 2, 0)],
      ['SHORT_BINUNICODE', 'int16'],
      'TUPLE2',
      'REDUCE',
      ['BININT1', 2],
      ['BININT1', 1],
      'TUPLE2',
      'TUPLE2',
      'REDUCE',
    ]) as NDArray;
    expect(flat.toNested()).toEqual([[1], [2]]);
    const masked = load(
      emit([
        ['GLOBAL', 'numpy.ma.core MaskedArray'],
        ['GLOBAL', 'numpy frombuffer'],
        ['SHORT_BINBYTES', bytes(5, 6)],
        ['UNICODE', 'u1'],
        'TUPLE2',
        'REDUCE',
        ['GLOBAL', 'numpy frombuffer'],
        ['SHORT_BINBYTES', bytes(0, 1)],
        ['UNICODE', 'bool'],
        'TUPLE2',
        'REDUCE',
        'TUPLE2',
        'REDUCE',
        'STOP',
      ]),
    ) as MaskedArray;
    expect([masked.get(0), masked.get(1)]).toEqual([5, null]);
    expect(new PyDict([['a', 1]])).toEqual(new Map([['a', 1]]));
  });
});
