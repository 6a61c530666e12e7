/**
 * Turns of the event loop, for work that would never let go of it: long queues, sources that have always more,
 * conversions of many small arrays. The other packages share it.
 *
 * @module
 */

/** So many milliseconds timers, signals and sockets wait at most. */
export const LONGEST_STRETCH_MS = 8;

/** What Node has and browsers have not: a turn that takes no longer than what waits for it. */
const { setImmediate } = globalThis as { readonly setImmediate?: (task: () => void) => unknown };

/** Gives others their turn now and then. */
export class Turns {
  readonly #signal: AbortSignal | undefined;
  #last = performance.now();

  /** @param signal - obeyed behind each turn */
  constructor(signal?: AbortSignal) {
    this.#signal = signal;
  }

  /** No more turns are wanted. */
  get stopped(): boolean {
    return this.#signal?.aborted === true;
  }

  /** The longest stretch is over. */
  get due(): boolean {
    return performance.now() - this.#last > LONGEST_STRETCH_MS;
  }

  /** Settles behind everything that waits for its turn. @throws the signal's reason */
  async take(): Promise<void> {
    await new Promise<void>((resolve) => void (setImmediate ?? setTimeout)(resolve));
    this.#signal?.throwIfAborted();
    this.#last = performance.now();
  }

  /** As `items.map(work)`, in stretches. @throws what `work` throws; the signal's reason */
  async map<T, U>(items: Iterable<T>, work: (item: T, index: number) => U): Promise<U[]> {
    const results: U[] = [];
    for (const item of items) {
      if (this.due) await this.take();
      results.push(work(item, results.length));
    }
    return results;
  }
}
