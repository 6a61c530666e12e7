/**
 * The long-held writer lease: ingest, vacuum and convert take it, so that a second one learns at once
 * who is at work, and a killed one does not lock the file for good.
 *
 * `path.lock` is a directory that proper-lockfile makes and keeps fresh. `path.lease` names the holder; it
 * is flocked while a lease is taken or given back, so that two takers never judge one stale lock at a time.
 * A holder on this host is asked of the kernel: alive it keeps the lease however long its event loop is
 * blocked, dead it loses it at once. For another host only the age of the directory counts.
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
  /** How long a holder on another host may give no sign, in milliseconds. Default 10,000, at least 2,000. */
  readonly staleMs?: number;
}

const LEASE_OPTIONS: OptionTable = {
  timeoutMs: isCount('milliseconds'),
  staleMs: isCount('milliseconds'),
  signal: isSignal,
};

/** How long two takers may be at it at the same time. */
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
  /** The file that is leased; it need not exist. */
  readonly path: string;
  readonly #token: string;
  readonly #abort = new AbortController();
  readonly #checkEveryMs: number;
  /** proper-lockfile compares times of whole seconds, so a lease taken over within one would go unnoticed. */
  #watch: NodeJS.Timeout | undefined;
  #lock: DirectoryLock | undefined;
  #checked = performance.now();

  private constructor(path: string, token: string, staleMs: number) {
    this.path = path;
    this.#token = token;
    this.#checkEveryMs = Math.max(staleMs, 2000) / 4;
  }

  /**
   * Takes the lease, blocking the thread for at most `timeoutMs`.
   * @throws LOCKED with the holder's `pid` where it is known; NOT_FOUND where there is no such directory; READ_ONLY, NO_SPACE, IO;
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
   * Like {@link Lease.acquire}, waiting without blocking the event loop.
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

  /** Aborts, with an {@link MmdError} of code LOCKED as its reason, when the lease is lost. Releasing does not abort it. */
  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  /** False once it is released or lost. */
  get held(): boolean {
    return this.#lock !== undefined && !this.#abort.signal.aborted;
  }

  /**
   * Throws unless the lease is still held; looks at the disk when the last look was some seconds ago.
   * @throws CLOSED after `release`; LOCKED when the lease was lost
   */
  assertHeld(): void {
    if (this.#lock === undefined) {
      throw new MmdError('CLOSED', `${this.path}: the lease is released`, { path: this.path });
    }
    if (performance.now() - this.#checked > this.#checkEveryMs) this.#check();
    if (this.#abort.signal.aborted) throw this.#abort.signal.reason;
  }

  /** Gives the lease back; more than once is allowed. */
  release(): void {
    const lock = this.#lock;
    if (lock === undefined) return;
    guarded(this.path, (fd) => {
      // Whoever took a lost lease must keep it.
      if (readHolder(fd)?.token !== this.#token) return;
      if (!this.#abort.signal.aborted) lock.release();
      rmSync(holderOf(this.path), { force: true });
    });
    // Not before: what failed can be tried again.
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
      // Nobody can tell, as where no descriptor is left: the next look may.
      return;
    }
    this.#lose();
  }

  #lose(cause?: Error): void {
    if (this.#abort.signal.aborted) return;
    clearInterval(this.#watch);
    const pid = attempt(() => readHolder(holderOf(this.path)))?.pid;
    this.#abort.abort(
      new MmdError('LOCKED', `${this.path}: the writer lease was lost; nothing more is written`, {
        path: this.path,
        pid: pid === process.pid ? undefined : pid,
        cause,
      }),
    );
  }

  /** One try: the lease, or the error that says who holds it. */
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
          // Whoever holds the directory alone, without this file, shall not be left with ours; nor shall anybody where there was no room.
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
  let who = pid === undefined ? 'another process' : pid === process.pid ? 'this very process' : `process ${pid}`;
  // Every container has a process 1.
  if (holder !== undefined && holder.host !== thisProcess().host) who = `process ${pid} of another host or container`;
  return new MmdError('LOCKED', `${path}: ${who} holds the writer lease`, { path, pid });
}

/**
 * Who is named in the file: undefined where it is not there, or torn by a crash.
 * @throws what keeps it from being read
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
    throw nodeError(cause, 'writing who holds the lease', holderOf(path));
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

/** Runs `work` while nobody else takes or releases a lease of the file. */
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
      // Closing lets go of the lock.
      closeSync(fd);
    }
  }
}

/** The holder removes the file when it lets go; a descriptor of the removed one guards nothing. */
function isSame(fd: number, name: string): boolean {
  try {
    return isSameFile(fstatSync(fd, { bigint: true }), statSync(name, { bigint: true }));
  } catch {
    return false;
  }
}
