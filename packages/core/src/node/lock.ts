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
 * a thread pool keeps the process from exiting. The kernel is no fairer either: who lets go and asks again
 * has the lock before it wakes the next. Commits hold the lock for microseconds only, and a change of holders costs as much
 * as some dozens of them, since the new one reads what the others wrote. So a waiter of {@link FileLock.lockAsync}
 * sleeps for a millisecond, in which the holder is left alone, then tries many times at once, so that one try falls between
 * two commits; and the loser sleeps in turn. That divides the time into turns of about a millisecond.
 */
export class FileLock {
  readonly #sys: Syscalls;
  readonly #fd: number;
  #name: string;
  #depth = 0;
  /** The kernel's lock is ours; also where giving it back failed. */
  #taken = false;
  /** The filesystem refused flock once. */
  #noFlock = false;
  #directory: DirectoryLock | undefined;
  /** Who waits in {@link FileLock.lockAsync}, in order. */
  readonly #waiters: Waiter[] = [];
  /** Calls off the next poll; undefined where none is to come. */
  #cancel: (() => void) | undefined;
  #contendedAt = -Infinity;

  constructor(sys: Syscalls, fd: number, name: string) {
    this.#sys = sys;
    this.#fd = fd;
    this.#name = name;
  }

  /** The file has another name now: a lock directory stands beside that one from the next locking on. */
  renamed(name: string): void {
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

  /** One try, which those that wait with this handle have first; no system call where the handle has the lock already. */
  tryLock(): boolean {
    return (this.#depth > 0 || this.#waiters.length === 0) && this.#try();
  }

  lockAsync(timeoutMs: number, signal?: AbortSignal, meanwhile?: () => boolean, work?: () => void): Promise<void> {
    return new Promise((resolve, reject) => {
      signal?.throwIfAborted();
      // Work has the lock for itself: it waits for what this very handle is at.
      const waits = work !== undefined && this.#depth > 0;
      if (!waits) {
        if (this.tryLock() || (timeoutMs <= 0 && this.#try())) return resolve(work?.());
        if (timeoutMs <= 0) throw this.#locked(timeoutMs);
      }
      const began = performance.now();
      const onAbort = (): void => this.#refuse(waiter, signal?.reason);
      const waiter: Waiter = {
        began,
        timeoutMs,
        meanwhile,
        works: work !== undefined,
        settle: (failure) => {
          signal?.removeEventListener('abort', onAbort);
          if (failure !== undefined) return reject(failure.reason);
          try {
            resolve(work?.());
          } catch (error) {
            reject(error);
          }
        },
      };
      signal?.addEventListener('abort', onAbort);
      this.#waiters.push(waiter);
      if (this.#cancel !== undefined) return;
      const rare = began - this.#contendedAt > RARE_MS;
      this.#contendedAt = began;
      if (waits) this.#arm(0);
      else if (rare) this.#poll();
      else this.#arm(FIRST_SLEEP_MS);
    });
  }

  /**
   * Lets go whatever the depth, without an error: for closing. The flock would go with the last reference to the open
   * file, and every mapping of it is one.
   */
  abandon(): void {
    if (this.#depth > 0 && this.#noFlock) this.#directory?.release();
    if (this.#taken) this.#sys.flock(this.#fd, LOCK_UN);
    this.#depth = 0;
    this.#disarm();
    if (this.#waiters.length === 0) return;
    const text = `${this.#name}: the file was closed while its lock was waited for`;
    this.#refuseAll(new MmdError('CLOSED', text, { path: this.#name }));
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

  /**
   * The lock was taken for those that wait: they work one after the other, and the rest with the next turn of the event loop. Nobody's
   * code runs between two of them: what goes on after the first, and locks another handle, would wait for the second, which
   * waits for it.
   */
  #grant(): void {
    const end = performance.now() + TURN_MS;
    // Each lets go of a directory itself, for that tells whether it was still its own.
    if (this.#noFlock) this.#waiters.shift()!.settle();
    else {
      do {
        this.#depth++;
        this.#waiters.shift()!.settle();
      } while (this.#depth === 1 && this.#waiters[0]?.works === true && performance.now() < end);
      // Unless one of them closed the file.
      if (this.#depth > 0) this.unlock();
    }
    if (this.#waiters.length > 0 && this.#cancel === undefined) this.#arm(0);
  }

  #refuse(waiter: Waiter, reason: unknown): void {
    this.#waiters.splice(this.#waiters.indexOf(waiter), 1);
    if (this.#waiters.length === 0) this.#disarm();
    waiter.settle({ reason });
  }

  #refuseAll(reason: unknown): void {
    for (const waiter of this.#waiters.splice(0)) waiter.settle({ reason });
  }

  #arm(ms: number): void {
    if (ms > 0) {
      const timer = setTimeout(() => this.#poll(), ms);
      this.#cancel = () => clearTimeout(timer);
    } else {
      const immediate = setImmediate(() => this.#poll());
      this.#cancel = () => clearImmediate(immediate);
    }
  }

  #disarm(): void {
    this.#cancel?.();
    this.#cancel = undefined;
  }

  /** Tries for those that wait; goes on by itself until nobody does. */
  #poll(): void {
    this.#cancel = undefined;
    const [first] = this.#waiters;
    if (first === undefined) return;
    let more: boolean;
    try {
      const waits = first.works && this.#depth > 0;
      more = !waits && first.meanwhile?.() === true;
      if (!waits && this.#tryOften()) {
        this.#grant();
        return;
      }
    } catch (error) {
      this.#refuseAll(error);
      return;
    }
    const now = performance.now();
    // Who holds the lock for long need not be asked often.
    let pause = more ? 0 : Math.min(LAST_PAUSE_MS, Math.max(FIRST_SLEEP_MS, (now - first.began) / 8));
    for (const waiter of [...this.#waiters]) {
      const left = waiter.began + waiter.timeoutMs - now;
      if (left <= 0) this.#refuse(waiter, this.#locked(waiter.timeoutMs));
      else pause = Math.min(pause, left);
    }
    if (this.#waiters.length > 0) this.#arm(pause);
  }

  /** Some ten microseconds: longer than a commit, shorter than what anybody could notice. */
  #tryOften(): boolean {
    for (let i = 0; i < TRIES; i++) {
      if (this.#try()) return true;
      if (this.#noFlock) return false;
    }
    return false;
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
const FIRST_SLEEP_MS = 1;
/** Tries in a row, 0.1 us each. */
const TRIES = 100;
/** Where the lock was never found taken for so long, its holder is about to let go: no need to sleep first. */
const RARE_MS = 10;
/** How long one handle keeps the lock for those that wait with it. */
const TURN_MS = 1;

interface Waiter {
  readonly began: number;
  readonly timeoutMs: number;
  readonly meanwhile: (() => boolean) | undefined;
  /** It does its work when it is settled, and lets go itself. */
  readonly works: boolean;
  settle(failure?: { readonly reason: unknown }): void;
}
