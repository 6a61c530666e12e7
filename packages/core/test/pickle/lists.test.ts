import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isMmdError } from '../../src/errors.ts';
import { dump, type EmitOp, emit, type LoadOptions, load, Tuple } from '../../src/pickle/index.ts';

const run = (ops: readonly EmitOp[], options?: LoadOptions): unknown => load(emit([...ops, 'STOP']), options);

function codeOf(act: () => unknown): string {
  try {
    act();
  } catch (error) {
    if (isMmdError(error)) return error.code;
    throw error;
  }
  throw new Error('nothing was thrown');
}

const item: EmitOp = ['BININT1', 1];

describe('a list whose items come after a mark', () => {
  it.each<[string, EmitOp[], unknown]>([
    ['has them', ['EMPTY_LIST', 'MARK', item, item, 'APPENDS'], [1, 1]],
    ['is empty after an empty batch', ['EMPTY_LIST', 'MARK', 'APPENDS'], []],
    [
      'has those of all batches',
      ['EMPTY_LIST', 'MARK', item, 'APPENDS', 'MARK', 'NONE', 'APPENDS', item, 'APPEND'],
      [1, null, 1],
    ],
    ['is memoized by MEMOIZE', ['EMPTY_LIST', 'MEMOIZE', 'MARK', item, 'APPENDS', 'POP', ['BINGET', 0]], [1]],
    ['is memoized by BINPUT', ['EMPTY_LIST', ['BINPUT', 7], 'MARK', item, 'APPENDS', 'POP', ['BINGET', 7]], [1]],
    [
      'is memoized by LONG_BINPUT',
      ['EMPTY_LIST', ['LONG_BINPUT', 2 ** 31], 'MARK', item, 'APPENDS', 'POP', ['LONG_BINGET', 2 ** 31]],
      [1],
    ],
    ['stays empty if the mark is popped', ['EMPTY_LIST', 'MARK', item, 'POP_MARK'], []],
    [
      'stays empty if the mark makes a tuple',
      ['EMPTY_LIST', 'MARK', item, 'TUPLE', 'TUPLE2'],
      new Tuple([], Tuple.of(1)),
    ],
    ['stays empty if a bare mark is popped', ['EMPTY_LIST', 'MARK', 'POP'], []],
    [
      'gets the items of the first of two marks',
      ['EMPTY_LIST', 'MARK', 'MARK', item, 'TUPLE', 'APPENDS'],
      [Tuple.of(1)],
    ],
  ])('%s', (_, ops, value) => {
    expect(run(ops)).toEqual(value);
  });

  it('contains itself if its slot is read before its items', () => {
    const list = run(['EMPTY_LIST', 'MEMOIZE', 'MARK', ['BINGET', 0], item, 'APPENDS']) as unknown[];
    expect(list).toHaveLength(2);
    expect(list[0]).toBe(list);
  });

  it('is the innermost if two wait for items under one slot', () => {
    const put: EmitOp[] = ['EMPTY_LIST', ['BINPUT', 5], 'MARK'];
    const outer = run([...put, ...put, ['BINGET', 5], 'APPENDS', ['BINGET', 5], 'APPENDS']) as unknown[][];
    expect(outer).toHaveLength(2);
    expect(outer[0]).toBe(outer[1]);
    expect(outer[0]![0]).toBe(outer[0]);
  });

  it('leaves its slot to a value that was put there meanwhile', () => {
    expect(run(['EMPTY_LIST', ['BINPUT', 5], 'MARK', item, ['BINPUT', 5], 'APPENDS', 'POP', ['BINGET', 5]])).toBe(1);
    const put: EmitOp[] = ['EMPTY_LIST', ['BINPUT', 5], 'MARK'];
    expect(run([...put, ...put, item, 'APPENDS', 'APPENDS', 'POP', ['BINGET', 5]])).toEqual([1]);
  });

  it.each<[string, EmitOp[]]>([
    ['APPENDS after a second mark', ['EMPTY_LIST', 'MARK', 'MARK', item, 'APPENDS']],
    ['APPENDS without a mark', ['EMPTY_LIST', item, 'APPENDS']],
    ['APPEND without a list', [item, 'APPEND']],
    ['SETITEMS', ['EMPTY_LIST', 'MARK', item, item, 'SETITEMS']],
    ['STOP above the mark', ['EMPTY_LIST', 'MARK']],
    ['a third item', ['NONE', 'NONE', 'TUPLE3']],
  ])('refuses %s', (_, ops) => {
    expect(codeOf(() => run(ops))).toBe('BAD_OPCODE');
  });

  it('ends with its input', () => {
    for (const ops of [
      ['EMPTY_LIST', ['LONG_BINPUT', 1]],
      ['EMPTY_LIST', ['BINPUT', 1]],
      ['EMPTY_LIST', 'MEMOIZE'],
    ] as EmitOp[][]) {
      const bytes = emit(ops);
      for (let end = 1; end <= bytes.length; end++)
        expect(codeOf(() => load(bytes.subarray(0, end)))).toBe('TRUNCATED');
    }
  });

  it('has no holes', () => {
    const list = load(dump([[1, 'a'], [2.5], [], [null, true]])) as unknown[][];
    for (const inner of [list, ...list]) expect(Object.keys(inner)).toHaveLength(inner.length);
  });
});

