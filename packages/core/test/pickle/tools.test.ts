import { describe, expect, it } from 'vitest';
import {
  check,
  dis,
  dump,
  type EmitOp,
  emit,
  genops,
  HIGHEST_PROTOCOL,
  OPCODE_BY_CODE,
  OPCODES,
  PyFloat,
  PyString,
} from '../../src/pickle/index.ts';

const refused = (code: string, message?: RegExp) =>
  expect.objectContaining({ code, ...(message === undefined ? {} : { message: expect.stringMatching(message) }) });
const text = (value: string): Uint8Array => Uint8Array.from(value, (letter) => letter.charCodeAt(0));

describe('the opcode table', () => {
  it('has 68 opcodes, each with a distinct byte', () => {
    expect(Object.keys(OPCODES).length).toBe(68);
    expect(OPCODE_BY_CODE.filter((opcode) => opcode !== undefined).length).toBe(68);
    expect(Math.max(...Object.values(OPCODES).map(({ proto }) => proto))).toBe(HIGHEST_PROTOCOL);
  });
});

describe('genops and emit', () => {
  it('refuses an invalid start position, and unknown opcodes', () => {
    for (const wrong of [null, 'x', 1n, -1, {}] as never[]) {
      expect(() => [...genops(emit(['NONE', 'STOP']), wrong)]).toThrow(refused('INVALID_ARGUMENT'));
      expect(() => check(emit(['NONE', 'STOP']), wrong)).toThrow(refused('INVALID_ARGUMENT'));
    }
    for (const wrong of [undefined, 5, 'STOP', ['NOTHING'], [['toString', 1]], [null]] as never[])
      expect(() => emit(wrong)).toThrow(refused('INVALID_ARGUMENT'));
  });

  it('refuses input that is not bytes', () => {
    for (const wrong of ['I1\n.', undefined, [0x4e, 0x2e]]) {
      expect(() => dis(wrong as never)).toThrow(refused('INVALID_ARGUMENT', /Uint8Array/));
      expect(() => [...genops(wrong as never)]).toThrow(refused('INVALID_ARGUMENT', /Uint8Array/));
    }
  });

  const pair = new PyString(Uint8Array.of(0xed, 0xa0, 0xbd, 0xed, 0xb8, 0x80), '😀');
  const OPS: EmitOp[] = [
    ['PROTO', 4],
    ['INT', 5],
    ['INT', true],
    ['INT', false],
    ['LONG', 2n ** 70n],
    ['LONG1', -5],
    ['LONG4', 2n ** 70n],
    ['FLOAT', new PyFloat(1)],
    ['FLOAT', new PyFloat(Number.NaN)],
    ['BINFLOAT', new PyFloat(0.5)],
    ['STRING', 'it\'s "both"\n'],
    ['STRING', 'plain'],
    ['BINSTRING', 'é'],
    ['SHORT_BINSTRING', 'é'],
    ['UNICODE', 'a\\b\n\0€😀'],
    ['UNICODE', pair],
    ['BINUNICODE', pair],
    ['SHORT_BINUNICODE', 'é'],
    ['BINUNICODE8', '😀'],
    ['BINBYTES', Uint8Array.of(1)],
    ['BYTEARRAY8', Uint8Array.of(2)],
    ['FRAME', 2n ** 60n],
    ['GLOBAL', 'a.b C.d'],
    ['PERSID', 'id'],
    ['EXT4', -7],
    ['BININT2', 513],
    ['LONG_BINGET', 2 ** 32 - 1],
    'STOP',
  ];
  it('are each the inverse of the other', () => {
    const bytes = emit(OPS);
    const again = Array.from(genops(bytes), ({ name, arg }): EmitOp => (arg === null ? name : [name, arg]));
    expect(emit(again)).toEqual(bytes);
    expect(again.map((op) => (typeof op === 'string' ? op : op[0]))).toEqual(
      OPS.map((op) => (typeof op === 'string' ? op : op[0])),
    );
  });

  it.each<[string, EmitOp]>([
    ['a missing argument', 'BININT1'],
    ['one argument too many', ['NONE', 1]],
    ['a number too large', ['BININT1', 256]],
    ['a negative count', ['BINPUT', -1]],
    ['a number with a fraction', ['BININT', 1.5]],
    ['text instead of a number', ['BININT', 'x']],
    ['text instead of bytes', ['BINBYTES', 'x']],
    ['bytes instead of text', ['BINUNICODE', Uint8Array.of(1)]],
    ['text that is too long', ['SHORT_BINUNICODE', 'x'.repeat(256)]],
  ])('emit refuses %s', (_name, op) => {
    expect(() => emit([op])).toThrow(refused('INVALID_ARGUMENT'));
  });

  it.each<[string, Uint8Array, string, RegExp]>([
    ['an end without STOP', text('N'), 'TRUNCATED', /^pickle exhausted before seeing STOP$/],
    ['an unknown first byte', Uint8Array.of(0xff), 'NOT_A_PICKLE', /^at position 0, opcode b'\\xff' unknown$/],
    ['an unknown byte', text("N'"), 'BAD_OPCODE', /^at position 1, opcode b"'" unknown$/],
    ['a truncated uint1', text('K'), 'TRUNCATED', /^not enough data in stream to read uint1$/],
    ['a truncated float8', text('Gabc'), 'TRUNCATED', /^not enough data in stream to read float8$/],
    ['a line without its end', text('I1'), 'TRUNCATED', /^no newline found when trying to read stringnl$/],
    ['a malformed int', text('Ix\n.'), 'CORRUPT', /^invalid literal for int\(\) with base 10: b'x'$/],
    ['a malformed long', text('LxL\n.'), 'CORRUPT', /^invalid literal for int\(\) with base 10: b'x'$/],
    ['a malformed float', text('Fx\n.'), 'CORRUPT', /^could not convert string to float: b'x'$/],
    ['a string without quotes', text('Sx\n.'), 'CORRUPT', /^no string quotes around b'x'$/],
    ['an empty string line', text('S\n.'), 'CORRUPT', /^no string quotes around b''$/],
    [
      'a string with different quotes',
      text("S'x\n."),
      'CORRUPT',
      /^strinq quote b"'" not found at both ends of b"'x"$/,
    ],
    ['a string beyond ASCII', text("S'ab\xe9'\n."), 'CORRUPT', /^'ascii' codec can't decode byte 0xe9 in position 2: /],
    ['an escape beyond ASCII', text("S'\\xe9'\n."), 'CORRUPT', /^'ascii' codec can't decode byte 0xe9 in position 0: /],
    [
      'a module beyond ASCII',
      text('cm\xc3\xa9\nn\n.'),
      'CORRUPT',
      /^'ascii' codec can't decode byte 0xc3 in position 1: /,
    ],
    [
      'a name beyond ASCII',
      text('cbuiltins\nn\xc3\xa9\n.'),
      'CORRUPT',
      /^'ascii' codec can't decode byte 0xc3 in position 1: /,
    ],
    ['a class beyond ASCII', text('(im\nn\xff\n.'), 'CORRUPT', /^'ascii' codec can't decode byte 0xff in position 1: /],
    ['an id beyond ASCII', text('P\xff\n.'), 'CORRUPT', /^'ascii' codec can't decode byte 0xff in position 0: /],
    ['a string with a bad escape', text("S'\\x1'\n."), 'CORRUPT', /x escape/],
    ['truncated bytes', Uint8Array.of(0x43, 5, 1), 'TRUNCATED', /^expected 5 bytes in a bytes1, but only 1 remain$/],
    [
      'a string4 of negative length',
      Uint8Array.of(0x54, 255, 255, 255, 255),
      'CORRUPT',
      /^string4 byte count < 0: -1$/,
    ],
    ['a long4 of negative length', Uint8Array.of(0x8b, 255, 255, 255, 255), 'CORRUPT', /^long4 byte count < 0: -1$/],
    ['a truncated long1', Uint8Array.of(0x8a, 5, 1), 'TRUNCATED', /^not enough data in stream to read long1$/],
    [
      'a bytes8 beyond 2^63',
      Uint8Array.of(0x8e, 0, 0, 0, 0, 0, 0, 0, 0x80),
      'TRUNCATED',
      /^bytes8 byte count > sys.maxsize: 9223372036854775808$/,
    ],
  ])('genops fails on %s as pickletools does', (_name, bytes, code, message) => {
    expect(() => [...genops(bytes)]).toThrow(refused(code, message));
  });

  it('read integers as int() does', () => {
    expect(Array.from(genops(text('I 007 \nI1_000\nI-0\n.')), ({ arg }) => arg)).toEqual([7, 1000, 0, null]);
  });

  it('read floats as float() does', () => {
    const floats = Array.from(genops(text('F 1_0.5\t\nF-3e999\n.')), ({ arg }) => Number(arg));
    expect(floats).toEqual([10.5, Number.NEGATIVE_INFINITY, 0]);
  });

  it.each(['I2\xa0', 'I1__0', 'I_1', 'F2\xa0', 'F1_.5', 'F1e_5'])('refuse %j, as both do', (line) => {
    const bytes = Uint8Array.from(`${line}\n.`, (character) => character.charCodeAt(0));
    expect(() => [...genops(bytes)]).toThrow(refused('CORRUPT', /^(invalid literal for int|could not convert string)/));
  });
});

describe('dis', () => {
  it.each<[string, EmitOp[], string, RegExp]>([
    [
      'a memo slot that is set twice',
      ['NONE', ['BINPUT', 0], ['BINPUT', 0], 'STOP'],
      'BAD_OPCODE',
      /^memo key 0 already defined$/,
    ],
    [
      'MEMOIZE of a slot that is set',
      ['NONE', ['BINPUT', 1], 'MEMOIZE', 'STOP'],
      'BAD_OPCODE',
      /^memo key None already defined$/,
    ],
    ['a PUT on an empty stack', [['PUT', 3], 'STOP'], 'BAD_OPCODE', /^stack is empty -- can't store into memo$/],
    ['a PUT on a mark', ['MARK', ['BINPUT', 0], 'STOP'], 'BAD_OPCODE', /^can't store markobject in the memo$/],
    ['a GET of an empty slot', [['BINGET', 4], 'STOP'], 'BAD_OPCODE', /^memo key 4 has never been stored into$/],
    ['a missing mark', ['NONE', 'TUPLE', 'STOP'], 'BAD_OPCODE', /^no MARK exists on stack$/],
    ['too few items', ['NONE', 'TUPLE2', 'STOP'], 'BAD_OPCODE', /^tries to pop 2 items from stack with only 1 items$/],
    [
      'a mark that was popped as an item',
      ['MARK', 'TUPLE1', 'LIST', 'STOP'],
      'BAD_OPCODE',
      /^list index out of range$/,
    ],
    ['items that are left over', ['NONE', 'NEWTRUE', 'STOP'], 'CORRUPT', /^stack not empty after STOP: \[None\]$/],
  ])('fails on %s as pickletools does, after the same lines', (_name, ops, code, message) => {
    const lines: string[] = [];
    expect(() => dis(emit(ops), { onLine: (line) => lines.push(line) })).toThrow(refused(code, message));
    expect(lines.length).toBeGreaterThan(0);
  });

  it('shows text, bytes and floats as Python prints them', () => {
    const shown = (op: EmitOp): string | undefined =>
      dis(emit([op, 'STOP']))
        .split('\n')[0]
        ?.split(/ (?=['"b\d-]|nan|inf|True|False)/)
        .slice(-1)[0];
    const rows: [EmitOp, string][] = [
      [['BINUNICODE', "a'b"], `"a'b"`],
      [['BINUNICODE', `a'"b`], `'a\\'"b'`],
      [['BINUNICODE', 'é\n\t\r\\\x00\x7f\u00a0\u2028\ue000😀'], "'é\\n\\t\\r\\\\\\x00\\x7f\\xa0\\u2028\\ue000😀'"],
      [['BINUNICODE', '\u{10ffff}'], "'\\U0010ffff'"],
      [['BINBYTES', Uint8Array.of(39, 34, 92, 10, 13, 9, 200)], `b'\\'"\\\\\\n\\r\\t\\xc8'`],
      // Python's bytearray escapes the quotes that its bytes leave alone.
      [['BYTEARRAY8', Uint8Array.of(39)], `bytearray(b"\\'")`],
    ];
    for (const [op, wanted] of rows) expect(dis(emit([op, 'STOP'])).split('\n')[0]).toContain(wanted);
    for (const [value, wanted] of [
      [1, '1.0'],
      [1e16, '1e+16'],
      [123456789012345680, '1.2345678901234568e+17'],
      [0.0001, '0.0001'],
      [0.00001, '1e-05'],
      [-0, '-0.0'],
      [1e300, '1e+300'],
      [5e-324, '5e-324'],
      [0.1, '0.1'],
      [100, '100.0'],
      [Number.NaN, 'nan'],
      [Number.NEGATIVE_INFINITY, '-inf'],
      [Number.POSITIVE_INFINITY, 'inf'],
    ] as const) {
      expect(shown(['BINFLOAT', new PyFloat(value)])).toBe(wanted);
    }
    expect(shown(['INT', true])).toBe('True');
    expect(shown(['INT', false])).toBe('False');
  });

  it('accepts a start, an indent, a memo to continue with, and a limit', () => {
    const two = new Uint8Array([
      ...emit([['PROTO', 2], 'EMPTY_LIST', ['BINPUT', 0], 'STOP']),
      ...emit([['PROTO', 2], ['BINGET', 0], 'STOP']),
    ]);
    const memo = new Map();
    dis(two, { memo });
    expect(dis(two, { memo, start: 6 })).toMatch(/^ {4}6: \\x80 PROTO {6}2\n/);
    expect(dis(emit(['MARK', 'NONE', 'LIST', 'STOP']), { indent: 1 }).split('\n')[1]).toBe('    1: N     NONE');
    expect(() => dis(emit(['NONE', 'STOP']), { limits: { text: 5 } })).toThrow(
      expect.objectContaining({ code: 'LIMIT_EXCEEDED', limit: 'text' }),
    );
    expect(() => dis(text("S'\xe9'\n."))).toThrow(/'ascii' codec can't decode byte 0xe9 in position 0/);
  });
});

describe('check', () => {
  it('reports globals that pickletools cannot read, but Python can', () => {
    const pickle = text('\x80\x02cos\nsyst\xc3\xa9m\n)R.');
    expect(() => dis(pickle)).toThrow(refused('CORRUPT', /0xc3 in position 4/));
    const found = (name: string) => ({ known: false, globals: [{ module: 'os', name, known: false, calls: 1 }] });
    expect(check(pickle)).toMatchObject(found('syst\u00e9m'));
    expect(check(text('\x80\x02cos\nsyst\xe9m\n)R.'))).toMatchObject(found('syst\u00e9m'));
  });

  it('finds globals in every way they can be named and called, without loading', () => {
    const report = check(
      emit([
        ['GLOBAL', 'copy_reg first'],
        ['PROTO', 4],
        ['UNICODE', 'os'],
        ['BINPUT', 0],
        ['UNICODE', 'system'],
        'MEMOIZE',
        'STACK_GLOBAL',
        ['UNICODE', 'ls'],
        'TUPLE1',
        'REDUCE',
        'POP',
        ['BINGET', 0],
        ['GET', 1],
        'STACK_GLOBAL',
        'EMPTY_TUPLE',
        'NEWOBJ',
        ['GLOBAL', 'm C'],
        'EMPTY_TUPLE',
        'EMPTY_DICT',
        'NEWOBJ_EX',
        'MARK',
        'NONE',
        ['INST', 'm I'],
        'MARK',
        ['GLOBAL', 'm O'],
        'NONE',
        'OBJ',
        'DUP',
        'EMPTY_TUPLE',
        'REDUCE',
        'NONE',
        'NONE',
        'STACK_GLOBAL',
        ['PERSID', 'x'],
        'BINPERSID',
        ['EXT1', 3],
        ['EXT2', 300],
        ['EXT4', 70_000],
        'NEXT_BUFFER',
        'READONLY_BUFFER',
        ['LONG_BINPUT', 9],
        ['PUT', 10],
        ['LONG_BINGET', 9],
        ['GLOBAL', 'builtins Ellipsis'],
        ['GLOBAL', 'datetime date'],
        'EMPTY_TUPLE',
        'REDUCE',
        'MARK',
        'TUPLE',
        'POP_MARK',
        'STOP',
      ]),
    );
    expect(report.globals.map(({ module, name, known, calls }) => [`${module} ${name}`, known, calls])).toEqual([
      ['copyreg first', false, 0],
      ['os system', false, 2],
      ['m C', false, 1],
      ['m I', false, 1],
      ['m O', false, 1],
      ['? ?', false, 0],
      ['builtins Ellipsis', true, 0],
      ['datetime date', true, 1],
    ]);
    expect(report).toMatchObject({
      known: false,
      extensions: [3, 300, 70_000],
      persistentIds: 2,
      buffers: 1,
      protocol: 5,
    });
    expect(report.indirectCalls.length).toBe(1);
    expect(report.changes).toEqual([]);
  });

  it('reports a plain pickle as fully known', () => {
    const bytes = dump({ a: [1, new Date(0)] });
    expect(check(bytes)).toMatchObject({ known: true, indirectCalls: [], end: bytes.length, protocol: 4 });
    expect(check(new Uint8Array([0, ...bytes]), 1).known).toBe(true);
  });

  const global = (name: string): EmitOp => ['GLOBAL', name];
  const unicode = (value: string): EmitOp => ['BINUNICODE', value];
  const examine = (ops: readonly EmitOp[]) => check(emit([['PROTO', 4], ...ops, 'STOP']));
  const made = (name: string): EmitOp[] => [global(name), 'EMPTY_TUPLE', 'REDUCE'];
  const attribute = (name: string, value: string): EmitOp[] => ['EMPTY_DICT', unicode(name), global(value), 'SETITEM'];
  const pair: EmitOp[] = ['NONE', 'NONE'];

  it.each<[string, EmitOp[]]>([
    [
      '_reconstructor of a known class',
      [global('copyreg _reconstructor'), global('uuid UUID'), global('builtins object'), 'NONE', 'TUPLE3', 'REDUCE'],
    ],
    ['__newobj__ of a known class', [global('copyreg __newobj__'), global('uuid UUID'), 'TUPLE1', 'REDUCE']],
    ['the same through INST', ['MARK', global('uuid UUID'), ['INST', 'copyreg __newobj__']]],
    ['the same through OBJ', ['MARK', global('copyreg __newobj__'), global('uuid UUID'), 'OBJ']],
    [
      'the same with keywords',
      [global('copyreg __newobj_ex__'), global('uuid UUID'), 'EMPTY_TUPLE', 'EMPTY_DICT', 'TUPLE3', 'REDUCE'],
    ],
    ['a dict that makes lists', [global('collections defaultdict'), global('builtins list'), 'TUPLE1', 'REDUCE']],
    ['the name of a scalar type', [global('numpy float64')]],
    [
      'a record array',
      [global('numpy.core.multiarray _reconstruct'), global('numpy recarray'), 'MARK', 'TUPLE', 'TUPLE2', 'REDUCE'],
    ],
    ['items of a deque', [...made('collections deque'), 'NONE', 'APPEND', 'MARK', 'NONE', 'APPENDS']],
    ['pairs of a dict', ['EMPTY_DICT', ...pair, 'SETITEM', 'MARK', ...pair, 'SETITEMS']],
    ['pairs of a defaultdict', [...made('collections defaultdict'), ...pair, 'SETITEM']],
    ['items of sets', ['EMPTY_SET', 'MARK', 'ADDITEMS', ...made('builtins set'), 'MARK', 'ADDITEMS']],
    ['attributes of an exception', [...made('builtins ValueError'), 'EMPTY_DICT', 'BUILD']],
    ['a persistent id', [unicode('x'), 'BINPERSID']],
  ])('reports %s as harmless', (_name, ops) => {
    expect(examine(ops)).toMatchObject({ known: true, indirectCalls: [], changes: [] });
  });

  it.each<[string, EmitOp[], ('indirectCalls' | 'changes' | 'extensions')?]>([
    [
      'a class that _reconstructor makes and calls',
      [
        ...[global('copyreg _reconstructor'), global('subprocess Popen'), global('subprocess Popen')],
        ...(['EMPTY_LIST', unicode('true'), 'APPEND', 'TUPLE3', 'REDUCE'] satisfies EmitOp[]),
      ],
    ],
    [
      'the result of a _reconstructor that is given no plain class',
      [global('copyreg _reconstructor'), global('uuid UUID'), 'NONE', 'NONE', 'TUPLE3', 'REDUCE'],
      'indirectCalls',
    ],
    [
      'a base that it calls',
      [global('copyreg _reconstructor'), global('uuid UUID'), global('builtins list'), 'NONE', 'TUPLE3', 'REDUCE'],
    ],
    ['__newobj__ of an unknown class', [global('copyreg __newobj__'), global('m C'), 'TUPLE1', 'REDUCE']],
    [
      '__newobj__ with arguments that are not a tuple',
      [global('copyreg __newobj__'), 'NONE', 'REDUCE'],
      'indirectCalls',
    ],
    [
      'a module that is changed, and a class of it that is called',
      [
        ...[global('inspect collections'), 'NONE', ...attribute('deque', 'os system'), 'TUPLE2', 'BUILD'],
        ...['POP', global('collections deque'), unicode('true'), 'TUPLE1', 'REDUCE'],
      ] as EmitOp[],
      'changes',
    ],
    ['a known class that is changed', [global('uuid UUID'), 'EMPTY_DICT', 'BUILD'], 'changes'],
    ['a known class that is filled', [global('uuid UUID'), ...pair, 'SETITEM'], 'changes'],
    ['a persistent id that is changed', [['PERSID', 'x'], 'EMPTY_DICT', 'BUILD'], 'changes'],
    ['a buffer that is changed', ['NEXT_BUFFER', 'NONE', 'BUILD'], 'changes'],
    ['a buffer that was read-only', ['NEXT_BUFFER', 'READONLY_BUFFER', 'NONE', 'BUILD'], 'changes'],
    ['an array that is stored into', [...made('numpy ndarray'), ...pair, 'SETITEM'], 'changes'],
    ['items that are added to a value that is not a set', ['EMPTY_LIST', 'MARK', 'ADDITEMS'], 'changes'],
    ['items that are appended on an empty stack', ['APPEND'], 'changes'],
    ['an unknown class in a container', ['EMPTY_LIST', global('m C'), 'APPEND']],
    ['an unknown class as an argument', [global('builtins slice'), 'NONE', 'NONE', global('m C'), 'TUPLE3', 'REDUCE']],
    ['an unknown class that is popped: its module ran', ['NONE', global('m C'), 'POP']],
    ['an unknown factory', [global('collections defaultdict'), global('os getcwd'), 'TUPLE1', 'REDUCE']],
    ['an unknown state setter', [...made('builtins ValueError'), ...attribute('__setstate__', 'os system'), 'BUILD']],
    ['a harmless class that is called', [...made('builtins list')]],
    ['an extension', [['EXT1', 1]], 'extensions'],
    [
      'a method of a known class taken by getattr',
      [global('builtins getattr'), global('pathlib PosixPath'), unicode('unlink'), 'TUPLE2', 'REDUCE'],
    ],
    ['a name with an escape, which only a disassembly decodes', [global('collections \\x64eque')]],
    [
      'a name in a memo slot whose number is not a safe integer',
      [
        ...[unicode('os'), ['PUT', 2n ** 53n], unicode('collections'), ['PUT', 2n ** 53n + 1n]],
        ...[['GET', 2n ** 53n], unicode('deque'), 'STACK_GLOBAL'],
      ] as EmitOp[],
    ],
  ])('does not report %s as harmless', (_name, ops, doubt) => {
    const report = examine(ops);
    expect(report.known).toBe(false);
    for (const list of ['indirectCalls', 'changes', 'extensions'] as const) {
      expect(report[list], list).toHaveLength(list === doubt ? 1 : 0);
    }
  });
});
