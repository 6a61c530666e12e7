/**
 * Assembles the WebAssembly module of the reduction kernels: loops over 16 float64 at a time, in 128-bit registers.
 *
 * The module is put together from these tables instead of being committed as bytes, so that it can be reviewed.
 * Source of the encodings: the WebAssembly core specification 2.0, chapter 5 (binary format).
 *
 * @module
 */

/** Value types. */
const I32 = 0x7f;
const F64 = 0x7c;
const V128 = 0x7b;
const FUNCTION_TYPE = 0x60;
const EMPTY_BLOCK = 0x40;

/** Instructions as their bytes; those that take an argument as functions. */
const code = {
  block: [0x02, EMPTY_BLOCK],
  loop: [0x03, EMPTY_BLOCK],
  if: [0x04, EMPTY_BLOCK],
  end: [0x0b],
  branch: (depth: number) => [0x0c, depth],
  branchIf: (depth: number) => [0x0d, depth],
  return: [0x0f],
  get: (local: number) => [0x20, local],
  set: (local: number) => [0x21, local],
  tee: (local: number) => [0x22, local],
  i32Const: (value: number) => [0x41, ...signed(value)],
  i32LessU: [0x49],
  i32Add: [0x6a],
  /** A quiet NaN. */
  f64NaN: [0x44, 0, 0, 0, 0, 0, 0, 0xf8, 0x7f],
  f64Zero: [0x44, 0, 0, 0, 0, 0, 0, 0, 0],
  f64Load: [0x2b, 0, 0],
  f64Add: [0xa0],
  f64Min: [0xa4],
  f64Max: [0xa5],
  /** Alignment hint 0: the address may be any. */
  load: (offset: number) => [0xfd, 0x00, 0, ...unsigned(offset)],
  splat: [0xfd, 0x14],
  lane: (lane: number) => [0xfd, 0x21, lane],
  notEqual: [0xfd, 0x48],
  or: [0xfd, 0x50],
  anyTrue: [0xfd, 0x53],
  add: [0xfd, 0xf0, 0x01],
  /** `b < a ? b : a`: one machine instruction, where `min` takes eight to keep NaN. */
  pseudoMin: [0xfd, 0xf6, 0x01],
  pseudoMax: [0xfd, 0xf7, 0x01],
} as const;

type Bytes = readonly number[];

/** One kernel: how 128-bit and single elements are folded into an accumulator, and what that starts from. */
interface Kernel {
  readonly name: string;
  readonly fold: Bytes;
  readonly foldOne: Bytes;
  /** Leaves the start value of the accumulators, an f64; the address is local 0. */
  readonly start: Bytes;
  /** How many 128-bit accumulators: enough to hide the latency of `fold`, few enough to stay in registers. */
  readonly lanes: number;
  /** `fold` loses NaN, so it is looked for beside: two instructions an element pair. */
  readonly nan: boolean;
}

const KERNELS: readonly Kernel[] = [
  { name: 'sum', fold: code.add, foldOne: code.f64Add, start: code.f64Zero, lanes: 8, nan: false },
  {
    name: 'min',
    fold: code.pseudoMin,
    foldOne: code.f64Min,
    start: [...code.get(0), ...code.f64Load],
    lanes: 4,
    nan: true,
  },
  {
    name: 'max',
    fold: code.pseudoMax,
    foldOne: code.f64Max,
    start: [...code.get(0), ...code.f64Load],
    lanes: 4,
    nan: true,
  },
];

/**
 * `(start, unrolledEnd, end: i32) -> f64`: folds the float64 of `[start, end)`, which is not empty;
 * `unrolledEnd - start` is a multiple of {@link UNROLLED_BYTES}.
 */
