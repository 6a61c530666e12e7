import { setTimeout as sleep } from 'node:timers/promises';
import { TempDir } from '@mmdpickle/test-support';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ndarray } from '../../src/ndarray/index.ts';
import { NodeFile } from '../../src/node/file.ts';
import { libc } from '../../src/node/libc.ts';
import { MmapDict } from '../../src/node.ts';
import { MemoryDisk } from '../../src/storage/index.ts';

let dir: TempDir;
let count = 0;
beforeAll(() => {
  dir = new TempDir();
});
afterAll(() => dir[Symbol.dispose]());

function two(): { readonly holder: MmapDict; readonly dict: MmapDict; readonly path: string } {
  const path = dir.file(`batch-async-${count++}`);
  return { holder: MmapDict.open(path), dict: MmapDict.open(path), path };
}

/** The contents as a newly opened handle reads them. */
function dictOnDisk(path: string): [string, unknown][] {
  using dict = MmapDict.open(path, { mode: 'r' });
  expect(dict.fsck().findings.filter(({ severity }) => severity !== 'info')).toEqual([]);
  return [...dict];
}

/** Holds the lock until the returned function is called. */
function hold({ core }: Pick<MmapDict, 'core'>): () => void {
  const { file } = core.store;
  file.lock(0);
  return () => file.unlock();
}

describe('batchAsync', () => {
  test('a vacuum while waiting for the lock does not reject what was committed', async () => {
    const { holder, dict, path } = two();
    dict.set('x', 0);
    const release = hold(holder);
    const waiting = [1, 2].map((x) => dict.batchAsync(() => dict.set(`x${x}`, x)));
    await sleep(20);
    release();
    holder.vacuum();
    // The handle continues in the new file before its turn comes.
    expect(dict.get('x')).toBe(0);
    await Promise.all(waiting);
    expect(dictOnDisk(path)).toEqual([
      ['x', 0],
      ['x1', 1],
      ['x2', 2],
    ]);
    expect(holder.set('after', 1).size).toBe(4);
  });

  test('runs at once if nobody holds the lock, and what it throws rejects the promise', async () => {
    const { dict } = two();
    const done = dict.batchAsync(() => dict.set('a', 1).get('a'));
    expect(dict.get('a')).toBe(1);
    expect(await done).toBe(1);
    const failed = dict.batchAsync(() => {
      dict.set('b', 2);
      throw new Error('no');
    });
    await expect(failed).rejects.toThrow('no');
    expect([...dict.keys()]).toEqual(['a']);
    dict.close();
    await expect(dict.batchAsync(() => 1)).rejects.toMatchObject({ code: 'CLOSED' });
  });

  test('called inside a batch is a separate commit after that batch, whatever the outcome of the batch', async () => {
    const { dict } = two();
    let inner: Promise<unknown> | undefined;
    expect(() =>
      dict.batch(() => {
        dict.set('outer', 1);
        inner = dict.batchAsync(() => dict.set('inner', 2));
        throw new Error('stop');
      }),
    ).toThrow('stop');
    await inner;
    expect([...dict]).toEqual([['inner', 2]]);
    dict.close();
  });

  test('the lock is free when one of several waiting calls resolves, and after a batch in which a call was made', async () => {
    const { holder, dict, path } = two();
    const disk = new MemoryDisk();
    const open = (): ReturnType<typeof MmapDict.over> => MmapDict.over(disk.open('dict', 'r+'));
    MmapDict.over(disk.open('dict', 'create-new')).close();
    for (const [one, other, third] of [
      [dict, holder, MmapDict.open(path)],
      [open(), open(), open()],
    ] as const) {
      const release = hold(third);
      const calls = [1, 2, 3, 4].map(async (i) => {
        await one.batchAsync(() => one.set(`one ${i}`, i));
        other.batch(() => other.set(`other ${i}`, i), { lockTimeout: 0 });
      });
      await sleep(5);
      release();
      await Promise.all(calls);
      let inner: Promise<unknown> | undefined;
      one.batch(() => {
        inner = one.batchAsync(() => one.set('inner', 1));
      });
      other.batch(() => other.set('after', 1), { lockTimeout: 0 });
      await inner;
      expect(third.size).toBe(10);
    }
  });

  test('also waits off the event loop for the lock of a file that a vacuum has put in place of its own', async () => {
    const { holder, dict } = two();
    holder.set('x', 0).vacuum();
    const release = hold(holder);
    setTimeout(release, 20);
    await dict.batchAsync(() => dict.set('own', 1));
    expect([...holder.keys()]).toEqual(['x', 'own']);
  });

  test('waiting calls are separate commits, in order, and include what others wrote meanwhile', async () => {
    const { holder, dict, path } = two();
    const release = hold(holder);
    const numbers: number[] = [];
    const calls = Array.from({ length: 300 }, (_, i) =>
      dict.batchAsync(() => {
        dict.set(`own/${i}`, dict.size);
        numbers.push(dict.commitNumber);
        return i;
      }),
    );
    for (let i = 0; i < 500; i++) {
      holder.set(`other/${i % 400}`, i);
      if (i % 100 === 0) await sleep(3);
    }
    expect(dict.core.writer.changed).toBe(false);
    release();
    expect(await Promise.all(calls)).toEqual(Array.from({ length: 300 }, (_, i) => i));
    expect(numbers).toEqual(numbers.map((_, i) => numbers[0]! + i));
    dict.close();
    holder.close();
    const read = dictOnDisk(path);
    expect(read.filter(([key]) => key.startsWith('own/'))).toEqual(
      Array.from({ length: 300 }, (_, i) => [`own/${i}`, 400 + i]),
    );
    expect(read).toHaveLength(700);
  });

  test('a file that was vacuumed or had deletes while waiting for the lock is written in its current state', async () => {
    const { holder, dict, path } = two();
    for (let i = 0; i < 100; i++) holder.set(`k${i}`, i);
    for (const change of [
      () => holder.delete('k5'),
      () => holder.vacuum(),
      () => holder.vacuum({ inPlace: true }),
      () => holder.update({ k1: 'new', k2: 'newer' }),
      () => holder.seal(),
      () => holder.batch(() => holder.delete('k7') && holder.delete('k8')),
    ]) {
      const release = hold(holder);
      const waiting = dict.batchAsync(() => dict.set('own', Number(dict.get('own') ?? 0) + 1));
      holder.set('more', String(change));
      await sleep(5);
      change();
      await sleep(5);
      try {
        release();
      } catch (error) {
        // The vacuum put another file in place of this one: the lock of the new file is not held.
        expect(error).toMatchObject({ code: 'INVALID_ARGUMENT' });
      }
      await waiting;
      expect([...dict].sort()).toEqual([...holder].sort());
    }
    expect(dict.get('own')).toBe(6);
    dict.close();
    holder.close();
    expect(dictOnDisk(path)).toHaveLength(99);
  });

  test('ends with LOCKED and the holder, with the reason of its signal, or with CLOSED', async () => {
    const { holder, dict } = two();
    const release = hold(holder);
    await expect(dict.batchAsync(() => 1, { lockTimeout: 0 })).rejects.toMatchObject({ code: 'LOCKED' });
    await expect(dict.batchAsync(() => 1, { lockTimeout: 5 })).rejects.toMatchObject({
      code: 'LOCKED',
      pid: process.pid,
    });
    const signal = AbortSignal.abort(new Error('before'));
    await expect(dict.batchAsync(() => 1, { signal })).rejects.toThrow('before');
    const abort = new AbortController();
    const aborted = dict.batchAsync(() => dict.set('never', 1), { signal: abort.signal });
    const closed = dict.batchAsync(() => dict.set('never', 1));
    abort.abort(new Error('after'));
    await expect(aborted).rejects.toThrow('after');
    dict.close();
    await expect(closed).rejects.toMatchObject({ code: 'CLOSED' });
    release();
    expect([...holder.set('then', 1).keys()]).toEqual(['then']);
    holder.close();
  });
});

