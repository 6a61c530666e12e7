/**
 * sum, min, max and mean of all elements, by numpy's semantics, over arrays of any size and with bounded memory.
 *
 * Differences to numpy, all towards more precision: float16 and float32 are added up in double precision and the
 * result is not rounded to the element's type.
 *
 * @module
 */

import { MmdError } from '../errors.ts';
import { Complex } from './complex.ts';
import { type DType, NAT, rowOf } from './dtypes.ts';
import { MemoryStore, NATIVE_ORDER } from './element-store.ts';
import { float16FromBits } from './float16.ts';
import {
  EXACT_BLOCK,
  type Kernels,
  type NumberArray,
  PairwiseSum,
  SUM_BLOCK,
  scalarKernels,
  sumEverySecond,
} from './kernels.ts';
import type { Layout } from './layout.ts';
import { invalid } from './shapes.ts';
import { forEachSpan } from './spans.ts';

/** What `sum`, `min` and `max` give: see {@link sum}. */
export type Reduced = number | bigint | boolean | Complex | null;

const noLoop = (what: string, type: DType): MmdError =>
  new MmdError('UNSUPPORTED_DTYPE', `${what} is not defined for ${type.name}`, { found: type.name });

/** @throws CLOSED, UNSUPPORTED_DTYPE */
function storeOf(layout: Layout, what: string): MemoryStore {
  const { store, type } = layout;
  if (!(store instanceof MemoryStore) || (type.kind !== 'b' && !'iufcmM'.includes(type.kind))) {
    throw noLoop(what, type);
  }
  store.checkOpen();
  return store;
}

/** Spans of numbers: all kinds but complex and 64-bit integers. */
function forEachNumbers(layout: Layout, store: MemoryStore, use: (span: NumberArray) => void): void {
  const { type } = layout;
  const { array } = rowOf(type);
  if (type.kind === 'f' && type.itemsize === 2) {
    let halves = new Float32Array(0);
    forEachSpan(layout, store, Uint16Array, (span) => {
      // Read in parts, so that a long span needs no long copy.
      for (let at = 0; at < span.length; at += SUM_BLOCK) {
        const part = (span as Uint16Array).subarray(at, at + SUM_BLOCK);
        if (halves.length !== part.length) halves = new Float32Array(part.length);
        for (let i = 0; i < part.length; i += 1) halves[i] = float16FromBits(part[i] as number);
        use(halves);
      }
    });
    return;
  }
  if (array === undefined) throw noLoop('arithmetic', type);
  forEachSpan(layout, store, array, use as (span: unknown) => void);
}

/** The low and high halves of 64-bit integers, in that order. */
const [LOW, HIGH] = NATIVE_ORDER === '<' ? [0, 1] : [1, 0];

/** Calls `use` with exact sums of the high and low halves of blocks of 64-bit integers. */
function forEachHalfSums(layout: Layout, store: MemoryStore, use: (high: number, low: number) => void): void {
  const signed = layout.type.kind !== 'u';
  forEachSpan(layout, store, BigInt64Array, (span) => {
    const low = new Uint32Array(span.buffer, span.byteOffset, span.length * 2);
    const high = signed ? new Int32Array(span.buffer, span.byteOffset, span.length * 2) : low;
    for (let at = 0; at < low.length; at += EXACT_BLOCK) {
      const end = Math.min(low.length, at + EXACT_BLOCK);
      use(sumEverySecond(high, at + HIGH, end), sumEverySecond(low, at + LOW, end));
    }
  });
}

function sumIntegers(layout: Layout, store: MemoryStore, kernels: Kernels): bigint {
  const { kind, itemsize } = layout.type;
  let total = 0n;
  if (itemsize === 8) {
    forEachHalfSums(layout, store, (high, low) => {
      total += (BigInt(high) << 32n) + BigInt(low);
    });
  } else {
    forEachNumbers(layout, store, (span) => {
      for (let at = 0; at < span.length; at += EXACT_BLOCK) {
        const part = span.length <= EXACT_BLOCK ? span : span.subarray(at, at + EXACT_BLOCK);
        total += BigInt(kind === 'b' ? kernels.countTrue(part as Uint8Array) : kernels.sum(part));
      }
    });
  }
  return kind === 'u' ? BigInt.asUintN(64, total) : BigInt.asIntN(64, total);
}

function sumFloats(layout: Layout, store: MemoryStore, kernels: Kernels): number {
  const total = new PairwiseSum();
  forEachNumbers(layout, store, (span) => kernels.sumBlocks(span, total));
  return total.total();
}

/** 64-bit integers added up in double precision, as numpy's mean does. */
function sumAsFloats(layout: Layout, store: MemoryStore): number {
  const total = new PairwiseSum();
  forEachHalfSums(layout, store, (high, low) => total.add(high * 2 ** 32 + low));
  return total.total();
}

function sumComplex(layout: Layout, store: MemoryStore): Complex {
  const { parts } = rowOf(layout.type);
  if (parts === undefined) throw noLoop('sum', layout.type);
  const [re, im] = [new PairwiseSum(), new PairwiseSum()];
  forEachSpan(layout, store, parts, (span) => {
    for (let at = 0; at < span.length; at += SUM_BLOCK) {
      const end = Math.min(span.length, at + SUM_BLOCK);
      re.add(sumEverySecond(span as NumberArray, at, end));
      im.add(sumEverySecond(span as NumberArray, at + 1, end));
    }
  });
  return new Complex(re.total(), im.total());
}

