import type { MmapDict } from '@mmdpickle/core';
import type { BatchLimits } from './bounded-queue.ts';

/** Which dict an ingest writes to now: one dict for good, or one of a row of files. */
export interface Home {
  readonly dict: MmapDict;
  /** Notes what was written, for the limits of a rolling file. */
  note(frames: number, bytes: number): void;
  /** Whether the next commit belongs in a new file. */
  due(): boolean;
  /** What the file that the next commit belongs in takes before it is full. */
  room(): BatchLimits;
  /** Goes on to a new file; the old dict is sealed before. */
  roll(): void;
  /** The stream is over. A dict that the caller opened stays open. */
  release(): void;
}

/** A dict that the caller opened, owns and closes. */
export function fixedHome(dict: MmapDict): Home {
  return {
    dict,
    note() {},
    due: () => false,
    room: () => ({ frames: Infinity, bytes: Infinity }),
    roll() {},
    release() {},
  };
}
