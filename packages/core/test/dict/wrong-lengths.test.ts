/** Ordinary work on files with damage that an open does not notice: it is refused, or loses nothing that Python reads. */

import { describe, expect, it } from 'vitest';
import { DictReader, MmapDict } from '../../src/dict/index.ts';
import { MmdError } from '../../src/errors.ts';
import { putU64 } from '../../src/format/layout.ts';
import { MaskedArray, ndarray } from '../../src/ndarray/index.ts';
import { bytesSource, MemoryDisk, MemoryFile } from '../../src/storage/index.ts';

const corrupt = expect.objectContaining({ code: 'CORRUPT' });

/** A file in which the FRAME of the entry with that key, if there is one, has a wrong length. */
function wrongLength(make: (dict: MmapDict) => void, index: boolean, key: string, end: (file: number) => number) {
  const file = MemoryFile.of();
  const dict = MmapDict.over(file, { index });
  make(dict);
  const entry = [...dict.scan()].find((found) => found.key === key);
  dict.close();
  const bytes = file.toBytes();
  if (entry !== undefined) putU64(bytes, entry.offset + 1, end(bytes.length) - entry.offset - 9);
  return MemoryFile.of(bytes);
}

function caught(work: () => unknown): unknown {
  try {
    return work();
  } catch (error) {
    return (error as MmdError).code;
  }
}

/** Enough for the file to have an index. */
const fill = (dict: MmapDict) => {
  for (let i = 0; i < 100; i++) dict.set(`k${i}`, [i, 'v'.repeat(20)]);
};

describe('a file that was opened by its index', () => {
  it('is not changed if one of its entries extends past the end that the file has without the index', () => {
    const before = wrongLength(fill, true, 'k50', (size) => size - 40).toBytes();
    for (const standingIndex of [0, 16_384]) {
      const file = MemoryFile.of(before);
      const dict = MmapDict.over(file, { standingIndex });
      expect(dict.get('k99')).toEqual([99, 'v'.repeat(20)]);
      // A standing index makes the file no shorter.
      if (standingIndex > 0) expect(() => dict.set('new', 1)).toThrow(corrupt);
      expect(() => dict.batch(() => dict.delete('k1') && dict.delete('k2'))).toThrow(corrupt);
      expect(file.toBytes()).toEqual(before);
    }
  });

  it.each<[string, (dict: MmapDict) => unknown, boolean]>([
    ['is not changed by a second attempt, if it is damaged', (dict) => dict.set('new', 1), true],
    ['shows all its keys on a second attempt', (dict) => [...dict.keys()].length, false],
    ['shows all its entries on a second attempt', (dict) => [...dict.scan()].length, false],
    ['is changed by a second attempt', (dict) => dict.set('new', 1).set('k50', 2).size, false],
  ])('%s, after one of its reads failed', (_what, work, damaged) => {
    const before = wrongLength(fill, true, damaged ? 'k50' : 'none', (size) => size - 40).toBytes();
    const codes = new Set<unknown>();
    for (let failing = 0; !codes.has('done'); failing++) {
      const file = MemoryFile.of(before);
      const dict = MmapDict.over(file, { standingIndex: 16_384 });
      const expected = caught(() => work(MmapDict.over(MemoryFile.of(before), { standingIndex: 16_384 })));
      let reads = 0;
      file.read = (offset, into) => {
        if (reads++ === failing) throw new MmdError('IO', 'a read failed');
        return MemoryFile.prototype.read.call(file, offset, into);
      };
      const first = caught(() => work(dict));
      codes.add(first === 'IO' ? first : 'done');
      if (first !== 'IO') expect(first).toEqual(expected);
      else expect([failing, caught(() => work(dict))]).toEqual([failing, expected]);
      if (damaged) expect(file.toBytes()).toEqual(before);
    }
    expect([...codes]).toEqual(['IO', 'done']);
  });

  /** A file with an index, and an older terminator over the entry at `at`. */
  const withOlderEnd = (): { at: number; bytes: Uint8Array } => {
    const file = MemoryFile.of();
    const dict = MmapDict.over(file);
    fill(dict);
    const at = [...dict.scan()][50]!.offset;
    const end = file.toBytes().subarray(-11);
    dict.close();
    const bytes = file.toBytes();
    bytes.set(end, at);
    return { at, bytes };
  };

  it.each([true, false])('is not changed if an older terminator is in its middle, used by its index: %s', (index) => {
    const { bytes } = withOlderEnd();
    const damaged = MemoryFile.of(bytes);
    const change = (): unknown => {
      const again = MmapDict.over(damaged);
      if (!index) again.fsck();
      return again.set('new', 1);
    };
    expect(change).toThrow(corrupt);
    expect(() => MmapDict.over(damaged).size).toThrow(corrupt);
    expect(damaged.toBytes()).toEqual(bytes);
  });

  it.each([true, false])(
    'is not cut by a repair at an older terminator, with a commit number as old: %s',
    async (old) => {
      const { at, bytes } = withOlderEnd();
      if (old) bytes[18]! ^= 1;
      const damaged = MemoryFile.of(bytes);
      const lenient = MmapDict.over(damaged, { lenient: true, salvage: true, index: false });
      for (const repair of [false, true]) {
        const { ok, repaired, findings, plan } = lenient.fsck({ repair });
        expect([ok, repaired, plan]).toEqual([false, false, []]);
        expect(findings).toContainEqual(expect.objectContaining({ code: 'broken-chain', offset: at }));
      }
      expect(damaged.toBytes()).toEqual(bytes);
      const target = MmapDict.over(MemoryFile.of());
      lenient.salvage(target);
      expect(target.size).toBeGreaterThanOrEqual(99);
      await expect(DictReader.open(bytesSource(bytes))).rejects.toThrow(corrupt);
    },
  );
});

