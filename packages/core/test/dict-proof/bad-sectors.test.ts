/** Salvage of files of which some blocks cannot be read, as on a disk with bad sectors. */
import { statSync, writeFileSync } from 'node:fs';
import { constants } from 'node:os';
import { TempDir } from '@mmdpickle/test-support';
import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { MmapDict } from '../../src/dict/index.ts';
import { RescueSource } from '../../src/dict/rescue-source.ts';
import { MmdError } from '../../src/errors.ts';
import { FRAME_SIZE } from '../../src/format/layout.ts';
import { MaskedArray, NDArray, ndarray } from '../../src/ndarray/index.ts';
import { libc, NodeFile } from '../../src/node/index.ts';
import { MmapDict as MmapFile, salvage } from '../../src/node.ts';
import { MemoryFile, type StorageFile } from '../../src/storage/index.ts';
import { stateText } from './canonical.ts';

const BLOCK = 4096;

interface Bad {
  readonly from: number;
  readonly end: number;
  readonly errno?: string;
}

const meets = (offset: number, end: number, bads: readonly Bad[]): boolean =>
  bads.some((bad) => offset < bad.end && end > bad.from);

/** The same, where nothing of a block with a bad byte can be read. */
const inBlocks = ({ from, end }: Bad): Bad => ({
  from: from - (from % BLOCK),
  end: Math.ceil(end / BLOCK) * BLOCK,
});

/** A file of which these bytes cannot be read, or mapped. `tries` counts the reads that failed. */
function failing(inner: StorageFile, bads: readonly Bad[], tries = { failed: 0 }): StorageFile {
  return new Proxy(inner, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name, target);
      if (name === 'map' || name === 'loadI32') throw new Error(`${name} of a disk with bad sectors`);
      if (name !== 'read') return typeof value === 'function' ? value.bind(target) : value;
      return (offset: number, into: Uint8Array): number => {
        const bad = bads.find((each) => meets(offset, offset + into.length, [each]));
        if (bad === undefined) return target.read(offset, into);
        tries.failed += 1;
        throw new MmdError('IO', 'input/output error', { errno: bad.errno ?? 'EIO' });
      };
    },
  });
}

/** Values of all kinds and sizes, replaced and deleted keys; with an index, or with sums too. */
function sample(large: number, sums: boolean): Uint8Array {
  const file = MemoryFile.of();
  const dict = MmapDict.over(file);
  for (let i = 0; i < 90; i += 1) dict.set(`key ${i % 80}`, `${i} `.repeat(i * 10 + 1));
  dict.set('array', ndarray(Float64Array.from({ length: large / 8 }, (_, i) => i)));
  dict.delete('key 7');
  dict.delete('key 30');
  const rows = dict.set('rows', { arraySource: true, dtype: 'float64', shape: [0], capacity: 600 }).get('rows') as {
    append(rows: number[]): unknown;
  };
  rows.append([1, 2, 3]);
  dict.set('masked', new MaskedArray(ndarray(new Int32Array(9000).fill(5)), NDArray.zeros([9000], 'bool')));
  dict.set(
    'list',
    Array.from({ length: 4000 }, (_, i) => `item ${i}`),
  );
  dict.set('bytes', new Uint8Array(large).fill(1));
  for (let i = 0; i < 20; i += 1) dict.set(`late ${i}`, i);
  if (sums) dict.seal({ checksums: true });
  dict.close();
  return file.toBytes();
}

const OPTIONS = { mode: 'r', lenient: true, salvage: true } as const;

function salvaged(bytes: Uint8Array, bads: readonly Bad[], tries?: { failed: number }) {
  const target = MemoryFile.of();
  const source = new RescueSource(failing(MemoryFile.of(bytes), bads, tries));
  const result = MmapDict.over(source, OPTIONS).salvage(MmapDict.over(target, { index: false }));
  return { ...result, target };
}

const texts = (file: MemoryFile): Map<string, string> => {
  const dict = MmapDict.over(file, { mode: 'r' });
  const one = (key: string): string => {
    const single = MmapDict.over(MemoryFile.of());
    dict.copy([key], single);
    return stateText(single);
  };
  return new Map([...dict.keys()].map((key) => [key, one(key)]));
};

