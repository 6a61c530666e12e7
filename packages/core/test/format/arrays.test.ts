import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type ArrayForm, encodeLegacyArray, encodeModernArray, parseArray } from '../../src/format/array-value.ts';
import { crc32c } from '../../src/format/checksum.ts';
import { encodeFiller, opaqueHead } from '../../src/format/filler.ts';
import { findBorder, findEntry } from '../../src/format/find-entry.ts';
import { hashKey } from '../../src/format/hash.ts';
import { decodeJournal, encodeJournal } from '../../src/format/journal.ts';
import {
  decodeHeader,
  encodeEmptyFile,
  encodeHeader,
  nextCommitNumber,
  putTerminator,
} from '../../src/format/layout.ts';
import { answer, type ScannedEntry, scanEntries } from '../../src/format/scan.ts';
import { ValueReader } from '../../src/format/value-reader.ts';
import { parseDType } from '../../src/ndarray/index.ts';

const LONG = process.env.MMDPICKLE_LONG === '1';

function readerOver(bytes: Uint8Array): ValueReader {
  return new ValueReader(0, bytes.length, (pos, length) => bytes.subarray(pos, pos + Math.max(length, 40)));
}

function join(...parts: Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts));
}

describe('an array value', () => {
  const dtypes = ['|b1', '<f8', '>u2', '<c16', '|S7', '<U3', '<M8[ns]', '|V5'];
  const structured = [
    ['a', '<i4'],
    ['b', '<f8', [2, 3]],
    [['title', 'c'], [['x', '|u1']]],
  ];
  const forms = fc.record({
    dtype: fc.oneof(fc.constantFrom(...dtypes), fc.constant(structured)),
    shape: fc
      .array(fc.integer({ min: 0, max: 70000 }), { maxLength: 6 })
      .map((dims) => dims.map((d, i) => (i < 1 ? d : d % 4))),
    order: fc.constantFrom('C' as const, 'F' as const),
    growable: fc.boolean(),
    offset: fc.integer({ min: 0, max: 10_000 }),
  });

  test('reads back as it was written, at any offset, aligned', () => {
    fc.assert(
      fc.property(forms, ({ dtype, shape, order, growable, offset }) => {
        const type = parseDType(dtype as never);
        const grows = growable && shape.length > 0;
        const nbytes = shape.reduce((product, dim) => product * dim, type.itemsize);
        const form: ArrayForm = {
          type,
          shape,
          order: grows ? 'C' : order,
          dataLength: nbytes + (grows ? 100 : 0),
          ...(grows && { growable: true }),
        };
        const { head, tail } = encodeModernArray(form, offset);
        const bytes = join(head, new Uint8Array(form.dataLength), tail, new Uint8Array([0x4a]));
        const reader = readerOver(bytes);
        const parsed = parseArray(reader)!;
        expect(parsed).toMatchObject({ spelling: 'modern', shape, order: form.order, dataLength: form.dataLength });
        expect(parsed.type.name).toBe(type.name);
        expect(reader.pos).toBe(bytes.length - 1);
        expect((offset + parsed.dataPos) % (form.dataLength >= 2 ** 20 ? 4096 : 64)).toBe(0);
        expect(parsed.countPos === undefined).toBe(!grows);
        if (grows) expect((offset + parsed.countPos!) % 8).toBe(0);
      }),
      { numRuns: LONG ? 1500 : 75 },
    );
  });

  test('in the legacy layout also reads back, and is refused if that layout cannot express it', () => {
    const form: ArrayForm = { type: parseDType('>f4'), shape: [2, 3], order: 'C', dataLength: 24 };
    const { head, tail } = encodeLegacyArray(form);
    const bytes = join(head, new Uint8Array(24), tail);
    expect(parseArray(readerOver(bytes))).toMatchObject({ spelling: 'legacy', shape: [2, 3], dataPos: 79 });
    for (const wrong of [
      { ...form, shape: [], dataLength: 4 },
      { ...form, order: 'F' as const },
      { ...form, growable: true },
      { ...form, type: parseDType([['a', '<i4']]) },
    ]) {
      expect(() => encodeLegacyArray(wrong)).toThrow(expect.objectContaining({ code: 'UNSUPPORTED_VALUE' }));
    }
  });

  test('that does not fit its data, or has an implausible head, is left to the pickle machine', () => {
    const { head, tail } = encodeModernArray({ type: parseDType('<f8'), shape: [3], order: 'C', dataLength: 24 }, 0);
    const good = join(head, new Uint8Array(24), tail);
    expect(parseArray(readerOver(good))).toBeDefined();
    for (let i = 0; i < good.length; i++) {
      for (let bit = 0; bit < 8; bit++) {
        const bad = good.slice();
        bad[i]! ^= 1 << bit;
        const parsed = parseArray(readerOver(bad));
        if (parsed === undefined) continue;
        const nbytes = parsed.shape.reduce((product, dim) => product * dim, parsed.type.itemsize);
        expect(nbytes).toBeLessThanOrEqual(parsed.dataLength);
        expect(parsed.dataPos + parsed.dataLength).toBeLessThanOrEqual(bad.length);
      }
    }
  });
});

