/**
 * The bytes under a view.
 *
 * @module
 */

import { MmdError } from '../errors.ts';

/**
 * The bytes of a typed array or DataView.
 *
 * @returns its memory from its first byte to its last, borrowed
 * @throws INVALID_ARGUMENT where its buffer was transferred (to a worker, say): it looks like an empty one, and nothing is to be
 *   stored in its place
 *
 * @example
 * ```ts
 * import { viewBytes } from '@mmdpickle/core/ndarray';
 *
 * const samples = new Uint16Array([1, 2, 3]);
 * viewBytes(samples.subarray(1)).length; // 4
 * ```
 */
export function viewBytes(view: ArrayBufferView): Uint8Array {
  try {
    return new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
  } catch (cause) {
    throw new MmdError('INVALID_ARGUMENT', 'bytes: the buffer of this typed array was transferred, it has none left', {
      cause,
    });
  }
}
