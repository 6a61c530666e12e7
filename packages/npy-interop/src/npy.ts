/**
 * npy files from and to bytes: the part that runs anywhere. Paths and mappings are in `node/npy-file.ts`.
 *
 * @module
 */

import { MmdError } from '@mmdpickle/core';
import { memoryOver, NDArray } from '@mmdpickle/core/ndarray';
import { checkOptions, wrongArgument } from '@mmdpickle/core/options';
import { type LoadOptions, loadAt } from '@mmdpickle/core/pickle';
import { type ByteSource, blobSource } from '@mmdpickle/core/storage';
import { arrayPieces, plainArray, type WritableArray } from './array-bytes.ts';
import {
  formatNpyHeader,
  type NpyHeader,
  type NpyHeaderOptions,
  type NpyPlace,
  type NpyReadOptions,
  npyHeaderSteps,
  readSteps,
  readStepsAsync,
} from './npy-header.ts';
import { READ_NPY_OPTIONS, WRITE_NPY_OPTIONS } from './options.ts';

/** Options of {@link readNpy}. */
export interface ReadNpyOptions extends NpyReadOptions {
  /**
   * Read object arrays with the safe pickle machine: nothing in the file is executed.
   * Default false: such files are refused, as by numpy.
   */
  readonly allowPickle?: boolean | undefined;
  /**
   * Called if bytes follow the array, such as a second array that `numpy.save` wrote into the same file. They are not read, as in
   * `numpy.load`; of a file in memory, `bytes.subarray(-rest.bytes)` is what follows.
   */
  readonly onRest?: ((rest: { readonly name: string; readonly bytes: number }) => void) | undefined;
  /** For object arrays: see `load` of `@mmdpickle/core/pickle`. */
  readonly pickle?: LoadOptions | undefined;
  /** For error messages, if the source has no name of its own. Default `'npy'`. */
  readonly name?: string | undefined;
  /** Stops reading a `ByteSource` or `Blob`. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Reads an npy file of format version 1, 2 or 3 with any dtype of `DTYPES`.
 *
 * Bytes are read synchronously and borrowed: the array is a view of them, at no cost, and writing to it writes to them.
 * A `ByteSource` or `Blob` is read into memory of its own, and a promise is returned. In Node a path may be
 * given too; it is mapped (see `openNpy`).
 *
 * @param source - bytes, or where to read them
 * @returns shape and order as in the file; Fortran order is kept as strides
 * @throws BAD_FORMAT, TRUNCATED, CORRUPT, LIMIT_EXCEEDED, UNSUPPORTED_DTYPE with the name and offset of what was read;
 *   UNSUPPORTED_VALUE for object arrays without `allowPickle`
 *
 * @example
 * ```ts
 * import { ndarray } from '@mmdpickle/core';
 * import { npyBytes, readNpy } from '@mmdpickle/npy-interop';
 *
 * const bytes = npyBytes(ndarray(new Float64Array([1, 2, 3, 4]), [2, 2]));
 * readNpy(bytes).get(1, 0); // 3
 * await readNpy(new Blob([bytes])); // the same, from a file the user picked
 * ```
 */
export function readNpy(source: Uint8Array | ArrayBuffer, options?: ReadNpyOptions): NDArray;
export function readNpy(source: ByteSource | Blob, options?: ReadNpyOptions): Promise<NDArray>;
export function readNpy(
  source: Uint8Array | ArrayBuffer | ByteSource | Blob,
  options: ReadNpyOptions = {},
): NDArray | Promise<NDArray> {
  checkOptions(options, READ_NPY_OPTIONS);
  if (source instanceof Uint8Array) return readBytes(source, options);
  if (source instanceof ArrayBuffer) return readBytes(new Uint8Array(source), options);
  return readSource(toByteSource(source), options);
}

function readBytes(bytes: Uint8Array, options: ReadNpyOptions): NDArray {
  const place = { name: options.name ?? 'npy' };
  const header = readSteps(npyHeaderSteps(place, options), (offset, length) => bytes.subarray(offset, offset + length));
  if (header.dtype.hasObject) return objectArray(bytes.subarray(header.dataOffset), header, place, options);
  checkLength(header, bytes.length - header.dataOffset, place, options);
  return NDArray.over(memoryOver(bytes), header.dtype, header.shape, {
    order: header.order,
    offset: header.dataOffset,
  });
}

async function readSource(source: ByteSource, options: ReadNpyOptions): Promise<NDArray> {
  const place = { name: source.name };
  const size = await source.size(options.signal);
  const read = (offset: number, length: number): Promise<Uint8Array> =>
    source.read(offset, Math.max(0, Math.min(length, size - offset)), options.signal);
  const header = await readStepsAsync(npyHeaderSteps(place, options), read);
  const rest = size - header.dataOffset;
  if (header.dtype.hasObject) {
    refuseObjects(place, options);
    return objectArray(await read(header.dataOffset, rest), header, place, options);
  }
  checkLength(header, rest, place, options);
  const bytes = await read(header.dataOffset, header.nbytes);
  return NDArray.over(memoryOver(bytes), header.dtype, header.shape, { order: header.order });
}

/** Calls `onRest` if there are more bytes than the header declares. @throws TRUNCATED if there are fewer */
export function checkLength(header: NpyHeader, available: number, place: NpyPlace, options: ReadNpyOptions): void {
  const rest = available - header.nbytes;
  if (rest > 0 && !header.dtype.hasObject) options.onRest?.({ name: place.name, bytes: rest });
  if (rest >= 0) return;
  throw new MmdError(
    'TRUNCATED',
    `${place.name}: array data: the shape (${header.shape.join(', ')}) of ${header.dtype.name} needs ${header.nbytes} bytes, found ${available}`,
    { offset: header.dataOffset, expected: header.nbytes, found: available },
  );
}

/** @throws UNSUPPORTED_VALUE unless `allowPickle` is set */
export function refuseObjects(place: NpyPlace, options: ReadNpyOptions): void {
  if (options.allowPickle === true) return;
  throw new MmdError(
    'UNSUPPORTED_VALUE',
    `${place.name}: Object arrays cannot be loaded when allow_pickle=False; with { allowPickle: true } they are read without executing anything`,
    { offset: place.offset ?? 0 },
  );
}

/** Reads the pickle that an object array has in place of its bytes. */
export function objectArray(bytes: Uint8Array, header: NpyHeader, place: NpyPlace, options: ReadNpyOptions): NDArray {
  refuseObjects(place, options);
  const { value, end } = loadAt(bytes, 0, options.pickle);
  if (end < bytes.length) options.onRest?.({ name: place.name, bytes: bytes.length - end });
  if (value instanceof NDArray) return value;
  if (header.dtype.fields !== undefined) {
    throw new MmdError('UNSUPPORTED_VALUE', `${place.name}: records that hold objects cannot be read as arrays`, {
      offset: header.dataOffset,
      found: header.dtype.name,
    });
  }
  throw new MmdError('CORRUPT', `${place.name}: the pickle of an object array does not hold an array`, {
    offset: header.dataOffset,
  });
}

/** Options of every npy writer. */
export interface WriteNpyOptions extends NpyHeaderOptions {
  /** Stops between pieces; the target stays as it was. */
  readonly signal?: AbortSignal | undefined;
  /** Called after each piece with counts of bytes. */
  readonly onProgress?: ((progress: { readonly done: number; readonly total: number }) => void) | undefined;
}

/**
 * The npy file of an array, piece by piece: the header, then the array's bytes.
 *
 * @returns pieces that are borrowed until the next is requested
 * @throws UNSUPPORTED_VALUE for masked and object arrays; UNSUPPORTED_DTYPE; INVALID_ARGUMENT
 *
 * @example
 * ```ts
 * import { ndarray } from '@mmdpickle/core';
 * import { npyPieces } from '@mmdpickle/npy-interop';
 *
 * let length = 0;
 * for (const piece of npyPieces(ndarray(new Uint8Array(5)))) length += piece.length;
 * length; // 133: a header of 128 bytes, and 5
 * ```
 */
export function* npyPieces(
  array: WritableArray,
  options: WriteNpyOptions = {},
): Generator<Uint8Array, void, undefined> {
  checkOptions(options, WRITE_NPY_OPTIONS);
  const plain = plainArray(array, 'npy');
  const header = formatNpyHeader(plain, options);
  const total = header.length + plain.nbytes;
  let done = header.length;
  options.signal?.throwIfAborted();
  yield header;
  for (const piece of arrayPieces(plain, 'npy')) {
    options.signal?.throwIfAborted();
    yield piece;
    done += piece.length;
    options.onProgress?.({ done, total });
  }
}

/**
 * The npy file of an array as bytes.
 *
 * @returns the file, owned by the caller
 * @throws as {@link npyPieces}
 *
 * @example
 * ```ts
 * import { npyBytes } from '@mmdpickle/npy-interop';
 *
 * npyBytes(new Uint16Array([1, 2, 3])).length; // 134
 * ```
 */
export function npyBytes(array: WritableArray, options: WriteNpyOptions = {}): Uint8Array<ArrayBuffer> {
  checkOptions(options, WRITE_NPY_OPTIONS);
  const plain = plainArray(array, 'npy');
  const bytes = new Uint8Array(formatNpyHeader(plain, options).length + plain.nbytes);
  let done = 0;
  for (const piece of npyPieces(array, options)) {
    bytes.set(piece, done);
    done += piece.length;
  }
  return bytes;
}

/**
 * Streams the npy file of an array. In Node the target may be a path or a `StorageFile` too.
 *
 * @param target - closed at the end, aborted on an error
 * @returns the bytes written
 * @throws as {@link npyPieces}, and what the stream throws
 *
 * @example
 * ```ts
 * import { writeNpy } from '@mmdpickle/npy-interop';
 *
 * const { readable, writable } = new TransformStream();
 * const reading = new Response(readable).arrayBuffer();
 * await writeNpy(writable, new Float32Array(8)); // 160
 * await reading;
 * ```
 */
export async function writeNpy(
  target: WritableStream<Uint8Array>,
  array: WritableArray,
  options: WriteNpyOptions = {},
): Promise<number> {
  checkOptions(options, WRITE_NPY_OPTIONS);
  const writer = target.getWriter();
  let done = 0;
  try {
    for (const piece of npyPieces(array, options)) {
      // The stream may keep what it is given, and the piece is only borrowed.
      await writer.write(piece.slice());
      done += piece.length;
    }
    await writer.close();
    return done;
  } catch (error) {
    await writer.abort(error).catch(() => {});
    throw error;
  }
}

/** A `ByteSource` whose reads are checked, also over a `Blob`. @throws INVALID_ARGUMENT for what cannot be read from */
export function toByteSource(source: ByteSource | Blob): ByteSource {
  if (typeof Blob !== 'undefined' && source instanceof Blob) return blobSource(source);
  const { read, size } = (source ?? {}) as Partial<ByteSource>;
  if (typeof read === 'function' && typeof size === 'function') return checked(source as ByteSource);
  const text = `expected bytes, a Blob or a ByteSource to read, found ${source === null ? 'null' : typeof source}`;
  throw new MmdError('INVALID_ARGUMENT', text, { found: source });
}

/** A source may be user code: fewer bytes than it was asked for would otherwise look like a damaged file. */
function checked(source: ByteSource): ByteSource {
  const { name } = source;
  return {
    name,
    size: (signal) => source.size(signal),
    async read(offset, length, signal) {
      const bytes: unknown = await source.read(offset, length, signal);
      if (!isBytes(bytes)) throw wrongArgument(`${name}: what read() of a byte source returns`, 'a Uint8Array', bytes);
      if (bytes.length >= length) return bytes.length === length ? bytes : bytes.subarray(0, length);
      throw new MmdError('TRUNCATED', `${name}: ${length} bytes were to be read at ${offset}, found ${bytes.length}`, {
        path: name,
        offset,
        expected: length,
        found: bytes.length,
      });
    },
  };
}

/** Also those of another realm. */
function isBytes(value: unknown): value is Uint8Array {
  return Object.prototype.toString.call(value) === '[object Uint8Array]';
}
