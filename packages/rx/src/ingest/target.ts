/**
 * What an ingest writes to: one interface for entries, rows and planes, so that queueing, batching, retrying and
 * draining exist once.
 *
 * @module
 */

/** A frame on its way into the file. */
export interface Pending<T> {
  readonly item: T;
  /** Counts every frame that was received, dropped ones included: a gap in the file is a dropped frame. */
  readonly seq: number;
  /** When it was received: milliseconds since 1970 UTC. */
  readonly time: number;
  /** When it was received, by the performance clock. */
  readonly at: number;
  readonly bytes: number;
}

/** A range of rows; `end` is exclusive. */
export interface Rows {
  readonly start: number;
  readonly end: number;
}

/** Where a frame went. */
export interface Placed {
  readonly key: string;
  /** For rows of a growable array and planes of a fixed one. */
  readonly rows?: Rows;
}

/** Says that a frame is committed. */
export interface Receipt extends Placed {
  /** The frame's sequence number. */
  readonly seq: number;
  /** The dict's commit number after the frame's commit. */
  readonly commitNumber: number;
  /** The bytes of the frame's elements. */
  readonly bytes: number;
  /** Milliseconds from receiving the frame to its commit. */
  readonly latency: number;
  /** The file it went to. */
  readonly path: string;
}

/** A place in a dict that frames are written to. */
export interface Target<T> {
  /** Sequence number of the first frame: above 0 where the place holds frames already. */
  readonly firstSeq: number;
  /** Frames with this sequence number or a higher one are not taken any more: the stream ends. */
  readonly endSeq?: number | undefined;
  /**
   * The frame's bytes.
   * @throws MmdError when it is not a frame for this target
   */
  measure(item: T, seq: number): number;
  /** The frame with bytes of its own, for waiting in the queue while its source goes on. */
  own(item: T): T;
  /** Writes frames, with rising sequence numbers, inside one batch of the dict. */
  write(frames: readonly Pending<T>[]): Placed[];
  /** Seals what can be sealed, inside a batch. `nextSeq` is the number that the next frame would have had. */
  finish(nextSeq: number): void;
}
