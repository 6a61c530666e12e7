/**
 * What every stub shares: a validated shape and dtype.
 *
 * @module
 */

import { type ArraySource, type DType, type DTypeLike, MmdError, parseDType } from '@mmdpickle/core';
import { checkOptions, isFlag, isOneOf, type OptionRow, type OptionTable, shown } from '@mmdpickle/core/options';

/** numpy 1 ends at 32 dimensions, and its users must be able to load the array. */
const MAX_NDIM = 32;

/** Places in a file are counted up to 2^53 - 1, and 16 MiB of them are left for what stands around an array. */
const MAX_BYTES = 2 ** 53 - 2 ** 24;

/** Options that all stubs take. */
export interface StubOptions {
  /** Take the disk space when the array is set (posix_fallocate), so that a full disk is an error then. Default false: sparse. */
  readonly reserve?: boolean;
  /** `'C'` (default): the last index varies fastest; `'F'`: the first. */
  readonly order?: 'C' | 'F';
}

/** Of {@link StubOptions}. */
export const STUB_OPTIONS: OptionTable = { reserve: isFlag, order: isOneOf('C', 'F') };

/** Of stubs whose rows come one after the other. Types do not let an order through; JavaScript does. */
export const ROW_STUB_OPTIONS: OptionTable = {
  reserve: isFlag,
  order: { takes: (value) => value === 'C', expected: "'C', in which rows come one after the other" },
};

/** Names that only options of stubs have, and no dtype: an object with one stands in the wrong place. */
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

/** An array that knows its dtype, shape and order, and holds no memory for its elements. */
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
   * @throws MmdError INVALID_ARGUMENT for a shape that makes no sense or whose bytes pass 2^53 - 2^24, and for options;
   *   UNSUPPORTED_DTYPE for an unknown dtype, or one with Python objects in it
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

  /** The number of bytes of all elements. */
  get nbytes(): number {
    return this.size * this.type.itemsize;
  }
}

/** Parses a dtype and refuses those whose elements are pointers to Python objects. */
export function storableDType(dtype: DTypeLike): DType {
  const option = typeof dtype === 'object' && dtype !== null && OPTION_NAMES.find((name) => Object.hasOwn(dtype, name));
  if (typeof option === 'string') {
    const message = `the dtype: '${option}' is an option: options come behind the dtype, which is to be given then`;
    throw new MmdError('UNSUPPORTED_DTYPE', message, { found: dtype });
  }
  const type = parseDType(dtype);
  if (type.hasObject) {
    throw new MmdError('UNSUPPORTED_DTYPE', `dtype ${type.name} holds Python objects, which have no bytes to map`, {
      found: type.name,
    });
  }
  if (type.base !== undefined) {
    throw new MmdError('UNSUPPORTED_DTYPE', `dtype ${type.name} is an array itself: put its axes in the shape`, {
      found: type.name,
    });
  }
  return type;
}

/**
 * A frozen copy of `shape`, whose dims and byte count are known to be sane.
 * @param itemsize - bytes that an element takes in the file; of a masked array, one more for its mask
 */
export function checkShape(shape: readonly number[], itemsize: number): readonly number[] {
  if (!Array.isArray(shape)) {
    throw new MmdError('INVALID_ARGUMENT', `a shape is an array of dimensions, found ${typeof shape}`, {
      expected: 'an array of whole numbers',
      found: shape,
    });
  }
  if (shape.length > MAX_NDIM) {
    throw new MmdError('INVALID_ARGUMENT', `a shape of ${shape.length} dimensions, and numpy ends at ${MAX_NDIM}`, {
      limit: 'ndim',
      maximum: MAX_NDIM,
      found: shape.length,
    });
  }
  // As in numpy, neither a zero nor elements of no bytes excuse the other dimensions.
  const atLeast1 = (count: number): bigint => BigInt(Math.max(1, count));
  let nbytes = atLeast1(itemsize);
  for (const dim of shape as readonly unknown[]) nbytes *= atLeast1(checkCount(dim, 'a dimension of a shape'));
  if (nbytes > BigInt(MAX_BYTES)) {
    const text = `shape [${shape.join(', ')}] takes ${nbytes} bytes, more than a file has places for (2^53 - 2^24)`;
    throw new MmdError('INVALID_ARGUMENT', text, {
      limit: 'nbytes',
      maximum: MAX_BYTES,
      found: nbytes,
    });
  }
  return Object.freeze([...shape]);
}

/** A whole number from 0 to 2^53 - 1, or INVALID_ARGUMENT. */
export function checkCount(value: unknown, what: string): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) {
    throw new MmdError('INVALID_ARGUMENT', `${what} is a whole number from 0 to 2^53 - 1, found ${shown(value)}`, {
      expected: 'a whole number >= 0',
      found: value,
    });
  }
  return value === 0 ? 0 : value;
}
