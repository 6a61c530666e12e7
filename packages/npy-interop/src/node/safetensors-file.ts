/**
 * safetensors and raw binary files by path.
 *
 * @module
 */

import { MmdError } from '@mmdpickle/core';
import { type DTypeLike, memoryOver, NDArray, parseDType } from '@mmdpickle/core/ndarray';
import { absolutePath, NodeFile } from '@mmdpickle/core/node';
import { checkOptions } from '@mmdpickle/core/options';
import type { ByteSource } from '@mmdpickle/core/storage';
import { plainArray, type WritableArray } from '../array-bytes.ts';
import { arrayBytes, checkList, readSteps } from '../npy-header.ts';
import type { NamedArrays } from '../npz-write.ts';
import { RAW_OPTIONS, SIGNAL_OPTIONS, TRANSFER_OPTIONS, WRITE_SAFETENSORS_OPTIONS } from '../options.ts';
import {
  plainTensors,
  planSafetensors,
  type ReadSafetensorsOptions,
  readSafetensors as readSafetensorsPure,
  SafetensorsFile,
  safetensorsHeaderSteps,
  type WriteSafetensorsOptions,
} from '../safetensors.ts';
import { disposable, type MappedNDArray, type NpyMode, writeArray } from './npy-file.ts';
import { FileReplacement } from './replace-file.ts';

/** Options to stop a conversion or a writer, and to watch its progress. */
export interface TransferOptions {
  readonly signal?: AbortSignal | undefined;
  /** Called with counts of bytes. */
  readonly onProgress?: ((progress: { readonly done: number; readonly total: number }) => void) | undefined;
}

/** Counts bytes, reports progress and throws if the caller has aborted. */
export function meter(total: number, options: TransferOptions): (bytes: number) => void {
  let done = 0;
  return (bytes) => {
    done += bytes;
    options.onProgress?.({ done, total });
    options.signal?.throwIfAborted();
  };
}

/** A mapped safetensors file; its tensors are views of the mapping. Disposing it closes the file. */
export type MappedSafetensors = SafetensorsFile & Disposable;

/** Maps a safetensors file read-only. @throws NOT_FOUND; BAD_FORMAT, TRUNCATED, CORRUPT, LIMIT_EXCEEDED */
function openSafetensors(path: string | URL): MappedSafetensors {
  const file = NodeFile.open(path, 'r');
  try {
    const size = file.size();
    const header = readSteps(safetensorsHeaderSteps(file.name, size), (offset, length) => {
      const bytes = new Uint8Array(Math.max(0, Math.min(length, size - offset)));
      return bytes.subarray(0, file.read(offset, bytes));
    });
    const tensors = new SafetensorsFile(file.name, header, file.map(0, size, 'read'));
    return Object.defineProperty(tensors, Symbol.dispose, { value: () => file.close() }) as MappedSafetensors;
  } catch (error) {
    file.close();
    throw error;
  }
}

/**
 * Reads a safetensors file: a path is mapped, bytes are borrowed, a `ByteSource` or `Blob` gives a promise.
 *
 * @throws NOT_FOUND; BAD_FORMAT, TRUNCATED, CORRUPT, LIMIT_EXCEEDED; the signal's reason
 *
 * @example
 * ```ts
 * import { readSafetensors, writeSafetensors } from '@mmdpickle/npy-interop';
 *
 * writeSafetensors('model.safetensors', { bias: new Float32Array([1, 2]) });
 * using model = readSafetensors('model.safetensors');
 * model.get('bias').get(1); // 2
 * ```
 */
export function readSafetensors(source: string | URL, options?: ReadSafetensorsOptions): MappedSafetensors;
export function readSafetensors(source: Uint8Array | ArrayBuffer, options?: ReadSafetensorsOptions): SafetensorsFile;
export function readSafetensors(source: ByteSource | Blob, options?: ReadSafetensorsOptions): Promise<SafetensorsFile>;
export function readSafetensors(
  source: string | URL | Uint8Array | ArrayBuffer | ByteSource | Blob,
  options: ReadSafetensorsOptions = {},
): SafetensorsFile | Promise<SafetensorsFile> {
  checkOptions(options, SIGNAL_OPTIONS);
  if (typeof source === 'string' || source instanceof URL) return openSafetensors(source);
  return readSafetensorsPure(source as Uint8Array, options);
}

/**
 * Writes a safetensors file: whole or not at all.
 *
 * @returns the size of the file
 * @throws UNSUPPORTED_DTYPE for types that the format lacks; UNSUPPORTED_VALUE for masked and Fortran arrays; NO_SPACE; IO
 *
 * @example
 * ```ts
 * import { writeSafetensors } from '@mmdpickle/npy-interop';
 *
 * writeSafetensors('w.safetensors', { w: new Float64Array(4) }, { metadata: { unit: 'V' } });
 * ```
 */
