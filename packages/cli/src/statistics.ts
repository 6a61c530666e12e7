/**
 * Statistics of an array of any size in bounded memory: one pass for count, minimum, maximum, mean and
 * deviation (Welford, Technometrics 4, 1962), one more for the histogram.
 *
 * @module
 */

import { NDArray } from '@mmdpickle/core';
import { type AnyArray, dataOf } from './arrays.ts';
import { usageError } from './errors.ts';

/** Statistics of an array's finite elements; masked elements are only counted, and NaT counts as nan. */
export interface Statistics {
  readonly count: number;
  readonly masked: number;
  readonly nan: number;
  readonly infinite: number;
  /** The least element itself: a bigint if the array's elements are. */
  readonly min: number | bigint | undefined;
  readonly max: number | bigint | undefined;
  readonly mean: number | undefined;
  /** Of the population, as numpy's `std()`. */
  readonly std: number | undefined;
  /** Counts of equal bins from `min` to `max`. */
  readonly histogram: readonly number[];
}

const CHUNK_BYTES = 1 << 20;
const NUMERIC_KINDS = 'biufmM';

/** Walks the array twice, chunk by chunk. */
export function statisticsOf(
  array: AnyArray,
  bins: number,
  onProgress?: (progress: { done: number; total: number }) => void,
): Statistics {
  const { kind, itemsize } = dataOf(array).type;
  // JavaScript has no 16-byte numbers.
  if (!NUMERIC_KINDS.includes(kind) || itemsize > 8)
    throw usageError(`stats: cannot compute the minimum and mean of ${array.dtype} elements`);
  const total = 2 * dataOf(array).nbytes;
  let seen = 0;
  const report = (count: number): void => {
    seen += count * itemsize;
    onProgress?.({ done: seen, total });
  };
  let [count, masked, nan, infinite, mean, squares] = [0, 0, 0, 0, 0, 0];
  let [min, max]: (number | bigint)[] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY] as const;
  for (const values of numbers(array)) {
    for (const element of values) {
      const value = typeof element === 'bigint' ? Number(element) : element;
      if (value === undefined) masked += 1;
      else if (Number.isNaN(value)) nan += 1;
      else if (!Number.isFinite(value)) infinite += 1;
      else {
        count += 1;
        const step = value - mean;
        mean += step / count;
        squares += step * (value - mean);
        if (element! < min) min = element!;
        if (element! > max) max = element!;
      }
    }
    report(values.length);
  }
  const histogram = new Array<number>(bins).fill(0);
  if (count > 0) {
    const [low, high] = [Number(min), Number(max)];
    for (const values of numbers(array)) {
      for (const element of values) {
        const value = Number(element);
        if (!Number.isFinite(value)) continue;
        const bin = high > low ? Math.min(bins - 1, Math.floor(((value - low) / (high - low)) * bins)) : 0;
        histogram[bin] = (histogram[bin] ?? 0) + 1;
      }
      report(values.length);
    }
  }
  const some = count > 0;
  return {
    count,
    masked,
    nan,
    infinite,
    min: some ? min : undefined,
    max: some ? max : undefined,
    mean: some ? mean : undefined,
    std: some ? Math.sqrt(squares / count) : undefined,
    histogram,
  };
}

/** The elements in chunks; masked ones are undefined. */
function* numbers(array: AnyArray): Generator<readonly (number | bigint | undefined)[] | TypedNumbers> {
  const nothing = array instanceof NDArray ? Number.NaN : undefined;
  for (const chunk of array.chunks({ bytes: CHUNK_BYTES })) {
    const typed = chunk.array instanceof NDArray ? typedNumbers(chunk.array) : undefined;
    if (typed !== undefined) {
      yield typed;
      continue;
    }
    const nested = (chunk.array as { toNested(): unknown }).toNested();
    const flat = Array.isArray(nested) ? nested.flat(Number.POSITIVE_INFINITY) : [nested];
    yield flat.map((value) => (value === null ? nothing : typeof value === 'bigint' ? value : Number(value)));
  }
}

type TypedNumbers = Float32Array | Float64Array | Int32Array;

/** The elements as a typed array over memory, if JavaScript has such numbers: many times faster than one by one. */
function typedNumbers(array: NDArray): TypedNumbers | undefined {
  const { kind, itemsize, byteorder } = array.type;
  const plain = kind === 'f' ? itemsize >= 4 && itemsize <= 8 : 'iu'.includes(kind) && itemsize <= 4;
  if (!plain || byteorder === '>' || !array.aligned || !array.isContiguous()) return undefined;
  return array.typed() as TypedNumbers;
}
