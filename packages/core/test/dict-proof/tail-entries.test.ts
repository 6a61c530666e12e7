import { pythons } from '@mmdpickle/test-support';
import * as fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { MmapDict } from '../../src/dict/index.ts';
import { ndarray } from '../../src/ndarray/index.ts';
import { MemoryDisk, MemoryFile } from '../../src/storage/index.ts';
import { preceded } from '../../src/testing/index.ts';
import { stateText } from './canonical.ts';
import { expectText } from './crash-harness.ts';
import { Judge } from './judge.ts';
import { closedBytes, type Growable, growable, referenceEntry } from './operations.ts';

const RUNS = process.env.MMDPICKLE_LONG === '1' ? 3000 : 50;
const judge = new Judge(pythons());
afterAll(() => judge[Symbol.asyncDispose]());

/** A change to a file between two opens. */
type Change = readonly [kind: 'set' | 'array' | 'delete', key: number];

const changes = fc.array(fc.tuple(fc.constantFrom('set', 'set', 'array', 'delete'), fc.nat(130)), {
  maxLength: 12,
}) as fc.Arbitrary<Change[]>;

function change(dict: MmapDict, model: Map<string, unknown>, [kind, number]: Change, turn: number): void {
  const key = `key ${number}`;
  if (kind === 'delete') {
    expect(dict.delete(key)).toBe(model.delete(key));
    return;
  }
  const value = kind === 'set' ? turn : ndarray(new Float64Array([turn, number]));
  dict.set(key, value);
  model.set(key, value);
}

/** A closed file with an index, made in two sessions, and its contents. */
function indexed(
  first: readonly Change[],
  second: readonly Change[],
): { bytes: Uint8Array; model: Map<string, unknown>; end: number } {
  const model = new Map<string, unknown>();
  let file = MemoryFile.of();
  let dict = MmapDict.over(file);
  dict.batch(() => {
    for (let i = 0; i < 80; i++) {
      dict.set(`key ${i}`, i);
      model.set(`key ${i}`, i);
    }
  });
  for (const [turn, item] of first.entries()) change(dict, model, item, turn);
  file = MemoryFile.of(closedBytes(file, dict));
  dict = MmapDict.over(file);
  for (const [turn, item] of second.entries()) change(dict, model, item, 100 + turn);
  const end = dict.tailOffset;
  return { bytes: closedBytes(file, dict), model, end };
}

/** Looks up keys in an order of its own first, then reads everything. */
function expectReads(image: Uint8Array, model: ReadonlyMap<string, unknown>, asked: readonly number[]): void {
  const dict = MmapDict.over(MemoryFile.of(image), { mode: 'r' });
  for (const number of asked) {
    const key = `key ${number}`;
    expect(dict.has(key)).toBe(model.has(key));
    if (model.has(key)) expectText(stateText([[key, dict.get(key)]]), [stateText([[key, model.get(key)]])], key);
  }
  expectText(stateText(dict), [stateText(model)], 'all of it');
  expect(dict.size).toBe(model.size);
  expect(dict.fsck().ok).toBe(true);
}

/** The file after a change by a writer that knows nothing of indexes and writes as mmappickle 1.0 does. */
function afterReference(bytes: Uint8Array, key: string, value: number, raise: boolean): Uint8Array {
  const image = Uint8Array.from([...bytes.subarray(0, -11), ...referenceEntry(key, value), ...bytes.subarray(-11)]);
  if (raise) image[18]! += 1;
  return image;
}

