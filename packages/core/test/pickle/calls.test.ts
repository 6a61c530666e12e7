import { Python, pythons } from '@mmdpickle/test-support';
import { describe, expect, it } from 'vitest';
import { isMmdError } from '../../src/errors.ts';
import {
  type Deque,
  dump,
  dumpEntry,
  type EmitOp,
  emit,
  load,
  OpaqueGlobal,
  OpaqueObject,
  type Operation,
  PyArray,
  PyDict,
  PyString,
  Tuple,
} from '../../src/pickle/index.ts';

const bytes = (...list: number[]): Uint8Array => Uint8Array.from(list);
const global = (name: string): EmitOp => ['GLOBAL', name];
const int = (value: number): EmitOp => ['BININT', value];
const text = (value: string): EmitOp => ['BINUNICODE', value];
const raw = (...list: number[]): EmitOp => ['SHORT_BINBYTES', bytes(...list)];
const tuple = (...items: readonly EmitOp[]): EmitOp[] => ['MARK', ...items, 'TUPLE'];
const dict = (...items: readonly EmitOp[]): EmitOp[] => ['EMPTY_DICT', 'MARK', ...items, 'SETITEMS'];
const call = (name: string, ...args: readonly EmitOp[]): EmitOp[] => [global(name), ...tuple(...args), 'REDUCE'];
const pickle = (ops: readonly EmitOp[] | Uint8Array): Uint8Array =>
  ops instanceof Uint8Array ? ops : emit([['PROTO', 4], ...ops, 'STOP']);

/** Pickles by description: a table of cases. */
type Cases = Readonly<Record<string, readonly EmitOp[] | Uint8Array>>;

/** What Python makes of two pickles: the value as it prints it, or that it refuses. */
const TELL = `
import pickle

def tell(data):
    try:
        value = pickle.loads(data)
    except Exception:
        return 'refused'
    try:
        return f'{type(value).__module__}.{type(value).__qualname__} {value!r} {getattr(value, "__dict__", None)!r}'
    except Exception as error:
        return f'{type(value).__qualname__} {error!r}'

result = [[tell(data) for data in pair] for pair in args['pairs']]
`;

/**
 * To Python, a pickle and what is written after loading it are the same value, or both are refused; what is refused here, Python refuses,
 * and what Python refuses is no known value here.
 */
function sameInPython(cases: Cases): void {
  it.each(pythons())('means the same to Python $version once it is written again', async (info) => {
    await using python = new Python(info);
    const names = Object.keys(cases);
    const known = new Set<string>();
    const pairs = names.map((name) => {
      const original = pickle(cases[name]!);
      try {
        const value = load(original);
        if (!(value instanceof OpaqueObject)) known.add(name);
        return [original, dump(value, { protocol: 5 })];
      } catch (error) {
        if (isMmdError(error)) return [original, bytes()];
        throw error;
      }
    });
    const answers = await python.run<[string, string][]>(TELL, { pairs });
    for (const [i, [theirs, ours]] of answers.entries()) {
      expect(ours, names[i]).toBe(theirs);
      if (theirs === 'refused') expect(known).not.toContain(names[i]);
    }
  });
}

