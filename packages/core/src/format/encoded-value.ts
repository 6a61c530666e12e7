/**
 * A value ready to be written, in parts that are fixed once the entry's file offset is known.
 *
 * @module
 */

import type { ByteWriter } from '../bytes/index.ts';
import type { FileRange } from '../ndarray/index.ts';

/** Bytes of a value that need not be in this process's memory in one piece. */
export interface ArrayBody {
  readonly body: true;
  readonly nbytes: number;
  /** All `nbytes` bytes as one piece; `undefined` if they are not in one. */
  piece?(): Uint8Array | undefined;
  /** The bytes in pieces, together at most `nbytes`; what is missing reads as zeros. */
  chunks?(): Iterable<Uint8Array>;
  /** The bytes are in this file. */
  readonly file?: FileRange | undefined;
  /** Allocate the disk space now. */
  readonly reserve?: boolean;
}

/** A part of a value: bytes (borrowed until the call that writes them returns), or a body. */
export type ValuePart = Uint8Array | ArrayBody;

/** A value encoded for the file. */
export interface EncodedValue {
  /** The codec's name. */
  readonly kind: string;
  /**
   * The parts for a value that starts at file offset `offset`.
   * @param scratch - buffer for small parts, which are then borrowed until the next call
   */
  place(offset: number, scratch?: ByteWriter): readonly ValuePart[];
  /**
   * Bytes of filler needed before the entry: 0, or at least 20. Called again for the entry's place after the
   * filler, it must return 0.
   */
  fillerBefore?(entryOffset: number, keyLength: number): number;
  /** One more than the highest memo index that the value's opcodes use. */
  readonly memoHint: number;
}

/** A value whose bytes are the same at any file offset. */
export function encodedBytes(kind: string, bytes: Uint8Array, memoHint = 0): EncodedValue {
  return new FixedValue(kind, [bytes], memoHint);
}

/** As {@link encodedBytes}, for bytes in several parts. */
export function encodedParts(kind: string, parts: readonly Uint8Array[], memoHint = 0): EncodedValue {
  return new FixedValue(kind, parts, memoHint);
}

/** A class, so that the many small values of a dict need no closure each and share one hidden class. */
class FixedValue implements EncodedValue {
  readonly kind: string;
  readonly memoHint: number;
  readonly #parts: readonly Uint8Array[];

  constructor(kind: string, parts: readonly Uint8Array[], memoHint: number) {
    this.kind = kind;
    this.memoHint = memoHint;
    this.#parts = parts;
  }

  place(): readonly Uint8Array[] {
    return this.#parts;
  }
}