const hasNaT = (layout: Layout, store: MemoryStore): boolean =>
  layout.size > 0 && extremeBigInt(layout, store, true) === NAT;

/**
 * The sum of all elements. Integers and bools give a bigint that wraps like int64 (uint64 for unsigned types);
 * floats a number, by pairwise summation; complex numbers a {@link Complex}; timedelta64 a bigint count, or null if an
 * element is NaT. Nothing gives 0. NaN propagates.
 *
 * @throws UNSUPPORTED_DTYPE for datetime64, text, bytes, structured types and longdouble; CLOSED
 */
export function sum(layout: Layout, kernels: Kernels = scalarKernels): Reduced {
  const store = storeOf(layout, 'sum');
  switch (layout.type.kind) {
    case 'f':
      return sumFloats(layout, store, kernels);
    case 'c':
      return sumComplex(layout, store);
    case 'M':
      throw noLoop('sum', layout.type);
    case 'm':
      return hasNaT(layout, store) ? null : sumIntegers(layout, store, kernels);
    default:
      return sumIntegers(layout, store, kernels);
  }
}

/**
 * The arithmetic mean of all elements: a number, {@link Complex} for complex types, a bigint count (rounded towards
 * zero) or null for timedelta64. NaN for an empty array. NaN propagates.
 *
 * @throws UNSUPPORTED_DTYPE, CLOSED
 */
export function mean(layout: Layout, kernels: Kernels = scalarKernels): number | bigint | Complex | null {
  const { type, size } = layout;
  const store = storeOf(layout, 'mean');
  if ((type.kind === 'i' || type.kind === 'u') && type.itemsize === 8) return sumAsFloats(layout, store) / size;
  const total = sum(layout, kernels);
  if (total instanceof Complex) return new Complex(total.re / size, total.im / size);
  if (type.kind === 'm') return total === null || size === 0 ? null : (total as bigint) / BigInt(size);
  return Number(total) / size;
}

function extremeBigInt(layout: Layout, store: MemoryStore, least: boolean): bigint {
  const signed = layout.type.kind !== 'u';
  let bestHigh = least ? Number.POSITIVE_INFINITY : Number.NEGATIVE_INFINITY;
  let bestLow = 0;
  forEachSpan(layout, store, BigInt64Array, (span) => {
    const low = new Uint32Array(span.buffer, span.byteOffset, span.length * 2);
    const high = signed ? new Int32Array(span.buffer, span.byteOffset, span.length * 2) : low;
    for (let at = 0; at < low.length; at += 2) {
      const h = high[at + HIGH] as number;
      if (least ? h > bestHigh : h < bestHigh) continue;
      const l = low[at + LOW] as number;
      if (h !== bestHigh || (least ? l < bestLow : l > bestLow)) {
        bestHigh = h;
        bestLow = l;
      }
    }
  });
  return (BigInt(bestHigh) << 32n) + BigInt(bestLow);
}

/** By real part, then by imaginary part; the first element with a NaN wins, as in numpy. */
function extremeComplex(layout: Layout, store: MemoryStore, least: boolean): Complex {
  const { parts } = rowOf(layout.type);
  if (parts === undefined) throw noLoop(least ? 'min' : 'max', layout.type);
  let re = Number.NaN;
  let im = Number.NaN;
  let seen = 0;
  forEachSpan(layout, store, parts, (span) => {
    for (let i = 0; i < span.length; i += 2) {
      if (seen > 0 && (Number.isNaN(re) || Number.isNaN(im))) return;
      const [r, j] = [span[i] as number, span[i + 1] as number];
      const better = least ? r < re || (r === re && j < im) : r > re || (r === re && j > im);
      if (seen === 0 || better || Number.isNaN(r) || Number.isNaN(j)) [re, im] = [r, j];
      seen += 1;
    }
  });
  return new Complex(re, im);
}

function extreme(layout: Layout, least: boolean, kernels: Kernels): Reduced {
  const what = least ? 'min' : 'max';
  const store = storeOf(layout, what);
  const { type, size } = layout;
  if (size === 0) throw invalid(`${what} of an empty array`, [...layout.shape]);
  if (type.kind === 'c') return extremeComplex(layout, store, least);
  if (type.kind === 'm' || type.kind === 'M') {
    const low = extremeBigInt(layout, store, true);
    return low === NAT ? null : least ? low : extremeBigInt(layout, store, false);
  }
  if (type.itemsize === 8 && type.kind !== 'f') return extremeBigInt(layout, store, least);
  let best = least ? Number.POSITIVE_INFINITY : Number.NEGATIVE_INFINITY;
  forEachNumbers(layout, store, (span) => {
    if (span.length > 0) best = least ? Math.min(best, kernels.min(span)) : Math.max(best, kernels.max(span));
  });
  return type.kind === 'b' ? best !== 0 : best;
}

/**
 * The least element: a number, bigint, boolean or {@link Complex} (by real part, then imaginary), as `get` gives it.
 * NaN propagates, and NaT as null.
 *
 * @throws INVALID_ARGUMENT for an empty array; UNSUPPORTED_DTYPE for text, bytes, structured types and longdouble; CLOSED
 */
export function min(layout: Layout, kernels: Kernels = scalarKernels): Reduced {
  return extreme(layout, true, kernels);
}

/** The greatest element: see {@link min}. */
export function max(layout: Layout, kernels: Kernels = scalarKernels): Reduced {
  return extreme(layout, false, kernels);
}
