import { describe, expect, it } from 'vitest';
import { MmapDict } from '../../src/dict/mmap-dict.ts';
import { copyThroughMemory } from '../../src/storage/copy.ts';
import { MemoryDisk, MemoryFile } from '../../src/storage/memory-file.ts';
import { expectCode } from './storage-laws.ts';

describe('a memory disk', () => {
  it('is full at its capacity, and a write that did not fit changes nothing', () => {
    const disk = new MemoryDisk({ capacity: 100 });
    const a = disk.open('a', 'a');
    const b = disk.open('b', 'a');
    a.write(0, new Uint8Array(60).fill(1));
    b.write(0, new Uint8Array(40));
    expect(disk.used()).toBe(100);
    for (const call of [
      () => a.write(59, new Uint8Array(2)),
      () => a.writeParts(60, [new Uint8Array(0), new Uint8Array(1)]),
      () => a.truncate(61),
      () => a.allocate(0, 61),
      () => a.copyFrom(b, 0, 30, 40),
    ]) {
      expectCode('NO_SPACE', call);
    }
    expect(a.toBytes()).toEqual(new Uint8Array(60).fill(1));
    a.write(0, new Uint8Array(60));
    b.truncate(0);
    a.write(60, new Uint8Array(40));
    expect(disk.names()).toEqual(['a', 'b']);
  });

  it('grows a mapped file up to its limit, and an unmapped one beyond', () => {
    const disk = new MemoryDisk({ maxMappedSize: 1000 });
    const mapped = disk.open('mapped', 'a');
    mapped.write(0, new Uint8Array(10).fill(1));
    const view = mapped.map(0, 10, 'write').bytes(0, 10);
    mapped.write(500, new Uint8Array(500));
    expectCode('NO_SPACE', () => mapped.write(1000, new Uint8Array(1)));
    expect(mapped.size()).toBe(1000);
    expect(view[9]).toBe(1);
    const plain = disk.open('plain', 'a');
    plain.write(5000, new Uint8Array(1));
    expect(plain.map(5000, 1, 'read').bytes(0, 1)[0]).toBe(0);
  });

  it('has no space for more than memory can hold', () => {
    const plain = MemoryFile.of(Uint8Array.of(1));
    for (const call of [
      () => plain.truncate(2 ** 52),
      () => plain.write(2 ** 50, new Uint8Array(1)),
      () => plain.allocate(0, 2 ** 52),
      () => new MemoryDisk({ maxMappedSize: 2 ** 52 }).open('mapped', 'a').map(0, 1, 'write'),
    ]) {
      expectCode('NO_SPACE', call);
    }
    expect(plain.toBytes()).toEqual(Uint8Array.of(1));
  });

  it('opens or creates by mode', () => {
    const disk = new MemoryDisk();
    expectCode('NOT_FOUND', () => disk.open('a', 'r+'));
    disk.open('a', 'a').write(0, Uint8Array.of(1));
    expect(disk.open('a', 'a').size()).toBe(1);
    expectCode('ALREADY_EXISTS', () => disk.open('a', 'create-new'));
  });
});

it('a memory file copies the bytes it is made from', () => {
  const bytes = Uint8Array.of(1, 2, 3);
  const file = MemoryFile.of(bytes, 'label');
  bytes[0] = 9;
  expect(file.name).toBe('label');
  expect(file.toBytes()).toEqual(Uint8Array.of(1, 2, 3));
  expect(MemoryFile.of().size()).toBe(0);
});

it('the bytes of a memory file contain what was set after a vacuum', () => {
  const file = MemoryFile.of();
  const dict = MmapDict.over(file);
  for (const value of ['x'.repeat(5000), 'y']) dict.set('a', value);
  dict.vacuum().set('b', 2).close();
  expect([...MmapDict.over(MemoryFile.of(file.toBytes())).keys()]).toEqual(['a', 'b']);
  file.disk.remove(file.name);
  expect(file.toBytes().length).toBeGreaterThan(5000);
});

it('a source that ends during a copy is an error', () => {
  const source = MemoryFile.of(new Uint8Array(10));
  const lying = new Proxy(source, {
    get: (file, key) => {
      if (key === 'size') return () => 20;
      const value: unknown = Reflect.get(file, key, file);
      return typeof value === 'function' ? value.bind(file) : value;
    },
  });
  expectCode('TRUNCATED', () => copyThroughMemory(lying, 0, MemoryFile.of(), 0, 20));
});