describe('a tail index never changes what is read', () => {
  test('present, after any changes in two sessions', async () => {
    await fc.assert(
      fc.asyncProperty(changes, changes, fc.array(fc.nat(130), { maxLength: 9 }), async (first, second, asked) => {
        const { bytes, model } = indexed(first, second);
        expectReads(bytes, model, asked);
        await judge.add(bytes, '', (text) => expectText(text, [stateText(model)], 'stock Python'));
      }),
      { numRuns: RUNS },
    );
    await judge.finish();
  });

  test('torn: any of its bytes changed', () => {
    fc.assert(
      fc.property(
        changes,
        fc.array(fc.nat(130), { maxLength: 9 }),
        fc.array(
          fc.tuple(
            fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
            fc.nat(255),
            fc.integer({ min: 1, max: 600 }),
          ),
          {
            minLength: 1,
            maxLength: 3,
          },
        ),
        (items, asked, damages) => {
          const { bytes, model, end } = indexed(items, []);
          // The payload, after head and key, before tail and terminator: the rest belongs to the chain of frames.
          const start = end + 11 + 46 + 9;
          const stop = bytes.length - 11 - 8;
          const image = bytes.slice();
          for (const [where, byte, length] of damages) {
            const at = start + Math.floor(where * (stop - start));
            image.fill(byte, at, Math.min(stop, at + length));
          }
          expectReads(image, model, asked);
          const file = MemoryFile.of(image);
          const dict = MmapDict.over(file);
          const later = new Map(model);
          change(dict, later, ['set', 5], 7);
          change(dict, later, ['delete', 6], 7);
          expectReads(closedBytes(file, dict), later, asked);
        },
      ),
      { numRuns: RUNS },
    );
  });

  test('stale: a writer that knows nothing of it appended, with or without raising the commit number', () => {
    fc.assert(
      fc.property(
        changes,
        fc.array(fc.nat(130), { maxLength: 9 }),
        fc.nat(130),
        fc.boolean(),
        (items, asked, key, raise) => {
          const { bytes, model } = indexed(items, []);
          model.set(`key ${key}`, 777);
          const image = afterReference(bytes, `key ${key}`, 777, raise);
          const dict = MmapDict.over(MemoryFile.of(image), { mode: 'r' });
          for (const number of [key, ...asked]) expect(dict.has(`key ${number}`)).toBe(model.has(`key ${number}`));
          expectText(stateText(dict), [stateText(model)], 'all of it');
          const file = MemoryFile.of(image);
          const writer = MmapDict.over(file);
          const later = new Map(model);
          change(writer, later, ['set', 9], 8);
          expectText(
            stateText(MmapDict.over(MemoryFile.of(closedBytes(file, writer)))),
            [stateText(later)],
            'after a change',
          );
        },
      ),
      { numRuns: RUNS },
    );
  });

  test('missing, or from another file', () => {
    const { bytes, model, end } = indexed([], [['set', 3]]);
    const bare = Uint8Array.from([...bytes.subarray(0, end), ...bytes.subarray(-11)]);
    expectReads(bare, model, [1, 3, 129]);
    const other = indexed(
      [['delete', 4]],
      [
        ['set', 120],
        ['set', 121],
      ],
    );
    const foreign = Uint8Array.from([...bytes.subarray(0, end), ...other.bytes.subarray(other.end)]);
    expectReads(foreign, model, [1, 3, 4, 120, 121]);
  });

  test('held by a handle that stays open while it becomes stale', () => {
    const { bytes, model } = indexed([], []);
    const file = MemoryFile.of(bytes);
    const reader = MmapDict.over(file.disk.open(file.name, 'r'), { mode: 'r' });
    expect(reader.get('key 1')).toBe(1);
    const writer = MmapDict.over(file.disk.open(file.name, 'r+'));
    writer.set('key 1', 'new').delete('key 2');
    writer.set('another', 1);
    model.set('key 1', 'new').set('another', 1);
    model.delete('key 2');
    expect(reader.has('key 2')).toBe(false);
    expectText(stateText(reader), [stateText(model)], 'the reader');
    writer.close();
    expectText(stateText(reader), [stateText(model)], 'the reader after the writer closed');
  });
});