describe('NEWOBJ of names on the allow-list', () => {
  const list: EmitOp[] = ['EMPTY_LIST', int(1), 'APPEND'];
  const made = (name: string, ...args: readonly EmitOp[]): EmitOp[] => [global(name), ...tuple(...args), 'NEWOBJ'];
  const opaque: Cases = {
    'a set, whose items __new__ ignores': made('builtins set', ...list),
    'an empty set': made('builtins set'),
    'a bytearray, whose bytes it ignores': made('builtins bytearray', raw(1, 2)),
    'a deque, whose items and bound it ignores': made('collections deque', ...list, int(3)),
    'a Counter, whose counts it ignores': made('collections Counter', ...dict(text('a'), int(1))),
    'an OrderedDict, whose pairs it ignores': made('collections OrderedDict', ...dict(text('a'), int(1))),
    'a defaultdict, whose factory it ignores': made('collections defaultdict', global('builtins list')),
    'an exception': made('builtins ValueError', int(1)),
    'a function': made('_codecs encode', text('a'), text('latin1')),
    'another function': made('array _array_reconstructor', global('array array'), text('b'), int(1), raw(1)),
    'a UUID of text': [global('uuid UUID'), ...tuple(text('1'.repeat(32))), 'EMPTY_DICT', 'NEWOBJ_EX'],
  };
  const known: Cases = {
    bytes: made('builtins bytes', raw(1)),
    'a frozenset': made('builtins frozenset', ...list),
    'a range': made('builtins range', int(0), int(9), int(2)),
    'a slice': made('builtins slice', int(0), 'NONE', 'NONE'),
    'a datetime': made('datetime datetime', raw(7, 232, 1, 2, 3, 4, 5, 0, 0, 6)),
    'a date': made('datetime date', raw(7, 232, 1, 2)),
    'a time': made('datetime time', raw(1, 2, 3, 0, 0, 4)),
    'a timedelta': made('datetime timedelta', int(1), int(2), int(3)),
    'a timezone': made('datetime timezone', ...call('datetime timedelta', int(0), int(3600), int(0))),
    'a Decimal': made('decimal Decimal', text('1.50')),
    'a Fraction': made('fractions Fraction', int(1), int(3)),
    'a UUID': [...made('uuid UUID'), ...dict(text('int'), int(5)), 'BUILD'],
    'the same by NEWOBJ_EX': [
      global('uuid UUID'),
      'EMPTY_TUPLE',
      'EMPTY_DICT',
      'NEWOBJ_EX',
      ...dict(text('int'), int(5)),
      'BUILD',
    ],
    'an array': made('numpy ndarray', ...tuple(int(2)), text('u1'), ['BYTEARRAY8', bytes(1, 2)]),
    'a dtype': made('numpy dtype', text('<f8')),
    'an exception by OBJ, which is a call': ['MARK', global('builtins ValueError'), int(1), 'OBJ'],
    'an exception by INST, which is a call': ['MARK', int(1), ['INST', 'builtins ValueError']],
    'a complex by OBJ': ['MARK', global('builtins complex'), int(1), int(2), 'OBJ'],
  };

  it.each(Object.entries(opaque))('%s stays opaque', (_name, ops) => {
    expect(load(pickle(ops))).toBeInstanceOf(OpaqueObject);
    expect(() => load(pickle(ops), { unknown: 'error' })).toThrow(
      expect.objectContaining({ code: 'FORBIDDEN_GLOBAL' }),
    );
  });
  it.each(Object.entries(known))('%s is the value that a call makes', (_name, ops) => {
    expect(load(pickle(ops), { unknown: 'error' })).not.toBeInstanceOf(OpaqueObject);
  });
  sameInPython({ ...opaque, ...known });
});

describe('an AttributeError whose state repeats its arguments, as Python 3.12 and later write it', () => {
  const [args, name, why] = [text('args'), text('name'), text('why')];
  const error = call('builtins AttributeError', why);
  const cases: Cases = {
    'without a name': [...error, ...dict(args, ...tuple(why)), 'BUILD'],
    'with a name': [...error, ...dict(name, text('n'), args, ...tuple(why)), 'BUILD'],
    'whose arguments are the same tuple': [
      ...([global('builtins AttributeError'), why, 'TUPLE1', ['BINPUT', 0], 'REDUCE'] satisfies EmitOp[]),
      ...([...dict(args, ['BINGET', 0]), 'BUILD'] satisfies EmitOp[]),
    ],
    'that has other arguments by then': [...error, ...dict(args, ...tuple(int(1), int(2))), 'BUILD'],
    'with a name only': [...error, ...dict(name, text('n')), 'BUILD'],
    'between two of its kind': [...error, ...error, ...dict(args, ...tuple(why)), 'BUILD', 'TUPLE2'],
  };

  it('is an exception with these arguments, and no attribute repeats them', () => {
    const [unnamed, named, , others] = Object.values(cases).map((ops) => load(pickle(ops), { unknown: 'error' }));
    expect(unnamed).toMatchObject({ args: ['why'], attributes: null });
    expect(named).toMatchObject({ args: ['why'], attributes: new Map([['name', 'n']]) });
    expect(others).toMatchObject({ args: [1, 2], attributes: null });
  });

  it('leaves the dict that was its state unchanged', () => {
    const ops: EmitOp[] = [...dict(args, ...tuple(why)), ['BINPUT', 0], 'POP', ...error, ['BINGET', 0], 'BUILD'];
    const [, state] = load(pickle([...ops, ['BINGET', 0], 'TUPLE2'])) as [unknown, PyDict];
    expect(state).toEqual(new Map([['args', ['why']]]));
  });

  sameInPython(cases);
});

