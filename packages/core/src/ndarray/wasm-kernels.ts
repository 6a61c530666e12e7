/**
 * sum, min and max as SIMD loops: 128 bytes a turn into eight vectors, so that no addition waits for another.
 *
 * Every kernel is `name(start, end, block, out)`: it reads the bytes `[start, end)` of the memory, which may stand at
 * any address, in blocks of `block` bytes (all multiples of {@link STRIDE}), and stores one vector (16 bytes) a block
 * at `out`; min and max of floats store a second one, not zero where there was a NaN. The caller adds up the lanes.
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
  simd,
  simdAt,
  V128,
  vector,
  type WasmFunction,
} from './wasm-assembler.ts';

/** Kernels take multiples of this many bytes. */
export const STRIDE = 128;

const [START, END, BLOCK, OUT] = [0, 1, 2, 3];
const [STOP, X, NAN, FIRST] = [4, 5, 6, 10];
/** Vectors that NaNs are gathered in; with one, each turn would wait for the last. */
const NANS = [NAN, NAN + 1, NAN + 2, NAN + 3];

/** How one kernel differs from the others. */
interface KernelRow {
  readonly name: string;
  /** Bytes that one load takes: 16, or 8 where elements are widened. */
  readonly width: 8 | 16;
  /** Leaves the elements at the address on the stack as a vector. */
  readonly load: (offset: number) => Code;
  /** Leaves the combination of two vectors. */
  readonly combine: (a: number, b: number) => Code;
  /** Vectors begin at zero, or with elements of the block. */
  readonly begin: 'zero' | 'load';
  /** For floats whose NaN must be kept: how to compare elements with themselves. */
  readonly differs?: SimdName;
}

const plain = (offset: number): Code => simdAt('v128.load', offset);
const both =
  (name: SimdName) =>
  (a: number, b: number): Code => [get(a), get(b), simd(name)];
const SIGN_BITS: Code = vector([0, 0, 0, 0, 0, 0, 0, 128, 0, 0, 0, 0, 0, 0, 0, 128]);

/** There is no min for 64 bits: compares, after turning the sign bit of unsigned ones, and selects. */
const select64 =
  (name: SimdName, unsigned: boolean) =>
  (a: number, b: number): Code => {
    const signed = (local: number): Code => (unsigned ? [get(local), SIGN_BITS, simd('v128.xor')] : get(local));
    return [get(a), get(b), signed(a), signed(b), simd(name), simd('v128.bitselect')];
  };

function sum(name: string, width: 8 | 16, add: SimdName, load: (offset: number) => Code): KernelRow {
  return { name: `sum_${name}`, width, load, combine: both(add), begin: 'zero' };
}

const then =
  (...names: SimdName[]) =>
  (offset: number): Code => [plain(offset), names.map(simd)];

function extremes(name: string, min: SimdName, max: SimdName, differs?: SimdName): KernelRow[] {
  const row = (what: string, combine: KernelRow['combine']): KernelRow => ({
    name: `${what}_${name}`,
    width: 16,
    load: plain,
    combine,
    begin: 'load',
    ...(differs === undefined ? {} : { differs }),
  });
  return [row('min', both(min)), row('max', both(max))];
}

const select = (what: string, name: string, compare: SimdName): KernelRow => ({
  name: `${what}_${name}`,
  width: 16,
  load: plain,
  combine: select64(compare, name === 'u8'),
  begin: 'load',
});

