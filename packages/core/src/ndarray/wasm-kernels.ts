/**
 * sum, min and max as SIMD loops: eight vectors per iteration, combined in pairs and then into four accumulators, so that no addition
 * waits for another and all stay in registers (with eight accumulators, V8 moves them around: twice the time in cache).
 *
 * Every kernel is `run(start, end, block, out, gap)`: it reads the bytes `[start, end)` and `[start + gap, end + gap)` of the
 * memory, at any alignment, in blocks of `block` bytes of each (all multiples of {@link STRIDE}), and stores
 * two vectors (32 bytes) per block at `out`: the combined elements, whose lanes the caller combines, and for min
 * and max of floats one that is nonzero if there may have been a NaN. Reading at two addresses at once, half a megabyte and more apart,
 * keeps the memory busier than one: 5 % faster. Kernels with `>` before the type read the opposite of this machine's byte order.
 *
 * @module
 */

import {
  ADD,
  assemble,
  type Code,
  get,
  I32,
  i32,
  LESS,
  loopWhile,
  SELECT,
  type SimdName,
  set,
  shuffle,
  simd,
  simdAt,
  V128,
  vector,
  type WasmFunction,
} from './wasm-assembler.ts';

/** Kernels take multiples of this many bytes, at each of the two addresses. */
export const STRIDE = 64;

/** Bytes of the result for one block. */
export const RESULT_BYTES = 32;

const [START, END, BLOCK, OUT, GAP] = [0, 1, 2, 3, 4];
const [STOP, OTHER, T, U, NAN, X, TOTAL] = [5, 6, 7, 8, 9, 10, 14];
/** The locals for loaded vectors, four at a time. */
const XS = [X, X + 1, X + 2, X + 3] as const;
const TOTALS = [TOTAL, TOTAL + 1, TOTAL + 2, TOTAL + 3] as const;

/** How one kernel differs from the others. */
interface KernelRow {
  /** The parts of its name before and after the byte order: `sum_`, `u2`. */
  readonly what: string;
  readonly type: string;
  /** Bytes per load: 16, or 8 if elements are widened. */
  readonly width: 8 | 16;
  /** Converts the loaded vector on the stack (8 bytes are in its lower half) to what is added or compared. */
  readonly convert?: Code;
  /** An instruction that loads and converts native elements at once. */
  readonly direct?: SimdName;
  /** Leaves the combination of two vectors on the stack. */
  readonly combine: (a: number, b: number) => Code;
  /** Accumulators begin at zero, or with elements of the block. */
  readonly begin: 'zero' | 'load';
  /** For min and max of floats: leaves a vector that is nonzero if there is, or may be, a NaN in the locals {@link XS}. */
  readonly hasNaN?: Code;
}

const both =
  (name: SimdName) =>
  (a: number, b: number): Code => [get(a), get(b), simd(name)];

const splat = (value: number, size: 2 | 4 | 8): Code => {
  const lane = Array.from({ length: size }, (_, i) => Math.floor(value / 2 ** (8 * i)) % 256);
  return vector(Array.from({ length: 16 }, (_, i) => lane[i % size] as number));
};
const ZERO: Code = splat(0, 2);
const SIGN_BITS: Code = splat(2 ** 63, 8);

/** There is no min for 64-bit lanes: compares and selects. */
const select64 =
  (name: SimdName) =>
  (a: number, b: number): Code => [get(a), get(b), get(a), get(b), simd(name), simd('v128.bitselect')];

const then = (...names: SimdName[]): Code => names.map(simd);

/**
 * Four half-precision floats in the lower half of the vector on the stack, as two doubles: elements 0 + 2 and 1 + 3. The
 * bits of a half, shifted to their place in a float32, represent 2^-112 times its value, even for subnormals; only infinity and
 * NaN need their exponent set.
 */
const HALVES: Code = [
  [simd('i32x4.extend_low_i16x8_u'), set(T)],
  [get(T), splat(0x7fff, 4), simd('v128.and'), i32(13), simd('i32x4.shl'), set(U)],
  [get(U), splat(0x77800000, 4), simd('f32x4.mul')],
  [get(U), splat(0x0f7fffff, 4), simd('i32x4.gt_s'), splat(0x7f800000, 4), simd('v128.and'), simd('v128.or')],
  [get(T), i32(16), simd('i32x4.shl'), splat(0x80000000, 4), simd('v128.and'), simd('v128.or'), set(T)],
  [get(T), simd('f64x2.promote_low_f32x4')],
  [get(T), get(T), shuffle([8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7])],
  [simd('f64x2.promote_low_f32x4'), simd('f64x2.add')],
];
/** Half-precision floats as integers of the same order (and back): in negative ones, the bits after the sign are inverted. */
const SORTABLE: Code = [
  [set(T), get(T)],
  [get(T), i32(15), simd('i16x8.shr_s'), splat(0x7fff, 2), simd('v128.and'), simd('v128.xor')],
];

