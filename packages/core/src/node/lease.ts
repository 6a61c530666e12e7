/**
 * The long-held writer lease: ingest, vacuum and convert take it, so that a second one learns at once
 * who holds it, and a killed one does not lock the file forever.
 *
 * `path.lock` is a directory that proper-lockfile creates and keeps fresh. `path.lease` names the holder; it
 * is flocked while a lease is acquired or released, so that no two processes judge the same stale lock at once.
 * For a holder on this host the kernel is asked: while alive, it keeps the lease however long its event loop is
 * blocked; once dead, it loses it at once. For a holder on another host only the age of the directory counts.
 *
 * @module
 */

import {
  closeSync,
  existsSync,
  fstatSync,
  ftruncateSync,
  openSync,
  readFileSync,
  rmdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { MmdError } from '../errors.ts';
import { checkOptions, isCount, isSignal, type OptionTable } from '../options.ts';
import { isSameFile } from '../storage/storage-file.ts';
import { nodeError } from './errno.ts';
import { libc } from './libc.ts';
import { FileLock } from './lock.ts';
import { type DirectoryLock, takeDirectoryLock } from './lockfile.ts';
import { absolutePath, realPath } from './paths.ts';
import { attempt, isAlive, type ProcessId, thisProcess } from './process-id.ts';

/** Options of {@link Lease.acquire}. */
export interface LeaseOptions {
  /** How long to wait for another holder, in milliseconds; 0 (the default) tries once. */
  readonly timeoutMs?: number;
  /** How long a holder on another host may be silent before its lease counts as stale, in milliseconds. Default 10,000, at least 2,000. */
  readonly staleMs?: number;
}

const LEASE_OPTIONS: OptionTable = {
  timeoutMs: isCount('milliseconds'),
  staleMs: isCount('milliseconds'),
  signal: isSignal,
};

/** How long to wait for another process that is acquiring or releasing a lease. */
const GUARD_TIMEOUT_MS = 5000;
const PAUSE_MS = 20;

interface Holder extends ProcessId {
  readonly token: string;
}

/**
 * A held writer lease. Writers check {@link Lease.assertHeld} before each step and stop when {@link Lease.signal} aborts.
 *
 * @example
 * ```ts
 * import { Lease } from '@mmdpickle/core/node';
 *
 * using lease = Lease.acquire('run.mmdpickle');
 * lease.assertHeld();
 * ```
 */
export class Lease implements Disposable {
  /** The leased file; it need not exist. */
  readonly path: string;
  readonly #token: string;
  readonly #abort = new AbortController();
  readonly #checkEveryMs: number;
  /** proper-lockfile compares times in whole seconds, so it would not notice a takeover within the same second. */
  #watch: NodeJS.Timeout | undefined;
  #lock: DirectoryLock | undefined;
  #checked = performance.now();

  private constructor(path: string, token: string, staleMs: number) {
    this.path = path;
    this.#token = token;
    this.#checkEveryMs = Math.max(staleMs, 2000) / 4;
  }

  /**
   * Acquires the lease, blocking the thread for at most `timeoutMs`.
   * @throws LOCKED with the holder's `pid` if known; NOT_FOUND if the directory does not exist; READ_ONLY, NO_SPACE, IO;
   * INVALID_ARGUMENT
   */
  static acquire(path: string | URL, options: LeaseOptions = {}): Lease {
    checkOptions(options, LEASE_OPTIONS);
    const deadline = performance.now() + (options.timeoutMs ?? 0);
    for (;;) {
      const lease = Lease.#attempt(path, options);
      if (lease instanceof Lease) return lease;
      const left = deadline - performance.now();
      if (left <= 0) throw lease;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, Math.min(PAUSE_MS, left));
    }
  }

  /**
   * Like {@link Lease.acquire}, but waits without blocking the event loop.
   * @throws the same; the reason of `signal` when it aborts; LOCKED, INVALID_ARGUMENT
   */
  static async acquireAsync(
    path: string | URL,
    options: LeaseOptions & { readonly signal?: AbortSignal } = {},
  ): Promise<Lease> {
    checkOptions(options, LEASE_OPTIONS);
    const deadline = performance.now() + (options.timeoutMs ?? 0);
    for (;;) {
      options.signal?.throwIfAborted();
      const lease = Lease.#attempt(path, options);
      if (lease instanceof Lease) return lease;
      const left = deadline - performance.now();
      if (left <= 0) throw lease;
      await new Promise((wake) => setTimeout(wake, Math.min(PAUSE_MS, left)));
    }
  }

  /** Aborts when the lease is lost, with an {@link MmdError} of code LOCKED as its reason. Releasing the lease does not abort it. */
  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  /** False once the lease is released or lost. */
  get held(): boolean {
    return this.#lock !== undefined && !this.#abort.signal.aborted;
  }

  /**
   * Throws unless the lease is still held; checks the disk if the last check was some seconds ago.
   * @throws CLOSED after `release`; LOCKED when the lease was lost
   */
  assertHeld(): void {
    if (this.#lock === undefined) {
      throw new MmdError('CLOSED', `${this.path}: the lease was released`, { path: this.path });
    }
    if (performance.now() - this.#checked > this.#checkEveryMs) this.#check();
    if (this.#abort.signal.aborted) throw this.#abort.signal.reason;
  }

  /** Releases the lease; may be called more than once. */
  release(): void {
    const lock = this.#lock;
    if (lock === undefined) return;
    guarded(this.path, (fd) => {
      // If the lease was lost, leave it to its new holder.
      if (readHolder(fd)?.token !== this.#token) return;
      if (!this.#abort.signal.aborted) lock.release();
      rmSync(holderOf(this.path), { force: true });
    });
    // Only now, so that a failed release can be retried.
    this.#lock = undefined;
    clearInterval(this.#watch);
  }

  [Symbol.dispose](): void {
    this.release();
  }

  #check(): void {
    this.#checked = performance.now();
    try {
      if (existsSync(directoryOf(this.path)) && readHolder(holderOf(this.path))?.token === this.#token) return;
    } catch {
      // Unknown, for instance if no descriptor is left; the next check may tell.
      return;
    }
    this.#lose();
  }

  #lose(cause?: Error): void {
    if (this.#abort.signal.aborted) return;
    clearInterval(this.#watch);
    const pid = attempt(() => readHolder(holderOf(this.path)))?.pid;
    this.#abort.abort(
      new MmdError('LOCKED', `${this.path}: the writer lease was lost; nothing more will be written`, {
        path: this.path,
        pid: pid === process.pid ? undefined : pid,
        cause,
      }),
    );
  }

  /** Tries once: returns the lease, or an error that names its holder. */
  static #attempt(path: string | URL, options: LeaseOptions): Lease | MmdError {
    const file = realPath(absolutePath(path));
    const staleMs = options.staleMs ?? 10_000;
    return guarded(file, (fd) => {
      const directory = directoryOf(file);
      const holder = readHolder(fd);
      if (holder !== undefined && existsSync(directory)) {
        const alive = isAlive(holder);
        if (alive === true) return lockedBy(file, holder);
        if (alive === false) removeDirectory(directory);
      }
      const lease = new Lease(file, `${process.pid}-${globalThis.crypto.randomUUID()}`, staleMs);
      let lock: DirectoryLock | undefined;
      try {
        lock = takeDirectoryLock(directory, { staleMs, onCompromised: (cause) => lease.#lose(cause) });
        if (lock !== undefined) writeHolder(fd, file, { ...thisProcess(), token: lease.#token });
        lease.#lock = lock;
      } finally {
        if (lease.#lock === undefined) {
          lock?.release();
          // Our file must not stay beside a directory that somebody else holds without one; nor after the disk was full.
          if (lock !== undefined || holder === undefined) rmSync(holderOf(file), { force: true });
        }
      }
      if (lock === undefined) return lockedBy(file, holder);
      lease.#watch = setInterval(() => lease.#check(), lease.#checkEveryMs).unref();
      return lease;
    });
  }
}

function directoryOf(path: string): string {
  return `${path}.lock`;
}

function holderOf(path: string): string {
  return `${path}.lease`;
}

function lockedBy(path: string, holder: Holder | undefined): MmdError {
  const pid = holder?.pid;
  let who = pid === undefined ? 'another process' : pid === process.pid ? 'this process' : `process ${pid}`;
  // A pid alone says little: every container has a process 1.
  if (holder !== undefined && holder.host !== thisProcess().host)
    who = `process ${pid} on another host or in another container`;
  return new MmdError('LOCKED', `${path}: ${who} holds the writer lease`, { path, pid });
}

/**
 * The holder named in the file; undefined if the file does not exist or was torn by a crash.
 * @throws any other error of reading it
 */
function readHolder(file: string | number): Holder | undefined {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  const found = attempt(() => JSON.parse(text));
  if (typeof found?.pid !== 'number' || typeof found.token !== 'string') return undefined;
  const { pid, host, start, thread, token } = found;
  return { pid, host, start, thread, token };
}

function writeHolder(fd: number, path: string, holder: Holder): void {
  try {
    ftruncateSync(fd, 0);
    writeFileSync(fd, JSON.stringify(holder));
  } catch (cause) {
    throw nodeError(cause, 'recording the lease holder', holderOf(path));
  }
}

function removeDirectory(path: string): void {
  try {
    rmdirSync(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'ENOENT')
      throw new MmdError('IO', `${path}: cannot remove a stale lock: ${code}`, { path, errno: code });
  }
}

/** Runs `work` while nobody else can acquire or release a lease of the file. */
function guarded<T>(path: string, work: (fd: number) => T): T {
  const sys = libc();
  const name = holderOf(path);
  for (;;) {
    let fd: number;
    try {
      fd = openSync(name, 'a+');
    } catch (cause) {
      throw nodeError(cause, 'opening the lease file', name);
    }
    const lock = new FileLock(sys, fd, name);
    try {
      lock.lock(GUARD_TIMEOUT_MS);
      if (isSame(fd, name)) return work(fd);
    } finally {
      // Closing releases the lock.
      closeSync(fd);
    }
  }
}

/** The holder removes the file on release; a lock on the removed file guards nothing. */
function isSame(fd: number, name: string): boolean {
  try {
    return isSameFile(fstatSync(fd, { bigint: true }), statSync(name, { bigint: true }));
  } catch {
    return false;
  }
}
