/**
 * Turns of the event loop, for conversions of many small arrays.
 *
 * @module
 */

/** So long timers, signals and sockets wait at most. */
export const LONGEST_STRETCH_MS = 8;

/** What Node has and browsers have not: a turn that takes no longer than what waits for it. */
const { setImmediate } = globalThis as { readonly setImmediate?: (task: () => void) => unknown };

/** Gives others their turn now and then. */
export class Turns {
  readonly #signal: AbortSignal | undefined;
  #last = performance.now();

  /** @param signal - obeyed behind each turn */
  constructor(signal: AbortSignal | undefined) {
    this.#signal = signal;
  }

  /** No more turns are wanted. */
  get stopped(): boolean {
    return this.#signal?.aborted === true;
  }

  get due(): boolean {
    return performance.now() - this.#last > LONGEST_STRETCH_MS;
  }

  /** @throws the signal's reason */
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
