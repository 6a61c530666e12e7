import { TempDir } from '@mmdpickle/test-support';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { storesAreUnsafe } from '../../src/node/extents.ts';
import { NodeFile } from '../../src/node/file.ts';
import { libc } from '../../src/node/libc.ts';
import type { Syscalls } from '../../src/node/syscalls.ts';
import { MemoryDisk } from '../../src/storage/memory-file.ts';
import type { StorageFile } from '../../src/storage/storage-file.ts';
import { CrashFile } from '../../src/testing/crash-file.ts';
import { largePages } from '../node/large-pages.ts';
import { checkLaws, expectCode, type Subject } from './storage-laws.ts';

let temp: TempDir;
let count = 0;
beforeAll(() => {
  temp = new TempDir();
});
afterAll(() => temp[Symbol.dispose]());

function memorySubject(wrap: (file: StorageFile) => StorageFile = (file) => file): Subject {
  const disk = new MemoryDisk();
  let file = wrap(disk.open('a', 'create-new'));
  return {
    file,
    other: disk.open('b', 'create-new'),
    reopen() {
      const again = file.open('a', 'r+');
      file.close();
      file = again;
      return again;
    },
  };
}

function nodeSubject(wrap: (file: StorageFile) => StorageFile = (file) => file, syscalls = libc()): Subject {
  const name = temp.file(`laws-${count++}`);
  const real = NodeFile.open(name, 'create-new', { syscalls });
  let file = wrap(real);
  return {
    file,
    stores: !storesAreUnsafe(syscalls, real.fd),
    other: NodeFile.open(`${name}-other`, 'create-new', { syscalls }),
    reopen() {
      const again = file.open(name, 'r+');
      file.close();
      file = again;
      return again;
    },
  };
}

/** The system calls as on ARM. */
function reordering(): Syscalls {
  const real = libc();
  return { ...real, platform: { ...real.platform, storesInOrder: false } };
}

const subjects: Record<string, { make: () => Subject; runs: number }> = {
  MemoryFile: { make: () => memorySubject(), runs: 150 },
  NodeFile: { make: () => nodeSubject(), runs: 100 },
  'NodeFile, words as where stores are not seen in order': {
    make: () => nodeSubject(undefined, reordering()),
    runs: 50,
  },
  'NodeFile, pages of 16 KiB with several blocks': {
    make: () => nodeSubject(undefined, largePages(libc(), 2 ** 14)),
    runs: 50,
  },
  ...Object.fromEntries(
    [2 ** 14, 2 ** 16].map((size) => [
      `NodeFile, pages and blocks of ${size} bytes`,
      { make: () => nodeSubject(undefined, largePages(libc(), size, size)), runs: 50 },
    ]),
  ),
  'CrashFile over memory': { make: () => memorySubject((file) => CrashFile.over(file)), runs: 50 },
  'CrashFile over a real file': { make: () => nodeSubject((file) => CrashFile.over(file)), runs: 30 },
};

