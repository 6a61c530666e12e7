import { TempDir } from '@mmdpickle/test-support';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { MmapDict } from '../../src/dict/index.ts';
import { encodeEmptyFile } from '../../src/format/index.ts';
import { NodeFile } from '../../src/node/file.ts';
import { lateBound } from '../../src/node/late-bound.ts';
import { libc } from '../../src/node/libc.ts';
import { READS_AHEAD, StridedReads } from '../../src/node/strided-reads.ts';
import type { Syscalls } from '../../src/node/syscalls.ts';

/** The reads of a file on a disk that takes a while, and the ranges that it was told of before. */
function slowDisk(willNeed: Syscalls['willNeed'] = () => 0) {
  const reads: { readonly offset: number; readonly length: number; readonly told: boolean }[] = [];
  const told: { readonly offset: number; readonly end: number }[] = [];
  const clock = new Int32Array(new SharedArrayBuffer(4));
  const real = libc();
  const syscalls: Syscalls = {
    ...real,
    pread(fd, into, length, offset) {
      Atomics.wait(clock, 0, 0, 0.2);
      const known = told.some((range) => range.offset <= offset && offset + length <= range.end);
      reads.push({ offset, length, told: known });
      return real.pread(fd, into, length, offset);
    },
    willNeed(fd, offset, length) {
      // Whole pages are read.
      told.push({ offset: offset - (offset % 4096), end: Math.ceil((offset + length) / 4096) * 4096 });
      return willNeed(fd, offset, length);
    },
  };
  return { syscalls, reads, told };
}

let temp: TempDir;
beforeEach(() => {
  temp = new TempDir();
});
afterEach(() => temp[Symbol.dispose]());

/** A dict of frames whose writer was killed: it has no index, so that whoever opens it has to walk. */
function killed(count: number, bytesOf: (i: number) => number): string {
  const path = temp.file('frames.mmdpickle');
  const file = NodeFile.open(path, 'a', { initial: encodeEmptyFile() });
  using dict = MmapDict.over(file, { index: false });
  for (let i = 0; i < count; i++) dict.set(`frame/${i}`, new Uint8Array(bytesOf(i)).fill(i));
  return path;
}

describe('a walk over frames that are not in the page cache', () => {
  it.each([
    ['of one size', () => 20_000],
    ['of which some are a few bytes longer', (i: number) => (i % 10 === 3 ? 20_100 : 20_000)],
  ])('tells the system of nearly all reads before it makes them, if they are %s', (_, bytesOf) => {
    const path = killed(400, bytesOf);
    const { syscalls, reads } = slowDisk();
    using file = NodeFile.open(path, 'r', { syscalls });
    using dict = MmapDict.over(file, { mode: 'r' });
    expect([...dict.keys()]).toEqual(Array.from({ length: 400 }, (_, i) => `frame/${i}`));
    const walked = reads.filter(({ offset }) => offset > 20 * 20_000);
    expect(walked.length).toBeGreaterThan(350);
    // All but those that lie on another page than expected.
    expect(walked.filter(({ told }) => told).length / walked.length).toBeGreaterThan(0.85);
    expect(dict.get('frame/399')).toHaveLength(bytesOf(399));
  });

  it('finds the same where the system takes no such hints', () => {
    const path = killed(100, () => 20_000);
    const { syscalls, told } = slowDisk(() => -38);
    using file = NodeFile.open(path, 'r', { syscalls });
    using dict = MmapDict.over(file, { mode: 'r' });
    expect(dict.size).toBe(100);
    expect(told.length).toBeGreaterThan(0);
  });

  it('tells the system of nothing if the frames differ in size', () => {
    const path = killed(100, (i) => 20_000 + 1000 * ((i * 7) % 11));
    const { syscalls, told } = slowDisk();
    using file = NodeFile.open(path, 'r', { syscalls });
    using dict = MmapDict.over(file, { mode: 'r' });
    expect(dict.size).toBe(100);
    expect(told).toEqual([]);
  });
});

it('the system accepts the hint', () => {
  using file = NodeFile.open(killed(1, () => 100));
  expect(libc().willNeed(file.fd, 0, 4096)).toBe(process.platform === 'linux' ? 0 : -78);
});

it('reading a slow disk goes on where the C library cannot be loaded', () => {
  const path = killed(100, () => 20_000);
  let tries = 0;
  const bare = lateBound(libc().platform, () => {
    tries += 1;
    throw new Error('no koffi here');
  });
  const { syscalls, told } = slowDisk(bare.willNeed);
  const { pread, willNeed } = syscalls;
  using file = NodeFile.open(path, 'r', { syscalls: Object.assign(bare, { pread, willNeed }) });
  using dict = MmapDict.over(file, { mode: 'r' });
  expect(dict.get('frame/99')).toHaveLength(20_000);
  expect(told.length).toBeGreaterThan(0);
  expect(tries).toBe(1);
});

describe('reads', () => {
  it('further and further apart are never timed, nor made ahead', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 600, max: 2 ** 40 }), { maxLength: 60 }), (some) => {
        const strided = new StridedReads();
        let offset = 0;
        let step = 8192;
        for (const more of some) expect(strided.plan((offset += step += more), 64)).toBe('usual');
      }),
    );
  });

  it('at equal distances are timed until two in a row are slow, and made ahead from there on', () => {
    const steps = fc.integer({ min: 8192, max: 2 ** 40 });
    fc.assert(
      fc.property(steps, fc.nat(2 ** 45), fc.integer({ min: 1, max: 4096 }), (step, from, length) => {
        const strided = new StridedReads();
        let offset = from;
        const plans = (count: number) => Array.from({ length: count }, () => strided.plan((offset += step), length));
        const one = () => plans(8).filter((plan) => plan === 'timed');
        plans(16);
        expect(one()).toHaveLength(1);
        expect(strided.took(0)).toBe(false);
        expect(one()).toHaveLength(1);
        expect(strided.took(10)).toBe(false);
        expect(plans(1)).toEqual(['timed']);
        expect(strided.took(0)).toBe(false);
        expect(one()).toHaveLength(1);
        expect(strided.took(10)).toBe(false);
        expect(plans(1)).toEqual(['timed']);
        expect(strided.took(10)).toBe(true);
        expect(new Set(plans(2 * READS_AHEAD))).toEqual(new Set(['ahead']));
        // The way to the first read counts as one of the steps if it is about as long.
        expect(Math.abs(strided.after(READS_AHEAD) - (offset + READS_AHEAD * step))).toBeLessThanOrEqual(512);
        expect(strided.plan(from, length)).toBe('usual');
      }),
    );
  });

  it('that follow each other directly are left to the kernel', () => {
    const strided = new StridedReads();
    for (let i = 0; i < 100; i++) expect(strided.plan(i * 65_536, 65_536)).toBe('usual');
  });
});
