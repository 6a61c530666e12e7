/**
 * The options that every operator and sink of this package takes, and their defaults.
 *
 * @module
 */

import { asyncScheduler, type SchedulerLike } from 'rxjs';
import type { BatchLimits, Policy, QueueLimits } from './bounded-queue.ts';

/** Queueing, batching, retrying and stopping. */
export interface IngestOptions {
  /** How much may wait for the file. Default 65,536 frames and 64 MiB. */
  readonly queue?: QueueLimits;
  /** What happens beyond. Default `'error'` for operators, `'block'` for sinks. */
  readonly policy?: Policy;
  /**
   * How many frames make a commit. Without `ms` a frame is committed at once, and frames that had to wait are
   * committed together (4,096 frames or 16 MiB at most); with `ms` they are collected until one of the limits is reached,
   * `ms` milliseconds after the first of them or with a full queue at the latest.
   */
  readonly batch?: { readonly frames?: number; readonly bytes?: number; readonly ms?: number };
  /** `'commit'`: a receipt means that the frame is on the disk (fdatasync). Default `'none'`: it is in the file. */
  readonly durability?: 'none' | 'commit';
  /** How long one try waits for the file's lock, in milliseconds. Default 5,000. */
  readonly lockTimeout?: number;
  /** Tries after LOCKED, the pause doubling from `delayMs` to `maxDelayMs`. Default 8, 50 and 2,000. */
  readonly retry?: { readonly count?: number; readonly delayMs?: number; readonly maxDelayMs?: number };
  /** After the end of the stream: how long what is queued may take to be written, in milliseconds. Default 10,000. */
  readonly drainMs?: number;
  /** Aborting ends the stream as its own end would: what was received is written, arrays are sealed. */
  readonly signal?: AbortSignal;
  /** How often `stats$` emits, in milliseconds. Default 1,000. */
  readonly statsMs?: number;
  /** Times batches, retries and statistics. Default rxjs's asyncScheduler. */
  readonly scheduler?: SchedulerLike;
}

/** {@link IngestOptions} with every default in place. */
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

/** Fills in the defaults of options that were checked. */
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

/** What a timer can count, 24 days: one that is to take longer would go off at once. */
export function timed(ms: number): number {
  return Math.min(ms, 2 ** 31 - 1);
}
