/** Operations during other operations: those that are impossible are refused, the rest succeed. */

import { describe, expect, it } from 'vitest';
import { MmapDict } from '../../src/dict/index.ts';
import { type ArraySource, ndarray } from '../../src/ndarray/index.ts';
import { MemoryDisk, MemoryFile } from '../../src/storage/index.ts';

const refused = expect.objectContaining({ code: 'INVALID_ARGUMENT' });

/** Growable rows. */
const growable = (rowShape: readonly number[]): ArraySource => ({
  arraySource: true,
  dtype: 'float32',
  shape: [0, ...rowShape],
  capacity: 9,
});

/** A handle's view of the file if it was never open before. */
function reopened(file: MemoryFile): unknown {
  using dict = MmapDict.over(MemoryFile.of(file.toBytes()));
  expect(dict.fsck().findings.filter(({ severity }) => severity !== 'info')).toEqual([]);
  return Object.fromEntries([...dict]);
}

describe('inside a batch', () => {
  it.each<[string, (dict: MmapDict) => unknown]>([
    ['seal', (dict) => dict.seal()],
    ['seal with checksums', (dict) => dict.seal({ checksums: true })],
    ['vacuum', (dict) => dict.vacuum()],
    ['vacuum in place', (dict) => dict.vacuum({ inPlace: true })],
    ['fsck with repair', (dict) => dict.fsck({ repair: true })],
  ])('%s is refused, and the batch goes on', (_what, operation) => {
    const file = MemoryFile.of();
    const dict = MmapDict.over(file);
    dict.set('a', 0);
    dict.batch(() => {
      dict.set('b', 1);
      expect(() => operation(dict)).toThrow(refused);
      dict.set('c', 2);
    });
    dict.set('d', 3);
    expect(reopened(file)).toEqual({ a: 0, b: 1, c: 2, d: 3 });
  });

  it.each<[string, (dict: MmapDict, other: MmapDict) => MmapDict]>([
    ['rename', (dict) => dict.rename('rows', 'moved')],
    ['copy', (dict, other) => copied(dict.copy(['rows'], other), other)],
    ['merge', (dict, other) => copied(other.merge(dict), other)],
    ['pop and set', (dict) => dict.set('moved', dict.pop('rows'))],
  ])('%s includes the rows appended in the same batch', (_what, operation) => {
    // Small ones pass through memory, large ones are copied from file to file.
    for (const width of [2, 20_000]) {
      using dict = MmapDict.over(MemoryFile.of());
      using other = MmapDict.over(MemoryFile.of());
      dict.set('rows', growable([width]));
      const row = Array.from({ length: width }, (_, i) => i);
      growableOf(dict, 'rows').append([row]);
      const found = dict.batch(() => {
        growableOf(dict, 'rows').append([row]);
        expect(dict.getMeta('rows')?.shape).toEqual([2, width]);
        return operation(dict, other);
      });
      expect((found.get('moved') as { toNested(): unknown }).toNested()).toEqual([row, row]);
    }
  });

  it('entries that another handle deleted are missing', () => {
    const disk = new MemoryDisk();
    using mine = MmapDict.over(disk.open('dict', 'create-new'));
    mine.update({ a: 1, b: 2, c: ndarray(new Float64Array(3)) });
    using others = MmapDict.over(disk.open('dict', 'r+'));
    expect(mine.size).toBe(3);
    others.delete('b');
    mine.batch(() => {
      expect(mine.size).toBe(2);
      expect([...mine.keys()]).toEqual(['a', 'c']);
    });
    others.delete('a');
    expect(mine.upgrade()).toBe(0);
    others.set('d', 4);
    others.delete('c');
    using copy = MmapDict.over(MemoryFile.of());
    mine.batch(() => copy.merge(mine));
    expect([...copy.keys()]).toEqual(['d']);
  });

  it('a batch that throws also rolls back the enclosing one, even if that catches the error', () => {
    const file = MemoryFile.of();
    const dict = MmapDict.over(file);
    dict.set('before', 0);
    const inner = (change: () => unknown) => {
      dict.batch(() => {
        dict.set('outer', 1);
        try {
          dict.batch(() => {
            change();
            throw new Error('mine');
          });
        } catch {}
        dict.set('later', 2);
      });
    };
    for (const change of [() => dict.set('x', 1), () => dict.delete('before')]) {
      expect(() => inner(change)).toThrow(expect.objectContaining({ code: 'UNSUPPORTED_VALUE' }));
      expect(reopened(file)).toEqual({ before: 0 });
    }
    // A batch that had changed nothing rolls back nothing.
    inner(() => dict.get('before'));
    expect(reopened(file)).toEqual({ before: 0, outer: 1, later: 2 });
  });

  it.each<[string, (dict: MmapDict) => unknown]>([
    ['a value', (dict) => dict.set('later', 1)],
    ['an array', (dict) => dict.set('later', new Float64Array(5))],
    ['a Map that holds an array', (dict) => dict.set('later', new Map([['x', new Float64Array(5)]]))],
    ['a delete', (dict) => dict.delete('before')],
    ['nothing', () => undefined],
  ])(
    'a change that fails half way rolls back the batch, even if the error is caught and %s follows',
    (_what, later) => {
      const file = MemoryFile.of();
      const dict = MmapDict.over(file);
      dict.set('before', 0);
      for (const size of [10, 20_000]) {
        const fails = { arraySource: true, dtype: 'uint8', shape: [size] };
        const half = function* () {
          yield new Uint8Array(size / 2);
          throw new Error('mine');
        };
        for (const source of [
          { ...fails, bytes: half },
          { ...fails, file: { path: 'missing', offset: 0, length: size } },
        ]) {
          const change = () =>
            dict.batch(() => {
              try {
                dict.set('fails', source);
              } catch {}
              later(dict);
            });
          expect(change).toThrow(expect.objectContaining({ code: 'UNSUPPORTED_VALUE' }));
          expect(reopened(file)).toEqual({ before: 0 });
        }
      }
    },
  );

  it('a change that is refused before it begins does not fail the batch', () => {
    const file = MemoryFile.of();
    const dict = MmapDict.over(file);
    dict.batch(() => {
      expect(() => dict.set('bad', () => 1)).toThrow();
      expect(() => dict.rename('missing', 'x')).toThrow(expect.objectContaining({ code: 'NOT_FOUND' }));
      dict.set('good', 1);
    });
    expect(reopened(file)).toEqual({ good: 1 });
  });
});