function functionBody({ fold, foldOne, start, lanes, nan }: Kernel): number[] {
  const [AT, UNROLLED_END, END] = [0, 1, 2];
  const accumulator = (lane: number): number => 3 + lane;
  const item = 3 + lanes;
  const masks = [item + 1, item + 2] as const;
  const scalar = item + 3;
  const perTurn = UNROLLED_BYTES / 16;
  const body: number[] = [...start, ...code.set(scalar)];
  for (let lane = 0; lane < lanes; lane++) {
    body.push(...code.get(scalar), ...code.splat, ...code.set(accumulator(lane)));
  }
  body.push(...code.block, ...code.loop);
  body.push(...code.get(AT), ...code.get(UNROLLED_END), ...code.i32LessU, 0x45 /* i32.eqz */, ...code.branchIf(1));
  for (let i = 0; i < perTurn; i++) {
    const into = accumulator(i % lanes);
    body.push(...code.get(into), ...code.get(AT), ...code.load(16 * i));
    if (nan) {
      const mask = masks[i % 2] as number;
      body.push(...code.tee(item), ...fold, ...code.set(into));
      body.push(
        ...code.get(mask),
        ...code.get(item),
        ...code.get(item),
        ...code.notEqual,
        ...code.or,
        ...code.set(mask),
      );
    } else body.push(...fold, ...code.set(into));
  }
  body.push(...code.get(AT), ...code.i32Const(UNROLLED_BYTES), ...code.i32Add, ...code.set(AT));
  body.push(...code.branch(0), ...code.end, ...code.end);
  if (nan) {
    body.push(...code.get(masks[0]), ...code.get(masks[1]), ...code.or, ...code.anyTrue);
    body.push(...code.if, ...code.f64NaN, ...code.return, ...code.end);
  }
  for (let lane = 1; lane < lanes; lane++) {
    body.push(...code.get(accumulator(0)), ...code.get(accumulator(lane)), ...fold, ...code.set(accumulator(0)));
  }
  for (const lane of [0, 1]) body.push(...code.get(accumulator(0)), ...code.lane(lane));
  body.push(...foldOne, ...code.set(scalar));
  body.push(...code.block, ...code.loop);
  body.push(...code.get(AT), ...code.get(END), ...code.i32LessU, 0x45, ...code.branchIf(1));
  body.push(...code.get(scalar), ...code.get(AT), ...code.f64Load, ...foldOne, ...code.set(scalar));
  body.push(...code.get(AT), ...code.i32Const(8), ...code.i32Add, ...code.set(AT), ...code.branch(0));
  body.push(...code.end, ...code.end, ...code.get(scalar), ...code.end);
  const locals = [2, ...unsigned(lanes + 3), V128, 1, F64];
  return sized([...locals, ...body]);
}

/** What one turn of the loops takes: 16 float64. */
export const UNROLLED_BYTES = 128;

/** The module: imports `env.memory`, exports one function per kernel. */
export function reductionModule(): Uint8Array<ArrayBuffer> {
  const type = [FUNCTION_TYPE, ...vector([[I32], [I32], [I32]]), ...vector([[F64]])];
  const importMemory = [...text('env'), ...text('memory'), 0x02, 0x00, 0x01];
  const section = (id: number, items: readonly Bytes[]): number[] => [id, ...sized(vector(items))];
  return new Uint8Array([
    ...[0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00],
    ...section(1, [type]),
    ...section(2, [importMemory]),
    ...section(
      3,
      KERNELS.map(() => [0]),
    ),
    ...section(
      7,
      KERNELS.map(({ name }, index) => [...text(name), 0x00, index]),
    ),
    ...section(10, KERNELS.map(functionBody)),
  ]);
}

/** LEB128. */
function unsigned(value: number): number[] {
  const bytes: number[] = [];
  for (let rest = value; ; ) {
    const low = rest & 0x7f;
    rest >>>= 7;
    if (rest === 0) {
      bytes.push(low);
      return bytes;
    }
    bytes.push(low | 0x80);
  }
}

function signed(value: number): number[] {
  const bytes: number[] = [];
  for (let rest = value; ; ) {
    const low = rest & 0x7f;
    rest >>= 7;
    if ((rest === 0 && (low & 0x40) === 0) || (rest === -1 && (low & 0x40) !== 0)) {
      bytes.push(low);
      return bytes;
    }
    bytes.push(low | 0x80);
  }
}

function vector(items: readonly Bytes[]): number[] {
  return [...unsigned(items.length), ...items.flat()];
}

function sized(bytes: Bytes): number[] {
  return [...unsigned(bytes.length), ...bytes];
}

function text(value: string): number[] {
  return sized(Array.from(value, (character) => character.charCodeAt(0)));
}
