/**
 * Reading a dict from anywhere: a Blob in a browser, a file over HTTP, bytes in memory.
 *
 * @module
 */

import { MmdError } from '../errors.ts';
import { CODECS, type StoredValue, type ValueCodec, type ValueMeta } from '../format/codecs.ts';
import { layCounts } from '../format/journal.ts';
import {
  decodeHeader,
  ENTRY_HEAD_SIZE,
  ENTRY_TAIL_SIZE,
  HEADER_SIZE,
  isTerminator,
  TERMINATOR_SIZE,
} from '../format/layout.ts';
import { answerAsync, keyOf, type ScanEnd, scanEntries } from '../format/scan.ts';
import { TAIL_PREFIX_SIZE } from '../format/tail-entry.ts';
import { decodeIndexEnding, INDEX_ENDING, isIndexHead, isOvertaken } from '../format/tail-index.ts';
import { BytesWanted, ValueReader } from '../format/value-reader.ts';
import { isBytes } from '../ndarray/array-source.ts';
import { type ArrayMemory, memoryOver } from '../ndarray/index.ts';
import { checkOptions } from '../options.ts';
import { Decoder, type LoadOptions } from '../pickle/index.ts';
import type { ByteSource } from '../storage/byte-source.ts';
import { endsBefore } from '../storage/source-errors.ts';
import type { EntryPlace } from './catalog.ts';
import { buryDead } from './live-entries.ts';
import type { EntryMeta } from './mmap-dict.ts';
import { checkKey, READER_OPTIONS } from './options.ts';
import { journalOfWalk } from './stranded.ts';
import { type EntryTaker, endAt, meet, newWalk, type Walk } from './walk.ts';
import { WalkAhead } from './walk-ahead.ts';

/** Options of {@link DictReader.open}. */
export interface DictReaderOptions {
  /** Codecs tried before the built-in ones, in order. */
  readonly codecs?: readonly ValueCodec[];
  /** Options for values that are pickles. */
  readonly load?: Omit<LoadOptions, 'borrow' | 'offset'>;
  /** Aborts reading. */
  readonly signal?: AbortSignal;
}

/** Bytes that the first read of a value requests, and the most that a later one requests in advance. */
const WINDOW = 512;
const LARGEST_WINDOW = 2 ** 20;

/**
 * A read-only dict over a {@link ByteSource}, as it was when opened. Only the bytes that are needed are fetched.
 *
 * @throws what the source throws, such as IO, TRUNCATED and the reason of a `signal`; BAD_KEY for a key that is not a string; CORRUPT
 *
 * @example
 * ```ts
 * import { DictReader, MmapDict } from '@mmdpickle/core';
 * import { blobSource, MemoryFile } from '@mmdpickle/core/storage';
 *
 * const file = MemoryFile.of();
 * MmapDict.over(file).set('gain', 2.5);
 * const reader = await DictReader.open(blobSource(new Blob([file.toBytes()])));
 * await reader.get('gain'); // 2.5
 * ```
 */
export class DictReader {
  readonly name: string;
  readonly commitNumber: number;
  readonly #source: ByteSource;
  readonly #entries: ReadonlyMap<string, EntryPlace>;
  /** File offsets of damaged entries, which may be live. */
  readonly #damaged: ReadonlyMap<string, number>;
  /** Row counts that a journal has yet to store. */
  readonly #counts: ReadonlyMap<number, number> | undefined;
  readonly #codecs: readonly ValueCodec[];
  readonly #decoder: Decoder;

  private constructor(
    source: ByteSource,
    commitNumber: number,
    entries: ReadonlyMap<string, EntryPlace>,
    damaged: ReadonlyMap<string, number>,
    counts: ReadonlyMap<number, number> | undefined,
    options: DictReaderOptions,
  ) {
    this.#source = source;
    this.name = source.name;
    this.commitNumber = commitNumber;
    this.#entries = entries;
    this.#damaged = damaged;
    this.#counts = counts;
    this.#codecs = [...(options.codecs ?? []), ...CODECS];
    this.#decoder = new Decoder({ ...options.load, borrow: true });
  }

