/**
 * npz files by path: stored members are mapped in place, and new files appear whole or not at all.
 *
 * @module
 */

import { setImmediate } from 'node:timers/promises';
import * as zlib from 'node:zlib';
import { MmdError } from '@mmdpickle/core';
import { memoryOver, NDArray } from '@mmdpickle/core/ndarray';
import { NodeFile } from '@mmdpickle/core/node';
import { checkOptions } from '@mmdpickle/core/options';
import type { ByteSource, StorageFile } from '@mmdpickle/core/storage';
import { arrayPieces, type PlainArray } from '../array-bytes.ts';
import type { Crc32 } from '../crc32.ts';
import { checkLength, refuseObjects } from '../npy.ts';
import type { NpyHeader } from '../npy-header.ts';
import { type NpzEntry, readDirectory } from '../npz-directory.ts';
import { Npz, type OpenNpzOptions, openNpz as openNpzSource } from '../npz-read.ts';
import { type NamedArrays, type WriteNpzOptions, writeZip, type ZipSink } from '../npz-write.ts';
import { NPZ_MEMBER_OPTIONS, OPEN_NPZ_OPTIONS, SIGNAL_OPTIONS, WRITE_NPZ_OPTIONS } from '../options.ts';
import { type NpyMode, openPlace } from './npy-file.ts';
import { FileReplacement } from './replace-file.ts';

/** Size of the pieces in which files are read if their bytes must pass through memory: it fits the cache. */
const PIECE = 2 ** 17;

/** Other work may run each time this many pieces were read. */
const YIELD_EVERY = 512;

/** CRC-32 by the runtime. */
const nativeCrc32: Crc32 = (bytes, previous = 0) => zlib.crc32(bytes, previous);

/** A file as an asynchronous source; the caller closes it. */
function fileSource(file: StorageFile): ByteSource {
  return {
    name: file.name,
    size: async () => file.size(),
    read: async (offset, length, signal) => {
      signal?.throwIfAborted();
      const available = Math.max(0, Math.min(length, file.size() - offset));
      const bytes = new Uint8Array(available);
      const count = file.read(offset, bytes);
      if (count === length) return bytes;
      throw new MmdError('TRUNCATED', `${file.name}: ends at ${file.size()}, but reading needs ${offset + length}`, {
        path: file.name,
        offset,
        expected: length,
        found: count,
      });
    },
  };
}

/** An npz file opened from a path. Stored members are mapped; the file is open until this is closed. */
export class NpzFile extends Npz implements Disposable {
  readonly file: NodeFile;

  private constructor(
    file: NodeFile,
    source: ByteSource,
    entries: ReadonlyMap<string, NpzEntry>,
    options: OpenNpzOptions,
  ) {
    super(source, entries, options);
    this.file = file;
  }

  /** @throws as {@link openNpz} */
  static async open(path: string | URL, options: OpenNpzOptions = {}): Promise<NpzFile> {
    checkOptions(options, OPEN_NPZ_OPTIONS);
    const file = NodeFile.open(path, 'r');
    try {
      const source = fileSource(file);
      return new NpzFile(file, source, await readDirectory(source, options), options);
    } catch (error) {
      file.close();
      throw error;
    }
  }

  /**
   * Returns a member as an array: mapped read-only if it is stored, unpacked into memory if it is deflated. The checksum of
   * a mapped member is not verified, since that would read all of it; see {@link Npz.verify}.
   *
   * @param options - `mode: 'c'` lets stores change a mapped array in memory; `map: false` reads into memory
   * @throws as `Npz.get`
   */
  override async get(
    key: string,
    options: {
      readonly signal?: AbortSignal | undefined;
      readonly mode?: Exclude<NpyMode, 'r+'> | undefined;
      readonly map?: boolean | undefined;
    } = {},
  ): Promise<NDArray> {
    checkOptions(options, NPZ_MEMBER_OPTIONS);
    const { method } = this.member(key);
    if (method !== 'stored' || options.map === false) return super.get(key, options);
    const range = await this.storedRange(key);
    if (range === undefined) return super.get(key, options);
    const { header, offset } = range;
    const memory =
      header.nbytes === 0
        ? memoryOver(new Uint8Array(0), options.mode === 'c')
        : this.file.map(offset, header.nbytes, options.mode === 'c' ? 'copy-on-write' : 'read');
    return NDArray.over(memory, header.dtype, header.shape, { order: header.order });
  }

  /**
   * Finds a stored member's array in the file; `undefined` for object arrays, which have to be read.
   *
   * @param known - the result of {@link Npz.header}, if it was called already
   * @throws as `Npz.get`
   */
  async storedRange(key: string, known?: NpyHeader): Promise<StoredRange | undefined> {
    const member = this.member(key);
    const header = known ?? (await this.header(key));
    const label = `${this.name}: member ${JSON.stringify(member.name)}`;
    if (header.dtype.hasObject) {
      refuseObjects({ name: label, offset: member.offset }, this.options);
      return undefined;
    }
    const end = (await this.dataOffset(key)) + member.size;
    checkLength(header, end - header.dataOffset, { name: label }, this.options);
    return { header, offset: header.dataOffset };
  }

