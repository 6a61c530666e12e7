/**
 * npz files to bytes: the part that runs anywhere. Paths are in `node/npz-file.ts`.
 *
 * Stored members start at a multiple of 64 bytes, so that they can be mapped in place, and their local headers
 * contain their sizes, for readers that do not use the central directory.
 *
 * @module
 */

import { MmdError } from '@mmdpickle/core';
import {
  type ArraySource,
  type DTypeLike,
  isArraySource,
  memoryOver,
  NDArray,
  parseDType,
} from '@mmdpickle/core/ndarray';
import { checkOptions } from '@mmdpickle/core/options';
import { Turns } from '@mmdpickle/core/turns';
import { arrayPieces, type PlainArray, plainArray, type WritableArray } from './array-bytes.ts';
import { type Crc32, crc32 } from './crc32.ts';
import { formatNpyHeader } from './npy-header.ts';
import { WRITE_NPZ_OPTIONS } from './options.ts';
import { namedArrays } from './safetensors.ts';
import { centralHeader, directoryEnd, localHeader, ZIP32_MAX, type ZipRecord } from './zip-layout.ts';

/** Suffix of a masked array's mask in npz and npy: it follows the key. */
export const MASK_SUFFIX = '.__mask__';
/** Suffix of a masked array's fill value, an array without dimensions: it follows the key. */
export const FILL_SUFFIX = '.__fill_value__';

/** Whether a name is reserved for a part of a masked array. */
export const isPartName = (name: string): boolean => name.endsWith(MASK_SUFFIX) || name.endsWith(FILL_SUFFIX);

/** Named arrays, including masked ones. */
export type NamedArrays =
  | { readonly [name: string]: WritableArray }
  | Iterable<readonly [name: string, array: WritableArray]>;

/** Options of every npz writer. */
export interface WriteNpzOptions {
  /** Deflate the members, as `numpy.savez_compressed` does. Default false: stored members can be mapped. */
  readonly compress?: boolean | undefined;
  /** Stops between pieces; an existing file stays as it was. */
  readonly signal?: AbortSignal | undefined;
  /** Called with counts of bytes as the arrays are written. */
  readonly onProgress?: ((progress: { readonly done: number; readonly total: number }) => void) | undefined;
  /** Write 64-bit sizes even if 32 bits are enough. Default: only when needed. */
  readonly zip64?: boolean | undefined;
}

/** What a zip file is written to, at any offset, in any order. */
export interface ZipSink {
  /** Writes all bytes, which are borrowed for the call only. */
  write(offset: number, bytes: Uint8Array): void;
  /** The bytes of an array in pieces, borrowed until the next is requested. Default: those of its source. */
  pieces?(array: PlainArray, what: string): Iterable<Uint8Array>;
  /** A faster CRC-32 than the one in JavaScript. */
  readonly crc32?: Crc32;
}

/** Called with counts of bytes as they are written; throws to stop. */
export type Tick = (bytes: number) => void;

/** Stored arrays start at a multiple of this. */
const ALIGN = 64;
/** Other work may run each time this many bytes were written. */
const TURN = 1 << 26;
/** How many entries of the directory are written together: a write for each would take as long as its member's. */
const DIRECTORY_PIECE = 64;
/** Deflate is fed pieces of at most this size. */
const PIECE = 1 << 20;
/** Upper bound of the size that deflate makes of incompressible data, with room to spare. */
const deflatedBound = (size: number): number => size + Math.ceil(size / 1000) + 1024;

/**
 * Splits masked arrays into data, mask and fill value under reserved names.
 * @throws BAD_KEY for a plain array under a reserved name
 */
function* splitMasked(
  arrays: Iterable<readonly [string, WritableArray]>,
): Generator<readonly [name: string, array: WritableArray]> {
  for (const [name, array] of arrays) {
    if (isPartName(name)) {
      throw new MmdError('BAD_KEY', `the name ${JSON.stringify(name)} is reserved for the parts of masked arrays`, {
        key: name,
      });
    }
    if (!isArraySource(array) || array.mask === undefined) {
      yield [name, array];
      continue;
    }
    yield [name, dataOf(array)];
    yield [`${name}${MASK_SUFFIX}`, array.mask];
    if (array.fillValue !== undefined && array.fillValue !== null) {
      yield [`${name}${FILL_SUFFIX}`, fillArray(array.dtype, array.fillValue)];
    }
  }
}

/** The data of a masked source, as a separate source. */
function dataOf(source: ArraySource): ArraySource {
  const { dtype, shape, order, file } = source;
  const bytes = source.bytes?.bind(source);
  return { arraySource: true, dtype, shape, order, file, ...(bytes === undefined ? {} : { bytes }) };
}

