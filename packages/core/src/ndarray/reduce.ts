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
import { MemoryStore, NATIVE_ORDER, type NumberArray } from './element-store.ts';
import { float16FromBits } from './float16.ts';
import {
  countTrue,
  EXACT_BLOCK,
  maxSpan,
  minSpan,
  PairwiseSum,
  SUM_BLOCK,
  sumBlocks,
  sumEverySecond,
  sumRange,
} from './kernels.ts';
import type { Layout } from './layout.ts';
import { invalid } from './shapes.ts';
import { MIN_SIMD_BYTES, type SimdMachine, simdMachine } from './simd.ts';
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

/** The machine to use: the given one, none, or for large arrays the realm's. */
function machineFor(layout: Layout, given: SimdMachine | null | undefined): SimdMachine | undefined {
  if (given !== undefined) return given ?? undefined;
  return layout.size * layout.type.itemsize < MIN_SIMD_BYTES ? undefined : simdMachine();
}

/** What the kernels for a type are called after. */
const codeOf = ({ kind, itemsize }: DType): string => `${kind === 'm' || kind === 'M' ? 'i' : kind}${itemsize}`;

function sumIntegers(layout: Layout, store: MemoryStore, machine: SimdMachine | undefined): bigint {
  const { type } = layout;
  let total = 0n;
  const addNumbers = (span: NumberArray): void => {
    for (let at = 0; at < span.length; at += EXACT_BLOCK) {
      const end = Math.min(span.length, at + EXACT_BLOCK);
      total += BigInt(type.kind === 'b' ? countTrue(span, at, end) : sumRange(span, at, end));
    }
  };
  const wide = type.itemsize >= 4;
  const done = machine?.run(`sum_${codeOf(type)}`, layout, store, wide, (results, blocks, rest) => {
    if (wide) for (const lane of new BigInt64Array(results, 0, blocks * 2)) total += lane;
    else total += BigInt(sumRange(new Int32Array(results, 0, blocks * 4), 0, blocks * 4));
    if (type.itemsize === 8) for (const element of new BigInt64Array(rest.slice().buffer)) total += element;
    else if (rest.length > 0) addNumbers(arrayOver(type, rest));
  });
  if (done !== true && type.itemsize === 8) {
    forEachHalfSums(layout, store, (high, low) => {
      total += (BigInt(high) << 32n) + BigInt(low);
    });
  } else if (done !== true) forEachNumbers(layout, store, addNumbers);
  return type.kind === 'u' ? BigInt.asUintN(64, total) : BigInt.asIntN(64, total);
}

/** A copy of a few elements; bytes of a kernel's memory need not be aligned. */
function arrayOver(type: DType, bytes: Uint8Array): NumberArray {
  const { array } = rowOf(type);
  if (array === undefined) throw noLoop('arithmetic', type);
  return new array(bytes.slice().buffer) as NumberArray;
}