  /** Verifies the checksum of a stored member with the runtime's own CRC-32. @throws CORRUPT; as `Npz.verify` */
  override async verify(key: string, options: { readonly signal?: AbortSignal | undefined } = {}): Promise<void> {
    checkOptions(options, SIGNAL_OPTIONS);
    const member = this.member(key);
    if (member.method !== 'stored') return super.verify(key, options);
    const start = await this.dataOffset(key);
    let crc = 0;
    let pieces = 0;
    for (const piece of filePieces(this.file, start, member.size)) {
      crc = nativeCrc32(piece, crc);
      options.signal?.throwIfAborted();
      pieces += 1;
      if (pieces % YIELD_EVERY === 0) await setImmediate();
    }
    if (crc === member.crc32) return;
    throw new MmdError('CORRUPT', `${this.name}: member ${JSON.stringify(member.name)}: wrong CRC-32`, {
      offset: start,
      expected: member.crc32,
      found: crc,
    });
  }

  close(): void {
    this.file.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  override async [Symbol.asyncDispose](): Promise<void> {
    this.close();
  }
}

/** Where a stored member's array is in its archive. */
export interface StoredRange {
  readonly header: Awaited<ReturnType<Npz['header']>>;
  /** Absolute in the archive. */
  readonly offset: number;
}

/** A range of a file in pieces that share one buffer. @throws TRUNCATED */
function* filePieces(file: StorageFile, offset: number, length: number): Generator<Uint8Array, void, undefined> {
  const buffer = new Uint8Array(Math.min(PIECE, length));
  for (let done = 0; done < length; done += buffer.length) {
    const piece = buffer.subarray(0, Math.min(buffer.length, length - done));
    const count = file.read(offset + done, piece);
    if (count < piece.length) {
      throw new MmdError('TRUNCATED', `${file.name}: ended while it was read`, {
        path: file.name,
        offset: offset + done,
        expected: piece.length,
        found: count,
      });
    }
    yield piece;
  }
}

/**
 * Opens an npz file. A path gives an {@link NpzFile}, whose stored members are mapped in place (numpy reads them);
 * bytes, a `ByteSource` or a `Blob` give an {@link Npz}, whose members are read into memory.
 *
 * @throws NOT_FOUND; BAD_FORMAT for what is not a zip file; TRUNCATED; CORRUPT for members that occur twice, overlap, or have
 *   wrong sizes or unsafe names; UNSUPPORTED_VALUE for an encrypted directory, and archives in several parts; LIMIT_EXCEEDED
 *
 * @example
 * ```ts
 * import { openNpz, writeNpz } from '@mmdpickle/npy-interop';
 *
 * await writeNpz('run.npz', { dark: new Uint16Array(8), gain: new Float64Array([2]) });
 * using npz = await openNpz('run.npz');
 * npz.keys(); // ['dark', 'gain']
 * (await npz.get('gain')).get(0); // 2, mapped
 * ```
 */
export function openNpz(path: string | URL, options?: OpenNpzOptions): Promise<NpzFile>;
export function openNpz(source: Uint8Array | ArrayBuffer | ByteSource | Blob, options?: OpenNpzOptions): Promise<Npz>;
export function openNpz(
  source: string | URL | Uint8Array | ArrayBuffer | ByteSource | Blob,
  options: OpenNpzOptions = {},
): Promise<Npz> {
  if (typeof source === 'string' || source instanceof URL) return NpzFile.open(source, options);
  return openNpzSource(source, options);
}

/**
 * Writes an npz file through a temporary file beside it and a rename: it appears whole or not at all. Stored members
 * start at multiples of 64 bytes; 64-bit sizes are written when needed. Masked arrays become `name`, `name.__mask__` and,
 * with a fill value, `name.__fill_value__`.
 *
 * @returns the size of the file
 * @throws BAD_KEY for a name that occurs twice, is reserved or absolute, or contains `..`; UNSUPPORTED_VALUE for object arrays;
 *   NOT_FOUND if the directory does not exist; READ_ONLY, NO_SPACE, IO
 *
 * @example
 * ```ts
 * import { writeNpz } from '@mmdpickle/npy-interop';
 *
 * await writeNpz('small.npz', { x: new Float64Array(1000) }, { compress: true }); // numpy.savez_compressed
 * ```
 */
export async function writeNpz(
  path: string | URL,
  arrays: NamedArrays,
  options: WriteNpzOptions = {},
): Promise<number> {
  checkOptions(options, WRITE_NPZ_OPTIONS);
  using replacement = new FileReplacement(path);
  const size = await writeZip(fileSink(replacement.file), arrays, options);
  replacement.finish();
  return size;
}

/**
 * Writes a zip file's bytes into a file. Bytes of arrays that are in files pass through one small buffer: their checksum has to
 * be computed, and reading them once for both is faster than a copy by the kernel and a second pass.
 */
export function fileSink(file: StorageFile): ZipSink {
  return {
    crc32: nativeCrc32,
    write: (offset, bytes) => file.write(offset, bytes),
    *pieces(array: PlainArray, what: string): Generator<Uint8Array, void, undefined> {
      if (array.place === undefined && array.source?.file === undefined) {
        yield* arrayPieces(array, what);
        return;
      }
      using from = openPlace(array);
      yield* filePieces(from.file, from.offset, array.nbytes);
    },
  };
}