describe('exceptions and identifiers that do not accept all arguments', () => {
  const [utf8, why] = [text('utf-8'), text('why')];
  const group = (name: string, ...items: readonly EmitOp[]): EmitOp[] =>
    call(`builtins ${name}`, why, 'MARK', ...items, 'LIST');
  const known: Cases = {
    UnicodeDecodeError: call('builtins UnicodeDecodeError', utf8, raw(255), int(0), int(1), why),
    UnicodeEncodeError: call('builtins UnicodeEncodeError', utf8, text('a'), int(0), int(1), why),
    UnicodeTranslateError: call('builtins UnicodeTranslateError', text('a'), int(0), int(1), why),
    'SyntaxError with a message': call('builtins SyntaxError', why),
    'SyntaxError with a location': call('builtins SyntaxError', why, ...tuple(text('f'), int(1), int(2), text('t'))),
    ExceptionGroup: group('ExceptionGroup', ...call('builtins ValueError', int(1))),
    'a UUID in braces': call('uuid UUID', text(`{{urn:uuid:${'12'.repeat(16)}}`)),
  };
  const opaque: Cases = {
    'UnicodeDecodeError without arguments, made by OBJ': ['MARK', global('builtins UnicodeDecodeError'), 'OBJ'],
    'UnicodeDecodeError without arguments': call('builtins UnicodeDecodeError'),
    'UnicodeEncodeError with text as a position': call('builtins UnicodeEncodeError', utf8, utf8, why, why, why),
    'UnicodeTranslateError with five arguments': call(
      'builtins UnicodeTranslateError',
      utf8,
      text('a'),
      int(0),
      int(1),
      why,
    ),
    'SyntaxError with a number': call('builtins SyntaxError', why, int(5)),
    'TabError with half a location': call('builtins TabError', why, ...tuple(text('f'), int(1))),
    'ExceptionGroup of an empty list': group('ExceptionGroup'),
    'BaseExceptionGroup of a number': group('BaseExceptionGroup', int(1)),
    'a UUID with a brace inside': call('uuid UUID', text(`1{${'2'.repeat(31)}`)),
  };

  it.each(Object.entries(known))('%s is known', (_name, ops) => {
    expect(load(pickle(ops), { unknown: 'error' })).not.toBeInstanceOf(OpaqueObject);
  });
  it.each(Object.entries(opaque))('%s stays opaque', (_name, ops) => {
    expect(load(pickle(ops))).toBeInstanceOf(OpaqueObject);
  });
  sameInPython({ ...known, ...opaque });
});

describe('keyword arguments', () => {
  const keyed = (name: string, args: readonly EmitOp[], ...keywords: readonly EmitOp[]): EmitOp[] => [
    global(name),
    ...tuple(...args),
    ...dict(...keywords),
    'NEWOBJ_EX',
  ];
  const helped = (...keywords: readonly EmitOp[]): EmitOp[] =>
    call('copyreg __newobj_ex__', global('decimal Decimal'), ...tuple(text('1.5')), ...dict(...keywords));
  const opaque: Cases = {
    'an offset of an array': keyed(
      'numpy ndarray',
      [...tuple(int(2)), text('i2'), ['BYTEARRAY8', bytes(0, 0, 1, 0, 2, 0, 3, 0)]],
      text('offset'),
      int(4),
    ),
    'the source of bytes': keyed('builtins bytes', [], text('source'), raw(97, 98, 99)),
    'the weeks of a timedelta': keyed('datetime timedelta', [int(1), int(1), int(1)], text('weeks'), int(3)),
    'a name that Decimal does not accept': keyed('decimal Decimal', [text('1.5')], text('zz'), int(3)),
    'the same through the helper of older protocols': helped(text('zz'), int(3)),
    'one whose name is a number': helped(int(3), int(3)),
  };

  it.each(Object.entries(opaque))('%s: it stays opaque', (_name, ops) => {
    expect(load(pickle(ops))).toBeInstanceOf(OpaqueObject);
    expect(() => load(pickle(ops), { unknown: 'error' })).toThrow(
      expect.objectContaining({ code: 'FORBIDDEN_GLOBAL' }),
    );
  });
  it('may be named with a surrogate pair, also in lossless mode', () => {
    const pair = new PyString(bytes(0xed, 0xa0, 0xbd, 0xed, 0xb8, 0x80), '\u{1f600}');
    for (const ops of [keyed('a b', [], ['BINUNICODE', pair], int(3)), helped(['BINUNICODE', pair], int(3))]) {
      const object = load(pickle(ops), { lossless: true }) as OpaqueObject;
      expect([...(object.kwargs as PyDict).keys()]).toEqual([pair]);
    }
  });
  it('make no difference if there are none', () => {
    expect(String(load(pickle(keyed('decimal Decimal', [text('1.5')]))))).toBe('1.5');
    expect(String(load(pickle(helped())))).toBe('1.5');
  });
  it("are passed to the user's constructors", () => {
    const globals = { 'builtins bytes': (_args: readonly unknown[], { kwargs }: { kwargs: unknown }) => kwargs };
    expect(load(pickle(opaque['the source of bytes']!), { globals })).toEqual(new Map([['source', bytes(97, 98, 99)]]));
  });
  sameInPython(opaque);
});

