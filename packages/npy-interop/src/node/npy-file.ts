/**
 * npy files by path: mapped, created sparse, or written through a temporary file.
 *
 * @module
 */

import { MmdError } from '@mmdpickle/core';
import { type DTypeLike, memoryOver, NDArray, parseDType } from '@mmdpickle/core/ndarray';
import { absolutePath, NodeFile } from '@mmdpickle/core/node';
import { checkOptions } from '@mmdpickle/core/options';
import type { ByteSource, StorageFile } from '@mmdpickle/core/storage';
import { arrayPieces, type BytesInFile, type PlainArray, plainArray, type WritableArray } from '../array-bytes.ts';
import {
  checkLength,
  objectArray,
  type ReadNpyOptions,
  readNpy as readNpyPure,
  refuseObjects,
  type WriteNpyOptions,
  writeNpy as writeNpyStream,
} from '../npy.ts';
import {
  arrayBytes,
  formatNpyHeader,
  type NpyHeader,
  type NpyVersion,
  npyHeaderSteps,
  readSteps,
} from '../npy-header.ts';
import type { Tick } from '../npz-write.ts';
import { CREATE_NPY_OPTIONS, READ_NPY_OPTIONS, WRITE_NPY_OPTIONS } from '../options.ts';
import { copyRange } from './copy-range.ts';
import { FileReplacement } from './replace-file.ts';

/** How a mapped array treats stores: `'r'` refuses them, `'r+'` writes them to the file, `'c'` keeps them private. */
export type NpyMode = 'r' | 'r+' | 'c';

/** An array over a mapped file. Disposing it closes the file; until then the file stays open. */
export type MappedNDArray = NDArray & Disposable;

const ACCESS = { r: 'read', 'r+': 'write', c: 'copy-on-write' } as const;

/**
 * Opens an npy file as a mapped array, like `numpy.load(path, mmap_mode=mode)`: data is read only when it is accessed.
 *
 * @param mode - `'r'`: stores throw READ_ONLY; `'r+'`: stores reach the file; `'c'`: stores stay in memory
 * @returns an array over the mapping, of the dtype, shape and order in the file
 * @throws NOT_FOUND; BAD_FORMAT, TRUNCATED, CORRUPT, LIMIT_EXCEEDED, UNSUPPORTED_DTYPE with the path and offset;
 *   UNSUPPORTED_VALUE for object arrays, which cannot be mapped
 *
 * @example
 * ```ts
 * import { createNpy, openNpy } from '@mmdpickle/npy-interop';
 *
 * createNpy('frames.npy', [100, 64], 'float32')[Symbol.dispose]();
 * using frames = openNpy('frames.npy', 'r+');
 * frames.set(99, 63, 1.5);
 * ```
 */
export function openNpy(path: string | URL, mode: NpyMode = 'r', options: ReadNpyOptions = {}): MappedNDArray {
  checkOptions(options, READ_NPY_OPTIONS);
  const access = ACCESS[mode];
  if (access === undefined) {
    throw new MmdError('INVALID_ARGUMENT', `openNpy: mode must be 'r', 'r+' or 'c', found ${mode}`, { found: mode });
  }
  const file = NodeFile.open(path, mode === 'r+' ? 'r+' : 'r');
  try {
    const header = readNpyHeader(file, options);
    if (header.dtype.hasObject) {
      refuseObjects({ name: file.name }, options);
      throw new MmdError('UNSUPPORTED_VALUE', `${file.name}: an object array cannot be mapped; use readNpy`);
    }
    return mapped(file, header, access);
  } catch (error) {
    file.close();
    throw error;
  }
}

/** Reads the header of an npy file and checks that its data is there. @throws as {@link openNpy} */
export function readNpyHeader(file: StorageFile, options: ReadNpyOptions = {}): NpyHeader {
  const place = { name: file.name };
  const header = readSteps(npyHeaderSteps(place, options), (offset, length) => {
    const bytes = new Uint8Array(Math.max(0, Math.min(length, file.size() - offset)));
    return bytes.subarray(0, file.read(offset, bytes));
  });
  if (!header.dtype.hasObject) checkLength(header, file.size() - header.dataOffset, place, options);
  return header;
}

