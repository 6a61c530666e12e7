import { Python, pythons } from '@mmdpickle/test-support';
import { afterAll, describe, expect, test } from 'vitest';
import { MmapDict } from '../../src/dict/index.ts';
import { SECTOR } from '../../src/format/layout.ts';
import { RESPELLED_SIZE, respellingStates, respellingSteps } from '../../src/format/respelling.ts';
import { type NDArray, ndarray } from '../../src/ndarray/index.ts';
import { MemoryDisk, MemoryFile } from '../../src/storage/index.ts';
import { CrashFile, crashStates } from '../../src/testing/index.ts';

/** numpy releases that accept the legacy spelling. */
const TAKES_LEGACY = /^(1\.|2\.[0-2]\.)/;
const VALUES = [1, 2, 3];

/** A file with a legacy array, with a sector boundary `border` bytes into its prefix. */
function fileWith(border: number): Uint8Array {
  const file = MemoryFile.of();
  const dict = MmapDict.over(file);
  dict.set('a', ndarray(new Int32Array(VALUES)), { layout: 'legacy' });
  const { entryOffset } = dict.getMeta('a')!;
  const bytes = file.toBytes();
  // Preceded by an entry of arbitrary length: files of other writers are not aligned.
  for (let pad = 500; pad < 500 + 2 * SECTOR; pad++) {
    const filler = MemoryFile.of();
    MmapDict.over(filler).set('pad', new Uint8Array(pad));
    const front = filler.toBytes();
    const moved = new Uint8Array(front.length - 11 + bytes.length - entryOffset);
    moved.set(front.subarray(0, front.length - 11));
    moved.set(bytes.subarray(entryOffset), front.length - 11);
    const prefix = front.length - 11 + 11 + 1;
    if (SECTOR - (prefix % SECTOR) === border) return moved;
  }
  throw new Error(`no file with a border at ${border}`);
}

/** Every state that a crash while respelling leaves, with its cause. */
function* states(border: number, durability: 'none' | 'commit'): Generator<readonly [name: string, image: Uint8Array]> {
  const bytes = fileWith(border);
  const up = CrashFile.over(MemoryFile.of(bytes));
  const dict = MmapDict.over(up, { durability });
  expect(dict.upgrade()).toBe(1);
  const down = CrashFile.over(
    MemoryFile.of([...crashStates(up.log, { power: false })].at(-1)!.files.values().next().value!),
  );
  expect(MmapDict.over(down, { durability }).downgrade()).toBe(1);
  for (const [name, { log }] of [
    ['upgrade', up],
    ['downgrade', down],
  ] as const) {
    const seen = new Set<string>();
    for (const { files } of crashStates(log, { power: durability === 'commit', samples: 8, tears: 4 })) {
      const image = [...files.values()][0]!;
      const text = Buffer.from(image).toString('latin1');
      if (seen.has(text)) continue;
      seen.add(text);
      yield [`${name} at ${border}`, image];
    }
  }
}

/** Every position of the boundary; the crash tests use those that behave differently. */
const NEAR = Array.from({ length: RESPELLED_SIZE + 1 }, (_, i) => i + 1);
const TRIED = [1, 2, 3, 13, 23, 24, 25, 40, 56, 57, 60, 63, 64, 68, 69, 70, 71];

describe('respelling across a sector', () => {
  test('changes one side at a time, and both directions end at the requested spelling', () => {
    for (const border of NEAR) {
      const found = respellingStates(border);
      expect(found === undefined, `${border}`).toBe((border > 24 && border < 57) || (border > 63 && border < 69));
      for (const [i, state] of (found ?? []).slice(1).entries()) {
        const sides = new Set<boolean>();
        for (const [pos, byte] of state.entries()) if (byte !== found![i]![pos]) sides.add(pos < border);
        if (border < RESPELLED_SIZE) expect(sides.size).toBe(1);
      }
      for (const to of ['legacy', 'upgraded'] as const) {
        for (const { offset, bytes } of respellingSteps(10 * SECTOR - border, to) ?? []) {
          expect((offset % SECTOR) + bytes.length).toBeLessThanOrEqual(SECTOR);
        }
      }
    }
  });

  test.each(['none', 'commit'] as const)(
    'leaves the array readable to this library after any crash, durability %s',
    (durability) => {
      for (const border of TRIED) {
        // Without durability a write inside a page counts as whole: a kill does not tear it, but these states would.
        if (durability === 'none' && respellingStates(border) === undefined) continue;
        for (const [name, image] of states(border, durability)) {
          for (const mode of ['r', 'r+'] as const) {
            const dict = MmapDict.over(MemoryFile.of(image), { mode });
            expect((dict.get('a') as NDArray).toNested(), `${name}, ${mode}`).toEqual(VALUES);
          }
        }
      }
    },
  );

  test('moves no data if the boundary allows a safe order, and never without durability inside a page', () => {
    for (const durability of ['none', 'commit'] as const) {
      for (const border of TRIED) {
        const dict = MmapDict.over(MemoryFile.of(fileWith(border)), { durability });
        const before = dict.getMeta('a')!.offset;
        dict.upgrade();
        expect(dict.getMeta('a')).toMatchObject({ layout: 'upgraded' });
        const stays = dict.getMeta('a')!.offset === before;
        expect(stays, `${durability} ${border}`).toBe(durability === 'none' || respellingStates(border) !== undefined);
      }
    }
  });
});

test('bytes written by a respelling are not written again by a later change of the same handle', () => {
  for (const border of [3, 60, 72]) {
    const disk = new MemoryDisk();
    disk.open('dict', 'create-new').write(0, fileWith(border));
    const [dict, other] = [0, 1].map(() => MmapDict.over(disk.open('dict', 'r+'), { durability: 'commit' }));
    expect([dict!.upgrade(), other!.downgrade()]).toEqual([1, 1]);
    dict!.batch(() => dict!.set('b', 1).set('c', 2).delete('pad'));
    expect(other!.getMeta('a')).toMatchObject({ layout: 'legacy' });
  }
});

describe.each(pythons())('stock Python $version, numpy $numpy', (info) => {
  const python = new Python(info);
  afterAll(() => python[Symbol.asyncDispose]());

  test.runIf(TAKES_LEGACY.test(info.numpy))('loads the array in every crash state', async () => {
    const images: Uint8Array[] = [];
    for (const border of TRIED) for (const [, image] of states(border, 'commit')) images.push(image);
    expect(images.length).toBeGreaterThan(200);
    const found = await python.run<unknown[]>(
      `
import pickle, io, warnings
warnings.simplefilter('ignore')
result = []
for i, data in enumerate(args['images']):
    for unpickle in (pickle.Unpickler, pickle._Unpickler):
        try:
            value = unpickle(io.BytesIO(data)).load()['a'].tolist()
        except Exception as error:
            value = repr(error)
        if value != [1, 2, 3]:
            result.append([i, str(value)])
`,
      { images },
    );
    expect(found).toEqual([]);
  });
});
