import { writeFileSync } from 'node:fs';
import { Python, pythons, TempDir } from '@mmdpickle/test-support';
import { afterAll, describe, expect, test } from 'vitest';
import { loadMapped } from '../../src/dict/convert.ts';
import { dictPieces, findPieces } from '../../src/dict/pickle-split.ts';
import type { NDArray } from '../../src/ndarray/index.ts';
import { convert, MmapDict, NodeFile, openPickle } from '../../src/node.ts';
import { dump, PyFloat, PyString } from '../../src/pickle/index.ts';
import { MemoryFile } from '../../src/storage/index.ts';

/** A dict whose values share objects, hold arrays and contain themselves, in every protocol and from both picklers. */
const PICKLES = `
import pickle, collections, datetime
import numpy as np
shared = ['shared', 1, 2.5]
loop = [1]; loop.append(loop)
t = ([],); t[0].append(t)
big = np.arange(5000, dtype='f8')
d = {'k%d' % i: {'i': i, 's': shared, 'a': np.arange(i % 50, dtype='f4')} if i % 40 == 0 else [i, shared] for i in range(1200)}
d['big'] = big; d['same'] = big; d['pair'] = [big, big]; d['bytes'] = b'x' * 5000
d['F'] = np.asfortranarray(np.arange(20000.).reshape(100, 200))
d['loop'] = loop; d['t'] = t; d['nest'] = {'loop': loop, 't': t}; d['shared'] = shared
d['masked'] = np.ma.MaskedArray(np.arange(9000.), mask=np.arange(9000) % 3 == 0)
d['ordered'] = collections.OrderedDict([(1, 2), ('a', shared)]); d['default'] = collections.defaultdict(list, {'q': [1]})
d['when'] = datetime.datetime(2020, 1, 1); d['set'] = {1, 2, 'a'}; d['text'] = '\\u00e9' * 7000
result = {}
for p in range(6):
    result['c%d' % p] = pickle.dumps(d, protocol=p)
    if 0 < p < 5:
        result['python%d' % p] = pickle._dumps(d, protocol=p)
result['ordered'] = pickle.dumps(collections.OrderedDict(d), protocol=4)
result['default'] = pickle.dumps(collections.defaultdict(list, d), protocol=5)
`;

/** Two characters in Python, one in JavaScript. */
const pair = new PyString(Uint8Array.of(0xed, 0xa0, 0xbd, 0xed, 0xb8, 0x80), '\u{1f600}');

/** Compares a value by its pickle with one memcmp: `toEqual` walks a megabyte byte by byte. */
function hasPickle(value: unknown, pickle: Uint8Array): boolean {
  return Buffer.compare(dump(value), pickle) === 0;
}

describe.each(pythons())('pickles of $version, numpy $numpy', (info) => {
  const python = new Python(info);
  afterAll(() => python[Symbol.asyncDispose]());

  test('are split into items, loaded item by item, and equal the pickle loaded as a whole', async () => {
    using dir = new TempDir();
    const pickles = await python.run<Record<string, Uint8Array>>(PICKLES);
    for (const [name, bytes] of Object.entries(pickles)) {
      const [from, to] = [dir.file(name), dir.file(`${name}.mmd`)];
      writeFileSync(from, bytes);
      using file = NodeFile.open(from);
      expect(dictPieces(file)?.count, name).toBeGreaterThan(1200);
      const progress: number[] = [];
      convert(from, to, { onProgress: ({ done }) => progress.push(done) });
      using whole = openPickle(from);
      using dict = MmapDict.open(to, { mode: 'r' });
      expect([...dict.keys()], name).toEqual([...whole.items().keys()]);
      expect(progress.at(-1)).toBe(dict.size);
      expect(dict.getMeta('big')).toMatchObject({ kind: 'ndarray', shape: [5000], layout: 'modern' });
      const mapped = loadMapped(file, {}, 1000).value as Map<string, unknown>;
      const wrong: string[] = [];
      for (const [key, value] of whole.items()) {
        const pickle = dump(value);
        if (!hasPickle(dict.get(key), pickle)) wrong.push(`converted ${key}`);
        if (!hasPickle(mapped.get(key), pickle)) wrong.push(`mapped ${key}`);
      }
      expect(wrong, name).toEqual([]);
    }
  });
});

