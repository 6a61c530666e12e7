/** The tasks of {@link work}: each takes and returns plain data, and leaves nothing behind when it is stopped. @module */

import { rmSync } from 'node:fs';
import { convert, MmapDict, type ProgressOptions, type SalvageResult, salvage } from '@mmdpickle/core/node';
import type { LoadOptions } from '@mmdpickle/core/pickle';
import { type AnyArray, requireArray } from './arrays.ts';
import { changeDict, countArrays, openIfDict, requireKeys } from './dicts.ts';

type Layout = 'modern' | 'legacy';

interface FromTo {
  /** The file to read. */
  readonly path: string;
  readonly target: string;
}

/** The tasks by name. */
export const TASKS = {
  /** Copies keys into another file; all keys if the list is empty. */
  async copy(
    { path, target, keys }: FromTo & { readonly keys: readonly string[] },
    options: ProgressOptions,
  ): Promise<string[]> {
    using source = MmapDict.open(path, { mode: 'r' });
    requireKeys(source, path, keys);
    const wanted = keys.length > 0 ? [...new Set(keys)] : [...source.keys()];
    await changeDict(target, (dict) => source.copy(wanted, dict, options));
    return wanted;
  },

  move(
    { path, from, to }: { readonly path: string; readonly from: string; readonly to: string },
    options: ProgressOptions,
  ): void {
    using dict = MmapDict.open(path, { mode: 'r+' });
    requireKeys(dict, path, [from]);
    dict.rename(from, to, options);
  },

  /** Returns the size of the file before and after. */
  vacuum(
    { path, inPlace }: { readonly path: string; readonly inPlace: boolean },
    options: ProgressOptions,
  ): { readonly before: number; readonly after: number } {
    using dict = MmapDict.open(path, { mode: 'r+' });
    const before = dict.fileSize;
    dict.vacuum({ inPlace, ...options });
    return { before, after: dict.fileSize };
  },

  salvage: ({ path, target }: FromTo, options: ProgressOptions): SalvageResult => salvage(path, target, options),

  /** Returns the end of the pickle if the source is an ordinary one, and how many keys and arrays the target holds. */
  convert(
    {
      path,
      target,
      layout,
      encoding,
    }: FromTo & { readonly layout: Layout; readonly encoding: LoadOptions['encoding'] },
    options: ProgressOptions,
  ): { readonly end: number | undefined; readonly keys: number; readonly arrays: number } {
    using from = openIfDict(path);
    let end: number | undefined;
    if (from === undefined) end = convert(path, target, { dict: { layout }, encoding, ...options }).end;
    else copyTo(from, target, layout, options);
    using written = MmapDict.open(target, { mode: 'r' });
    return { end, keys: written.size, arrays: countArrays(written) };
  },
} as const;

/** Rewrites the arrays; everything else is copied byte for byte. */
function copyTo(from: MmapDict, target: string, layout: Layout, options: ProgressOptions): void {
  const to = MmapDict.open(target, { mode: 'w-' });
  try {
    rewrite(from, to, layout, options);
    to.close();
  } catch (error) {
    rmSync(target);
    to.close();
    throw error;
  }
}

function rewrite(from: MmapDict, to: MmapDict, layout: Layout, { signal, onProgress }: ProgressOptions): void {
  const total = from.size;
  let done = 0;
  to.batch(() => {
    for (const key of from.keys()) {
      const meta = from.getMeta(key);
      if (meta?.dtype === undefined) from.copy([key], to, { signal });
      else
        to.set(key, meta.capacity === undefined || layout === 'modern' ? from.get(key) : fixed(from, key), { layout });
      signal?.throwIfAborted();
      done += 1;
      onProgress?.({ done, total });
    }
  });
}

/** A growable array as one of fixed size: the legacy layout has no other. */
function fixed(from: MmapDict, key: string): AnyArray {
  const array = requireArray(from.get(key), key, 'convert');
  return array.rows(0, array.shape[0] ?? 0) as AnyArray;
}
