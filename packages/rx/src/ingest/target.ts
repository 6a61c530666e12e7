/**
 * The interface that an ingest writes to, the same for entries, rows and planes, so that queueing, batching, retrying
 * and draining are implemented once.
 *
 * @module
 */

/** A frame on its way into the file. */
export interface Pending<T> {
  readonly item: T;
  /** Sequence number. It counts every frame received, including dropped ones: a gap in the file is a dropped frame. */
  readonly seq: number;
  /** Time of receipt, in milliseconds since 1970 UTC. */
  readonly time: number;
  /** Time of receipt by the performance clock. */
  readonly at: number;
  readonly bytes: number;
}

/** A range of rows; `end` is exclusive. */
export interface Rows {
  readonly start: number;
  readonly end: number;
}

/** Where a frame was stored. */
export interface Placed {
  readonly key: string;
  /** The frame's rows in a growable array, or planes in a fixed one. */
  readonly rows?: Rows;
}

/** Emitted when a frame is committed. */
export interface Receipt extends Placed {
  /** The frame's sequence number. */
  readonly seq: number;
  /** The dict's commit number after the frame's commit. */
  readonly commitNumber: number;
  /** The bytes of the frame's elements. */
  readonly bytes: number;
  /** Milliseconds from receiving the frame to its commit. */
  readonly latency: number;
  /** The file that it was written to. */
  readonly path: string;
}

/** A place in a dict that frames are written to. */
export interface Target<T> {
  /** Sequence number of the first frame: above 0 if the place already holds frames. */
  readonly firstSeq: number;
  /** The stream ends before the frame with this sequence number. */
  readonly endSeq?: number | undefined;
  /**
   * Returns the frame's size in bytes.
   * @throws MmdError if it is not a frame for this target
   */
  measure(item: T, seq: number): number;
  /** A copy of the frame with bytes of its own, which can wait in the queue while the source continues. */
  own(item: T): T;
  /** Writes frames, in ascending order of sequence numbers, inside one batch of the dict. */
  write(frames: readonly Pending<T>[]): Placed[];
  /** Seals what can be sealed, inside a batch. `nextSeq` is the sequence number that the next frame would have had. */
  finish(nextSeq: number): void;
}
