/**
 * Stand-ins for numpy's values that are not arrays.
 *
 * @module
 */

import { MmdError } from '../../errors.ts';
import type { DType } from '../../ndarray/dtypes.ts';
import type { NDArrayInit } from '../../ndarray/layout.ts';
import { memoryOver } from '../../ndarray/memory-over.ts';
import { NDArray } from '../../ndarray/nd-array.ts';
import { type Inspect, inspectAs, showAs } from './inspect.ts';
import type { Keyed, KeySpace } from './keys.ts';

/**
 * A numpy scalar: a value with its dtype, so that `np.float32(1)` is one again when it is written.
 *
 * @example
 * ```ts
 * import { NumpyScalar } from '@mmdpickle/core/pickle';
 *
 * const gain = NumpyScalar.of(2.5, 'float32');
 * Number(gain) * 2; // 5
 * ```
 */
export class NumpyScalar implements Keyed {
  readonly dtype: DType;
  /** The element's bytes, in the dtype's byte order. Borrowed or owned, as they were given. */
  readonly bytes: Uint8Array;
  /** True for `numpy.record`, the scalars of record arrays. */
  readonly record: boolean;

  /** @throws MmdError INVALID_ARGUMENT where the bytes are not one element */
  constructor(dtype: DType, bytes: Uint8Array, record = false) {
    if (bytes.length !== dtype.itemsize || dtype.hasObject) {
      throw new MmdError('INVALID_ARGUMENT', `${bytes.length} bytes are not one ${dtype.name}`, {
        found: bytes.length,
      });
    }
    this.dtype = dtype;
    this.bytes = bytes;
    this.record = record;
    Object.freeze(this);
  }

  /** A scalar of a value that fits an array of the dtype. @throws MmdError UNSUPPORTED_DTYPE, UNSUPPORTED_VALUE */
  static of(value: unknown, dtype: Parameters<typeof NDArray.zeros>[1]): NumpyScalar {
    const array = NDArray.zeros([], dtype);
    array.set(value);
    return new NumpyScalar(array.type, array.memory.bytes(0, array.type.itemsize));
  }

  /** The value, as an element of an array gives it. */
  get value(): unknown {
    return NDArray.over(memoryOver(this.bytes, false), this.dtype, []).get();
  }

  valueOf(): unknown {
    return this.value;
  }

  toString(): string {
    const { value } = this;
    return typeof value === 'object' && value !== null ? `${this.dtype.name} scalar` : String(value);
  }

  toJSON(): unknown {
    const { value } = this;
    return typeof value === 'bigint' ? String(value) : value;
  }

  static {
    showAs(NumpyScalar, (self, depth: number, options: object, inspect?: Inspect) =>
      inspectAs(`numpy.${self.dtype.name}`, self.value, depth, options, inspect),
    );
  }

  /** @internal Equal to the plain value. */
  pyKey(space: KeySpace): string {
    const { value } = this;
    const { kind } = this.dtype;
    if (kind === 'M' || kind === 'm' || kind === 'V') return `np${this.dtype.name}:${this.bytes.join()}`;
    return space.key(value);
  }
}

/** The dtype of record arrays: a structured dtype whose scalars are `numpy.record`. */
export class RecordType implements Keyed {
  readonly dtype: DType;

  constructor(dtype: DType) {
    this.dtype = dtype;
    Object.freeze(this);
  }

  toString(): string {
    return `(numpy.record, ${this.dtype.name})`;
  }

  static {
    showAs(RecordType, (self) => self.toString());
  }

  /** @internal */
  pyKey(): string {
    return `dtype${JSON.stringify(this.dtype.spec)}`;
  }
}

/** numpy's `recarray`: a structured array whose elements are records. */
export class RecArray extends NDArray {
  /** As `NDArray.over`, for a structured dtype. */
  constructor(init: NDArrayInit) {
    super(init);
  }
}