describe('a batch that is async', () => {
  it('is refused, and none of its changes happens', async () => {
    const file = MemoryFile.of();
    const dict = MmapDict.over(file);
    const change = async () => {
      dict.set('a', 1);
      await Promise.resolve();
    };
    expect(() => dict.batch(change)).toThrow(refused);
    await expect(dict.batchAsync(change)).rejects.toThrow(refused);
    expect(reopened(file)).toEqual({});
  });
});

describe('copy', () => {
  it.each<[string, (writer: MmapDict) => unknown]>([
    [
      'replaces what is copied, and reclaims it',
      (writer) => writer.set('x', new Float64Array(20_000).fill(2)).reclaim(),
    ],
    ['deletes what is copied, and reclaims it', (writer) => writer.delete('x') && writer.reclaim()],
    ['moves everything in place', (writer) => writer.delete('dead') && writer.vacuum({ inPlace: true })],
  ])('never copies half of a value while another handle %s', (_what, change) => {
    for (let moment = 0; moment < 12; moment++) {
      const disk = new MemoryDisk();
      using writer = MmapDict.over(disk.open('dict', 'create-new'), { index: false });
      writer.set('dead', new Float64Array(30_000)).set('x', new Float64Array(20_000).fill(1));
      const file = disk.open('dict', 'r');
      using from = MmapDict.over(file);
      using to = MmapDict.over(MemoryFile.of());
      const read = file.read.bind(file);
      let reads = 0;
      file.read = (offset, into) => {
        if (reads++ === moment) change(writer);
        return read(offset, into);
      };
      try {
        from.copy(['x'], to);
      } catch (error) {
        expect(['NOT_FOUND', 'TRUNCATED']).toContain((error as { code: string }).code);
        expect([...to]).toEqual([]);
        continue;
      }
      const found = to.get('x') as { sum(): number; size: number };
      expect([1, 2]).toContain(found.sum() / 20_000);
    }
  });
});

