/**
 * The bytes of a view, and allocation of new ones.
 *
 * @module
 */

import { MmdError } from '../errors.ts';

/**
 * The bytes of a typed array or DataView.
 *
 * @returns its memory from its first byte to its last, borrowed
 * @throws INVALID_ARGUMENT if its buffer was transferred (to a worker, say) or shrunk so that the view is out of bounds: such a view
 *   looks empty, and storing it as empty would lose its data
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
    const bytes = new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
    // Throws if a resizable buffer was shrunk to end before the view begins; nothing else detects that.
    if (bytes.length === 0 && 'keys' in view) (view as Uint8Array).keys();
    return bytes;
  } catch (cause) {
    const message = 'bytes: the buffer of this typed array was transferred or shrunk; its bytes are gone';
    throw new MmdError('INVALID_ARGUMENT', message, { cause });
  }
}

/**
 * Allocates zeroed bytes.
 * @param what - what they will hold, for the message
 * @param instead - what to do instead, appended to the message
 * @throws LIMIT_EXCEEDED if the engine cannot allocate an array of that length: on Node 20 the maximum is 4 GiB
 */
export function newBytes(length: number, what: string, instead = ''): Uint8Array<ArrayBuffer> {
  try {
    return new Uint8Array(length);
  } catch (cause) {
    throw new MmdError('LIMIT_EXCEEDED', `${what} of ${length} bytes does not fit in one buffer${instead}`, {
      found: length,
      limit: 'ArrayBuffer',
      cause,
    });
  }
}
