/** Damage that is met after the dict was opened: it is reported, and nothing intact is lost. */

import { describe, expect, it } from 'vitest';
import { DictReader, MmapDict } from '../../src/dict/index.ts';
import { MODERN_PREFIX } from '../../src/format/array-value.ts';
import { encodedBytes, type ValueCodec } from '../../src/format/index.ts';
import { putU64 } from '../../src/format/layout.ts';
import { type ArraySource, MaskedArray, ndarray } from '../../src/ndarray/index.ts';
import { load, OpaqueGlobal, OpaqueObject, Tuple } from '../../src/pickle/index.ts';
import { bytesSource, MemoryDisk, MemoryFile } from '../../src/storage/index.ts';

const growable = (capacity: number): ArraySource => ({ arraySource: true, dtype: 'uint8', shape: [0], capacity });
const salvaged = (bytes: Uint8Array) =>
  MmapDict.over(MemoryFile.of(bytes), { mode: 'r', lenient: true, salvage: true }).salvage(
    MmapDict.over(MemoryFile.of()),
  );
const rowsOf = (dict: MmapDict) => dict.get('rows') as { append(rows: Uint8Array): unknown; seal(): unknown };

const corrupt = expect.objectContaining({ code: 'CORRUPT' });

/** A file with an index, in which the FRAME opcode of an entry in the middle lost a bit. */
function brokenBehindIndex(key = 'k50'): MemoryFile {
  const file = MemoryFile.of();
  const dict = MmapDict.over(file);
  for (let i = 0; i < 100; i++) dict.set(`k${i}`, [i, 'v'.repeat(20)]);
  dict.set('rows', growable(3));
  const at = dict.getMeta(key)!.entryOffset;
  dict.seal().close();
  const bytes = file.toBytes();
  bytes[at]! ^= 1;
  return MemoryFile.of(bytes);
}

describe('a broken chain of entries in a file that was opened by its index', () => {
  it.each<[string, (dict: MmapDict) => unknown]>([
    ['size', (dict) => dict.size],
    ['keys', (dict) => [...dict.keys()]],
    ['vacuum', (dict) => dict.vacuum()],
    ['vacuum in place', (dict) => dict.vacuum({ inPlace: true })],
    ['merge', (dict) => MmapDict.over(MemoryFile.of()).merge(dict)],
    ['clear', (dict) => dict.clear()],
    ['seal', (dict) => dict.seal({ checksums: true })],
    ['size in a batch', (dict) => dict.batch(() => dict.size)],
    ['the broken key', (dict) => dict.get('k50')],
  ])('%s is refused, and so is every later call', (_what, ask) => {
    const file = brokenBehindIndex();
    const before = file.toBytes();
    const dict = MmapDict.over(file);
    expect(dict.get('k99')).toEqual([99, 'v'.repeat(20)]);
    expect(() => ask(dict)).toThrow(corrupt);
    for (const again of [
      () => dict.get('k99'),
      () => dict.has('k1'),
      () => dict.get('rows'),
      () => dict.set('new', 1),
    ]) {
      expect(again).toThrow(corrupt);
    }
    dict.close();
    expect(file.toBytes()).toEqual(before);
  });

  it('all intact entries are salvaged', () => {
    const dict = MmapDict.over(brokenBehindIndex(), { mode: 'r', lenient: true });
    expect(dict.salvage(MmapDict.over(MemoryFile.of())).recovered.length).toBe(101);
  });
});

describe('growth in place that was interrupted', () => {
  /** The file after the entry got its new length, but before its data did. */
  function cut(): Uint8Array {
    const file = MemoryFile.of();
    const dict = MmapDict.over(file, { index: false });
    dict.set('a', 1).set('rows', growable(3));
    const { entryOffset } = dict.getMeta('rows')!;
    const frameOf = (bytes: Uint8Array) => bytes.slice(entryOffset, entryOffset + 9).join();
    const before = frameOf(file.toBytes());
    const write = file.write.bind(file);
    const states: Uint8Array[] = [];
    file.write = (...args) => {
      write(...args);
      states.push(file.toBytes());
    };
    rowsOf(dict).append(new Uint8Array(300));
    return states.find((bytes) => frameOf(bytes) !== before)!;
  }

  it('is completed by an open for writing, so that entries appended later are not hidden from Python', () => {
    const file = MemoryFile.of(cut());
    const dict = MmapDict.over(file);
    expect(dict.repairs.map(({ kind }) => kind)).toEqual(['unfinished-growth']);
    const { offset } = dict.getMeta('rows')!;
    const whole = new Uint8Array(8);
    putU64(whole, 0, (dict.get('rows') as { capacity: number }).capacity);
    expect(file.toBytes().slice(offset - 8, offset)).toEqual(whole);
    expect(dict.fsck().findings).toEqual([]);
  });

  it('is found and repaired by fsck, also if an entry follows it', () => {
    const file = MemoryFile.of(cut());
    const reader = MmapDict.over(file, { mode: 'r' });
    expect(reader.fsck()).toMatchObject({ ok: false, findings: [{ code: 'unfinished-growth', key: 'rows' }] });
    const writer = MmapDict.over(MemoryFile.of(cut()), { mode: 'r+', lenient: true });
    expect(writer.fsck({ repair: true })).toMatchObject({ repaired: true });
    expect(writer.fsck()).toMatchObject({ ok: true, findings: [] });
  });
});

