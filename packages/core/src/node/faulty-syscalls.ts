/**
 * System calls that fail on purpose, below the retry loops of real files: for tests.
 *
 * @module
 */

import { constants } from 'node:os';
import type { Syscalls } from './syscalls.ts';

/** The calls that can be made to fail; the others are passed through. */
export type FaultyCall = Exclude<
  keyof Syscalls,
  'platform' | 'pageSize' | 'bound' | 'view' | 'address' | 'unmapWith' | 'schedYield' | 'willNeed' | 'munmap'
>;

/** Which call fails, and how. */
export interface Fault {
  /** The call; any call if omitted. */
  readonly call?: FaultyCall;
  /** Which of these calls fails, from 0. */
  readonly nth: number;
  /** An errno name, or `SHORT`: a read, write or copy transfers only a part. */
  readonly errno: 'EIO' | 'ENOSPC' | 'EINTR' | 'SHORT' | (string & {});
  /** Every later call fails too; with EINTR, three in a row. */
  readonly persistent?: boolean;
}

/** System calls that record themselves and fail as planned. */
export interface FaultySyscalls extends Syscalls {
  /** Every call made so far, by name. */
  readonly calls: FaultyCall[];
  /** How many failed on purpose. */
  readonly failures: () => number;
  /** Replaces the plan and restarts the count. */
  readonly plan: (...faults: Fault[]) => void;
}

/** Calls that can return a short count. */
const SHORTENED: ReadonlySet<string> = new Set(['pread', 'pwrite', 'pwritev', 'copyFileRange']);

/**
 * Wraps system calls so that they fail as planned. A failed close has closed the file nevertheless, as on Linux.
 * @param base - the real ones, from {@link libc}
 *
 * @example
 * ```ts
 * import { faultySyscalls, libc, NodeFile } from '@mmdpickle/core/node';
 *
 * const syscalls = faultySyscalls(libc(), { call: 'pwrite', nth: 1, errno: 'ENOSPC' });
 * using file = NodeFile.open('numbers.bin', 'a', { syscalls });
 * file.write(0, new Uint8Array(10));
 * try {
 *   file.write(10, new Uint8Array(10)); // throws NO_SPACE
 * } catch {
 *   file.size(); // 10
 * }
 * ```
 */
export function faultySyscalls(base: Syscalls, ...faults: Fault[]): FaultySyscalls {
  const calls: FaultyCall[] = [];
  let planned: readonly Fault[] = faults;
  let failures = 0;

  const wanted = (call: FaultyCall): Fault | undefined => {
    calls.push(call);
    return planned.find((fault) => {
      if (fault.call !== undefined && fault.call !== call) return false;
      const index = fault.call === undefined ? calls.length : calls.filter((name) => name === call).length;
      const late = index - 1 - fault.nth;
      if (fault.errno === 'SHORT' && !SHORTENED.has(call)) return false;
      return late === 0 || (fault.persistent === true && late > 0 && (fault.errno !== 'EINTR' || late < 3));
    });
  };

  const wrapped: Record<string, unknown> = {
    ...base,
    calls,
    failures: () => failures,
    plan: (...next: Fault[]) => {
      planned = next;
      calls.length = 0;
    },
  };
  for (const name of FAULTY_CALLS) {
    const real = base[name] as (...args: unknown[]) => unknown;
    wrapped[name] = (...args: unknown[]): unknown => {
      const fault = wanted(name);
      if (fault === undefined) return real(...args);
      failures++;
      if (fault.errno === 'SHORT') return real(...shortened(name, args));
      if (name === 'close') real(...args);
      return -(constants.errno as Record<string, number>)[fault.errno]!;
    };
  }
  return wrapped as unknown as FaultySyscalls;
}

const FAULTY_CALLS: readonly FaultyCall[] = [
  'open',
  'close',
  'fstat',
  'stat',
  'fchmod',
  'fchown',
  'rename',
  'unlink',
  'link',
  'renameNew',
  'size',
  'seek',
  'pread',
  'pwrite',
  'pwritev',
  'ftruncate',
  'fdatasync',
  'fsync',
  'posixFallocate',
  'fallocate',
  'cloneRange',
  'attributes',
  'filesystem',
  'freeSpace',
  'copyFileRange',
  'flock',
  'mmap',
  'msync',
  'madvise',
];

/** The arguments of the same call for about half as many bytes, at least one. */
function shortened(name: FaultyCall, args: unknown[]): unknown[] {
  if (name === 'pwritev') {
    const [fd, parts, offset] = args as [number, Uint8Array[], number];
    const first = parts[0]!;
    return [fd, [first.subarray(0, Math.max(1, first.length >> 1))], offset];
  }
  const at = name === 'copyFileRange' ? 4 : 2;
  return args.map((arg, i) => (i === at ? Math.max(Math.min(1, arg as number), Math.floor((arg as number) / 2)) : arg));
}
