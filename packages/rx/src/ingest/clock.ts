/** How far the two clocks may diverge before the fine one is set again. */
const TOLERANCE_MS = 5;

/**
 * The time of day with the resolution of the performance clock: within 5 ms of the system clock (which may be set while
 * a capture runs for days), and monotonic except when it is set again.
 */
export class WallClock {
  #origin = performance.timeOrigin;

  /** Milliseconds since 1970-01-01 UTC, with a fraction. */
  now(): number {
    const coarse = Date.now();
    const fine = this.#origin + performance.now();
    if (Math.abs(fine - coarse) <= TOLERANCE_MS) return fine;
    this.#origin += coarse - fine;
    return coarse;
  }
}