describe('verify', () => {
  it('reports an entry that was marked dead or alive since the seal', () => {
    const file = MemoryFile.of();
    const dict = MmapDict.over(file);
    dict.set('a', 1).set('b', 2).set('gone', 3).delete('gone');
    const [a, , gone] = [...dict.scan()];
    dict.seal({ checksums: true }).close();
    const states = { 'was live': [a!, 0x30], 'was dead': [gone!, 0x88] } as const;
    for (const [text, [entry, state]] of Object.entries(states)) {
      const bytes = file.toBytes();
      bytes[entry.end - 2] = state;
      const { sealed, findings } = MmapDict.over(MemoryFile.of(bytes), { mode: 'r' }).verify();
      expect({ sealed, findings }).toMatchObject({ sealed: true, findings: [{ offset: entry.offset }] });
      expect(findings[0]!.message).toContain(text);
    }
  });

  it('does not report returned reserve room as damage', () => {
    const dict = MmapDict.over(MemoryFile.of());
    dict.set('rows', growable(100_000)).set('behind', 1);
    expect(() =>
      dict.batch(() => {
        rowsOf(dict).append(new Uint8Array(50_000).fill(7));
        throw new Error('mine');
      }),
    ).toThrow('mine');
    dict.seal({ checksums: true });
    rowsOf(dict).seal();
    expect(dict.verify().findings).toEqual([]);
  });

  it('does not report rolled-back rows as damage, whether or not the index after the checksums is intact', () => {
    for (const damage of [0, 1]) {
      const file = MemoryFile.of();
      MmapDict.over(file).set('rows', growable(100)).seal({ checksums: true });
      const bytes = file.toBytes();
      bytes[bytes.length - 20]! ^= damage;
      const dict = MmapDict.over(MemoryFile.of(bytes));
      const stop = new Error('mine');
      const undone = (): never => {
        rowsOf(dict).append(new Uint8Array(9).fill(7));
        throw stop;
      };
      expect(dict.verify().sealed).toBe(true);
      expect(() => dict.batch(undone)).toThrow(stop);
      expect(dict.verify().findings).toEqual([]);
    }
  });

  it('reports only what holds when no commit is in progress', () => {
    const disk = new MemoryDisk();
    using writer = MmapDict.over(disk.open('dict', 'create-new'));
    writer.set('a', 1).set('b', 2).seal({ checksums: true });
    using reader = MmapDict.over(disk.open('dict', 'r'), { mode: 'r' });
    let looks = 0;
    const onProgress = (): void => {
      if (++looks === 1) writer.delete('b');
    };
    expect(reader.verify({ onProgress })).toEqual({ sealed: false, checked: 0, findings: [] });
  });

  it('does not check the sums of entries that another handle deleted', () => {
    const disk = new MemoryDisk();
    using mine = MmapDict.over(disk.open('dict', 'create-new'));
    mine.update({ a: new Uint8Array(50_000).fill(1), b: 2 });
    using others = MmapDict.over(disk.open('dict', 'r+'));
    expect(mine.size).toBe(2);
    others.delete('a');
    mine.seal({ checksums: true });
    others.reclaim();
    expect(mine.verify().findings).toEqual([]);
  });
});

describe('fsck', () => {
  it('reports only what holds when no commit is in progress', () => {
    const disk = new MemoryDisk();
    using writer = MmapDict.over(disk.open('dict', 'create-new'));
    writer.set('a', 1);
    using reader = MmapDict.over(disk.open('dict', 'r'), { mode: 'r' });
    const { file } = reader.core.store;
    const size = file.size.bind(file);
    let looks = 0;
    // A commit happens between the read of the size and the walk.
    file.size = () => {
      const found = size();
      if (++looks === 1) writer.set('b', 'x'.repeat(1000));
      return found;
    };
    expect(reader.fsck()).toMatchObject({ ok: true, findings: [] });
    expect(looks).toBeGreaterThan(2);
  });

  it('writes nothing to an empty file', () => {
    const file = MemoryFile.of();
    const dict = MmapDict.over(file, { lenient: true, salvage: true });
    expect(dict.fsck({ repair: true })).toMatchObject({ ok: false, findings: [{ code: 'header' }] });
    expect(file.size()).toBe(0);
  });
});

