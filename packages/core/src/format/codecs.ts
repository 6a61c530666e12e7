/**
 * Value codecs: who writes a value, and who reads it back. An ordered, explicit list; the first that
 * claims a value or an entry gets it. Users put their own in front (docs/guide/codecs.md).
 *
 * @module
 */

import type { ArrayMemory, DType } from '../ndarray/index.ts';
import type { EntryEncoder } from '../pickle/index.ts';
import { arrayCodec } from './array-codec.ts';
import type { ArrayPreamble } from './array-value.ts';
import type { EncodedValue } from './encoded-value.ts';
import { maskedCodec } from './masked-codec.ts';
import { pickleCodec } from './pickle-codec.ts';
import type { ValueReader } from './value-reader.ts';

/** Which spelling arrays are written in. */
export type ArrayLayout = 'modern' | 'legacy';

/** What a codec may want to know when it writes. */
export interface EncodeContext {
  readonly layout: ArrayLayout;
  /** Writes opcodes of plain values; what it returns is borrowed until its next call. */
  readonly entries: EntryEncoder;
  /** How the array before was spelled. */
  readonly preamble?: ArrayPreamble;
}

/** Reads opcodes of plain values. */
export interface EntryDecoder {
  loadEntry(bytes: Uint8Array, start: number, end: number): unknown;
}

/** A value in the file, for a codec to look at. */
export interface StoredValue {
  readonly key: string;
  /** File offset of the value's first byte. */
  readonly offset: number;
  readonly length: number;
  /** A new cursor over the value; only the bytes it is asked for are read. */
  reader(): ValueReader;
  /** All bytes of the value, as a copy that belongs to the caller. */
  bytes(): Uint8Array;
  /** The file's bytes from `pos` in the value on, mapped; borrowed, and following later writes. */
  memory(pos: number, length: number): ArrayMemory;
  /** The pickle machine with the options that the opener of the dict gave. */
  readonly decoder: EntryDecoder;
  /** Makes an array that can append rows; absent where there is no dict open for it. */
  readonly growable?: (type: DType, rowShape: readonly number[], masked?: { readonly fillValue: unknown }) => unknown;
}

/** What is known of a value without reading its data. */
export interface ValueMeta {
  /** The codec's name, such as `'ndarray'`, `'masked'`, `'pickle'`. */
  readonly kind: string;
  /** numpy's name of the dtype. */
  readonly dtype?: string;
  readonly type?: DType;
  readonly shape?: readonly number[];
  readonly order?: 'C' | 'F';
  /** Bytes of the array's elements. */
  readonly nbytes?: number;
  /** File offset of the array's first byte. */
  readonly dataOffset?: number;
  /** Growable: rows there is room for. */
  readonly capacity?: number;
  /** The array's spelling. */
  readonly layout?: 'modern' | 'legacy' | 'upgraded';
  /** Masked arrays: null where numpy's default applies. */
  readonly fillValue?: unknown;
  /** Masked arrays: where the mask stands. */
  readonly mask?: { readonly dataOffset: number; readonly nbytes: number };
}

/** A row of the list: how values of one kind are written and read. */
export interface ValueCodec {
  /** Shown as `kind` by `getMeta`. */
  readonly name: string;
  /** The value in the file's spelling; `undefined` leaves it to the next codec. */
  encode(value: unknown, context: EncodeContext): EncodedValue | undefined;
  /** What the bytes say, reading as few as possible; `undefined` leaves the entry to the next codec. */
  describe(stored: StoredValue): ValueMeta | undefined;
  /** The value. Called only after `describe` claimed the entry. */
  decode(stored: StoredValue, meta: ValueMeta): unknown;
}

/** The codecs of every dict, in order. `pickle` comes last and claims whatever is left. */
export const CODECS: readonly ValueCodec[] = [arrayCodec, maskedCodec, pickleCodec];