/** A file, and what it holds. */
interface Sample {
  readonly bytes: Uint8Array;
  readonly values: ReadonlyMap<string, string>;
  /** File offsets of the live entries and of their ends. */
  readonly places: ReadonlyMap<string, readonly [offset: number, end: number]>;
  /** Keys of dead entries: they may come back. */
  readonly dead: ReadonlySet<string>;
}

function described(bytes: Uint8Array): Sample {
  const places = new Map<string, readonly [number, number]>();
  const dead = new Set<string>();
  for (const { key, offset, end, live } of MmapDict.over(MemoryFile.of(bytes), { mode: 'r' }).scan()) {
    if (key === undefined) continue;
    if (live) places.set(key, [offset, end]);
    else dead.add(key);
  }
  return { bytes, values: texts(MemoryFile.of(bytes)), places, dead };
}

/** Compares the result of a salvage with what can be recovered. */
function judge({ values, places, dead }: Sample, bads: readonly Bad[], result: ReturnType<typeof salvaged>): void {
  const { recovered, lost, breaks, unreadable, target } = result;
  const found = texts(target);
  const blocks = bads.map(inBlocks);
  const listed = new Set(lost.map(({ key }) => key));
  expect([...found.keys()].sort()).toEqual([...recovered].sort());
  for (const [key, text] of values) {
    const [offset, end] = places.get(key)!;
    if (!meets(offset, end, blocks)) expect([key, found.get(key)]).toEqual([key, text]);
    // A frame's length alone can be guessed.
    else if (meets(offset + FRAME_SIZE + 1, end, bads)) {
      const keyless = breaks.length > 0 && meets(offset, offset + FRAME_SIZE + 2 + key.length, blocks);
      expect([key, listed.has(key) || keyless]).toEqual([key, true]);
      if (found.has(key) && found.get(key) !== text) expect(dead).toContain(key);
    }
  }
  for (const key of found.keys()) expect(values.has(key) || dead.has(key)).toBe(true);
  for (const { key, message } of lost) {
    expect(message).toMatch(/bytes at \d+ cannot be read \(EIO\)/);
    expect(values.has(key) || dead.has(key)).toBe(true);
  }
  for (const { offset, length } of unreadable)
    expect(blocks.some(({ from, end }) => from <= offset && end >= offset + length)).toBe(true);
  if (lost.length > 0) expect(unreadable).not.toEqual([]);
}

