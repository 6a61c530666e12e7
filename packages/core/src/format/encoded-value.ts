/**
 * A value ready to be written: parts that know where they stand only when the entry is placed.
 *
 * @module
 */

import type { ByteWriter } from '../bytes/index.ts';
import type { FileRange } from '../ndarray/index.ts';

/** Bytes of a value that do not come from this process's memory in one piece. */
export interface ArrayBody {
  readonly body: true;
  readonly nbytes: number;
  /** All `nbytes` bytes as one piece, where they are that. */
  piece?(): Uint8Array | undefined;
  /** The bytes in pieces, together at most `nbytes`; what is missing reads as zeros. */
  chunks?(): Iterable<Uint8Array>;
  /** The bytes stand in this file. */
  readonly file?: FileRange | undefined;
  /** Take the disk space now. */
  readonly reserve?: boolean;
}

/** A part of a value: bytes (borrowed until the call that writes them returns), or a body. */
export type ValuePart = Uint8Array | ArrayBody;

/** A value in the file's spelling. */
export interface EncodedValue {
  /** The codec's name. */
  readonly kind: string;
  /**
   * The parts for a value that starts at file offset `offset`.
   * @param scratch - where small parts may be written, to be borrowed until the next call
   */
  place(offset: number, scratch?: ByteWriter): readonly ValuePart[];
  /**
   * Bytes of filler wanted before the entry: 0, or at least 20. Called again with the entry moved behind the
   * filler, it must answer 0.
   */
  fillerBefore?(entryOffset: number, keyLength: number): number;
  /** One more than the highest memo index that the value's opcodes use. */
  readonly memoHint: number;
}

/** A value that is the same bytes wherever it stands. */
export function encodedBytes(kind: string, bytes: Uint8Array, memoHint = 0): EncodedValue {
  return new FixedValue(kind, [bytes], memoHint);
}

/** The same for bytes in parts. */
export function encodedParts(kind: string, parts: readonly Uint8Array[], memoHint = 0): EncodedValue {
  return new FixedValue(kind, parts, memoHint);
}

/** A class, so that the many small values of a dict come without a closure each and in one hidden class. */
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
