/**
 * Out-of-band buffers of protocol 5.
 *
 * @module
 */

import { checkArgument } from './check.ts';

/** A buffer that was handed over beside the pickle. It is written again out of band if that is asked for, else as bytes or bytearray. */
export class OutOfBandBuffer {
  /** The bytes that were given; borrowed. */
  readonly bytes: Uint8Array;
  /** Its place among the buffers. */
  readonly index: number;
  readonly readonly: boolean;

  /** @throws MmdError INVALID_ARGUMENT */
  constructor(bytes: Uint8Array, index = 0, readonly = false) {
    checkArgument(bytes instanceof Uint8Array, 'a buffer is a Uint8Array', bytes);
    this.bytes = bytes;
    this.index = index;
    this.readonly = readonly;
    Object.freeze(this);
  }

  /** @internal */
  get pyUnhashable(): boolean {
    return true;
  }
}
