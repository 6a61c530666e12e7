/**
 * The advisory lock of one open file: `flock(LOCK_EX)`, the same lock that Python's mmappickle takes.
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

/** Errors of filesystems without flock (some network and FUSE filesystems). */
const NO_FLOCK: ReadonlySet<number> = new Set([-ENOLCK, -ENOSYS, -EOPNOTSUPP, -EINVAL]);

/** A lock directory whose holder has been silent for this long is taken over; commits hold it for microseconds. */
const STALE_MS = 30_000;

/**
 * A re-entrant exclusive lock. Two handles in one process have separate descriptors, so flock
 * excludes them from each other like two processes.
 *
 * Where the filesystem has no flock, a directory `path.flock` is created and removed instead (proper-lockfile). It excludes
 * writers of this library from each other, but not Python's mmappickle, which cannot work on such a filesystem either.
 *
 * Waiting polls with LOCK_NB: a blocking flock can be neither timed nor cancelled, and one that waits in
 * a thread pool keeps the process from exiting. Nor is the kernel fairer: a process that unlocks and locks again
 * has the lock before the kernel wakes the next. Commits hold the lock only for microseconds, and a change of holders costs as much
 * as dozens of them, because the new holder reads what the others wrote. So a waiter in {@link FileLock.lockAsync}
 * sleeps for a millisecond, leaving the holder undisturbed, then tries many times in a row, so that one try falls between
 * two commits; then the loser sleeps in turn. That divides the time into turns of about a millisecond.
 */
export class FileLock {
  readonly #sys: Syscalls;
  readonly #fd: number;
  #name: string;
  #depth = 0;
  /** The kernel's lock is ours; still true if releasing it failed. */
  #taken = false;
  /** The filesystem turned out to have no flock. */
  #noFlock = false;
  #directory: DirectoryLock | undefined;
  /** The waiters in {@link FileLock.lockAsync}, in order. */
  readonly #waiters: Waiter[] = [];
  /** Cancels the next poll; undefined if none is scheduled. */
  #cancel: (() => void) | undefined;
  #contendedAt = -Infinity;

  constructor(sys: Syscalls, fd: number, name: string) {
    this.#sys = sys;
    this.#fd = fd;
    this.#name = name;
  }

  /** The file was renamed: from the next lock on, a lock directory is created beside the new name. */
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

  /** Tries once, but not ahead of waiters on this handle; no system call if the handle holds the lock already. */
  tryLock(): boolean {
    return (this.#depth > 0 || this.#waiters.length === 0) && this.#try();
  }

  lockAsync(timeoutMs: number, signal?: AbortSignal, meanwhile?: () => boolean, work?: () => void): Promise<void> {
    return new Promise((resolve, reject) => {
      signal?.throwIfAborted();
      // `work` needs the lock exclusively: it also waits for whatever this handle is doing under the lock.
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
   * Releases the lock at any depth, without an error: for closing. The flock would otherwise last until the last reference to
   * the open file description is gone, and every mapping is one.
   */
  abandon(): void {
    if (this.#depth > 0 && this.#noFlock) this.#directory?.release();
    if (this.#taken) this.#sys.flock(this.#fd, LOCK_UN);
    this.#depth = 0;
    this.#disarm();
    if (this.#waiters.length === 0) return;
    const text = `${this.#name}: the file was closed while waiting for its lock`;
    this.#refuseAll(new MmdError('CLOSED', text, { path: this.#name }));
  }

  unlock(): void {
    if (this.#depth === 0) {
      throw new MmdError('INVALID_ARGUMENT', `${this.#name}: unlock without a lock`, { path: this.#name });
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
   * Passes the lock, now held, to the waiters: one after another for the length of a turn, the rest at the next turn of the event loop.
   * No other code runs between two of them: the continuation of the first might lock another handle and so wait for the second, which
   * waits for it.
   */
  #grant(): void {
    const end = performance.now() + TURN_MS;
    // Each waiter releases a lock directory itself, because the release reports whether it was still its own.
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

  /** Tries on behalf of the waiters; reschedules itself until none is left. */
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
    // The longer the lock is held, the less often it is tried.
    let pause = more ? 0 : Math.min(LAST_PAUSE_MS, Math.max(FIRST_SLEEP_MS, (now - first.began) / 8));
    for (const waiter of [...this.#waiters]) {
      const left = waiter.began + waiter.timeoutMs - now;
      if (left <= 0) this.#refuse(waiter, this.#locked(waiter.timeoutMs));
      else pause = Math.min(pause, left);
    }
    if (this.#waiters.length > 0) this.#arm(pause);
  }

  /** Tries for about ten microseconds: longer than a commit, too short to be noticed. */
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
    // Whether the lock was lost is checked at release: until then the caller is in the middle of its work.
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
        ? 'another handle of this process holds the lock; while one handle runs a batch, make changes through that handle'
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
/** If nobody had to wait for this long, the holder will probably release soon: no need to sleep first. */
const RARE_MS = 10;
/** How long one handle keeps the lock to serve its waiters. */
const TURN_MS = 1;

interface Waiter {
  readonly began: number;
  readonly timeoutMs: number;
  readonly meanwhile: (() => boolean) | undefined;
  /** It does its work when it is settled, and unlocks itself. */
  readonly works: boolean;
  settle(failure?: { readonly reason: unknown }): void;
}
