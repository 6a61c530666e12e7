import { describe, expect, test } from 'vitest';
import type { GrowableArray } from '../../src/dict/growable-array.ts';
import { MmapDict } from '../../src/dict/index.ts';
import { COMMIT_NUMBER_OFFSET, SECTOR } from '../../src/format/layout.ts';
import { memoryOver, NDArray } from '../../src/ndarray/index.ts';
import { MemoryFile } from '../../src/storage/index.ts';
import { CrashFile, crashStates } from '../../src/testing/index.ts';

const LONG = process.env.MMDPICKLE_LONG === '1';

function content(dict: MmapDict): string {
  return JSON.stringify([...dict].map(([k, v]) => [k, v instanceof NDArray ? v.toNested() : v]).sort());
}

const OPERATIONS: Record<string, (dict: MmapDict) => void> = {
  'a new key': (d) => void d.set('new', 'value'),
  'a replaced key': (d) => void d.set('a', 'other'),
  'a deleted key': (d) => void d.delete('a'),
  'a batch of sets': (d) => d.batch(() => void d.set('x', 1).set('y', 2).set('a', 3)),
  'a batch of sets and deletes': (d) =>
    d.batch(() => {
      d.set('x', 1).set('a', 3);
      d.delete('b');
      d.delete('c');
    }),
  'a batch of deletes': (d) => void d.clear(),
  rows: (d) => void (d.get('rows') as never as { append(v: number[][]): void }).append([[5, 6]]),
  'rows that need more room': (d) =>
    void (d.get('rows') as never as { append(v: number[][]): void }).append(new Array(20).fill([5, 6])),
  'rows of two arrays': (d) =>
    d.batch(() => {
      (d.get('rows') as never as { append(v: number[][]): void }).append([[5, 6]]);
      (d.get('other') as never as { append(v: number[]): void }).append([7]);
    }),
};

const source = (shape: number[], capacity: number) =>
  ({ arraySource: true, dtype: 'float64', shape, capacity }) as const;

function start(pad: number): Uint8Array {
  const file = MemoryFile.of();
  const dict = MmapDict.over(file);
  dict
    .set('pad', 'x'.repeat(pad))
    .set('a', 1)
    .set('b', [1, 2])
    .set('c', 'c')
    .set('other', source([0], 8));
  dict.set('rows', source([0, 2], 8));
  const bytes = file.toBytes();
  dict.close();
  return bytes;
}

describe('after a kill at any write the dict has the old or the new state', () => {
  for (const durability of ['none', 'commit'] as const) {
    test.each(Object.keys(OPERATIONS))(`%s, durability ${durability}`, (name) => {
      for (let pad = 0; pad < 140; pad += LONG ? 9 : durability === 'none' ? 21 : 35) {
        const bytes = start(pad);
        const before = content(MmapDict.over(MemoryFile.of(bytes)));
        const file = CrashFile.over(MemoryFile.of(bytes));
        const dict = MmapDict.over(file, { durability });
        OPERATIONS[name]!(dict);
        file.log.mark('done');
        const after = content(dict);
        expect(after).not.toBe(before);
        const seen = new Set<string>();
        for (const state of crashStates(file.log, { power: durability === 'commit', samples: 8, tears: 8 })) {
          const found = [...state.files.values()][0]!;
          const key = Buffer.from(found).toString('latin1');
          if (seen.has(`${key}${state.acknowledged}`)) continue;
          seen.add(`${key}${state.acknowledged}`);
          const expected = state.acknowledged > 0 ? [after] : [before, after];
          const reader = MmapDict.over(MemoryFile.of(found), { mode: 'r' });
          expect(expected).toContain(content(reader));
          const writer = MmapDict.over(MemoryFile.of(found));
          expect(expected).toContain(content(writer));
          writer.set('later', 1);
          expect(writer.get('later')).toBe(1);
          writer.delete('later');
          expect(expected).toContain(content(writer));
          const end = (writer.core.store.file as MemoryFile).toBytes();
          expect([...end.subarray(-11)]).toEqual([0x95, 2, 0, 0, 0, 0, 0, 0, 0, 0x64, 0x2e]);
        }
      }
    });
  }
});

