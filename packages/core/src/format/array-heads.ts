/**
 * A cache of array heads: arrays of one type and shape begin with the same bytes, except for padding.
 *
 * @module
 */

import { PackedForm } from '../ndarray/layout.ts';
import { MODERN_PREFIX, parseArray } from './array-value.ts';
import type { ValueReader } from './value-reader.ts';

/** Most heads in a cache. */
const MAX_HEADS = 16;

/** A head and what it means. */
export interface ArrayHead {
  /** The value's bytes before its data. */
  readonly bytes: Uint8Array;
  readonly form: PackedForm;
  /** Bytes of the whole value: head, data and the opcodes after them. */
  readonly valueLength: number;
}

/** Size of TUPLE and REDUCE, which end the value of an array in C order. */
export const ARRAY_END_SIZE = 2;

/** Whether an array in C order ends at `pos`. */
export function isArrayEnd(bytes: Uint8Array, pos: number): boolean {
  return bytes[pos] === 0x74 && bytes[pos + 1] === 0x52;
}

/** Caches heads of arrays in the modern spelling that are in C order and do not grow: such a head describes the whole array. */
export class ArrayHeads {
  readonly #heads: ArrayHead[] = [];
  #last: ArrayHead | undefined;
  #next = 0;

  /** The cached head that `bytes[start, end)` begins with, if any. */
  find(bytes: Uint8Array, start: number, end: number): ArrayHead | undefined {
    if (this.#last !== undefined && stands(this.#last, bytes, start, end)) return this.#last;
    for (const head of this.#heads) if (stands(head, bytes, start, end)) return (this.#last = head);
    return undefined;
  }

  /**
   * Parses the array at the reader's position, and caches its head.
   *
   * @param bytes - `bytes[start, end)` are the value's first bytes
   * @returns `undefined` unless the value is exactly one such array, with its whole head in the given bytes
   */
  learn(bytes: Uint8Array, start: number, end: number, reader: ValueReader): ArrayHead | undefined {
    for (let i = 0; i < MODERN_PREFIX.length; i++) if (bytes[start + i] !== MODERN_PREFIX[i]) return undefined;
    const parsed = parseArray(reader);
    if (parsed === undefined || reader.pos !== reader.length) return undefined;
    const { type, shape, order, dataPos, dataLength, countPos, shapePut, shapeGot } = parsed;
    const plain = order === 'C' && countPos === undefined && shapePut === undefined && shapeGot === undefined;
    const valueLength = dataPos + dataLength + ARRAY_END_SIZE;
    if (!plain || start + dataPos > end || valueLength !== reader.length) return undefined;
    const head = { bytes: bytes.slice(start, start + dataPos), form: new PackedForm(type, shape, 'C'), valueLength };
    this.#heads[this.#next] = head;
    this.#next = (this.#next + 1) % MAX_HEADS;
    return (this.#last = head);
  }
}

function stands({ bytes: head }: ArrayHead, bytes: Uint8Array, start: number, end: number): boolean {
  const { length } = head;
  if (start + length > end) return false;
  // From the end: padding and sizes differ more often than the names.
  for (let i = length - 1; i >= 0; i--) if (head[i] !== bytes[start + i]) return false;
  return true;
}
