/**
 * Out-of-band buffers of protocol 5.
 *
 * @module
 */

import { checkArgument } from './check.ts';

/** A buffer that was passed beside the pickle. It is written out of band again if requested, else as bytes or bytearray. */
export class OutOfBandBuffer {
  /** The bytes that were given; borrowed. */
  readonly bytes: Uint8Array;
  /** Its position among the buffers. */
  readonly index: number;
  readonly readonly: boolean;

  /** @throws MmdError INVALID_ARGUMENT */
  constructor(bytes: Uint8Array, index = 0, readonly = false) {
    checkArgument(bytes instanceof Uint8Array, 'a buffer must be a Uint8Array', bytes);
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