describe('an entry whose state is damaged', () => {
  /** Of entries a, b, a, c, the one at `which` has one state bit flipped. */
  const damagedAt = (which: number): MemoryFile => {
    const file = MemoryFile.of();
    const dict = MmapDict.over(file);
    const ends = (['a', 'b', 'a', 'c'] as const).map((key) => dict.set(key, key).tailOffset);
    const bytes = file.toBytes();
    bytes[ends[which]! - 2]! ^= 1;
    return MemoryFile.of(bytes);
  };

  it.each([{}, { inPlace: true }])('is not dropped by a vacuum unless the dict is lenient: %o', (options) => {
    const file = damagedAt(1);
    const before = file.toBytes();
    const dict = MmapDict.over(file);
    expect(() => dict.vacuum(options)).toThrow(expect.objectContaining({ code: 'CORRUPT', key: 'b' }));
    expect([file.toBytes(), [...dict.keys()], file.disk.names()]).toEqual([before, ['a', 'c', 'b'], ['memory']]);
    expect([...MmapDict.over(file, { lenient: true }).vacuum(options).keys()]).toEqual(['a', 'c']);
    for (const superseded of [damagedAt(0), damagedAt(1)]) {
      expect([...MmapDict.over(superseded).set('b', 1).vacuum(options).keys()].sort()).toEqual(['a', 'b', 'c']);
    }
  });

  it('is not among the keys of a dict that was opened leniently', () => {
    const dict = MmapDict.over(damagedAt(1), { lenient: true });
    expect([dict.size, [...dict.keys()], dict.has('b')]).toEqual([2, ['a', 'c'], false]);
  });

  it('is not counted if another entry has its key', async () => {
    for (const file of [damagedAt(0), damagedAt(3)]) {
      const reader = await DictReader.open(bytesSource(file.toBytes()));
      for (const { size } of [MmapDict.over(file), reader]) expect(size).toBe(3);
    }
  });

  it.each([3, 100])('is among the keys, so that whoever wants all of %i values meets the error', async (count) => {
    const file = MemoryFile.of();
    const made = MmapDict.over(file);
    const ends = Array.from({ length: count }, (_, i) => made.set(`k${i}`, i).tailOffset);
    made.close();
    const bytes = file.toBytes();
    bytes[ends[1]! - 2]! ^= 1;
    const damaged = MemoryFile.of(bytes);
    const dict = MmapDict.over(damaged);
    const keys = ['k0', ...Array.from({ length: count - 2 }, (_, i) => `k${i + 2}`), 'k1'];
    const reader = await DictReader.open(bytesSource(bytes));
    for (const handle of [dict, reader]) {
      expect([handle.size, [...handle.keys()], await handle.get('k2')]).toEqual([count, keys, 2]);
    }
    dict.batch(() => expect([dict.size, [...dict.keys()]]).toEqual([count, keys]));
    const k1 = expect.objectContaining({ code: 'CORRUPT', key: 'k1' });
    const target = MmapDict.over(MemoryFile.of());
    for (const ask of [
      () => [...dict],
      () => [...dict.values()],
      () => target.merge(dict),
      () => dict.copy(dict.keys(), target),
      () => dict.clear(),
      () => dict.seal({ checksums: true }),
    ]) {
      expect(ask).toThrow(k1);
    }
    const readAll = async (): Promise<void> => {
      for await (const [, value] of reader.entries()) expect(value).toBeTypeOf('number');
    };
    await expect(readAll()).rejects.toThrow(k1);
    expect([target.size, damaged.toBytes()]).toEqual([0, bytes]);
    expect([...dict.set('k1', 1).keys()].sort()).toEqual(keys.sort());
  });

  it.each([{}, { lenient: true }])(
    'keeps a writer from leaving an index that says its key is missing: %o',
    (options) => {
      const disk = new MemoryDisk();
      const made = MmapDict.over(disk.open('dict', 'a'), { index: false });
      const ends = Array.from({ length: 100 }, (_, i) => made.set(`k${i}`, i).tailOffset);
      disk.open('dict', 'r+').write(ends[1]! - 2, Uint8Array.of(0x89));
      const opened = (how = {}) => MmapDict.over(disk.open('dict', 'r+'), how);
      opened(options).set('new', 1).close();
      if ('lenient' in options) opened(options).seal({ checksums: true }).close();
      expect(() => opened().has('k1')).toThrow(corrupt);
      // Once the key has another value, nothing is missing.
      opened().set('k1', 2).close();
      expect([...opened().scan()].at(-1)?.key).toMatch(/^mmdpickle index/);
      expect(opened().get('k1')).toBe(2);
    },
  );

  it('is recovered by salvage if it may have been live, and reported as lost if it was more likely dead', () => {
    for (const which of [0, 1, 2]) {
      const { recovered, lost } = salvaged(damagedAt(which).toBytes());
      expect([recovered.toSorted(), lost]).toEqual([['a', 'b', 'c'], []]);
    }
    const file = MemoryFile.of();
    const { tailOffset } = MmapDict.over(file).set('a', 1);
    const state = (byte: number) => salvaged(file.toBytes().with(tailOffset - 2, byte));
    for (const byte of [0x89, 0x08, 0x00]) expect(state(byte)).toMatchObject({ recovered: ['a'], lost: [] });
    for (const byte of [0x31, 0x70]) expect(state(byte)).toMatchObject({ recovered: [], lost: [{ key: 'a' }] });
  });

  it('is recovered, and reported as lost too, if more than the state is damaged: the value may end with other bytes', () => {
    const file = MemoryFile.of();
    MmapDict.over(file).set('a', 144).set('b', 1);
    const { entryOffset } = MmapDict.over(MemoryFile.of(file.toBytes())).getMeta('b')!;
    for (const from of [entryOffset - 9, entryOffset - 8, entryOffset - 3]) {
      const { recovered, lost } = salvaged(file.toBytes().fill(0, from, entryOffset));
      expect([recovered.toSorted(), lost.map(({ key }) => key)]).toEqual([['a', 'b'], ['a']]);
    }
  });
});

it('a batch that was killed before its commit loses no key for salvage', () => {
  const file = MemoryFile.of();
  const dict = MmapDict.over(file, { index: false });
  for (const key of 'abcde') dict.set(key, key);
  const { entryOffset } = dict.getMeta('c')!;
  const images: Uint8Array[] = [];
  const write = file.write.bind(file);
  file.write = (...args) => {
    write(...args);
    images.push(file.toBytes());
  };
  dict.batch(() => {
    dict.set('f', 1).set('g', 2).delete('a');
    dict.delete('b');
  });
  const uncommitted = images.find((image) => image.length > 200)!;
  expect([...MmapDict.over(MemoryFile.of(uncommitted), { mode: 'r' }).keys()].join('')).toBe('abcde');
  expect(Buffer.from(uncommitted).includes('mmdpickle journal')).toBe(true);
  expect(salvaged(uncommitted.with(entryOffset, 0)).recovered).toEqual(expect.arrayContaining(['a', 'b', 'd', 'e']));
});

it('an entry with a wrong length that is hidden by a later entry of its key is not marked dead at the end of another entry', () => {
  const file = MemoryFile.of();
  const dict = MmapDict.over(file, { index: false });
  dict.set('a', 1).set('b', 2).set('a', 3);
  const [wrong, other] = [...dict.scan()];
  const bytes = file.toBytes();
  putU64(bytes, wrong!.offset + 1, other!.end - wrong!.offset - 9);
  for (const change of [
    (damaged: MmapDict) => damaged.seal(),
    (damaged: MmapDict) => damaged.set('a', 4),
    // Deleting the later entry would expose the hidden one.
    (damaged: MmapDict) => expect(() => damaged.delete('a')).toThrow(corrupt),
  ]) {
    const copy = MemoryFile.of(bytes);
    change(MmapDict.over(copy, { index: false }));
    expect(copy.toBytes()[other!.end - 2]).toBe(0x88);
  }
});

