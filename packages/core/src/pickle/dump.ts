/**
 * Writing pickles.
 *
 * @module
 */

import { MmdError } from '../errors.ts';
import { checkOptions } from '../options.ts';
import { DEFAULT_LIMITS, type LoadLimits } from './limits.ts';
import { OPCODES } from './opcodes.ts';
import { DUMP_ENTRY_OPTIONS, DUMP_OPTIONS } from './options.ts';
import { Pickler } from './pickler.ts';
import type { Sink } from './sink.ts';

/** Options of `dump`. */
export interface DumpOptions {
  /** Default 4, which every Python 3 from 3.4 on reads. 2 is for Python 2. */
  readonly protocol?: 2 | 3 | 4 | 5 | undefined;
  /**
   * Protocol 5: array data and buffers are passed to this function, in order, instead of being written into the pickle;
   * `load` takes them as `buffers`. The bytes are borrowed. Returning a truthy value writes this one in band after all.
   */
  readonly bufferCallback?: ((bytes: Uint8Array) => unknown) | undefined;
  /** `limits.depth` bounds the nesting. */
  readonly limits?: Partial<Pick<LoadLimits, 'depth'>> | undefined;
}

/** Options of `dumpEntry`. */
export interface DumpEntryOptions extends Pick<DumpOptions, 'limits'> {
  /** The first memo index to use. Default 0: an entry refers to its own slots only. */
  readonly memoBase?: number | undefined;
}

/**
 * Writes a value as a pickle: null as None, a safe integer as int, any other number as float, bigint as int, string as
 * str, boolean as bool, Uint8Array as bytes, Array as list, Map and plain object as dict, Set as set, Date as datetime
 * (UTC), typed arrays and NDArray as ndarray, and every stand-in as what it stands for. Shared values are written once;
 * cycles work.
 *
 * The same value gives the same bytes.
 *
 * @returns bytes that belong to the caller
 * @throws MmdError UNSUPPORTED_VALUE, UNSUPPORTED_DTYPE, LIMIT_EXCEEDED, INVALID_ARGUMENT; BAD_KEY for a key of a Map,
 *   or an item of a Set, that Python cannot hash, such as an array
 *
 * @example
 * ```ts
 * import { dump, load } from '@mmdpickle/core/pickle';
 *
 * load(dump({ gain: 2.5 }, { protocol: 2 })); // Map(1) { 'gain' => 2.5 }
 * ```
 */
export function dump(value: unknown, options: DumpOptions = {}): Uint8Array {
  checkOptions(options, DUMP_OPTIONS);
  const { protocol = 4, bufferCallback, limits } = options;
  if (bufferCallback !== undefined && protocol < 5) {
    throw new MmdError('INVALID_ARGUMENT', 'out-of-band buffers need protocol 5', { found: protocol });
  }
  const pickler = new Pickler(protocol, limits?.depth ?? DEFAULT_LIMITS.depth, false, bufferCallback);
  pickler.sink.u8(OPCODES.PROTO.code);
  pickler.sink.u8(protocol);
  pickler.write(value, 0);
  pickler.sink.u8(OPCODES.STOP.code);
  return pickler.sink.assemble(protocol >= 4 ? 2 : -1, false);
}

/**
 * Writes a value as an entry of an mmdpickle: protocol 4 opcodes without PROTO, FRAME, MEMOIZE and STOP, with
 * explicit memo indices for what is referred to again.
 *
 * @returns bytes that belong to the caller
 * @throws MmdError as {@link dump}
 */
export function dumpEntry(value: unknown, options: DumpEntryOptions = {}): Uint8Array {
  checkOptions(options, DUMP_ENTRY_OPTIONS);
  const pickler = new Pickler(4, options.limits?.depth ?? DEFAULT_LIMITS.depth, true);
  pickler.write(value, options.memoBase ?? 0);
  return pickler.sink.assemble(-1, false);
}

/** A key and a value as an entry holds them: the key's UTF-8, followed by the value's opcodes. */
export interface KeyedEntry {
  /** Holds both, from position 0 on. */
  readonly sink: Sink;
  /** One more than the highest memo index. */
  readonly memoEnd: number;
}

/**
 * Writes many entries; faster than {@link dumpEntry} for each, because buffers are reused.
 *
 * @example
 * ```ts
 * import { EntryEncoder, loadEntry } from '@mmdpickle/core/pickle';
 *
 * const encoder = new EntryEncoder();
 * loadEntry(encoder.encode([1, 'a'])); // [1, 'a']
 * encoder.memoEnd; // 0
 * ```
 */
export class EntryEncoder {
  readonly #maxDepth: number;
  readonly #pickler: Pickler;
  #memoEnd = 0;

  constructor(options: Pick<DumpOptions, 'limits'> = {}) {
    checkOptions(options, DUMP_ENTRY_OPTIONS);
    this.#maxDepth = options.limits?.depth ?? DEFAULT_LIMITS.depth;
    this.#pickler = new Pickler(4, this.#maxDepth, true);
  }

  /** The encoder's own pickler, unless it is in use: a getter or array source may write another value. */
  #ready(): Pickler {
    const pickler = this.#pickler.writing ? new Pickler(4, this.#maxDepth, true) : this.#pickler;
    pickler.sink.reset();
    return pickler;
  }

  #write(value: unknown, memoBase: number): Sink {
    const pickler = this.#ready();
    pickler.write(value, memoBase);
    this.#memoEnd = pickler.memoEnd;
    return pickler.sink;
  }

  /**
   * Encodes a value after the UTF-8 of its key, as in an entry.
   * @param keyBytes - copied before any code of the value runs, such as a getter
   * @returns where both are, borrowed until the next call
   * @throws MmdError as {@link dump}
   */
  encodeKeyed(keyBytes: Uint8Array, keyLength: number, value: unknown): KeyedEntry {
    const pickler = this.#ready();
    const { sink } = pickler;
    sink.reserve(keyLength);
    const { bytes } = sink;
    for (let i = 0; i < keyLength; i++) bytes[i] = keyBytes[i]!;
    sink.length = keyLength;
    pickler.write(value, 0);
    return pickler;
  }

  /** One more than the highest memo index of the last entry; its `memoBase` if it has none. */
  get memoEnd(): number {
    return this.#memoEnd;
  }

  /**
   * Encodes a value as parts, without copying large payloads.
   * @returns parts that are borrowed until the next call; payloads of 64 KiB or more are the value's own bytes
   * @throws MmdError as {@link dump}
   */
  encodeParts(value: unknown, memoBase = 0): Uint8Array[] {
    return this.#write(value, memoBase).parts();
  }

  /**
   * Encodes a value.
   * @returns bytes that are borrowed until the next call
   * @throws MmdError as {@link dump}
   */
  encode(value: unknown, memoBase = 0): Uint8Array {
    return this.#write(value, memoBase).assemble(-1, true);
  }
}