describe('long pickles', () => {
  it('keep memo slots distinct at every memo size', () => {
    for (const count of [63, 64, 65, 512, 513, 4096, 4097, 9000, 32_768, 32_769, 70_000]) {
      const ops: EmitOp[] = ['MARK'];
      for (let i = 0; i < count; i++) ops.push(['BININT', i], 'MEMOIZE');
      for (let i = 0; i < count; i++) ops.push(['LONG_BINGET', i]);
      const expected = Array.from({ length: count }, (_, i) => i);
      expect(isDeepStrictEqual(run([...ops, 'LIST']), [...expected, ...expected])).toBe(true);
    }
  });

  it('may keep any number of items on the stack, up to the limit', () => {
    const ops: EmitOp[] = ['MARK', ...Array.from({ length: 3000 }, (): EmitOp => 'NONE'), 'TUPLE'];
    expect(run(ops)).toHaveLength(3000);
    expect(codeOf(() => run(ops, { limits: { stack: 2000 } }))).toBe('LIMIT_EXCEEDED');
    expect(run(ops, { limits: { stack: 3000 } })).toHaveLength(3000);
    expect(codeOf(() => run(ops, { limits: { stack: 2999 } }))).toBe('LIMIT_EXCEEDED');
  });

  it('load as they were written, again and again', () => {
    const value = Array.from({ length: 20_000 }, (_, i) => [i, `text ${i}`, i / 3, [i], new Tuple(i, 0.5, [])]);
    const bytes = dump(value);
    expect(bytes.length).toBeGreaterThan(262_144);
    // As `toEqual`, which takes ten times as long.
    expect(isDeepStrictEqual(load(bytes), value)).toBe(true);
    expect(isDeepStrictEqual(load(bytes), value)).toBe(true);
  });
});

it('tuples of any items are frozen, and equal to what was written', () => {
  const scalar = fc.oneof(fc.integer(), fc.double({ noNaN: true }), fc.string(), fc.constant(null), fc.boolean());
  fc.assert(
    fc.property(fc.array(scalar, { maxLength: 6 }), (items) => {
      const tuple = Tuple.from(items);
      expect(Object.isFrozen(tuple)).toBe(true);
      expect([...tuple]).toEqual(items);
      const again = load(dump(tuple, { protocol: 2 })) as Tuple;
      expect(Object.isFrozen(again)).toBe(true);
      expect([...again].map(Number)).toEqual(items.map(Number));
    }),
  );
});