it('a file over which a shorter one was written, both with an index, is refused by handles, readers and fsck', async () => {
  const [short, long] = [70, 200].map((keys) => {
    const disk = new MemoryDisk();
    const dict = MmapDict.over(disk.open('dict', 'a'));
    for (let i = 0; i < keys; i++) dict.set(`k${i}`, i);
    dict.close();
    return disk.open('dict', 'r').toBytes();
  });
  const bytes = Uint8Array.from([...short!, ...long!.subarray(short!.length)]);
  expect(() => MmapDict.over(MemoryFile.of(bytes)).size).toThrow(corrupt);
  await expect(DictReader.open(bytesSource(bytes))).rejects.toThrow(corrupt);
  const { ok, plan } = MmapDict.over(MemoryFile.of(bytes), { lenient: true, salvage: true }).fsck();
  expect([ok, plan]).toEqual([false, []]);
});

describe('an entry with a wrong length that ends where another one does', () => {
  const made = (make: (dict: MmapDict) => void, other: string) => {
    const file = MemoryFile.of();
    const dict = MmapDict.over(file, { index: false });
    make(dict);
    const end = [...dict.scan()].find(({ key }) => key === other)!.end;
    return wrongLength(make, false, 'a', () => end);
  };

  it.each<[string, (dict: MmapDict) => unknown]>([
    ['deleted', (dict) => dict.delete('a')],
    ['deleted with all others', (dict) => dict.clear()],
    ['replaced', (dict) => dict.set('a', 'new')],
    ['renamed', (dict) => dict.rename('a', 'new')],
    ['deleted in a batch', (dict) => dict.batch(() => dict.set('x', 1).delete('a') && dict.delete('c'))],
  ])('is not %s, which would mark the other entry dead', (_what, change) => {
    const file = made((dict) => dict.set('a', [1]).set('b', [2]).set('c', [3]), 'b');
    const before = file.toBytes();
    expect(() => change(MmapDict.over(file, { index: false }))).toThrow(corrupt);
    expect([...MmapDict.over(file).keys()]).toEqual(['a', 'c']);
    expect(file.toBytes().subarray(24)).toEqual(before.subarray(24));
  });

  it.each([true, 7, 2n ** 40n, 2n ** 3000n, 1.5, 't', 't'.repeat(300), new Uint8Array(5), new Uint8Array(300), null])(
    'is not deleted, whatever its value: %#',
    (value) => {
      const file = made((dict) => dict.set('a', value).set('b', [2]).set('c', [3]), 'b');
      expect(() => MmapDict.over(file, { index: false }).delete('a')).toThrow(corrupt);
    },
  );

  it('is, if dead, neither dropped by a vacuum nor reclaimed together with the entries it covers', () => {
    const long = ['y'.repeat(30_000)];
    const make = (dict: MmapDict) => dict.set('a', [1]).set('b', long).set('c', [3]).delete('a');
    const file = made((dict) => make(dict) && dict.delete('c'), 'c');
    const before = file.toBytes();
    const dict = MmapDict.over(file, { index: false });
    for (const inPlace of [true, false]) expect(() => dict.vacuum({ inPlace })).toThrow(corrupt);
    expect(dict.reclaim()).toBe(0);
    expect(file.toBytes().subarray(24)).toEqual(before.subarray(24));
  });
});

