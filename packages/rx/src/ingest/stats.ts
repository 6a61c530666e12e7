/**
 * The counters of an ingest. `received = written + all dropped + queued`, at every moment.
 *
 * @module
 */

import { Histogram } from './histogram.ts';

/** Why a frame did not reach the file. */
export const DROP_REASONS = {
  'queue-full': 'the queue was full (policies error and drop-newest), or the frame was larger than the whole queue',
  evicted: 'newer frames took its place (policy drop-oldest)',
  sampled: 'a newer frame came before it was written (policy sample)',
  invalid: 'not a frame that the target accepts; the stream ended with an error',
  failed: 'it was waiting when a write failed for good',
  'drain-timeout': 'it was still waiting when the time to drain was over',
} as const;

/** A key of {@link DROP_REASONS}. */
export type DropReason = keyof typeof DROP_REASONS;

/** A snapshot of an ingest's counters. */
export interface IngestStats {
  /** Frames received. */
  readonly received: number;
  /** Frames committed. */
  readonly written: number;
  /** Frames that will never reach the file, by reason. */
  readonly dropped: Readonly<Record<DropReason, number>>;
  /** The sum of `dropped`. */
  readonly droppedTotal: number;
  /** Frames waiting or being written. */
  readonly queued: number;
  /** Bytes of the frames waiting or being written. */
  readonly queuedBytes: number;
  /** Peak of `queuedBytes` while frames had to wait. */
  readonly peakQueuedBytes: number;
  /** Bytes of the frames committed. */
  readonly bytes: number;
  /** Bytes written per second since the previous snapshot. */
  readonly bytesPerSecond: number;
  /** How long the oldest queued frame has waited, in milliseconds; 0 if none waits. */
  readonly lagMs: number;
  /** Commits done. */
  readonly commits: number;
  /** Retries after an attempt found the file locked. */
  readonly retries: number;
  /** Duration of a commit, including the wait for the lock, in milliseconds: median and 99th percentile. */
  readonly flushMs: { readonly p50: number; readonly p99: number };
  /** Time from receiving a frame to its commit, in milliseconds: median and 99th percentile. */
  readonly latencyMs: { readonly p50: number; readonly p99: number };
  /** True if no stream is running and nothing waits. */
  readonly idle: boolean;
}

/** The counters behind {@link IngestStats}. */
export class Tally {
  received = 0;
  written = 0;
  bytes = 0;
  commits = 0;
  retries = 0;
  queued = 0;
  queuedBytes = 0;
  peakQueuedBytes = 0;
  readonly dropped: Record<DropReason, number> = Object.fromEntries(
    Object.keys(DROP_REASONS).map((reason) => [reason, 0]),
  ) as Record<DropReason, number>;
  readonly flush: Histogram = new Histogram();
  readonly latency: Histogram = new Histogram();
  #lastBytes = 0;
  #lastAt = performance.now();

  /** Counts frames dropped for one reason. */
  drop(reason: DropReason, frames = 1): void {
    this.dropped[reason] += frames;
  }

  /** Adds the amount by which a queue grew or shrank. */
  queue(frames: number, bytes: number): void {
    this.queued += frames;
    this.queuedBytes += bytes;
  }

  /** Updates the peak; only for frames that have to wait, which those written at once never do. */
  waits(): void {
    this.peakQueuedBytes = Math.max(this.peakQueuedBytes, this.queuedBytes);
  }

  /** Takes a snapshot. The byte rate covers the time since the previous one. */
  read(now: number, oldestAt: number | undefined, idle: boolean): IngestStats {
    const seconds = (now - this.#lastAt) / 1000;
    const bytesPerSecond = seconds > 0 ? (this.bytes - this.#lastBytes) / seconds : 0;
    this.#lastAt = now;
    this.#lastBytes = this.bytes;
    return {
      received: this.received,
      written: this.written,
      dropped: { ...this.dropped },
      droppedTotal: Object.values(this.dropped).reduce((sum, count) => sum + count, 0),
      queued: this.queued,
      queuedBytes: this.queuedBytes,
      peakQueuedBytes: this.peakQueuedBytes,
      bytes: this.bytes,
      bytesPerSecond,
      lagMs: oldestAt === undefined ? 0 : Math.max(0, now - oldestAt),
      commits: this.commits,
      retries: this.retries,
      flushMs: { p50: this.flush.quantile(0.5), p99: this.flush.quantile(0.99) },
      latencyMs: { p50: this.latency.quantile(0.5), p99: this.latency.quantile(0.99) },
      idle,
    };
  }
}
