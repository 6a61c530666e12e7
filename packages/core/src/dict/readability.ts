/**
 * Whether values can be read.
 *
 * @module
 */

import { isMmdError } from '../errors.ts';
import { BINBYTES8 } from '../format/array-value.ts';
import { opaqueHead } from '../format/filler.ts';
import type { DictCore } from './core.ts';
import type { EntryView } from './entry-view.ts';
import { growthCut } from './repair.ts';

/** Why what nobody asks for cannot be passed over. */
export function problemOfRemains(core: DictCore, view: EntryView): Error | undefined {
  // What was reclaimed, and what moves an array, may be larger than memory.
  const reader = view.reader();
  if (reader.accept(opaqueHead(view.length))) return undefined;
  if (view.length >= 9 && reader.u8() === BINBYTES8 && reader.u64() === view.length - 9) return undefined;
  const problem = problemOf(core, view);
  return isMmdError(problem, 'LIMIT_EXCEEDED') ? undefined : problem;
}

/** Why a value cannot be read; `undefined` where it can. */
export function problemOf(core: DictCore, view: EntryView): Error | undefined {
  try {
    const [codec, meta] = core.describe(view);
    if (meta.shape === undefined) codec.decode(view, meta);
    else growthCut(view.reader());
    return undefined;
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  }
}
