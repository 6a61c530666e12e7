import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, rmdirSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { Worker } from 'node:worker_threads';
import { TempDir } from '@mmdpickle/test-support';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { MmdError } from '../../src/errors.ts';
import { Lease } from '../../src/node/lease.ts';
import { isAlive, thisProcess } from '../../src/node/process-id.ts';
import { expectCode } from '../storage/storage-laws.ts';
import { NODE_ROOM, runNode, startNode } from './child.ts';

let temp: TempDir;
let path: string;
beforeEach(() => {
  temp = new TempDir();
  path = temp.file('run.mmdpickle');
});
afterEach(() => temp[Symbol.dispose]());

const HOLD = `
  const lease = room.Lease.acquire(args[0]);
  lease.signal.addEventListener('abort', () => { console.log('lost ' + lease.signal.reason.code); process.exit(); });
  console.log('held');
  process.stdin.on('data', () => { lease.release(); process.exit(); });`;

function lockedBy(pid: number | undefined): void {
  let thrown: unknown;
  try {
    Lease.acquire(path);
  } catch (error) {
    thrown = error;
  }
  expect(thrown).toMatchObject({ name: 'MmdError', code: 'LOCKED', path });
  expect((thrown as MmdError).pid).toBe(pid);
}

describe('a lease', () => {
  it('has one holder, names it to the next one, and leaves nothing behind', () => {
    const lease = Lease.acquire(path);
    expect(lease.held).toBe(true);
    expect(lease.path).toBe(path);
    lease.assertHeld();
    lockedBy(process.pid);
    lease.release();
    lease.release();
    expect(lease.held).toBe(false);
    expect(lease.signal.aborted).toBe(false);
    expectCode('CLOSED', () => lease.assertHeld());
    {
      using again = Lease.acquire(path);
      expect(again.held).toBe(true);
    }
    expect(readdirSync(temp.path)).toEqual([]);
  });

  it('belongs to the file, not to the name it was reached by', () => {
    writeFileSync(path, 'data');
    symlinkSync(path, temp.file('link'));
    using lease = Lease.acquire(temp.file('link'));
    expect(lease.path).toBe(path);
    lockedBy(process.pid);
  });

  it('of another process is LOCKED with its pid, until it is released', async () => {
    const child = startNode(HOLD, [path]);
    await child.saw('held');
    lockedBy(child.process.pid);
    await expect(Lease.acquireAsync(path, { timeoutMs: 30 })).rejects.toMatchObject({ code: 'LOCKED' });
    const waiting = Lease.acquireAsync(path, { timeoutMs: 10_000 });
    child.process.stdin?.write('go\n');
    using lease = await waiting;
    expect(lease.held).toBe(true);
    await child.ended;
  });

  it('does not wait forever if the timeout is not a number', async () => {
    for (const options of [{ timeoutMs: Number.NaN }, { staleMs: '5' }, { timeout: 5 }] as object[]) {
      expectCode('INVALID_ARGUMENT', () => Lease.acquire(path, options));
      await expect(Lease.acquireAsync(path, options)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    }
  });

  it('of a killed process can be acquired at once', async () => {
    const child = startNode(HOLD, [path]);
    await child.saw('held');
    child.process.kill('SIGKILL');
    await child.ended;
    expect(existsSync(`${path}.lock`)).toBe(true);
    using lease = Lease.acquire(path);
    lease.assertHeld();
  });

  it('of a terminated worker can be acquired at once, of a live one it cannot', async () => {
    const source = `import(process.argv[2]).then((room) => {
      room.Lease.acquire(process.argv[3]);
      require('node:worker_threads').parentPort.on('message', () => {}).postMessage('held');
    });`;
    const worker = new Worker(source, { eval: true, argv: [NODE_ROOM, path] });
    await once(worker, 'message');
    lockedBy(process.pid);
    await worker.terminate();
    using lease = Lease.acquire(path);
    expect(lease.held).toBe(true);
  });

  it('of a process whose pid was reused counts as dead', () => {
    mkdirSync(`${path}.lock`);
    writeFileSync(`${path}.lease`, JSON.stringify({ ...thisProcess(), start: '1', token: 'old' }));
    using lease = Lease.acquire(path);
    expect(lease.held).toBe(true);
  });

  it('of another host is taken over only after long silence', () => {
    mkdirSync(`${path}.lock`);
    writeFileSync(`${path}.lease`, JSON.stringify({ pid: 12345, host: 'elsewhere', start: '1', token: 'theirs' }));
    lockedBy(12345);
    const old = Date.now() / 1000 - 60;
    utimesSync(`${path}.lock`, old, old);
    expectCode('LOCKED', () => Lease.acquire(path, { staleMs: 120_000 }));
    using lease = Lease.acquire(path, { staleMs: 30_000 });
    expect(lease.held).toBe(true);
  });

  it('of a process with the same pid in another container is not reported as this process', () => {
    mkdirSync(`${path}.lock`);
    const theirs = { ...thisProcess(), host: 'elsewhere', token: 'theirs' };
    writeFileSync(`${path}.lease`, JSON.stringify(theirs));
    lockedBy(process.pid);
    expect(() => Lease.acquire(path)).toThrow(`process ${process.pid} on another host or in another container holds`);
  });

  it('is LOCKED without a pid if something else made the lock, and nothing is left beside it', () => {
    mkdirSync(`${path}.lock`);
    lockedBy(undefined);
    expect(readdirSync(temp.path)).toEqual(['run.mmdpickle.lock']);
    writeFileSync(`${path}.lease`, 'torn {');
    lockedBy(undefined);
  });

  it('that is lost aborts its signal and stops the writer', async () => {
    const child = startNode(
      `const lease = room.Lease.acquire(args[0], { staleMs: 2000 });
       const aborted = new Promise((resolve) => lease.signal.addEventListener('abort', resolve));
       console.log('held');
       const alive = setInterval(() => {}, 1000);
       await aborted;
       clearInterval(alive);
       let thrown; try { lease.assertHeld(); } catch (error) { thrown = error; }
       console.log(thrown.code, thrown === lease.signal.reason, lease.held);
       lease.release();`,
      [path],
    );
    await child.saw('held');
    rmdirSync(`${path}.lock`);
    const { stdout, stderr } = await child.ended;
    expect(stderr).toBe('');
    expect(stdout).toBe('held\nLOCKED true false\n');
  });

  it('that was lost and acquired by another is not released for that one', async () => {
    const child = startNode(
      `const lease = room.Lease.acquire(args[0], { staleMs: 2000 });
       const lost = new Promise((resolve) => lease.signal.addEventListener('abort', resolve));
       const alive = setInterval(() => {}, 1000);
       console.log('held');
       await lost;
       clearInterval(alive);
       lease.release();
       console.log(lease.signal.reason.code, lease.signal.reason.pid);`,
      [path],
    );
    await child.saw('held');
    // The child is stopped from before its lease is lost until another process has it: in between there is nobody to name.
    child.process.kill('SIGSTOP');
    rmdirSync(`${path}.lock`);
    using lease = Lease.acquire(path);
    child.process.kill('SIGCONT');
    const { stdout, stderr } = await child.ended;
    expect({ stdout, stderr }).toEqual({ stdout: `held\nLOCKED ${process.pid}\n`, stderr: '' });
    lease.assertHeld();
    lockedBy(process.pid);
    expect(existsSync(`${path}.lock`)).toBe(true);
  });

  it('keeps no process alive', async () => {
    const { code, stdout } = await runNode(`room.Lease.acquire(args[0]); console.log('ending');`, [path]);
    expect({ code, stdout }).toEqual({ code: 0, stdout: 'ending\n' });
    using lease = Lease.acquire(path);
    expect(lease.held).toBe(true);
  });

  it('is won by exactly one of many that find a dead one', async () => {
    mkdirSync(`${path}.lock`);
    writeFileSync(`${path}.lease`, JSON.stringify({ ...thisProcess(), start: '1', token: 'old' }));
    const tries = Array.from({ length: 4 }, () =>
      startNode(
        `try { room.Lease.acquire(args[0]); console.log('won'); await new Promise((resolve) => process.stdin.once('data', resolve)); process.exit(); }
         catch (error) { console.log(error.code); }`,
        [path],
      ),
    );
    const lines = await Promise.all(
      tries.map(
        ({ process: child }) =>
          new Promise<string>((resolve) => child.stdout?.once('data', (text) => resolve(String(text)))),
      ),
    );
    expect([...lines].sort()).toEqual(['LOCKED\n', 'LOCKED\n', 'LOCKED\n', 'won\n']);
    tries[lines.indexOf('won\n')]?.process.stdin?.end('go\n');
    await Promise.all(tries.map((child) => child.ended));
  });

  it('waits no longer than its timeout, and stops waiting when aborted', async () => {
    using lease = Lease.acquire(path);
    expectCode('LOCKED', () => Lease.acquire(path, { timeoutMs: 30 }));
    const abort = new AbortController();
    const waiting = Lease.acquireAsync(path, { timeoutMs: 60_000, signal: abort.signal });
    abort.abort(new Error('enough'));
    await expect(waiting).rejects.toThrow('enough');
    expect(lease.held).toBe(true);
  });

  it.each([
    [
      'no descriptor is left',
      'ulimit -n 64',
      `const lease = room.Lease.acquire(args[0], { staleMs: 2000 });
       const taken = [];
       try { for (;;) taken.push(fs.openSync('/dev/null')); } catch {}
       Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 600);
       lease.assertHeld();
       try { lease.release(); } catch (error) { console.log(error.code, error.errno, lease.held); }
       fs.closeSync(taken.pop());
       lease.release();
       console.log(lease.held);`,
      'IO EMFILE true\nfalse\n',
    ],
    [
      'no byte can be written',
      "trap '' XFSZ; ulimit -f 0",
      `try { room.Lease.acquire(args[0]); } catch (error) { console.log(error.code, error.errno); }`,
      'NO_SPACE EFBIG\n',
    ],
  ])('is neither lost nor left behind if %s', (_where, limit, code, said) => {
    const source = `import * as fs from 'node:fs'; import * as room from '${NODE_ROOM}'; const args = process.argv.slice(1);${code}`;
    const words = [process.execPath, '--input-type=module', '-e', source, '--', path];
    const { stdout, stderr } = spawnSync('sh', ['-c', `${limit}; exec "$@"`, 'sh', ...words], { encoding: 'utf8' });
    expect({ stdout, stderr }).toEqual({ stdout: said, stderr: '' });
    expect(readdirSync(temp.path)).toEqual([]);
  });

  it('cannot be acquired if nothing can be written', () => {
    expectCode('NOT_FOUND', () => Lease.acquire(temp.file('no/such/dir/file')));
    expectCode('INVALID_ARGUMENT', () => Lease.acquire(''));
  });
});

describe('a process id', () => {
  it('tells live from dead processes, and does not judge other hosts', async () => {
    expect(isAlive(thisProcess())).toBe(true);
    expect(thisProcess().host).toContain(hostname());
    expect(isAlive({ ...thisProcess(), start: 'another' })).toBe(false);
    expect(isAlive({ ...thisProcess(), host: 'another' })).toBeUndefined();
    const child = startNode('console.log("up"); process.stdin.resume();');
    await child.saw('up');
    const pid = child.process.pid!;
    expect(isAlive({ ...thisProcess(), pid, start: '' })).toBe(true);
    child.process.kill('SIGKILL');
    await child.ended;
    expect(isAlive({ ...thisProcess(), pid, start: '' })).toBe(false);
  });
});
