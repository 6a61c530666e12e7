/**
 * Identifies the process that holds a lease, and tells whether it is still alive.
 *
 * @module
 */

import { readFileSync, readlinkSync } from 'node:fs';
import { hostname } from 'node:os';
import { basename } from 'node:path';

/** Identifies one process uniquely: a pid alone is reused. */
export interface ProcessId {
  readonly pid: number;
  /** Host name, boot ID and pid namespace; pids of different hosts must not be compared. */
  readonly host: string;
  /** The kernel's start time of the process; empty if unknown. */
  readonly start: string;
  /** The kernel's ID and start time of the thread, if known: a worker may end before its process. */
  readonly thread?: { readonly id: string; readonly start: string };
}

/** This process and thread. */
export function thisProcess(): ProcessId {
  const { pid } = process;
  const id = attempt(() => basename(readlinkSync('/proc/thread-self')));
  const start = id === undefined ? undefined : startOf(`${pid}/task/${id}`);
  return {
    pid,
    host: thisHost(),
    start: startOf(pid) ?? '',
    ...(id !== undefined && start !== undefined && { thread: { id, start } }),
  };
}

/**
 * Whether the process is alive, and its thread if one is named; `undefined` if it runs on another host, where this cannot be known.
 * A zombie is not alive.
 */
export function isAlive(id: ProcessId): boolean | undefined {
  if (id.host !== thisHost()) return undefined;
  try {
    process.kill(id.pid, 0);
  } catch (error) {
    // EPERM: it exists, but belongs to another user.
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return false;
  }
  const start = startOf(id.pid);
  if (start === undefined || id.start === '') return true;
  const { thread } = id;
  return start === id.start && (thread === undefined || startOf(`${id.pid}/task/${thread.id}`) === thread.start);
}

function thisHost(): string {
  const boot = attempt(() => readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim());
  const namespace = attempt(() => readlinkSync('/proc/self/ns/pid'));
  return [hostname(), boot, namespace].join(' ').trim();
}

/** Field 22 of /proc/pid/stat of a process or thread; `'dead'` for a zombie; undefined where there is no /proc. */
function startOf(pid: number | string): string | undefined {
  const stat = attempt(() => readFileSync(`/proc/${pid}/stat`, 'latin1'));
  if (stat === undefined) return undefined;
  // The name in parentheses may itself contain spaces and parentheses.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return fields[0] === 'Z' || fields[0] === 'X' ? 'dead' : fields[19];
}

/** The result of a call; undefined if it throws. */
export function attempt<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}

/** The pid of the process that holds the exclusive flock on the file, from /proc/locks; `undefined` if that lists none. */
export function flockHolder({ dev, ino }: { readonly dev: bigint; readonly ino: bigint }): number | undefined {
  const major = ((dev >> 8n) & 0xfffn) | ((dev >> 32n) & ~0xfffn);
  const minor = (dev & 0xffn) | ((dev >> 12n) & ~0xffn & 0xffffffffn);
  const hex = (number: bigint): string => number.toString(16).padStart(2, '0');
  const file = `${hex(major)}:${hex(minor)}:${ino}`;
  for (const line of attempt(() => readFileSync('/proc/locks', 'latin1'))?.split('\n') ?? []) {
    const [, kind, , access, pid, where] = line.split(/\s+/);
    if (kind === 'FLOCK' && access === 'WRITE' && where === file) return Number(pid);
  }
  return undefined;
}