function mapped(file: NodeFile, header: NpyHeader, access: 'read' | 'write' | 'copy-on-write'): MappedNDArray {
  const memory =
    header.nbytes === 0
      ? memoryOver(new Uint8Array(0), access !== 'read')
      : file.map(header.dataOffset, header.nbytes, access);
  const array = NDArray.over(memory, header.dtype, header.shape, { order: header.order });
  return disposable(array, file);
}

/** Lets `using` close a file that only this array uses; otherwise the garbage collector does. */
export function disposable(array: NDArray, file: NodeFile): MappedNDArray {
  const dispose = (): void => file.close();
  return Object.defineProperty(array, Symbol.dispose, { value: dispose }) as MappedNDArray;
}

/** Options of {@link createNpy}. */
export interface CreateNpyOptions {
  /** Default `'C'`. */
  readonly order?: 'C' | 'F' | undefined;
  /** Default: the lowest version that can hold the header. */
  readonly version?: NpyVersion | undefined;
  /** Allocate the disk space now, so that a full disk is an error now. Default false: the file is sparse. */
  readonly reserve?: boolean | undefined;
}

/**
 * Creates an npy file of zeros and maps it for writing, like `numpy.lib.format.open_memmap(path, 'w+')`.
 * A file of that name is replaced; existing mappings keep the old one.
 *
 * @throws UNSUPPORTED_DTYPE; UNSUPPORTED_VALUE for object arrays; NOT_FOUND if the directory does not exist; READ_ONLY, NO_SPACE, IO
 *
 * @example
 * ```ts
 * import { createNpy } from '@mmdpickle/npy-interop';
 *
 * using cube = createNpy('cube.npy', [1000, 1000, 1000], 'float64'); // 8 GB, sparse
 * cube.set(1, 2, 3, 7.5);
 * ```
 */
export function createNpy(
  path: string | URL,
  shape: readonly number[],
  dtype: DTypeLike = 'float64',
  options: CreateNpyOptions = {},
): MappedNDArray {
  checkOptions(options, CREATE_NPY_OPTIONS);
  const name = absolutePath(path);
  const type = parseDType(dtype);
  if (type.hasObject) {
    throw new MmdError('UNSUPPORTED_VALUE', `${name}: an object array cannot be mapped`, { found: type.name });
  }
  const header = formatNpyHeader({ dtype: type, shape, order: options.order }, { version: options.version });
  const nbytes = arrayBytes(type, shape, name);
  using replacement = new FileReplacement(path);
  const { file } = replacement;
  file.write(0, header);
  file.truncate(header.length + nbytes);
  if (options.reserve === true && nbytes > 0) file.allocate(header.length, nbytes);
  const order = options.order === 'F' && shape.length > 1 ? 'F' : 'C';
  const layout = { version: 1 as const, dtype: type, shape, order, dataOffset: header.length, nbytes } as const;
  const array = mapped(file, layout, 'write');
  replacement.commit();
  return array;
}

/**
 * Reads an npy file; a path is mapped read-only, as by {@link openNpy}, and its file is closed by disposing the array.
 * Object arrays, with `allowPickle`, are read into memory. Other sources are read as in a browser: bytes are
 * borrowed, a `ByteSource` or `Blob` gives a promise.
 *
 * @throws as {@link openNpy}: NOT_FOUND, BAD_FORMAT, TRUNCATED, CORRUPT, LIMIT_EXCEEDED, UNSUPPORTED_DTYPE, UNSUPPORTED_VALUE
 *
 * @example
 * ```ts
 * import { readNpy, writeNpy } from '@mmdpickle/npy-interop';
 *
 * writeNpy('gains.npy', new Float64Array([0.5, 2]));
 * readNpy('gains.npy').get(1); // 2
 * ```
 */