  /**
   * Reads the header and walks the entries; payloads are skipped.
   * @throws NOT_A_PICKLE, NOT_MMDPICKLE, TRUNCATED, CORRUPT; INVALID_ARGUMENT for something that is not a source or not an option
   */
  static async open(source: ByteSource, options: DictReaderOptions = {}): Promise<DictReader> {
    checkOptions(options, READER_OPTIONS);
    const { size: sizeOf, read: readOf } = (source ?? {}) as Partial<ByteSource>;
    if (typeof sizeOf !== 'function' || typeof readOf !== 'function') {
      throw new MmdError(
        'INVALID_ARGUMENT',
        `a reader needs a byte source, found ${typeof source}: use bytesSource(bytes), blobSource(blob) or httpSource(url)`,
        {
          found: source,
        },
      );
    }
    const { signal } = options;
    const size = await source.size(signal);
    if (!(Number.isSafeInteger(size) && size >= 0)) throw notASource(source, 'size() must return a count', size);
    const read = (offset: number, length: number): Promise<Uint8Array> => readFrom(source, offset, length, signal);
    const head = await read(0, Math.min(size, HEADER_SIZE));
    const { commitNumber } = decodeHeader(head, source.name);
    const entries = new Map<string, EntryPlace>();
    const damaged = new Map<string, number>();
    const taker: EntryTaker = {
      take(entry) {
        const { keyLength, state, offset, frameLength } = entry;
        if (state === 'dead') return;
        const key = keyOf(entry);
        if (key === undefined) return;
        if (state === 'damaged') damaged.set(key, offset);
        else entries.set(key, { offset, frameLength, keyLength });
      },
      expect: () => undefined,
    };
    const walkTo = async (until: number): Promise<{ walk: Walk; end: ScanEnd }> => {
      entries.clear();
      damaged.clear();
      const walk = newWalk(taker, HEADER_SIZE, size);
      const ahead = new WalkAhead((...range) => readFrom(source, ...range), size, signal);
      try {
        const requests = scanEntries(HEADER_SIZE, size, meet, until, undefined, walk);
        return { walk, end: await answerAsync(requests, ahead.read) };
      } finally {
        ahead.close();
      }
    };
    let { walk, end } = await walkTo(Infinity);
    // If there is an index, a walk that did not meet it met damage, or followed a wrong length.
    const until = walk.indexEnd === end.offset ? undefined : await endByIndex(size, commitNumber, read);
    if (until !== undefined) {
      ({ walk, end } = await walkTo(until));
      end = endAt(end, until);
    }
    if (end.kind === 'damage') {
      const code = end.truncated ? 'TRUNCATED' : 'CORRUPT';
      throw new MmdError(code, `${source.name}: ${end.message} at ${end.offset}`, {
        offset: end.offset,
        expected: end.expected,
        found: end.found,
        path: source.name,
      });
    }
    // A batch whose writer was killed, or is still writing, counts as done: it is seen as a whole or not at all.
    const journal = await answerAsync(journalOfWalk(walk, end), read);
    buryDead(entries, journal);
    return new DictReader(source, commitNumber, entries, damaged, journal?.stores, options);
  }

  get size(): number {
    return this.#entries.size;
  }

  has(key: string): boolean {
    return this.#find(key) !== undefined;
  }

  keys(): IterableIterator<string> {
    return this.#entries.keys();
  }

  /** The value of a key, or `undefined`. An array's bytes are fetched into memory. */
  async get(key: string, signal?: AbortSignal): Promise<unknown> {
    return this.#read(key, signal, (codec, stored, meta) => codec.decode(stored, meta));
  }