it.each([null, 7])('a masked array whose call does not end like one is not read as one, fill value %o', (fillValue) => {
  const file = MemoryFile.of();
  const dict = MmapDict.over(file);
  dict.set('m', new MaskedArray(ndarray([1, 2]), ndarray([true, false]), { fillValue }));
  const { offset, length } = [...dict.scan()].map((entry) => ({
    offset: entry.valueOffset,
    length: entry.valueLength,
  }))[0]!;
  for (const at of [offset + length - 2, offset + length - 1]) {
    for (const byte of [0x2e, 0x30, 0x75, 0x53]) {
      const bytes = file.toBytes();
      bytes[at] = byte;
      const damaged = MmapDict.over(MemoryFile.of(bytes), { mode: 'r' });
      expect(damaged.getMeta('m')!.kind).toBe('pickle');
    }
  }
});

it('a key with an encoded surrogate pair is reported, not confused with the character, and survives changes to other keys', () => {
  const file = MemoryFile.of();
  const dict = MmapDict.over(file);
  const at = dict.tailOffset;
  dict.set('??????', 'of the pair').set('\u{1f600}', 'of the character').set('a', 1);
  const spelled = file.toBytes();
  spelled.set([0xed, 0xa0, 0xbd, 0xed, 0xb8, 0x80], at + 11);
  const both = MemoryFile.of(spelled);
  const again = MmapDict.over(both);
  const others: [string, unknown][] = [
    ['\u{1f600}', 'of the character'],
    ['a', 1],
  ];
  expect([[...again], again.size]).toEqual([others, 2]);
  expect(again.fsck({ repair: true }).findings.map(({ code }) => code)).toEqual(['bad-key']);
  for (const inPlace of [false, true]) {
    expect(() => again.vacuum({ inPlace })).toThrow(expect.objectContaining({ code: 'CORRUPT', offset: at }));
  }
  expect(salvaged(both.toBytes()).breaks).toEqual([at]);
  again.delete('\u{1f600}');
  expect([...again.scan()].map(({ key, live }) => [key, live])).toEqual([
    [undefined, true],
    ['\u{1f600}', false],
    ['a', true],
  ]);
  // Python ignores a dead one.
  const dead = both.toBytes();
  dead[[...again.scan()][0]!.end - 2] = 0x30;
  expect(MmapDict.over(MemoryFile.of(dead)).fsck().findings).toEqual([]);
});

describe.each([true, false])(
  'a broken chain of entries in a dict that was opened leniently, with its index: %s',
  (indexed) => {
    it.each<[string, (dict: MmapDict) => unknown]>([
      ['vacuum', (dict) => dict.vacuum()],
      ['vacuum in place', (dict) => dict.vacuum({ inPlace: true })],
      ['seal', (dict) => dict.seal({ checksums: true })],
      ['size, and then set', (dict) => [dict.size, dict.set('new', 1)]],
    ])('%s is refused: the entries after the break would be lost', (_what, change) => {
      const file = brokenBehindIndex();
      if (!indexed) MmapDict.over(file, { index: false, lenient: true }).set('later', 1);
      const before = file.toBytes();
      const dict = MmapDict.over(file, { lenient: true });
      expect(() => change(dict)).toThrow(expect.objectContaining({ code: 'READ_ONLY' }));
      dict.close();
      expect(file.toBytes()).toEqual(before);
    });
  },
);

it('a leniently opened dict that met the break after a change closes without an index', () => {
  // The keys before the break are enough for an index.
  const file = brokenBehindIndex('k90');
  const dict = MmapDict.over(file, { lenient: true });
  dict.set('new', 1);
  expect(dict.size).toBe(90);
  dict.close();
  expect(salvaged(file.toBytes()).recovered).toHaveLength(102);
});

it("salvage continues past a dict inside a damaged entry's value, and that dict hides no keys of the outer one", () => {
  const inner = MemoryFile.of();
  MmapDict.over(inner).set('a', 'inner').set('b', 'inner').set('z', 'inner');
  const file = MemoryFile.of();
  const dict = MmapDict.over(file);
  dict.set('a', 'outer').set('copy', inner.toBytes()).set('b', 'outer').set('c', 'outer');
  const bytes = file.toBytes();
  bytes[dict.getMeta('copy')!.entryOffset]! ^= 1;
  const rescued = MmapDict.over(MemoryFile.of());
  const { breaks } = MmapDict.over(MemoryFile.of(bytes), { mode: 'r', lenient: true }).salvage(rescued);
  expect(breaks).toEqual([dict.getMeta('copy')!.entryOffset]);
  expect(Object.fromEntries(rescued)).toEqual({ a: 'outer', b: 'outer', c: 'outer', z: 'inner' });
});

