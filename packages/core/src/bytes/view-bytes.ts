/**
 * The bytes under a view, and new ones.
 *
 * @module
 */

import { MmdError } from '../errors.ts';

/**
 * The bytes of a typed array or DataView.
 *
 * @returns its memory from its first byte to its last, borrowed
 * @throws INVALID_ARGUMENT where its buffer was transferred (to a worker, say), or cut before its end: it looks like an empty one,
 *   and nothing is to be stored in its place
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
    // This throws where a resizable buffer ends before the view begins, which is nowhere else to be seen.
    if (bytes.length === 0 && 'keys' in view) (view as Uint8Array).keys();
    return bytes;
  } catch (cause) {
    const message = 'bytes: the buffer of this typed array was transferred or cut, it has none left';
    throw new MmdError('INVALID_ARGUMENT', message, { cause });
  }
}

/**
 * Zeroed bytes.
 * @param what - they are to hold, for the message
 * @param instead - what to do instead, at the end of the message
 * @throws LIMIT_EXCEEDED where the engine has no array of so many: on Node 20 one ends at 4 GiB
 */
export function newBytes(length: number, what: string, instead = ''): Uint8Array<ArrayBuffer> {
  try {
    return new Uint8Array(length);
  } catch (cause) {
    throw new MmdError('LIMIT_EXCEEDED', `${what} of ${length} bytes does not fit one buffer${instead}`, {
      found: length,
      limit: 'ArrayBuffer',
      cause,
    });
  }
}
