import { statfsSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import type { Invocation } from '../command.ts';
import { bytesText } from '../text.ts';
import type { CaptureStats } from './capture.ts';

const TTY_MS = 200;
const LOG_MS = 1000;

/**
 * Prints the progress of an ingest on standard error: one live line on a terminal, a JSON line per second elsewhere.
 */
export class StatusLine implements Disposable {
  readonly #timer: NodeJS.Timeout | undefined;
  readonly #live: boolean;
  readonly #print: (text: string) => void;

  constructor({ terminal, quiet }: Invocation, path: string, stats: () => CaptureStats) {
    this.#live = terminal.stderr.isTTY === true;
    this.#print = (text) => void terminal.stderr.write(text);
    if (quiet) return;
    const show = this.#live
      ? () => this.#print(`\r\u001B[K${liveText(stats(), path)}`)
      : () => this.#print(`${JSON.stringify(report(stats(), path))}\n`);
    this.#timer = setInterval(show, this.#live ? TTY_MS : LOG_MS);
  }

  [Symbol.dispose](): void {
    if (this.#timer === undefined) return;
    clearInterval(this.#timer);
    if (this.#live) this.#print('\r\u001B[K');
  }
}

/** The counters of interest to people and scripts. */
export function report(stats: CaptureStats, path: string): Record<string, unknown> {
  const { received, written, invalid, droppedTotal, dropped, queued, queuedBytes, bytes, commits, lagMs } = stats;
  return {
    received,
    written,
    invalid,
    droppedTotal,
    dropped,
    queued,
    queuedBytes,
    bytes,
    bytesPerSecond: Math.round(stats.bytesPerSecond),
    lagMs: Math.round(lagMs),
    commits,
    diskLeft: diskLeft(path),
  };
}

function liveText(stats: CaptureStats, path: string): string {
  const left = diskLeft(path);
  return [
    `${stats.written} written`,
    `${bytesText(Math.round(stats.bytesPerSecond))}/s`,
    `${stats.queued} queued (${bytesText(stats.queuedBytes)})`,
    `${stats.droppedTotal} dropped`,
    `${left === undefined ? '?' : bytesText(left)} left on disk`,
  ].join('  ');
}

function diskLeft(path: string): number | undefined {
  try {
    const { bavail, bsize } = statfsSync(dirname(resolve(path)));
    return bavail * bsize;
  } catch {
    // Not every file system reports this; the line then has a question mark.
    return undefined;
  }
}