describe('checksums', () => {
  const filled = (): { bytes: Uint8Array; places: [key: string, offset: number, end: number][] } => {
    const file = MemoryFile.of();
    const dict = MmapDict.over(file);
    for (let i = 0; i < 12; i++) dict.set(`key ${i}`, i % 2 ? `text ${i}` : ndarray(new Float64Array(i * 5 + 1)));
    dict.delete('key 3');
    dict.seal({ checksums: true });
    const places = [...dict].map(([key]): [string, number, number] => {
      const { entryOffset } = dict.getMeta(key)!;
      return [key, entryOffset, [...dict.scan()].find(({ offset }) => offset === entryOffset)!.end];
    });
    return { bytes: closedBytes(file, dict), places };
  };

  test('verify names exactly the entry in which a bit was flipped, whichever bit', () => {
    const { bytes, places } = filled();
    expect(MmapDict.over(MemoryFile.of(bytes), { mode: 'r' }).verify()).toMatchObject({
      sealed: true,
      checked: 11,
      findings: [],
    });
    for (const [key, offset, end] of places) {
      // The key and everything after it except the state: heads belong to the chain.
      for (let at = offset + 11; at < end - 2; at++) {
        const image = bytes.slice();
        image[at]! ^= 1 << (at % 8);
        const dict = MmapDict.over(MemoryFile.of(image), { mode: 'r' });
        const findings = dict.verify().findings.filter(({ code }) => code === 'bad-checksum');
        expect(
          findings.map(({ offset: found }) => found),
          `${key} at ${at}`,
        ).toEqual([offset]);
      }
    }
  });

  test('of many small entries are made, and compared, with few reads', () => {
    const disk = new MemoryDisk();
    const dict = MmapDict.over(disk.open('dict', 'create-new'));
    dict.batch(() => {
      for (let i = 0; i < 5000; i++) dict.set(`key ${i}`, `value ${i}`);
    });
    dict.close();
    let reads = 0;
    const opened = MmapDict.over(preceded(disk.open('dict', 'r+'), ['read'], () => void reads++));
    opened.seal({ checksums: true });
    expect(opened.verify()).toEqual({ sealed: true, checked: 5000, findings: [] });
    expect(reads).toBeLessThan(100);
  });

  test('a file that ends with an index or checksums can be sealed like any other', () => {
    const file = MemoryFile.of();
    const made = MmapDict.over(file);
    for (let i = 0; i < 70; i++) made.set(`key ${i}`, i);
    made.close();
    const dict = MmapDict.over(MemoryFile.of(file.toBytes()));
    for (let round = 0; round < 3; round++) {
      dict.seal({ checksums: true });
      expect(dict.verify()).toEqual({ sealed: true, checked: 70, findings: [] });
      expect(dict.fsck().findings).toEqual([]);
    }
  });

  test('a change after the seal invalidates it, and damaged checksums are reported as such', () => {
    const { bytes } = filled();
    const file = MemoryFile.of(bytes);
    const dict = MmapDict.over(file, { index: false });
    dict.set('later', 1);
    expect(dict.verify()).toMatchObject({ sealed: false, findings: [] });
    expectText(stateText(dict), [stateText(MmapDict.over(MemoryFile.of(file.toBytes())))], 'the change');
    const places = [...MmapDict.over(MemoryFile.of(bytes)).scan()].filter(({ key }) => key?.includes('checksums'));
    expect(places).toHaveLength(1);
    const image = bytes.slice();
    image[places[0]!.valueOffset + 30]! ^= 4;
    expect(MmapDict.over(MemoryFile.of(image), { mode: 'r' }).verify().findings).toMatchObject([
      { code: 'bad-checksum' },
    ]);
  });

  test.each<[string, (dict: MmapDict) => unknown]>([
    ['set', (dict) => dict.set('new', 1)],
    ['delete', (dict) => dict.delete('key 2')],
    ['append', (dict) => (dict.get('rows') as Growable).append([1])],
    ['seal an array', (dict) => (dict.get('rows') as Growable).seal()],
  ])('damaged checksums do not prevent a walk of the file after a %s', (_what, run) => {
    for (const standingIndex of [0, 2 ** 20]) {
      const file = MemoryFile.of();
      const made = MmapDict.over(file);
      for (let i = 0; i < 70; i++) made.set(`key ${i}`, i);
      made
        .set('rows', growable([], 'uint8', 40))
        .set('last', 1)
        .seal({ checksums: true });
      const end = made.tailOffset;
      for (let at = end; at < end + 80; at++) {
        const image = file.toBytes();
        image[at]! ^= 1 << (at % 8);
        const damaged = MemoryFile.of(image);
        const dict = MmapDict.over(damaged, { standingIndex });
        run(dict);
        // Without its close, as after a kill.
        const walked = MmapDict.over(MemoryFile.of(damaged.toBytes()));
        expectText(stateText(walked), [stateText(dict)], `byte ${at - end}`);
        expect(walked.fsck().findings).toEqual([]);
      }
    }
  });
});
