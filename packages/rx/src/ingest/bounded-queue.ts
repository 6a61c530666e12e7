/**
 * The one queue of this package: bounded in items and in bytes, with a policy for what happens when it is full.
 *
 * @module
 */

import { MmdError } from '@mmdpickle/core';

/**
 * What happens to a frame that finds the queue full:
 *
 * - `error`: the stream ends with LIMIT_EXCEEDED, after everything queued is written;
 * - `drop-newest`: the frame is dropped;
 * - `drop-oldest`: the frames that have waited longest are dropped until it fits;
 * - `sample`: only the newest frame ever waits; each one it replaces is dropped;
 * - `block`: its source waits (sinks only: an Observable cannot wait).
 */
export type Policy = 'error' | 'drop-newest' | 'drop-oldest' | 'sample' | 'block';

/** Limits of the queue. Frames being written count too, so `bytes` bounds the memory. */
export interface QueueLimits {
  /** Default 65,536. */
  readonly frames?: number;
  /** Default 64 MiB. */
  readonly bytes?: number;
}

/** The most that one commit may take. */
export interface BatchLimits {
  readonly frames: number;
  readonly bytes: number;
}

/** An item that takes room in the queue. */
export interface Sized {
  /** The bytes of the frame. */
  readonly bytes: number;
}

/** Whether a frame is admitted to the queue, and what was removed for it. */
export interface Admission<T> {
  /** Whether it may be pushed now. */
  readonly accepted: boolean;
  /** The items removed from the queue to make room, oldest first. */
  readonly evicted: readonly T[];
}

const DEFAULT_FRAMES = 65_536;
const DEFAULT_BYTES = 64 * 2 ** 20;

/** A first-in first-out queue whose contents, waiting or in flight, never exceed its limits. */
export class BoundedQueue<T extends Sized> {
  readonly maxFrames: number;
  readonly maxBytes: number;
  #items: T[] = [];
  #head = 0;
  #waitingBytes = 0;
  #flightFrames = 0;
  #flightBytes = 0;

  /** @throws MmdError INVALID_ARGUMENT for a limit that is not positive */
  constructor(limits: QueueLimits = {}) {
    const { frames, bytes } = checkQueue(limits);
    this.maxFrames = frames;
    this.maxBytes = bytes;
  }

  /** Number of items waiting to be taken. */
  get waiting(): number {
    return this.#items.length - this.#head;
  }

  /** Bytes waiting to be taken. */
  get waitingBytes(): number {
    return this.#waitingBytes;
  }

  /** Number of items waiting and in flight. */
  get frames(): number {
    return this.waiting + this.#flightFrames;
  }

  /** Bytes waiting and in flight. */
  get bytes(): number {
    return this.#waitingBytes + this.#flightBytes;
  }

  /** The item that has waited longest. */
  get oldest(): T | undefined {
    return this.#items[this.#head];
  }

  /** Whether an item of this size fits now. */
  fits(bytes: number): boolean {
    return this.frames < this.maxFrames && this.bytes + bytes <= this.maxBytes;
  }

  /** Whether an item of this size can ever fit. */
  canHold(bytes: number): boolean {
    return bytes <= this.maxBytes;
  }

  /** Makes room as `policy` says; returns whether an item of `bytes` may be pushed, and what was removed. */
  admit(bytes: number, policy: Policy): Admission<T> {
    const evicted: T[] = [];
    if (!this.canHold(bytes)) return { accepted: false, evicted };
    if (policy === 'sample') while (this.waiting > 0) evicted.push(this.#shift());
    if (policy === 'drop-oldest') while (this.waiting > 0 && !this.fits(bytes)) evicted.push(this.#shift());
    return { accepted: this.fits(bytes), evicted };
  }

  /** Adds an item; the caller has checked {@link BoundedQueue.admit} or {@link BoundedQueue.fits}. */
  push(item: T): void {
    this.#items.push(item);
    this.#waitingBytes += item.bytes;
  }

  /** Takes at least one item (if any waits) and as many more as the limits allow; they count as in flight until settled. */
  take(limits: BatchLimits): T[] {
    const taken: T[] = [];
    let bytes = 0;
    while (this.waiting > 0 && taken.length < limits.frames) {
      const next = this.#items[this.#head]!;
      if (taken.length > 0 && bytes + next.bytes > limits.bytes) break;
      bytes += next.bytes;
      taken.push(this.#shift());
    }
    this.depart(taken);
    return taken;
  }

  /** Counts items that never had to wait as in flight. */
  depart(items: readonly T[]): void {
    this.#flightFrames += items.length;
    for (const item of items) this.#flightBytes += item.bytes;
  }

  /** Puts taken items back at the front of the queue. */
  putBack(items: readonly T[]): void {
    this.settle(items);
    this.#items = [...items, ...this.#items.slice(this.#head)];
    this.#head = 0;
    for (const item of items) this.#waitingBytes += item.bytes;
  }

  /** Frees the room of taken items. */
  settle(items: readonly T[]): void {
    this.#flightFrames -= items.length;
    for (const item of items) this.#flightBytes -= item.bytes;
  }

  /** Removes and returns all waiting items. */
  clear(): T[] {
    const rest = this.#items.slice(this.#head);
    this.#items = [];
    this.#head = 0;
    this.#waitingBytes = 0;
    return rest;
  }

  #shift(): T {
    const item = this.#items[this.#head]!;
    // The slot is cleared at once, so that a dropped frame can be garbage-collected.
    (this.#items as (T | undefined)[])[this.#head++] = undefined;
    this.#waitingBytes -= item.bytes;
    if (this.#head > 64 && this.#head * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
    return item;
  }
}

/** The limits with their defaults. @throws MmdError INVALID_ARGUMENT for a limit that is not positive */
function checkQueue(limits: QueueLimits): Required<QueueLimits> {
  return {
    frames: positive(limits.frames ?? DEFAULT_FRAMES, 'queue.frames'),
    bytes: positive(limits.bytes ?? DEFAULT_BYTES, 'queue.bytes'),
  };
}

/** Checks that a number is above zero (Infinity is allowed). @throws MmdError INVALID_ARGUMENT */
function positive(value: number, name: string): number {
  if (typeof value === 'number' && value > 0) return value;
  throw new MmdError('INVALID_ARGUMENT', `${name} must be a number above 0, found ${String(value)}`, {
    expected: 'a number > 0',
    found: value,
  });
}
