/**
 * Whether values can be read.
 *
 * @module
 */

import { failedToRead, isMmdError, type MmdError } from '../errors.ts';
import { BINBYTES8 } from '../format/array-value.ts';
import { opaqueHead } from '../format/filler.ts';
import type { DictCore } from './core.ts';
import type { EntryView } from './entry-view.ts';
import { growthCut } from './repair.ts';

/** What keeps a value from being read, if anything does. */
export interface Hindrance {
  /** It cannot be read. */
  readonly problem?: Error | undefined;
  /** It can, but something in it is unknown: only Python can tell whether it loads. */
  readonly opaque?: MmdError | undefined;
}

const NONE: Hindrance = {};

/**
 * What keeps a live value from being read.
 * @param strict - of {@link DictCore.strictView}
 * @throws as {@link problemOf}
 */
export function hindranceOf(core: DictCore, strict: EntryView): Hindrance {
  const problem = problemOf(core, strict);
  if (!isMmdError(problem, 'FORBIDDEN_GLOBAL')) return problem === undefined ? NONE : { problem };
  const other = problemOf(core, core.view(strict.key, strict.place));
  return other === undefined ? { opaque: problem } : { problem: other };
}

/** Like {@link hindranceOf}, for entries that are not used, and that Python passes over. */
export function hindranceOfRemains(core: DictCore, strict: EntryView): Hindrance {
  // Reclaimed values, and fillers before arrays, may be larger than memory.
  const { length } = strict;
  const reader = strict.reader();
  if (reader.accept(opaqueHead(length))) return NONE;
  if (length >= 9 && reader.u8() === BINBYTES8 && reader.u64() === length - 9) return NONE;
  const found = hindranceOf(core, strict);
  return isMmdError(found.problem, 'LIMIT_EXCEEDED') ? NONE : found;
}

/** Why a value cannot be read; `undefined` if it can. @throws the error of a failed system call, which is no property of the value */
export function problemOf(core: DictCore, view: EntryView): Error | undefined {
  try {
    const [codec, meta] = core.describe(view);
    if (meta.shape === undefined) codec.decode(view, meta);
    else growthCut(view.reader());
    return undefined;
  } catch (error) {
    if (failedToRead(error)) throw error;
    return error instanceof Error ? error : new Error(String(error));
  }
}
