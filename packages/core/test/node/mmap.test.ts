import { readFileSync, statSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { type ArrayMemory, NDArray, slice } from '@mmdpickle/core/ndarray';
import { TempDir } from '@mmdpickle/test-support';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { faultySyscalls } from '../../src/node/faulty-syscalls.ts';
import { NodeFile } from '../../src/node/file.ts';
import { libc } from '../../src/node/libc.ts';
import { maxWindowLength } from '../../src/node/mmap.ts';
import { expectCode } from '../storage/storage-laws.ts';
import { NODE_ROOM, runNode } from './child.ts';

const CELL = 2 ** 26;
const SMALL_CELL = 2 ** 22;

let temp: TempDir;
let count = 0;
beforeAll(() => {
  temp = new TempDir();
});
afterAll(() => temp[Symbol.dispose]());

function fresh(size = 0): NodeFile {
  const file = NodeFile.open(temp.file(`map-${count++}`), 'create-new');
  if (size > 0) file.truncate(size);
  return file;
}

describe('windows', () => {
  it('share one buffer for ranges within one cell, and give a range across a border its own', () => {
    using file = fresh(3 * CELL);
    const a = file.map(0, 100, 'write').bytes(0, 100);
    const b = file.map(5000, 100, 'write').bytes(0, 100);
    expect(b.buffer).toBe(a.buffer);
    const across = file.map(CELL - 10, 20, 'write').bytes(0, 20);
    expect(across.buffer).not.toBe(a.buffer);
    across.fill(7);
    expect(
      file
        .map(CELL - 10, 10, 'write')
        .bytes(0, 10)
        .every((byte) => byte === 7),
    ).toBe(true);
    expect(
      file
        .map(CELL, 10, 'write')
        .bytes(0, 10)
        .every((byte) => byte === 7),
    ).toBe(true);
    const bytes = new Uint8Array(20);
    file.read(CELL - 10, bytes);
    expect(bytes.every((byte) => byte === 7)).toBe(true);
    // A longer range from the same page replaces the window, and the shorter one stays valid.
    const longer = file.map(CELL - 10, 2 * CELL, 'write').bytes(0, 2 * CELL);
    longer[0] = 8;
    expect(across[0]).toBe(8);
  });

  it('show what is appended later, also by another handle', () => {
    using file = fresh(10);
    using other = NodeFile.open(file.name, 'r+');
    const view = file.map(0, 10, 'read').bytes(0, 10);
    other.write(0, new Uint8Array([5]));
    expect(view[0]).toBe(5);
    other.write(CELL - 5, new Uint8Array(10).fill(3));
    expect(
      file
        .map(CELL - 5, 10, 'read')
        .bytes(0, 10)
        .every((byte) => byte === 3),
    ).toBe(true);
    expect(
      file
        .map(CELL - 5, 5, 'read')
        .bytes(0, 5)
        .every((byte) => byte === 3),
    ).toBe(true);
  });

  it('can be cloned completely: no page of their buffer is missing', () => {
    using file = fresh(100);
    file.write(0, new Uint8Array(100).fill(6));
    const view = file.map(10, 5, 'write').bytes(0, 5);
    const clone = structuredClone(view);
    expect([...clone]).toEqual([6, 6, 6, 6, 6]);
    expect(new Uint8Array(view.buffer).every((byte, i) => byte === (i < 100 ? 6 : 0))).toBe(true);
  });

  it.each(['write', 'read', 'copy-on-write'] as const)(
    'keep their pages when a byte stream transfers a view, and with it the buffer of every array there (%s)',
    async (access) => {
      using file = fresh(4096);
      file.write(0, new Uint8Array(new Float32Array([1, 2, 3, 4]).buffer));
      const [sent, kept] = [0, 8].map((at) => NDArray.over(file.map(at, 8, access), 'float32', [2]));
      expect([sent!.get(0), kept!.get(0)]).toEqual([1, 3]);
      if (kept!.writable) kept!.set(0, 30);
      const stream = new ReadableStream({
        type: 'bytes',
        start(controller) {
          controller.enqueue(sent!.data as Float32Array<ArrayBuffer>);
        },
      });
      expect((await stream.getReader().read()).value).toHaveLength(8);
      expect(kept!.get(0)).toBe(kept!.writable ? 30 : 3);
      if (kept!.writable) kept!.set(1, 40);
      expect(kept!.toNested()).toEqual(kept!.writable ? [30, 40] : [3, 4]);
      expect(NDArray.over(file.map(8, 8, access), 'float32', [2]).get(0)).toBe(kept!.get(0));
      const onDisk = new Uint8Array(8);
      file.read(8, onDisk);
      expect([...new Float32Array(onDisk.buffer)]).toEqual(access === 'write' ? [30, 40] : [3, 4]);
    },
  );

  it('are not unmapped while a byte stream holds them', async () => {
    const { code, stdout } = await runNode(
      `const send = async () => {
         const file = room.NodeFile.open(args[0], 'create-new');
         file.truncate(4096);
         const bytes = file.map(0, 4096, 'write').bytes(0, 4096);
         const stream = new ReadableStream({ type: 'bytes', start: (controller) => controller.enqueue(bytes) });
         const { value } = await stream.getReader().read();
         file.close();
         return value;
       };
       const value = await send();
       for (let i = 0; i < 10; i++) {
         gc();
         await new Promise((resolve) => setTimeout(resolve, 5));
       }
       console.log(value.length, value[5]);`,
      [temp.file('taken')],
      ['--expose-gc'],
    );
    expect({ code, stdout }).toEqual({ code: 0, stdout: '4096 0\n' });
  });

  it('cannot be transferred away', () => {
    using file = fresh(100);
    const { buffer } = file.map(0, 5, 'write').bytes(0, 5);
    try {
      structuredClone(buffer, { transfer: [buffer] });
    } catch (error) {
      expect((error as Error).name).toBe('DataCloneError');
    }
    expect(() => (buffer as unknown as { transfer(): void }).transfer()).toThrow('cannot be transferred');
    expect(buffer.byteLength).toBe(SMALL_CELL);
  });

  it('are small at first, and 64 MiB once a file needs many; both show the same bytes', () => {
    using file = fresh(2 * CELL);
    const at = Array.from({ length: 40 }, (_, i) => i * SMALL_CELL);
    const views = at.slice(0, 20).map((offset) => file.map(offset, 8, 'write').bytes(0, 8));
    expect(views.map(({ buffer }) => buffer.byteLength)).toEqual([
      ...Array.from({ length: 16 }, () => SMALL_CELL),
      ...Array.from({ length: 4 }, () => CELL),
    ]);
    for (const [i, view] of views.entries()) view[0] = i + 1;
    // A range within a small cell is found there again; a range across its border, in a large one.
    expect(file.map(at[3]! + 8, 8, 'write').bytes(0, 8).buffer).toBe(views[3]!.buffer);
    const across = file.map(at[1]!, 2 * SMALL_CELL, 'write').bytes(0, 2 * SMALL_CELL);
    expect([across.buffer.byteLength, across[0], across[SMALL_CELL]]).toEqual([CELL, 2, 3]);
    for (const [i, offset] of at.entries()) {
      expect(file.map(offset, 1, 'read').bytes(0, 1)[0]).toBe(i < views.length ? i + 1 : 0);
    }
  });

  it('that are copy-on-write are 64 MiB from the start: none of their pages is mapped twice', () => {
    using file = fresh(CELL);
    const part = file.map(SMALL_CELL - 4, 4, 'copy-on-write').bytes(0, 4);
    part[3] = 9;
    const whole = file.map(0, CELL, 'copy-on-write').bytes(0, CELL);
    expect([whole.buffer === part.buffer, whole[SMALL_CELL - 1]]).toEqual([true, 9]);
  });

  it('that are copy-on-write are one for an array across a border, whichever part of it is requested', () => {
    using file = fresh(CELL + 100);
    const memory = file.map(CELL - 100, 200, 'copy-on-write');
    memory.bytes(0, 200)[50] = 1;
    memory.write?.(60, Uint8Array.of(2));
    memory.bytes(150, 10)[0] = 3;
    for (const part of [memory, file.map(CELL - 100, 200, 'copy-on-write')]) {
      const whole = part.bytes(0, 200);
      expect([whole[50], whole[60], whole[150], part.bytes(50, 20)[0]]).toEqual([1, 2, 3, 1]);
    }
  });

  it('keep stores into a read-only or copy-on-write mapping private', () => {
    using file = fresh(10_000);
    for (const access of ['read', 'copy-on-write'] as const) {
      const memory = file.map(0, 10_000, access);
      memory.bytes(0, 10_000).fill(9);
      memory.advise?.(0, 10_000, 'dontneed');
      memory.flush?.(0, 10_000);
      expect(memory.bytes(0, 1)[0]).toBe(access === 'read' ? 0 : 9);
    }
    expect(readFileSync(file.name).every((byte) => byte === 0)).toBe(true);
  });

  it('serve an array of any size, in ranges no longer than one buffer can be', () => {
    const size = 40 * 2 ** 30;
    using file = fresh(size);
    const memory = file.map(1000, size - 1000, 'write');
    expect(memory.byteLength).toBe(size - 1000);
    expect(memory.maxWindow).toBeGreaterThan(4 * 2 ** 30 - 2 ** 18);
    expect(memory.maxWindow).toBeLessThan(maxWindowLength());
    if (memory.maxWindow < memory.byteLength) {
      expectCode('INVALID_ARGUMENT', () => memory.bytes(0, memory.maxWindow + 1));
    }
    const far = memory.bytes(30 * 2 ** 30, 3 * 2 ** 30);
    far[2 ** 31] = 42;
    const byte = new Uint8Array(1);
    file.read(1000 + 30 * 2 ** 30 + 2 ** 31, byte);
    expect(byte[0]).toBe(42);
    memory.write?.(size - 1001, new Uint8Array([17]));
    expect(memory.bytes(size - 1001, 1)[0]).toBe(17);
    memory.advise?.(0, memory.byteLength, 'dontneed');
    memory.flush?.(30 * 2 ** 30, 2 ** 20);
    expect(statSync(file.name).blocks * 512).toBeLessThan(2 ** 20);
  });

  it('serve a large array from one window, in any order of access', () => {
    using file = fresh(3 * CELL);
    const memory = file.map(100, 3 * CELL - 100, 'write');
    const buffers = new Set<ArrayBufferLike>();
    for (let at = 0; at < memory.byteLength; at += 10_000_019) {
      buffers.add(memory.bytes(at, Math.min(10_000_019, memory.byteLength - at)).buffer);
    }
    expect(buffers.size).toBe(1);
  });

  it('flush stores, so that another process reads them from the file', async () => {
    using file = fresh(8192);
    const memory = file.map(4000, 1000, 'write');
    memory.bytes(0, 1000).fill(11);
    memory.flush?.(0, 1000);
    const { stdout, stderr } = await runNode(
      `const file = room.NodeFile.open(args[0], 'r');
       const bytes = new Uint8Array(1000); file.read(4000, bytes);
       console.log(bytes.every((byte) => byte === 11), file.map(4000, 10, 'read').bytes(0, 1)[0]);`,
      [file.name],
    );
    expect(stderr).toBe('');
    expect(stdout.trim()).toBe('true 11');
  });
});

describe('a stale view', () => {
  it('reads as zeros after close, and stores into it are lost', () => {
    const file = fresh(CELL + 5000);
    file.write(0, new Uint8Array(5000).fill(1));
    const views = (['read', 'copy-on-write', 'write'] as const).flatMap((access) => [
      file.map(0, 5000, access).bytes(0, 5000),
      file.map(CELL - 10, 20, access).bytes(0, 20),
    ]);
    file.close();
    for (const view of views) {
      expect(view.every((byte) => byte === 0)).toBe(true);
      view.fill(5);
    }
    expect(
      readFileSync(file.name)
        .subarray(0, 5000)
        .every((byte) => byte === 1),
    ).toBe(true);
    using again = NodeFile.open(file.name);
    expect(again.map(0, 1, 'read').bytes(0, 1)[0]).toBe(1);
  });

  it('reads as zeros beyond the end when the file is truncated, here or elsewhere, and sees what is appended again', () => {
    using file = fresh();
    using other = NodeFile.open(file.name, 'r+');
    file.write(0, new Uint8Array(50_000).fill(1));
    const views = (['read', 'copy-on-write', 'write'] as const).map((access) =>
      file.map(0, 50_000, access).bytes(0, 50_000),
    );
    file.truncate(10_000);
    for (const view of views) {
      expect(view.subarray(0, 10_000).every((byte) => byte === 1)).toBe(true);
      expect(view.subarray(10_000).every((byte) => byte === 0)).toBe(true);
    }
    file.write(40_000, new Uint8Array(100).fill(2));
    expect(file.map(0, 40_001, 'write').bytes(40_000, 1)[0]).toBe(2);
    expect(views[2]![40_000]).toBe(2);
    other.truncate(100);
    expect(file.size()).toBe(100);
    for (const view of views) expect(view.subarray(20_000).every((byte) => byte === 0)).toBe(true);
    expect(structuredClone(views[2])![0]).toBe(1);
  });

  it('shows the old file after another was renamed over it, and remains valid when the name is gone', () => {
    using file = fresh(5000);
    file.write(0, new Uint8Array(5000).fill(1));
    const view = file.map(0, 5000, 'write').bytes(0, 5000);
    using next = file.open(`${file.name}.tmp`, 'create-new');
    next.write(0, new Uint8Array([2]));
    next.renameOver(file.name);
    view[1] = 3;
    expect([...view.subarray(0, 3)]).toEqual([1, 3, 1]);
    expect([...readFileSync(file.name)]).toEqual([2]);
    file.remove(file.name);
    expect(view[2]).toBe(1);
  });

  it('survives heavy garbage collection, in any order of lifetimes: view, memory, file', async () => {
    const { stdout, stderr, code, signal } = await runNode(
      `const { readFileSync } = await import('node:fs');
       const mapped = () => (readFileSync('/proc/self/maps', 'utf8').match(/storm/g) ?? []).length;
       let sum = 0;
       const stale = [];
       for (let round = 0; round < 40; round++) {
         const file = room.NodeFile.open(args[0] + round % 4, 'a');
         file.truncate(3 * 2 ** 26);
         for (let i = 0; i < 20; i++) {
           const memory = file.map(i * 1000 + (i % 3) * 2 ** 26, 5000, i % 2 ? 'write' : 'read');
           const view = memory.bytes(0, 5000);
           view[i] = i;
           sum += view[i];
           if (i % 7 === 0) stale.push(view);
           if (i % 5 === 0) stale.push(file.map(2 ** 26 - 100 * i - 10, 5000, 'write').bytes(0, 5000));
         }
         if (round % 3 !== 0) file.close();
         if (round % 2 === 0) globalThis.gc();
         for (const view of stale) { view[1] = 1; sum += view[1] & view[2]; }
         if (round % 5 === 0) stale.length = 0;
         await new Promise((resolve) => setImmediate(resolve));
       }
       stale.length = 0;
       for (let i = 0; i < 10; i++) { globalThis.gc(); await new Promise((resolve) => setTimeout(resolve, 5)); }
       console.log('windows left', mapped());`,
      [temp.file('storm-')],
      ['--expose-gc'],
    );
    expect({ code, signal, stderr }).toEqual({ code: 0, signal: null, stderr: '' });
    expect(Number(stdout.trim().split(' ').at(-1))).toBeLessThan(20);
  });

  it('is harmless in 100,000 small maps, which need few windows', async () => {
    const { stdout, stderr, code, signal } = await runNode(
      `const file = room.NodeFile.open(args[0], 'a');
       file.truncate(100_000 * 4096);
       const views = [];
       for (let i = 0; i < 100_000; i++) views.push(file.map(i * 4096, 4096, 'write').bytes(0, 4096));
       for (let i = 0; i < 100_000; i += 997) views[i][0] = i % 251;
       let equal = true;
       for (let i = 0; i < 100_000; i += 997) equal &&= views[i][0] === i % 251;
       console.log(equal, new Set(views.map((view) => view.buffer)).size);
       file.close();
       for (const view of views) view[0] = view[0] + 1;`,
      [temp.file('many')],
    );
    expect({ code, signal, stderr }).toEqual({ code: 0, signal: null, stderr: '' });
    // 16 small ones, and six of 64 MiB: the small ones cover what the first would.
    expect(stdout.trim()).toBe('true 22');
  });

  it('is harmless in worker threads: several map one file, close it at different times and end', async () => {
    using file = fresh(2 ** 20);
    const code = `
      const { parentPort, workerData } = require('node:worker_threads');
      import(workerData.room).then(({ NodeFile }) => {
        const file = NodeFile.open(workerData.path, 'r+');
        const view = file.map(0, 2 ** 20, 'write').bytes(0, 2 ** 20);
        for (let i = 0; i < 1000; i++) { file.lock(10000); view[0]++; if (view[0] === 0) view[1]++; file.unlock(); }
        if (workerData.close) file.close();
        view[100 + workerData.index] = 1;
        parentPort.postMessage(view[0]);
      });`;
    const ends = Array.from({ length: 4 }, (_, index) => {
      const worker = new Worker(code, {
        eval: true,
        workerData: { room: NODE_ROOM, path: file.name, index, close: index % 2 === 0 },
      });
      return new Promise<number>((resolve, reject) => {
        worker.on('error', reject);
        worker.on('exit', resolve);
      });
    });
    expect(await Promise.all(ends)).toEqual([0, 0, 0, 0]);
    const view = file.map(0, 200, 'write').bytes(0, 200);
    expect(view[0]! + 256 * view[1]!).toBe(4000);
    expect([...view.subarray(100, 104)]).toEqual([0, 1, 0, 1]);
  });
});

it('says what it needs on an unknown system', async () => {
  const { stdout } = await runNode(
    `Object.defineProperty(process, 'platform', { value: 'win32' });
     try { room.NodeFile.open('x'); } catch (error) { console.log(error.code, error.errno, error.message); }`,
  );
  expect(stdout).toMatch(/^IO ENOSYS mapped files are not supported on win32-\w+; supported: linux-x64/);
});

describe('arrays over one file', () => {
  const size = 3 * 2 ** 20;
  const pattern = Uint8Array.from({ length: size }, (_, i) => (i * 7) % 251);

  it.each([
    ['another mapping', (file: NodeFile, at: number, n: number) => over(file.map(at, n, 'write'), n)],
    [
      'a part of the same mapping',
      (file: NodeFile, at: number, n: number) => part(over(file.map(0, size, 'write'), size), at, n),
    ],
    [
      'a typed array over its window',
      (file: NodeFile, at: number, n: number) => file.map(0, size, 'write').bytes(at, n),
    ],
    ['a mapping for reading', (file: NodeFile, at: number, n: number) => over(file.map(at, n, 'read'), n)],
  ])('are read before they are written where they overlap: from %s', (_, sourceOf) => {
    for (const [from, to, length] of [
      [0, 1, 1000],
      [1000, 0, 2 ** 20],
      [0, 70_000, 2 ** 21],
      [5, 5, 10],
    ] as const) {
      using file = fresh();
      file.write(0, pattern);
      over(file.map(to, length, 'write'), length).set(sourceOf(file, from, length));
      const wanted = pattern.slice();
      wanted.copyWithin(to, from, from + length);
      expect(Buffer.compare(readFileSync(file.name), wanted)).toBe(0);
    }
  });

  it('are filled without a window, and reserve their disk space first', () => {
    let views = 0;
    const calls = libc();
    const syscalls = {
      ...calls,
      view: (address: number, length: number) => {
        views += 1;
        return calls.view(address, length);
      },
    };
    using file = NodeFile.open(temp.file('planes'), 'a', { syscalls });
    file.truncate(size + 1);
    over(file.map(1, size, 'write'), size).set(pattern);
    expect(views).toBe(0);
    expect(Buffer.compare(readFileSync(file.name).subarray(1), pattern)).toBe(0);
    const faulty = faultySyscalls(calls, { call: 'fallocate', nth: 0, errno: 'EIO' });
    using other = NodeFile.open(temp.file('planes'), 'a', { syscalls: faulty });
    other.map(0, size, 'write').write?.(0, pattern);
    expect(faulty.failures()).toBe(1);
    expect(Buffer.compare(readFileSync(other.name).subarray(0, size), pattern)).toBe(0);
  });
});

const over = (memory: ArrayMemory, length: number): NDArray => NDArray.over(memory, 'u1', [length]);
const part = (array: NDArray, at: number, length: number): NDArray => array.slice(slice(at, at + length));

describe('mapFixed', () => {
  const { pageSize } = libc();

  it('maps file pages into a WebAssembly memory, and removes them again', () => {
    using file = fresh();
    file.write(
      0,
      Uint8Array.from({ length: 300_000 }, (_, i) => i % 251),
    );
    const wasm = new WebAssembly.Memory({ initial: 16, maximum: 64 });
    const target = wasm.buffer as ArrayBuffer;
    const memory = file.map(1000, 290_000, 'write');
    const stretch = memory.mapFixed?.(target, 65536, 5000, 200_000);
    expect(stretch).toBeDefined();
    const seen = new Uint8Array(target, stretch!.at, 200_000);
    expect(stretch!.at % pageSize).toBe(6000 % pageSize);
    expect(seen.every((byte, i) => byte === (i + 6000) % 251)).toBe(true);
    // It follows the file, and stores into it stay private.
    file.write(6000, new Uint8Array([77]));
    expect(seen[0]).toBe(77);
    seen[1] = 99;
    expect(readFileSync(file.name)[6001]).toBe(6001 % 251);
    stretch!.release();
    expect(seen.every((byte) => byte === 0)).toBe(true);
    stretch!.release();
    wasm.grow(1);
    stretch!.release();
    new Uint8Array(wasm.buffer).fill(1);
    expect(readFileSync(file.name)[7000]).toBe(7000 % 251);
  });

  it('places them where large pages fit, if it may choose', () => {
    using file = fresh();
    const large = 2 ** 21;
    file.write(
      0,
      Uint8Array.from({ length: large + 50_000 }, (_, i) => i % 251),
    );
    const target = new WebAssembly.Memory({ initial: 128 }).buffer as ArrayBuffer;
    const address = libc().address(target);
    const memory = file.map(0, large + 50_000, 'read');
    for (const [targetOffset, offset] of [
      [0, 0],
      [65536, 0],
      [65536, 5000],
      [3 * 65536, large + 3],
    ] as const) {
      const stretch = memory.mapFixed?.(target, targetOffset, offset, 40_000, 40_000 + large + 2 * pageSize);
      expect((address + stretch!.at) % large).toBe(offset % large);
      expect(stretch!.at).toBeGreaterThanOrEqual(targetOffset);
      stretch!.prefetch?.(0, 40_000);
      stretch!.prefetch?.(39_999, 10_000);
      const seen = new Uint8Array(target, stretch!.at, 40_000);
      expect(seen.every((byte, i) => byte === (i + offset) % 251)).toBe(true);
      stretch!.release();
      stretch!.prefetch?.(0, 40_000);
      expect(seen.every((byte) => byte === 0)).toBe(true);
    }
    // Room for one position only: used as it is. With one more page, another position may be better, by chance.
    expect(memory.mapFixed?.(target, 65536, 5000, 40_000, 40_000 + pageSize)?.at).toBe(65536 + (5000 % pageSize));
  });

  it('lets a memory with file pages in it grow, and leaves alone what it no longer owns', () => {
    using file = fresh();
    file.write(0, new Uint8Array(100_000).fill(4));
    const wasm = new WebAssembly.Memory({ initial: 4 });
    const stretch = file.map(0, 100_000, 'read').mapFixed?.(wasm.buffer as ArrayBuffer, 0, 0, 100_000);
    wasm.grow(8);
    expect(new Uint8Array(wasm.buffer, 0, 100_000).every((byte) => byte === 4)).toBe(true);
    stretch?.release();
    new Uint8Array(wasm.buffer).fill(1);
    expect(readFileSync(file.name).every((byte) => byte === 4)).toBe(true);
  });

  it('declines if it cannot: private changes, no room, misaligned, past the end', () => {
    using file = fresh(100_000);
    const target = new WebAssembly.Memory({ initial: 2 }).buffer as ArrayBuffer;
    expect(file.map(0, 1000, 'copy-on-write').mapFixed?.(target, 0, 0, 1000)).toBeUndefined();
    expect(file.map(0, 100_000, 'read').mapFixed?.(target, 65536, 0, 100_000)).toBeUndefined();
    expect(file.map(0, 1000, 'read').mapFixed?.(target, 8, 0, 1000)).toBeUndefined();
    expect(file.map(0, 1000, 'read').mapFixed?.(target, -65536, 0, 1000)).toBeUndefined();
    expect(file.map(99_000, 5000, 'read').mapFixed?.(target, 0, 0, 5000)).toBeUndefined();
    expect(file.map(0, 1000, 'read').mapFixed?.(target, 0, 0, 0)).toBeUndefined();
    expect(new Uint8Array(target).every((byte) => byte === 0)).toBe(true);
  });
});