test('after a kill at any write of a vacuum in place, arrays are aligned and row counts can be stored atomically', () => {
  const file = CrashFile.over(MemoryFile.of(start(7)));
  const dict = MmapDict.over(file);
  dict.delete('a');
  dict.vacuum({ inPlace: true });
  for (const state of crashStates(file.log, { tears: 8 })) {
    const killed = MmapDict.over(MemoryFile.of([...state.files.values()][0]!));
    for (const key of ['rows', 'other']) {
      expect(killed.getMeta(key)!.offset % 64).toBe(0);
      expect(killed.core.growables.locate(key).countOffset % 8).toBe(0);
    }
  }
});

test.each([[[2]], [[0]], [[]]])('rows %o of an array that another writer moved: no row count is torn', (rowShape) => {
  const ofRows = (count: number) =>
    NDArray.over(memoryOver(new Uint8Array(8 * count * (rowShape[0] ?? 1))), 'float64', [count, ...rowShape]);
  const file = MemoryFile.of();
  const dict = MmapDict.over(file)
    .set('x', 'xyz')
    .set('rows', source([0, ...rowShape], 300))
    .set('last', 1);
  const rows = dict.get('rows') as GrowableArray;
  rows.append(ofRows(255));
  dict.delete('x');
  const bytes = file.toBytes();
  // The live entries back to back, as mmappickle's vacuum writes them.
  const live = [...dict.scan()].filter((entry) => entry.live).map(({ offset, end }) => bytes.subarray(offset, end));
  const moved = CrashFile.over(MemoryFile.of(Buffer.concat([bytes.subarray(0, 24), ...live, bytes.subarray(-11)])));
  const again = MmapDict.over(moved);
  expect(again.core.growables.locate('rows').countOffset % 8).not.toBe(0);
  const before = content(again);
  (again.get('rows') as GrowableArray).append(ofRows(1));
  const after = content(again);
  expect((again.get('rows') as GrowableArray).shape).toEqual([256, ...rowShape]);
  for (const state of crashStates(moved.log)) {
    expect([before, after]).toContain(content(MmapDict.over(MemoryFile.of([...state.files.values()][0]!))));
  }
});

test.each([2 ** 31, 2 ** 32, 2 ** 33])('a row count is never torn when it reaches %d or passes it', (border) => {
  const ofRows = (count: number) => NDArray.over(memoryOver(new Uint8Array(0)), 'float64', [count, 0]);
  const shapeIn = (bytes: Uint8Array) => (MmapDict.over(MemoryFile.of(bytes)).get('rows') as GrowableArray).shape[0];
  const made = MemoryFile.of();
  MmapDict.over(made).set('rows', source([0, 0], 8));
  let bytes = made.toBytes();
  for (const [before, after] of [
    [0, border - 1] as const,
    [border - 1, border] as const,
    [border, border + 2] as const,
  ]) {
    const inner = MemoryFile.of(bytes);
    const file = CrashFile.over(inner);
    (MmapDict.over(file).get('rows') as GrowableArray).append(ofRows(after - before));
    for (const state of crashStates(file.log))
      expect([before, after]).toContain(shapeIn([...state.files.values()][0]!));
    bytes = inner.toBytes();
    expect(shapeIn(bytes)).toBe(after);
  }
});

// Marking a replaced entry dead is the exception: its successor counts wherever a reader meets both.
test.each(Object.keys(OPERATIONS).filter((name) => !/replaced|of sets$/.test(name)))(
  'a reader that looks before the last write of %s sees another commit number after it',
  (name) => {
    for (const durability of ['none', 'commit'] as const) {
      const file = CrashFile.over(MemoryFile.of(start(7)));
      const dict = MmapDict.over(file, { durability });
      const { length } = file.log.ops;
      OPERATIONS[name]!(dict);
      const written = file.log.ops.slice(length).flatMap((op) => ('bytes' in op ? [op.offset] : []));
      expect(written.length).toBeGreaterThan(1);
      expect(written.at(-1)).toBe(COMMIT_NUMBER_OFFSET);
    }
  },
);

/** What a kill at any write of a batch leaves. */
function* killedHalfWay(): Generator<MemoryFile> {
  const bytes = start(7);
  for (const name of ['a batch of sets and deletes', 'rows of two arrays', 'a batch of deletes']) {
    const file = CrashFile.over(MemoryFile.of(bytes));
    OPERATIONS[name]!(MmapDict.over(file));
    for (const { files } of crashStates(file.log, { tears: 8 })) yield MemoryFile.of([...files.values()][0]!);
  }
}

