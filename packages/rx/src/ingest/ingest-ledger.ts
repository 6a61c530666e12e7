/**
 * What successive and parallel streams into one place share.
 *
 * @module
 */

import { WallClock } from './clock.ts';
import { type IngestStats, Tally } from './stats.ts';
import type { Pending } from './target.ts';

/** Counters, numbers of frames, and who is at work. */
export class IngestLedger {
  readonly tally: Tally = new Tally();
  readonly clock: WallClock = new WallClock();
  /** The streams that are not done. */
  readonly active: Set<{ readonly oldest: Pick<Pending<unknown>, 'at' | 'seq'> | undefined }> = new Set();
  /** The number of the next frame; never used twice. */
  nextSeq = 0;

  /** Frames before this one are written or dropped: what waits in a stream that began before another one ended is neither. */
  get settledSeq(): number {
    return Math.min(this.nextSeq, ...[...this.active].flatMap(({ oldest }) => oldest?.seq ?? []));
  }

  /** A reading of the counters, over all streams into the place. */
  stats(): IngestStats {
    const waiting = [...this.active].flatMap(({ oldest }) => oldest?.at ?? []);
    return this.tally.read(
      performance.now(),
      waiting.length > 0 ? Math.min(...waiting) : undefined,
      this.active.size === 0,
    );
  }
}