/** A fill value as an array without dimensions. @throws UNSUPPORTED_VALUE if it does not fit the type */
export function fillArray(dtype: DTypeLike, fillValue: unknown): NDArray {
  const type = parseDType(dtype);
  return NDArray.over(memoryOver(new Uint8Array(type.itemsize)), type, []).set(fillValue);
}

/**
 * Writes a zip file of npy members to a sink.
 *
 * @returns the size of the file
 * @throws BAD_KEY for a name that is taken, absolute, or leaves the file; what {@link plainArray} throws
 */
export function writeZip(sink: ZipSink, arrays: NamedArrays, options: WriteNpzOptions = {}): Promise<number> {
  return writePlainZip(sink, plainArrays(arrays), options);
}

function* plainArrays(arrays: NamedArrays): Generator<readonly [string, PlainArray]> {
  for (const [name, value] of splitMasked(namedArrays(arrays))) yield [name, plainArray(value, name)];
}

/** As {@link writeZip}, for checked arrays; masked ones are already split. */
export async function writePlainZip(
  sink: ZipSink,
  arrays: Iterable<readonly [string, PlainArray]>,
  options: WriteNpzOptions = {},
): Promise<number> {
  const turns = new Turns(options.signal);
  const members = await planMembers(arrays, turns);
  const total = members.reduce((sum, { array }) => sum + array.nbytes, 0);
  let done = 0;
  const tick = (bytes: number): void => {
    done += bytes;
    options.onProgress?.({ done, total });
    options.signal?.throwIfAborted();
  };
  const records: ZipRecord[] = [];
  let offset = 0;
  for (const member of members) {
    options.signal?.throwIfAborted();
    if (turns.due) await turns.take();
    const { record, end } = await writeMember(sink, member, offset, options, tick);
    records.push(record);
    offset = end;
  }
  const start = offset;
  for (let i = 0; i < records.length; i += DIRECTORY_PIECE) {
    if (turns.due) await turns.take();
    const central = joined(records.slice(i, i + DIRECTORY_PIECE).map(centralHeader));
    sink.write(offset, central);
    offset += central.length;
  }
  const length = offset - start;
  // numpy.load recognises an empty archive by the 32-bit end record, which has to be at its start.
  const zip64 = options.zip64 === true && records.length > 0;
  const end = directoryEnd({ offset: start, length, entries: records.length, zip64 });
  sink.write(offset, end);
  return offset + end.length;
}

function joined(pieces: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(pieces.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const piece of pieces) {
    all.set(piece, at);
    at += piece.length;
  }
  return all;
}

interface Member {
  readonly name: string;
  readonly array: PlainArray;
  readonly header: Uint8Array;
}

async function planMembers(arrays: Iterable<readonly [string, PlainArray]>, turns: Turns): Promise<Member[]> {
  const members = new Map<string, PlainArray>();
  for (const [name, array] of arrays) {
    if (turns.due) await turns.take();
    const problem = memberNameProblem(`${name}.npy`);
    if (problem !== undefined || members.has(name)) {
      throw new MmdError('BAD_KEY', `npz: the name ${JSON.stringify(name)} ${problem ?? 'occurs twice'}`, {
        key: name,
      });
    }
    members.set(name, array);
  }
  return turns.map(members, ([name, array]) => ({ name: `${name}.npy`, array, header: formatNpyHeader(array) }));
}

/**
 * Why a member name is not safe to unpack; `undefined` if it is. A letter and a colon without a separator are accepted: TensorFlow
 * has such names of weights (`w:0`), and here members become keys, never files.
 */
export function memberNameProblem(name: string): string | undefined {
  if (/^(?:[A-Za-z]:)?[\\/]/.test(name)) return 'is absolute';
  if (name.split(/[\\/]/).includes('..')) return "points outside the archive with '..'";
  if (name.includes('\0')) return 'contains a NUL';
  if (/\p{Surrogate}/u.test(name)) return 'contains a lone surrogate, which UTF-8 cannot encode';
  if (new TextEncoder().encode(name).length > 0xffff) return 'is longer than 65535 bytes';
  return undefined;
}

