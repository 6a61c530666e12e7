/**
 * IEEE 754 binary16, for runtimes without `Float16Array` (Node 20).
 *
 * @module
 */

/**
 * The number that the 16 bits of a half-precision float represent. Exact for all 65,536 patterns, except
 * that a NaN's payload and sign may be lost where the engine canonicalises NaN.
 *
 * @param bits - 0 to 0xFFFF
 *
 * @example
 * ```ts
 * import { float16FromBits } from '@mmdpickle/core/ndarray';
 *
 * float16FromBits(0x3c00); // 1
 * float16FromBits(0x0001); // 5.960464477539063e-8, the smallest subnormal
 * ```
 */
export function float16FromBits(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >>> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 0x1f) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return sign * (1024 + fraction) * (POWERS[exponent] as number);
}

/** 2^(exponent - 25), precomputed: `**` is a call that takes longer than everything else here. */
const POWERS: readonly number[] = Array.from({ length: 31 }, (_, exponent) => 2 ** (exponent - 25));

/**
 * {@link float16FromBits} for many values. The bits of a half, shifted to their place in a float32, represent 2^-112 times its value,
 * even for subnormals.
 *
 * @param bits - no more of them than `into` has room for
 */
export function float16sFromBits(bits: ArrayLike<number>, into: Float32Array): void {
  const words = new Uint32Array(into.buffer, into.byteOffset, into.length);
  for (let i = 0; i < bits.length; i += 1) {
    const half = bits[i] as number;
    const finite = (half & 0x7c00) !== 0x7c00;
    words[i] = ((half & 0x8000) << 16) | ((half & 0x7fff) << 13) | (finite ? 0 : 0x7f800000);
    if (finite) into[i] = (into[i] as number) * 2 ** 112;
  }
}

/**
 * The bits of the half-precision float nearest to a number: ties go to even, numbers that are too large to infinity,
 * small ones to subnormals and signed zero, NaN to the quiet NaN 0x7E00. Rounded once, from the full double.
 *
 * @returns 0 to 0xFFFF
 *
 * @example
 * ```ts
 * import { float16ToBits } from '@mmdpickle/core/ndarray';
 *
 * float16ToBits(65504); // 31743, which is 0x7bff, the largest finite one
 * float16ToBits(65520); // 31744, infinity
 * ```
 */
export function float16ToBits(value: number): number {
  if (Number.isNaN(value)) return 0x7e00;
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  const size = Math.abs(value);
  if (size >= 65520) return sign | 0x7c00;
  // Below 2^-14 the spacing is that of the subnormals; a fraction that rounds up carries into the exponent by itself.
  if (size < 2 ** -14) return sign | roundToEven(size * 2 ** 24);
  let exponent = Math.floor(Math.log2(size));
  // log2 rounds, so it may land on the next power of two.
  if (2 ** exponent > size) exponent -= 1;
  const fraction = roundToEven(size * 2 ** (10 - exponent));
  return sign | (((exponent + 15) << 10) + (fraction - 1024));
}

/** Rounds a non-negative number below 2^31 to an integer, ties to even; scaling by powers of two beforehand is exact. */
function roundToEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  if (rest > 0.5 || (rest === 0.5 && floor % 2 === 1)) return floor + 1;
  return floor;
}