describe('an entry with a wrong FRAME length', () => {
  type Spans = { readonly bytes: Uint8Array; readonly of: (key: string) => { offset: number; end: number } };

  const make = (fill: (dict: MmapDict) => unknown): Spans => {
    const file = MemoryFile.of();
    const dict = MmapDict.over(file, { index: false });
    fill(dict);
    const entries = [...dict.scan()];
    return { bytes: file.toBytes(), of: (key) => entries.find((entry) => entry.key === key)! };
  };
  /** The entry of `key` extends to the end of the entry of `last`. */
  const cover = ({ bytes, of }: Spans, key: string, last: string): MemoryFile => {
    putU64(bytes, of(key).offset + 1, of(last).end - of(key).offset - 9);
    return MemoryFile.of(bytes);
  };
  const salvaged = (bytes: Uint8Array): Record<string, unknown> => {
    const target = MmapDict.over(MemoryFile.of());
    MmapDict.over(MemoryFile.of(bytes), { mode: 'r', lenient: true }).salvage(target);
    return Object.fromEntries(target);
  };

  it('is salvaged together with the entries it covers, whichever bit of the length, or of an opcode next to it, is wrong', () => {
    const values = { a: 1, b: 'b'.repeat(90), c: [3], '': new Uint8Array(40), d: null };
    const { bytes, of } = make((dict) => dict.set('gone', 1).update(values).delete('gone'));
    for (const key of Object.keys(values)) {
      for (let bit = 0; bit < 80; bit++) {
        const image = bytes.slice();
        image[of(key).offset + (bit >> 3)]! ^= 1 << (bit & 7);
        expect([key, bit, salvaged(image)]).toEqual([key, bit, values]);
      }
    }
  });

  it('is salvaged together with the entries it covers, even if one of those has a wrong FRAME length too', () => {
    const values = { a: [1], b: [2], c: 'c'.repeat(50), d: [4] };
    for (const [over, wrong] of ['bc', 'cc', 'dc', 'bd', 'dd'] as const) {
      const spans = make((dict) => dict.update(values));
      spans.bytes[spans.of(wrong!).offset + 7]! ^= 1;
      expect([over, wrong, salvaged(cover(spans, 'a', over!).toBytes())]).toEqual([over, wrong, values]);
    }
  });

  it('is not taken for an array whose growth was interrupted: nothing is written over the entries that follow', () => {
    const spans = make((dict) => dict.set('rows', growable(3)).set('b', 2).set('c', 3));
    const file = cover(spans, 'rows', 'c');
    const before = file.toBytes();
    const corrupt = expect.objectContaining({ code: 'CORRUPT' });
    const dict = MmapDict.over(file, { index: false });
    for (const change of [() => dict.set('x', 1), () => dict.vacuum(), () => rowsOf(dict).append(new Uint8Array(9))]) {
      expect(change).toThrow(corrupt);
    }
    expect(dict.fsck({ repair: true })).toMatchObject({ ok: false, findings: [{ code: 'unreadable-value' }] });
    expect(file.toBytes()).toEqual(before);
    const middle = cover(
      make((target) => target.set('rows', growable(3)).set('b', 2).set('c', 3)),
      'rows',
      'b',
    );
    const other = MmapDict.over(middle, { index: false });
    for (const change of [
      () => other.vacuum(),
      () => rowsOf(other).append(new Uint8Array(9)),
      () => rowsOf(other).seal(),
    ]) {
      expect(change).toThrow(corrupt);
    }
    expect(Object.keys(salvaged(middle.toBytes()))).toEqual(['c', 'rows', 'b']);
  });

  it.each<[string, (dict: MmapDict) => unknown, string]>([
    ['dead', (dict) => dict.set('a', [1]).set('b', [2]).set('x', [3]).delete('b'), 'a'],
    ['hidden', (dict) => dict.set('a', [1]).set('b', [2]).set('a', [3]), 'b'],
  ])('is not overwritten by a repair when it counts as %s', (_state, fill, lost) => {
    const file = cover(make(fill), 'a', 'b');
    const before = file.toBytes();
    expect(MmapDict.over(file).fsck({ repair: true })).toMatchObject({ ok: false });
    expect(file.toBytes()).toEqual(before);
    expect(salvaged(before)).toEqual(lost === 'a' ? { a: [1], x: [3] } : { a: [3], b: [2] });
  });
});

it('fsck reads live entries that a later one hides, because Python does', () => {
  const file = MemoryFile.of();
  const dict = MmapDict.over(file);
  dict.set('a', [1]).set('b', [2]);
  const [a] = [...dict.scan()];
  const bytes = file.toBytes();
  bytes[a!.offset + 11] = 0x62;
  bytes[a!.valueOffset] = 0;
  const damaged = MmapDict.over(MemoryFile.of(bytes));
  const codes = ({ findings }: { findings: readonly { code: string }[] }) => findings.map(({ code }) => code);
  expect(codes(damaged.fsck({ repair: true }))).toEqual(['shadowed-entry', 'unreadable-remains']);
  expect([codes(damaged.fsck()), ...damaged]).toEqual([[], ['b', [2]]]);
});

it('a file that ends with part of a terminator is not truncated: Python loads its last entry', () => {
  const file = MemoryFile.of();
  const dict = MmapDict.over(file);
  dict.set('a', 1).set('b', 2);
  const end = dict.tailOffset;
  const bytes = file.toBytes();
  const image = Uint8Array.of(...bytes.subarray(0, end - 2), 0x64, 0x2e);
  const damaged = MemoryFile.of(image);
  expect(() => MmapDict.over(damaged)).toThrow(expect.objectContaining({ code: expect.stringMatching(/CORR|TRUNC/) }));
  const lenient = MmapDict.over(damaged, { lenient: true });
  expect(lenient.fsck({ repair: true })).toMatchObject({ repaired: false, findings: [{ code: 'broken-chain' }] });
  expect(damaged.toBytes()).toEqual(image);
});

it('a terminator whose FRAME extends past the end of the file is an error, and is repaired', () => {
  const file = MemoryFile.of();
  const dict = MmapDict.over(file, { index: false });
  dict.set('a', 1);
  const bytes = file.toBytes();
  bytes[dict.tailOffset + 1] = 3;
  const damaged = MemoryFile.of(bytes);
  const fsck = (options = {}) => MmapDict.over(damaged, { lenient: true }).fsck(options);
  expect(fsck()).toMatchObject({ ok: false, findings: [{ code: 'torn-tail', offset: dict.tailOffset }] });
  expect(fsck({ repair: true })).toMatchObject({ repaired: true });
  expect(fsck()).toMatchObject({ ok: true, findings: [] });
});