describe('a call for its side effect on an object', () => {
  const setState = (target: readonly EmitOp[]): EmitOp[] => [
    ...target,
    ['BINPUT', 0],
    global('rtclasses sixset'),
    ['BINGET', 0],
    ...tuple(...dict(text('a'), int(1))).slice(1, -1),
    'TUPLE2',
    'REDUCE',
    'POP',
  ];

  it.each<[string, EmitOp[]]>([
    ['an OrderedDict', call('collections OrderedDict')],
    ['an exception', call('builtins ValueError')],
    ['a list', ['EMPTY_LIST']],
    ['a dict', ['EMPTY_DICT']],
    ['a bytearray', [['BYTEARRAY8', bytes(1)]]],
    ['a class', [global('shop Thing')]],
  ])('is refused if %s would lose the state that it sets', (_name, target) => {
    expect(() => load(pickle(setState(target)))).toThrow(
      expect.objectContaining({ code: 'UNSUPPORTED_VALUE', offset: expect.any(Number) }),
    );
  });

  it.each<[string, EmitOp[]]>([
    ['text', [text('ls')]],
    ['a number', [['BINFLOAT', 1]]],
    ['bytes', [raw(1)]],
    ['nothing', ['NONE']],
  ])('has no effect to keep on %s', (_name, target) => {
    expect(() => load(pickle(setState(target)), { lossless: true })).not.toThrow();
  });

  it.each<[string, EmitOp, EmitOp]>([
    ['GET', ['PUT', 7], ['GET', 7]],
    ['BINGET', ['BINPUT', 7], ['BINGET', 7]],
    ['LONG_BINGET', ['LONG_BINPUT', 70_000], ['LONG_BINGET', 70_000]],
  ])(
    'is not one if the object was made among its own arguments and is then taken from the memo: %s',
    (_name, put, get) => {
      const made: EmitOp[] = [global('shop Error'), ['BINGET', 0], 'TUPLE1', 'REDUCE'];
      const list: EmitOp[] = ['EMPTY_LIST', ['BINPUT', 0], ...made, put, 'APPEND'];
      const value = load(pickle([...list, 'POP', ...made, 'POP', get])) as OpaqueObject;
      expect(value.args).toEqual([[value]]);
      const again = load(dump(value)) as OpaqueObject;
      expect([again.args, again.operations]).toEqual([[[again]], []]);
      // Another object in the memo is not the one that was made.
      for (const other of [
        [put, 'POP'],
        [global('shop Other'), ...tuple(), 'REDUCE', put, 'POP'],
      ] satisfies EmitOp[][]) {
        const effect = pickle([int(1), ...other, 'EMPTY_LIST', ['BINPUT', 0], ...made, 'POP', get]);
        expect(() => load(effect)).toThrow(expect.objectContaining({ code: 'UNSUPPORTED_VALUE' }));
      }
    },
  );

  it.each<[string, Uint8Array]>([
    ['GET without a number', Uint8Array.of(0x67, 0x78, 0x0a)],
    ['GET without an end', Uint8Array.of(0x67, 0x31)],
    ['BINGET without an index', Uint8Array.of(0x68)],
    ['a truncated LONG_BINGET', Uint8Array.of(0x6a, 0)],
  ])('is refused, without a lookup, before a %s', (_name, end) => {
    const effect = emit(['EMPTY_LIST', ['BINPUT', 0], global('shop Error'), ['BINGET', 0], 'TUPLE1', 'REDUCE', 'POP']);
    expect(() => load(Uint8Array.of(...effect, ...end))).toThrow(
      expect.objectContaining({ code: 'UNSUPPORTED_VALUE' }),
    );
  });

  it('is kept in order with what was done to an object before its state was set', () => {
    const made: EmitOp[] = [global('uuid UUID'), 'EMPTY_TUPLE', 'NEWOBJ', 'NONE', 'APPEND'];
    const value = load(pickle([...made, ...dict(text('int'), int(5)), 'BUILD'])) as OpaqueObject;
    expect(value.operations.map(({ op }) => op)).toEqual(['APPEND', 'BUILD']);
  });
});