describe('the walk', () => {
  test('sees every entry however the bytes arrive, and requests few bytes if payloads are large', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 20, max: 9000 }), { maxLength: 60 }), (sizes) => {
        const parts = [encodeHeader(3), ...sizes.map((size) => encodeFiller(size, Math.min(size - 20, size % 256), 5))];
        const end = new Uint8Array(11);
        putTerminator(end, 0);
        const file = join(...parts, end);
        const seen: number[] = [];
        let asked = 0;
        const result = answer(
          scanEntries(24, file.length, (entry: ScannedEntry) => {
            seen.push(entry.frameLength + 9);
            expect(entry).toMatchObject({ state: 'dead', memoHint: 5 });
            expect(Buffer.from(entry.bytes.subarray(entry.keyPos, entry.keyPos + entry.keyLength)).toString()).toMatch(
              /^ *$/,
            );
          }),
          (offset, length) => {
            asked += length;
            return file.subarray(offset, offset + length);
          },
        );
        expect(result).toMatchObject({ kind: 'terminator', offset: file.length - 11, partial: false });
        expect(seen).toEqual(sizes);
        expect(asked).toBeLessThan(file.length * 3 + 5000);
      }),
    );
  });

  test('resynchronizes at the first whole entry, wherever it begins and whatever the size of the pieces read', () => {
    const find = (file: Uint8Array, from: number): number =>
      answer(findEntry(from, file.length), (offset, length) => file.subarray(offset, offset + length));
    // The first two pieces end at 4096 and at 12278: a head is placed on either side of that, and across it.
    for (const border of [4096, 12278]) {
      for (let at = border - 20; at < border + 12; at++) {
        const entry = encodeFiller(21, 1, 0);
        const file = join(new Uint8Array(at).fill(0x95), entry);
        expect(find(file, 0)).toBe(at);
        expect(find(file, at + 1)).toBe(-1);
        expect(find(file.subarray(0, -1), 0)).toBe(-1);
        // FRAME, SHORT_BINUNICODE, a length that the key does not fit into, and three bytes of the tail.
        for (const pos of [0, 2, 9, 10, 13, 18, 19, 20]) {
          const image = file.slice();
          image[at + pos]! ^= 0x40;
          expect([pos, find(image, 0)]).toEqual([pos, -1]);
        }
      }
    }
  });

  test('ends an entry with a wrong length at a tail followed by a FRAME or the end, whatever the size of the pieces read', () => {
    const tail = (state: number) => [0x4a, 0, 0, 0, 0, 0x30, state, 0x30];
    const noise = fc.array(fc.constantFrom(0x4a, 0x30, 0x88, 0x95, 0), { maxLength: 12 });
    const tails = fc.constantFrom(tail(0x88), tail(0x30), tail(0x89), tail(0x88).with(5, 0), tail(0x30).with(7, 0));
    const pieces = fc.array(fc.oneof(tails, noise, fc.constant([...tail(0x88), 0x95])), { maxLength: 6 });
    const before = fc.oneof(fc.nat(40), fc.integer({ min: 4060, max: 4110 }), fc.integer({ min: 12_240, max: 12_320 }));
    fc.assert(
      fc.property(before, pieces, fc.nat(30), (length, parts, from) => {
        const file = Uint8Array.from([...new Uint8Array(length).fill(0x4a), ...parts.flat()]);
        const isBorder = (at: number): boolean => {
          const [opcode, , , , , pop, state, last] = file.subarray(at - 8, at);
          const ends = at === file.length || file[at] === 0x95;
          return opcode === 0x4a && pop === 0x30 && (state === 0x88 || state === 0x30) && last === 0x30 && ends;
        };
        let expected = from + 11 + 8;
        while (expected <= file.length && !isBorder(expected)) expected++;
        const read = (offset: number, count: number) => file.subarray(offset, offset + count);
        expect(answer(findBorder(from, file.length), read)).toBe(expected > file.length ? -1 : expected);
      }),
      { numRuns: LONG ? 10_000 : 500 },
    );
  });

  test('of a file cut anywhere ends in damage at the entry that is cut', () => {
    const end = new Uint8Array(11);
    putTerminator(end, 0);
    const file = join(encodeHeader(0), encodeFiller(30, 3, 0), encodeFiller(25, 0, 0), end);
    for (let size = 24; size < file.length; size++) {
      const result = answer(
        scanEntries(24, size, () => {}),
        (offset, length) => file.subarray(offset, Math.min(size, offset + length)),
      );
      expect(result.kind).toBe('damage');
      expect([24, 54, 79]).toContain(result.offset);
    }
  });
});

