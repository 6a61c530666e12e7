/**
 * State shared by successive and concurrent streams into one place.
 *
 * @module
 */

import { WallClock } from './clock.ts';
import { type IngestStats, Tally } from './stats.ts';
import type { Pending } from './target.ts';

/** Counters, sequence numbers and active streams of one place. */
export class IngestLedger {
  readonly tally: Tally = new Tally();
  readonly clock: WallClock = new WallClock();
  /** The streams that are not done yet. */
  readonly active: Set<{ readonly oldest: Pick<Pending<unknown>, 'at' | 'seq'> | undefined }> = new Set();
  /** The sequence number of the next frame; never used twice. */
  nextSeq = 0;

  /** All frames before this number are written or dropped; frames still waiting in other streams are neither. */
  get settledSeq(): number {
    return Math.min(this.nextSeq, ...[...this.active].flatMap(({ oldest }) => oldest?.seq ?? []));
  }

  /** A snapshot of the counters over all streams into the place. */
  stats(): IngestStats {
    const waiting = [...this.active].flatMap(({ oldest }) => oldest?.at ?? []);
    return this.tally.read(
      performance.now(),
      waiting.length > 0 ? Math.min(...waiting) : undefined,
      this.active.size === 0,
    );
  }
}
