/**
 * Switches legacy arrays between the spelling that mmappickle 1.0 maps and the one that every numpy loads, in place.
 *
 * @module
 */

import { type ParsedArray, parseArray } from '../format/array-value.ts';
import type { EncodedValue, ValuePart } from '../format/encoded-value.ts';
import { PAGE_ALIGNMENT } from '../format/layout.ts';
import { parseMasked } from '../format/masked-value.ts';
import { RESPELLED_SIZE, type RespellingStep, respelled, respellingSteps } from '../format/respelling.ts';
import type { DictCore } from './core.ts';
import type { EntryView } from './entry-view.ts';
import { rawValue, type StoredBody } from './raw-value.ts';

/**
 * Rewrites the prefix of every array spelled `from`; the data stays in place, except for the few arrays whose prefix crosses a boundary at
 * which a crash could tear it: they are appended anew. Returns how many there were.
 */
export function respell(core: DictCore, from: 'legacy' | 'upgraded', to: 'legacy' | 'upgraded'): number {
  let count = 0;
  core.transact(() => {
    core.settled();
    const inPlace: (readonly RespellingStep[])[] = [];
    for (const key of core.store.entries.catalog.keys()) {
      const view = core.find(key);
      if (view === undefined) continue;
      const masked = parseMasked(view.reader());
      const found: (ParsedArray | undefined)[] =
        masked === undefined ? [parseArray(view.reader())] : [masked.data, masked.mask];
      const positions = found.filter((array) => array?.spelling === from).map((array) => array!.prefixPos);
      if (positions.length === 0) continue;
      count += positions.length;
      const plans = positions.map((pos) => stepsFor(core, view.offset + pos, to));
      if (plans.includes(undefined)) core.put(key, respelledValue(view, positions, to));
      else inPlace.push(...(plans as (readonly RespellingStep[])[]));
    }
    // Every array's first step, then every array's second: the number of flushes is then that of the steps of one array.
    const rounds = Math.max(0, ...new Set(inPlace.map((steps) => steps.length)));
    for (let round = 0; round < rounds; round++) {
      if (round > 0) core.writer.barrier();
      for (const steps of inPlace) {
        const step = steps[round];
        if (step !== undefined) core.writer.overwrite(step.offset, step.bytes);
      }
    }
  });
  return count;
}

/** A power loss can tear a write at every sector boundary, a kill only at pages. */
function stepsFor(core: DictCore, offset: number, to: 'legacy' | 'upgraded'): readonly RespellingStep[] | undefined {
  const steps = respellingSteps(offset, to);
  if (steps !== undefined || core.store.durable) return steps;
  const inPage = (offset % PAGE_ALIGNMENT) + RESPELLED_SIZE <= PAGE_ALIGNMENT;
  return inPage ? [{ offset, bytes: respelled(to) }] : undefined;
}

/** The value with other prefixes, for a new entry. */
function respelledValue(view: EntryView, positions: readonly number[], to: 'legacy' | 'upgraded'): EncodedValue {
  const stored = (start: number, end: number): StoredBody => {
    return { body: true, nbytes: end - start, from: view.file, fromOffset: view.offset + start };
  };
  const parts: ValuePart[] = [];
  let pos = 0;
  for (const at of positions) {
    if (at > pos) parts.push(stored(pos, at));
    parts.push(respelled(to));
    pos = at + RESPELLED_SIZE;
  }
  parts.push(stored(pos, view.length));
  return { ...rawValue(view), place: () => parts };
}
