/**
 * How the prefix of a legacy array is changed into the upgraded one, and back, if a sector boundary runs through it: in steps that
 * each change one side of the boundary, and whose states all load as the array.
 *
 * @module
 */

import { ARRAY_SPELLINGS, type ArraySpelling } from './array-value.ts';
import { toSectorEnd } from './layout.ts';

/** Prefix and data opcode of a spelling. */
function spelled(name: ArraySpelling): Uint8Array {
  const { prefix, opcode } = ARRAY_SPELLINGS.find((row) => row.name === name)!;
  return Uint8Array.of(...prefix, opcode);
}

const LEGACY = spelled('legacy');
const UPGRADED = spelled('upgraded');

/** Size of what respelling changes: the prefix and the opcode of the data. */
export const RESPELLED_SIZE: number = LEGACY.length;

/** Position in the legacy prefix at which the first text ends and the second begins. */
const FIRST_TEXT_END = 24;
const POP = 0x30;
const NONE = 0x4e;
/** Positions at which the text `from...`, a function of numpy, begins in both spellings, at which it differs, and at which it ends. */
const NAME_START = 57;
const NAME_DIFFERS = 63;
const NAME_END = 69;

/**
 * The states from legacy to upgraded, both included; each differs from the one before on one side of the sector boundary only.
 *
 * @param border - number of bytes before the boundary
 * @returns `undefined` if there is no such sequence
 */
export function respellingStates(border: number): readonly Uint8Array[] | undefined {
  const join = (before: Uint8Array, after: Uint8Array): Uint8Array =>
    Uint8Array.of(...before.subarray(0, border), ...after.subarray(border));
  if (border <= 1 || border >= RESPELLED_SIZE) return [LEGACY, UPGRADED];
  if (border <= FIRST_TEXT_END) {
    // After the boundary, bytes that go with both beginnings: a text of 22 bytes, or one of 30 that contains the 8 after those.
    const both = UPGRADED.slice();
    both.set([POP, NONE, POP, NONE, POP, NONE, POP, NONE], FIRST_TEXT_END);
    return [LEGACY, join(LEGACY, both), join(UPGRADED, both), UPGRADED];
  }
  // What differs in the function's name, and the opcode that it needs, are on one side.
  if (border >= NAME_START && border <= NAME_DIFFERS) return [LEGACY, join(LEGACY, UPGRADED), UPGRADED];
  // The whole name is on one side: frombuffer takes either opcode.
  if (border >= NAME_END) return [LEGACY, join(UPGRADED, LEGACY), UPGRADED];
  return undefined;
}

/** A write inside one sector. */
export interface RespellingStep {
  readonly offset: number;
  readonly bytes: Uint8Array;
}

/**
 * The writes that respell the array whose prefix is at file offset `offset`.
 * @returns `undefined` if a torn write could leave neither spelling
 */
export function respellingSteps(offset: number, to: 'legacy' | 'upgraded'): readonly RespellingStep[] | undefined {
  const border = toSectorEnd(offset);
  const found = respellingStates(border);
  if (found === undefined) return undefined;
  const states = to === 'upgraded' ? found : [...found].reverse();
  // Each step writes a whole side, which fits either state of the other: after a crash it can be repeated from any state.
  const at = Math.min(border, RESPELLED_SIZE);
  return states.slice(1).map((state, i) => {
    const before = states[i]!;
    const first = state.subarray(0, at).some((byte, pos) => byte !== before[pos]);
    return first ? { offset, bytes: state.slice(0, at) } : { offset: offset + at, bytes: state.slice(at) };
  });
}

/** The bytes of a spelling, for a single write. */
export function respelled(to: 'legacy' | 'upgraded'): Uint8Array {
  return (to === 'upgraded' ? UPGRADED : LEGACY).slice();
}
