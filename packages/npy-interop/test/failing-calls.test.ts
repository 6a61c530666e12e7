/** Conversions while system calls fail. */
import { copyFileSync, existsSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { crc32 } from 'node:zlib';
import { isMmdError } from '@mmdpickle/core';
import { ndarray } from '@mmdpickle/core/ndarray';
import { faultySyscalls, libc, MmapDict, NodeFile } from '@mmdpickle/core/node';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { mmdToNpy, mmdToNpz, mmdToSafetensors, npzToMmd } from '../src/node.ts';
import { freshDir } from './fresh-dir.ts';

const KEYS = ['a', 'b', 'c'];
const dir = freshDir();
const system = faultySyscalls({ ...libc(), fsync: () => 0, fdatasync: () => 0 });

beforeEach(() => {
  system.plan();
  const open = NodeFile.open.bind(NodeFile);
  vi.spyOn(NodeFile, 'open').mockImplementation((path, mode, options) =>
    open(path, mode, { ...options, syscalls: system }),
  );
});
afterEach(() => vi.restoreAllMocks());

function makeDict(path: string): void {
  using dict = MmapDict.open(path);
  dict.set('a', ndarray(new Float64Array(3000).fill(1))).set('b', ndarray(new Int32Array([1, 2])));
  dict.set('c', ndarray(new Uint8Array(100)));
}

/** A conversion of the file `source`, with all that it opens. */
type Conversion = (source: string, target: string) => Promise<unknown>;

const from =
  (convert: (dict: MmapDict, target: string) => Promise<unknown>): Conversion =>
  async (source, target) => {
    const dict = MmapDict.open(source, { mode: 'r' });
    try {
      return await convert(dict, target);
    } finally {
      dict.close();
    }
  };

const CONVERSIONS: Readonly<Record<string, Conversion>> = {
  'export to npz': from((dict, target) => mmdToNpz(dict, KEYS, target)),
  'export to compressed npz': from((dict, target) => mmdToNpz(dict, KEYS, target, { compress: true })),
  'export to safetensors': from((dict, target) => mmdToSafetensors(dict, KEYS, target)),
  'export to a folder of npy files': from((dict, target) => mmdToNpy(dict, KEYS, target)),
};

/** The checksum of a file, or the names of what is in a folder with theirs. */
function contentOf(path: string): unknown {
  if (!existsSync(path)) return undefined;
  if (!statSync(path).isDirectory()) return crc32(readFileSync(path));
  return readdirSync(path)
    .sort()
    .map((name) => [name, contentOf(`${path}/${name}`)]);
}

const descriptors = (): number => readdirSync('/proc/self/fd').length;

/** Runs `work` with the nth system call failing, once or from then on, for every n that it reaches. */
async function withEveryFault(work: () => Promise<unknown>, check: (error: unknown, where: string) => void) {
  for (const persistent of [false, true]) {
    for (let nth = 0, done = false; !done; nth += 1) {
      system.plan({ nth, errno: 'EIO', persistent });
      let error: unknown;
      try {
        await work();
      } catch (reason) {
        error = reason;
      }
      done = system.calls.length <= nth;
      const where = `call ${nth}, ${system.calls[nth] ?? 'after the last'}, ${persistent ? 'from then on' : 'once'}`;
      system.plan();
      if (error !== undefined && !isMmdError(error)) throw error;
      if (error !== undefined) expect([where, error]).toMatchObject([where, { errno: 'EIO' }]);
      check(error, where);
    }
  }
}

test.each(Object.keys(CONVERSIONS))(
  'an %s during which a system call fails is whole or not there, names that failure, and leaves nothing open',
  async (name) => {
    const [source, target] = [dir.file('source'), dir.file('target')];
    makeDict(source);
    await CONVERSIONS[name]!(source, target);
    const whole = contentOf(target);
    let failed = 0;
    const fresh = (): void => {
      for (const left of readdirSync(dir.path)) if (left !== 'source') rmSync(dir.file(left), { recursive: true });
    };
    fresh();
    const before = descriptors();
    await withEveryFault(
      () => CONVERSIONS[name]!(source, target),
      (error, where) => {
        expect([where, descriptors() - before]).toEqual([where, 0]);
        if (error === undefined) expect([where, contentOf(target)]).toEqual([where, whole]);
        // If every later call fails, so does removing what was begun.
        else if (!where.endsWith('from then on')) {
          const left = readdirSync(dir.path).filter((file) => file !== 'source');
          expect([where, left, contentOf(target)]).toEqual(
            existsSync(target) ? [where, ['target'], whole] : [where, [], undefined],
          );
        }
        if (error !== undefined) failed += 1;
        fresh();
      },
    );
    expect(failed).toBeGreaterThan(10);
  },
);

test('an import during which a system call fails changes all or nothing, and names that failure', async () => {
  const [source, archive, target] = [dir.file('source'), dir.file('in.npz'), dir.file('target')];
  makeDict(source);
  await CONVERSIONS['export to npz']!(source, archive);
  MmapDict.open(target).set('before', 1).close();
  copyFileSync(target, dir.file('old'));
  const before = descriptors();
  let failed = 0;
  await withEveryFault(
    async () => {
      copyFileSync(dir.file('old'), target);
      const dict = MmapDict.open(target);
      try {
        await npzToMmd(archive, dict);
      } finally {
        try {
          dict.close();
        } catch {
          // The plan says so.
        }
      }
    },
    (error, where) => {
      expect([where, descriptors() - before]).toEqual([where, 0]);
      if (error !== undefined) failed += 1;
      using dict = MmapDict.open(target, { mode: 'r' });
      const keys = [...dict.keys()].join();
      expect(error === undefined ? ['before,a,b,c'] : ['before', 'before,a,b,c'], where).toContain(keys);
    },
  );
  expect(failed).toBeGreaterThan(10);
});
