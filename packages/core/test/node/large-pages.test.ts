import type { NDArray } from '@mmdpickle/core/ndarray';
import { TempDir } from '@mmdpickle/test-support';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { MmapDict } from '../../src/dict/mmap-dict.ts';
import { NodeFile } from '../../src/node/file.ts';
import { libc } from '../../src/node/libc.ts';
import { MAP_FIXED, MAP_SHARED, PROT_READ, type Syscalls } from '../../src/node/syscalls.ts';
import { largePages } from './large-pages.ts';

const LONG = process.env.MMDPICKLE_LONG === '1';

let temp: TempDir;
let count = 0;
beforeAll(() => {
  temp = new TempDir();
});
afterAll(() => temp[Symbol.dispose]());

const pattern = (length: number, from = 0): Uint8Array => Uint8Array.from({ length }, (_, i) => ((i + from) * 7) % 251);

// What storage-laws.test.ts and mmap.test.ts require of files, with the page size of a Raspberry Pi 5, or of some servers.
describe.each([2 ** 14, 2 ** 16])('on a machine with pages of %i bytes', (size) => {
  let syscalls: Syscalls;
  beforeAll(() => {
    syscalls = largePages(libc(), size, size);
  });
  const fresh = (): NodeFile => NodeFile.open(temp.file(`large-${count++}`), 'create-new', { syscalls });

  it('the simulated kernel refuses what such a kernel refuses', () => {
    using file = fresh();
    file.write(0, new Uint8Array(3 * size));
    const map = (offset: number): number => syscalls.mmap(0, size, PROT_READ, MAP_SHARED, file.fd, offset);
    expect(map(4096)).toBe(-22);
    const address = map(size);
    expect(address % size).toBe(0);
    expect(syscalls.mmap(address + 4096, 4096, PROT_READ, MAP_SHARED | MAP_FIXED, file.fd, 0)).toBe(-22);
    expect(syscalls.msync(address + 4096, 10, syscalls.platform.MS_SYNC)).toBe(-22);
    expect(syscalls.munmap(address, 1)).toBe(0);
  });

  it('windows hold the requested range wherever it is, and the last page of the file to its end', () => {
    const all = pattern(7 * size + 100);
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(5 * size), fc.nat(2 * size)), { minLength: 1, maxLength: 8 }),
        fc.nat(5 * size),
        fc.constantFrom('read', 'write', 'copy-on-write' as const),
        (stretches, cut, access) => {
          using file = fresh();
          file.write(0, all);
          for (const [offset, length] of stretches) {
            const memory = file.map(offset, length, access);
            const seen = memory.bytes(0, length);
            expect(Buffer.compare(seen, all.subarray(offset, offset + length))).toBe(0);
            memory.flush?.(0, length);
            memory.advise?.(0, length, 'willneed');
          }
          const whole = file.map(0, all.length, access).bytes(0, all.length);
          file.truncate(cut);
          // Nothing crashes the process, and nothing appears that the file does not contain.
          expect(Buffer.compare(whole.subarray(cut), new Uint8Array(all.length - cut))).toBe(0);
          structuredClone(whole.subarray(0, 1));
          file.write(cut, all.subarray(cut));
          expect(Buffer.compare(file.map(0, all.length, access).bytes(0, all.length), all)).toBe(0);
        },
      ),
      { numRuns: LONG ? 300 : 15 },
    );
  });

  it('file pages are mapped into a WebAssembly memory at any position', () => {
    using file = fresh();
    const all = pattern(40 * 2 ** 16);
    file.write(0, all);
    const wasm = new WebAssembly.Memory({ initial: 128, maximum: 128 });
    const target = wasm.buffer as ArrayBuffer;
    fc.assert(
      fc.property(fc.nat(2 ** 20), fc.integer({ min: 1, max: 2 ** 20 }), fc.boolean(), (offset, length, choose) => {
        const room = choose ? length + 2 ** 21 + 2 ** 17 : undefined;
        const stretch = file.map(0, all.length, 'read').mapFixed?.(target, 2 ** 16, offset, length, room);
        expect(stretch).toBeDefined();
        expect(stretch!.at % size).toBe(offset % size);
        stretch!.prefetch?.(0, length);
        const seen = new Uint8Array(target, stretch!.at, length);
        expect(Buffer.compare(seen, all.subarray(offset, offset + length))).toBe(0);
        stretch!.release();
        expect(Buffer.compare(seen, new Uint8Array(length))).toBe(0);
      }),
      { numRuns: LONG ? 400 : 20 },
    );
  });

  it('a dict of small and large values is the same for another handle and for the real page size', () => {
    const path = temp.file(`dict-${count++}`);
    using dict = MmapDict.over(NodeFile.open(path, 'a', { syscalls }));
    using follower = MmapDict.over(NodeFile.open(path, 'r', { syscalls }));
    for (let i = 0; i < 3000; i++) {
      dict.set(`small ${i}`, 'x'.repeat((i * 37) % 200));
      if (i % 250 === 0) dict.set(`large ${i}`, new Float64Array(2 ** 17 + i).fill(i));
      if (i % 97 === 0) expect(follower.get(`small ${i}`)).toBe('x'.repeat((i * 37) % 200));
    }
    using real = MmapDict.over(NodeFile.open(path, 'r'));
    expect([...real.keys()]).toEqual([...dict.keys()]);
    for (let i = 0; i < 3000; i += 250) {
      const [length, sum] = [2 ** 17 + i, (2 ** 17 + i) * i];
      for (const one of [dict, follower, real]) {
        const array = one.get(`large ${i}`) as NDArray;
        expect([array.shape[0], array.sum()]).toEqual([length, sum]);
      }
    }
  });
});
