import {
  type DTypeLike,
  MmdError,
  memoryOver,
  NDArray,
  ndarray,
  type RowRange,
  type TypedArray,
} from '@mmdpickle/core';
import { rowOf, viewBytes } from '@mmdpickle/core/ndarray';
import { checkOptions, type OptionTable } from '@mmdpickle/core/options';
import { ArrayStub, isRows, ROW_STUB_OPTIONS, type StubOptions } from './array-stub.ts';

const CHUNK_BYTES = 1 << 20;

/** Computes the elements of a range of rows, in C order. The returned array is borrowed until the next call. */
export type FillRows = (rows: RowRange) => TypedArray;

/** Options of {@link FunctionNDArray}. */
export interface FunctionOptions extends Omit<StubOptions, 'order'> {
  /** How many rows to request at once. Default: about 1 MiB of rows. */
  readonly rowsPerChunk?: number;
}

const FUNCTION_OPTIONS: OptionTable = { ...ROW_STUB_OPTIONS, rowsPerChunk: isRows };

/**
 * An array that is computed while it is written, a range of rows along the first axis at a time, in C order.
 * A 0-d array is requested as one row.
 *
 * @example
 * ```ts
 * import { MmapDict } from '@mmdpickle/core/node';
 * import { FunctionNDArray } from '@mmdpickle/stubs';
 *
 * using dict = MmapDict.open('computed.mmdpickle');
 * const squares = new FunctionNDArray([1000], 'float64', ({ start, end }) =>
 *   Float64Array.from({ length: end - start }, (_, i) => (start + i) ** 2),
 * );
 * dict.set('squares', squares);
 * ```
 */
export class FunctionNDArray extends ArrayStub {
  readonly #fill: FillRows;
  readonly #rowsPerChunk: number;

  /**
   * @param fill - returns the elements of rows `start` to `end - 1`, as a typed array of the dtype's own
   *   element type, or of another, which is converted; complex numbers as alternating real and imaginary parts, elements
   *   without a typed array (text, records, float16) as their bytes
   * @throws MmdError INVALID_ARGUMENT, UNSUPPORTED_DTYPE
   */
  constructor(shape: readonly number[], dtype: DTypeLike, fill: FillRows, options: FunctionOptions = {}) {
    checkOptions(options, FUNCTION_OPTIONS);
    super(shape, dtype, { reserve: options.reserve ?? false });
    if (typeof fill !== 'function') {
      throw new MmdError('INVALID_ARGUMENT', 'a function array needs the function that computes its rows', {
        expected: 'a function',
        found: typeof fill,
      });
    }
    this.#fill = fill;
    this.#rowsPerChunk = options.rowsPerChunk ?? Math.max(1, Math.floor(CHUNK_BYTES / Math.max(1, this.#rowBytes())));
  }

  /**
   * The array's bytes in C order, borrowed until the next piece is requested.
   * @throws MmdError INVALID_ARGUMENT when the function returns a different number of elements than requested
   */
  *bytes(): Generator<Uint8Array> {
    if (this.nbytes === 0) return;
    const rows = this.shape[0] ?? 1;
    for (let start = 0; start < rows; start += this.#rowsPerChunk) {
      const end = Math.min(rows, start + this.#rowsPerChunk);
      yield this.#encode(this.#fill({ start, end }), start, end);
    }
  }

  #rowBytes(): number {
    return this.shape.slice(1).reduce((product, dim) => product * dim, this.type.itemsize);
  }

  /** Whether the values are the dtype's elements as stored: its own typed array, the parts of complex numbers, or bytes otherwise. */
  #isRaw(values: TypedArray, nbytes: number): boolean {
    if (!ArrayBuffer.isView(values) || values.byteLength !== nbytes) return false;
    const { kind, fields, byteorder } = this.type;
    const row = fields === undefined ? rowOf(this.type) : undefined;
    const own = row?.array ?? row?.parts;
    if (own === undefined) return values instanceof Uint8Array;
    return values instanceof own && kind !== 'b' && byteorder !== '>';
  }

  /** Complex numbers of another size or byte order, given as alternating real and imaginary parts. */
  #parts(values: TypedArray, count: number): NDArray | undefined {
    if (this.type.kind !== 'c' || !ArrayBuffer.isView(values) || values.length !== 2 * count) return undefined;
    const dtype =
      values instanceof Float32Array ? 'complex64' : values instanceof Float64Array ? 'complex128' : undefined;
    return dtype && NDArray.over(memoryOver(viewBytes(values)), dtype, [count]);
  }

  #encode(values: TypedArray, start: number, end: number): Uint8Array {
    const nbytes = (end - start) * this.#rowBytes();
    const count = nbytes / this.type.itemsize;
    if (this.#isRaw(values, nbytes)) return viewBytes(values);
    const parts = this.#parts(values, count);
    if (parts === undefined && (!ArrayBuffer.isView(values) || values.length !== count)) {
      const found = ArrayBuffer.isView(values) ? values.length : values;
      const what =
        typeof found === 'number' ? `${found} elements` : `something other than a typed array (${typeof found})`;
      throw new MmdError(
        'INVALID_ARGUMENT',
        `rows ${start} to ${end - 1} need ${count} elements of ${this.type.name}, but the function returned ${what}`,
        { expected: count, found },
      );
    }
    const given = parts ?? ndarray(values, [count]);
    const bytes = new Uint8Array(nbytes);
    NDArray.over(memoryOver(bytes), this.type, [count]).set(given);
    return bytes;
  }
}