describe('during a long operation', () => {
  it.each<[string, (dict: MmapDict, onProgress: () => void) => unknown]>([
    ['vacuum', (dict, onProgress) => dict.vacuum({ onProgress })],
    ['vacuum in place', (dict, onProgress) => dict.vacuum({ inPlace: true, onProgress })],
    ['seal', (dict, onProgress) => dict.seal({ checksums: true, onProgress })],
    ['fsck with repair', (dict, onProgress) => dict.fsck({ repair: true, onProgress })],
  ])('%s: changes and closing are refused', (_what, operation) => {
    const disk = new MemoryDisk();
    const file = disk.open('dict', 'create-new');
    const dict = MmapDict.over(file);
    dict.set('rows', growable([2]));
    dict.set('a', 1).set('dead', 2).delete('dead');
    const meddle = [
      () => dict.set('b', 2),
      () => dict.delete('a'),
      () => dict.batch(() => 1),
      () => growableOf(dict, 'rows').append([1, 2]),
      () => dict.vacuum(),
      () => dict.close(),
    ];
    for (const change of meddle) expect(() => operation(dict, change)).toThrow(refused);
    operation(dict, () => {});
    expect(dict.set('after', 3).size).toBe(3);
    expect(disk.names().filter((name) => name !== 'dict')).toEqual([]);
  });
});

/** The dict that the rows were copied into. */
function copied(_done: MmapDict, into: MmapDict): MmapDict {
  return into.rename('rows', 'moved');
}

function growableOf(dict: MmapDict, key: string): { append(rows: unknown): unknown } {
  return dict.get(key) as never;
}

describe('a key of a file that was opened by its index', () => {
  const opened = (standingIndex: number) => {
    const disk = new MemoryDisk();
    const made = MmapDict.over(disk.open('dict', 'create-new'));
    made.update(Array.from({ length: 100 }, (_, i): [string, number] => [`k${i}`, i])).close();
    const open = () => MmapDict.over(disk.open('dict', 'r+'), { standingIndex });
    const dict = open();
    expect(dict.core.store.entries.base).toBeDefined();
    return { dict, open };
  };

  it.each([0, 16_384])(
    'is missing inside the batch that deletes it, with a standing index from %d bytes on',
    (stays) => {
      for (const asks of [1, 2]) {
        const { dict } = opened(stays);
        dict.batch(() => {
          dict.delete('k7');
          expect([dict.has('k7'), dict.get('k7'), dict.delete('k7')]).toEqual([false, undefined, false]);
          for (let i = 1; i < asks; i++) expect([...dict.keys()]).not.toContain('k7');
          expect([dict.has('k7'), dict.get('k7'), dict.delete('k7'), dict.size]).toEqual([false, undefined, false, 99]);
        });
        expect([...dict.keys()]).not.toContain('k7');
      }
    },
  );

  it.each([0, 16_384])(
    'is present again once another handle has set it, with a standing index from %d bytes on',
    (stays) => {
      for (const closed of [true, false]) {
        const { dict, open } = opened(stays);
        dict.delete('k7');
        const other = open();
        other.set('k7', 'again');
        if (closed) other.close();
        expect([dict.has('k7'), dict.get('k7')]).toEqual([true, 'again']);
        expect([[...dict.keys()].at(-1), dict.size]).toEqual(['k7', 100]);
      }
    },
  );
});
