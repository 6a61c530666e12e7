import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { dump, type EmitOp, emit, load, type PyDict } from '../../src/pickle/index.ts';

const run = (ops: readonly EmitOp[]): unknown => load(emit([...ops, 'STOP']));

const text = (value: string): EmitOp => ['BINUNICODE', value];
/** A dict of keys and small integers, in one batch. */
const dict = (...pairs: (string | number)[]): EmitOp[] => [
  'EMPTY_DICT',
  'MARK',
  ...pairs.map((item): EmitOp => (typeof item === 'string' ? text(item) : ['BININT1', item])),
  'SETITEMS',
];

const keys = fc.constantFrom('', 'a', 'b', 'c', 'id', 'name', 'x1', 'x2', 'süd', 'i', 'q');
const records = fc.array(
  fc.array(
    fc.tuple(
      fc.oneof({ weight: 9, arbitrary: keys }, fc.integer({ min: 0, max: 9 })),
      fc.oneof(fc.integer(), fc.string(), fc.double({ noNaN: true, noInteger: true })),
    ),
    { maxLength: 10 },
  ),
  { maxLength: 12 },
);

describe('dicts with the same keys', () => {
  it('hold what each of them was written with, whatever the others hold', () => {
    fc.assert(
      fc.property(records, (lists) => {
        const maps = lists.map((pairs) => new Map<unknown, unknown>(pairs));
        const twice = [...maps, ...maps.map((map) => new Map(map)), ...maps.map((map) => new Map(map))];
        const bytes = dump(twice);
        const loaded = load(bytes) as PyDict[];
        expect(dump(loaded)).toEqual(bytes);
        expect(loaded.map((one) => [...one])).toEqual(twice.map((one) => [...one]));
        expect(dump(loaded)).toEqual(bytes);
      }),
      { numRuns: 300 },
    );
  });

  it.each([1, 2, 3, 4, 5, 6, 7, 8, 9])('of %i keys can be read, changed and emptied', (count) => {
    const record = (n: number): Map<string, number> =>
      new Map(Array.from({ length: count }, (_, i) => [`k${i}`, n + i]));
    const read = (): PyDict[] => load(dump([record(0), record(10), record(20), record(30)])) as PyDict[];
    const [, , third, fourth] = read() as [PyDict, PyDict, PyDict, PyDict];
    expect([...third]).toEqual([...record(20)]);
    expect(third.size).toBe(count);
    expect(third.get('k0')).toBe(20);
    third.set('k0', 'new');
    third.delete(`k${count}`);
    expect([...third].slice(1)).toEqual([...record(20)].slice(1));
    fourth.clear();
    expect(fourth.size).toBe(0);
    fourth.set('other', 1);
    expect([...fourth]).toEqual([['other', 1]]);
    expect([...read()[3]!.values()]).toEqual([...record(30).values()]);
  });

  it('accept more items after the first', () => {
    const more: EmitOp[] = ['MARK', text('b'), ['BININT1', 5], text('a'), ['BININT1', 6], 'SETITEMS'];
    const one = dict('a', 1);
    const read = run([
      'MARK',
      ...one,
      ...one,
      ...one,
      ...more,
      ...one,
      text('z'),
      'NONE',
      'SETITEM',
      'LIST',
    ]) as PyDict[];
    expect(read.map((entry) => [...entry])).toEqual([
      [['a', 1]],
      [['a', 1]],
      [
        ['a', 6],
        ['b', 5],
      ],
      [
        ['a', 1],
        ['z', null],
      ],
    ]);
  });

  it('keep the last value of a key that occurs twice', () => {
    const twice = dict('a', 1, 'b', 2, 'a', 3);
    const read = run(['MARK', ...twice, ...twice, ...twice, 'LIST']) as PyDict[];
    for (const one of read) {
      expect([...one]).toEqual([
        ['a', 3],
        ['b', 2],
      ]);
    }
  });

  it('are distinguished from dicts with other keys in the same places', () => {
    const read = run([
      'MARK',
      ...dict('a', 1, 'b', 2),
      ...dict('a', 1, 'c', 2),
      ...dict('a', 3, 'c', 4),
      ...dict('a', 5, 'b', 6),
      ...dict('a', 7, 1, 8),
      ...dict('a', 7, 'c', 9),
      'LIST',
    ]) as PyDict[];
    expect(read.map((one) => [...one].flat())).toEqual([
      ['a', 1, 'b', 2],
      ['a', 1, 'c', 2],
      ['a', 3, 'c', 4],
      ['a', 5, 'b', 6],
      ['a', 7, 1, 8],
      ['a', 7, 'c', 9],
    ]);
  });
});