  /** The type, shape and place of a value, without its data; `undefined` if the key is missing. */
  async getMeta(key: string, signal?: AbortSignal): Promise<EntryMeta | undefined> {
    return this.#read(key, signal, (_codec, { offset, length }, meta) => {
      const entryOffset = this.#entries.get(key)!.offset;
      return { ...meta, key, entryOffset, offset: meta.dataOffset ?? offset, length };
    });
  }

  async *entries(signal?: AbortSignal): AsyncGenerator<[string, unknown]> {
    for (const key of this.#entries.keys()) yield [key, await this.get(key, signal)];
  }

  #find(key: string): EntryPlace | undefined {
    checkKey(key);
    const place = this.#entries.get(key);
    const offset = this.#damaged.get(key);
    if (place !== undefined || offset === undefined) return place;
    const message = `${this.name}: the entry of ${JSON.stringify(key)} at ${offset} is damaged`;
    throw new MmdError('CORRUPT', message, { offset, key, path: this.name });
  }

  /** Runs a synchronous reader; whenever it needs bytes that are missing, fetches them and runs it again. */
  async #read<T>(
    key: string,
    signal: AbortSignal | undefined,
    read: (codec: ValueCodec, stored: StoredValue, meta: ValueMeta) => T,
  ): Promise<T | undefined> {
    const place = this.#find(key);
    if (place === undefined) return undefined;
    const stored = new FetchedValue(key, place, this.#decoder);
    for (;;) {
      try {
        for (const codec of this.#codecs) {
          const meta = codec.describe(stored);
          if (meta !== undefined) return read(codec, stored, meta);
        }
        throw new MmdError('CORRUPT', `no codec can read the value of ${JSON.stringify(key)}`, { key });
      } catch (error) {
        if (!(error instanceof BytesWanted)) throw error;
        const start = stored.offset + error.pos;
        const bytes = await readFrom(this.#source, start, error.length, signal);
        if (bytes.length < error.length) throw endsBefore(this.name, start, error.length, start + bytes.length);
        if (this.#counts !== undefined) layCounts(this.#counts, bytes, start);
        stored.add(error.pos, bytes);
      }
    }
  }
}

/** Where the entries end according to an index that was made for this very state: then damaged tail entries do no harm. */
async function endByIndex(
  size: number,
  commitNumber: number,
  read: (offset: number, length: number) => Promise<Uint8Array>,
): Promise<number | undefined> {
  const end = size - TERMINATOR_SIZE;
  if (end < HEADER_SIZE + INDEX_ENDING) return undefined;
  const bytes = await read(end - INDEX_ENDING, INDEX_ENDING + TERMINATOR_SIZE);
  const found = isTerminator(bytes, INDEX_ENDING) ? decodeIndexEnding(bytes, end) : undefined;
  if (found?.footer.commitNumber !== commitNumber) return undefined;
  const { footer, entry } = found;
  if (!isIndexHead(await read(entry, TAIL_PREFIX_SIZE), footer)) return undefined;
  return (await answerAsync(isOvertaken(footer, entry, size), read)) ? undefined : footer.end;
}

/** Reads a range of a source, which may be user code. @throws INVALID_ARGUMENT if it returns anything but bytes */
async function readFrom(
  source: ByteSource,
  offset: number,
  length: number,
  signal: AbortSignal | undefined,
): Promise<Uint8Array> {
  const bytes: unknown = await source.read(offset, length, signal);
  if (isBytes(bytes)) return bytes;
  throw notASource(source, 'read() must return a Uint8Array', bytes);
}

function notASource({ name }: ByteSource, what: string, found: unknown): MmdError {
  return new MmdError('INVALID_ARGUMENT', `${name}: a byte source's ${what}`, { found });
}

/** A value of which some ranges have been fetched. */
class FetchedValue implements StoredValue {
  readonly key: string;
  readonly offset: number;
  readonly length: number;
  readonly decoder: Decoder;
  readonly #ranges: { readonly pos: number; readonly bytes: Uint8Array }[] = [];

  constructor(key: string, { offset, frameLength, keyLength }: EntryPlace, decoder: Decoder) {
    this.key = key;
    this.offset = offset + ENTRY_HEAD_SIZE + keyLength;
    this.length = frameLength - 2 - keyLength - ENTRY_TAIL_SIZE;
    this.decoder = decoder;
  }

  add(pos: number, bytes: Uint8Array): void {
    this.#ranges.push({ pos, bytes });
  }

  reader(): ValueReader {
    return new ValueReader(this.offset, this.length, (pos, length) => {
      const range = this.#ranges.find((known) => known.pos <= pos && pos + length <= known.pos + known.bytes.length);
      if (range !== undefined) return range.bytes.subarray(pos - range.pos);
      // Every piece restarts the reader: windows that grow keep the cost from being quadratic in the length of the head.
      const window = Math.min(WINDOW * 2 ** this.#ranges.length, LARGEST_WINDOW);
      throw new BytesWanted(pos, Math.min(Math.max(length, window), this.length - pos));
    });
  }

  bytes(): Uint8Array {
    return this.#take(0, this.length);
  }

  memory(pos: number, length: number): ArrayMemory {
    return memoryOver(this.#take(pos, length));
  }

  #take(pos: number, length: number): Uint8Array {
    if (length === 0) return new Uint8Array(0);
    const range = this.#ranges.find((known) => known.pos <= pos && pos + length <= known.pos + known.bytes.length);
    if (range === undefined) throw new BytesWanted(pos, length);
    return range.bytes.slice(pos - range.pos, pos - range.pos + length);
  }
}