describe('a value with bytes that look like entries up to its very end', () => {
  const file = MemoryFile.of();
  MmapDict.over(file, { index: false }).set('a', [1]).set('b', { text: 'xyz' }).set('c', new Uint8Array(30));
  const inner = file.toBytes();
  const changes: [string, (dict: MmapDict) => unknown][] = [
    ['deleted', (dict) => dict.delete('v')],
    ['replaced', (dict) => dict.set('v', 1)],
    ['renamed', (dict) => dict.rename('v', 'new')],
    ['dropped by a vacuum', (dict) => dict.delete('v') && dict.vacuum()],
    ['dropped by a vacuum in place', (dict) => dict.delete('v') && dict.vacuum({ inPlace: true })],
  ];

  it.each(changes)('is %s, wherever the embedded file was cut', (_what, change) => {
    const values = (bytes: Uint8Array): unknown[] => [
      [bytes],
      { x: { data: bytes, last: [bytes] } },
      new Map([['bytes', bytes]]),
      new Set([bytes]),
      [String.fromCharCode(...bytes.map((byte) => (byte < 128 ? byte : 63)))],
      [ndarray(bytes)],
    ];
    for (let cut = 24; cut <= inner.length; cut++) {
      for (const value of values(inner.slice(0, cut))) {
        const outer = MemoryFile.of();
        MmapDict.over(outer, { index: false }).set('u', 1).set('v', value).set('w', 2);
        const dict = MmapDict.over(outer, { index: false });
        change(dict);
        expect(dict.has('v')).toBe(dict.get('v') === 1);
        expect([dict.get('u'), dict.get('w')]).toEqual([1, 2]);
        expect(dict.fsck().findings).toEqual([]);
      }
    }
  });
});

it('a damaged value with bytes that look like entries and end before it does can be deleted', () => {
  const inner = MemoryFile.of();
  MmapDict.over(inner, { index: false }).set('a', [1]).set('b', [2]);
  const file = MemoryFile.of();
  const made = MmapDict.over(file, { index: false }).set('v', [inner.toBytes(), 'behind']).set('w', 2);
  const bytes = file.toBytes();
  bytes[[...made.scan()][0]!.valueOffset] = 0xff;
  const dict = MmapDict.over(MemoryFile.of(bytes), { index: false });
  expect([dict.delete('v'), [...dict]]).toEqual([true, [['w', 2]]]);
});

it.each<[string, unknown]>([
  ['bytes', new Uint8Array(600)],
  ['text', 't'.repeat(600)],
  ['an array', ndarray(new Uint8Array(600))],
  ['a masked array', new MaskedArray(ndarray(new Uint8Array(600)), ndarray(new Array(600).fill(true)))],
])('%s with bytes that look like an entry up to its end can be deleted', (_what, value) => {
  const file = MemoryFile.of();
  const { valueOffset, end } = [...MmapDict.over(file).set('a', value).scan()][0]!;
  const bytes = file.toBytes();
  const at = valueOffset + 400;
  bytes.set([0x95, 0, 0, 0, 0, 0, 0, 0, 0, 0x8c, 1, 0x62], at);
  putU64(bytes, at + 1, end - at - 9);
  const dict = MmapDict.over(MemoryFile.of(bytes), { index: false });
  expect([dict.delete('a'), dict.size]).toEqual([true, 0]);
});

it('an intact entry with a wrong length is not truncated as a torn tail by any repair or writer', () => {
  const file = MemoryFile.of();
  const dict = MmapDict.over(file, { index: false });
  dict.set('a', 1).set('b', 2).set('c', 'c'.repeat(50));
  const [, b, c] = [...dict.scan()];
  for (const end of [b!.end, b!.end + 5, c!.offset + 30, c!.end]) {
    const bytes = file.toBytes().subarray(0, end);
    putU64(bytes, b!.offset + 1, 5000);
    const damaged = MemoryFile.of(bytes);
    expect(() => MmapDict.over(damaged).set('d', 4)).toThrow(expect.objectContaining({ code: 'TRUNCATED' }));
    const lenient = MmapDict.over(damaged, { lenient: true });
    const findings = [{ code: 'broken-chain', offset: b!.offset }];
    expect(lenient.fsck({ repair: true })).toMatchObject({ repaired: false, findings });
    const rescued = MmapDict.over(MemoryFile.of());
    lenient.salvage(rescued);
    expect(rescued.get('b')).toBe(2);
  }
});

