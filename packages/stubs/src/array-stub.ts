/**
 * The base of all stubs: a validated shape and dtype.
 *
 * @module
 */

import { type ArraySource, type DType, type DTypeLike, MmdError, parseDType } from '@mmdpickle/core';
import { checkOptions, isFlag, isOneOf, type OptionRow, type OptionTable, shown } from '@mmdpickle/core/options';

/** numpy 1 supports at most 32 dimensions, and its users must be able to load the array. */
const MAX_NDIM = 32;

/** File offsets go up to 2^53 - 1; 16 MiB of that is left for what surrounds an array. */
const MAX_BYTES = 2 ** 53 - 2 ** 24;

/** Options that all stubs accept. */
export interface StubOptions {
  /** Reserve the disk space when the array is set (posix_fallocate), so that a full disk is an error then. Default false: sparse. */
  readonly reserve?: boolean;
  /** `'C'` (default): the last index varies fastest; `'F'`: the first. */
  readonly order?: 'C' | 'F';
}

/** The table of {@link StubOptions}. */
export const STUB_OPTIONS: OptionTable = { reserve: isFlag, order: isOneOf('C', 'F') };

/** The options of stubs whose rows are written one after another. Types rule out `order`; JavaScript does not. */
export const ROW_STUB_OPTIONS: OptionTable = {
  reserve: isFlag,
  order: { takes: (value) => value === 'C', expected: "'C', in which rows are stored one after another" },
};

/** Names that occur in stub options but in no dtype: an object with one was passed in the wrong place. */
const OPTION_NAMES: readonly string[] = [
  ...Object.keys(STUB_OPTIONS),
  'fillValue',
  'masked',
  'rowsPerChunk',
  'capacity',
];

/** A number of rows, at least one. */
export const isRows: OptionRow = {
  takes: (value) => Number.isSafeInteger(value) && (value as number) > 0,
  expected: 'a whole number of rows, 1 or more',
};

/** An array with a dtype, shape and order, but no memory for its elements. */
export abstract class ArrayStub implements ArraySource {
  readonly arraySource = true as const;
  readonly dtype: DTypeLike;
  /** The parsed {@link ArrayStub.dtype}. */
  readonly type: DType;
  readonly shape: readonly number[];
  readonly order: 'C' | 'F';
  readonly reserve: boolean;

  /**
   * @param shape - whole numbers from 0 on; `[]` is a 0-d array
   * @param dtype - such as `'float64'`, `'>u2'`, `'datetime64[ns]'`, or a structured descr list
   * @throws MmdError INVALID_ARGUMENT for an invalid shape, one of more than 2^53 - 2^24 bytes, or invalid options;
   *   UNSUPPORTED_DTYPE for an unknown dtype, or one that contains Python objects
   */
  constructor(shape: readonly number[], dtype: DTypeLike, options: StubOptions = {}) {
    checkOptions(options, STUB_OPTIONS);
    this.type = storableDType(dtype);
    this.dtype = this.type;
    this.shape = checkShape(shape, this.type.itemsize);
    this.order = options.order ?? 'C';
    this.reserve = options.reserve ?? false;
  }

  /** The number of elements. */
  get size(): number {
    return this.shape.reduce((product, dim) => product * dim, 1);
  }

  /** The size of all elements in bytes. */
  get nbytes(): number {
    return this.size * this.type.itemsize;
  }
}

/** Parses a dtype; rejects subarray dtypes and those whose elements are pointers to Python objects. */
export function storableDType(dtype: DTypeLike): DType {
  const option = typeof dtype === 'object' && dtype !== null && OPTION_NAMES.find((name) => Object.hasOwn(dtype, name));
  if (typeof option === 'string') {
    const message = `'${option}' is an option, not part of a dtype: pass the dtype first, then the options`;
    throw new MmdError('UNSUPPORTED_DTYPE', message, { found: dtype });
  }
  const type = parseDType(dtype);
  if (type.hasObject) {
    throw new MmdError('UNSUPPORTED_DTYPE', `dtype ${type.name} holds Python objects, which have no bytes to map`, {
      found: type.name,
    });
  }
  if (type.base !== undefined) {
    throw new MmdError('UNSUPPORTED_DTYPE', `dtype ${type.name} has a shape of its own: put its axes in the shape`, {
      found: type.name,
    });
  }
  return type;
}

/**
 * Checks the dimensions and the byte count of `shape`, and returns a frozen copy.
 * @param itemsize - bytes per element in the file; for a masked array, one more for the mask
 */
export function checkShape(shape: readonly number[], itemsize: number): readonly number[] {
  if (!Array.isArray(shape)) {
    throw new MmdError('INVALID_ARGUMENT', `a shape must be an array of dimensions, found ${typeof shape}`, {
      expected: 'an array of whole numbers',
      found: shape,
    });
  }
  if (shape.length > MAX_NDIM) {
    throw new MmdError(
      'INVALID_ARGUMENT',
      `a shape of ${shape.length} dimensions; numpy supports at most ${MAX_NDIM}`,
      {
        limit: 'ndim',
        maximum: MAX_NDIM,
        found: shape.length,
      },
    );
  }
  // As in numpy, a zero dimension or zero-byte elements do not exempt the other dimensions.
  const atLeast1 = (count: number): bigint => BigInt(Math.max(1, count));
  let nbytes = atLeast1(itemsize);
  for (const dim of shape as readonly unknown[]) nbytes *= atLeast1(checkCount(dim, 'a dimension of a shape'));
  if (nbytes > BigInt(MAX_BYTES)) {
    const text = `shape [${shape.join(', ')}] takes ${nbytes} bytes, more than a file can hold (2^53 - 2^24)`;
    throw new MmdError('INVALID_ARGUMENT', text, {
      limit: 'nbytes',
      maximum: MAX_BYTES,
      found: nbytes,
    });
  }
  return Object.freeze([...shape]);
}

/** Returns a whole number from 0 to 2^53 - 1, or throws INVALID_ARGUMENT. */
export function checkCount(value: unknown, what: string): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) {
    throw new MmdError('INVALID_ARGUMENT', `${what} must be a whole number from 0 to 2^53 - 1, found ${shown(value)}`, {
      expected: 'a whole number >= 0',
      found: value,
    });
  }
  return value === 0 ? 0 : value;
}