describe("a file that mmappickle's fsck cut off after a FRAME, and ended with a terminator", () => {
  /** A file of so many keys; an index is worth its bytes from some dozens on. */
  const stored = (count: number) => {
    const file = MemoryFile.of();
    const dict = MmapDict.over(file);
    for (let i = 0; i < count; i++) dict.set(`k${i}`, i);
    dict.close();
    return file.toBytes();
  };
  const keysOf = (count: number) => Array.from({ length: count }, (_, i) => `k${i}`);
  const [plain, indexed] = [stored(2), stored(100)];
  const ending = plain.slice(-11);
  const fsckOfReference = (bytes: Uint8Array, frame: number) =>
    Uint8Array.from([...bytes.subarray(0, frame + 9), ...ending]);
  const metaOf = (bytes: Uint8Array, key: string) => MmapDict.over(MemoryFile.of(bytes), { mode: 'r' }).getMeta(key)!;

  it('has an index in one of these cases only', () => {
    const last = metaOf(indexed, 'k99');
    expect(indexed.length - 11 - last.entryOffset).toBeGreaterThan(1000);
    expect(plain.length - metaOf(plain, 'k1').entryOffset).toBeLessThan(100);
  });

  it.each<[string, Uint8Array, number, readonly string[], string, readonly string[]]>([
    ['of the terminator', plain, plain.length - 11, keysOf(2), 'half-commit', []],
    ['of the terminator after an index', indexed, indexed.length - 11, keysOf(100), 'half-commit', ['stale-index']],
    ['of an incomplete entry', plain, metaOf(plain, 'k1').entryOffset, keysOf(1), 'torn-tail', []],
  ])(
    '%s: what is before it is read, and the next writer or a repair mends it',
    async (_what, bytes, frame, keys, code, left) => {
      const cut = fsckOfReference(bytes, frame);
      expect([...MmapDict.over(MemoryFile.of(cut), { mode: 'r' }).keys()]).toEqual(keys);
      const reader = await DictReader.open(bytesSource(cut));
      expect([...reader.keys()]).toEqual(keys);

      const repaired = MemoryFile.of(cut);
      expect(
        MmapDict.over(repaired, { mode: 'r' })
          .fsck()
          .findings.map((finding) => finding.code),
      ).toContain(code);
      MmapDict.over(repaired, { lenient: true }).fsck({ repair: true });
      expect(repaired.toBytes().length).toBe(frame + 11);
      expect(MmapDict.over(repaired, { mode: 'r' }).fsck()).toMatchObject({
        ok: true,
        findings: left.map((finding) => ({ code: finding })),
      });

      const appended = MemoryFile.of(cut);
      const dict = MmapDict.over(appended, { index: false });
      dict.set('c', 3);
      expect(dict.repairs.map(({ kind }) => kind)).toEqual(['partial-commit', 'unclaimed-bytes']);
      expect([...(load(appended.toBytes()) as Map<string, unknown>).keys()]).toEqual([...keys, 'c']);
    },
  );
});

it('salvage through a handle whose file was replaced copies the file that now has the name', () => {
  const disk = new MemoryDisk();
  using dict = MmapDict.over(disk.open('d', 'create-new'));
  using other = MmapDict.over(disk.open('d', 'r+'));
  dict.set('a', 1);
  other.vacuum();
  other.set('b', 2);
  using rescued = MmapDict.over(MemoryFile.of());
  expect(dict.salvage(rescued).recovered).toEqual(['a', 'b']);
});

it('an interrupted commit is repaired once and reported once', () => {
  const file = MemoryFile.of();
  const dict = MmapDict.over(file, { index: false });
  dict.set('a', 1);
  const bytes = file.toBytes();
  bytes[dict.tailOffset + 1] = 1;
  const again = MmapDict.over(MemoryFile.of(bytes), { index: false });
  again.set('b', 2);
  again.delete('a');
  expect(again.repairs).toEqual([{ kind: 'partial-commit', offset: dict.tailOffset, bytes: 0 }]);
  expect([...again]).toEqual([['b', 2]]);
});

it.each([{ index: true }, { index: false }])(
  'a key whose entry is damaged is reported by every call that would otherwise call it missing: %o',
  async (options) => {
    const file = MemoryFile.of();
    const dict = MmapDict.over(file, options);
    for (let i = 0; i < 100; i++) dict.set(`k${i}`, i);
    const { end } = [...dict.scan()][7]!;
    dict.close();
    const bytes = file.toBytes();
    bytes[end - 2]! ^= 2;
    const asked: ((dict: MmapDict) => unknown)[] = [
      (found) => found.get('k7'),
      (found) => found.has('k7'),
      (found) => found.getMeta('k7'),
      (found) => found.delete('k7'),
      (found) => found.batch(() => found.pop('k7')),
    ];
    const error = expect.objectContaining({ code: 'CORRUPT', key: 'k7' });
    for (const ask of asked) {
      const damaged = MmapDict.over(MemoryFile.of(bytes));
      expect(() => ask(damaged)).toThrow(error);
      expect([damaged.get('k6'), damaged.has('k100'), damaged.set('k7', 'new').get('k7')]).toEqual([6, false, 'new']);
    }
    expect(MmapDict.over(MemoryFile.of(bytes), { lenient: true }).has('k7')).toBe(false);
    const renamed = file.toBytes();
    renamed[[...MmapDict.over(MemoryFile.of(renamed)).scan()][7]!.offset + 11]! ^= 1;
    const other = MmapDict.over(MemoryFile.of(renamed));
    // The index leads to an entry of another key: it can no longer answer, so a walk does.
    expect([other.get('k7'), other.get('j7')]).toEqual([undefined, 7]);
    const reader = await DictReader.open(bytesSource(bytes));
    await expect(reader.get('k7')).rejects.toThrow(error);
    expect(() => reader.has('k7')).toThrow(error);
  },
);

