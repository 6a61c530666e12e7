import { type DTypeLike, memoryOver, NDArray } from '@mmdpickle/core';
import { ArrayStub, type StubOptions } from './array-stub.ts';

const CHUNK_BYTES = 1 << 20;

/**
 * An array whose elements all have the same value; it is written chunk by chunk, never held in memory.
 *
 * @example
 * ```ts
 * import { MmapDict } from '@mmdpickle/core/node';
 * import { FullNDArray } from '@mmdpickle/stubs';
 *
 * using dict = MmapDict.open('full.mmdpickle');
 * dict.set('gain', new FullNDArray([512, 1024], 1.5, 'float32'));
 * ```
 */
export class FullNDArray extends ArrayStub {
  readonly value: unknown;
  /** Absent when every byte is zero: such an array stays sparse. */
  readonly bytes?: () => Iterable<Uint8Array>;

  /**
   * @param value - any element that the dtype can hold
   * @param dtype - default: bool for a boolean, int64 for a bigint, else float64
   * @throws MmdError INVALID_ARGUMENT, UNSUPPORTED_DTYPE, UNSUPPORTED_VALUE when the dtype cannot hold the value
   */
  constructor(
    shape: readonly number[],
    value: unknown,
    dtype: DTypeLike = dtypeOfValue(value),
    options: StubOptions = {},
  ) {
    super(shape, dtype, options);
    this.value = value;
    const element = new Uint8Array(this.type.itemsize);
    NDArray.over(memoryOver(element), this.type, [1]).fill(value as never);
    if (element.some((byte) => byte !== 0)) this.bytes = () => repeated(element, this.nbytes);
  }
}

function dtypeOfValue(value: unknown): string {
  if (typeof value === 'boolean') return 'bool';
  return typeof value === 'bigint' ? 'int64' : 'float64';
}

function* repeated(element: Uint8Array, nbytes: number): Generator<Uint8Array> {
  const perChunk = Math.max(1, Math.floor(CHUNK_BYTES / element.length)) * element.length;
  const chunk = new Uint8Array(Math.min(perChunk, nbytes));
  for (let pos = 0; pos < chunk.length; pos += element.length) chunk.set(element, pos);
  for (let left = nbytes; left > 0; left -= chunk.length) yield left < chunk.length ? chunk.subarray(0, left) : chunk;
}