describe('salvage of a file on a disk with bad sectors', () => {
  const plain = described(sample(120_000, false));
  const sealed = described(sample(120_000, true));
  const runs = process.env.MMDPICKLE_LONG === '1' ? 3000 : 80;

  it('recovers every value that needs none of the bad bytes, and lists or marks every other', () => {
    const bad = (size: number) =>
      fc
        .tuple(fc.nat(size), fc.integer({ min: 1, max: 32 }))
        .map(([at, sectors]) => ({ from: at - (at % 512), end: at - (at % 512) + sectors * 512 }));
    fc.assert(
      fc.property(
        fc.constantFrom(plain, sealed).chain((one) => fc.tuple(fc.constant(one), bad(one.bytes.length))),
        ([one, each]) => judge(one, [each], salvaged(one.bytes, [each])),
      ),
      { numRuns: runs },
    );
  });

  it('copies nothing of a large value of which a block cannot be read, and everything behind it', () => {
    const [offset, end] = plain.places.get('array')!;
    const bad = { from: offset + BLOCK * 9, end: offset + BLOCK * 9 + 1 };
    const { lost, unreadable, target } = salvaged(plain.bytes, [bad]);
    const { from } = inBlocks(bad);
    const message = `memory: bytes at ${from} cannot be read (EIO)`;
    expect(lost).toEqual([{ key: 'array', offset, message: expect.stringContaining(message.slice(7)) as string }]);
    expect(unreadable).toEqual([{ offset: from, length: BLOCK }]);
    expect(target.size()).toBeLessThan(plain.bytes.length - (end - offset) + 2 * BLOCK);
    expect(MmapDict.over(target).fsck()).toMatchObject({ ok: true });
  });

  it('tries few of the bytes of a long stretch', () => {
    const file = MemoryFile.of();
    const dict = MmapDict.over(file, { index: false });
    for (let i = 0; i < 30; i += 1) dict.set(`key ${i}`, new Uint8Array(2 ** 20).fill(i));
    const one = described(file.toBytes());
    const bad = { from: 5_000_000, end: 25_000_000 };
    const tries = { failed: 0 };
    const result = salvaged(one.bytes, [bad], tries);
    judge(one, [bad], result);
    expect(result.recovered).toHaveLength(30 - 20);
    expect(tries.failed).toBeLessThan(100);
  });

  it.each(['ENODATA', 'EILSEQ', 'EREMOTEIO', 'EBADMSG', 'EUCLEAN'])('takes %s for a bad sector', (errno) => {
    const [offset] = plain.places.get('array')!;
    const { lost } = salvaged(plain.bytes, [{ from: offset + 9 * BLOCK, end: offset + 9 * BLOCK + 1, errno }]);
    expect(lost).toMatchObject([{ key: 'array', message: expect.stringContaining(`(${errno})`) as string }]);
  });

  it.each(['ESTALE', 'ENOMEM', 'EBADF'])('throws %s, and copies nothing', (errno) => {
    const [offset] = plain.places.get('array')!;
    const target = MmapDict.over(MemoryFile.of());
    const bads = [{ from: offset + 9 * BLOCK, end: offset + 9 * BLOCK + 1, errno }];
    const source = new RescueSource(failing(MemoryFile.of(plain.bytes), bads));
    const from = MmapDict.over(source, OPTIONS);
    expect(() => from.salvage(target)).toThrow(expect.objectContaining({ errno }));
    expect(target.size).toBe(0);
  });

  it('throws the error if nothing can be read, and the error of a target that cannot be written', () => {
    const { bytes } = plain;
    expect(() => salvaged(bytes, [{ from: 0, end: bytes.length }])).toThrow(expect.objectContaining({ errno: 'EIO' }));
    const target = MmapDict.over(
      new Proxy(MemoryFile.of(), {
        get(file, name) {
          const value: unknown = Reflect.get(file, name, file);
          if (name !== 'copyFrom') return typeof value === 'function' ? value.bind(file) : value;
          return () => {
            throw new MmdError('IO', 'of the target', { errno: 'EIO' });
          };
        },
      }),
    );
    const from = MmapDict.over(MemoryFile.of(bytes), OPTIONS);
    expect(() => from.salvage(target)).toThrow('of the target');
    expect(target.size).toBe(0);
  });

  it('in a real file opens it all the same, copies the rest to another, and maps nothing of it', () => {
    using dir = new TempDir();
    const [src, dst] = [dir.file('src'), dir.file('dst')];
    writeFileSync(src, plain.bytes);
    const [offset, end] = plain.places.get('array')!;
    const bad = inBlocks({ from: offset + 3 * BLOCK, end: offset + 3 * BLOCK + 1 });
    const sys = libc();
    const failingSys: typeof sys = {
      ...sys,
      pread: (fd, into, length, at) =>
        at < bad.end && at + length > bad.from ? -constants.errno.EIO : sys.pread(fd, into, length, at),
      copyFileRange: () => -constants.errno.EIO,
      mmap: () => -constants.errno.ENOMEM,
    };
    const open = NodeFile.open.bind(NodeFile);
    const opening = vi
      .spyOn(NodeFile, 'open')
      .mockImplementation((path, mode, options) =>
        open(path, mode, path === src ? { ...options, syscalls: failingSys } : options),
      );
    try {
      const { lost, unreadable, recovered } = salvage(src, dst);
      expect(lost).toMatchObject([{ key: 'array', offset }]);
      expect(unreadable).toEqual([{ offset: bad.from, length: BLOCK }]);
      expect(recovered).toHaveLength(plain.values.size - 1);
      expect(statSync(dst).size).toBeLessThan(plain.bytes.length - (end - offset) + 2 * BLOCK);
    } finally {
      opening.mockRestore();
    }
    using rescued = MmapFile.open(dst, { mode: 'r' });
    const found = new Map([...rescued].map(([key, value]) => [key, stateText([[key, value]])]));
    for (const [key, text] of plain.values) if (key !== 'array') expect([key, found.get(key)]).toEqual([key, text]);
  });
});
