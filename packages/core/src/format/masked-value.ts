/**
 * Masked array values: a call of numpy's MaskedArray over two array values.
 *
 * @module
 */

import { ByteWriter } from '../bytes/index.ts';
import { MmdError } from '../errors.ts';
import { type ArrayFrameBytes, type ParsedArray, parseArray, type ShapeMemo } from './array-value.ts';
import { putText } from './literal-value.ts';
import type { ValueReader } from './value-reader.ts';

/** A parsed masked array value. */
export interface ParsedMasked {
  readonly data: ParsedArray;
  readonly mask: ParsedArray;
  /** Positions in the value of the fill value's opcodes; absent for numpy's default. */
  readonly fill?: { readonly start: number; readonly end: number };
}

function prefix(module: string): Uint8Array {
  const writer = new ByteWriter(32);
  putText(writer, module);
  putText(writer, 'MaskedArray');
  writer.u8(0x93);
  return writer.finish();
}

/** Names by which numpy's MaskedArray is called: the first is written in the modern layout, the second in the legacy one. */
const PREFIXES = [prefix('numpy.ma'), prefix('numpy.ma.core')] as const;
const MARK = Uint8Array.of(0x28);
const PAIR = Uint8Array.of(0x86, 0x52);
const END = Uint8Array.of(0x74, 0x52);
/** dtype None, copy False, subok True, ndmin 0: the arguments between the mask and the fill value. */
const DEFAULTS = Uint8Array.of(0x4e, 0x89, 0x88, 0x4b, 0);

/**
 * Parses a masked array value that spans the whole reader; its data is not fetched.
 * @returns `undefined` if there is none
 */
export function parseMasked(reader: ValueReader): ParsedMasked | undefined {
  if (!reader.accept(PREFIXES[0]) && !reader.accept(PREFIXES[1])) return undefined;
  const marked = reader.accept(MARK);
  const memo: ShapeMemo = new Map();
  const data = parseArray(reader, memo);
  const mask = data && parseArray(reader, memo);
  if (mask === undefined || mask.type.kind !== 'b' || !sameShape(data!.shape, mask.shape)) return undefined;
  const parts = { data: data!, mask };
  if (!marked) return reader.accept(PAIR) && reader.pos === reader.length ? parts : undefined;
  const end = reader.length - END.length;
  if (reader.pos === end) return reader.accept(END) ? parts : undefined;
  if (!reader.accept(DEFAULTS)) return undefined;
  const start = reader.pos;
  if (start >= end) return undefined;
  reader.pos = end;
  return reader.accept(END) ? { ...parts, fill: { start, end } } : undefined;
}

function sameShape(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((dim, i) => dim === b[i]);
}

/** The bytes around the data and the mask of a masked array. */
export interface MaskedFrameBytes {
  readonly head: Uint8Array;
  readonly between: Uint8Array;
  readonly tail: Uint8Array;
}

/**
 * Encodes a masked array value.
 *
 * @param offset - file offset of the value
 * @param encodeData - encodes the data array for a given file offset of its value
 * @param dataLength - bytes of the data
 * @param encodeMask - the same for the mask
 * @param fill - opcodes of the fill value; only the modern layout can hold one
 */
export function encodeMasked(
  layout: 'modern' | 'legacy',
  offset: number,
  encodeData: (offset: number) => ArrayFrameBytes,
  dataLength: number,
  encodeMask: (offset: number) => ArrayFrameBytes,
  maskLength: number,
  fill: Uint8Array | undefined,
): MaskedFrameBytes {
  const open = layout === 'modern' ? Uint8Array.of(...PREFIXES[0], ...MARK) : PREFIXES[1];
  const data = encodeData(offset + open.length);
  const toMask = open.length + data.head.length + dataLength + data.tail.length;
  const mask = encodeMask(offset + toMask);
  if (!Number.isSafeInteger(toMask + mask.head.length + maskLength)) {
    throw new MmdError('UNSUPPORTED_VALUE', 'the masked array exceeds 2^53 bytes', { found: dataLength });
  }
  const close = layout === 'legacy' ? PAIR : fill === undefined ? END : concat(DEFAULTS, fill, END);
  return { head: concat(open, data.head), between: concat(data.tail, mask.head), tail: concat(mask.tail, close) };
}

/** Concatenates byte arrays. */
export function concat(...parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let pos = 0;
  for (const part of parts) {
    bytes.set(part, pos);
    pos += part.length;
  }
  return bytes;
}
