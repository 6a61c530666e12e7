/**
 * An npy file that grows: rows are appended, and its header is patched in place.
 *
 * @module
 */

import { existsSync } from 'node:fs';
import { isMmdError, MmdError } from '@mmdpickle/core';
import { type DType, type DTypeLike, parseDType, sameDType } from '@mmdpickle/core/ndarray';
import { absolutePath, NodeFile } from '@mmdpickle/core/node';
import { checkOptions } from '@mmdpickle/core/options';
import { arrayPieces, plainArray, type WritableArray } from '../array-bytes.ts';
import {
  arrayBytes,
  checkList,
  fitNpyHeader,
  formatNpyHeader,
  isNpy,
  type NpyHeader,
  type NpyVersion,
} from '../npy-header.ts';
import { NPY_FLUSH_OPTIONS, NPY_WRITER_OPTIONS } from '../options.ts';
import { readNpyHeader } from './npy-file.ts';
import { FileReplacement } from './replace-file.ts';

/** Shape and dtype of the rows of a new npy file that grows. */
export interface NpyWriterOptions {
  /** Shape of one row; `[]` for a one-dimensional array of numbers. */
  readonly rowShape: readonly number[];
  readonly dtype: DTypeLike;
}

/**
 * Appends rows to an npy file. The header counts the rows as of the last {@link NpyWriter.flush}; anyone who reads the
 * file in between, or after a crash, finds a whole npy file with those rows.
 */
export class NpyWriter implements Disposable {
  readonly #file: NodeFile;
  readonly #dataOffset: number;
  readonly #version: NpyVersion;
  readonly #rowBytes: number;
  readonly #rowShape: readonly number[];
  readonly #dtype: DType;
  /** The most rows that the header has room to count. */
  readonly #mostRows: number;
  #rows: number;
  #flushed: number;

  /** Use {@link openNpyWriter}. */
  constructor(file: NodeFile) {
    const header = readNpyHeader(file);
    const { dtype, shape, order } = header;
    const [rows, ...rowShape] = shape;
    if (rows === undefined || order === 'F' || dtype.hasObject) {
      const found = dtype.hasObject ? HOLDS_OBJECTS : order === 'F' ? 'it is in Fortran order' : 'it has no dimensions';
      throw noRows(file.name, found);
    }
    this.#file = file;
    this.#dataOffset = header.dataOffset;
    this.#version = header.version;
    this.#dtype = dtype;
    this.#rowShape = rowShape;
    this.#rowBytes = arrayBytes(dtype, rowShape, file.name);
    this.#mostRows = mostRows(header, rowShape);
    this.#rows = rows;
    this.#flushed = rows;
    // Rows that were never flushed may be overwritten, but another array may not.
    const behind = new Uint8Array(8);
    if (isNpy(behind.subarray(0, file.read(header.dataOffset + header.nbytes, behind)))) {
      throw noRows(file.name, 'another array follows it in the file');
    }
    this.#needRoom(rows + 1);
  }

  /** Number of rows so far, flushed or not. */
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
   * Writes rows after the last one; the header counts them after {@link NpyWriter.flush}.
   *
   * @param rows - one row or many, of the file's dtype, in C order
   * @throws INVALID_ARGUMENT for another dtype or shape; UNSUPPORTED_VALUE for more rows than the header has room to count;
   *   NO_SPACE; CLOSED
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
    this.#needRoom(this.#rows + count);
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
    checkOptions(options, NPY_FLUSH_OPTIONS);
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

  #needRoom(rows: number): void {
    if (rows <= this.#mostRows) return;
    const { name } = this.#file;
    const text = `${name}: its header has no room for a count of ${rows} rows; headers written by numpy 1.23 or later, or by writeNpy, have`;
    throw new MmdError('UNSUPPORTED_VALUE', text, { path: name, found: rows, maximum: this.#mostRows });
  }

  #countRows(shape: readonly number[], nbytes: number, flat: boolean): number | undefined {
    const same = (dims: readonly number[]): boolean =>
      dims.length === this.#rowShape.length && dims.every((length, i) => length === this.#rowShape[i]);
    if (same(shape)) return 1;
    if (same(shape.slice(1)) && shape.length > 0) return shape[0];
    return flat && this.#rowBytes > 0 && nbytes % this.#rowBytes === 0 ? nbytes / this.#rowBytes : undefined;
  }
}

const HOLDS_OBJECTS = 'it holds objects';

function noRows(name: string, why: string): MmdError {
  return new MmdError('UNSUPPORTED_VALUE', `${name}: rows cannot be appended to this array: ${why}`);
}

/** The most rows whose count fits into the header: the largest number with as many digits as fit. */
function mostRows({ version, dtype, dataOffset }: NpyHeader, rowShape: readonly number[]): number {
  let most = 0;
  for (let digits = 1; digits <= 16; digits += 1) {
    const rows = Math.min(10 ** digits - 1, Number.MAX_SAFE_INTEGER);
    if (fitNpyHeader({ dtype, shape: [rows, ...rowShape] }, { version, length: dataOffset }) === undefined) break;
    most = rows;
  }
  return most;
}

/**
 * Opens an npy file to append rows to it. Until it is closed it holds the file's advisory lock (`flock`), which keeps out other
 * writers of this kind, in this process and in others, but nobody else.
 *
 * @param path - an existing file in C order; or, with `create`, a new one that replaces any other
 * @throws NOT_FOUND; LOCKED while another writer has the file, even if a new one would replace it; UNSUPPORTED_VALUE for
 *   Fortran order, arrays without dimensions or followed by another array, and headers without room to count another row; what
 *   `openNpy` throws, such as BAD_FORMAT; READ_ONLY, NO_SPACE, IO
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
  if (create === undefined) return overFile(NodeFile.open(path, 'r+'));
  checkOptions(create, NPY_WRITER_OPTIONS);
  const name = absolutePath(path);
  checkList(create.rowShape);
  const dtype = parseDType(create.dtype);
  // Checked before the new file replaces another.
  if (dtype.hasObject) throw noRows(name, HOLDS_OBJECTS);
  arrayBytes(dtype, create.rowShape, name);
  const header = formatNpyHeader({ dtype, shape: [0, ...create.rowShape] });
  refuseWritten(name);
  using replacement = new FileReplacement(path);
  replacement.file.write(0, header);
  return overFile(replacement.commit());
}

function overFile(file: NodeFile): NpyWriter {
  try {
    // Locked before the header is read: the previous holder may just have changed it.
    lock(file);
    return new NpyWriter(file);
  } catch (error) {
    file.close();
    throw error;
  }
}

/** Rows that another writer acknowledged must not vanish with the file. @throws LOCKED */
function refuseWritten(path: string): void {
  if (!existsSync(path)) return;
  using file = NodeFile.open(path, 'r');
  lock(file);
}

function lock(file: NodeFile): void {
  try {
    file.lock(0);
  } catch (cause) {
    if (!isMmdError(cause, 'LOCKED')) throw cause;
    const { name } = file;
    throw new MmdError('LOCKED', `${name}: another writer is appending to it`, { path: name, pid: cause.pid, cause });
  }
}