/** The file after each write of a batch that deletes a and b, with c beside them. */
function imagesOfDeaths(): Uint8Array[] {
  const file = MemoryFile.of();
  const dict = MmapDict.over(file, { index: false });
  dict.set('a', 1).set('b', 2).set('c', 3);
  const images: Uint8Array[] = [];
  const write = file.write.bind(file);
  file.write = (...args) => {
    write(...args);
    images.push(file.toBytes());
  };
  dict.batch(() => ['a', 'b'].map((key) => dict.delete(key)));
  return images;
}

it('fsck reports a journal with a wrong checksum', () => {
  const images = imagesOfDeaths();
  const codes = (bytes: Uint8Array) =>
    MmapDict.over(MemoryFile.of(bytes), { mode: 'r' })
      .fsck()
      .findings.map(({ code }) => code);
  const pending = images.find((image) => codes(image).includes('pending-journal'))!;
  const last = [...MmapDict.over(MemoryFile.of(pending), { mode: 'r' }).scan()].at(-1)!;
  pending[last.end - 30]! ^= 1;
  expect(codes(pending)).toEqual(['damaged-journal']);
});

describe('a journal with a wrong checksum, after which another writer appended', () => {
  /** From a batch that deletes a and b; c, and d after the journal, are live. */
  const image = (flip: (end: number) => number = (end) => end - 30): Uint8Array => {
    const images = imagesOfDeaths();
    const pending = images.find((bytes) => MmapDict.over(MemoryFile.of(bytes), { mode: 'r' }).size === 1)!;
    const other = MemoryFile.of();
    MmapDict.over(other, { index: false }).set('d', 4);
    const joined = Uint8Array.from([...pending.subarray(0, -11), ...other.toBytes().subarray(24)]);
    joined[flip(pending.length - 11)]! ^= 1;
    return joined;
  };
  const items = (bytes: Uint8Array) => Object.fromEntries(load(bytes) as Map<string, unknown>);

  it('is disabled by fsck and by the first change, so that entries after it are not hidden from Python', () => {
    // Python's dict ends with the journal's program, which this library's reader does not run.
    expect(() => items(image())).toThrow();
    const { findings } = MmapDict.over(MemoryFile.of(image()), { mode: 'r' }).fsck();
    expect(findings.map(({ code }) => code)).toEqual(['damaged-journal']);
    for (const change of [
      (dict: MmapDict) => dict.fsck({ repair: true }),
      (dict: MmapDict) => dict.set('e', 5).delete('e'),
    ]) {
      const file = MemoryFile.of(image());
      change(MmapDict.over(file, { index: false }));
      expect(items(file.toBytes())).toEqual({ a: 1, b: 2, c: 3, d: 4 });
      expect(MmapDict.over(file, { mode: 'r' }).fsck()).toMatchObject({ ok: true, findings: [] });
    }
  });

  it('is carried out and disabled if only the length at its switch is wrong', () => {
    const { offset } = [...MmapDict.over(MemoryFile.of(image()), { mode: 'r' }).scan()][3]!;
    for (const byte of [1, 7]) {
      const file = MemoryFile.of(image(() => offset + 57 + byte));
      MmapDict.over(file, { index: false }).set('e', 5);
      expect(items(file.toBytes())).toEqual({ c: 3, d: 4, e: 5 });
    }
  });
});

it('a journal whose targets have moved changes nothing, through a writer or a repair', () => {
  const file = MemoryFile.of();
  const dict = MmapDict.over(file, { index: false });
  dict.set('lost', 'lost').set('a', 1).set('rows', growable(8)).set('b', 'b').set('c', 3).set('z', 'z'.repeat(500));
  const images: Uint8Array[] = [];
  const write = file.write.bind(file);
  file.write = (...args) => {
    write(...args);
    images.push(file.toBytes());
  };
  const codes = (bytes: Uint8Array) =>
    MmapDict.over(MemoryFile.of(bytes), { mode: 'r' })
      .fsck()
      .findings.map(({ code }) => code);
  const [lost, ...others] = [...dict.scan()];
  const batches: [string, () => void][] = [
    ['b', () => void rowsOf(dict).append(Uint8Array.of(7))],
    ['c', () => void dict.delete('a')],
  ];
  for (const [key, change] of batches) {
    images.length = 0;
    dict.batch(() => {
      change();
      dict.delete(key);
    });
    const pending = images.find((image) => codes(image).includes('pending-journal'))!;
    // The whole first entry is gone: everything after it has moved.
    const moved = Uint8Array.from([...pending.subarray(0, lost!.offset), ...pending.subarray(others[0]!.offset)]);
    expect(codes(moved)).toEqual(['damaged-journal']);
    const repaired = MemoryFile.of(moved);
    expect(MmapDict.over(repaired, { lenient: true }).fsck({ repair: true }).repaired).toBe(false);
    const written = MmapDict.over(repaired);
    expect([written.set('d', 4).fsck().ok, [...written.keys()].includes('a'), written.get('d')]).toEqual([
      true,
      true,
      4,
    ]);
  }
});

it('fsck reports each call that only Python can judge once, including calls in dead values', () => {
  const dict = MmapDict.over(MemoryFile.of(), { index: false });
  const camera = (gain: number) => new OpaqueObject('REDUCE', new OpaqueGlobal('lab', 'Camera'), Tuple.from([gain]));
  dict
    .set('a', camera(1))
    .set('b', [camera(2), camera(3)])
    .set('c', camera(4))
    .set('c', 5);
  const { ok, findings } = dict.fsck();
  expect([ok, findings.length]).toEqual([true, 1]);
  expect(findings[0]).toMatchObject({ code: 'opaque-value', severity: 'warning', key: 'a' });
  expect(findings[0]!.message).toMatch(
    'lab.Camera is not on the allow-list, or not with these arguments (at 17), and in 2 more; only Python can tell',
  );
  expect(dict.fsck({ values: false }).findings).toEqual([]);
});