function sum(type: string, width: 8 | 16, add: SimdName, convert: Code = [], direct?: SimdName): KernelRow {
  const row: KernelRow = { what: 'sum_', type, width, convert, combine: both(add), begin: 'zero' };
  return direct === undefined ? row : { ...row, direct };
}

function extremes(type: string, min: KernelRow['combine'], max: KernelRow['combine'], hasNaN?: Code): KernelRow[] {
  const row = (what: string, combine: KernelRow['combine']): KernelRow => {
    const plain: KernelRow = { what, type, width: 16, combine, begin: 'load' };
    return hasNaN === undefined ? plain : { ...plain, hasNaN };
  };
  return [row('min_', min), row('max_', max)];
}

/**
 * A sum is NaN if an element is: one comparison for four vectors instead of one for each. Infinities of both signs, also
 * from overflow, give NaN too: the `nan_` kernels tell them apart.
 */
const sumIsNaN = (add: SimdName, differs: SimdName): Code => [
  [get(X), get(X + 1), simd(add), get(X + 2), get(X + 3), simd(add), simd(add), set(T)],
  [get(T), get(T), simd(differs)],
];

const nan = (type: string, differs: SimdName): KernelRow => ({
  ...{ what: 'nan_', type, width: 16, begin: 'zero', combine: both('v128.or') },
  convert: [set(T), get(T), get(T), simd(differs)],
});

/** NaN among halves converted by {@link SORTABLE}: those beyond infinity. */
const halvesAreNaN: Code = XS.map(
  (local, i): Code => [
    [get(local), SORTABLE, splat(0x7fff, 2), simd('v128.and'), splat(0x7c00, 2), simd('i16x8.gt_s')],
    i > 0 ? simd('v128.or') : [],
  ],
);

/**
 * All kernels, by numpy's type codes. The lanes of sums are doubles (f, c), 64-bit (4 and 8 bytes) or 32-bit integers.
 * `high_` and `low_` add up the halves of 64-bit integers, which together never overflow.
 */
const KERNELS: readonly KernelRow[] = [
  sum('f8', 16, 'f64x2.add'),
  sum('f4', 8, 'f64x2.add', simd('f64x2.promote_low_f32x4')),
  sum('f2', 8, 'f64x2.add', HALVES),
  sum('i8', 16, 'i64x2.add'),
  { ...sum('i8', 16, 'i64x2.add', [i32(32), simd('i64x2.shr_s')]), what: 'high_' },
  { ...sum('u8', 16, 'i64x2.add', [i32(32), simd('i64x2.shr_u')]), what: 'high_' },
  { ...sum('i8', 16, 'i64x2.add', [splat(2 ** 32 - 1, 8), simd('v128.and')]), what: 'low_' },
  sum('i4', 8, 'i64x2.add', simd('i64x2.extend_low_i32x4_s'), 'v128.load32x2_s'),
  sum('u4', 8, 'i64x2.add', simd('i64x2.extend_low_i32x4_u'), 'v128.load32x2_u'),
  sum('i2', 16, 'i32x4.add', then('i32x4.extadd_pairwise_i16x8_s')),
  sum('u2', 16, 'i32x4.add', then('i32x4.extadd_pairwise_i16x8_u')),
  sum('i1', 16, 'i32x4.add', then('i16x8.extadd_pairwise_i8x16_s', 'i32x4.extadd_pairwise_i16x8_s')),
  sum('u1', 16, 'i32x4.add', then('i16x8.extadd_pairwise_i8x16_u', 'i32x4.extadd_pairwise_i16x8_u')),
  // Bools are counted: any byte but 0 is true.
  sum('b1', 16, 'i32x4.add', [
    [vector(new Array<number>(16).fill(1)), simd('i8x16.min_u')],
    then('i16x8.extadd_pairwise_i8x16_u', 'i32x4.extadd_pairwise_i16x8_u'),
  ]),
  // pmin(a, b) is b if b < a: one instruction, but it loses NaNs, which are therefore checked separately.
  ...extremes('f8', both('f64x2.pmin'), both('f64x2.pmax'), sumIsNaN('f64x2.add', 'f64x2.ne')),
  ...extremes('f4', both('f32x4.pmin'), both('f32x4.pmax'), sumIsNaN('f32x4.add', 'f32x4.ne')),
  nan('f8', 'f64x2.ne'),
  nan('f4', 'f32x4.ne'),
  ...extremes('f2', both('i16x8.min_s'), both('i16x8.max_s'), halvesAreNaN).map((row) => ({
    ...row,
    convert: SORTABLE,
  })),
  ...extremes('i4', both('i32x4.min_s'), both('i32x4.max_s')),
  ...extremes('u4', both('i32x4.min_u'), both('i32x4.max_u')),
  ...extremes('i2', both('i16x8.min_s'), both('i16x8.max_s')),
  ...extremes('u2', both('i16x8.min_u'), both('i16x8.max_u')),
  ...extremes('i1', both('i8x16.min_s'), both('i8x16.max_s')),
  ...extremes('u1', both('i8x16.min_u'), both('i8x16.max_u')),
  ...extremes('i8', select64('i64x2.lt_s'), select64('i64x2.gt_s')),
  // Only signed lanes can be compared, so the results are 2^63 less.
  ...extremes('u8', select64('i64x2.lt_s'), select64('i64x2.gt_s')).map((row) => ({
    ...row,
    convert: [SIGN_BITS, simd('v128.xor')],
  })),
];

