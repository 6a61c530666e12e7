/**
 * sum, min, max and mean of all elements, with numpy's semantics, over arrays of any size and with bounded memory.
 *
 * Differences from numpy, all towards more precision: float16 and float32 are added in double precision, and the
 * result is not rounded to the element's type.
 *
 * @module
 */

import { MmdError } from '../errors.ts';
import { Complex } from './complex.ts';
import { type DType, NAT, rowOf } from './dtypes.ts';
import { MemoryStore, NATIVE_ORDER, type NumberArray } from './element-store.ts';
import { float16sFromBits } from './float16.ts';
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
import { BLOCK_BYTES, MIN_SIMD_BYTES, type SimdMachine, simdMachine } from './simd.ts';
import { forEachSpan } from './spans.ts';
import { swapInPlace } from './swap.ts';
import { RESULT_BYTES } from './wasm-kernels.ts';

/** The result of `sum`, `min` and `max`: see {@link sum}. */
export type Reduced = number | bigint | boolean | Complex | null;

const noLoop = (what: string, type: DType): MmdError =>
  new MmdError('UNSUPPORTED_DTYPE', `${what} is not defined for ${type.name}`, { found: type.name });

/** Checks that a reduction is defined for a type, whatever the number of elements. @throws UNSUPPORTED_DTYPE */
export function checkReduces(type: DType, what: 'sum' | 'min' | 'max' | 'mean'): void {
  const { kind, itemsize } = type;
  const added = what === 'sum' || what === 'mean';
  const long = (kind === 'f' && itemsize > 8) || (kind === 'c' && itemsize > 16);
  if (long || !(added ? 'biufcm' : 'biufcmM').includes(kind)) throw noLoop(what, type);
}

/** @throws CLOSED, UNSUPPORTED_DTYPE */
function storeOf(layout: Layout, what: 'sum' | 'min' | 'max' | 'mean'): MemoryStore {
  const { store, type } = layout;
  checkReduces(type, what);
  if (!(store instanceof MemoryStore)) throw noLoop(what, type);
  store.checkOpen();
  return store;
}

/** Calls `use` with spans of numbers: for all kinds except complex and 64-bit integers. */
function forEachNumbers(layout: Layout, store: MemoryStore, use: (span: NumberArray) => void): void {
  const { type } = layout;
  const { array } = rowOf(type);
  if (isHalf(type)) {
    let halves = new Float32Array(0);
    forEachSpan(layout, store, Uint16Array, (span) => {
      // Converted in parts, so that a long span needs no long copy.
      for (let at = 0; at < span.length; at += SUM_BLOCK) {
        const part = (span as Uint16Array).subarray(at, at + SUM_BLOCK);
        if (halves.length !== part.length) halves = new Float32Array(part.length);
        float16sFromBits(part, halves);
        use(halves);
      }
    });
    return;
  }
  if (array === undefined) throw noLoop('arithmetic', type);
  forEachSpan(layout, store, array, use as (span: unknown) => void);
}

/** The indices of the low and the high half of a 64-bit integer. */
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

/** The machine to use: the given one, none for null, or by default the realm's, except for short arrays. */
function machineFor(layout: Layout, given: SimdMachine | null | undefined): SimdMachine | undefined {
  if (given !== undefined) return given ?? undefined;
  const bytes = layout.size * layout.type.itemsize;
  return bytes < MIN_SIMD_BYTES ? undefined : simdMachine(bytes);
}

/** The type code in the names of a type's kernels. */
const codeOf = ({ kind, itemsize }: DType): string => `${kind === 'm' || kind === 'M' ? 'i' : kind}${itemsize}`;

const swapped = ({ byteorder }: DType): boolean => byteorder !== '|' && byteorder !== NATIVE_ORDER;

/** A copy of a few elements in native byte order; in a kernel's memory they need not be aligned. */
function copyOf(type: DType, bytes: Uint8Array): ArrayBuffer {
  const copy = bytes.slice();
  if (swapped(type)) swapInPlace(copy, type.kind === 'c' ? type.itemsize / 2 : type.itemsize);
  return copy.buffer;
}

