/**
 * The one asynchronous, read-only IO interface: enough to read a dict, a pickle
 * or an npy file from a Blob, over HTTP or from memory.
 *
 * @module
 */

/** Anything that byte ranges can be read from. */
export interface ByteSource {
  /** A path, URL or label, for error messages. */
  readonly name: string;
  /** The size in bytes. */
  size(signal?: AbortSignal): Promise<number>;
  /**
   * Reads a range. The returned bytes belong to the caller.
   * @returns exactly `length` bytes; TRUNCATED when the source ends too early
   */
  read(offset: number, length: number, signal?: AbortSignal): Promise<Uint8Array>;
}
