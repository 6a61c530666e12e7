/**
 * What every writer here needs of an array: its type, its shape, and its bytes once, in pieces.
 *
 * @module
 */

import { MmdError } from '@mmdpickle/core';
import {
  type ArraySource,
  type DType,
  isArraySource,
  ndarray,
  parseDType,
  type TypedArray,
} from '@mmdpickle/core/ndarray';
import type { StorageFile } from '@mmdpickle/core/storage';
import { arrayBytes } from './npy-header.ts';

/** What can be written: an `NDArray`, any other {@link ArraySource}, or a typed array as one dimension. */
export type WritableArray = ArraySource | TypedArray;

/** Size of the pieces of zeros that sources without bytes are written as. */
const ZERO_PIECE = 1 << 20;

/** The place of an array's bytes in an open file. */
export interface BytesInFile {
  readonly file: StorageFile;
  readonly offset: number;
}

/** A checked array: what its file will contain, and where its bytes come from. */
export interface PlainArray {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly order: 'C' | 'F';
  readonly nbytes: number;
  /** The bytes are in an open file. */
  readonly place?: BytesInFile | undefined;
  /** Otherwise the bytes are those of this source. */
  readonly source?: ArraySource | undefined;
}

/**
 * Checks an array that is to be written.
 *
 * @param what - for error messages
 * @throws UNSUPPORTED_VALUE for what is not an array, or is a masked one; UNSUPPORTED_DTYPE
 */
export function plainArray(value: WritableArray, what: string): PlainArray {
  const source = isArraySource(value) ? value : typedSource(value, what);
  if (source.mask !== undefined) {
    throw new MmdError(
      'UNSUPPORTED_VALUE',
      `${what}: a masked array cannot be written as one array: write its data and its mask, or use mmdToNpy, mmdToNpz or writeNpz`,
    );
  }
  const dtype = parseDType(source.dtype);
  if (dtype.hasObject) {
    throw new MmdError('UNSUPPORTED_VALUE', `${what}: Object arrays cannot be saved when allow_pickle=False`, {
      found: dtype.name,
    });
  }
  const { shape } = source;
  const order = source.order === 'F' && shape.length > 1 ? 'F' : 'C';
  return { source, dtype, shape, order, nbytes: arrayBytes(dtype, shape, what) };
}

function typedSource(value: unknown, what: string): ArraySource {
  if (ArrayBuffer.isView(value) && !(value instanceof DataView)) return ndarray(value as TypedArray);
  const found = Array.isArray(value) ? 'a list: use ndarray(list)' : typeof value;
  throw new MmdError('UNSUPPORTED_VALUE', `${what}: expected a typed array or an NDArray, found ${found}`, {
    found: typeof value,
  });
}

/**
 * The bytes of a source in its order, exactly `nbytes` of them; zeros if it has none of its own.
 * Each piece is borrowed until the next is requested.
 *
 * @throws INVALID_ARGUMENT when the source gives too few or too many; UNSUPPORTED_VALUE for bytes in a file
 */
export function* arrayPieces(array: PlainArray, what: string): Generator<Uint8Array, void, undefined> {
  const { source, nbytes } = array;
  if (source?.file !== undefined) {
    throw new MmdError('UNSUPPORTED_VALUE', `${what}: the bytes are in ${source.file.path}, which only Node can copy`);
  }
  if (source?.bytes === undefined) {
    const zeros = new Uint8Array(Math.min(ZERO_PIECE, nbytes));
    for (let done = 0; done < nbytes; done += zeros.length) yield zeros.subarray(0, nbytes - done);
    return;
  }
  let done = 0;
  for (const piece of source.bytes()) {
    done += piece.length;
    if (done > nbytes) throw wrongCount(what, nbytes, done);
    yield piece;
  }
  if (done !== nbytes) throw wrongCount(what, nbytes, done);
}

function wrongCount(what: string, expected: number, found: number): MmdError {
  return new MmdError('INVALID_ARGUMENT', `${what}: the source declared ${expected} bytes but gave ${found}`, {
    expected,
    found,
  });
}