const isHalf = ({ kind, itemsize }: DType): boolean => kind === 'f' && itemsize === 2;

function fromHalves(bits: Uint16Array): Float32Array {
  const numbers = new Float32Array(bits.length);
  float16sFromBits(bits, numbers);
  return numbers;
}

/** A few elements as numbers. */
function arrayOver(type: DType, bytes: Uint8Array): NumberArray {
  if (isHalf(type)) return fromHalves(new Uint16Array(copyOf(type, bytes)));
  const { array } = rowOf(type);
  if (array === undefined) throw noLoop('arithmetic', type);
  return new array(copyOf(type, bytes)) as NumberArray;
}

/** The distance between results, in items of `size` bytes. */
const apart = (size: number): number => RESULT_BYTES / size;

/** Adds up the two 64-bit lanes of every result. */
function addLanes(results: ArrayBuffer, blocks: number): bigint {
  const lanes = new BigInt64Array(results);
  let total = 0n;
  for (let i = 0; i < blocks * apart(8); i += apart(8)) total += (lanes[i] as bigint) + (lanes[i + 1] as bigint);
  return total;
}

/** The same for four 32-bit lanes. */
function addShortLanes(results: ArrayBuffer, blocks: number): bigint {
  const lanes = new Int32Array(results);
  let total = 0;
  for (let i = 0; i < blocks * apart(4); i += apart(4)) total += sumRange(lanes, i, i + 4);
  return BigInt(total);
}

/** The sum of integers or bools of any size: exact for types below 64 bits, and modulo 2^64 for those of 64. */
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
  const code = type.itemsize === 8 ? 'i8' : codeOf(type);
  const done = machine?.run('sum', code, layout, store, wide, (results, blocks, rest) => {
    total += wide ? addLanes(results, blocks) : addShortLanes(results, blocks);
    if (rest.length === 0) return;
    if (type.itemsize === 8) for (const element of new BigInt64Array(copyOf(type, rest))) total += element;
    else addNumbers(arrayOver(type, rest));
  });
  if (done !== true && type.itemsize === 8) {
    forEachHalfSums(layout, store, (high, low) => {
      total += (BigInt(high) << 32n) + BigInt(low);
    });
  } else if (done !== true) forEachNumbers(layout, store, addNumbers);
  return type.kind === 'u' ? BigInt.asUintN(64, total) : BigInt.asIntN(64, total);
}

/** The exact sum of 64-bit integers, however large, for a mean; `undefined` for other types. */
export function exactSum(
  layout: Layout,
  store: MemoryStore = storeOf(layout, 'mean'),
  given?: SimdMachine | null,
): bigint | undefined {
  const { type } = layout;
  if ((type.kind !== 'i' && type.kind !== 'u') || type.itemsize !== 8) return undefined;
  const machine = machineFor(layout, given);
  const signed = type.kind !== 'u';
  let [high, low] = [0n, 0n];
  const done =
    machine?.run('high', codeOf(type), layout, store, true, (results, blocks, rest) => {
      high += addLanes(results, blocks);
      if (rest.length === 0) return;
      for (const element of new (signed ? BigInt64Array : BigUint64Array)(copyOf(type, rest))) high += element >> 32n;
    }) === true &&
    machine.run('low', 'i8', layout, store, true, (results, blocks, rest) => {
      low += addLanes(results, blocks);
      if (rest.length === 0) return;
      for (const element of new BigUint64Array(copyOf(type, rest))) low += element & 0xffffffffn;
    });
  if (!done) {
    forEachHalfSums(layout, store, (highs, lows) => {
      high += BigInt(highs);
      low += BigInt(lows);
    });
  }
  return (high << 32n) + low;
}

function sumFloats(layout: Layout, store: MemoryStore, machine: SimdMachine | undefined): number {
  const total = new PairwiseSum();
  const done = machine?.run('sum', codeOf(layout.type), layout, store, false, (results, blocks, rest) => {
    const lanes = new Float64Array(results);
    for (let i = 0; i < blocks * apart(8); i += apart(8)) total.add((lanes[i] as number) + (lanes[i + 1] as number));
    if (rest.length === 0) return;
    sumBlocks(arrayOver(layout.type, rest), total);
  });
  if (done !== true) forEachNumbers(layout, store, (span) => sumBlocks(span, total));
  return total.total();
}

