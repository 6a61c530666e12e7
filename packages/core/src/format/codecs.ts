/**
 * Value codecs, which write values and read them back: an ordered, explicit list, of which the first that
 * claims a value or an entry handles it. Users put their own in front (docs/guide/codecs.md).
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

/** Spelling in which arrays are written. */
export type ArrayLayout = 'modern' | 'legacy';

/** What a codec may need when it encodes a value. */
export interface EncodeContext {
  readonly layout: ArrayLayout;
  /** Writes opcodes of plain values; what it returns is borrowed until its next call. */
  readonly entries: EntryEncoder;
  /** Caches how the previous array was spelled. */
  readonly preamble?: ArrayPreamble;
}

/** Reads opcodes of plain values. */
export interface EntryDecoder {
  loadEntry(bytes: Uint8Array, start: number, end: number): unknown;
}

/** A value in the file, as a codec sees it. */
export interface StoredValue {
  readonly key: string;
  /** File offset of the value's first byte. */
  readonly offset: number;
  readonly length: number;
  /** A new cursor over the value; reads only the bytes that it is asked for. */
  reader(): ValueReader;
  /** All bytes of the value, as a copy that belongs to the caller. */
  bytes(): Uint8Array;
  /** The value's bytes from position `pos` on, mapped; borrowed, and they show later writes. */
  memory(pos: number, length: number): ArrayMemory;
  /** The pickle machine, with the options that the dict was opened with. */
  readonly decoder: EntryDecoder;
  /** Makes an array that can append rows; absent if no dict is open for it. */
  readonly growable?: (type: DType, rowShape: readonly number[], masked?: { readonly fillValue: unknown }) => unknown;
}

/** What is known about a value without reading its data. */
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
  /** Growable arrays: number of rows that there is room for. */
  readonly capacity?: number;
  /** The array's spelling. */
  readonly layout?: 'modern' | 'legacy' | 'upgraded';
  /** Masked arrays: null where numpy's default applies. */
  readonly fillValue?: unknown;
  /** Masked arrays: file offset and size of the mask's data. */
  readonly mask?: { readonly dataOffset: number; readonly nbytes: number };
}

/** How values of one kind are written and read. */
export interface ValueCodec {
  /** Shown as `kind` by `getMeta`. */
  readonly name: string;
  /** Encodes a value for the file; `undefined` leaves it to the next codec. */
  encode(value: unknown, context: EncodeContext): EncodedValue | undefined;
  /** Describes a stored value, reading as few bytes as possible; `undefined` leaves the entry to the next codec. */
  describe(stored: StoredValue): ValueMeta | undefined;
  /** Decodes a stored value. Called only after `describe` has claimed the entry. */
  decode(stored: StoredValue, meta: ValueMeta): unknown;
}

/** The codecs of every dict, in order. `pickle` comes last and claims whatever is left. */
export const CODECS: readonly ValueCodec[] = [arrayCodec, maskedCodec, pickleCodec];