describe('an object that is among its own arguments', () => {
  const kept: EmitOp[] = ['POP', ['BINGET', 2]];
  const node = (...items: readonly EmitOp[]): EmitOp[] => [
    global('shop Node'),
    'EMPTY_LIST',
    int(1),
    'APPEND',
    ...items,
    'APPEND',
    'TUPLE1',
    'REDUCE',
  ];
  /** A node with a list of 1 and a child that refers to the node; the pickler drops its first result in the end. */
  const parent = node(
    global('shop Child'),
    'EMPTY_TUPLE',
    'NEWOBJ',
    ...([['BINPUT', 1], 'EMPTY_DICT', text('up')] satisfies EmitOp[]),
    ...node(['BINGET', 1]),
    ...([['BINPUT', 2], 'SETITEM', 'BUILD'] satisfies EmitOp[]),
  ).concat(kept);
  const copies = { 'shop Node': ([items]: readonly unknown[]) => ({ items: [...(items as unknown[])] }) };

  it.each([2, 3, 4, 5] as const)(
    'gets its arguments complete, because the call may copy them: protocol %d',
    (protocol) => {
      const bytes = dump(load(pickle(parent)), { protocol });
      const { items } = load(bytes, { globals: copies }) as { items: unknown[] };
      expect(items).toEqual([1, expect.any(OpaqueObject)]);
      expect(((items[1] as OpaqueObject).state as Map<string, unknown>).get('up')).toMatchObject({ items });
      expect(dump(load(bytes), { protocol })).toEqual(bytes);
    },
  );

  it('also gets a dict among its arguments complete, and one Map is one dict', () => {
    const shared = new Map([['k', 1]]);
    const kept = new OpaqueObject('NEWOBJ', new OpaqueGlobal('shop', 'Child'), new Tuple());
    const dict = new PyDict<unknown, unknown>([
      ['a', shared],
      ['kid', kept],
      ['b', shared],
    ]);
    const value = new OpaqueObject('REDUCE', new OpaqueGlobal('shop', 'Node'), Tuple.of(dict));
    OpaqueObject.operate(kept, { op: 'BUILD', state: value });
    const globals = { 'shop Node': ([given]: readonly unknown[]) => ({ keys: [...(given as PyDict).keys()] }) };
    expect(load(dump(value), { globals })).toEqual({ keys: ['a', 'kid', 'b'] });
    const again = (load(dump(value)) as OpaqueObject).args[0] as PyDict;
    expect(again.get('a')).toBe(again.get('b'));
  });

  it('shares them with everything else that refers to them', () => {
    const [value, list] = load(pickle([...parent, ...parent, 'TUPLE2'])) as [OpaqueObject, OpaqueObject];
    const again = load(dump(Tuple.of(list, list.args[0], value))) as [OpaqueObject, unknown, OpaqueObject];
    expect(again[0].args[0]).toBe(again[1]);
    expect(again[0]).not.toBe(again[2]);
  });

  it('is refused as too deep if it is one of its own arguments, which no pickle can express', () => {
    const args: unknown[] = [];
    args.push(new OpaqueObject('REDUCE', new OpaqueGlobal('shop', 'Node'), args));
    expect(() => dump(args[0], { limits: { depth: 1000 } })).toThrow(
      expect.objectContaining({ code: 'LIMIT_EXCEEDED' }),
    );
  });
});