async function writeMember(
  sink: ZipSink,
  member: Member,
  offset: number,
  options: WriteNpzOptions,
  tick: Tick,
): Promise<{ record: ZipRecord; end: number }> {
  const size = member.header.length + member.array.nbytes;
  const method = options.compress === true ? 'deflated' : 'stored';
  const zip64 = options.zip64 === true || deflatedBound(size) >= ZIP32_MAX;
  const name = new TextEncoder().encode(member.name);
  let record: ZipRecord = { name, method, crc32: 0, compressedSize: 0, size, offset, zip64 };
  const align = method === 'stored' ? ALIGN : 1;
  const dataOffset = offset + localHeader(record, align).length;
  const { crc, compressedSize } =
    method === 'stored'
      ? await writeStored(sink, member, dataOffset, tick)
      : await writeDeflated(sink, member, dataOffset, tick);
  record = { ...record, crc32: crc, compressedSize };
  sink.write(offset, localHeader(record, align));
  return { record, end: dataOffset + compressedSize };
}

async function writeStored(
  sink: ZipSink,
  member: Member,
  offset: number,
  tick: Tick,
): Promise<{ crc: number; compressedSize: number }> {
  const checksum = sink.crc32 ?? crc32;
  const { array, header } = member;
  const start = offset + header.length;
  const compressedSize = header.length + array.nbytes;
  sink.write(offset, header);
  let crc = checksum(header);
  let at = start;
  let sinceTurn = 0;
  for (const piece of memberPieces(sink, member)) {
    sink.write(at, piece);
    crc = checksum(piece, crc);
    at += piece.length;
    tick(piece.length);
    sinceTurn += piece.length;
    if (sinceTurn < TURN) continue;
    sinceTurn = 0;
    await new Promise((resolve) => setTimeout(resolve, 0));
  }
  return { crc, compressedSize };
}

function memberPieces(sink: ZipSink, { array, name }: Member): Iterable<Uint8Array> {
  return sink.pieces?.(array, name) ?? arrayPieces(array, name);
}

async function writeDeflated(
  sink: ZipSink,
  member: Member,
  offset: number,
  tick: Tick,
): Promise<{ crc: number; compressedSize: number }> {
  const checksum = sink.crc32 ?? crc32;
  const stream = new CompressionStream('deflate-raw');
  let end = offset;
  const draining = drain(stream.readable as ReadableStream<Uint8Array>, (chunk) => {
    sink.write(end, chunk);
    end += chunk.length;
  });
  // A failed write also shows up at the writer; it is reported once, below.
  draining.catch(() => {});
  const writer = stream.writable.getWriter();
  let crc = checksum(member.header);
  try {
    await writer.write(member.header.slice());
    for (const piece of memberPieces(sink, member)) {
      crc = checksum(piece, crc);
      for (let pos = 0; pos < piece.length; pos += PIECE) {
        // The stream may keep what it is given, and the piece is only borrowed.
        await writer.write(piece.slice(pos, pos + PIECE));
      }
      tick(piece.length);
    }
    await writer.close();
  } catch (error) {
    await writer.abort(error).catch(() => {});
    throw error;
  }
  await draining;
  return { crc, compressedSize: end - offset };
}

async function drain(stream: ReadableStream<Uint8Array>, take: (chunk: Uint8Array) => void): Promise<void> {
  const reader = stream.getReader();
  try {
    for (let step = await reader.read(); !step.done; step = await reader.read()) take(step.value);
  } catch (error) {
    await reader.cancel(error).catch(() => {});
    throw error;
  }
}

/**
 * An npz file as bytes: what `numpy.load` reads.
 *
 * Masked arrays become `name`, `name.__mask__` and, with a fill value, `name.__fill_value__`.
 *
 * @returns the file, owned by the caller
 * @throws BAD_KEY; UNSUPPORTED_VALUE for object arrays; UNSUPPORTED_DTYPE
 *
 * @example
 * ```ts
 * import { npzBytes, openNpz } from '@mmdpickle/npy-interop';
 *
 * const bytes = await npzBytes({ x: new Float64Array([1, 2, 3]) }, { compress: true });
 * const npz = await openNpz(bytes);
 * (await npz.get('x')).get(2); // 3
 * ```
 */
export async function npzBytes(arrays: NamedArrays, options: WriteNpzOptions = {}): Promise<Uint8Array<ArrayBuffer>> {
  checkOptions(options, WRITE_NPZ_OPTIONS);
  let bytes = new Uint8Array(1 << 16);
  const size = await writeZip(
    {
      write(offset, piece) {
        const end = offset + piece.length;
        if (end > bytes.length) {
          const grown = new Uint8Array(Math.max(end, bytes.length * 2));
          grown.set(bytes);
          bytes = grown;
        }
        bytes.set(piece, offset);
      },
    },
    arrays,
    options,
  );
  return bytes.slice(0, size);
}
