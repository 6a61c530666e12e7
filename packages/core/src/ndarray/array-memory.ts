/**
 * Where an array's bytes live: one typed array, or a mapping of any size.
 *
 * @module
 */

/**
 * Bytes that an array is laid over. An `ArrayBuffer` ends at 4 GiB on Node 20, so
 * larger memories are served through windows.
 */
export interface ArrayMemory {
  /** All bytes, up to 2^53 - 1. */
  readonly byteLength: number;
  /** False: `set`, `fill` and `append` of arrays over this memory throw READ_ONLY. */
  readonly writable: boolean;
  /** The longest stretch that {@link ArrayMemory.bytes} can give in one piece. */
  readonly maxWindow: number;
  /** True once the file behind it is closed; views then read as zeros. */
  readonly closed: boolean;
  /**
   * A borrowed view of a stretch, over the very bytes; equal calls may share one buffer.
   * @throws CLOSED; INVALID_ARGUMENT when it leaves the memory or passes `maxWindow`
   */
  bytes(offset: number, length: number): Uint8Array;
  /** Stores bytes by a positional write (no page faults), seen by every view. Absent: store through `bytes`. */
  write?(offset: number, bytes: Uint8Array): void;
  /** msync: returns when stores of the range are on the disk. */
  flush?(offset: number, length: number): void;
  /** madvise for the range. */
  advise?(offset: number, length: number, advice: Advice): void;
}

/** How the array will be walked (madvise). */
export type Advice = 'normal' | 'sequential' | 'random' | 'willneed' | 'dontneed';