describe('BUILD on values on the allow-list', () => {
  const a = dict(text('a'), int(1));
  const pair = (first: readonly EmitOp[], second: readonly EmitOp[]): EmitOp[] => [...first, ...second, 'TUPLE2'];
  const targets: Record<string, EmitOp[]> = {
    OrderedDict: call('collections OrderedDict'),
    Counter: call('collections Counter', 'EMPTY_DICT'),
    defaultdict: call('collections defaultdict'),
    deque: call('collections deque'),
    exception: call('builtins ValueError', int(7)),
    timezone: call('datetime timezone', ...call('datetime timedelta', int(0), int(60), int(0))),
    Decimal: call('decimal Decimal', text('1')),
    range: call('builtins range', int(0), int(1), int(1)),
  };
  const states: Record<string, EmitOp[]> = {
    None: ['NONE'],
    'a dict': a,
    'an empty dict': ['EMPTY_DICT'],
    'an OrderedDict': [...call('collections OrderedDict'), text('k'), int(1), 'SETITEM'],
    'None and an empty dict': pair(['NONE'], ['EMPTY_DICT']),
    'None and a dict': pair(['NONE'], a),
    'a dict and a dict': pair(a, dict(text('b'), int(2))),
    'a dict and None': pair(a, ['NONE']),
    'an empty tuple': ['EMPTY_TUPLE'],
    'a tuple of one': [...a, 'TUPLE1'],
    'an empty list': ['EMPTY_LIST'],
    'a number': [int(0)],
    'a dict with a number': dict(int(1), int(2)),
    'None and a dict with a number': pair(['NONE'], dict(int(1), int(2))),
    'a class to set': pair(['NONE'], dict(text('__class__'), int(1))),
  };
  const cases: Record<string, EmitOp[]> = {};
  for (const [target, ops] of Object.entries(targets)) {
    for (const [state, given] of Object.entries(states))
      cases[`${state} for a ${target}`] = [...ops, ...given, 'BUILD'];
    cases[`two dicts for a ${target}`] = [...ops, ...a, 'BUILD', ...dict(text('b'), int(2)), 'BUILD'];
    cases[`the same dict, filled between, for a ${target}`] = [
      ...([...a, ['BINPUT', 0], 'POP'] satisfies EmitOp[]),
      ...([...ops, ['BINGET', 0], 'BUILD'] satisfies EmitOp[]),
      ...([['BINGET', 0], text('c'), int(3), 'SETITEM', 'POP'] satisfies EmitOp[]),
    ];
  }
  // A value called with the next state must not store that state as an entry.
  cases['an attribute that takes the next state'] = [
    ...call('collections OrderedDict'),
    ...([...dict(text('__setstate__'), int(1)), 'BUILD', ...a, 'BUILD'] satisfies EmitOp[]),
  ];
  sameInPython(cases);

  it('successive states add up, and the given dict is not changed', () => {
    const value = load(pickle([...cases['two dicts for a exception']!, ...a, 'TUPLE2'])) as readonly unknown[];
    expect(value[0]).toMatchObject({
      attributes: new Map([
        ['a', 1],
        ['b', 2],
      ]),
    });
    expect(value[1]).toEqual(new Map([['a', 1]]));
  });
  it('counts the entries that it copies', () => {
    const many = Array.from({ length: 2000 }, (_, i): EmitOp[] => [text(`${i}`), int(i)]).flat();
    const builds = Array.from({ length: 2000 }, (): EmitOp[] => [
      ...call('builtins ValueError'),
      ['BINGET', 0],
      'BUILD',
    ]);
    const bomb = pickle([...dict(...many), ['BINPUT', 0], 'MARK', ...builds.flat(), 'LIST']);
    expect(() => load(bomb)).toThrow(expect.objectContaining({ code: 'LIMIT_EXCEEDED', limit: 'work' }));
  });
});

