/**
 * Reading single values from anywhere, by the index of the file.
 *
 * @module
 */

import { encodeUtf8 } from '../bytes/index.ts';
import { type FoundEntry, findIndex, lookUp, type PlacedIndex } from '../format/index-lookup.ts';
import { KEY_MAX } from '../format/layout.ts';
import { answerAsync } from '../format/scan.ts';
import { checkOptions } from '../options.ts';
import type { ByteSource } from '../storage/byte-source.ts';
import { DictReader, type DictReaderOptions } from './dict-reader.ts';
import { ValueFetcher } from './fetched-value.ts';
import type { EntryMeta } from './mmap-dict.ts';
import { checkKey, READER_OPTIONS } from './options.ts';
import { openSource, readFrom } from './source-reading.ts';

/**
 * Single values of a dict over a {@link ByteSource}, as it was when opened, found by their keys: each takes a few requests, however many
 * entries there are. {@link DictReader} lists the keys, too, for which it has to look at every entry.
 *
 * Files get an index when they are closed or sealed. Where there is none, as in a file that is still being written, or where it is damaged,
 * all entries are looked at once.
 *
 * @throws what the source throws, such as IO, TRUNCATED and the reason of a `signal`; BAD_KEY for a key that is not a string; CORRUPT
 *
 * @example
 * ```ts
 * import { DictLookup, MmapDict } from '@mmdpickle/core';
 * import { blobSource, MemoryFile } from '@mmdpickle/core/storage';
 *
 * const file = MemoryFile.of();
 * MmapDict.over(file).set('gain', 2.5);
 * const lookup = await DictLookup.open(blobSource(new Blob([file.toBytes()])));
 * await lookup.get('gain'); // 2.5
 * ```
 */
export class DictLookup {
  readonly name: string;
  readonly commitNumber: number;
  readonly #source: ByteSource;
  readonly #options: DictReaderOptions;
  readonly #index: PlacedIndex | undefined;
  readonly #fetcher: ValueFetcher;
  /** All entries, if the index does not help. */
  #reader: DictReader | undefined;

  private constructor(
    source: ByteSource,
    options: DictReaderOptions,
    commitNumber: number,
    index: PlacedIndex | undefined,
  ) {
    this.name = source.name;
    this.commitNumber = commitNumber;
    this.#source = source;
    this.#options = options;
    this.#index = index;
    this.#fetcher = new ValueFetcher(source, options);
  }

  /**
   * Reads the header, and finds the index.
   * @throws NOT_A_PICKLE, NOT_MMDPICKLE, TRUNCATED; INVALID_ARGUMENT for something that is not a source or not an option
   */
  static async open(source: ByteSource, options: DictReaderOptions = {}): Promise<DictLookup> {
    checkOptions(options, READER_OPTIONS);
    const { size, commitNumber, read } = await openSource(source, options.signal);
    const index = await answerAsync(findIndex(size, commitNumber), read);
    return new DictLookup(source, options, commitNumber, index);
  }

  /** The value of a key, or `undefined`. An array's bytes are fetched into memory. */
  async get(key: string, signal?: AbortSignal): Promise<unknown> {
    const found = await this.#find(key, signal);
    if (found === 'torn') return (await this.#all(signal)).get(key, signal);
    return found && this.#fetcher.value(key, found, signal, found.head);
  }

  /** The type, shape and place of a value, without its data; `undefined` if the key is missing. */
  async getMeta(key: string, signal?: AbortSignal): Promise<EntryMeta | undefined> {
    const found = await this.#find(key, signal);
    if (found === 'torn') return (await this.#all(signal)).getMeta(key, signal);
    return found && this.#fetcher.meta(key, found, signal, found.head);
  }

  async #find(key: string, signal: AbortSignal | undefined): Promise<FoundEntry | undefined | 'torn'> {
    checkKey(key);
    if (this.#index === undefined || this.#reader !== undefined) return 'torn';
    const bytes = key.length > KEY_MAX ? undefined : encodeUtf8(key);
    // No entry has such a key.
    if (bytes === undefined || bytes.length > KEY_MAX) return undefined;
    const read = (offset: number, count: number) => readFrom(this.#source, offset, count, signal);
    return answerAsync(lookUp(this.#index, bytes), read);
  }

  async #all(signal: AbortSignal | undefined): Promise<DictReader> {
    const { signal: _, ...options } = this.#options;
    this.#reader ??= await DictReader.open(this.#source, { ...options, ...(signal && { signal }) });
    return this.#reader;
  }
}
