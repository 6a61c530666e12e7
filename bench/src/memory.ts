/** Peak memory of this process, on Linux; elsewhere the peak since its start. */

import { readFileSync, writeFileSync } from 'node:fs';

/** Starts the peak anew, so that set-up is not counted. Returns false where the system cannot. */
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
    // No /proc: the resource usage below is all there is.
  }
  return process.resourceUsage().maxRSS * 1024;
}
