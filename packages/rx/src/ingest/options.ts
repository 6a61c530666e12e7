/**
 * The options of every operator and sink of this package, and their defaults.
 *
 * @module
 */

import { asyncScheduler, type SchedulerLike } from 'rxjs';
import type { BatchLimits, Policy, QueueLimits } from './bounded-queue.ts';

/** Options for queueing, batching, retrying and stopping. */
export interface IngestOptions {
  /** How much may wait for the file. Default 65,536 frames and 64 MiB. */
  readonly queue?: QueueLimits;
  /** What happens when the queue is full. Default `'error'` for operators, `'block'` for sinks. */
  readonly policy?: Policy;
  /**
   * How many frames make a commit. Without `ms` a frame is committed at once, and frames that had to wait are committed
   * together (by default at most 4,096 frames or 16 MiB). With `ms` frames are collected until one of the limits is
   * reached, at the latest `ms` milliseconds after the first of them or when the queue is full.
   */
  readonly batch?: { readonly frames?: number; readonly bytes?: number; readonly ms?: number };
  /** What a receipt means. `'commit'`: the frame is on the disk (fdatasync). Default `'none'`: it is in the file. */
  readonly durability?: 'none' | 'commit';
  /** How long one attempt waits for the file's lock, in milliseconds. Default 5,000. */
  readonly lockTimeout?: number;
  /** Retries after LOCKED, with pauses that double from `delayMs` to `maxDelayMs`. Default 8, 50 and 2,000. */
  readonly retry?: { readonly count?: number; readonly delayMs?: number; readonly maxDelayMs?: number };
  /** How long writing what is queued may take after the end of the stream, in milliseconds. Default 10,000. */
  readonly drainMs?: number;
  /** Aborting it has the effect of the source completing: what was received is written, arrays are sealed. */
  readonly signal?: AbortSignal;
  /** How often `stats$` emits, in milliseconds. Default 1,000. */
  readonly statsMs?: number;
  /** Schedules batches, retries and statistics. Default: the asyncScheduler of RxJS. */
  readonly scheduler?: SchedulerLike;
}

/** {@link IngestOptions} with defaults filled in. */
export interface IngestSettings {
  readonly queue: QueueLimits;
  readonly policy: Policy;
  readonly batch: BatchLimits;
  readonly batchMs: number | undefined;
  readonly durable: boolean;
  readonly lockTimeout: number;
  readonly retry: { readonly count: number; readonly delayMs: number; readonly maxDelayMs: number };
  readonly drainMs: number;
  readonly statsMs: number;
  readonly scheduler: SchedulerLike;
}

/** Fills in the defaults of options that have been checked. */
export function settle(options: IngestOptions, defaultPolicy: Policy): IngestSettings {
  const { batch = {}, retry = {}, queue = {} } = options;
  return {
    queue,
    policy: options.policy ?? defaultPolicy,
    batch: { frames: batch.frames ?? 4096, bytes: batch.bytes ?? 16 * 2 ** 20 },
    batchMs: batch.ms === undefined ? undefined : timed(batch.ms),
    durable: options.durability === 'commit',
    lockTimeout: options.lockTimeout ?? 5000,
    retry: { count: retry.count ?? 8, delayMs: retry.delayMs ?? 50, maxDelayMs: timed(retry.maxDelayMs ?? 2000) },
    drainMs: timed(options.drainMs ?? 10_000),
    statsMs: timed(options.statsMs ?? 1000),
    scheduler: options.scheduler ?? asyncScheduler,
  };
}

/** Limits a duration to the longest that a timer supports, 24 days: a longer one would fire at once. */
export function timed(ms: number): number {
  return Math.min(ms, 2 ** 31 - 1);
}
