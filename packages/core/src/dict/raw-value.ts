/**
 * Values copied unchanged, from one file to another or within one: never decoded.
 *
 * @module
 */

import { dataAlignment, parseArray } from '../format/array-value.ts';
import type { ArrayBody, EncodedValue, ValuePart } from '../format/encoded-value.ts';
import { alignUp, ENTRY_HEAD_SIZE, FILLER_MIN, toSectorEnd } from '../format/layout.ts';
import { parseMasked } from '../format/masked-value.ts';
import type { FileRange } from '../ndarray/index.ts';
import type { StorageFile } from '../storage/storage-file.ts';
import type { EntryView } from './entry-view.ts';

/** A body in another storage file, which stays open meanwhile. */
export interface StoredBody extends ArrayBody {
  readonly from: StorageFile;
  readonly fromOffset: number;
}

/**
 * A range of an open file. Its path may refer to another file, or none: the file may have been moved, or have a name that it does not have
 * on disk yet.
 */
export class OpenRange implements FileRange {
  readonly from: StorageFile;
  readonly path: string;
  readonly offset: number;
  readonly length: number;

  constructor(from: StorageFile, offset: number, length: number) {
    this.from = from;
    this.path = from.name;
    this.offset = offset;
    this.length = length;
  }
}

/** Whether a body is in a storage file. */
export function isStoredBody(body: ArrayBody): body is StoredBody {
  return 'from' in body;
}

/** Values up to this size are read as a whole; larger ones are copied from file to file. */
const THROUGH_MEMORY = 65536;

/** The value of `view`, byte for byte; if it is an array, a filler keeps its data aligned. */
export function rawValue(view: EntryView): EncodedValue {
  const { length, offset, file } = view;
  const parsed = parseMasked(view.reader())?.data ?? parseArray(view.reader());
  const stored = (start: number): StoredBody => ({
    body: true,
    nbytes: length - start,
    from: file,
    fromOffset: offset + start,
  });
  const parts: (ValuePart | StoredBody)[] = [];
  if (length <= THROUGH_MEMORY) parts.push(view.bytes());
  else if (parsed?.countPos === undefined) parts.push(stored(0));
  else {
    // A pending row count counts as stored: the file may still hold the old one.
    const head = parsed.countPos + 8;
    parts.push(view.prefix(head), stored(head));
  }
  const value = { kind: 'raw', place: () => parts, memoHint: 0 };
  if (parsed === undefined) return value;
  const growable = parsed.countPos !== undefined;
  const alignment = dataAlignment(parsed.dataLength, growable);
  return {
    ...value,
    fillerBefore(entryOffset, keyLength) {
      const dataOffset = entryOffset + ENTRY_HEAD_SIZE + keyLength + parsed.dataPos;
      let filler = alignUp(dataOffset, alignment) - dataOffset;
      while ((filler > 0 && filler < FILLER_MIN) || (growable && toSectorEnd(entryOffset + filler + 1) < 8)) {
        filler += alignment;
      }
      return filler;
    },
  };
}
