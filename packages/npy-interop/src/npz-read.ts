/**
 * npz files: zip files whose members are npy files. The part that runs anywhere; mapping is in `node/npz-file.ts`.
 *
 * @module
 */

import { MmdError } from '@mmdpickle/core';
import { memoryOver, NDArray } from '@mmdpickle/core/ndarray';
import { checkOptions, wrongArgument } from '@mmdpickle/core/options';
import { type ByteSource, bytesSource } from '@mmdpickle/core/storage';
import type { FileEntry } from '@zip.js/zip.js/lib/zip-core-native.js';
import { checkLength, objectArray, type ReadNpyOptions, refuseObjects, toByteSource } from './npy.ts';
import { type NpyHeader, npyHeaderSteps, readStepsAsync } from './npy-header.ts';
import {
  badMember,
  LOCAL_HEADER_BYTES,
  LOCAL_HEADER_SIGNATURE,
  type NpzEntry,
  type NpzMember,
  readDirectory,
  zipError,
} from './npz-directory.ts';
import { NPZ_LIMITS, type NpzLimits } from './npz-limits.ts';
import { NPZ_MEMBER_OPTIONS, OPEN_NPZ_OPTIONS, SIGNAL_OPTIONS } from './options.ts';
import { ZIP32_MAX } from './zip-layout.ts';

/** Options of {@link openNpz}. */
export interface OpenNpzOptions extends ReadNpyOptions {
  readonly limits?: NpzLimits | undefined;
}

/** Flag: checksum and sizes follow the data. */
const DESCRIPTOR = 0x0008;
/** Flags that determine how a member is read: encryption, strong encryption, data descriptor, UTF-8 name. */
const READING_FLAGS = 0x0001 | 0x0040 | DESCRIPTOR | 0x0800;

/** The fields that a local header repeats, and their positions. */
function localFields({ crc32, compressedSize, size }: NpzMember) {
  return [
    { what: 'checksum', at: 14, value: crc32 },
    { what: 'compressed size', at: 18, value: compressedSize },
    { what: 'size', at: 22, value: size },
  ] as const;
}

/** Enough for nearly every npy header. */
const HEAD_BYTES = 4096;

/** An open npz file: its directory has been read; its members are read on request. */
export class Npz implements AsyncDisposable {
  readonly name: string;
  protected readonly source: ByteSource;
  protected readonly options: OpenNpzOptions;
  readonly #entries: ReadonlyMap<string, NpzEntry>;

  protected constructor(source: ByteSource, entries: ReadonlyMap<string, NpzEntry>, options: OpenNpzOptions) {
    this.name = source.name;
    this.source = source;
    this.options = options;
    this.#entries = entries;
  }

  /** Reads the directory. @throws as {@link openNpz} */
  static async over(source: ByteSource | Blob, options: OpenNpzOptions = {}): Promise<Npz> {
    checkOptions(options, OPEN_NPZ_OPTIONS);
    const from = toByteSource(source);
    return new Npz(from, await readDirectory(from, options), options);
  }

  get size(): number {
    return this.#entries.size;
  }

