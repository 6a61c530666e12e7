/**
 * The simplest way to add a type: say what plain value stands for it.
 *
 * @module
 */

import { checkOptions, isFunction, isText, type OptionTable, wrongArgument } from '../options.ts';
import type { ValueCodec } from './codecs.ts';
import { encodedParts } from './encoded-value.ts';

/** What {@link plainCodec} needs to know about a type. */
export interface PlainCodecOptions<T> {
  /** Shown as `kind` by `getMeta`. */
  readonly name: string;
  /** Whether a value is of the type. */
  readonly is: (value: unknown) => value is T;
  /** The value to store instead: anything that can be pickled. */
  readonly toPlain: (value: T) => unknown;
  /** Restores the value; `undefined` if what is stored is not of the type. Must not throw for foreign values. */
  readonly fromPlain: (plain: unknown) => T | undefined;
}

const PLAIN_CODEC: OptionTable = { name: isText, is: isFunction, toPlain: isFunction, fromPlain: isFunction };

/**
 * Makes a codec that stores values of a type as plain ones. On reading, every value that no earlier codec claims is loaded
 * and passed to `fromPlain`; so mark what you store, for example by a dict with a key of your own.
 *
 * @example
 * ```ts
 * import { MmapDict } from '@mmdpickle/core';
 * import { plainCodec } from '@mmdpickle/core/format';
 * import { MemoryFile } from '@mmdpickle/core/storage';
 *
 * const urls = plainCodec<URL>({
 *   name: 'url',
 *   is: (value): value is URL => value instanceof URL,
 *   toPlain: (url) => ({ 'example.url': url.href }),
 *   fromPlain: (plain) =>
 *     plain instanceof Map && plain.has('example.url') ? new URL(String(plain.get('example.url'))) : undefined,
 * });
 * using dict = MmapDict.over(MemoryFile.of(), { codecs: [urls] });
 * dict.set('docs', new URL('https://example.org/')).get('docs'); // URL
 * ```
 */
export function plainCodec<T>(options: PlainCodecOptions<T>): ValueCodec {
  checkOptions(options, PLAIN_CODEC);
  const { name, is, toPlain, fromPlain } = options;
  for (const [part, given] of Object.entries({ name, is, toPlain, fromPlain }))
    if (given === undefined) throw wrongArgument(part, 'given in every plain codec', given);
  return {
    name,
    encode(value, { entries }) {
      if (!is(value)) return undefined;
      const parts = entries.encodeParts(toPlain(value));
      return encodedParts(name, parts, entries.memoEnd);
    },
    describe(stored) {
      return fromPlain(loadPlain(stored)) === undefined ? undefined : { kind: name };
    },
    decode(stored) {
      return fromPlain(loadPlain(stored));
    },
  };
}

function loadPlain(stored: Parameters<ValueCodec['describe']>[0]): unknown {
  const bytes = stored.bytes();
  return stored.decoder.loadEntry(bytes, 0, bytes.length);
}
