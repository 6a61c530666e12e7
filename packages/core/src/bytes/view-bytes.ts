/**
 * The bytes under a view.
 *
 * @module
 */

import { MmdError } from '../errors.ts';

/**
 * The bytes of a typed array or DataView, borrowed.
 * @throws INVALID_ARGUMENT where its buffer was transferred: it looks like an empty one, and nothing is to be stored in its place
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
