/**
 * A tiny assembler: the instructions that the SIMD kernels need, as bytes of a WebAssembly module.
 *
 * Encodings: WebAssembly Core Specification 2.0, chapter 5 (binary format) and its index of instructions.
 *
 * @module
 */

/** A piece of code: bytes, in any nesting. */
export type Code = number | readonly Code[];

/** Value types. */
export const I32 = 0x7f;
export const V128 = 0x7b;

/** An unsigned number in LEB128, the encoding of opcodes, indices, lengths and offsets. */
export function leb(value: number): number[] {
  const bytes: number[] = [];
  do {
    const rest = Math.floor(value / 128);
    bytes.push((value % 128) + (rest > 0 ? 128 : 0));
    value = rest;
  } while (value > 0);
  return bytes;
}

/** Opcodes after the prefix 0xFD. */
const SIMD = {
  'v128.load': 0x00,
  'v128.load32x2_s': 0x05,
  'v128.load32x2_u': 0x06,
  'v128.store': 0x0b,
  'v128.const': 0x0c,
  'i8x16.shuffle': 0x0d,
  'i16x8.gt_s': 0x31,
  'i32x4.gt_s': 0x3b,
  'v128.and': 0x4e,
  'v128.or': 0x50,
  'v128.xor': 0x51,
  'v128.bitselect': 0x52,
  'v128.load64_zero': 0x5d,
  'f32x4.ne': 0x42,
  'f64x2.ne': 0x48,
  'f64x2.promote_low_f32x4': 0x5f,
  'i8x16.min_s': 0x76,
  'i8x16.min_u': 0x77,
  'i8x16.max_s': 0x78,
  'i8x16.max_u': 0x79,
  'i16x8.extadd_pairwise_i8x16_s': 0x7c,
  'i16x8.extadd_pairwise_i8x16_u': 0x7d,
  'i32x4.extadd_pairwise_i16x8_s': 0x7e,
  'i32x4.extadd_pairwise_i16x8_u': 0x7f,
  'i16x8.shr_s': 0x8c,
  'i16x8.min_s': 0x96,
  'i16x8.min_u': 0x97,
  'i16x8.max_s': 0x98,
  'i16x8.max_u': 0x99,
  'i32x4.extend_low_i16x8_u': 0xa9,
  'i32x4.shl': 0xab,
  'i32x4.add': 0xae,
  'i32x4.min_s': 0xb6,
  'i32x4.min_u': 0xb7,
  'i32x4.max_s': 0xb8,
  'i32x4.max_u': 0xb9,
  'i64x2.extend_low_i32x4_s': 0xc7,
  'i64x2.extend_low_i32x4_u': 0xc9,
  'i64x2.shr_s': 0xcc,
  'i64x2.shr_u': 0xcd,
  'i64x2.add': 0xce,
  'i64x2.lt_s': 0xd8,
  'i64x2.gt_s': 0xd9,
  'f32x4.add': 0xe4,
  'f32x4.mul': 0xe6,
  'f32x4.pmin': 0xea,
  'f32x4.pmax': 0xeb,
  'f64x2.add': 0xf0,
  'f64x2.pmin': 0xf6,
  'f64x2.pmax': 0xf7,
} as const;

/** The name of a SIMD instruction. */
export type SimdName = keyof typeof SIMD;

/** A SIMD instruction without immediates. */
export const simd = (name: SimdName): Code => [0xfd, leb(SIMD[name])];
/** A SIMD load or store at `offset` bytes from the address on the stack; no alignment is needed. */
export const simdAt = (name: SimdName, offset: number): Code => [0xfd, leb(SIMD[name]), 0, leb(offset)];
/** A constant vector. */
export const vector = (bytes: readonly number[]): Code => [0xfd, leb(SIMD['v128.const']), bytes];
/** A vector of bytes picked from the two on the stack: 0 to 15 of the first, 16 to 31 of the second. */
export const shuffle = (lanes: readonly number[]): Code => [0xfd, leb(SIMD['i8x16.shuffle']), lanes];
export const get = (local: number): Code => [0x20, leb(local)];
export const set = (local: number): Code => [0x21, leb(local)];
/** A number from 0 to 2^31 - 1 on the stack; its LEB128 is signed, so that bit 6 of the last byte must be clear. */
export function i32(value: number): Code {
  const bytes = leb(value);
  const last = bytes.length - 1;
  if ((bytes[last] as number) < 64) return [0x41, bytes];
  return [0x41, bytes.slice(0, last), (bytes[last] as number) + 128, 0];
}
export const ADD: Code = 0x6a;
/** Whether the first of two unsigned numbers is less. */
export const LESS: Code = 0x49;
/** Takes `a`, `b` and a condition; leaves `a` if it holds, else `b`. */
export const SELECT: Code = 0x1b;
/** Repeats `body` as long as it leaves a true value. */
export const loopWhile = (body: Code): Code => [0x03, 0x40, body, 0x0d, 0, 0x0b];

/** A function without results. */
export interface WasmFunction {
  readonly name: string;
  /** The types of the parameters, which are the first locals. */
  readonly parameters: readonly number[];
  /** The types of the other locals. */
  readonly locals: readonly number[];
  readonly code: Code;
}

/** A module that imports the memory `env.memory` and exports the functions. */
export function assemble(functions: readonly WasmFunction[]): Uint8Array {
  const text = (value: string): number[] => list(Array.from(value, (character) => character.charCodeAt(0)));
  const list = (items: readonly Code[]): number[] => [...leb(items.length), ...flat(items)];
  const section = (id: number, content: readonly number[]): number[] => [id, ...leb(content.length), ...content];
  const types = functions.map(({ parameters }): Code => [0x60, list(parameters), 0]);
  const bodies = functions.map(({ locals, code }): Code => {
    const body = flat([list(locals.map((type): Code => [1, type])), code, 0x0b]);
    return [leb(body.length), body];
  });
  return Uint8Array.from([
    ...[0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...section(1, list(types)),
    ...section(2, list([[text('env'), text('memory'), 0x02, 0x00, 1]])),
    ...section(3, list(functions.map((_, index) => leb(index)))),
    ...section(7, list(functions.map(({ name }, index): Code => [text(name), 0x00, leb(index)]))),
    ...section(10, list(bodies)),
  ]);
}

function flat(code: Code, into: number[] = []): number[] {
  if (typeof code === 'number') into.push(code);
  else for (const part of code) flat(part, into);
  return into;
}
