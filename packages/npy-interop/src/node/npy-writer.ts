/**
 * An npy file that grows: rows go to its end, and its header is patched in place.
 *
 * @module
 */

import { MmdError } from '@mmdpickle/core';
import { type DType, type DTypeLike, parseDType, sameDType } from '@mmdpickle/core/ndarray';
import { NodeFile } from '@mmdpickle/core/node';
import { arrayPieces, plainArray, type WritableArray } from '../array-bytes.ts';
import { arrayBytes, formatNpyHeader, type NpyVersion } from '../npy-header.ts';
import { readNpyHeader } from './npy-file.ts';
import { FileReplacement, toPath } from './replace-file.ts';

/** What a new growing npy file holds. */
export interface NpyWriterOptions {
  /** Of one row; `[]` for numbers in one dimension. */
  readonly rowShape: readonly number[];
  readonly dtype: DTypeLike;
}

/**
 * Appends rows to an npy file. The header counts the rows as of the last {@link NpyWriter.flush}; whoever reads the
 * file in between, or after a crash, finds a whole npy file with those rows.
 */
export class NpyWriter implements Disposable {
  readonly #file: NodeFile;
  readonly #dataOffset: number;
  readonly #version: NpyVersion;
  readonly #rowBytes: number;
  readonly #rowShape: readonly number[];
  readonly #dtype: DType;
  #rows: number;
  #flushed: number;

  /** Use {@link openNpyWriter}. */
  constructor(file: NodeFile) {
    const header = readNpyHeader(file);
    const { dtype, shape, order } = header;
    const [rows, ...rowShape] = shape;
    if (rows === undefined || order === 'F' || dtype.hasObject) {
      const found = dtype.hasObject ? 'objects' : order === 'F' ? 'Fortran order' : 'no dimensions';
      throw new MmdError('UNSUPPORTED_VALUE', `${file.name}: rows cannot be appended to an array of ${found}`);
    }
    this.#file = file;
    this.#dataOffset = header.dataOffset;
    this.#version = header.version;
    this.#dtype = dtype;
    this.#rowShape = rowShape;
    this.#rowBytes = arrayBytes(dtype, rowShape, file.name);
    this.#rows = rows;
    this.#flushed = rows;
  }

  /** Rows so far, flushed or not. */
  get rows(): number {
    return this.#rows;
  }

  get shape(): number[] {
    return [this.#rows, ...this.#rowShape];
  }

  get dtype(): DType {
    return this.#dtype;
  }

  /**
   * Writes rows behind the last one; the header counts them after {@link NpyWriter.flush}.
   *
   * @param rows - one row or many, of the file's dtype, in C order
   * @throws INVALID_ARGUMENT for another dtype or shape; NO_SPACE; CLOSED
   */
  append(rows: WritableArray): this {
    const array = plainArray(rows, this.#file.name);
    const count = this.#countRows(array.shape, array.nbytes, ArrayBuffer.isView(rows));
    if (count === undefined || !sameDType(array.dtype, this.#dtype) || array.order === 'F') {
      const expected = `rows [${this.#rowShape.join(', ')}] of ${this.#dtype.name} in C order`;
      const found = `[${array.shape.join(', ')}] of ${array.dtype.name} in ${array.order} order`;
      throw new MmdError('INVALID_ARGUMENT', `${this.#file.name}: expected ${expected}, found ${found}`, {
        expected,
        found,
      });
    }
    let at = this.#dataOffset + this.#rows * this.#rowBytes;
    for (const piece of arrayPieces(array, this.#file.name)) {
      this.#file.write(at, piece);
      at += piece.length;
    }
    this.#rows += count;
    return this;
  }

  /**
   * Patches the header, so that readers see all rows.
   * @param options - `sync: true` returns when the rows, and then the header, are on the disk
   */
  flush(options: { readonly sync?: boolean } = {}): this {
    if (this.#flushed === this.#rows) return this;
    const fields = { dtype: this.#dtype, shape: this.shape };
    const header = formatNpyHeader(fields, { version: this.#version, length: this.#dataOffset });
    if (options.sync === true) this.#file.sync();
    this.#file.write(0, header);
    if (options.sync === true) this.#file.sync();
    this.#flushed = this.#rows;
    return this;
  }

  close(): void {
    if (this.#file.closed) return;
    try {
      this.flush();
    } finally {
      this.#file.close();
    }
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #countRows(shape: readonly number[], nbytes: number, flat: boolean): number | undefined {
    const same = (dims: readonly number[]): boolean =>
      dims.length === this.#rowShape.length && dims.every((length, i) => length === this.#rowShape[i]);
    if (same(shape)) return 1;
    if (same(shape.slice(1)) && shape.length > 0) return shape[0];
    return flat && this.#rowBytes > 0 && nbytes % this.#rowBytes === 0 ? nbytes / this.#rowBytes : undefined;
  }
}

/**
 * Opens an npy file to append rows to it.
 *
 * @param path - an existing file in C order; or, with `create`, a new one that takes the place of any other
 * @throws NOT_FOUND; UNSUPPORTED_VALUE for Fortran order and arrays without dimensions; what `openNpy` throws
 *
 * @example
 * ```ts
 * import { openNpyWriter } from '@mmdpickle/npy-interop';
 *
 * using log = openNpyWriter('log.npy', { rowShape: [3], dtype: 'float32' });
 * log.append(new Float32Array([1, 2, 3])).append(new Float32Array([4, 5, 6])).flush();
 * log.shape; // [2, 3], also for numpy.load('log.npy') now
 * ```
 */
export function openNpyWriter(path: string | URL, create?: NpyWriterOptions): NpyWriter {
  if (create === undefined) return overFile(NodeFile.open(toPath(path), 'r+'));
  const dtype = parseDType(create.dtype);
  const header = formatNpyHeader({ dtype, shape: [0, ...create.rowShape] });
  using replacement = new FileReplacement(path);
  replacement.file.write(0, header);
  const writer = new NpyWriter(replacement.file);
  replacement.commit();
  return writer;
}

function overFile(file: NodeFile): NpyWriter {
  try {
    return new NpyWriter(file);
  } catch (error) {
    file.close();
    throw error;
  }
}