describe('a deque with a bound', () => {
  const three = ['MARK', int(1), int(2), int(3)] satisfies EmitOp[];
  const empty = (maxlen: number): EmitOp[] => call('collections deque', 'EMPTY_LIST', int(maxlen));
  const cases: Record<string, EmitOp[]> = {
    'by APPENDS': [...empty(2), ...three, 'APPENDS'],
    'by APPEND': [...empty(1), int(1), 'APPEND', int(2), 'APPEND'],
    'by its arguments': call('collections deque', ...three, 'LIST', int(2)),
    'of nothing': [...empty(0), ...three, 'APPENDS'],
  };

  it.each([
    ['by APPENDS', [2, 3]],
    ['by APPEND', [2]],
    ['by its arguments', [2, 3]],
    ['of nothing', []],
  ])('keeps the last items if it is given more %s', (name, items) => {
    expect([...(load(pickle(cases[name]!)) as Deque)]).toEqual(items);
  });
  sameInPython(cases);

  it('counts the items that dropping moves', () => {
    const many = Array.from({ length: 20_000 }, (): EmitOp => 'NONE');
    const appends = Array.from({ length: 20_000 }, (): EmitOp[] => ['NONE', 'APPEND']).flat();
    const bomb = pickle([...empty(20_000), 'MARK', ...many, 'APPENDS', ...appends]);
    expect(() => load(bomb)).toThrow(expect.objectContaining({ code: 'LIMIT_EXCEEDED', limit: 'work' }));
  });
});

describe('array.array by type code and machine format', () => {
  const made = (typecode: string, format: number, ...data: number[]): EmitOp[] =>
    call('array _array_reconstructor', global('array array'), text(typecode), int(format), raw(...data));
  const cases: Record<string, EmitOp[]> = {
    'a truncated item': made('i', 8, 1, 2, 3),
    'a truncated item of another byte order': made('i', 9, 1, 2, 3, 4, 5),
    'a truncated character': made('u', 20, 97, 0),
    'a character beyond Unicode': made('u', 21, 0, 0x11, 0, 0, 0, 0, 0, 97),
    'the same in native byte order': made('u', 20, 0, 0, 0x11, 0),
    'a surrogate in native byte order': made('u', 20, 0, 0xd8, 0, 0),
    'a surrogate in the other byte order': made('u', 21, 0, 0, 0xd8, 0, 0, 0, 0, 97),
    'a surrogate in 16 bits': made('u', 18, 0, 0xd8, 97, 0),
    'a pair of surrogates in 16 bits': made('u', 19, 0xd8, 0x3d, 0xde, 0),
    // Python on Linux reports one character as truncated: its table has items of 4 and 8 bytes.
    'characters in 16 bits': made('u', 19, 0, 97, 0, 98),
    'characters in 32 bits': made('u', 21, 0, 0, 0, 97, 0, 1, 0xf6, 0),
  };
  for (const typecode of 'bBhHiIlLqQfdu') {
    for (let format = -1; format <= 22; format++) {
      cases[`type code ${typecode} in format ${format}`] = made(typecode, format, 65, 0, 0, 66, 0, 0, 0, 0);
    }
  }
  sameInPython(cases);

  it.each(pythons())('has the same items as in Python $version', async (info) => {
    await using python = new Python(info);
    const arrays = Object.values(cases).filter((ops) => load(pickle(ops)) instanceof PyArray);
    // Through Python's own reader, because a type code may become another.
    const code = "import pickle\nresult = [[str(item) for item in pickle.loads(data)] for data in args['data']]";
    const items = await python.run<string[][]>(code, { data: arrays.map(pickle) });
    for (const [i, ops] of arrays.entries()) {
      const ours = (load(pickle(ops)) as PyArray).toArray();
      expect(items[i]!.map((item, at) => (typeof ours[at] === 'number' ? Number(item) : item))).toEqual(
        ours.map((item) => (typeof item === 'bigint' ? String(item) : item)),
      );
    }
    expect(arrays.length).toBeGreaterThan(20);
  });
});