it('a file with a wrong length in the middle is not truncated if an entry, or the end of one, follows', () => {
  const file = MemoryFile.of();
  const dict = MmapDict.over(file, { index: false });
  dict.set('a', 1).set('b', 2).set('c', 3).set('d', 4);
  const [, b, c, d] = [...dict.scan()];
  const whole = file.toBytes();
  /** With a length of b that extends past the end, and without some of the bytes that mark where entries begin or end. */
  const damaged = (cut: number, ...gone: number[]) => {
    const bytes = whole.slice(0, cut);
    putU64(bytes, b!.offset + 1, 5000);
    for (const at of gone) bytes[at]! ^= 1;
    return bytes;
  };
  const anEnd = damaged(whole.length, b!.end - 1, c!.end - 1, d!.end - 1);
  const anEntry = damaged(d!.offset + 20, b!.end - 1, d!.offset);
  const aBorder = damaged(d!.offset + 20, b!.end - 1, c!.offset);
  for (const bytes of [anEnd, anEntry, aBorder]) {
    const torn = MemoryFile.of(bytes);
    expect(() => MmapDict.over(torn).set('d', 4)).toThrow(expect.objectContaining({ code: 'TRUNCATED' }));
    expect(torn.toBytes()).toEqual(bytes);
  }
  // With no entry or end of one behind it, it is what a kill left.
  const killed = MemoryFile.of(damaged(d!.offset + 20, b!.end - 1, c!.end - 1));
  expect([...MmapDict.over(killed).set('d', 4)]).toEqual(Object.entries({ a: 1, d: 4 }));
});

it.each<[string, (dict: MmapDict) => unknown]>([
  ['a seal', (dict) => dict.seal()],
  ['a close', (dict) => dict.set('new', 1).close()],
  ['a repair', (dict) => dict.fsck({ repair: true })],
  ['a repair that reads no values', (dict) => dict.fsck({ repair: true, values: false })],
])('an entry hidden by an unreadable one is not marked dead by %s', (_what, change) => {
  const file = MemoryFile.of();
  const dict = MmapDict.over(file, { index: false });
  fill(dict);
  dict.set('k7', [7]);
  const entries = [...dict.scan()];
  const [old, later] = entries.filter(({ key }) => key === 'k7');
  const bytes = file.toBytes();
  bytes[old!.end - 2] = 0x88;
  bytes[later!.valueOffset] = 0xff;
  const damaged = MemoryFile.of(bytes);
  change(MmapDict.over(damaged, { index: true }));
  const rescued = MmapDict.over(MemoryFile.of());
  MmapDict.over(MemoryFile.of(damaged.toBytes()), { mode: 'r', lenient: true, salvage: true }).salvage(rescued);
  expect(rescued.get('k7')).toEqual([7, 'v'.repeat(20)]);
});

it.each([true, false])('an entry hidden by a readable one is marked dead by a repair, reading values: %s', (values) => {
  const file = MemoryFile.of();
  const dict = MmapDict.over(file, { index: false });
  const [old] = [...dict.set('a', 1).set('b', 2).scan()];
  dict.set('a', 3);
  const bytes = file.toBytes();
  bytes[old!.end - 2] = 0x88;
  const damaged = MemoryFile.of(bytes);
  expect(MmapDict.over(damaged, { index: false }).fsck({ repair: true, values })).toMatchObject({ repaired: true });
  expect(damaged.toBytes()[old!.end - 2]).toBe(0x30);
});

it('a file with zeros from anywhere to its end is either refused to writers, unchanged, or whole once one has opened it', () => {
  const file = MemoryFile.of();
  const made = MmapDict.over(file, { index: false })
    .set('a', [1])
    .set('text', 'x'.repeat(30))
    .set('array', new Float64Array(5));
  const ends = [...made.scan()].filter(({ state }) => state === 'live').map(({ key, end }) => [key, end] as const);
  const results = new Set<string>();
  for (let from = 24; from < file.size(); from++) {
    const bytes = file.toBytes().fill(0, from);
    const opened = MemoryFile.of(bytes);
    const refused = caught(() => MmapDict.over(opened).set('new', 1)) === 'CORRUPT';
    const checked = MemoryFile.of(bytes);
    const { findings } = MmapDict.over(checked, { lenient: true, salvage: true }).fsck({ repair: true });
    expect([
      from,
      opened.toBytes().length === bytes.length,
      findings.some(({ code }) => code === 'broken-chain'),
    ]).toEqual([from, refused, refused]);
    for (const after of [opened, checked]) {
      if (refused) expect(after.toBytes()).toEqual(bytes);
      else expect([from, MmapDict.over(after).fsck().findings]).toEqual([from, []]);
    }
    const target = MmapDict.over(MemoryFile.of());
    MmapDict.over(MemoryFile.of(bytes), { mode: 'r', lenient: true, salvage: true }).salvage(target);
    expect([...target.keys()]).toEqual(
      expect.arrayContaining(ends.filter(([, end]) => end <= from).map(([key]) => key)),
    );
    results.add(`${refused}`);
  }
  expect(results).toEqual(new Set(['true', 'false']));
});
