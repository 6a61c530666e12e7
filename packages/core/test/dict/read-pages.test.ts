import fc from 'fast-check';
import { expect, test } from 'vitest';
import { MmapDict } from '../../src/dict/index.ts';
import { ReadAhead } from '../../src/dict/read-ahead.ts';
import { type PagesHost, ReadPages } from '../../src/dict/read-pages.ts';
import { MemoryDisk } from '../../src/storage/index.ts';

/** A file whose bytes encode their offset and how often it was written, its host, and a count of its reads. */
class Host implements PagesHost {
  readonly size: number;
  reads = 0;
  commitNumber = 1;
  lookedAt = 1000;
  written = 0;
  file = this.#newFile();

  constructor(size: number) {
    this.size = size;
  }

  bytes(offset: number, length: number): Uint8Array {
    const count = Math.max(0, Math.min(length, this.size - offset));
    return Uint8Array.from({ length: count }, (_, i) => offset + i + ((offset + i) >> 8) * 7 + this.written * 31);
  }

  replace(): void {
    this.file = this.#newFile();
  }

  #newFile() {
    return {
      read: (offset: number, into: Uint8Array): number => {
        this.reads++;
        const found = this.bytes(offset, into.length);
        into.set(found);
        return found.length;
      },
    };
  }
}

test('pages give what the file holds, whatever changes and however the change is noticed', () => {
  const change = fc.constantFrom('commit', 'replace', 'later', 'none');
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 40_000 }),
      fc.array(fc.tuple(change, fc.integer({ min: 1, max: 120 })), { maxLength: 8 }),
      fc.infiniteStream(fc.nat()),
      (size, steps, numbers) => {
        const host = new Host(size);
        const pages = new ReadPages(host);
        const next = (below: number): number => (numbers.next().value as number) % below;
        for (const [step, looks] of steps) {
          if (step !== 'none') host.written++;
          if (step === 'commit') host.commitNumber++;
          else if (step === 'replace') host.replace();
          else if (step === 'later') host.lookedAt += 51;
          for (let i = 0; i < looks; i++) {
            const offset = next(size);
            const length = next(300);
            const at = pages.find(offset, length);
            if (at < 0) continue;
            expect(pages.left(at)).toBeGreaterThanOrEqual(length);
            expect(pages.bytes.slice(at, at + length)).toEqual(host.bytes(offset, length));
          }
        }
      },
    ),
  );
});

test('few lookups read no pages, many read every page once', () => {
  const host = new Host(2 ** 20);
  const pages = new ReadPages(host);
  for (let i = 0; i < 64; i++) expect(pages.find((i * 7919) % 2 ** 20, 1)).toBe(-1);
  expect([host.reads, pages.bytes.length]).toEqual([0, 0]);
  for (let i = 0; i < 10_000; i++) expect(pages.find((i * 7919) % 2 ** 20, 1)).not.toBe(-1);
  expect([host.reads, pages.bytes.length]).toEqual([256, 2 ** 20]);
});

test('pages that are used only once stop being read until the file changes', () => {
  const host = new Host(2 ** 26);
  const pages = new ReadPages(host);
  for (let i = 0; i < 5000; i++) pages.find(i * 4096, 1);
  expect(host.reads).toBe(1024);
  host.lookedAt += 51;
  for (let i = 0; i < 100; i++) pages.find(i * 4096, 1);
  expect(host.reads).toBe(1024);
  host.commitNumber++;
  for (let i = 0; i < 100; i++) pages.find(i * 4096, 1);
  expect(host.reads).toBe(1024 + 36);
});

test.each([true, false])('repeated gets see every commit of other handles (with an index: %s)', (index) => {
  const disk = new MemoryDisk();
  const options = { lenient: true, index };
  const first = MmapDict.over(disk.open('d', 'create-new'), options);
  first.batch(() => {
    for (let i = 0; i < 300; i++) first.set(`k${i}`, { i, text: 'x'.repeat(i % 40) });
  });
  first.close();
  const reader = MmapDict.over(disk.open('d', 'r'));
  expect(reader.core.store.entries.base !== undefined).toBe(index);
  const writer = MmapDict.over(disk.open('d', 'r+'), options);
  const model = new Map<string, unknown>(writer.entries());
  const check = (): void => {
    for (let i = 0; i < 300; i++) expect(reader.get(`k${i}`)).toEqual(model.get(`k${i}`));
  };
  check();
  for (let i = 0; i < 300; i += 29) {
    if (i % 2 === 0) model.delete(`k${i}`);
    else model.set(`k${i}`, [i]);
    if (i % 2 === 0) writer.delete(`k${i}`);
    else writer.set(`k${i}`, [i]);
    check();
    if (i % 87 === 0) writer.vacuum();
    check();
  }
});

test('read-ahead returns the bytes of the file in any order of access, and needs few reads for sequential access', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 300_000 }),
      fc.array(fc.tuple(fc.integer({ min: -70_000, max: 70_000 }), fc.integer({ min: 1, max: 600 })), {
        maxLength: 60,
      }),
      fc.integer({ min: 0, max: 40 }),
      (size, looks, between) => {
        const host = new Host(size);
        const ahead = new ReadAhead();
        let at = 0;
        let last = -1;
        const look = (offset: number, length: number): void => {
          const { reads } = host;
          const found = ahead.find(host.file, offset, length);
          // Bytes that the caller reads itself, and reads that follow nothing, are not read ahead.
          if (offset < last || offset > last + 4096) expect(host.reads).toBe(reads);
          last = offset + length;
          if (found !== undefined) expect(found).toEqual(host.bytes(offset, length));
          if (offset + length > size) expect(found).toBeUndefined();
        };
        for (const [gap, length] of looks) {
          at = Math.max(0, at + gap);
          look(at, length);
          at += length;
        }
        host.replace();
        host.written++;
        host.reads = 0;
        let missed = 0;
        for (at = 0; at + 60 <= size; at += 60 + between) {
          if (ahead.find(host.file, at, 60) === undefined) missed++;
          else look(at, 60);
        }
        expect(missed).toBeLessThanOrEqual(1);
        expect(host.reads).toBeLessThanOrEqual(1 + size / 60_000);
      },
    ),
    { numRuns: 25 },
  );
});
