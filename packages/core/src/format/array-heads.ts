/**
 * Heads of arrays that were read before: arrays of one type and shape begin with the same bytes, up to padding.
 *
 * @module
 */

import { PackedForm } from '../ndarray/layout.ts';
import { MODERN_PREFIX, parseArray } from './array-value.ts';
import type { ValueReader } from './value-reader.ts';

/** Heads that are remembered. */
const MAX_HEADS = 16;

/** What a head of these very bytes says. */
export interface ArrayHead {
  /** From the value's first byte to the data's. */
  readonly bytes: Uint8Array;
  readonly form: PackedForm;
  /** Bytes of the whole value: head, data and what closes the call. */
  readonly valueLength: number;
}

/** TUPLE and REDUCE, which close the call of an array in C order. */
export const ARRAY_END_SIZE = 2;

/** Whether an array in C order ends at `pos`. */
export function isArrayEnd(bytes: Uint8Array, pos: number): boolean {
  return bytes[pos] === 0x74 && bytes[pos + 1] === 0x52;
}

/** Remembers heads of arrays in the modern spelling that are in C order and do not grow: all that the head tells. */
export class ArrayHeads {
  readonly #heads: ArrayHead[] = [];
  #last: ArrayHead | undefined;
  #next = 0;

  /** The head that stands in `bytes[start, end)`, if it is known. */
  find(bytes: Uint8Array, start: number, end: number): ArrayHead | undefined {
    if (this.#last !== undefined && stands(this.#last, bytes, start, end)) return this.#last;
    for (const head of this.#heads) if (stands(head, bytes, start, end)) return (this.#last = head);
    return undefined;
  }

  /**
   * Parses the array that a reader stands before, and remembers its head.
   *
   * @param bytes - the value's first bytes stand in `bytes[start, end)`
   * @returns `undefined` for everything that is not such an array, whole, with its head in the bytes given
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
