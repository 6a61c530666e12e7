/**
 * The one queue of this package: bounded in items and in bytes, with a stated policy for what happens beyond.
 *
 * @module
 */

import { MmdError } from '@mmdpickle/core';

/**
 * What happens to a frame that comes while the queue is full:
 *
 * - `error`: the stream ends with LIMIT_EXCEEDED, after everything queued is written;
 * - `drop-newest`: it is dropped;
 * - `drop-oldest`: the longest-waiting ones are dropped until it fits;
 * - `sample`: only the newest frame waits at all; each one replaced is dropped;
 * - `block`: its source waits (sinks only: an Observable cannot wait).
 */
export type Policy = 'error' | 'drop-newest' | 'drop-oldest' | 'sample' | 'block';

/** How much may wait. What is being written counts too, so the bytes bound the memory. */
export interface QueueLimits {
  /** Default 65,536. */
  readonly frames?: number;
  /** Default 64 MiB. */
  readonly bytes?: number;
}

/** How much to take for one commit. */
export interface BatchLimits {
  readonly frames: number;
  readonly bytes: number;
}

/** Something that takes room in the queue. */
export interface Sized {
  /** The bytes of the frame. */
  readonly bytes: number;
}

/** What became of a frame that was offered. */
export interface Admission<T> {
  /** Whether it may be pushed now. */
  readonly accepted: boolean;
  /** What had to go for it, oldest first; already removed from the queue. */
  readonly evicted: readonly T[];
}

const DEFAULT_FRAMES = 65_536;
const DEFAULT_BYTES = 64 * 2 ** 20;

/** A first-in first-out queue whose contents, waiting or in flight, never pass its limits. */
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

  /** Items that wait to be taken. */
  get waiting(): number {
    return this.#items.length - this.#head;
  }

  /** Bytes that wait to be taken. */
  get waitingBytes(): number {
    return this.#waitingBytes;
  }

  /** Items waiting and in flight. */
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

  /** Whether something of this size has room now. */
  fits(bytes: number): boolean {
    return this.frames < this.maxFrames && this.bytes + bytes <= this.maxBytes;
  }

  /** Whether something of this size can ever have room. */
  canHold(bytes: number): boolean {
    return bytes <= this.maxBytes;
  }

  /** Makes room by `policy`; says whether an item of `bytes` may be pushed, and what had to go. */
  admit(bytes: number, policy: Policy): Admission<T> {
    const evicted: T[] = [];
    if (!this.canHold(bytes)) return { accepted: false, evicted };
    if (policy === 'sample') while (this.waiting > 0) evicted.push(this.#shift());
    if (policy === 'drop-oldest') while (this.waiting > 0 && !this.fits(bytes)) evicted.push(this.#shift());
    return { accepted: this.fits(bytes), evicted };
  }

  /** Adds an item; the caller has asked {@link BoundedQueue.admit} or {@link BoundedQueue.fits} before. */
  push(item: T): void {
    this.#items.push(item);
    this.#waitingBytes += item.bytes;
  }

  /** Takes at least one item (if any waits) and as many more as the limits allow; they stay counted until settled. */
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

  /** Counts items as in flight that never had to wait. */
  depart(items: readonly T[]): void {
    this.#flightFrames += items.length;
    for (const item of items) this.#flightBytes += item.bytes;
  }

  /** Lets items that were taken wait again, before all others. */
  putBack(items: readonly T[]): void {
    this.settle(items);
    this.#items = [...items, ...this.#items.slice(this.#head)];
    this.#head = 0;
    for (const item of items) this.#waitingBytes += item.bytes;
  }

  /** Gives back the room of items that were taken. */
  settle(items: readonly T[]): void {
    this.#flightFrames -= items.length;
    for (const item of items) this.#flightBytes -= item.bytes;
  }

  /** Removes everything that waits. */
  clear(): T[] {
    const rest = this.#items.slice(this.#head);
    this.#items = [];
    this.#head = 0;
    this.#waitingBytes = 0;
    return rest;
  }

  #shift(): T {
    const item = this.#items[this.#head]!;
    // The slot is emptied at once, so that a dropped frame's bytes are free to go.
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

/** A number above zero (Infinity is one), or INVALID_ARGUMENT. */
function positive(value: number, name: string): number {
  if (typeof value === 'number' && value > 0) return value;
  throw new MmdError('INVALID_ARGUMENT', `${name} is a number above 0, found ${String(value)}`, {
    expected: 'a number > 0',
    found: value,
  });
}
