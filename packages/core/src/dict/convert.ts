/**
 * Ordinary pickles: opened as they are, or converted to mmdpickle files.
 *
 * @module
 */

import { MmdError } from '../errors.ts';
import { type ArraySource, MaskedArray, NDArray } from '../ndarray/index.ts';
import { FOREIGN_BYTES, foreignFile } from '../pickle/foreign.ts';
import { type LoadOptions, loadAt, PyFloat, PyString, RecArray } from '../pickle/index.ts';
import type { StorageFile } from '../storage/storage-file.ts';
import type { DictCore } from './core.ts';
import { PickleLoader } from './pickle-pieces.ts';
import { dictPieces, findPieces } from './pickle-split.ts';
import { OpenRange } from './raw-value.ts';
import type { ProgressOptions } from './vacuum.ts';

/** Options of `openPickle` and `convert`. */
export interface PickleOptions extends Omit<LoadOptions, 'borrow' | 'offset'> {}

/**
 * Loads a pickle over its mapping: bytes and arrays are views of the file.
 * @param window - a file longer than this is not mapped in one piece, only its large bytes are
 * @returns the value, the file offset after STOP, and a function that gives the file offsets of mapped bytes
 * @throws NOT_A_PICKLE, TRUNCATED and whatever `load` throws
 */
export function loadMapped(
  file: StorageFile,
  options: PickleOptions = {},
  window: number = Infinity,
): { value: unknown; end: number; offsetOf: OffsetOf } {
  const size = file.size();
  if (size === 0) throw new MmdError('NOT_A_PICKLE', `${file.name}: the file is empty`, { path: file.name, offset: 0 });
  refuseForeign(file);
  const memory = file.map(0, size, 'read');
  if (size > Math.min(window, memory.maxWindow)) {
    const loader = new PickleLoader(file, undefined, new Map(), options);
    return { ...loader.whole(), offsetOf: (bytes) => loader.offsetOf(bytes) };
  }
  const bytes = memory.bytes(0, size);
  const offsetOf: OffsetOf = (part) => (part.buffer === bytes.buffer ? part.byteOffset - bytes.byteOffset : undefined);
  try {
    return { ...loadAt(bytes, 0, { ...options, borrow: true }), offsetOf };
  } catch (error) {
    if (!(error instanceof MmdError) || error.path !== undefined) throw error;
    const { code, message, stack: _, name: __, ...fields } = error;
    throw new MmdError(code, `${file.name}: ${message}`, { ...fields, path: file.name, cause: error });
  }
}

/** @throws NOT_A_PICKLE for files that are commonly mistaken for one */
function refuseForeign(file: StorageFile): void {
  const head = new Uint8Array(FOREIGN_BYTES);
  const foreign = foreignFile(head.subarray(0, file.read(0, head)), file.name);
  if (foreign !== undefined) throw foreign;
}

/** File offset of bytes that are mapped; `undefined` if they are in memory. */
type OffsetOf = (bytes: Uint8Array) => number | undefined;

/** The items of a dict with string keys. @throws NOT_A_DICT, BAD_KEY */
export function itemsOf(value: unknown, name: string): Map<string, unknown> {
  if (!(value instanceof Map)) {
    throw new MmdError('NOT_A_DICT', `${name}: a pickle, but its value is not a dict`, { path: name });
  }
  for (const key of value.keys()) checkKey(key, name);
  return value as Map<string, unknown>;
}

function checkKey(key: unknown, name: string): asserts key is string {
  if (typeof key === 'string') return;
  const what = key instanceof PyString ? 'with a surrogate pair encoded as two characters' : 'that is not a string';
  throw new MmdError('BAD_KEY', `${name}: the dict has a key ${what}: ${shownKey(key)}`, {
    path: name,
    found: key,
  });
}