function sumFloats(layout: Layout, store: MemoryStore, machine: SimdMachine | undefined): number {
  const total = new PairwiseSum();
  const done = machine?.run(`sum_${codeOf(layout.type)}`, layout, store, false, (results, blocks, rest) => {
    const lanes = new Float64Array(results, 0, blocks * 2);
    for (let i = 0; i < lanes.length; i += 2) total.add((lanes[i] as number) + (lanes[i + 1] as number));
    if (rest.length > 0) sumBlocks(arrayOver(layout.type, rest), total);
  });
  if (done !== true) forEachNumbers(layout, store, (span) => sumBlocks(span, total));
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

const hasNaT = (layout: Layout, store: MemoryStore, machine: SimdMachine | undefined): boolean =>
  layout.size > 0 && extremeBigInt(layout, store, true, machine) === NAT;

/**
 * The sum of all elements. Integers and bools give a bigint that wraps like int64 (uint64 for unsigned types);
 * floats a number, by pairwise summation; complex numbers a {@link Complex}; timedelta64 a bigint count, or null if an
 * element is NaT. Nothing gives 0. NaN propagates.
 *
 * @throws UNSUPPORTED_DTYPE for datetime64, text, bytes, structured types and longdouble; CLOSED
 */
export function sum(layout: Layout, given?: SimdMachine | null): Reduced {
  const store = storeOf(layout, 'sum');
  const machine = machineFor(layout, given);
  switch (layout.type.kind) {
    case 'f':
      return sumFloats(layout, store, machine);
    case 'c':
      return sumComplex(layout, store);
    case 'M':
      throw noLoop('sum', layout.type);
    case 'm':
      return hasNaT(layout, store, machine) ? null : sumIntegers(layout, store, machine);
    default:
      return sumIntegers(layout, store, machine);
  }
}

/**
 * The arithmetic mean of all elements: a number, {@link Complex} for complex types, a bigint count (rounded towards
 * zero) or null for timedelta64. NaN for an empty array. NaN propagates.
 *
 * @throws UNSUPPORTED_DTYPE, CLOSED
 */
export function mean(layout: Layout, machine?: SimdMachine | null): number | bigint | Complex | null {
  const { type, size } = layout;
  const store = storeOf(layout, 'mean');
  if ((type.kind === 'i' || type.kind === 'u') && type.itemsize === 8) return sumAsFloats(layout, store) / size;
  const total = sum(layout, machine);
  if (total instanceof Complex) return new Complex(total.re / size, total.im / size);
  if (type.kind === 'm') return total === null || size === 0 ? null : (total as bigint) / BigInt(size);
  return Number(total) / size;
}

function extremeBigInt(layout: Layout, store: MemoryStore, least: boolean, machine: SimdMachine | undefined): bigint {
  const signed = layout.type.kind !== 'u';
  const lanes = signed ? BigInt64Array : BigUint64Array;
  let best: bigint | undefined;
  const done = machine?.run(
    `${least ? 'min' : 'max'}_${codeOf(layout.type)}`,
    layout,
    store,
    true,
    (results, blocks, rest) => {
      for (const part of [new lanes(results, 0, blocks * 2), new lanes(rest.slice().buffer)]) {
        for (const element of part) {
          if (best === undefined || (least ? element < best : element > best)) best = element;
        }
      }
    },
  );
  if (done === true && best !== undefined) return best;
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

function extreme(layout: Layout, least: boolean, given: SimdMachine | null | undefined): Reduced {
  const what = least ? 'min' : 'max';
  const store = storeOf(layout, what);
  const { type, size } = layout;
  if (size === 0) throw invalid(`${what} of an empty array`, [...layout.shape]);
  if (type.kind === 'c') return extremeComplex(layout, store, least);
  const machine = machineFor(layout, given);
  if (type.kind === 'm' || type.kind === 'M') {
    const low = extremeBigInt(layout, store, true, machine);
    return low === NAT ? null : least ? low : extremeBigInt(layout, store, false, machine);
  }
  if (type.itemsize === 8 && type.kind !== 'f') return extremeBigInt(layout, store, least, machine);
  const best = extremeNumber(layout, store, least, machine);
  return type.kind === 'b' ? best !== 0 : best;
}

function extremeNumber(layout: Layout, store: MemoryStore, least: boolean, machine: SimdMachine | undefined): number {
  const { type } = layout;
  let best = least ? Number.POSITIVE_INFINITY : Number.NEGATIVE_INFINITY;
  const add = (span: NumberArray): void => {
    if (span.length > 0) best = least ? Math.min(best, minSpan(span)) : Math.max(best, maxSpan(span));
  };
  const name = `${least ? 'min' : 'max'}_${type.kind === 'b' ? 'u1' : codeOf(type)}`;
  const { array } = rowOf(type);
  const done =
    array !== undefined &&
    machine?.run(name, layout, store, true, (results, blocks, rest) => {
      add(new array(results, 0, (blocks * 16) / type.itemsize) as NumberArray);
      if (rest.length > 0) add(arrayOver(type, rest));
      // The second vector tells of NaN, in floats.
      const nan = type.kind === 'f' && blocks > 0 && new Int32Array(results, 16, 4).some((lane) => lane !== 0);
      if (nan) best = Number.NaN;
    });
  if (done !== true) forEachNumbers(layout, store, add);
  return best;
}

/**
 * The least element: a number, bigint, boolean or {@link Complex} (by real part, then imaginary), as `get` gives it.
 * NaN propagates, and NaT as null.
 *
 * @throws INVALID_ARGUMENT for an empty array; UNSUPPORTED_DTYPE for text, bytes, structured types and longdouble; CLOSED
 */
export function min(layout: Layout, machine?: SimdMachine | null): Reduced {
  return extreme(layout, true, machine);
}

/** The greatest element: see {@link min}. */
export function max(layout: Layout, machine?: SimdMachine | null): Reduced {
  return extreme(layout, false, machine);
}
