/** Peak memory of this process: since the last reset on Linux, since its start elsewhere. */

import { readFileSync, writeFileSync } from 'node:fs';

/** Resets the peak, so that setup is not counted. Returns false where the system cannot. */
export function resetPeakRss(): boolean {
  try {
    writeFileSync('/proc/self/clear_refs', '5');
    return true;
  } catch {
    return false;
  }
}

/** The largest resident set since the last {@link resetPeakRss}, in bytes. */
export function peakRss(): number {
  try {
    const kib = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1];
    if (kib !== undefined) return Number(kib) * 1024;
  } catch {
    // No /proc: fall back to the resource usage below.
  }
  return process.resourceUsage().maxRSS * 1024;
}
