/**
 * The inner loops of sum, min and max over typed arrays.
 *
 * @module
 */

import type { NumberArray } from './element-store.ts';

/** Elements summed without regard to rounding: the error of a block is that of 8 short sums. */
export const SUM_BLOCK = 4096;

/** This many 32-bit integers add up exactly in a double: 2^20 * 2^32 < 2^53. */
export const EXACT_BLOCK: number = 2 ** 20;

/**
 * Pairwise summation, as in numpy: the rounding error grows with the logarithm of the count. As in a binary counter, sums
 * of equally many numbers are added to each other.
 */
export class PairwiseSum {
  readonly #sums: number[] = [];
  #count = 0;

  add(value: number): void {
    let sum = value;
    for (let bits = this.#count; bits % 2 === 1; bits = (bits - 1) / 2) sum += this.#sums.pop() as number;
    this.#sums.push(sum);
    this.#count += 1;
  }

  total(): number {
    return this.#sums.reduceRight((total, sum) => total + sum, 0);
  }
}

/**
 * The sum of elements `[start, end)`. Eight accumulators are three times faster than one: the processor need not wait for
 * the previous addition.
 */
export function sumRange(span: NumberArray, start: number, end: number): number {
  let [a, b, c, d] = [0, 0, 0, 0];
  let [e, f, g, h] = [0, 0, 0, 0];
  let i = start;
  for (const last = end - 7; i < last; i += 8) {
    a += span[i] as number;
    b += span[i + 1] as number;
    c += span[i + 2] as number;
    d += span[i + 3] as number;
    e += span[i + 4] as number;
    f += span[i + 5] as number;
    g += span[i + 6] as number;
    h += span[i + 7] as number;
  }
  for (; i < end; i += 1) a += span[i] as number;
  return a + b + (c + d) + (e + f + (g + h));
}

/** The sum of elements `start`, `start + 2`, ... below `end`. */
export function sumEverySecond(span: NumberArray, start: number, end: number): number {
  let [a, b, c, d] = [0, 0, 0, 0];
  let i = start;
  for (const last = end - 6; i < last; i += 8) {
    a += span[i] as number;
    b += span[i + 2] as number;
    c += span[i + 4] as number;
    d += span[i + 6] as number;
  }
  for (; i < end; i += 2) a += span[i] as number;
  return a + b + (c + d);
}

/** How many elements `[start, end)` are not 0. */
export function countTrue(span: NumberArray, start: number, end: number): number {
  let count = 0;
  for (let i = start; i < end; i += 1) count += span[i] === 0 ? 0 : 1;
  return count;
}

/** Adds the sums of blocks of {@link SUM_BLOCK} elements. */
export function sumBlocks(span: NumberArray, total: PairwiseSum): void {
  for (let at = 0; at < span.length; at += SUM_BLOCK) {
    total.add(sumRange(span, at, Math.min(span.length, at + SUM_BLOCK)));
  }
}

/** The least element of a non-empty span; NaN if it contains one. */
export function minSpan(span: NumberArray): number {
  let a = span[0] as number;
  let [b, c, d] = [a, a, a];
  let i = 0;
  // Math.min keeps NaN.
  for (const last = span.length - 3; i < last; i += 4) {
    a = Math.min(a, span[i] as number);
    b = Math.min(b, span[i + 1] as number);
    c = Math.min(c, span[i + 2] as number);
    d = Math.min(d, span[i + 3] as number);
  }
  for (; i < span.length; i += 1) a = Math.min(a, span[i] as number);
  return Math.min(a, b, c, d);
}

/** The greatest element of a non-empty span; NaN if it contains one. */
export function maxSpan(span: NumberArray): number {
  let a = span[0] as number;
  let [b, c, d] = [a, a, a];
  let i = 0;
  for (const last = span.length - 3; i < last; i += 4) {
    a = Math.max(a, span[i] as number);
    b = Math.max(b, span[i + 1] as number);
    c = Math.max(c, span[i + 2] as number);
    d = Math.max(d, span[i + 3] as number);
  }
  for (; i < span.length; i += 1) a = Math.max(a, span[i] as number);
  return Math.max(a, b, c, d);
}