/** Reverses the bytes of every element of the vector on the stack. */
function turn(itemsize: number): Code {
  const order = Array.from({ length: 16 }, (_, i) => i - (i % itemsize) + (itemsize - 1 - (i % itemsize)));
  return [set(T), get(T), get(T), shuffle(order)];
}

function build({ width, convert = [], direct, combine, begin, hasNaN }: KernelRow, swapped: Code | undefined): Code {
  const load = (offset: number): Code =>
    direct !== undefined && swapped === undefined
      ? simdAt(direct, offset)
      : [simdAt(width === 8 ? 'v128.load64_zero' : 'v128.load', offset), swapped ?? [], convert];
  const into = (to: number, from: number): Code => [combine(to, from), set(to)];
  const take = (place: number, [a, b]: readonly [number, number]): Code => [
    XS.map((local, i): Code => [get(place), load(i * width), set(local)]),
    hasNaN === undefined ? [] : [hasNaN, get(NAN), simd('v128.or'), set(NAN)],
    [into(X, X + 1), into(X + 2, X + 3), into(a, X), into(b, X + 2)],
  ];
  const turn: Code = [
    [get(START), get(GAP), ADD, set(OTHER)],
    [take(START, [TOTAL, TOTAL + 1]), take(OTHER, [TOTAL + 2, TOTAL + 3])],
    [get(START), i32(XS.length * width), ADD, set(START)],
  ];
  return loopWhile([
    // stop = min(start + block, end)
    [get(START), get(BLOCK), ADD, set(STOP)],
    [get(STOP), get(END), get(STOP), get(END), LESS, SELECT, set(STOP)],
    [ZERO, set(NAN)],
    TOTALS.map((total): Code => [begin === 'zero' ? ZERO : [get(START), load(0)], set(total)]),
    loopWhile([turn, get(START), get(STOP), LESS]),
    [into(TOTAL, TOTAL + 1), into(TOTAL + 2, TOTAL + 3), into(TOTAL, TOTAL + 2)],
    [get(OUT), get(TOTAL), simdAt('v128.store', 0)],
    [get(OUT), get(NAN), simdAt('v128.store', 16)],
    [get(OUT), i32(RESULT_BYTES), ADD, set(OUT)],
    [get(START), get(END), LESS],
  ]);
}

/** The name that a kernel is exported under. */
export const EXPORT = 'run';

/**
 * The bytes of a module with one kernel, assembled from the table above. One module per kernel: most programs use a few,
 * and compiling all of them would take as long as reading megabytes.
 *
 * @returns undefined if there is no such kernel
 */
export function kernelModule(name: string): Uint8Array | undefined {
  const row = KERNELS.find(({ what, type }) => name === what + type || name === `${what}>${type}`);
  if (row === undefined) return undefined;
  const itemsize = Number(row.type.slice(1));
  const code = build(row, name.includes('>') && itemsize > 1 ? turn(itemsize) : undefined);
  const locals = [I32, I32, ...new Array<number>(TOTAL + TOTALS.length - T).fill(V128)];
  const kernel: WasmFunction = { name: EXPORT, parameters: [I32, I32, I32, I32, I32], locals, code };
  return assemble([kernel]);
}
