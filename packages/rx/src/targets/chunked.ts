import { MaskedArray, type MmapDict, MmdError, NDArray, slice } from '@mmdpickle/core';
import { checkOptions, wrongArgument } from '@mmdpickle/core/options';
import { CHUNKED_OPTIONS } from '../options.ts';
import { frameKey } from './frames-target.ts';
import { appendTo, create, existing, type Growing, lastOf, type RowArray, type RowLayout } from './row-store.ts';

/**
 * A layout for {@link appendRows}: entries `<key>/000000000`, `<key>/000000001`, ... of `rows` rows each, of which the
 * last may still grow. Each is sealed when it is full. {@link series} reads them as one array.
 *
 * @throws MmdError INVALID_ARGUMENT
 *
 * @example
 * ```ts
 * import { range } from 'rxjs';
 * import { MmapDict } from '@mmdpickle/core/node';
 * import { appendRows, chunked, series } from '@mmdpickle/rx';
 *
 * using dict = MmapDict.open('chunked.mmdpickle');
 * range(0, 250).pipe(appendRows(dict, 'i', { dtype: 'int32', layout: chunked({ rows: 100 }) })).subscribe();
 * series(dict, 'i').rows(98, 102).toNested(); // [98, 99, 100, 101]
 * ```
 */
export function chunked(options: { readonly rows: number }): RowLayout {
  checkOptions(options, CHUNKED_OPTIONS);
  const { rows: perChunk } = options;
  if (perChunk === undefined) throw wrongArgument('rows', 'a whole number, 1 or more', perChunk);
  return (dict, key, spec) => {
    const chunkSpec = { ...spec, capacity: perChunk };
    /** Number of chunks known so far. */
    let count = -1;
    let array: Growing | undefined;
    /** Rows in all chunks but the last. */
    let done = 0;
    /** Rows in the last chunk, including those of this batch. */
    let filled = 0;
    /** `count` and `done` as of the last refresh: what a batch has appended since may be rolled back. */
    let seen = { count: 0, done: 0 };

    return {
      refresh() {
        const found = chunkCount(dict, key);
        if (found !== count) {
          refuseGap(dict, key, found);
          // Full chunks do not change: only the rows of the previous last chunk and of newer ones are read.
          const from = found < seen.count ? { count: 0, done: 0 } : seen;
          done = from.done;
          for (let i = Math.max(0, from.count - 1); i < found - 1; i += 1) done += rowsOf(dict, frameKey(`${key}/`, i));
          count = found;
          array = undefined;
        }
        seen = { count, done };
        filled = count === 0 ? 0 : rowsOf(dict, frameKey(`${key}/`, count - 1));
        return done + filled;
      },
      last() {
        for (const chunk of chunkKeys(dict, key).reverse()) {
          const last = lastOf(dict, chunk);
          if (last !== undefined) return last;
        }
        return undefined;
      },
      append(rows, total) {
        for (let start = 0; start < total; ) {
          if (count > 0) array ??= existing(dict, frameKey(`${key}/`, count - 1), chunkSpec);
          // A chunk that is a plain array, such as one that was set or imported, is not extended.
          if (array === undefined || filled >= perChunk) {
            array?.seal();
            array = create(dict, frameKey(`${key}/`, count++), chunkSpec);
            done += filled;
            filled = 0;
          }
          const part = Math.min(total - start, perChunk - filled);
          appendTo(array, part === total ? rows : rowsBetween(rows, start, start + part, total));
          filled += part;
          start += part;
        }
      },
      seal() {
        if (count > 0) existing(dict, frameKey(`${key}/`, count - 1), chunkSpec)?.seal();
        array = undefined;
      },
    };
  };
}

/** Refuses to append if a chunk is missing before later ones: new chunks would come before those, then replace them. */
function refuseGap(dict: MmapDict, key: string, missing: number): void {
  for (const name of dict.keys()) {
    if (!name.startsWith(`${key}/`)) continue;
    const digits = name.slice(key.length + 1);
    if (!/^\d{9,15}$/.test(digits) || Number(digits) < missing) continue;
    const gap = frameKey(`${key}/`, missing);
    throw new MmdError('NOT_FOUND', `'${gap}' is missing, but '${name}' exists: new rows would be out of order`, {
      key: gap,
    });
  }
}

/** A view of rows `[start, end)` of `total`. */
function rowsBetween(rows: RowArray, start: number, end: number, total: number): RowArray {
  if (rows instanceof NDArray || rows instanceof MaskedArray) return rows.slice(slice(start, end));
  const size = rows.length / total;
  return rows.subarray(start * size, end * size);
}

function rowsOf(dict: MmapDict, key: string): number {
  return dict.getMeta(key)?.shape?.[0] ?? 0;
}

/** The keys of a series' chunks, in order. */
export function chunkKeys(dict: MmapDict, key: string): string[] {
  return Array.from({ length: chunkCount(dict, key) }, (_, i) => frameKey(`${key}/`, i));
}

/** The number of chunks. They are numbered without gaps, so the first missing number is found by bisection. */
function chunkCount(dict: MmapDict, key: string): number {
  const has = (n: number): boolean => dict.has(frameKey(`${key}/`, n));
  if (!has(0)) return 0;
  let there = 0;
  let missing = 1;
  while (has(missing)) {
    there = missing;
    missing *= 2;
  }
  while (missing - there > 1) {
    const middle = Math.floor((there + missing) / 2);
    if (has(middle)) there = middle;
    else missing = middle;
  }
  return missing;
}