it('an integer that claims more bytes than there are is TRUNCATED, whatever the limit', () => {
  const file = MemoryFile.of();
  const dict = MmapDict.over(file, { index: false });
  dict.set('a', 'text');
  const bytes = file.toBytes();
  // LONG4 of 2 GiB.
  bytes.set([0x8b, 0, 0, 0, 0x7f], dict.getMeta('a')!.offset);
  expect(() => MmapDict.over(MemoryFile.of(bytes), { mode: 'r' }).get('a')).toThrow(
    expect.objectContaining({ code: 'TRUNCATED' }),
  );
});

it('an empty array whose other dimensions are too large for numpy is not an array, and fsck reports it', () => {
  const file = MemoryFile.of();
  const dict = MmapDict.over(file, { index: false });
  dict.set('a', ndarray(new Float64Array(0), [0, 70_000, 70_000, 3]));
  const bytes = file.toBytes();
  const dim = [0x4a, 0x70, 0x11, 0x01, 0x00];
  for (let at = 0; at < bytes.length; at++) {
    if (dim.every((byte, i) => bytes[at + i] === byte)) bytes.set([0xff, 0xff, 0xff, 0x7f], at + 1);
  }
  const damaged = MmapDict.over(MemoryFile.of(bytes), { mode: 'r' });
  expect([dict.getMeta('a')?.kind, damaged.getMeta('a')?.kind]).toEqual(['ndarray', 'pickle']);
  expect(damaged.fsck().findings).toMatchObject([{ code: 'opaque-value', key: 'a' }]);
});

it('a head of any length is fetched in a few pieces, and parsing restarts with each piece', async () => {
  const padding = Uint8Array.of(0x42, 694 & 255, 694 >> 8, 0, 0, ...new Uint8Array(694), 0x30);
  // Shape (0,), dtype u1, no data.
  const rest = Uint8Array.of(0x4b, 0, 0x85, 0x8c, 2, 0x75, 0x31, 0x96, ...new Uint8Array(8), 0x74, 0x52);
  const value = Buffer.concat([MODERN_PREFIX, ...new Array<Uint8Array>(2000).fill(padding), rest]);
  const codec: ValueCodec = {
    name: 'padded',
    encode: (given) => (given === 'padded' ? encodedBytes('padded', value) : undefined),
    describe: () => undefined,
    decode: () => undefined,
  };
  const file = MemoryFile.of();
  MmapDict.over(file, { codecs: [codec] }).set('a', 'padded');
  const source = bytesSource(file.toBytes());
  let pieces = 0;
  const reader = await DictReader.open({
    ...source,
    read: (offset, length) => {
      pieces++;
      return source.read(offset, length);
    },
  });
  expect(await reader.get('a')).toMatchObject({ shape: [0], dtype: 'uint8' });
  expect(pieces).toBeLessThan(30);
});

describe('a file with an index', () => {
  const sealed = (): { bytes: Uint8Array; dict: MmapDict } => {
    const file = MemoryFile.of();
    const dict = MmapDict.over(file);
    for (let i = 0; i < 100; i++) dict.set(`k${i}`, i);
    return { dict: dict.seal({ checksums: true }), bytes: file.toBytes() };
  };

  it('with damaged tail entries shows all its keys to every reader', async () => {
    const { bytes, dict } = sealed();
    const tail = [...dict.scan()].slice(-2);
    expect(tail.map(({ key }) => key!.trim())).toEqual(['mmdpickle checksums', 'mmdpickle index']);
    for (const at of [tail[0]!.offset, tail[0]!.offset + 1, tail[0]!.end - 1, tail[1]!.offset + 3]) {
      const damaged = bytes.with(at, 0xa5);
      const reader = await DictReader.open(bytesSource(damaged));
      const keys = [...MmapDict.over(MemoryFile.of(damaged), { mode: 'r' }).keys()];
      expect([keys.length, [...reader.keys()], await reader.get('k99')]).toEqual([100, keys, 99]);
    }
  });

  it.each<[string, (dict: MmapDict) => unknown]>([
    ['keys', (dict) => [...dict.keys()]],
    ['vacuum', (dict) => dict.vacuum()],
    ['seal', (dict) => dict.seal()],
  ])('in which an entry claims everything after it is damaged: %s', (_what, ask) => {
    const { bytes, dict } = sealed();
    const { offset } = [...dict.scan()][50]!;
    putU64(bytes, offset + 1, bytes.length - 11 - offset - 9);
    const found = MmapDict.over(MemoryFile.of(bytes));
    expect(found.get('k99')).toBe(99);
    expect(() => ask(found)).toThrow(expect.objectContaining({ code: 'CORRUPT' }));
  });
});

it.each([3, 10_000])(
  'an array with room for %i rows, the last in an index, may change its room before the file is walked',
  (capacity) => {
    const disk = new MemoryDisk();
    const open = (): MmapDict => MmapDict.over(disk.open('d', 'a'));
    const made = open();
    for (let i = 0; i < 100; i++) made.set(`k${i}`, i);
    made.set('rows', growable(capacity)).close();
    const dict = open();
    const rows = rowsOf(dict);
    rows.append(new Uint8Array(2));
    if (capacity === 3) rows.append(new Uint8Array(5000));
    else rows.seal();
    dict.set('later', 1).set('k7', 'new');
    dict.seal();
    expect([...dict.keys()]).toEqual([...open().keys()]);
    expect([dict.size, dict.get('k7'), dict.get('later')]).toEqual([102, 'new', 1]);
  },
);
