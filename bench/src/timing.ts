import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { lastValueFrom, type Observable } from 'rxjs';
import type { Round, SideContext } from './case.ts';

/** The time `action` takes. */
export function timed(action: () => void): Round {
  const cpu = process.cpuUsage();
  const began = process.hrtime.bigint();
  action();
  return { ns: Number(process.hrtime.bigint() - began), cpuNs: cpuSince(cpu) };
}

/** The time until the promise of `action` settles. */
export async function timedAsync(action: () => Promise<void>): Promise<Round> {
  const cpu = process.cpuUsage();
  const began = process.hrtime.bigint();
  await action();
  return { ns: Number(process.hrtime.bigint() - began), cpuNs: cpuSince(cpu) };
}

function cpuSince(before: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(before);
  return (user + system) * 1e3;
}

/** A path in the side's directory at which nothing exists: what was there is removed. */
export function fresh(context: SideContext, name: string): string {
  const path = join(context.dir, name);
  rmSync(path, { recursive: true, force: true });
  return path;
}

/** Waits for the end of a stream, which may be empty. */
export async function lastOf(stream: Observable<unknown>): Promise<void> {
  await lastValueFrom(stream, { defaultValue: undefined });
}