/** All kernels, by numpy's type codes. The lanes of sums are doubles (f), 64-bit (4 and 8 bytes) or 32-bit integers. */
const KERNELS: readonly KernelRow[] = [
  sum('f8', 16, 'f64x2.add', plain),
  sum('f4', 8, 'f64x2.add', (offset) => [simdAt('v128.load64_zero', offset), simd('f64x2.promote_low_f32x4')]),
  sum('i8', 16, 'i64x2.add', plain),
  sum('i4', 8, 'i64x2.add', (offset) => simdAt('v128.load32x2_s', offset)),
  sum('u4', 8, 'i64x2.add', (offset) => simdAt('v128.load32x2_u', offset)),
  sum('i2', 16, 'i32x4.add', then('i32x4.extadd_pairwise_i16x8_s')),
  sum('u2', 16, 'i32x4.add', then('i32x4.extadd_pairwise_i16x8_u')),
  sum('i1', 16, 'i32x4.add', then('i16x8.extadd_pairwise_i8x16_s', 'i32x4.extadd_pairwise_i16x8_s')),
  sum('u1', 16, 'i32x4.add', then('i16x8.extadd_pairwise_i8x16_u', 'i32x4.extadd_pairwise_i16x8_u')),
  // Bools are counted: any byte but 0 is true.
  sum('b1', 16, 'i32x4.add', (offset) => [
    [plain(offset), vector(new Array<number>(16).fill(1)), simd('i8x16.min_u')],
    [simd('i16x8.extadd_pairwise_i8x16_u'), simd('i32x4.extadd_pairwise_i16x8_u')],
  ]),
  // pmin(a, b) is b where b < a: one instruction, but it loses a NaN, which is therefore looked for apart.
  ...extremes('f8', 'f64x2.pmin', 'f64x2.pmax', 'f64x2.ne'),
  ...extremes('f4', 'f32x4.pmin', 'f32x4.pmax', 'f32x4.ne'),
  ...extremes('i4', 'i32x4.min_s', 'i32x4.max_s'),
  ...extremes('u4', 'i32x4.min_u', 'i32x4.max_u'),
  ...extremes('i2', 'i16x8.min_s', 'i16x8.max_s'),
  ...extremes('u2', 'i16x8.min_u', 'i16x8.max_u'),
  ...extremes('i1', 'i8x16.min_s', 'i8x16.max_s'),
  ...extremes('u1', 'i8x16.min_u', 'i8x16.max_u'),
  select('min', 'i8', 'i64x2.lt_s'),
  select('max', 'i8', 'i64x2.gt_s'),
  select('min', 'u8', 'i64x2.lt_s'),
  select('max', 'u8', 'i64x2.gt_s'),
];

const gather = (into: number, code: Code): Code => [get(into), code, simd('v128.or'), set(into)];

function build({ name, width, load, combine, begin, differs }: KernelRow): WasmFunction {
  const count = 8;
  const turn = count * width;
  const sums = Array.from({ length: count }, (_, i) => FIRST + i);
  const zero = vector(new Array<number>(16).fill(0));
  const step = (sum: number, i: number): Code => [
    [get(START), load(i * width), set(X)],
    [combine(sum, X), set(sum)],
    differs === undefined ? [] : gather(NAN + (i % NANS.length), [get(X), get(X), simd(differs)]),
  ];
  const code: Code = loopWhile([
    // stop = min(start + block, end)
    [get(START), get(BLOCK), ADD, set(STOP)],
    [get(STOP), get(END), get(STOP), get(END), LESS, SELECT, set(STOP)],
    NANS.map((nan): Code => [zero, set(nan)]),
    sums.map((sum): Code => [begin === 'zero' ? zero : [get(START), load(0)], set(sum)]),
    loopWhile([sums.map(step), [get(START), i32(turn), ADD, set(START)], [get(START), get(STOP), LESS]]),
    [1, 2, 4].map((gap) =>
      sums.filter((_, i) => i % (2 * gap) === 0).map((sum): Code => [combine(sum, sum + gap), set(sum)]),
    ),
    NANS.slice(1).map((nan) => gather(NAN, get(nan))),
    [get(OUT), get(FIRST), simdAt('v128.store', 0)],
    [get(OUT), get(NAN), simdAt('v128.store', 16)],
    [get(OUT), i32(16), ADD, set(OUT)],
    [get(START), get(END), LESS],
  ]);
  const locals = [I32, V128, ...NANS.map(() => V128), ...sums.map(() => V128)];
  return { name, parameters: [I32, I32, I32, I32], locals, code };
}

/** The bytes of the module, assembled from the table above. */
export function kernelModule(): Uint8Array {
  return assemble(KERNELS.map(build));
}