export function readNpy(source: string | URL, options?: ReadNpyOptions): MappedNDArray;
export function readNpy(source: Uint8Array | ArrayBuffer, options?: ReadNpyOptions): NDArray;
export function readNpy(source: ByteSource | Blob, options?: ReadNpyOptions): Promise<NDArray>;
export function readNpy(
  source: string | URL | Uint8Array | ArrayBuffer | ByteSource | Blob,
  options: ReadNpyOptions = {},
): NDArray | Promise<NDArray> {
  checkOptions(options, READ_NPY_OPTIONS);
  if (typeof source !== 'string' && !(source instanceof URL)) return readNpyPure(source as Uint8Array, options);
  if (options.allowPickle !== true) return openNpy(source, 'r', options);
  const path = absolutePath(source);
  {
    using file = NodeFile.open(path, 'r');
    // openNpy calls onRest for what follows an array.
    const header = readNpyHeader(file, { ...options, onRest: undefined });
    if (header.dtype.hasObject) {
      const bytes = new Uint8Array(file.size() - header.dataOffset);
      const count = file.read(header.dataOffset, bytes);
      const array = objectArray(bytes.subarray(0, count), header, { name: path }, options);
      return Object.defineProperty(array, Symbol.dispose, { value: () => {} }) as MappedNDArray;
    }
  }
  return openNpy(source, 'r', options);
}

/**
 * Writes an npy file. A path is written through a temporary file beside it and a rename, so that it never holds half a
 * file; sources without bytes become holes, sources in files are copied from there.
 *
 * @param target - a path, a `StorageFile` (written from its start), or a `WritableStream` (gives a promise)
 * @returns the size of the npy file
 * @throws UNSUPPORTED_VALUE for masked and object arrays; UNSUPPORTED_DTYPE; NOT_FOUND if the directory does not exist; READ_ONLY,
 *   NO_SPACE, IO
 *
 * @example
 * ```ts
 * import { ndarray } from '@mmdpickle/core';
 * import { writeNpy } from '@mmdpickle/npy-interop';
 *
 * writeNpy('plane.npy', ndarray(new Uint16Array(6), [2, 3])); // 140
 * ```
 */
export function writeNpy(target: string | URL | StorageFile, array: WritableArray, options?: WriteNpyOptions): number;
export function writeNpy(
  target: WritableStream<Uint8Array>,
  array: WritableArray,
  options?: WriteNpyOptions,
): Promise<number>;
export function writeNpy(
  target: string | URL | StorageFile | WritableStream<Uint8Array>,
  array: WritableArray,
  options: WriteNpyOptions = {},
): number | Promise<number> {
  checkOptions(options, WRITE_NPY_OPTIONS);
  if (target instanceof WritableStream) return writeNpyStream(target, array, options);
  if (typeof target === 'object' && target !== null && 'write' in target) return writeInto(target, array, options);
  using replacement = new FileReplacement(target);
  const size = writeInto(replacement.file, array, options, replacement.path);
  replacement.finish();
  return size;
}

function writeInto(file: StorageFile, value: WritableArray, options: WriteNpyOptions, name = file.name): number {
  const array = plainArray(value, name);
  const header = formatNpyHeader(array, options);
  const total = header.length + array.nbytes;
  let done = header.length;
  options.signal?.throwIfAborted();
  file.write(0, header);
  writeArray(file, array, header.length, (bytes) => {
    done += bytes;
    options.onProgress?.({ done, total });
    options.signal?.throwIfAborted();
  });
  return total;
}

/**
 * Writes the bytes of an array at an offset: copied if they are in a file, left as a hole if they are
 * zeros, otherwise piece by piece.
 *
 * @param tick - called with counts of bytes as they are written
 */
export function writeArray(file: StorageFile, array: PlainArray, offset: number, tick: Tick): void {
  const { source, nbytes, place } = array;
  if (place !== undefined || source?.file !== undefined) {
    using from = openPlace(array);
    copyRange(from, file, offset, nbytes, tick);
    return;
  }
  const end = offset + nbytes;
  if (source?.bytes === undefined) {
    // Old contents must not remain.
    if (file.size() > offset) file.punchHole(offset, Math.min(nbytes, file.size() - offset));
    if (file.size() < end) file.truncate(end);
    tick(nbytes);
    return;
  }
  let at = offset;
  for (const piece of arrayPieces(array, file.name)) {
    file.write(at, piece);
    at += piece.length;
    tick(piece.length);
  }
}

/** The file that an array's bytes are in: one that is open already, or one that disposing closes. */
export function openPlace({ place, source }: PlainArray): BytesInFile & Disposable {
  if (place !== undefined) return { ...place, [Symbol.dispose]: () => {} };
  const range = source?.file;
  if (range === undefined) throw new MmdError('INVALID_ARGUMENT', 'the bytes of the array are not in a file');
  const file = NodeFile.open(range.path, 'r');
  return { file, offset: range.offset, [Symbol.dispose]: () => file.close() };
}
