/** The application that the browser test bundles: it opens a file from a Blob. @module */

import { blobSource, DictLookup, DictReader, httpSource, NDArray } from '@mmdpickle/core';
import { dump, load } from '@mmdpickle/core/pickle';

/** A file's keys, with dtype and shape where the value is an array. */
export async function summarize(
  blob: Blob,
): Promise<Record<string, unknown> & { size: number; float64: unknown; roundTrip: unknown }> {
  const reader = await DictReader.open(blobSource(blob, 'picked file'));
  const entries: Record<string, unknown> = {};
  for (const key of reader.keys()) {
    const value = await reader.get(key);
    entries[key] =
      value instanceof NDArray
        ? { dtype: value.dtype, shape: [...value.shape], first: String(value.slice(0)) }
        : String(value);
  }
  return { ...entries, float64: entries.float64, size: reader.size, roundTrip: load(dump([1, 'two', null])) };
}

/** The distinct elements of all arrays in a served file, read one after the other, and those of every tenth again by its key. */
export async function elements(url: string): Promise<unknown[]> {
  const reader = await DictReader.open(httpSource(url));
  const lookup = await DictLookup.open(httpSource(url));
  const seen = new Set<unknown>();
  let position = 0;
  for await (const [key, array] of reader.entries())
    for (const found of position++ % 10 === 0 ? [array, await lookup.get(key)] : [array])
      for (const value of (found as NDArray).toNested() as unknown[]) seen.add(value);
  return [...seen];
}
