import { describe, expect, it } from 'vitest';
import { type GrowableArray, MmapDict } from '../../src/dict/index.ts';
import type { ValueCodec } from '../../src/format/index.ts';
import type { ArraySource, NDArray } from '../../src/ndarray/index.ts';
import { MemoryFile } from '../../src/storage/index.ts';

/** A source that acts on the dict while it delivers its bytes. */
function meddling(meddle: () => void): ArraySource {
  return {
    arraySource: true,
    dtype: 'float64',
    shape: [2],
    *bytes() {
      yield new Uint8Array(8);
      meddle();
      yield new Uint8Array(8);
    },
  };
}

describe('a source that changes the dict while its bytes are stored', () => {
  it.each<[string, (dict: MmapDict) => void]>([
    ['set', (dict) => dict.set('inner', 1)],
    [
      'set with another source',
      (dict) =>
        dict.set(
          'inner',
          meddling(() => {}),
        ),
    ],
    ['delete', (dict) => dict.delete('before')],
    ['batch', (dict) => dict.batch(() => dict.set('inner', 1))],
    ['clear', (dict) => dict.clear()],
    ['rename', (dict) => dict.rename('before', 'after')],
    ['vacuum', (dict) => dict.vacuum()],
  ])('is refused: %s; nothing is changed, and the dict remains usable', (_what, change) => {
    using dict = MmapDict.over(MemoryFile.of());
    dict.set('before', 'kept');
    const refused = expect.objectContaining({ code: 'INVALID_ARGUMENT' });
    expect(() =>
      dict.set(
        'outer',
        meddling(() => change(dict)),
      ),
    ).toThrow(refused);
    expect([...dict]).toEqual([['before', 'kept']]);
    expect(dict.set('next', 2).get('next')).toBe(2);
    expect(dict.fsck().findings).toEqual([]);
  });

  it('may catch the error: the value is stored under its own key', () => {
    const file = MemoryFile.of();
    using dict = MmapDict.over(file);
    const caught = meddling(() => expect(() => dict.set('inner', 1)).toThrow());
    expect((dict.set('outer', caught).get('outer') as NDArray).size).toBe(2);
    expect([...dict.keys(), ...MmapDict.over(MemoryFile.of(file.toBytes())).keys()]).toEqual(['outer', 'outer']);
  });

  it('may read', () => {
    using dict = MmapDict.over(MemoryFile.of());
    dict.set('before', 'kept');
    let seen: unknown;
    dict.set(
      'outer',
      meddling(() => (seen = dict.get('before'))),
    );
    expect(seen).toBe('kept');
    expect(dict.size).toBe(2);
  });
});

it('a dict is not closed inside a batch, whose bytes would be left past its end', () => {
  const file = MemoryFile.of();
  const dict = MmapDict.over(file);
  dict.set('before', 'kept');
  const size = file.size();
  for (const close of [() => dict.close(), () => dict.batch(() => dict.close()), () => dict[Symbol.dispose]()]) {
    expect(() => dict.batch(() => dict.set('large', 'x'.repeat(20_000)) && close())).toThrow(
      expect.objectContaining({ code: 'INVALID_ARGUMENT' }),
    );
    expect([file.size(), dict.closed, ...dict.keys()]).toEqual([size, false, 'before']);
  }
  dict.close();
});

it('a codec may set another key while a growable array is moved', () => {
  const counting: ValueCodec = {
    name: 'counting',
    encode: (value) => {
      if ((value as ArraySource).capacity !== undefined) dict.set('arrays', (Number(dict.get('arrays')) || 0) + 1);
      return undefined;
    },
    describe: () => undefined,
    decode: () => undefined,
  };
  using dict: MmapDict = MmapDict.over(MemoryFile.of(), { codecs: [counting] });
  dict.set('rows', { arraySource: true, dtype: 'float64', shape: [0], capacity: 1 }).set('behind', 1);
  for (let i = 0; i < 900; i++) (dict.get('rows') as GrowableArray).append(new Float64Array([i]));
  expect((dict.get('rows') as NDArray).get(899)).toBe(899);
  expect([...dict.keys()].sort()).toEqual(['arrays', 'behind', 'rows']);
  expect(dict.get('arrays')).toBeGreaterThan(1);
  expect(dict.fsck().findings).toEqual([]);
});