/** The text of a key for a message, except for containers: a tuple may hold another one twice at each of many levels. */
function shownKey(key: unknown): string {
  if (key instanceof Uint8Array) return 'bytes';
  if (Array.isArray(key)) return 'a tuple';
  if (typeof key === 'bigint') return 'a large int';
  const simple = typeof key !== 'object' || key === null || key instanceof PyString || key instanceof PyFloat;
  return simple ? String(key).slice(0, 80) : `a ${key.constructor.name}`;
}

/** An item of a pickled dict. */
interface Item {
  readonly key: string;
  readonly value: unknown;
  readonly offsetOf: OffsetOf;
  readonly total: number;
}

/**
 * The items one after another, and finally the file offset after STOP. Of a pickle as picklers write them, only one item is in memory at a
 * time, with what it shares with others; any other pickle is loaded whole.
 */
function* itemsInTurn(source: StorageFile, options: PickleOptions): Generator<Item, number> {
  const { name } = source;
  refuseForeign(source);
  // Out-of-band buffers are assigned in the order in which they are requested.
  const pieces = options.buffers === undefined ? dictPieces(source) : undefined;
  if (pieces === undefined) {
    const { value, end, offsetOf } = loadMapped(source, options);
    const items = itemsOf(value, name);
    const total = items.size;
    for (const [key, item] of items) yield { key, value: item, offsetOf, total };
    return end;
  }
  const { objects, pairs } = findPieces(source, pieces);
  const loader = new PickleLoader(source, pieces.protocol, objects, options);
  const offsetOf: OffsetOf = (bytes) => loader.offsetOf(bytes);
  const first = itemsOf(loader.object(pieces.root), name);
  const total = first.size + pieces.count;
  for (const [key, value] of first) yield { key, value, offsetOf, total };
  for (const batch of pairs) {
    for (const range of batch) {
      const [key, value] = loader.pair(range);
      checkKey(key, name);
      yield { key, value, offsetOf, total };
    }
  }
  return pieces.end;
}

/**
 * Stores the items of a pickled dict, arrays by copying ranges of the file, in one commit. The values are not used here, so they are read
 * losslessly unless the caller says otherwise: `1.0` stays a float.
 * @returns the file offset after the pickle
 */
export function convertInto(
  source: StorageFile,
  target: DictCore,
  options: PickleOptions & ProgressOptions = {},
): number {
  const { signal, onProgress, lossless = true, ...loadOptions } = options;
  let done = 0;
  const storeAll = (): number => {
    const items = itemsInTurn(source, { ...loadOptions, lossless });
    for (;;) {
      const next = items.next();
      if (next.done) return next.value;
      const { key, value, offsetOf, total } = next.value;
      signal?.throwIfAborted();
      const length = target.encodeKey(key);
      const encoded = target.encodeValue(inFile(value, source, offsetOf) ?? value, undefined);
      target.writer.set(key, target.keyBytes, length, encoded);
      target.writer.settle();
      onProgress?.({ done: ++done, total });
    }
  };
  return target.transact(() => target.writer.interruptible(signal, storeAll));
}

/** An array whose bytes are in the file in one piece, as a source that refers to them. */
function inFile(value: unknown, from: StorageFile, offsetOf: OffsetOf): ArraySource | undefined {
  if (value instanceof MaskedArray) {
    const data = inFile(value.data, from, offsetOf);
    const mask = inFile(value.mask, from, offsetOf) ?? value.mask;
    return data && { ...data, mask, fillValue: value.fillValue };
  }
  // A source does not say that its elements are records.
  const mapped = value instanceof NDArray && !(value instanceof RecArray) && !value.type.hasObject;
  if (!mapped || value.nbytes === 0) return undefined;
  const { order } = value;
  const piece = value.piece();
  const offset = piece && offsetOf(piece);
  if (offset === undefined) return undefined;
  return {
    arraySource: true,
    dtype: value.type,
    shape: value.shape,
    order,
    file: new OpenRange(from, offset, value.nbytes),
  };
}
