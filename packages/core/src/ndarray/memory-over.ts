/**
 * Bytes in memory as an {@link ArrayMemory}.
 *
 * @module
 */

import { MmdError } from '../errors.ts';
import { checkOptions, isAnything, isFlag, type OptionTable, shown, wrongArgument } from '../options.ts';
import type { ArrayMemory } from './array-memory.ts';

/** Options of {@link memoryOver}. */
export interface MemoryOverOptions {
  /** If false, arrays refuse `set` and `fill`. Default true. */
  readonly writable?: boolean;
  /** The longest window, in bytes. Default: all bytes. Small windows exercise the code for huge arrays. */
  readonly maxWindow?: number;
}

/** `maxWindow` is checked below. */
const MEMORY_OPTIONS: OptionTable = { writable: isFlag, maxWindow: isAnything };

/**
 * Makes an {@link ArrayMemory} of bytes, which are borrowed: stores are seen on both sides.
 *
 * @param bytes - the bytes; never copied
 * @param options - {@link MemoryOverOptions}, or just whether it is writable
 *
 * @example
 * ```ts
 * import { memoryOver, NDArray } from '@mmdpickle/core/ndarray';
 *
 * const bytes = new Uint8Array(16);
 * const array = NDArray.over(memoryOver(bytes), 'float64', [2]);
 * array.set(1, 2.5);
 * bytes[15]; // 64: the last byte of 2.5
 * ```
 */
export function memoryOver(bytes: Uint8Array, options: boolean | MemoryOverOptions = true): ArrayMemory {
  if (!(bytes instanceof Uint8Array)) throw wrongArgument('the memory of an array', 'a Uint8Array', bytes);
  const { writable = true, maxWindow = bytes.byteLength } =
    typeof options === 'boolean' ? { writable: options } : checkOptions(options, MEMORY_OPTIONS);
  if (!(Number.isSafeInteger(maxWindow) && (maxWindow > 0 || bytes.byteLength === 0))) {
    throw new MmdError('INVALID_ARGUMENT', `maxWindow must be a positive integer, found ${shown(maxWindow)}`, {
      found: maxWindow,
    });
  }
  return {
    byteLength: bytes.byteLength,
    writable,
    maxWindow,
    closed: false,
    bytes(offset: number, length: number): Uint8Array {
      const inside = Number.isSafeInteger(offset) && Number.isSafeInteger(length) && offset >= 0 && length >= 0;
      if (!inside || offset + length > bytes.byteLength || length > maxWindow) {
        throw new MmdError(
          'INVALID_ARGUMENT',
          `a window of ${length} bytes at ${offset} does not fit a memory of ${bytes.byteLength} bytes (windows up to ${maxWindow})`,
          { offset, expected: bytes.byteLength, found: length },
        );
      }
      return bytes.subarray(offset, offset + length);
    },
  };
}
