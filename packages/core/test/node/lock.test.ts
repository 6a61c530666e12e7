import { once } from 'node:events';
import { existsSync, mkdirSync, rmdirSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { Python, pythons, TempDir } from '@mmdpickle/test-support';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { MmapDict } from '../../src/dict/index.ts';
import { faultySyscalls } from '../../src/node/faulty-syscalls.ts';
import { NodeFile } from '../../src/node/file.ts';
import { libc } from '../../src/node/libc.ts';
import { expectCode } from '../storage/storage-laws.ts';
import { NODE_ROOM, runNode, startNode } from './child.ts';

let temp: TempDir;
let count = 0;
beforeAll(() => {
  temp = new TempDir();
});
afterAll(() => temp[Symbol.dispose]());

function fresh(): NodeFile {
  return NodeFile.open(temp.file(`lock-${count++}`), 'create-new');
}

describe.each(pythons().slice(0, 1))('with Python $version', (info) => {
  it('is the same lock as fcntl.flock, both ways', async () => {
    await using python = new Python(info);
    using file = fresh();
    await python.run('import fcntl; shared["f"] = open(args["path"], "r+b"); result = None', { path: file.name });
    const take = `
try:
    fcntl.flock(shared["f"], fcntl.LOCK_EX | fcntl.LOCK_NB)
    result = True
except BlockingIOError:
    result = False`;
    const pythonTakes = (): Promise<unknown> => python.run(`import fcntl${take}`);
    const pythonReleases = (): Promise<unknown> =>
      python.run('import fcntl; fcntl.flock(shared["f"], fcntl.LOCK_UN); result = None');

    file.lock(0);
    expect(await pythonTakes()).toBe(false);
    file.unlock();
    expect(await pythonTakes()).toBe(true);
    expectCode('LOCKED', () => file.lock(0));
    await expect(file.lockAsync(5)).rejects.toMatchObject({ code: 'LOCKED', path: file.name });
    const waiting = file.lockAsync(10_000);
    await pythonReleases();
    await waiting;
    expect(await pythonTakes()).toBe(false);
    // Closing releases it.
    file.close();
    expect(await pythonTakes()).toBe(true);
  });
});

it('waits in a blocked thread until another process releases it', async () => {
  using file = fresh();
  const child = startNode(
    `const file = room.NodeFile.open(args[0], 'r+');
     file.lock(0);
     console.log('locked');
     await new Promise((resolve) => process.stdin.once('data', resolve));
     file.unlock();
     process.exit();`,
    [file.name],
  );
  await child.saw('locked');
  expectCode('LOCKED', () => file.lock(30));
  child.process.stdin?.write('go\n');
  file.lock(10_000);
  file.unlock();
  await child.ended;
});

it('protects a counter that several processes increment', async () => {
  using file = fresh();
  file.write(0, new Uint8Array(8));
  const code = `
    const file = room.NodeFile.open(args[0], 'r+');
    for (let i = 0; i < 5000; i++) {
      if (args[1] === 'async' && i % 50 === 0) await file.lockAsync(60_000); else file.lock(60_000);
      file.storeI64(0, file.loadI64(0) + 1n);
      file.unlock();
    }`;
  const ends = await Promise.all(['sync', 'async', 'sync'].map((how) => runNode(code, [file.name, how])));
  for (const { code: exit, stderr } of ends) expect({ exit, stderr }).toEqual({ exit: 0, stderr: '' });
  expect(file.loadI64(0)).toBe(15_000n);
});

it('is released by the system when its holder is killed', async () => {
  using file = fresh();
  const child = startNode(
    `room.NodeFile.open(args[0], 'r+').lock(0); console.log('locked'); setInterval(() => {}, 1000);`,
    [file.name],
  );
  await child.saw('locked');
  expectCode('LOCKED', () => file.lock(0));
  child.process.kill('SIGKILL');
  await child.ended;
  file.lock(0);
});

it('does not keep a process alive that gave up waiting', async () => {
  using file = fresh();
  file.lock(0);
  const { code, stdout } = await runNode(
    `const file = room.NodeFile.open(args[0], 'r+');
     await file.lockAsync(5).catch((error) => console.log(error.code));`,
    [file.name],
  );
  expect({ code, stdout }).toEqual({ code: 0, stdout: 'LOCKED\n' });
});

describe('on a filesystem without flock', () => {
  it.each(['ENOLCK', 'EOPNOTSUPP', 'ENOSYS'])('a directory replaces it (%s)', async (errno) => {
    const name = fresh().name;
    const syscalls = faultySyscalls(libc(), { call: 'flock', nth: 0, errno, persistent: true });
    const first = NodeFile.open(name, 'r+', { syscalls });
    const second = NodeFile.open(name, 'r+', { syscalls });
    first.lock(0);
    first.lock(0);
    expect(existsSync(`${name}.flock`)).toBe(true);
    expectCode('LOCKED', () => second.lock(0));
    first.unlock();
    expectCode('LOCKED', () => second.lock(10));
    const waiting = second.lockAsync(10_000);
    first.unlock();
    await waiting;
    expectCode('LOCKED', () => first.lock(0));
    second.close();
    expect(existsSync(`${name}.flock`)).toBe(false);
    first.lock(0);
    first.unlock();
    first.close();
    expect(existsSync(`${name}.flock`)).toBe(false);
  });
});

it("a lock directory is next to the file's current name, also after a vacuum replaced the file", () => {
  const name = fresh().name;
  const syscalls = faultySyscalls(libc(), { call: 'flock', nth: 0, errno: 'ENOLCK', persistent: true });
  const open = (): MmapDict => MmapDict.over(NodeFile.open(name, 'r+', { syscalls }), { lockTimeout: 0 });
  using dict = open();
  using other = open();
  dict.set('a', 1).set('a', 2).vacuum();
  dict.batch(() => {
    dict.set('b', 1);
    expectCode('LOCKED', () => other.set('c', 1));
  });
  expect([...other.set('c', 1).keys()]).toEqual(['a', 'b', 'c']);
});

it("unlock reports that its lock directory was taken over, and leaves the new holder's directory", () => {
  const syscalls = faultySyscalls(libc(), { call: 'flock', nth: 0, errno: 'ENOLCK', persistent: true });
  using file = NodeFile.open(fresh().name, 'r+', { syscalls });
  file.lock(0);
  rmdirSync(`${file.name}.flock`);
  expectCode('LOCKED', () => file.unlock());
  file.lock(0);
  rmdirSync(`${file.name}.flock`);
  mkdirSync(`${file.name}.flock`);
  expectCode('LOCKED', () => file.unlock());
  expect(existsSync(`${file.name}.flock`)).toBe(true);
  expectCode('LOCKED', () => file.lock(0));
  rmdirSync(`${file.name}.flock`);
  file.lock(0);
  file.unlock();
});

it('stops waiting when aborted, also between two attempts', async () => {
  using file = fresh();
  using other = NodeFile.open(file.name, 'r+');
  file.lock(0);
  const abort = new AbortController();
  const waiting = other.lockAsync(60_000, abort.signal);
  setTimeout(() => abort.abort(new Error('enough')), 30);
  await expect(waiting).rejects.toThrow('enough');
  file.unlock();
  other.lock(0);
});

describe('several waiters on one handle', () => {
  it('get the lock one after the other, in order, with no other handle of the file in between', async () => {
    using file = fresh();
    using other = NodeFile.open(file.name, 'r+');
    file.lock(0);
    const seen: string[] = [];
    const all = ['a', 'b', 'c'].map(async (name) => {
      await other.lockAsync(10_000);
      seen.push(name);
      expectCode('LOCKED', () => file.lock(0));
      other.unlock();
      seen.push(`/${name}`);
    });
    expect(other.tryLock()).toBe(false);
    file.unlock();
    // They came first, although nobody holds the lock now.
    expect(other.tryLock()).toBe(false);
    await Promise.all(all);
    expect(seen).toEqual(['a', '/a', 'b', '/b', 'c', '/c']);
    file.lock(0);
  });

  it('give up at their own times and for their own reasons, and the others continue', async () => {
    using file = fresh();
    using other = NodeFile.open(file.name, 'r+');
    file.lock(0);
    const abort = new AbortController();
    const late = other.lockAsync(5);
    const aborted = other.lockAsync(60_000, abort.signal);
    const patient = other.lockAsync(60_000);
    await expect(late).rejects.toMatchObject({ code: 'LOCKED', pid: process.pid });
    abort.abort(new Error('enough'));
    await expect(aborted).rejects.toThrow('enough');
    file.unlock();
    await patient;
    other.unlock();
    file.lock(0);
  });

  it('share it with others if one of them keeps it for long', async () => {
    using file = fresh();
    using other = NodeFile.open(file.name, 'r+');
    file.lock(0);
    const keeps = other.lockAsync(10_000);
    const follows = other.lockAsync(10_000);
    file.unlock();
    await keeps;
    await follows;
    other.unlock();
    expectCode('LOCKED', () => file.lock(0));
    other.unlock();
    file.lock(0);
  });

  it('are rejected when the file is closed, and its descriptor is no longer used', async () => {
    using file = fresh();
    const other = NodeFile.open(file.name, 'r+');
    file.lock(0);
    const waiting = [other.lockAsync(60_000), other.lockAsync(60_000)];
    other.close();
    using next = NodeFile.open(file.name, 'r+');
    for (const one of waiting) await expect(one).rejects.toMatchObject({ code: 'CLOSED', path: file.name });
    file.unlock();
    next.lock(0);
  });

  it('are all rejected by an unrecoverable error', async () => {
    const syscalls = faultySyscalls(libc());
    using file = fresh();
    using other = NodeFile.open(file.name, 'r+', { syscalls });
    file.lock(0);
    const waiting = [other.lockAsync(60_000), other.lockAsync(60_000)];
    syscalls.plan({ call: 'flock', nth: 0, errno: 'EIO' });
    for (const one of waiting) await expect(one).rejects.toMatchObject({ code: 'IO', errno: 'EIO' });
    file.unlock();
    other.lock(0);
  });
});

it('calls the work that needs no lock while it waits, and passes its error on', async () => {
  using file = fresh();
  using other = NodeFile.open(file.name, 'r+');
  file.lock(0);
  let calls = 0;
  const waiting = other.lockAsync(60_000, undefined, () => {
    calls++;
    if (calls === 3) file.unlock();
    return calls < 3;
  });
  await waiting;
  expect(calls).toBe(3);
  other.unlock();
  await other.lockAsync(60_000, undefined, () => {
    throw new Error('not called where the lock is free');
  });
  const refused = file.lockAsync(60_000, undefined, () => {
    throw new Error('no more');
  });
  await expect(refused).rejects.toThrow('no more');
  other.unlock();
  file.lock(0);
});

it('continues after an interrupted call, and reports an unrecoverable error', () => {
  const syscalls = faultySyscalls(libc());
  using file = NodeFile.open(fresh().name, 'r+', { syscalls });
  syscalls.plan({ call: 'flock', nth: 0, errno: 'EINTR', persistent: true });
  file.lock(0);
  syscalls.plan({ call: 'flock', nth: 0, errno: 'EINTR', persistent: true });
  file.unlock();
  syscalls.plan({ call: 'flock', nth: 0, errno: 'EIO' });
  expectCode('IO', () => file.lock(0));
  file.lock(0);
  syscalls.plan({ call: 'flock', nth: 0, errno: 'EIO' });
  expectCode('IO', () => file.unlock());
  file.lock(0);
  file.unlock();
});

it('does not stay with the process when a worker that holds it, and has mapped the file, is terminated', async () => {
  using file = fresh();
  file.write(0, new Uint8Array(5000));
  const source = `import(process.argv[2]).then(({ NodeFile }) => {
    const file = NodeFile.open(process.argv[3], 'r+');
    file.lock(0);
    globalThis.kept = file.map(0, 5000, 'write').bytes(0, 5000);
    for (let i = 0; i < 1000; i++) file.storeI32(0, file.loadI32(0) + 1);
    // Where pages are larger than blocks it is a write, as it is on FUSE.
    if (!file.storePair(4096, 7, 4100, 8)) file.storeI32(4096, 7);
    require('node:worker_threads').parentPort.on('message', () => {}).postMessage('held');
  });`;
  const worker = new Worker(source, { eval: true, argv: [NODE_ROOM, file.name] });
  await once(worker, 'message');
  expectCode('LOCKED', () => file.lock(0));
  await worker.terminate();
  file.lock(0);
  expect([file.loadI32(0), file.loadI32(4096)]).toEqual([1000, 7]);
  file.unlock();
});
