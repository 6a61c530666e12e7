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
  /**
   * Where the first byte stands in what several memories may have in common, such as a file; or that of `buffer`, if it is
   * a window onto the same. Tells whether two arrays overlap without opening windows. Absent: `bytes` tells.
   */
  place?(buffer?: ArrayBufferLike): { readonly in: object; readonly at: number } | undefined;
  /** msync: returns when stores of the range are on the disk. */
  flush?(offset: number, length: number): void;
  /** madvise for the range. */
  advise?(offset: number, length: number, advice: Advice): void;
  /**
   * Lays the file's pages over a page-aligned part of `target` (a WebAssembly memory), so that a kernel
   * reads them without a copy. Undo with `release` before anything else uses the range, and before the memory grows.
   *
   * `targetOffset` must make a page-aligned address (a multiple of 65536 always does), and
   * `[targetOffset, targetOffset + length + 2 pages)` must lie inside `target`. The pages are for reading: stores stay private.
   * @param room - bytes from `targetOffset` on that the stretch may be laid anywhere in. With 2 MiB and 2 pages more than
   *   `length`, large pages can be laid in whole, which spares most page faults. Default: no choice
   * @returns where the stretch begins in `target`; `undefined` where this memory cannot (no file behind it,
   * private changes, no room, misaligned): copy then
   */
  mapFixed?(
    target: ArrayBuffer,
    targetOffset: number,
    offset: number,
    length: number,
    room?: number,
  ): FixedStretch | undefined;
}

/** A stretch that {@link ArrayMemory.mapFixed} laid into another buffer. */
export interface FixedStretch {
  /** Byte offset in the target buffer of the stretch's first byte. */
  readonly at: number;
  /** True after `release`, and when the file took its pages back: it was closed, or cut. The stretch reads as zeros then. */
  readonly released: boolean;
  /** Brings the pages of a part in, which costs less than a fault for each of them. Nothing more than a hint. */
  prefetch?(offset: number, length: number): void;
  /** Puts zero pages of memory back. */
  release(): void;
}

/** How an array can be said to be walked (madvise). */
export const ADVICES = ['normal', 'sequential', 'random', 'willneed', 'dontneed'] as const;

/** How the array will be walked (madvise). */
export type Advice = (typeof ADVICES)[number];
