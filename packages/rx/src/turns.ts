/**
 * Turns of the event loop, for work that would never let go of it.
 *
 * @module
 */

import { setImmediate } from 'node:timers/promises';

/** So long timers, signals and sockets wait at most for long queues, and for sources that have always more. */
export const LONGEST_STRETCH_MS = 8;

/** Gives others their turn now and then. */
export class Turns {
  #last = performance.now();

  get due(): boolean {
    return performance.now() - this.#last > LONGEST_STRETCH_MS;
  }

  async take(): Promise<void> {
    await setImmediate();
    this.#last = performance.now();
  }
}