function sumComplex(layout: Layout, store: MemoryStore, machine: SimdMachine | undefined): Complex {
  const { type } = layout;
  const { parts } = rowOf(type);
  if (parts === undefined) throw noLoop('sum', type);
  const [re, im] = [new PairwiseSum(), new PairwiseSum()];
  const add = (span: NumberArray): void => {
    for (let at = 0; at < span.length; at += SUM_BLOCK) {
      const end = Math.min(span.length, at + SUM_BLOCK);
      re.add(sumEverySecond(span, at, end));
      im.add(sumEverySecond(span, at + 1, end));
    }
  };
  // The two lanes of a sum of floats never mix: here they are the real and the imaginary parts.
  const done = machine?.run('sum', `f${type.itemsize / 2}`, layout, store, false, (results, blocks, rest) => {
    const lanes = new Float64Array(results);
    for (let i = 0; i < blocks * apart(8); i += apart(8)) {
      re.add(lanes[i] as number);
      im.add(lanes[i + 1] as number);
    }
    if (rest.length > 0) add(new parts(copyOf(type, rest)) as NumberArray);
  });
  if (done !== true) forEachSpan(layout, store, parts, add as (span: unknown) => void);
  return new Complex(re.total(), im.total());
}

const hasNaT = (layout: Layout, store: MemoryStore, machine: SimdMachine | undefined): boolean =>
  layout.size > 0 && extremeBigInt(layout, store, true, machine) === NAT;

/**
 * The sum of all elements. Integers and bools give a bigint that wraps like int64 (uint64 for unsigned types);
 * floats a number, by pairwise summation; complex numbers a {@link Complex}; timedelta64 a bigint count that wraps like int64,
 * or null if an element, or the sum, is NaT (-2^63). An empty array gives 0. NaN propagates.
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
      return sumComplex(layout, store, machine);
    case 'm': {
      const total = hasNaT(layout, store, machine) ? NAT : sumIntegers(layout, store, machine);
      return total === NAT ? null : total;
    }
    default:
      return sumIntegers(layout, store, machine);
  }
}

/**
 * The arithmetic mean of all elements: a number, {@link Complex} for complex types, a bigint count (rounded towards
 * zero) or null for timedelta64. NaN for an empty array. NaN propagates; in complex numbers an infinity or NaN in one part makes
 * the other part NaN, as in numpy's division.
 *
 * @throws UNSUPPORTED_DTYPE, CLOSED
 */
export function mean(layout: Layout, given?: SimdMachine | null): number | bigint | Complex | null {
  const { type, size } = layout;
  const store = storeOf(layout, 'mean');
  const total = exactSum(layout, store, given) ?? sum(layout, given);
  if (total instanceof Complex) return dividedBy(total, size);
  if (type.kind === 'm') return total === null || size === 0 ? null : (total as bigint) / BigInt(size);
  return Number(total) / size;
}

/** A complex sum divided by a count, as numpy divides by `count + 0j`. */
export function dividedBy({ re, im }: Complex, count: number): Complex {
  return new Complex((re + im * 0) / count, (im - re * 0) / count);
}

