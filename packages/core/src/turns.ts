/**
 * Yields to the event loop in work that would otherwise block it: long queues, sources that never run dry,
 * conversions of many small arrays. Shared with the other packages.
 *
 * @module
 */

/** How many milliseconds timers, signals and sockets wait at most. */
export const LONGEST_STRETCH_MS = 8;

/** Node only: a turn that takes no longer than the tasks waiting for it. */
const { setImmediate } = globalThis as { readonly setImmediate?: (task: () => void) => unknown };

/** Yields to other tasks from time to time. */
export class Turns {
  readonly #signal: AbortSignal | undefined;
  #last = performance.now();

  /** @param signal - checked after each turn */
  constructor(signal?: AbortSignal) {
    this.#signal = signal;
  }

  /** Whether the signal was aborted. */
  get stopped(): boolean {
    return this.#signal?.aborted === true;
  }

  /** Whether it is time to yield. */
  get due(): boolean {
    return performance.now() - this.#last > LONGEST_STRETCH_MS;
  }

  /** Yields; settles after everything that was waiting for its turn. @throws the signal's reason */
  async take(): Promise<void> {
    await new Promise<void>((resolve) => void (setImmediate ?? setTimeout)(resolve));
    this.#signal?.throwIfAborted();
    this.#last = performance.now();
  }

  /** Like `items.map(work)`, yielding in between. @throws what `work` throws; the signal's reason */
  async map<T, U>(items: Iterable<T>, work: (item: T, index: number) => U): Promise<U[]> {
    const results: U[] = [];
    for (const item of items) {
      if (this.due) await this.take();
      results.push(work(item, results.length));
    }
    return results;
  }
}
