/**
 * Where an array's bytes live: one typed array, or a mapping of any size.
 *
 * @module
 */

/**
 * The bytes under an array. An `ArrayBuffer` is limited to 4 GiB on Node 20, so
 * larger memories are accessed through windows.
 */
export interface ArrayMemory {
  /** Length in bytes, up to 2^53 - 1. */
  readonly byteLength: number;
  /** If false, `set`, `fill` and `append` of arrays over this memory throw READ_ONLY. */
  readonly writable: boolean;
  /** The longest range that {@link ArrayMemory.bytes} can return, in bytes. */
  readonly maxWindow: number;
  /** True once the underlying file is closed; views then read as zeros. */
  readonly closed: boolean;
  /**
   * A borrowed view of a range of the memory itself; calls with the same arguments may share one buffer.
   * @throws CLOSED; INVALID_ARGUMENT if the range extends beyond the memory or is longer than `maxWindow`
   */
  bytes(offset: number, length: number): Uint8Array;
  /** Stores bytes with a positional write (no page faults); every view sees them. If absent, store through `bytes`. */
  write?(offset: number, bytes: Uint8Array): void;
  /**
   * What this memory may share with others, such as a file, and the offset in it of the memory's first byte; or of the first
   * byte of `buffer`, if that is a window onto the same. Tells whether two arrays overlap without opening windows. If absent,
   * `bytes` is used instead.
   */
  place?(buffer?: ArrayBufferLike): { readonly in: object; readonly at: number } | undefined;
  /** msync: returns when stores to the range are on the disk. */
  flush?(offset: number, length: number): void;
  /** madvise for the range. */
  advise?(offset: number, length: number, advice: Advice): void;
  /**
   * Maps the file's pages over a page-aligned part of `target` (a WebAssembly memory), so that a kernel
   * reads them without a copy. Call `release` before anything else uses the range, and before the memory grows.
   *
   * `targetOffset` must result in a page-aligned address (a multiple of 65536 always does), and
   * `[targetOffset, targetOffset + length + 2 pages)` must lie inside `target`. The pages are for reading: stores stay private.
   * @param room - how many bytes from `targetOffset` on the range may be placed in. If that is `length` plus 2 MiB and
   *   2 pages, whole large pages can be mapped, which avoids most page faults. Default: at `targetOffset` only
   * @returns the mapped range; `undefined` if this memory cannot be mapped (no file behind it,
   * private changes, no room, misaligned): copy instead
   */
  mapFixed?(
    target: ArrayBuffer,
    targetOffset: number,
    offset: number,
    length: number,
    room?: number,
  ): FixedStretch | undefined;
}

/** A range that {@link ArrayMemory.mapFixed} mapped into another buffer. */
export interface FixedStretch {
  /** Offset of the range's first byte in the target buffer. */
  readonly at: number;
  /** True after `release`, and once the file was closed or truncated, which unmaps the pages. The range then reads as zeros. */
  readonly released: boolean;
  /** Populates the pages of a part, which costs less than a fault for each of them. Only a hint. */
  prefetch?(offset: number, length: number): void;
  /** Unmaps the file: zero pages replace its pages. */
  release(): void;
}

/** The access patterns that `advise` accepts (madvise). */
export const ADVICES = ['normal', 'sequential', 'random', 'willneed', 'dontneed'] as const;

/** The access pattern to expect (madvise). */
export type Advice = (typeof ADVICES)[number];