  /** The names, without `.npy`, in the order of the directory. */
  keys(): string[] {
    return [...this.#entries.keys()];
  }

  has(key: string): boolean {
    return this.#find(key) !== undefined;
  }

  /** Describes a member, from the directory. @throws NOT_FOUND */
  member(key: string): NpzMember {
    return this.#need(key).member;
  }

  /**
   * Reads a member's npy header, not its data.
   * @throws NOT_FOUND; BAD_FORMAT for a member that is not an npy file; CORRUPT, TRUNCATED; UNSUPPORTED_VALUE as {@link Npz.get}
   */
  async header(key: string, options: { readonly signal?: AbortSignal | undefined } = {}): Promise<NpyHeader> {
    checkOptions(options, SIGNAL_OPTIONS);
    const { signal } = options;
    const { member, entry } = this.#needReadable(key);
    const head = new HeadSink(HEAD_BYTES);
    if (member.method === 'stored') return this.#storedHeader(member, signal);
    await this.#unpack(member, entry, head, signal).catch((error: unknown) => {
      if (error !== FULL) throw error;
    });
    const inside = { name: this.#label(member) };
    return readStepsAsync(npyHeaderSteps(inside, this.options), async (offset, length) => {
      if (offset + length > head.length && head.length === head.capacity) {
        const longer = new HeadSink(offset + length);
        await this.#unpack(member, entry, longer, signal).catch((error: unknown) => {
          if (error !== FULL) throw error;
        });
        return longer.bytes().subarray(offset);
      }
      return head.bytes().subarray(offset, offset + length);
    });
  }

  /**
   * Reads a member as an array, into memory of its own; its checksum is verified.
   *
   * @throws NOT_FOUND; BAD_FORMAT for a member that is not an npy file (see {@link Npz.bytes}); CORRUPT for a wrong checksum or
   *   size; TRUNCATED; LIMIT_EXCEEDED; UNSUPPORTED_VALUE for object arrays without `allowPickle`, and members that are encrypted,
   *   or compressed by another method than deflate
   */
  async get(key: string, options: { readonly signal?: AbortSignal | undefined } = {}): Promise<NDArray> {
    checkOptions(options, NPZ_MEMBER_OPTIONS);
    const { signal } = options;
    const header = await this.header(key, { signal });
    const { member, entry } = this.#needReadable(key);
    const place = { name: this.#label(member), offset: member.offset };
    if (header.dtype.hasObject) refuseObjects(place, this.options);
    const start =
      member.method === 'stored' ? header.dataOffset - (await this.dataOffset(key, signal)) : header.dataOffset;
    checkLength(header, member.size - start, place, this.options);
    const sink = new MemorySink(member.size, place.name);
    await this.#unpack(member, entry, sink, signal);
    const bytes = sink.bytes;
    if (header.dtype.hasObject) return objectArray(bytes.subarray(start), header, place, this.options);
    return NDArray.over(memoryOver(bytes), header.dtype, header.shape, { order: header.order, offset: start });
  }

  /**
   * Reads the unpacked bytes of any member, npy file or not; its checksum is verified. The bytes belong to the caller.
   *
   * @throws NOT_FOUND; CORRUPT for a wrong checksum or size; LIMIT_EXCEEDED; UNSUPPORTED_VALUE for members that are encrypted,
   *   or compressed by another method than deflate
   */
  async bytes(key: string, options: { readonly signal?: AbortSignal | undefined } = {}): Promise<Uint8Array> {
    checkOptions(options, SIGNAL_OPTIONS);
    const { member, entry } = this.#needReadable(key);
    const sink = new MemorySink(member.size, this.#label(member));
    await this.#unpack(member, entry, sink, options.signal);
    return sink.bytes;
  }

  /** Reads all members as arrays, one after the other. */
  async *[Symbol.asyncIterator](): AsyncGenerator<[key: string, array: NDArray]> {
    for (const key of this.keys()) yield [key, await this.get(key)];
  }

  /**
   * Reads a member and verifies its checksum and size; nothing is kept.
   * @throws CORRUPT; NOT_FOUND; UNSUPPORTED_VALUE as {@link Npz.bytes}
   */
  async verify(key: string, options: { readonly signal?: AbortSignal | undefined } = {}): Promise<void> {
    checkOptions(options, SIGNAL_OPTIONS);
    const { member, entry } = this.#needReadable(key);
    await this.#unpack(member, entry, { write: () => {} }, options.signal);
  }

  /**
   * Unpacks a member, the npy header first, in pieces that are borrowed for the call; its checksum is verified at the end.
   * @throws what `take` throws, and as {@link Npz.get}
   */
  async unpack(
    key: string,
    take: (piece: Uint8Array) => void,
    options: { readonly signal?: AbortSignal | undefined } = {},
  ): Promise<void> {
    checkOptions(options, SIGNAL_OPTIONS);
    if (typeof take !== 'function') throw wrongArgument('take', 'a function', take);
    const { member, entry } = this.#needReadable(key);
    await this.#unpack(member, entry, { write: take }, options.signal);
  }

  /**
   * Finds the offset at which a member's bytes start in the archive.
   * @throws CORRUPT if the local header is not there, or contradicts the directory; UNSUPPORTED_VALUE as {@link Npz.bytes}
   */
  async dataOffset(key: string, signal?: AbortSignal): Promise<number> {
    const { member, entry } = this.#needReadable(key);
    const head = await this.source.read(member.offset, LOCAL_HEADER_BYTES, signal);
    const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
    const bad = (what: string, expected: unknown, found: unknown): MmdError =>
      new MmdError('CORRUPT', `${this.#label(member)}: local header: ${what}`, {
        offset: member.offset,
        expected,
        found,
      });
    const signature = view.getUint32(0, true);
    if (signature !== LOCAL_HEADER_SIGNATURE) throw bad('wrong signature', LOCAL_HEADER_SIGNATURE, signature);
    const method = view.getUint16(8, true);
    if (method !== entry.compressionMethod) throw bad('method differs from the directory', member.method, method);
    const flags = view.getUint16(6, true);
    const expected = entry.rawBitFlag ?? flags;
    if (((flags ^ expected) & READING_FLAGS) !== 0) throw bad('flags differ from the directory', expected, flags);
    const described = (flags & DESCRIPTOR) !== 0;
    for (const { what, at, value } of localFields(member)) {
      const found = view.getUint32(at, true);
      // Zero means that the value comes later or was not known; the largest number, that it has 64 bits.
      if (!described && found !== 0 && found !== ZIP32_MAX && found !== value)
        throw bad(`${what} differs from the directory`, value, found);
    }
    const nameLength = view.getUint16(26, true);
    const { rawFilename } = entry;
    const name = await this.source.read(member.offset + LOCAL_HEADER_BYTES, nameLength, signal);
    if (nameLength !== rawFilename.length || rawFilename.some((byte, i) => byte !== name[i])) {
      throw bad('name differs from the directory', member.name, new TextDecoder().decode(name));
    }
    const start = member.offset + LOCAL_HEADER_BYTES + nameLength + view.getUint16(28, true);
    const size = await this.source.size(signal);
    if (start + member.compressedSize > size) {
      throw new MmdError('TRUNCATED', `${this.#label(member)}: the archive ends inside its data`, {
        offset: start,
        expected: member.compressedSize,
        found: size - start,
      });
    }
    return start;
  }

  /** Nothing to release here; archives opened from a path close their file. */
  async [Symbol.asyncDispose](): Promise<void> {}

  async #storedHeader(member: NpzMember, signal: AbortSignal | undefined): Promise<NpyHeader> {
    const start = await this.dataOffset(member.key, signal);
    const place = { name: this.#label(member), offset: start };
    const end = start + member.size;
    return readStepsAsync(npyHeaderSteps(place, this.options), (offset, length) =>
      this.source.read(offset, Math.max(0, Math.min(length, end - offset)), signal),
    );
  }

  async #unpack(member: NpzMember, entry: FileEntry, sink: PieceSink, signal: AbortSignal | undefined): Promise<void> {
    const limit = this.options.limits?.memberBytes ?? NPZ_LIMITS.memberBytes;
    if (!(member.size <= limit)) {
      const text = `${this.#label(member)}: unpacks to ${member.size} bytes, over the limit of ${limit}`;
      throw new MmdError('LIMIT_EXCEEDED', `${text}; raise limits.memberBytes if the file is trusted`, {
        offset: member.offset,
        found: member.size,
        limit: 'memberBytes',
        maximum: limit,
      });
    }
    // The check that mapped members get, too.
    await this.dataOffset(member.key, signal);
    let done = 0;
    let stopped: { readonly by: unknown } | undefined;
    const take = (piece: Uint8Array): void => {
      signal?.throwIfAborted();
      done += piece.length;
      if (done > member.size) {
        throw new MmdError(
          'CORRUPT',
          `${this.#label(member)}: unpacks to more than the ${member.size} bytes that the directory declares`,
          {
            offset: member.offset,
            expected: member.size,
            found: done,
          },
        );
      }
      sink.write(piece);
    };
    const stream = new WritableStream<Uint8Array>({
      write(piece) {
        try {
          take(piece);
        } catch (error) {
          stopped = { by: error };
          throw error;
        }
      },
    });
    // zip.js checks the signal between reads, but not while it waits for one.
    let abort: () => void = () => undefined;
    const aborted = new Promise<never>((_resolve, reject) => (abort = () => reject(signal?.reason)));
    signal?.addEventListener('abort', abort);
    try {
      const options = { checkCrc32: true, useWebWorkers: false, ...(signal === undefined ? {} : { signal }) };
      await Promise.race([entry.getData(stream, options), aborted]);
    } catch (error) {
      signal?.throwIfAborted();
      // From Node 24 on, zip.js reports only that the stream it wanted to close is closed, not why.
      if (stopped !== undefined) throw stopped.by;
      throw zipError(error, this.#label(member), member.offset);
    } finally {
      signal?.removeEventListener('abort', abort);
    }
    if (done === member.size) return;
    throw new MmdError(
      'CORRUPT',
      `${this.#label(member)}: unpacks to ${done} bytes, not the ${member.size} that the directory declares`,
      {
        offset: member.offset,
        expected: member.size,
        found: done,
      },
    );
  }

  #label(member: NpzMember): string {
    return `${this.name}: member ${JSON.stringify(member.name)}`;
  }

  #find(key: string): NpzEntry | undefined {
    if (typeof key !== 'string') throw wrongArgument('the key of a member', 'a string', key);
    return this.#entries.get(key) ?? (key.endsWith('.npy') ? this.#entries.get(key.slice(0, -4)) : undefined);
  }

  #need(key: string): NpzEntry {
    const found = this.#find(key);
    if (found !== undefined) return found;
    throw new MmdError('NOT_FOUND', `${this.name}: no member ${JSON.stringify(key)}`, { key, path: this.name });
  }

  #needReadable(key: string): NpzEntry {
    const found = this.#need(key);
    if (found.problem === undefined) return found;
    throw badMember(this.name, found.member, found.problem, 'UNSUPPORTED_VALUE');
  }
}

