/** Scanning a file that changes meanwhile. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type EntryInfo, type GrowableArray, MmapDict } from '../../src/dict/index.ts';
import { isMmdError } from '../../src/errors.ts';
import { MemoryDisk, MemoryFile } from '../../src/storage/index.ts';
import { PassThroughFile } from '../../src/storage/pass-through-file.ts';

const LONG = process.env.MMDPICKLE_LONG === '1';
const NAME = 'dict';
const COUNT = 3000;

/** A dict of many small entries, a tenth of them dead, and a growable array at the end: killed, and closed. */
const IMAGES: readonly Uint8Array[] = (() => {
  const file = MemoryFile.of();
  const dict = MmapDict.over(file);
  dict.batch(() => {
    for (let i = 0; i < COUNT; i++) dict.set(`key ${i % (COUNT - COUNT / 10)}`, i);
    dict.set('rows', { arraySource: true, dtype: 'float64', shape: [0], capacity: 4 });
  });
  const killed = file.toBytes();
  dict.close();
  return [killed, file.toBytes()];
})();

/** Two handles of one file. */
function opened(closed: boolean): [mine: MmapDict, other: MmapDict] {
  const disk = new MemoryDisk();
  disk.open(NAME, 'a').write(0, IMAGES[Number(closed)]!);
  return [MmapDict.over(disk.open(NAME, 'r+')), MmapDict.over(disk.open(NAME, 'r+'))];
}

const isOfTail = ({ key }: EntryInfo): boolean => key?.startsWith('mmdpickle ') === true;
const placeOf = ({ offset, key }: EntryInfo): string => `${offset} ${key}`;

const changes: Readonly<Record<string, (dict: MmapDict, n: number) => unknown>> = {
  set: (dict, n) => dict.set(`new ${n}`, n),
  replace: (dict, n) => dict.set(`key ${n}`, 'x'.repeat(n % 700)),
  delete: (dict, n) => dict.delete(`key ${n}`),
  batch: (dict, n) => dict.batch(() => dict.delete(`key ${n}`) && dict.set(`key ${n}`, 1).set('more', n)),
  'grow in place': (dict, n) => (dict.get('rows') as GrowableArray).append(new Float64Array(n % 5000)),
  seal: (dict) => dict.seal({ checksums: true }),
  reclaim: (dict) => dict.reclaim(),
  vacuum: (dict) => dict.vacuum(),
};

test('a scan shows every entry that was there when it began, in order, and of later ones only whole ones', () => {
  const steps = fc.array(
    fc.tuple(fc.constantFrom(...Object.keys(changes)), fc.nat(COUNT), fc.nat(COUNT / 2), fc.boolean()),
    { maxLength: 6 },
  );
  fc.assert(
    fc.property(fc.boolean(), steps, (closed, all) => {
      const [mine, other] = opened(closed);
      const before = [...mine.scan()].filter((entry) => !isOfTail(entry));
      const scan = mine.scan();
      const found: EntryInfo[] = [scan.next().value];
      for (const [name, n, passed, isOther] of all) {
        for (let i = 0; i < passed; i++) {
          const step = scan.next();
          if (step.done !== true) found.push(step.value);
        }
        changes[name]!(isOther ? other : mine, n);
      }
      found.push(...scan);
      const shown = found.filter((entry) => !isOfTail(entry));
      expect(shown.slice(0, before.length).map(placeOf)).toEqual(before.map(placeOf));
      for (const [i, { offset, state }] of found.entries()) {
        if (i > 0) expect(offset).toBe(found[i - 1]!.end);
        expect(state).not.toBe('damaged');
      }
    }),
    { numRuns: LONG ? 600 : 15 },
  );
});

test('a scan stops with an error if an in-place vacuum moves what it has not shown yet', () => {
  fc.assert(
    fc.property(fc.boolean(), fc.integer({ min: 1, max: COUNT }), fc.boolean(), (closed, passed, isOther) => {
      const [mine, other] = opened(closed);
      const before = [...mine.scan()].map(placeOf);
      const scan = mine.scan();
      const found = Array.from({ length: passed }, () => placeOf(scan.next().value));
      (isOther ? other : mine).vacuum({ inPlace: true });
      let thrown: unknown;
      try {
        for (const entry of scan) found.push(placeOf(entry));
      } catch (error) {
        thrown = error;
      }
      expect(found).toEqual(before.slice(0, found.length));
      expect(found.length === before.length || isMmdError(thrown, 'CORRUPT')).toBe(true);
    }),
    { numRuns: LONG ? 600 : 25 },
  );
});

test('the first entries of a scan cost as much in a large file as in a small one', () => {
  let read = 0;
  class Counting extends PassThroughFile {
    override read(offset: number, bytes: Uint8Array): number {
      read += bytes.length;
      return super.read(offset, bytes);
    }
  }
  const [few, many] = [2000, 50_000].map((count) => {
    const file = MemoryFile.of();
    const dict = MmapDict.over(file);
    dict.batch(() => {
      for (let i = 0; i < count; i++) dict.set(`key ${i}`, i);
    });
    dict.close();
    const counted = MmapDict.over(new Counting(MemoryFile.of(file.toBytes())));
    read = 0;
    expect(counted.scan().next().value.key).toBe('key 0');
    return read;
  });
  expect(many).toBe(few);
});