describe('values on which both of its readers agree', () => {
  const decimal = (value: string): EmitOp[] => call('decimal Decimal', text(value));
  const line = (value: string): Uint8Array => Uint8Array.from(value, (letter) => letter.charCodeAt(0));
  const texts = [
    ...['1E1000000000000000000000000', '1E999999999999999999', '1E1000000000000000000', '10E999999999999999999'],
    ...['1E-1999999999999999997', '1E-1999999999999999998', '1.5E-1999999999999999997', '0.001E1000000000000000002'],
    ...['0E999999999999999999', '0E1000000000000000000', '0.0E1000000000000000000', '0.0E-1999999999999999997'],
    ...['00E1', '1E+0000000000000000000000000005', '-1E99999999999999999999', 'NaN12345678901234567890'],
  ];
  sameInPython({
    ...Object.fromEntries(texts.map((value) => [`Decimal('${value}')`, decimal(value)])),
    'a lone surrogate in UTF-8': call('_codecs encode', text('\ud800'), text('utf-8')),
    'the same for a bytearray': call('builtins bytearray', text('\ud800'), text('utf-8')),
    'an astral character in UTF-8': call('_codecs encode', text('😀'), text('utf-8')),
    'a timezone whose name is None': call(
      'datetime timezone',
      ...call('datetime timedelta', int(0), int(60), int(0)),
      'NONE',
    ),
    'READONLY_BUFFER of bytes': [raw(1), 'READONLY_BUFFER'],
    'GET with leading zeros': line('N(lp7\n0g007\n.'),
    'PUT with leading zeros': line('N(lp007\n0g7\n.'),
    'GET of a negative number': line('N(lp7\n0g-007\n.'),
    'a module with a surrogate': line('cm\xed\xa0\x80\nx\n.'),
    'a name with a surrogate pair': line('cos\n\xed\xa0\xbd\xed\xb8\x80\n.'),
    'a persistent id that is not ASCII': line('P\xc3\xa9\n.'),
    'the module of an INST that is not ASCII': line('(i\xc3\xa9\nx\n.'),
    'the name of an INST that is not ASCII': line('(icollections\n\xc3\xa9\n.'),
    'STOP before the end of its frame': line('\x95\x03\0\0\0\0\0\0\0N.N'),
    'the same, followed by more bytes': line('\x95\x03\0\0\0\0\0\0\0N.NN'),
  });
});

describe('opaque objects made by hand', () => {
  const made = () => new OpaqueObject('NEWOBJ', new OpaqueGlobal('m', 'C'), Tuple.of());
  const wrong: readonly [string, unknown][] = [
    ['a key without a value', { op: 'SETITEM', pairs: ['a', 1, 'b'] }],
    ['pairs that are not an array', { op: 'SETITEM', pairs: new Map([['a', 1]]) }],
    ['items that are not an array', { op: 'APPEND', items: 'ab' }],
    ['missing items', { op: 'ADDITEMS' }],
    ['a call that is not an object', { op: 'CALL', call: 5 }],
    ['an unknown operation', { op: 'SETITEMS', pairs: [] }],
    ['nothing', undefined],
  ];

  it.each(wrong)('refuse %s as an operation', (_what, operation) => {
    const object = made();
    expect(() => OpaqueObject.operate(object, operation as Operation)).toThrow(
      expect.objectContaining({ code: 'INVALID_ARGUMENT' }),
    );
    expect(object.operations).toEqual([]);
  });

  it.each([[undefined], [{ k: 1 }], [[['k', 1]]]])('refuse keyword arguments that are not a PyDict: %j', (names) => {
    expect(() => new OpaqueObject('NEWOBJ_EX', new OpaqueGlobal('m', 'C'), Tuple.of(), names as never)).toThrow(
      expect.objectContaining({ code: 'INVALID_ARGUMENT' }),
    );
  });

  it('are checked again when they are written', () => {
    const pairs: unknown[] = ['a', 1];
    const object = made();
    OpaqueObject.operate(object, { op: 'SETITEM', pairs });
    pairs.push('b');
    const names = new Map<unknown, unknown>([['k', 1]]);
    const called = new OpaqueObject('NEWOBJ_EX', new OpaqueGlobal('m', 'C'), Tuple.of(), names);
    names.set(1, 2);
    for (const value of [object, called]) {
      for (const protocol of [2, 3, 4, 5] as const)
        expect(() => dump(value, { protocol })).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }));
      expect(() => dumpEntry([value])).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }));
    }
    expect(() => new OpaqueObject('NEWOBJ_EX', new OpaqueGlobal('m', 'C'), [], names)).toThrow(
      expect.objectContaining({ code: 'INVALID_ARGUMENT' }),
    );
  });
});
