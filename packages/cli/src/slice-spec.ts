import { ellipsis, MmdError, newAxis, type SliceSpec, slice } from '@mmdpickle/core';

/**
 * Parses numpy's slicing notation, `0:10,:,3` or `::-1,...`: numbers select an index, ranges cut, `:` keeps all, `None` adds an axis.
 *
 * @throws MmdError INVALID_ARGUMENT, naming the invalid part
 */
export function parseSliceSpec(text: string): SliceSpec[] {
  return text.split(',').map((part) => {
    const trimmed = part.trim();
    if (trimmed === ':') return null;
    if (trimmed === 'None') return newAxis;
    if (trimmed === '...') return ellipsis;
    if (/^[+-]?\d+$/.test(trimmed)) return Number(trimmed);
    const range = /^([+-]?\d+)?:([+-]?\d+)?(?::([+-]?\d+)?)?$/.exec(trimmed);
    if (range === null) {
      throw new MmdError('INVALID_ARGUMENT', `expected N, START:STOP:STEP, ':', '...' or None, found '${part}'`, {
        found: part,
      });
    }
    const [start, stop, step] = range.slice(1).map((digits) => (digits === undefined ? null : clamped(Number(digits))));
    return slice(start, stop, step);
  });
}

/** Clamps to the longest possible axis: as in numpy, `0:9223372036854775807` is the whole axis. */
function clamped(place: number): number {
  return Math.min(Number.MAX_SAFE_INTEGER, Math.max(-Number.MAX_SAFE_INTEGER, place));
}