test('a reader that looks before the last write of a repair sees another commit number after it', () => {
  let journals = 0;
  for (const left of killedHalfWay()) {
    for (const damaged of [false, true]) {
      const bytes = left.toBytes();
      const { store } = MmapDict.over(left, { mode: 'r' }).core;
      if (store.journal === undefined) continue;
      journals++;
      // Another writer has appended after it.
      const other = MemoryFile.of();
      MmapDict.over(other).set('behind', 1);
      const joined = Uint8Array.from([...bytes.subarray(0, store.terminator), ...other.toBytes().subarray(24)]);
      if (damaged) joined[store.terminator - 30]! ^= 1;
      for (const image of damaged ? [joined] : [joined, bytes]) {
        const file = CrashFile.over(MemoryFile.of(image));
        const dict = MmapDict.over(file);
        expect(dict.delete('no such key')).toBe(false);
        expect(dict.repairs.map(({ kind }) => kind)).toEqual(['journal']);
        const written = file.log.ops.flatMap((op) => ('bytes' in op ? [op.offset] : []));
        expect(written.at(-1)).toBe(COMMIT_NUMBER_OFFSET);
      }
    }
  }
  expect(journals).toBeGreaterThan(4);
});

test('reserved room with rows that were never committed is punched only after the commit number has been raised', () => {
  const file = MemoryFile.of();
  const mask = { arraySource: true, dtype: 'bool', shape: [0], capacity: 40 } as const;
  MmapDict.over(file).set('rows', { arraySource: true, dtype: 'uint8', shape: [0], capacity: 40, mask });
  const recorded = CrashFile.over(file);
  (MmapDict.over(recorded).get('rows') as GrowableArray).seal();
  const { ops } = recorded.log;
  const punched = ops.findIndex(({ kind }) => kind === 'punch');
  expect(punched).toBeGreaterThan(0);
  expect(ops.slice(0, punched).some((op) => 'bytes' in op && op.offset === COMMIT_NUMBER_OFFSET)).toBe(true);
});

/**
 * Files that end with a growable array of 40 bytes and spare room, where a sector boundary splits one of its lengths (another writer moved
 * it).
 */
function* endingInArray(spare: number): Generator<MemoryFile> {
  const made = MemoryFile.of();
  const dict = MmapDict.over(made).set('rows', { arraySource: true, dtype: 'uint8', shape: [0], capacity: 40 + spare });
  (dict.get('rows') as GrowableArray).append(new Uint8Array(40).fill(7));
  const { entryOffset, dataOffset } = dict.core.growables.locate('rows');
  for (let pad = 300; pad < 300 + SECTOR; pad++) {
    const file = MemoryFile.of();
    MmapDict.over(file).set('pad', 'x'.repeat(pad));
    const front = file.toBytes().subarray(0, -11);
    const lengths = [front.length + 1, front.length + dataOffset - entryOffset - 8];
    if (lengths.every((at) => at % SECTOR < SECTOR - 8)) continue;
    yield MemoryFile.of(Buffer.concat([front, made.toBytes().subarray(entryOffset)]));
  }
}

test.each([1, 18, 19, 20, 300])(
  'an array that is sealed in place, %d bytes shorter, is intact after a crash',
  (spare) => {
    for (const file of endingInArray(spare)) {
      const before = content(MmapDict.over(file));
      const recorded = CrashFile.over(file);
      (MmapDict.over(recorded, { durability: 'commit' }).get('rows') as GrowableArray).seal();
      for (const state of crashStates(recorded.log, { power: true, samples: 4 })) {
        const image = [...state.files.values()][0]!;
        expect(content(MmapDict.over(MemoryFile.of(image), { mode: 'r' }))).toEqual(before);
        const repaired = MmapDict.over(MemoryFile.of(image));
        expect(content(repaired)).toEqual(before);
        expect(repaired.fsck().findings.filter(({ severity }) => severity === 'error')).toEqual([]);
      }
    }
  },
);

test('arrays read back', () => {
  expect(NDArray.over(memoryOver(new Uint8Array(8)), 'float64', [1]).get(0)).toBe(0);
});