test('the end of a pickle is reported, whether it is loaded whole or in pieces', () => {
  using dir = new TempDir();
  const plain = dump(new Map([['a', 'x'.repeat(3000)]]));
  // Gets its own root from the memo, so it is loaded as a whole.
  const irregular = Uint8Array.from([0x80, 4, 0x7d, 0x94, 0x8c, 1, 0x61, 0x68, 0, 0x73, 0x2e]);
  for (const [i, pickle] of [plain, irregular, dump(new Map())].entries()) {
    const path = dir.file(`${i}.pkl`);
    writeFileSync(
      path,
      [pickle, plain].map((bytes) => Buffer.from(bytes)).reduce((a, b) => Buffer.concat([a, b])),
    );
    using opened = openPickle(path);
    using file = NodeFile.open(path);
    if (pickle !== irregular) expect(convert(path, dir.file(`${i}.mmd`)).end).toBe(pickle.length);
    expect([opened.end, loadMapped(file, {}, 100).end]).toEqual([pickle.length, pickle.length]);
  }
});

describe('splitting a pickle into items', () => {
  const pieces = (bytes: number[] | Uint8Array) => dictPieces(MemoryFile.of(Uint8Array.from(bytes)));
  const ascii = (text: string) => Array.from(text, (char) => char.charCodeAt(0));

  test('finds the offset of each item', () => {
    const bytes = dump(
      new Map([
        ['a', [1, 2]],
        ['b', [3, 4]],
      ]),
      { protocol: 4 },
    );
    const file = MemoryFile.of(bytes);
    const found = dictPieces(file)!;
    const ranges = [...findPieces(file, found).pairs].flat();
    expect(
      ranges.map(({ start, end }) => String.fromCharCode(...bytes.subarray(start, end)).match(/[ab]/)?.[0]),
    ).toEqual(['a', 'b']);
    expect(ranges[0]!.end).toBe(ranges[1]!.start);
  });

  test.each([
    ['a dict that contains itself', ascii('}\x94(\x8c\x01ah\x00u.')],
    ['DUP', ascii('}(\x8c\x01aK\x01K\x022u.')],
    ['memo slots in descending order', ascii('}q\x05(\x8c\x01aq\x01K\x01u.')],
    ['two ways to number memo slots', ascii('}\x94q\x05.')],
    ['a key without a value', ascii('}(K\x01u.')],
    ['a BUILD after the items', ascii('}(\x8c\x01aK\x01u}b.')],
    ['a pop of everything', ascii('}0}.')],
    ['a mark that nothing consumes', ascii('(}.')],
    ['a memo slot that is set after it is read', ascii('}q\x00(\x8c\x01a]h\x01a\x8c\x01b]q\x01u.')],
    ['an item that changes another', ascii('}(\x8c\x01a]q\x00\x8c\x01bh\x00K\x01au.')],
    ['a value that is popped beside the items', ascii('}cm\nC\n)R0(\x8c\x01aNu.')],
    ['a value that is popped before an item', ascii('}(N0\x8c\x01aNu.')],
    ['a mark that is popped before an item', ascii('}((N1\x8c\x01aNu.')],
    ['an empty mark that is popped', ascii('}((0\x8c\x01aNu.')],
    ['a call for its side effect', ascii('}(\x8c\x01aNcm\nf\n)R0u.')],
    ['an item that fills another', ascii('}(\x8c\x01a]q\x00\x8c\x01bh\x00(K\x01K\x02eu.')],
  ])('leaves %s to the pickle machine', (_name, bytes) => expect(pieces(bytes)).toBeUndefined());

  test.each([
    ['TRUNCATED', ascii('}(\x8c\x01aK')],
    ['TRUNCATED', ascii('}(\x8c\x09a')],
    ['TRUNCATED', ascii('}(')],
    ['NOT_A_PICKLE', ascii('\xff')],
    ['BAD_OPCODE', ascii('}\xff')],
    ['NOT_A_PICKLE', []],
  ])('%s is thrown at once', (code, bytes) => expect(() => pieces(bytes)).toThrow(expect.objectContaining({ code })));

  test('a pickle cut anywhere, or with any byte changed, converts to the same dict or fails as it does when loaded whole', () => {
    using dir = new TempDir();
    const list = [1, 'x'];
    const bytes = dump(
      new Map<string, unknown>([
        ['a', list],
        ['b', [list, 2]],
        ['c', { a: list }],
      ]),
      { protocol: 4 },
    );
    const show = (value: unknown): string => Buffer.from(dump(value)).toString('latin1');
    let same = 0;
    for (let i = 0; i < bytes.length; i++) {
      for (const changed of [bytes.subarray(0, i), bytes.map((byte, at) => (at === i ? byte ^ 1 : byte))]) {
        const from = dir.file(`p${i}-${changed.length}`);
        const to = `${from}.mmd`;
        writeFileSync(from, changed);
        let whole: Map<string, unknown> | undefined;
        try {
          using opened = openPickle(from);
          whole = opened.items();
          convert(from, to);
          using dict = MmapDict.open(to, { mode: 'r' });
          expect([...dict.keys()].sort()).toEqual([...whole.keys()].sort());
          for (const [key, value] of whole) expect(show(dict.get(key))).toBe(show(value));
          same++;
        } catch (error) {
          expect(error).toMatchObject({ name: 'MmdError' });
          if (whole === undefined) expect(() => convert(from, to)).toThrow();
        }
      }
    }
    expect(same).toBeGreaterThan(5);
  });

  test('an unreadable item is named by its position, and no file is left behind', () => {
    using dir = new TempDir();
    const path = dir.file('p');
    writeFileSync(path, Uint8Array.from(ascii('}(\x8c\x01aK\x01\x8c\x01bK\x01)Ru.')));
    expect(() => convert(path, dir.file('q'))).toThrow(expect.objectContaining({ code: 'BAD_OPCODE', path }));
    expect(() => MmapDict.open(dir.file('q'), { mode: 'r' })).toThrow(expect.objectContaining({ code: 'NOT_FOUND' }));
  });

  test('arrays and their masks are copied from file to file', () => {
    using dir = new TempDir();
    writeFileSync(dir.file('p'), dump(new Map([['a', new Float64Array(5000).fill(2)]]), { protocol: 5 }));
    convert(dir.file('p'), dir.file('q'), { dict: { layout: 'legacy' } });
    using dict = MmapDict.open(dir.file('q'), { mode: 'r' });
    expect(dict.getMeta('a')).toMatchObject({ layout: 'legacy', nbytes: 40000 });
    expect((dict.get('a') as NDArray).get(4999)).toBe(2);
  });

  test('values are loaded losslessly unless the options say otherwise', () => {
    using dir = new TempDir();
    writeFileSync(dir.file('p'), dump({ top: new PyFloat(1), list: [new PyFloat(2), 3, pair] }));
    const converted = (name: string, lossless?: boolean): unknown => {
      convert(dir.file('p'), dir.file(name), { lossless });
      using dict = MmapDict.open(dir.file(name), { mode: 'r', load: { lossless: true } });
      return [...dict.values()];
    };
    expect(converted('kept')).toEqual([new PyFloat(1), [new PyFloat(2), 3, pair]]);
    expect(converted('plain', false)).toEqual([1, [2, 3, '\u{1f600}']]);
  });

  test('a key whose text would change is refused, with a message that says why', () => {
    using dir = new TempDir();
    writeFileSync(dir.file('p'), dump(new Map([[pair, 1]])));
    expect(() => convert(dir.file('p'), dir.file('q'))).toThrow(
      /a key with a surrogate pair encoded as two characters/,
    );
  });

  test.each([
    [
      'tuples that contain each other twice, sixty levels deep',
      [...Array(60).keys()].flatMap((i) => [0x94, 0x68, i, 0x86]),
    ],
    ['a hundred thousand nested tuples', Array<number>(100_000).fill(0x85)],
  ])('a key of %s is refused at once', (_name, tuples) => {
    using dir = new TempDir();
    writeFileSync(dir.file('p'), Uint8Array.from([...ascii('\x80\x04})'), ...tuples, ...ascii('K\x01s.')]));
    const refused = expect.objectContaining({ code: 'BAD_KEY', message: expect.stringMatching(/: a tuple$/) });
    expect(() => convert(dir.file('p'), dir.file('q'))).toThrow(refused);
    using pickle = openPickle(dir.file('p'));
    expect(() => pickle.items()).toThrow(refused);
  });
});
