/**
 * The advisory lock of one open file: `flock(LOCK_EX)`, the very lock that Python's mmappickle takes.
 *
 * @module
 */

import { constants } from 'node:os';
import { MmdError } from '../errors.ts';
import { errnoError } from './errno.ts';
import { type DirectoryLock, takeDirectoryLock } from './lockfile.ts';
import { flockHolder } from './process-id.ts';
import { LOCK_EX, LOCK_NB, LOCK_UN, type Syscalls } from './syscalls.ts';

const { EINTR, EAGAIN, ENOLCK, ENOSYS, EOPNOTSUPP, EINVAL } = constants.errno;

/** What filesystems answer that have no flock (some network and FUSE ones). */
const NO_FLOCK: ReadonlySet<number> = new Set([-ENOLCK, -ENOSYS, -EOPNOTSUPP, -EINVAL]);

/** Lock directories whose holder was silent for so long are taken over; commits hold them for microseconds. */
const STALE_MS = 30_000;

/**
 * A re-entrant exclusive lock. Two handles of one process have descriptors of their own, so flock
 * keeps them apart like two processes.
 *
 * Where the filesystem has no flock, a directory `path.flock` is made and removed instead (proper-lockfile). It keeps
 * writers of this library apart, but not from Python's mmappickle, which cannot work on such a filesystem either.
 *
 * Waiting polls with LOCK_NB: a blocking flock can be neither timed nor cancelled, and one that waits in
 * a thread pool keeps the process from exiting. It starts with yields, since commits hold the lock for microseconds only.
 */
export class FileLock {
  readonly #sys: Syscalls;
  readonly #fd: number;
  readonly #name: string;
  #depth = 0;
  /** The kernel's lock is ours; also where giving it back failed. */
  #taken = false;
  /** The filesystem refused flock once. */
  #noFlock = false;
  #directory: DirectoryLock | undefined;

  constructor(sys: Syscalls, fd: number, name: string) {
    this.#sys = sys;
    this.#fd = fd;
    this.#name = name;
  }

  get held(): boolean {
    return this.#depth > 0;
  }

  lock(timeoutMs: number): void {
    if (this.#try()) return;
    if (timeoutMs <= 0) throw this.#locked(timeoutMs);
    const deadline = performance.now() + timeoutMs;
    for (let i = 0; i < YIELDS; i++) {
      this.#sys.schedYield();
      if (this.#try()) return;
    }
    const sleeper = new Int32Array(new SharedArrayBuffer(4));
    for (let pause = FIRST_PAUSE_MS; ; pause = Math.min(pause * 1.5, LAST_PAUSE_MS)) {
      const left = deadline - performance.now();
      if (left <= 0) throw this.#locked(timeoutMs);
      Atomics.wait(sleeper, 0, 0, Math.min(pause, left));
      if (this.#try()) return;
    }
  }

  async lockAsync(timeoutMs: number, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    if (this.#try()) return;
    const deadline = performance.now() + timeoutMs;
    for (let i = 0; timeoutMs > 0 && i < YIELDS; i++) {
      await new Promise<void>((resolve) => setImmediate(resolve));
      signal?.throwIfAborted();
      if (this.#try()) return;
    }
    for (let pause = 1; ; pause = Math.min(pause * 1.5, LAST_PAUSE_MS)) {
      const left = deadline - performance.now();
      if (left <= 0) throw this.#locked(timeoutMs);
      await sleep(Math.min(pause, left), signal);
      if (this.#try()) return;
    }
  }

  /**
   * Lets go whatever the depth, without an error: for closing. The flock would go with the last reference to the open
   * file, and every mapping of it is one.
   */
  abandon(): void {
    if (this.#depth > 0 && this.#noFlock) this.#directory?.release();
    if (this.#taken) this.#sys.flock(this.#fd, LOCK_UN);
    this.#depth = 0;
  }

  unlock(): void {
    if (this.#depth === 0) {
      throw new MmdError('INVALID_ARGUMENT', `${this.#name}: unlock without lock`, { path: this.#name });
    }
    if (--this.#depth > 0) return;
    if (this.#noFlock) {
      this.#unlockDirectory();
      return;
    }
    let result: number;
    while ((result = this.#sys.flock(this.#fd, LOCK_UN)) === -EINTR);
    if (result < 0) throw errnoError(result, 'unlock', this.#name);
    this.#taken = false;
  }

  #try(): boolean {
    if (this.#depth > 0) {
      this.#depth++;
      return true;
    }
    for (;;) {
      if (this.#noFlock) return this.#tryDirectory();
      const result = this.#sys.flock(this.#fd, LOCK_EX | LOCK_NB);
      if (result === 0) {
        this.#taken = true;
        this.#depth = 1;
        return true;
      }
      if (result === -EAGAIN) return false;
      if (NO_FLOCK.has(result)) this.#noFlock = true;
      else if (result !== -EINTR) throw errnoError(result, 'flock', this.#name);
    }
  }

  #tryDirectory(): boolean {
    // Whether it was lost is asked when it is given back: until then the caller is in the middle of its work.
    this.#directory = takeDirectoryLock(`${this.#name}.flock`, { staleMs: STALE_MS, onCompromised: () => undefined });
    if (this.#directory === undefined) return false;
    this.#depth = 1;
    return true;
  }

  #unlockDirectory(): void {
    if (this.#directory?.release() !== false) return;
    throw new MmdError('LOCKED', `${this.#name}: the lock was taken over while it was held`, { path: this.#name });
  }

  #locked(timeoutMs: number): MmdError {
    const status = this.#sys.fstat(this.#fd);
    const pid = typeof status === 'number' ? undefined : flockHolder(status);
    const who =
      pid === process.pid
        ? 'another handle of this process holds the lock. A batch of one handle keeps the others out, also inside it: make its changes with the handle of the batch'
        : `${pid === undefined ? 'another handle' : `process ${pid}`} holds the lock`;
    return new MmdError('LOCKED', `${this.#name}: ${who} (waited ${timeoutMs} ms)`, {
      path: this.#name,
      errno: 'EAGAIN',
      pid,
    });
  }
}

const YIELDS = 64;
const FIRST_PAUSE_MS = 0.05;
const LAST_PAUSE_MS = 10;

function sleep(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', onAbort);
      resolve();
    }, ms);
    signal?.addEventListener('abort', onAbort, { once: true });
  });
}
