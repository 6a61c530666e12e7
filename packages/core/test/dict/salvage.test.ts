/** What is recovered from damaged files. */

import { describe, expect, it } from 'vitest';
import { MmapDict } from '../../src/dict/index.ts';
import { putU64 } from '../../src/format/layout.ts';
import { MemoryFile } from '../../src/storage/index.ts';

describe('what salvage finds', () => {
  const fileOf = (...entries: [string, unknown][]): Uint8Array => {
    const file = MemoryFile.of();
    const dict = MmapDict.over(file, { index: false });
    for (const [key, value] of entries) dict.set(key, value);
    return file.toBytes();
  };
  const salvaged = (bytes: Uint8Array) => {
    const target = MmapDict.over(MemoryFile.of());
    const result = MmapDict.over(MemoryFile.of(bytes), { mode: 'r', lenient: true, salvage: true }).salvage(target);
    return { ...result, found: Object.fromEntries(target) };
  };
  const one = fileOf(['a', 1], ['b', 'b'.repeat(50)]);

  it.each([
    ['an empty file', [], 'TRUNCATED'],
    ['half a header', [...one.subarray(0, 12)], 'TRUNCATED'],
    ['a JPEG', [0xff, 0xd8, 0xff, 0xe0, ...new Array(100).fill(0x4a)], 'NOT_A_PICKLE'],
    ['a text', [...Buffer.from('hello, world\n'.repeat(9))], 'NOT_A_PICKLE'],
    ['another pickle', [...Buffer.from('gAN9cQBYAQAAAGFxAUsBcy4=', 'base64')], 'NOT_MMDPICKLE'],
    ['a zip archive', [0x50, 0x4b, 3, 4, ...new Array(60).fill(7)], 'NOT_A_PICKLE'],
    [
      'random bytes',
      Array.from({ length: 5000 }, (_, i) => (Math.imul(i + 1, 2654435761) >>> 24) & 0xff),
      'NOT_A_PICKLE',
    ],
  ])('is nothing in %s, which is not a dict: that is an error, and the target is unchanged', (_what, bytes, code) => {
    const target = MmapDict.over(MemoryFile.of());
    target.set('kept', 1);
    const { commitNumber } = target;
    const from = MmapDict.over(MemoryFile.of(Uint8Array.from(bytes)), { mode: 'r', lenient: true, salvage: true });
    expect(() => from.salvage(target)).toThrow(expect.objectContaining({ code }));
    expect([[...target], target.commitNumber]).toEqual([[['kept', 1]], commitNumber]);
  });

  it('is nothing in an empty dict, even one whose end is cut off, and that is not an error', () => {
    const empty = fileOf();
    for (const end of [empty.length, empty.length - 1, 24]) {
      expect(salvaged(empty.subarray(0, end)).found).toEqual({});
    }
  });

  it('includes neither the index nor the checksums of the file as values, whichever byte at their ends is damaged', () => {
    const values = Object.fromEntries(Array.from({ length: 80 }, (_, i) => [`k${i}`, i]));
    const file = MemoryFile.of(fileOf(...Object.entries(values)));
    const dict = MmapDict.over(file);
    dict.seal({ checksums: true });
    const ends = [...dict.scan()].filter(({ key }) => key?.startsWith('mmdpickle ')).map(({ end }) => end);
    const sealed = file.toBytes();
    expect(ends.length).toBe(2);
    for (const end of ends) {
      for (let at = end - 8; at < end; at++) {
        for (const byte of [0x00, 0x80, 0xb8, 0xff]) {
          const { found, lost } = salvaged(sealed.with(at, byte));
          expect([at - end, byte, found, lost]).toEqual([at - end, byte, values, []]);
        }
      }
    }
  });

  it('is all entries of a file that lost any number of bytes of its header', () => {
    for (let lost = 0; lost <= 24; lost++) {
      expect([lost, salvaged(one.subarray(lost)).found]).toEqual([lost, { a: 1, b: 'b'.repeat(50) }]);
    }
  });

  it('includes the entries after the terminator, in a file whose header was overwritten', () => {
    const rest = fileOf(['c', 'c'.repeat(100)], ['d', 4], ['e', 5]);
    const written = Uint8Array.from([...one.subarray(24), ...rest.subarray(one.length - 24)]);
    expect(salvaged(written).found).toEqual({ a: 1, b: 'b'.repeat(50), d: 4, e: 5 });
  });

  it('includes a second file appended to the first, which takes precedence; no repair or writer truncates it', () => {
    const bytes = Uint8Array.from([...one, ...fileOf(['b', 2], ['c', 3])]);
    expect(salvaged(bytes)).toMatchObject({ found: { a: 1, b: 'b'.repeat(50), c: 3 }, breaks: [one.length] });
    const file = MemoryFile.of(bytes);
    expect([...MmapDict.over(file, { mode: 'r' }).keys()]).toEqual(['a', 'b']);
    const error = { code: 'CORRUPT', offset: one.length };
    expect(() => MmapDict.over(file, { mode: 'r+' }).set('d', 4)).toThrow(expect.objectContaining(error));
    const lenient = MmapDict.over(file, { mode: 'r+', lenient: true });
    expect(() => lenient.set('d', 4)).toThrow(expect.objectContaining(error));
    const findings = [{ code: 'broken-chain', offset: one.length }];
    expect(lenient.fsck({ repair: true })).toMatchObject({ ok: false, repaired: false, findings });
    expect(file.toBytes()).toEqual(bytes);
  });

  it('excludes a key of a dict inside a truncated value, if the file itself has that key', () => {
    const bytes = fileOf(['b', 2], ['inner', one]);
    expect(salvaged(bytes.subarray(0, -20)).found).toEqual({ a: 1, b: 2 });
  });

  it('is the intact entry rather than a damaged one of the same key, whatever could be guessed from the latter', () => {
    const bytes = fileOf(['a', 1], ['b', 2], ['rows', 'x'.repeat(600)], ['c', 3]);
    const [a, , rows] = [...MmapDict.over(MemoryFile.of(bytes)).scan()];
    // A piece is duplicated: the range that `rows` claims contains the end of `a`, and then all of `rows`.
    const twice = Uint8Array.from([...bytes.subarray(0, rows!.offset + 100), ...bytes.subarray(a!.offset + 5)]);
    expect(salvaged(twice)).toMatchObject({ found: { a: 1, b: 2, rows: 'x'.repeat(600), c: 3 }, lost: [] });
  });

  it('includes an entry that a damaged one hides by claiming its key; the damaged one is reported, and a repair keeps the hidden one live', () => {
    const bytes = fileOf(['k1', 'whole'], ['k12', [1, 2]], ['z', 3]);
    const [whole, claims] = [...MmapDict.over(MemoryFile.of(bytes)).scan()];
    bytes[claims!.offset + 10] = 2;
    expect(salvaged(bytes)).toMatchObject({
      found: { k1: 'whole', z: 3 },
      lost: [{ key: 'k1', offset: claims!.offset }],
    });
    const file = MemoryFile.of(bytes);
    MmapDict.over(file, { index: false }).fsck({ repair: true });
    expect(file.toBytes()[whole!.end - 2]).toBe(0x88);
  });

  it('includes adjacent entries whose lengths are all wrong, whatever the lengths are', () => {
    const values = { a: 1, b: 'b'.repeat(30), c: [2], d: new Uint8Array(50), e: null };
    const bytes = fileOf(...Object.entries(values));
    const entries = [...MmapDict.over(MemoryFile.of(bytes)).scan()];
    for (let from = 0; from < entries.length; from++) {
      for (let to = from + 1; to < entries.length; to++) {
        for (const length of [0, 1, 25, 40, 2 ** 20, 2 ** 60]) {
          const image = bytes.slice();
          for (const { offset } of entries.slice(from, to + 1)) putU64(image, offset + 1, length);
          expect([from, to, length, salvaged(image).found]).toEqual([from, to, length, values]);
        }
      }
    }
  });

  it('is every entry of a file in which each claims everything after it, however many there are', () => {
    const values = Object.fromEntries(Array.from({ length: 500 }, (_, i) => [`k${i}`, i]));
    const bytes = fileOf(...Object.entries(values));
    for (const { offset } of [...MmapDict.over(MemoryFile.of(bytes)).scan()]) {
      putU64(bytes, offset + 1, bytes.length - 11 - offset - 9);
    }
    expect(salvaged(bytes).found).toEqual(values);
  });

  it('includes entries covered by one with a wrong length, which is itself covered by another', () => {
    const values = { a: [1], b: [2], c: 'c'.repeat(50), d: [4], e: [5] };
    const bytes = fileOf(...Object.entries(values));
    const [a, b, , d] = [...MmapDict.over(MemoryFile.of(bytes)).scan()];
    putU64(bytes, a!.offset + 1, b!.end - a!.offset - 9 + 3);
    putU64(bytes, b!.offset + 1, d!.end - b!.offset - 9);
    expect(salvaged(bytes).found).toEqual(values);
  });

  it('includes the entries after a stale terminator in the middle of a file, for keys that the file has not', () => {
    const late = fileOf(['a', 'new'], ['b', 'b'.repeat(300)], ['c', 3], ['d', 4]);
    const early = fileOf(['a', 'old'], ['z', 'z'.repeat(20)]);
    const bytes = Uint8Array.from([...early, ...late.subarray(early.length)]);
    const { found, breaks } = salvaged(bytes);
    expect([found, breaks]).toEqual([{ a: 'old', z: 'z'.repeat(20), c: 3, d: 4 }, [early.length]]);
  });

  it('is nothing in a file too short for a header, on which every call works', () => {
    for (let size = 0; size < 40; size++) {
      const dict = MmapDict.over(MemoryFile.of(one.subarray(0, size)), { mode: 'r', lenient: true, salvage: true });
      expect([size, dict.size, [...dict.keys()], dict.verify().findings, dict.get('x')]).toEqual([
        size,
        0,
        [],
        [],
        undefined,
      ]);
    }
  });
});
