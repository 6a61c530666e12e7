/**
 * Stand-ins for numpy's values that are not arrays.
 *
 * @module
 */

import { MmdError } from '../../errors.ts';
import { type Inspect, inspectAs, showAs } from '../../inspect.ts';
import type { Complex } from '../../ndarray/complex.ts';
import type { DType } from '../../ndarray/dtypes.ts';
import type { NDArrayInit } from '../../ndarray/layout.ts';
import { isDType } from '../../ndarray/make-dtype.ts';
import { memoryOver } from '../../ndarray/memory-over.ts';
import { NDArray } from '../../ndarray/nd-array.ts';
import { checkArgument } from './check.ts';
import { bytesKey, canonical, canonicalOf, complexKey, type Keyed, type KeySpace, numberKey } from './keys.ts';
import { rationalKey } from './numbers.ts';

/**
 * A text of one character that is not a code point: numpy cannot load it. CPython does not check all of longer texts.
 */
function isNoCharacter(bytes: Uint8Array, { kind, byteorder }: DType): boolean {
  if (kind !== 'U' || bytes.length < 4) return false;
  const code = new DataView(bytes.buffer, bytes.byteOffset, bytes.length).getUint32(0, byteorder !== '>');
  return code > 0x10ffff && bytes.subarray(4).every((byte) => byte === 0);
}

/**
 * A numpy scalar: a value with its dtype, so that `np.float32(1)` is written as one again.
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

  /** @throws MmdError INVALID_ARGUMENT if the bytes are not one element, or not a valid character */
  constructor(dtype: DType, bytes: Uint8Array, record = false) {
    checkArgument(isDType(dtype), 'the type of a scalar must be a DType', dtype);
    checkArgument(bytes instanceof Uint8Array, 'the bytes of a scalar must be a Uint8Array', bytes);
    if (bytes.length !== dtype.itemsize || dtype.hasObject) {
      throw new MmdError('INVALID_ARGUMENT', `${bytes.length} bytes are not one element of ${dtype.name}`, {
        found: bytes.length,
      });
    }
    checkArgument(!isNoCharacter(bytes, dtype), 'a string of one character must be a valid code point', bytes);
    this.dtype = dtype;
    this.bytes = bytes;
    this.record = record;
    Object.freeze(this);
  }

  /** A scalar of a value that fits into an array of the dtype. @throws MmdError UNSUPPORTED_DTYPE, UNSUPPORTED_VALUE */
  static of(value: unknown, dtype: Parameters<typeof NDArray.zeros>[1]): NumpyScalar {
    const array = NDArray.zeros([], dtype);
    array.set(value);
    return new NumpyScalar(array.type, array.memory.bytes(0, array.type.itemsize));
  }

  /** The value, as an element of an array gives it. @throws MmdError CORRUPT for text that holds an invalid code point */
  get value(): unknown {
    return NDArray.over(memoryOver(this.bytes, false), this.dtype, []).get();
  }

  valueOf(): unknown {
    return this.value;
  }

  /** The value for display; the bytes if they do not hold a valid one. */
  get #shown(): unknown {
    try {
      return this.value;
    } catch {
      return this.bytes;
    }
  }

  toString(): string {
    const shown = this.#shown;
    return typeof shown === 'object' && shown !== null ? `${this.dtype.name} scalar` : String(shown);
  }

  toJSON(): unknown {
    const shown = this.#shown;
    return typeof shown === 'bigint' ? String(shown) : shown;
  }

  static {
    showAs(NumpyScalar, (self, depth: number, options: object, inspect?: Inspect) =>
      inspectAs(`numpy.${self.dtype.name}`, self.#shown, depth, options, inspect),
    );
  }

  /** @internal Python cannot hash records and raw elements: they could change. */
  get pyUnhashable(): boolean {
    return this.record || this.dtype.kind === 'V';
  }

  /** @internal Equal to the plain value. */
  pyKey(space: KeySpace): string | undefined {
    const { dtype, bytes } = this;
    const little = dtype.byteorder !== '>';
    switch (dtype.kind) {
      case 'S':
        return space.element(bytes, 'S', () => bytesKey(this.value as Uint8Array));
      case 'U':
        return space.element(bytes, little ? 'U' : '>U', () => textKey(this, space));
      case 'M':
      case 'm': {
        const count = this.value as bigint | null;
        const kind = dtype.kind === 'M' ? 'datetime64' : 'timedelta64';
        return count === null ? undefined : canonicalOf(kind, [unitOf(dtype), `${count}`]);
      }
      case 'f':
        if (dtype.itemsize === LONG_DOUBLE) return longDoubleKey(bytes, little);
        break;
      case 'c':
        return dtype.itemsize === 2 * LONG_DOUBLE ? longComplexKey(bytes, little) : complexKey(this.value as Complex);
    }
    const value = this.value as number | bigint | boolean;
    return Number.isNaN(value) ? undefined : space.key(value);
  }
}

/** The unit of a datetime64 or timedelta64, as in `[ms]`. */
const unitOf = ({ name }: DType): string => name.slice(name.indexOf('['));

function textKey(scalar: NumpyScalar, space: KeySpace): string {
  let text: unknown;
  try {
    text = scalar.value;
  } catch {
    // It holds an invalid code point. In Python it is still equal to itself.
    return unitsKey(scalar);
  }
  return space.key(text);
}

function unitsKey({ bytes, dtype }: NumpyScalar): string {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const units = Array.from({ length: bytes.length / 4 }, (_, i) => view.getUint32(4 * i, dtype.byteorder !== '>'));
  while (units.at(-1) === 0) units.pop();
  return canonical('badText', units.join());
}

/** Bytes of a float128, which numpy has on x86: ten of the x87 format, and padding. */
const LONG_DOUBLE = 16;

function longDoubleKey(bytes: Uint8Array, little: boolean): string | undefined {
  // A copy: the slice of a Buffer would not be one.
  const own = new Uint8Array(bytes);
  const view = new DataView((little ? own : own.reverse()).buffer);
  const mantissa = view.getBigUint64(0, true);
  const [sign, exponent] = [view.getUint16(8, true) >> 15, view.getUint16(8, true) & 0x7fff];
  if (exponent === 0x7fff) {
    const infinite = BigInt.asUintN(63, mantissa) === 0n;
    return infinite ? numberKey(sign === 1 ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY) : undefined;
  }
  const power = BigInt(Math.max(1, exponent) - 16_446);
  const digits = sign === 1 ? -mantissa : mantissa;
  return power < 0n ? rationalKey(digits, 1n << -power) : rationalKey(digits << power, 1n);
}

function longComplexKey(bytes: Uint8Array, little: boolean): string | undefined {
  const [re, im] = [0, LONG_DOUBLE].map((at) => longDoubleKey(bytes.subarray(at, at + LONG_DOUBLE), little));
  if (re === undefined || im === undefined) return undefined;
  return im === numberKey(0) ? re : canonicalOf('complex', [re, im]);
}

/** The dtype of record arrays: a structured dtype whose scalars are `numpy.record`. */
export class RecordType implements Keyed {
  readonly dtype: DType;

  /** @throws MmdError INVALID_ARGUMENT */
  constructor(dtype: DType) {
    checkArgument(isDType(dtype), 'the type of records must be a DType', dtype);
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
    return canonical('dtype', JSON.stringify(this.dtype.spec));
  }
}

/** numpy's `recarray`: a structured array whose elements are records. */
export class RecArray extends NDArray {
  /** As `NDArray.over`, for a structured dtype. */
  constructor(init: NDArrayInit) {
    super(init);
  }
}