describe('helpers', () => {
  test.each([
    [1, [0x4e]],
    [2, [0x43, 0]],
    [257, [0x43, 255]],
    [258, [0x42, 253, 0, 0, 0]],
    [2 ** 32 - 1, [0x42, 250, 255, 255, 255]],
    [2 ** 32, [0x8e, 247, 255, 255, 255, 0, 0, 0, 0]],
    [2 ** 32 + 9, [0x8e, 0, 0, 0, 0, 1, 0, 0, 0]],
  ])('%s bytes become one object through their first bytes', (count, head) => {
    expect([...opaqueHead(count)]).toEqual(head);
  });

  test('CRC-32C and HalfSipHash give the published values, and the commit number wraps', () => {
    expect(crc32c(new TextEncoder().encode('123456789'))).toBe(0xe3069283);
    expect(crc32c(new Uint8Array(32))).toBe(0x8a9136aa);
    expect(crc32c(new Uint8Array(5).fill(7), crc32c(new Uint8Array(12).fill(7)))).toBe(
      crc32c(new Uint8Array(17).fill(7)),
    );
    const seen = new Set(
      Array.from({ length: 10_000 }, (_, i) => hashKey(new TextEncoder().encode(`key ${i}`), 0, `key ${i}`.length, 7)),
    );
    expect(seen.size).toBeGreaterThan(9_990);
    expect([nextCommitNumber(0), nextCommitNumber(2 ** 31 - 1), nextCommitNumber(-5)]).toEqual([1, 0, 0]);
    expect(decodeHeader(encodeEmptyFile(9), 'x')).toEqual({ version: 1, commitNumber: 9 });
  });

  test('a journal reads back, and a torn one is ignored', () => {
    const journal = {
      deaths: new Set([40, 2 ** 40]),
      stores: new Map([[64, 7]]),
      overwrites: [[9, new Uint8Array([1, 2, 3])]] as const,
    };
    const payload = encodeJournal(journal);
    expect(decodeJournal(payload)).toEqual(journal);
    for (let i = 0; i < payload.length - 16; i++) {
      const torn = payload.slice();
      torn[i]! ^= 1;
      expect(decodeJournal(torn)).toBeUndefined();
    }
  });
});
