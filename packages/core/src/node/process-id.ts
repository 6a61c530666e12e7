/**
 * Who holds a lease, and whether that process still lives.
 *
 * @module
 */

import { readFileSync, readlinkSync } from 'node:fs';
import { hostname } from 'node:os';
import { basename } from 'node:path';

/** Names one process for good: a pid alone is used again. */
export interface ProcessId {
  readonly pid: number;
  /** Host name, boot and pid namespace; pids of two hosts are not to be compared. */
  readonly host: string;
  /** The kernel's start time of the process; empty where it cannot be known. */
  readonly start: string;
  /** The kernel's number and start time of the thread, where they are known: a worker may end before its process. */
  readonly thread?: { readonly id: string; readonly start: string };
}

/** This process, and this thread of it. */
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
 * Whether the process lives, and the thread where one is named: `undefined` when it runs on another host, where nobody here can tell.
 * A zombie does not live.
 */
export function isAlive(id: ProcessId): boolean | undefined {
  if (id.host !== thisHost()) return undefined;
  try {
    process.kill(id.pid, 0);
  } catch (error) {
    // EPERM: it is there, but somebody else's.
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

/** Field 22 of /proc/pid/stat, or of a thread's; `'dead'` for a zombie; undefined where there is no /proc. */
function startOf(pid: number | string): string | undefined {
  const stat = attempt(() => readFileSync(`/proc/${pid}/stat`, 'latin1'));
  if (stat === undefined) return undefined;
  // The name in parentheses may hold spaces and parentheses itself.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return fields[0] === 'Z' || fields[0] === 'X' ? 'dead' : fields[19];
}

/** What a call gives; undefined where it throws. */
export function attempt<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}

/** The process whose flock on the file excludes others, as /proc/locks says; `undefined` where it does not. */
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
