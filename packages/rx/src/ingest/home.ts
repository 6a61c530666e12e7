import type { MmapDict } from '@mmdpickle/core';
import type { BatchLimits } from './bounded-queue.ts';

/** The dict that an ingest currently writes to: always the same dict, or one of a row of files. */
export interface Home {
  readonly dict: MmapDict;
  /** Counts what was written towards the limits of a rolling file. */
  note(frames: number, bytes: number): void;
  /** Whether the next commit belongs in a new file. */
  due(): boolean;
  /** How much more fits into the file that the next commit belongs in. */
  room(): BatchLimits;
  /** Switches to a new file; the arrays in the old one have been sealed before. */
  roll(): void;
  /** Called when the stream is over. A dict that the caller opened stays open. */
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
