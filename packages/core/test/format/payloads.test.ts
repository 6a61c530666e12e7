/** Payloads of tail entries: what is written reads back, and what is torn is ignored. */

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { crc32c } from '../../src/format/checksum.ts';
import { decodeChecksums, encodeChecksums, summedLength } from '../../src/format/checksums.ts';
import { decodeJournal, encodeJournal } from '../../src/format/journal.ts';
import { getU32, putU32 } from '../../src/format/layout.ts';
import { tailFooter } from '../../src/format/tail-entry.ts';

const offset = fc.oneof(fc.nat(2 ** 20), fc.integer({ min: 2 ** 31, max: 2 ** 50 }));
const journal = fc.record({
  deaths: fc.uniqueArray(offset, { maxLength: 5 }).map((offsets) => new Set(offsets)),
  stores: fc.array(fc.tuple(offset, offset), { maxLength: 5 }).map((stores) => new Map(stores)),
  overwrites: fc.array(fc.tuple(offset, fc.uint8Array({ maxLength: 9 })), { maxLength: 4 }),
});
const sealed = fc.tuple(
  fc.integer({ min: -1, max: 2 ** 31 - 1 }),
  fc.array(
    fc.tuple(offset, fc.integer({ min: 20, max: 2 ** 22 }), fc.nat(2 ** 31 - 1)).map(([at, frameLength, sum]) => ({
      offset: at,
      frameLength,
      sums: Array.from({ length: Math.ceil(summedLength(frameLength) / 2 ** 20) }, (_, i) => (sum * 2 + i) >>> 0),
    })),
    { maxLength: 5 },
  ),
);

/** Any bit is flipped, or any number of bytes is missing. */
function* torn(payload: Uint8Array): Generator<Uint8Array> {
  for (let end = 0; end < payload.length; end++) yield payload.subarray(0, end);
  for (let bit = 0; bit < 8 * (payload.length - 16); bit++) {
    const copy = payload.slice();
    copy[bit >> 3]! ^= 1 << (bit & 7);
    yield copy;
  }
}

test('a journal reads back as written, and is ignored if torn anywhere', () => {
  fc.assert(
    fc.property(journal, (written) => {
      const payload = encodeJournal(written);
      expect(decodeJournal(payload)).toEqual(written);
      expect(tailFooter(payload, payload.length - 16)).toEqual({ kind: 'journal', length: payload.length });
      for (const found of torn(payload)) expect(decodeJournal(found)).toBeUndefined();
    }),
    { numRuns: 30 },
  );
});

test('checksums read back as written, and are ignored if torn anywhere', () => {
  fc.assert(
    fc.property(sealed, ([commitNumber, entries]) => {
      const payload = encodeChecksums(commitNumber, entries);
      const decoded = decodeChecksums(payload)!;
      expect({ ...decoded, entries: [...decoded.entries] }).toEqual({ commitNumber, count: entries.length, entries });
      expect(tailFooter(payload, payload.length - 16)).toEqual({ kind: 'checksums', length: payload.length });
      for (const found of torn(payload)) expect(decodeChecksums(found)).toBeUndefined();
    }),
    { numRuns: 30 },
  );
});

test.each<[string, Uint8Array, number[], (payload: Uint8Array) => unknown]>([
  [
    'a journal',
    encodeJournal({ deaths: new Set([30]), stores: new Map([[40, 1]]), overwrites: [[50, Uint8Array.of(1)]] }),
    [4, 8, 12],
    decodeJournal,
  ],
  ['sums', encodeChecksums(1, [{ offset: 24, frameLength: 40, sums: [1] }]), [8], decodeChecksums],
])(
  'counts in %s that its bytes do not support are refused at once, even if its checksum is right',
  (_what, payload, fields, decode) => {
    for (const field of fields) {
      for (const count of [getU32(payload, field) - 1, getU32(payload, field) + 1, 2 ** 31, 2 ** 32 - 1]) {
        const forged = payload.slice();
        putU32(forged, field, count);
        putU32(forged, 0, crc32c(forged.subarray(4, forged.length - 16)));
        expect([field, count, decode(forged)]).toEqual([field, count, undefined]);
      }
    }
  },
);
