/**
 * The units of times as numpy writes and reads them: `'ns'`, `'25s'`, and fractions, `'s/2'`.
 *
 * @module
 */

import type { DType } from './dtype.ts';
import { TIME_UNITS } from './dtypes.ts';

/** Numbers are as C parses them: spaces and a plus sign may precede them. */
const UNIT = /^(?:[ \t\n\v\f\r]*\+?0*([0-9]{1,10}))?([A-Za-z]{1,2})(?:\/[ \t\n\v\f\r]*\+?0*([0-9]{1,10}))?$/;

const MAX_COUNT = 2 ** 31 - 1;

/** The shorter units that numpy tries in turn for a fraction of a unit; seconds and shorter units go by thousands. */
const PARTS: { readonly [base: string]: readonly string[] } = {
  Y: ['12M', '52W', '365D'],
  M: ['4W', '30D', '720h'],
  W: ['7D', '168h', '10080m'],
  D: ['24h', '1440m', '86400s'],
  h: ['60m', '3600s'],
  m: ['60s', '60000ms'],
};

function partsOf(base: string): readonly string[] {
  const at = (TIME_UNITS as readonly string[]).indexOf(base);
  return PARTS[base] ?? TIME_UNITS.slice(at + 1, at + 3).map((unit, i) => `${1000 ** (i + 1)}${unit}`);
}

/**
 * Parses the unit of a time type.
 *
 * @param text - the text in the brackets
 * @returns `undefined` for text that numpy does not accept, and for counts out of range
 */
export function unitOf(text: string): DType['unit'] {
  const [, digits = '1', base = '', divisor = '1'] = UNIT.exec(text.replace('μs', 'us')) ?? [];
  if (!TIME_UNITS.some((unit) => unit === base)) return undefined;
  const by = Number(divisor);
  const part = by === 1 ? `1${base}` : partsOf(base).find((each) => Number.parseInt(each, 10) % by === 0);
  if (part === undefined) return undefined;
  const count = (Number.parseInt(part, 10) / by) * Number(digits);
  return count < 1 || count > MAX_COUNT ? undefined : Object.freeze({ base: part.replace(/[0-9]+/, ''), count });
}
