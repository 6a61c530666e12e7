/**
 * Reading a dict from anywhere: a Blob in a browser, a file over HTTP, bytes in memory.
 *
 * @module
 */

import { MmdError } from '../errors.ts';
import { findIndex } from '../format/index-lookup.ts';
import { HEADER_SIZE, TERMINATOR_SIZE } from '../format/layout.ts';
import { answerAsync, keyOf, type ScanEnd, scanEntries } from '../format/scan.ts';
import { isTailKey } from '../format/tail-entry.ts';
import { checkOptions } from '../options.ts';
import type { ByteSource } from '../storage/byte-source.ts';
import type { EntryPlace } from './catalog.ts';
import { type FetchOptions, ValueFetcher } from './fetched-value.ts';
import { buryDead } from './live-entries.ts';
import type { EntryMeta } from './mmap-dict.ts';
import { checkKey, READER_OPTIONS } from './options.ts';
import { openSource, readFrom } from './source-reading.ts';
import { journalOfWalk } from './stranded.ts';
import { type EntryTaker, endAt, meet, newWalk, type Walk } from './walk.ts';
import { WalkAhead } from './walk-ahead.ts';

/** Options of {@link DictReader.open} and {@link DictLookup.open}. */
export interface DictReaderOptions extends FetchOptions {
  /** Aborts reading. */
  readonly signal?: AbortSignal;
}

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
  readonly #entries: ReadonlyMap<string, EntryPlace>;
  /** File offsets of damaged entries, which may be live, by key: of keys that have no other entry. */
  readonly #damaged: ReadonlyMap<string, number>;
  readonly #fetcher: ValueFetcher;

  private constructor(
    name: string,
    commitNumber: number,
    entries: ReadonlyMap<string, EntryPlace>,
    damaged: ReadonlyMap<string, number>,
    fetcher: ValueFetcher,
  ) {
    this.name = name;
    this.commitNumber = commitNumber;
    this.#entries = entries;
    this.#damaged = damaged;
    this.#fetcher = fetcher;
  }

  /**
   * Reads the header and walks the entries; payloads are skipped.
   * @throws NOT_A_PICKLE, NOT_MMDPICKLE, TRUNCATED, CORRUPT; INVALID_ARGUMENT for something that is not a source or not an option
   */
  static async open(source: ByteSource, options: DictReaderOptions = {}): Promise<DictReader> {
    checkOptions(options, READER_OPTIONS);
    const { signal } = options;
    const { size, commitNumber, read } = await openSource(source, signal);
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
    // If there is an index, a walk that did not meet it met damage, or followed a wrong length. One made for another commit only says that
    // a walk which ended before its `end` met an old terminator.
    const passed = walk.indexEnd === end.offset && end.offset + TERMINATOR_SIZE >= size;
    const index = passed ? undefined : await answerAsync(findIndex(size, undefined), read);
    const until = index?.footer.end ?? 0;
    const early = end.kind === 'terminator' && end.offset < until;
    if (index?.footer.commitNumber === commitNumber || early) {
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
    for (const key of damaged.keys()) if (entries.has(key) || isTailKey(key)) damaged.delete(key);
    const fetcher = new ValueFetcher(source, options, journal?.stores);
    return new DictReader(source.name, commitNumber, entries, damaged, fetcher);
  }

  /** The number of keys. */
  get size(): number {
    return this.#entries.size + this.#damaged.size;
  }

  has(key: string): boolean {
    return this.#find(key) !== undefined;
  }

  /** All keys. Those whose entries are damaged come last: asking for one of them is CORRUPT. */
  *keys(): IterableIterator<string> {
    yield* this.#entries.keys();
    yield* this.#damaged.keys();
  }

  /** The value of a key, or `undefined`. An array's bytes are fetched into memory. */
  async get(key: string, signal?: AbortSignal): Promise<unknown> {
    const place = this.#find(key);
    return place && this.#fetcher.value(key, place, signal);
  }

  /** The type, shape and place of a value, without its data; `undefined` if the key is missing. */
  async getMeta(key: string, signal?: AbortSignal): Promise<EntryMeta | undefined> {
    const place = this.#find(key);
    return place && this.#fetcher.meta(key, place, signal);
  }

  async *entries(signal?: AbortSignal): AsyncGenerator<[string, unknown]> {
    for (const key of this.keys()) yield [key, await this.get(key, signal)];
  }

  #find(key: string): EntryPlace | undefined {
    checkKey(key);
    const place = this.#entries.get(key);
    const offset = this.#damaged.get(key);
    if (place !== undefined || offset === undefined) return place;
    const message = `${this.name}: the entry of ${JSON.stringify(key)} at ${offset} is damaged`;
    throw new MmdError('CORRUPT', message, { offset, key, path: this.name });
  }
}
