/**
 * A row of files: the next one begins when the current one is full or old enough.
 *
 * @module
 */

import { readdirSync, unlinkSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { isMmdError, MmdError } from '@mmdpickle/core';
import { Lease, MmapDict, type OpenOptions } from '@mmdpickle/core/node';
import { checkOptions, wrongArgument } from '@mmdpickle/core/options';
import type { Home } from './ingest/home.ts';
import { ROLLING_OPTIONS } from './options.ts';

/** When to begin the next file, and how many to keep. */
export interface RollingOptions {
  /** Begin the next file after this many frames. */
  readonly frames?: number;
  /** Begin the next file after this many bytes of frames. */
  readonly bytes?: number;
  /** Begin the next file with the first frame after this many milliseconds. */
  readonly ms?: number;
  /**
   * How many files to keep, including the current one. Older ones are removed when a file begins, except those that other
   * streams, of this process or another, are writing. Default: all.
   */
  readonly keep?: number;
  /** How each file is opened. Its mode is always `'w-'`. */
  readonly open?: Omit<OpenOptions, 'mode'>;
}

/** The files that match a pattern such as `run-{n}.mmdpickle`, where `{n}` stands for a number. */
export class FilePattern {
  readonly pattern: string;
  readonly #before: string;
  readonly #after: string;

  /** @throws MmdError INVALID_ARGUMENT unless the file name has exactly one `{n}` */
  constructor(pattern: string) {
    const [before, after, ...more] = basename(pattern).split('{n}');
    if (before === undefined || after === undefined || more.length > 0) {
      throw new MmdError(
        'INVALID_ARGUMENT',
        `'${pattern}' is not a pattern: the file name must contain {n} exactly once, for the number`,
        {
          expected: '{n}',
          found: pattern,
        },
      );
    }
    this.pattern = pattern;
    this.#before = before;
    this.#after = after;
  }

  /** Whether a path is a pattern. */
  static is(path: string): boolean {
    return basename(path).includes('{n}');
  }

  /** The path of file `n`. */
  path(n: number): string {
    return join(dirname(this.pattern), `${this.#before}${n}${this.#after}`);
  }

  /** The numbers of the existing files, in ascending order. */
  numbers(): number[] {
    let names: string[];
    try {
      names = readdirSync(dirname(this.pattern));
    } catch (cause) {
      const errno = (cause as NodeJS.ErrnoException).code;
      if (errno === 'ENOENT') return [];
      throw new MmdError('IO', `listing ${dirname(this.pattern)}: ${errno}`, { path: this.pattern, errno, cause });
    }
    return names.flatMap((name) => this.number(name) ?? []).sort((a, b) => a - b);
  }

  /** The number in a file's name; undefined if the name does not match the pattern. */
  number(path: string): number | undefined {
    const name = basename(path);
    if (!name.startsWith(this.#before) || !name.endsWith(this.#after)) return undefined;
    const digits = name.slice(this.#before.length, name.length - this.#after.length);
    return /^(0|[1-9]\d{0,14})$/.test(digits) ? Number(digits) : undefined;
  }
}

/** A row of files to write to, in place of a dict: `appendFrames(rollingFiles('run-{n}.mmdpickle', ...), ...)`. */
export class RollingFiles {
  readonly pattern: FilePattern;
  readonly options: RollingOptions;

  constructor(pattern: string, options: RollingOptions) {
    checkOptions(options, ROLLING_OPTIONS);
    if (typeof pattern !== 'string') throw wrongArgument('the pattern', 'a path', pattern);
    this.pattern = new FilePattern(pattern);
    this.options = options;
  }

  /** Opens the next new file; called by the operators for each stream. */
  openHome(): Home {
    const { frames = Infinity, bytes = Infinity, ms = Infinity, keep = Infinity, open = {} } = this.options;
    const { pattern } = this;
    let current = openNext(pattern, open);
    let written = { frames: 0, bytes: 0, since: performance.now() };
    try {
      removeOld();
    } catch (error) {
      current.close();
      throw error;
    }

    function removeOld(): void {
      if (keep === Infinity) return;
      for (const old of pattern.numbers().slice(0, -keep)) removeUnused(pattern.path(old));
    }

    function due(): boolean {
      if (written.frames === 0) return false;
      return written.frames >= frames || written.bytes >= bytes || performance.now() - written.since >= ms;
    }

    return {
      get dict() {
        return current.dict;
      },
      note(moreFrames, moreBytes) {
        written = { ...written, frames: written.frames + moreFrames, bytes: written.bytes + moreBytes };
      },
      due,
      room: () => (due() ? { frames, bytes } : { frames: frames - written.frames, bytes: bytes - written.bytes }),
      roll() {
        // If the next file cannot be opened, the current one stays open.
        const old = current;
        current = openNext(pattern, open);
        old.close();
        removeOld();
        written = { frames: 0, bytes: 0, since: performance.now() };
      },
      release: () => current.close(),
    };
  }
}

interface OpenFile {
  readonly dict: MmapDict;
  close(): void;
}

/**
 * Opens a new file after the highest existing number. Its lease tells other streams that it is being written, and is
 * acquired before the file is created, so that none of them sees the file without it.
 */
function openNext(pattern: FilePattern, options: Omit<OpenOptions, 'mode'>): OpenFile {
  for (let n = 0; ; n += 1) {
    n = Math.max(n, (pattern.numbers().at(-1) ?? -1) + 1);
    const path = pattern.path(n);
    const lease = leaseOf(path);
    if (lease === undefined) continue;
    try {
      const dict = MmapDict.open(path, { ...options, mode: 'w-' });
      return {
        dict,
        close() {
          try {
            dict.close();
          } finally {
            lease.release();
          }
        },
      };
    } catch (error) {
      lease.release();
      // Another stream took the number since the directory was listed, and is already done with it.
      if (!isMmdError(error, 'ALREADY_EXISTS')) throw error;
    }
  }
}

function removeUnused(path: string): void {
  const lease = leaseOf(path);
  if (lease === undefined) return;
  try {
    unlinkSync(path);
  } catch (cause) {
    const errno = (cause as NodeJS.ErrnoException).code;
    // Another stream has already removed it.
    if (errno !== 'ENOENT') throw new MmdError('IO', `removing ${path}: ${errno}`, { path, errno, cause });
  } finally {
    lease.release();
  }
}

/** Acquires the lease of a file; undefined while another stream holds it. */
function leaseOf(path: string): Lease | undefined {
  try {
    return Lease.acquire(path);
  } catch (error) {
    if (isMmdError(error, 'LOCKED')) return undefined;
    throw error;
  }
}

/**
 * A row of files that a stream is written to, one after the other. Each stream starts a new file after the highest
 * existing number, so concurrent streams, even of several processes, have files of their own.
 *
 * @param pattern - a path whose file name contains `{n}`, which becomes 0, 1, 2, ...
 * @throws MmdError INVALID_ARGUMENT
 *
 * @example
 * ```ts
 * import { range } from 'rxjs';
 * import { appendRows, rollingFiles } from '@mmdpickle/rx';
 *
 * const files = rollingFiles('run-{n}.mmdpickle', { frames: 100, keep: 3 });
 * range(0, 1000).pipe(appendRows(files, 'i', { dtype: 'int32' })).subscribe(); // leaves run-7, run-8 and run-9
 * ```
 */
export function rollingFiles(pattern: string, options: RollingOptions): RollingFiles {
  return new RollingFiles(pattern, options);
}