test('closing leaves the index to handles that commit meanwhile, and the last one writes it', () => {
  const { holder, dict, path } = two();
  for (let i = 0; i < 200; i++) dict.set(`k${i}`, i);
  const release = hold(holder);
  dict.close();
  release();
  const indexed = (): boolean => {
    using reader = MmapDict.open(path, { mode: 'r' });
    return reader.core.store.entries.base !== undefined;
  };
  expect(indexed()).toBe(false);
  holder.set('last', 1);
  holder.close();
  expect(indexed()).toBe(true);
  expect(dictOnDisk(path)).toHaveLength(201);
});

test('closing truncates nothing that another handle appends meanwhile', () => {
  const { holder, dict: first, path } = two();
  first.close();
  holder.close();
  const real = libc();
  let meddle: (() => void) | undefined;
  const size = (fd: number): number => {
    const found = real.size(fd);
    meddle?.();
    return found;
  };
  const other = MmapDict.open(path, { lockTimeout: 0 });
  const dict = MmapDict.over(NodeFile.open(path, 'r+', { syscalls: { ...real, size } }), { index: false });
  for (let i = 0; i < 40; i++) dict.set(`k${i}`, ndarray(new Uint8Array(2 ** 17)));
  const stored: string[] = [];
  let refused = 0;
  meddle = () => {
    try {
      other.set(`late${stored.length}`, 1);
      stored.push(`late${stored.length}`);
    } catch (error) {
      expect(error).toMatchObject({ code: 'LOCKED' });
      refused++;
    }
  };
  dict.close();
  meddle = undefined;
  expect(stored.length + refused).toBeGreaterThan(0);
  other.close();
  expect(dictOnDisk(path).map(([key]) => key)).toEqual([...Array.from({ length: 40 }, (_, i) => `k${i}`), ...stored]);
});