function extremeBigInt(layout: Layout, store: MemoryStore, least: boolean, machine: SimdMachine | undefined): bigint {
  const signed = layout.type.kind !== 'u';
  const lanes = signed ? BigInt64Array : BigUint64Array;
  let best: bigint | undefined;
  const add = (element: bigint): void => {
    if (best === undefined || (least ? element < best : element > best)) best = element;
  };
  const done = machine?.run(
    least ? 'min' : 'max',
    codeOf(layout.type),
    layout,
    store,
    true,
    (results, blocks, rest) => {
      if (blocks > 0) for (const lane of new BigInt64Array(results, 0, 2)) add(signed ? lane : lane + 2n ** 63n);
      if (rest.length > 0) for (const element of new lanes(copyOf(layout.type, rest))) add(element);
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
function extremeComplex(layout: Layout, store: MemoryStore, least: boolean, machine: SimdMachine | undefined): Complex {
  const { type } = layout;
  const { parts } = rowOf(type);
  if (parts === undefined) throw noLoop(least ? 'min' : 'max', type);
  let re = Number.NaN;
  let im = Number.NaN;
  let seen = 0;
  const add = (span: NumberArray): void => {
    for (let i = 0; i < span.length; i += 2) {
      if (seen > 0 && (Number.isNaN(re) || Number.isNaN(im))) return;
      const [r, j] = [span[i] as number, span[i + 1] as number];
      const better = least ? r < re || (r === re && j < im) : r > re || (r === re && j > im);
      if (seen === 0 || better || Number.isNaN(r) || Number.isNaN(j)) [re, im] = [r, j];
      seen += 1;
    }
  };
  const half = type.itemsize / 2;
  // The kernel gives the best real part of each block, and whether there may be a NaN, so few blocks need to be searched.
  const use = (results: ArrayBuffer, blocks: number, rest: Uint8Array, taken: Uint8Array): void => {
    const [lanes, suspicions] = [new parts(results) as NumberArray, new Int32Array(results)];
    const look = (bytes: Uint8Array): void => add(new parts(copyOf(type, bytes)) as NumberArray);
    const gap = taken.length / 2;
    const odd = (block: number): boolean =>
      suspicions.subarray(block * 8 + 4, block * 8 + 8).some((lane) => lane !== 0);
    if (Array.from({ length: blocks }, (_, block) => odd(block)).includes(true)) look(taken);
    else {
      for (let block = 0; block < blocks; block += 1) {
        const at = block * apart(half);
        const best = (least ? Math.min : Math.max)(lanes[at] as number, lanes[at + (half === 4 ? 2 : 0)] as number);
        if (seen > 0 && (least ? best > re : best < re)) continue;
        const [start, end] = [block * BLOCK_BYTES, Math.min(gap, (block + 1) * BLOCK_BYTES)];
        look(taken.subarray(start, end));
        look(taken.subarray(gap + start, gap + end));
      }
    }
    if (rest.length > 0) look(rest);
  };
  if (machine?.run(least ? 'min' : 'max', `f${half}`, layout, store, false, use) !== true) {
    forEachSpan(layout, store, parts, add as (span: unknown) => void);
  }
  return new Complex(re, im);
}

function extreme(layout: Layout, least: boolean, given: SimdMachine | null | undefined): Reduced {
  const what = least ? 'min' : 'max';
  const store = storeOf(layout, what);
  const { type, size } = layout;
  if (size === 0) throw invalid(`${what} of an empty array`, [...layout.shape]);
  const machine = machineFor(layout, given);
  if (type.kind === 'c') return extremeComplex(layout, store, least, machine);
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
  const array = isHalf(type) ? Int16Array : rowOf(type).array;
  const use = (results: ArrayBuffer, blocks: number, rest: Uint8Array): void => {
    if (rest.length > 0) add(arrayOver(type, rest));
    if (blocks === 0 || array === undefined) return;
    const lanes = new array(results, 0, 16 / type.itemsize) as NumberArray;
    // Halves are compared as integers of the same order: in negative ones, the bits after the sign are inverted.
    add(isHalf(type) ? fromHalves(Uint16Array.from(lanes, (lane) => lane ^ ((lane >> 15) & 0x7fff))) : lanes);
    if (type.kind === 'f' && new Int32Array(results, 16, 4).some((lane) => lane !== 0)) best = Number.NaN;
  };
  const code = type.kind === 'b' ? 'u1' : codeOf(type);
  if (machine?.run(least ? 'min' : 'max', code, layout, store, true, use) === true) return best;
  forEachNumbers(layout, store, add);
  return best;
}

/**
 * The least element: a number, bigint, boolean or {@link Complex} (by real part, then imaginary), as `get` returns it.
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