describe.each(Object.entries(subjects))('%s', (_name, { make, runs }) => {
  it('changes its bytes like a byte array, in any order of calls', () => {
    checkLaws(make, runs);
  }, 600_000);

  it('refuses impossible ranges', () => {
    const { file } = make();
    for (const offset of [-1, 0.5, Number.NaN, 2 ** 53, Number.POSITIVE_INFINITY]) {
      expectCode('INVALID_ARGUMENT', () => file.read(offset, new Uint8Array(1)));
      expectCode('INVALID_ARGUMENT', () => file.write(offset, new Uint8Array(1)));
      expectCode('INVALID_ARGUMENT', () => file.writeParts(offset, [new Uint8Array(1)]));
      expectCode('INVALID_ARGUMENT', () => file.truncate(offset));
      expectCode('INVALID_ARGUMENT', () => file.allocate(offset, 1));
      expectCode('INVALID_ARGUMENT', () => file.allocate(0, offset));
      expectCode('INVALID_ARGUMENT', () => file.punchHole(offset, 1));
      expectCode('INVALID_ARGUMENT', () => file.map(offset, 1, 'read'));
      expectCode('INVALID_ARGUMENT', () => file.map(0, offset, 'read'));
      expectCode('INVALID_ARGUMENT', () => file.storeI32(offset, 1));
      expectCode('INVALID_ARGUMENT', () => file.loadI64(offset));
      expectCode('INVALID_ARGUMENT', () => file.copyFrom(file, offset, 0, 1));
      expectCode('INVALID_ARGUMENT', () => file.dataRanges(offset, 10));
    }
    expect(file.size()).toBe(0);
  });

  it('serves mappings in ranges that stay inside them', () => {
    const { file } = make();
    file.write(0, new Uint8Array(10_000).fill(1));
    const memory = file.map(10, 100, 'write');
    expect(memory.byteLength).toBe(100);
    expect(memory.writable).toBe(true);
    expect(memory.maxWindow).toBe(100);
    expect(memory.bytes(100, 0)).toHaveLength(0);
    expectCode('INVALID_ARGUMENT', () => memory.bytes(0, 101));
    expectCode('INVALID_ARGUMENT', () => memory.bytes(100, 1));
    expectCode('INVALID_ARGUMENT', () => memory.bytes(-1, 1));
    expectCode('INVALID_ARGUMENT', () => memory.write?.(99, new Uint8Array(2)));
    expectCode('READ_ONLY', () => file.map(10, 100, 'read').write?.(0, new Uint8Array(2)));
    expect(file.map(0, 0, 'read').bytes(0, 0)).toHaveLength(0);
  });

  it('keeps a view alive while the file grows and is written', () => {
    const { file } = make();
    file.write(0, new Uint8Array(100).fill(1));
    const early = file.map(0, 100, 'write').bytes(0, 100);
    file.write(100, new Uint8Array(5_000_000).fill(2));
    file.write(50, new Uint8Array([9]));
    expect(early[50]).toBe(9);
    early[51] = 8;
    const byte = new Uint8Array(1);
    file.read(51, byte);
    expect(byte[0]).toBe(8);
    expect(file.map(100, 5_000_000, 'read').bytes(4_999_999, 1)[0]).toBe(2);
  });

  it('refuses every call once it is closed, and can be closed twice', () => {
    const { file } = make();
    file.write(0, new Uint8Array(10));
    const memory = file.map(0, 10, 'write');
    const view = memory.bytes(0, 10);
    file.close();
    file.close();
    file[Symbol.dispose]();
    expect(file.closed).toBe(true);
    expect(memory.closed).toBe(true);
    view[0] = 1;
    for (const call of [
      () => file.size(),
      () => file.read(0, new Uint8Array(1)),
      () => file.write(0, new Uint8Array(1)),
      () => file.writeParts(0, []),
      () => file.storeI32(0, 1),
      () => file.loadI32(0),
      () => file.truncate(0),
      () => file.sync(),
      () => file.allocate(0, 1),
      () => file.punchHole(0, 1),
      () => file.dataRanges(0, 1),
      () => file.map(0, 1, 'read'),
      () => file.lock(0),
      () => file.unlock(),
      () => file.identity(),
      () => file.identityOfName(),
      () => file.removed(),
      () => file.open('x', 'r'),
      () => file.renameOver('x'),
      () => file.remove('x'),
      () => memory.bytes(0, 1),
    ]) {
      expectCode('CLOSED', call);
    }
  });

  it('refuses every change when opened for reading, and stores through its views have no effect', () => {
    const { file } = make();
    file.write(0, new Uint8Array([1, 2, 3, 4, 5, 6, 7, 8]));
    const reader = file.open(file.name, 'r');
    expect(reader.writable).toBe(false);
    for (const call of [
      () => reader.write(0, new Uint8Array(1)),
      () => reader.writeParts(0, [new Uint8Array(1)]),
      () => reader.storeI32(0, 1),
      () => reader.storeI64(0, 1n),
      () => reader.truncate(0),
      () => reader.sync(),
      () => reader.allocate(0, 1),
      () => reader.punchHole(0, 1),
      () => reader.map(0, 1, 'write'),
      () => reader.copyFrom(file, 0, 0, 1),
      () => reader.renameOver('elsewhere'),
    ]) {
      expectCode('READ_ONLY', call);
    }
    const own = reader.map(0, 8, 'copy-on-write');
    own.bytes(0, 8)[0] = 99;
    own.write?.(1, new Uint8Array([98]));
    expect([...own.bytes(0, 3)]).toEqual([99, 98, 3]);
    const bytes = new Uint8Array(3);
    file.read(0, bytes);
    expect([...bytes]).toEqual([1, 2, 3]);
    expect(reader.loadI32(4)).toBe(0x08070605);
    // The reader follows what others write.
    file.storeI32(4, 77);
    expect(reader.loadI32(4)).toBe(77);
    expect(reader.map(0, 8, 'read').bytes(4, 1)[0]).toBe(77);
  });

  it('locks: re-entrant in a handle, exclusive between handles, and says who may not unlock', () => {
    const { file } = make();
    const second = file.open(file.name, 'r+');
    file.lock(0);
    file.lock(0);
    expectCode('LOCKED', () => second.lock(0));
    expectCode('LOCKED', () => second.lock(5));
    expect(second.tryLock()).toBe(false);
    expect(file.tryLock()).toBe(true);
    file.unlock();
    file.unlock();
    expectCode('LOCKED', () => second.lock(0));
    file.unlock();
    expectCode('INVALID_ARGUMENT', () => file.unlock());
    second.lock(0);
    expectCode('LOCKED', () => file.lock(0));
    second.close();
    file.lock(0);
    file.unlock();
  });

  it('waits for the lock without blocking, until it is free, timed out or aborted', async () => {
    const { file } = make();
    const second = file.open(file.name, 'r+');
    const third = file.open(file.name, 'r+');
    file.lock(0);
    await expect(second.lockAsync(0)).rejects.toMatchObject({ code: 'LOCKED' });
    await expect(second.lockAsync(15)).rejects.toMatchObject({ code: 'LOCKED' });
    const abort = new AbortController();
    const aborted = second.lockAsync(10_000, abort.signal);
    const waiting = third.lockAsync(10_000);
    const reason = new Error('changed my mind');
    abort.abort(reason);
    await expect(aborted).rejects.toBe(reason);
    await expect(second.lockAsync(10, abort.signal)).rejects.toBe(reason);
    file.unlock();
    await waiting;
    expectCode('LOCKED', () => file.lock(0));
    await third.lockAsync(0);
    third.unlock();
    third.unlock();
    file.lock(0);
    file.close();
    await second.lockAsync(1000);
    second.close();
    third.close();
  });

  it('stops waiting once it is closed', async () => {
    const { file } = make();
    const second = file.open(file.name, 'r+');
    const third = file.open(file.name, 'r+');
    file.lock(0);
    const waiting = second.lockAsync(10_000);
    second.close();
    await expect(waiting).rejects.toMatchObject({ code: 'CLOSED' });
    file.unlock();
    third.lock(0);
    third.close();
  });

  it('opens, renames over and removes files beside it', () => {
    const { file } = make();
    file.write(0, new Uint8Array([1]));
    const view = file.map(0, 1, 'read').bytes(0, 1);
    const { name } = file;
    const beside = `${name}.new`;
    expectCode('NOT_FOUND', () => file.open(beside, 'r'));
    expectCode('NOT_FOUND', () => file.open(beside, 'r+'));
    const next = file.open(beside, 'create-new');
    expectCode('ALREADY_EXISTS', () => file.open(beside, 'create-new'));
    next.write(0, new Uint8Array([2]));
    expect(file.identityOfName()).toEqual(file.identity());
    expect([file.removed(), next.removed()]).toEqual([false, false]);
    next.renameOver(name);
    expect(next.name).toBe(name);
    expect(file.identityOfName()).toEqual(next.identity());
    expect(file.identityOfName()).not.toEqual(file.identity());
    expect([file.removed(), next.removed()]).toEqual([true, false]);
    expectCode('NOT_FOUND', () => file.open(beside, 'r'));
    // The old file remains for those who have it open.
    expect(view[0]).toBe(1);
    const byte = new Uint8Array(1);
    file.read(0, byte);
    expect(byte[0]).toBe(1);
    file.remove(beside);
    file.remove(name);
    expect(next.identityOfName()).toBeUndefined();
    expect(next.removed()).toBe(true);
    next.read(0, byte);
    expect(byte[0]).toBe(2);
  });

  it('copies only what the source has', () => {
    const { file, other } = make();
    other.write(0, new Uint8Array(10));
    expectCode('TRUNCATED', () => file.copyFrom(other, 5, 0, 6));
    file.copyFrom(other, 0, 0, 0);
    expect(file.size()).toBe(0);
  });
});
