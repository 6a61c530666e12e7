/**
 * Ordinary pickles: opened as they are, or made into mmdpickle files.
 *
 * @module
 */

import { MmdError } from '../errors.ts';
import { type ArraySource, type FileRange, MaskedArray, NDArray } from '../ndarray/index.ts';
import { type LoadOptions, load } from '../pickle/index.ts';
import type { StorageFile } from '../storage/storage-file.ts';
import type { DictCore } from './core.ts';
import type { ProgressOptions } from './vacuum.ts';

/** Options of `openPickle` and `convert`. */
export interface PickleOptions extends Omit<LoadOptions, 'borrow' | 'offset'> {}

/**
 * Loads a pickle over its mapping: bytes and arrays are views of the file.
 * @throws NOT_A_PICKLE, TRUNCATED and whatever `load` throws
 */
export function loadMapped(file: StorageFile, options: PickleOptions = {}): { value: unknown; bytes: Uint8Array } {
  const size = file.size();
  if (size === 0) throw new MmdError('NOT_A_PICKLE', `${file.name}: the file is empty`, { path: file.name, offset: 0 });
  const bytes = file.map(0, size, 'read').bytes(0, size);
  return { value: load(bytes, { ...options, borrow: true }), bytes };
}

/** The items of a dict with string keys. @throws NOT_A_DICT, BAD_KEY */
export function itemsOf(value: unknown, name: string): Map<string, unknown> {
  if (!(value instanceof Map)) {
    throw new MmdError('NOT_A_DICT', `${name}: a pickle, but its value is not a dict`, { path: name });
  }
  for (const key of value.keys()) {
    if (typeof key !== 'string') {
      throw new MmdError('BAD_KEY', `${name}: the dict has a key that is not a string: ${String(key)}`, {
        path: name,
        found: key,
      });
    }
  }
  return value as Map<string, unknown>;
}

/** Stores the items of a pickled dict, arrays by copying ranges of the file, in one commit. */
export function convertInto(
  source: StorageFile,
  target: DictCore,
  options: PickleOptions & ProgressOptions = {},
): void {
  const { signal, onProgress, ...loadOptions } = options;
  const { value, bytes } = loadMapped(source, loadOptions);
  const items = itemsOf(value, source.name);
  const total = items.size;
  let done = 0;
  target.transact(() => {
    for (const [key, item] of items) {
      signal?.throwIfAborted();
      const length = target.encodeKey(key);
      const encoded = target.encodeValue(inFile(item, source.name, bytes) ?? item, undefined);
      target.writer.set(key, target.keyBytes, length, encoded);
      target.writer.settle();
      // What was stored need not be held.
      items.delete(key);
      onProgress?.({ done: ++done, total });
    }
  });
}

/** An array whose bytes stand in the file in one piece, as a source that says where. */
function inFile(value: unknown, path: string, bytes: Uint8Array): ArraySource | undefined {
  if (value instanceof MaskedArray) {
    const data = inFile(value.data, path, bytes);
    const mask = inFile(value.mask, path, bytes);
    return data && mask && { ...data, mask, fillValue: value.fillValue };
  }
  if (!(value instanceof NDArray) || value.type.hasObject || value.nbytes === 0) return undefined;
  const { order } = value;
  if (!value.isContiguous(order)) return undefined;
  const [first] = value.bytes();
  if (first === undefined || first.buffer !== bytes.buffer || first.length !== value.nbytes) return undefined;
  const file: FileRange = { path, offset: first.byteOffset - bytes.byteOffset, length: value.nbytes };
  return { arraySource: true, dtype: value.type, shape: value.shape, order, file };
}
