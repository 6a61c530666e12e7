import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { MmapDict } from '../../src/dict/index.ts';
import { mayHaveMoved, movedCommitNumber } from '../../src/format/layout.ts';
import { NDArray, ndarray } from '../../src/ndarray/index.ts';
import { MemoryDisk, type MemoryFile } from '../../src/storage/index.ts';

const RUNS = process.env.MMDPICKLE_LONG === '1' ? 2000 : 30;
const KEYS = 90;
/** The calls that change a file. */
const MUTATING: readonly PropertyKey[] = ['write', 'writeParts', 'copyFrom', 'truncate', 'storeI32', 'storePair'];

/** The file, with a callback before and after every call that changes it. */
function watched(file: MemoryFile, look: () => void): MemoryFile {
  return new Proxy(file, {
    get(target, name) {
      const value = Reflect.get(target, name, target) as unknown;
      if (typeof value !== 'function') return value;
      return (...args: unknown[]) => {
        const mutates = MUTATING.includes(name);
        if (mutates) look();
        const result = Reflect.apply(value, target, args) as unknown;
        if (mutates) look();
        return result;
      };
    },
  });
}

describe('vacuum in place, seen by handles that have the file open', () => {
  test('shows every value at each of its steps, and after any number of them', () => {
    fc.assert(
      fc.property(
        fc.array(fc.array(fc.nat(KEYS - 1), { minLength: 1, maxLength: 6 }), { minLength: 1, maxLength: 4 }),
        fc.boolean(),
        fc.boolean(),
        fc.boolean(),
        (rounds, index, attentive, warm) => {
          const disk = new MemoryDisk();
          const model = new Map<string, number>();
          {
            using dict = MmapDict.over(disk.open('dict', 'create-new'), { index });
            // All entries are equally long, so that moved entries start where others did.
            for (let i = 0; i < KEYS; i++) {
              dict.set(`key ${100 + i}`, 1000 + i);
              model.set(`key ${100 + i}`, 1000 + i);
            }
          }
          const reader = MmapDict.over(disk.open('dict', 'r'), { mode: 'r' });
          let looks = 0;
          const look = (): void => {
            looks++;
            for (const [key, value] of model) expect(reader.get(key)).toBe(value);
            if (looks % 3 === 0) expect(new Map(reader)).toEqual(model);
          };
          if (warm) look();
          else for (let i = 0; i < 5; i++) reader.get(`key ${100 + 17 * i}`);
          for (const [turn, keys] of rounds.entries()) {
            const file = disk.open('dict', 'r+');
            using dict = MmapDict.over(file, { index });
            for (const number of keys) {
              dict.set(`key ${100 + number}`, 2000 + 100 * turn + number);
              model.set(`key ${100 + number}`, 2000 + 100 * turn + number);
            }
            dict.close();
            using vacuuming = MmapDict.over(
              attentive ? watched(disk.open('dict', 'r+'), look) : disk.open('dict', 'r+'),
              {
                index,
              },
            );
            vacuuming.vacuum({ inPlace: true });
          }
          look();
          expect(looks).toBeGreaterThan(attentive ? 10 : 0);
        },
      ),
      { numRuns: RUNS },
    );
  });
});

test('a value is never that of another key if a file was rewritten in place with the same commit number and size', () => {
  fc.assert(
    fc.property(
      fc.shuffledSubarray(
        Array.from({ length: 70 }, (_, i) => i),
        { minLength: 70, maxLength: 70 },
      ),
      fc.boolean(),
      fc.boolean(),
      fc.boolean(),
      (order, arrays, index, warm) => {
        const made = (keys: readonly number[]): Uint8Array => {
          const disk = new MemoryDisk();
          const dict = MmapDict.over(disk.open('dict', 'create-new'), { index });
          for (const i of keys) dict.set(`key ${100 + i}`, arrays ? ndarray(new Float64Array([i, 0])) : 1000 + i);
          dict.close();
          return (disk.open('dict', 'r') as MemoryFile).toBytes();
        };
        const disk = new MemoryDisk();
        const file = disk.open('dict', 'create-new');
        file.write(0, made(order.toSorted((a, b) => a - b)));
        const reader = MmapDict.over(disk.open('dict', 'r'), { mode: 'r' });
        const read = (i: number): unknown => {
          const value = reader.get(`key ${100 + i}`);
          return value instanceof NDArray ? value.get(0) : (value as number) - 1000;
        };
        for (const i of order) if (warm || i % 5 === 0) expect(read(i)).toBe(i);
        const other = made(order);
        expect(other).toHaveLength(file.size());
        file.write(0, other);
        // The old index says nothing about the new contents: a key may seem to be missing, but never has another key's value.
        for (const i of order) if (!index || reader.has(`key ${100 + i}`)) expect(read(i)).toBe(i);
      },
    ),
    { numRuns: RUNS },
  );
});

test('commit numbers that mark moved entries differ from all earlier ones and from those that later commits reach', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 2 ** 31 - 1 }), fc.nat(100_000), (start, commits) => {
      let number = start;
      for (let leap = 1; leap <= 30; leap++) {
        number = movedCommitNumber(number);
        expect(Number.isInteger(number) && number >= 0 && number < 2 ** 31).toBe(true);
        const later = (number + commits) % 2 ** 31;
        expect(mayHaveMoved(start, number)).toBe(true);
        expect(mayHaveMoved(start, later)).toBe(true);
      }
      if (start + commits < 2 ** 31) expect(mayHaveMoved(start, start + commits)).toBe(false);
    }),
  );
});