export function writeSafetensors(
  path: string | URL,
  arrays: NamedArrays,
  options: WriteSafetensorsOptions & TransferOptions = {},
): number {
  checkOptions(options, WRITE_SAFETENSORS_OPTIONS);
  const plan = planSafetensors(plainTensors(arrays), options);
  const tick = meter(plan.size - plan.head.length, options);
  options.signal?.throwIfAborted();
  using replacement = new FileReplacement(path);
  replacement.file.write(0, plan.head);
  for (const array of plan.arrays) writeArray(replacement.file, array, array.offset, tick);
  replacement.finish();
  return plan.size;
}

/** Options of {@link fromRaw}. */
export interface RawOptions {
  /** Where the array starts in the file, in bytes. Default 0. */
  readonly offset?: number | undefined;
  /** Default `'C'`. */
  readonly order?: 'C' | 'F' | undefined;
  /** Default `'r'`. */
  readonly mode?: NpyMode | undefined;
}

/**
 * Maps the bytes of a file without a header as an array, like `numpy.memmap`.
 *
 * @param shape - one length may be -1: as many as the file holds
 * @throws NOT_FOUND; TRUNCATED if the file is too short; INVALID_ARGUMENT; UNSUPPORTED_DTYPE
 *
 * @example
 * ```ts
 * import { fromRaw, toRaw } from '@mmdpickle/npy-interop';
 *
 * toRaw('samples.bin', new Int16Array([1, -2, 3, -4]));
 * using samples = fromRaw('samples.bin', '<i2', [-1, 2]);
 * samples.shape; // [2, 2]
 * ```
 */
export function fromRaw(
  path: string | URL,
  dtype: DTypeLike,
  shape: readonly number[] = [-1],
  options: RawOptions = {},
): MappedNDArray {
  checkOptions(options, RAW_OPTIONS);
  const mode = options.mode ?? 'r';
  const access = { r: 'read', 'r+': 'write', c: 'copy-on-write' } as const;
  const file = NodeFile.open(path, mode === 'r+' ? 'r+' : 'r');
  try {
    const { dtype: type, shape: dims, nbytes, offset } = rawLayout(file, dtype, shape, options);
    const memory = nbytes === 0 ? memoryOver(new Uint8Array(0), mode !== 'r') : file.map(offset, nbytes, access[mode]);
    return disposable(NDArray.over(memory, type, dims, { order: options.order ?? 'C' }), file);
  } catch (error) {
    file.close();
    throw error;
  }
}

/** Layout of the array in a raw file, checked against the file's size. */
export function rawLayout(
  file: NodeFile,
  dtype: DTypeLike,
  shape: readonly number[],
  options: RawOptions,
): { dtype: ReturnType<typeof parseDType>; shape: number[]; nbytes: number; offset: number } {
  checkList(shape);
  const type = parseDType(dtype);
  const offset = options.offset ?? 0;
  const counts = shape.every((length) => Number.isSafeInteger(length) && length >= -1);
  const unknown = shape.filter((length) => length === -1).length;
  if (!counts || unknown > 1 || type.hasObject || !Number.isSafeInteger(offset) || offset < 0) {
    throw new MmdError(
      'INVALID_ARGUMENT',
      `${file.name}: invalid raw array [${shape.join(', ')}] of ${type.name} at ${offset}: expected dimensions of 0 or more with at most one -1, no objects, and an offset of 0 or more`,
      {
        path: file.name,
        found: shape,
      },
    );
  }
  const available = Math.max(0, file.size() - offset);
  const known = shape.filter((length) => length !== -1);
  const row = arrayBytes(type, known, file.name);
  const rest = unknown === 0 || (row === 0 && available === 0) ? 0 : available / row;
  if (!Number.isInteger(rest)) {
    throw new MmdError(
      'INVALID_ARGUMENT',
      `${file.name}: ${available} bytes are not a whole number of rows of ${row} bytes`,
      {
        path: file.name,
        expected: row,
        found: available,
      },
    );
  }
  const dims = shape.map((length) => (length === -1 ? rest : length));
  const nbytes = arrayBytes(type, dims, file.name);
  if (nbytes > available) {
    throw new MmdError('TRUNCATED', `${file.name}: raw array: expected ${nbytes} bytes, found ${available}`, {
      path: file.name,
      offset,
      expected: nbytes,
      found: available,
    });
  }
  return { dtype: type, shape: dims, nbytes, offset };
}

/**
 * Writes an array's bytes, in its order, without a header: whole or not at all.
 *
 * @returns the size of the file
 * @throws UNSUPPORTED_VALUE for masked and object arrays; NOT_FOUND if the directory does not exist; READ_ONLY, NO_SPACE, IO
 *
 * @example
 * ```ts
 * import { toRaw } from '@mmdpickle/npy-interop';
 *
 * toRaw('counts.bin', new Uint32Array([1, 2, 3])); // 12
 * ```
 */
export function toRaw(path: string | URL, array: WritableArray, options: TransferOptions = {}): number {
  checkOptions(options, TRANSFER_OPTIONS);
  const plain = plainArray(array, absolutePath(path));
  options.signal?.throwIfAborted();
  using replacement = new FileReplacement(path);
  writeArray(replacement.file, plain, 0, meter(plain.nbytes, options));
  replacement.finish();
  return plain.nbytes;
}
