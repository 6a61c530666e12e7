import { type DType, MaskedArray, type MmapDict, MmdError, memoryOver, NDArray } from '@mmdpickle/core';
import { wrongArgument } from '@mmdpickle/core/options';
import { checkDict } from '../options.ts';
import { chunkKeys } from './chunked.ts';

/** One array of a {@link Series}. */
export interface SeriesChunk {
  readonly key: string;
  /** The row of the series that the chunk begins with. */
  readonly start: number;
  readonly array: NDArray | MaskedArray;
}

/**
 * The arrays `<key>/000000000`, `<key>/000000001`, ... of a {@link chunked} layout, read as one array. A snapshot: to see
 * rows appended later, make a new one.
 */
export class Series {
  readonly key: string;
  readonly chunks: readonly SeriesChunk[];
  readonly shape: readonly number[];
  readonly dtype: string;

  /** @throws MmdError NOT_FOUND if there is no chunk, CORRUPT if the chunks do not match */
  constructor(dict: MmapDict, key: string) {
    checkDict('the dict', dict);
    if (typeof key !== 'string') throw wrongArgument('the key of a series', 'a string', key);
    let rows = 0;
    this.key = key;
    this.chunks = chunkKeys(dict, key).map((chunk) => {
      const array = dict.get(chunk);
      if (!(array instanceof NDArray || array instanceof MaskedArray)) {
        throw new MmdError('CORRUPT', `'${chunk}' is not an array`, { key: chunk, found: typeof array });
      }
      const start = rows;
      rows += array.shape[0] ?? 0;
      return { key: chunk, start, array };
    });
    const first = this.chunks[0]?.array;
    if (first === undefined)
      throw new MmdError('NOT_FOUND', `no series '${key}': '${key}/000000000' is missing`, { key });
    for (const { array, key: chunk } of this.chunks) {
      const masked = array instanceof MaskedArray === first instanceof MaskedArray;
      const same = array.dtype === first.dtype && String(array.shape.slice(1)) === String(first.shape.slice(1));
      if (masked && same) continue;
      throw new MmdError('CORRUPT', `'${chunk}' differs in dtype, row shape or mask from the first chunk`, {
        key: chunk,
      });
    }
    this.dtype = first.dtype;
    this.shape = [rows, ...first.shape.slice(1)];
  }

  /** The number of rows. */
  get length(): number {
    return this.shape[0]!;
  }

  /** A view of one row, masked if the chunks are. @throws MmdError INVALID_ARGUMENT */
  row(index: number): NDArray | MaskedArray {
    const at = index < 0 ? index + this.length : index;
    const chunk = this.chunks[this.#chunkOf(at)];
    if (chunk === undefined || !(at >= 0 && at < this.length)) {
      throw new MmdError('INVALID_ARGUMENT', `row ${index} is out of bounds for ${this.length} rows`, {
        found: index,
        maximum: this.length,
      });
    }
    return chunk.array.row(at - chunk.start);
  }

  /** The last chunk that begins at this row or before it, found by bisection: a series has thousands of chunks. */
  #chunkOf(row: number): number {
    let [low, high] = [0, this.chunks.length];
    while (high - low > 1) {
      const middle = (low + high) >>> 1;
      if (this.chunks[middle]!.start <= row) low = middle;
      else high = middle;
    }
    return low;
  }

  /** Rows `[start, end)`, masked if the chunks are: a view if they lie in one chunk, else a copy. */
  rows(start: number, end: number): NDArray | MaskedArray {
    const from = Math.min(this.length, Math.max(0, start));
    const to = Math.min(this.length, Math.max(from, end));
    const parts: (NDArray | MaskedArray)[] = [];
    for (let i = this.#chunkOf(from); i < this.chunks.length; i += 1) {
      const { array, start: first } = this.chunks[i]!;
      const size = array.shape[0]!;
      if (first >= to) break;
      if (first + size > from) parts.push(array.rows(Math.max(0, from - first), Math.min(size, to - first)));
    }
    if (parts.length === 1) return parts[0]!;
    const { array } = this.chunks[0]!;
    const shape = [to - from, ...this.shape.slice(1)];
    const data = joined(parts.map(dataOf), dataOf(array).type, shape);
    if (!(array instanceof MaskedArray)) return data;
    const masks = parts.map((part) => (part as MaskedArray).mask);
    return new MaskedArray(data, joined(masks, array.mask.type, shape), { fillValue: array.fillValue });
  }
}

function joined(parts: readonly NDArray[], type: DType, shape: readonly number[]): NDArray {
  const nbytes = shape.reduce((product, dim) => product * dim, type.itemsize);
  const all = NDArray.over(memoryOver(new Uint8Array(nbytes)), type, shape);
  let row = 0;
  for (const part of parts) {
    const count = part.shape[0]!;
    all.rows(row, row + count).set(part);
    row += count;
  }
  return all;
}

/**
 * Opens a {@link Series}.
 *
 * @throws MmdError NOT_FOUND, CORRUPT
 */
export function series(dict: MmapDict, key: string): Series {
  return new Series(dict, key);
}

function dataOf(array: NDArray | MaskedArray): NDArray {
  return array instanceof MaskedArray ? array.data : array;
}