interface PieceSink {
  write(piece: Uint8Array): void;
}

/** Thrown by {@link HeadSink} to stop unpacking; never leaves this module. */
const FULL: unique symbol = Symbol('enough was unpacked');

/** Keeps the first bytes. */
class HeadSink implements PieceSink {
  readonly capacity: number;
  readonly #bytes: Uint8Array;
  length = 0;

  constructor(capacity: number) {
    this.capacity = capacity;
    this.#bytes = new Uint8Array(capacity);
  }

  write(piece: Uint8Array): void {
    const taken = piece.subarray(0, this.capacity - this.length);
    this.#bytes.set(taken, this.length);
    this.length += taken.length;
    if (this.length === this.capacity) throw FULL;
  }

  bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.length);
  }
}

/** Keeps all bytes, of which there are exactly `size`. */
class MemorySink implements PieceSink {
  readonly bytes: Uint8Array;
  #done = 0;

  constructor(size: number, name: string) {
    try {
      this.bytes = new Uint8Array(size);
    } catch (cause) {
      throw new MmdError('LIMIT_EXCEEDED', `${name}: ${size} bytes do not fit into memory`, { found: size, cause });
    }
  }

  write(piece: Uint8Array): void {
    this.bytes.set(piece, this.#done);
    this.#done += piece.length;
  }
}

/**
 * Opens an npz file: reads its directory, and its members on request. In Node a path may be given too, and
 * stored members are then mapped in place.
 *
 * @throws BAD_FORMAT for what is not a zip file; TRUNCATED; CORRUPT for members that occur twice, overlap, or have wrong sizes
 *   or unsafe names; UNSUPPORTED_VALUE for an encrypted directory, and archives in several parts; LIMIT_EXCEEDED; whatever
 *   the source throws
 *
 * @example
 * ```ts
 * import { npzBytes, openNpz } from '@mmdpickle/npy-interop';
 *
 * const npz = await openNpz(await npzBytes({ a: new Int32Array([1, 2]), b: new Float64Array(3) }));
 * npz.keys(); // ['a', 'b']
 * (await npz.get('a')).get(1); // 2
 * ```
 */
export async function openNpz(
  source: Uint8Array | ArrayBuffer | ByteSource | Blob,
  options: OpenNpzOptions = {},
): Promise<Npz> {
  // Checked here because `name` is used before the other checks.
  checkOptions(options, OPEN_NPZ_OPTIONS);
  if (source instanceof Uint8Array) return Npz.over(bytesSource(source, options.name ?? 'npz'), options);
  if (source instanceof ArrayBuffer) return openNpz(new Uint8Array(source), options);
  return Npz.over(source, options);
}
