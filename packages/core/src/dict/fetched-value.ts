/**
 * Values of entries in a byte source, of which only what is needed is fetched.
 *
 * @module
 */

import { MmdError } from '../errors.ts';
import { CODECS, type StoredValue, type ValueCodec, type ValueMeta } from '../format/codecs.ts';
import { layCounts } from '../format/journal.ts';
import { ENTRY_HEAD_SIZE, ENTRY_TAIL_SIZE } from '../format/layout.ts';
import { BytesWanted, ValueReader } from '../format/value-reader.ts';
import { type ArrayMemory, memoryOver } from '../ndarray/index.ts';
import { Decoder, type LoadOptions } from '../pickle/index.ts';
import type { ByteSource } from '../storage/byte-source.ts';
import { endsBefore } from '../storage/source-errors.ts';
import type { EntryPlace } from './catalog.ts';
import type { EntryMeta } from './mmap-dict.ts';
import { readFrom } from './source-reading.ts';

/** Bytes that the first read of a value requests, and the most that a later one requests in advance. */
const WINDOW = 512;
const LARGEST_WINDOW = 2 ** 20;

/** How values are read. */
export interface FetchOptions {
  /** Codecs tried before the built-in ones, in order. */
  readonly codecs?: readonly ValueCodec[];
  /** Options for values that are pickles. */
  readonly load?: Omit<LoadOptions, 'borrow' | 'offset'>;
}

/** Fetches values whose place is known. */
export class ValueFetcher {
  readonly #source: ByteSource;
  readonly #codecs: readonly ValueCodec[];
  readonly #decoder: Decoder;
  /** Row counts that a journal has yet to store. */
  readonly #counts: ReadonlyMap<number, number> | undefined;

  constructor(source: ByteSource, options: FetchOptions, counts?: ReadonlyMap<number, number>) {
    this.#source = source;
    this.#codecs = [...(options.codecs ?? []), ...CODECS];
    this.#decoder = new Decoder({ ...options.load, borrow: true });
    this.#counts = counts;
  }

  /**
   * The value. An array's bytes are fetched into memory.
   * @param known - bytes of the entry, from its beginning, that were fetched before
   */
  value(key: string, place: EntryPlace, signal: AbortSignal | undefined, known?: Uint8Array): Promise<unknown> {
    return this.#read(key, place, signal, known, (codec, stored, meta) => codec.decode(stored, meta));
  }

  /** What {@link ValueFetcher.value} would be, without its data. */
  meta(key: string, place: EntryPlace, signal: AbortSignal | undefined, known?: Uint8Array): Promise<EntryMeta> {
    return this.#read(key, place, signal, known, (_codec, { offset, length }, meta) => {
      return { ...meta, key, entryOffset: place.offset, offset: meta.dataOffset ?? offset, length };
    });
  }

  /** Runs a synchronous reader; whenever it needs bytes that are missing, fetches them and runs it again. */
  async #read<T>(
    key: string,
    place: EntryPlace,
    signal: AbortSignal | undefined,
    known: Uint8Array | undefined,
    read: (codec: ValueCodec, stored: StoredValue, meta: ValueMeta) => T,
  ): Promise<T> {
    const stored = new FetchedValue(key, place, this.#decoder);
    const head = known?.subarray(stored.offset - place.offset, stored.offset - place.offset + stored.length);
    if (head !== undefined && head.length > 0) stored.add(0, head);
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
        if (bytes.length < error.length) throw endsBefore(this.#source.name, start, error.length, start + bytes.length);
        if (this.#counts !== undefined) layCounts(this.#counts, bytes, start);
        stored.add(error.pos, bytes);
      }
    }
  }
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
