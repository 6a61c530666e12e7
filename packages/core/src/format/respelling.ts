/**
 * How the prefix of a legacy array becomes the upgraded one, and back, where a sector's border runs through it: in steps that
 * each change one side of the border, and that numpy loads one and all.
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

/** Bytes that respelling changes: the prefix and the opcode of the data. */
export const RESPELLED_SIZE: number = LEGACY.length;

/** Where in the legacy prefix its first text ends, and the second begins. */
const FIRST_TEXT_END = 24;
const POP = 0x30;
const NONE = 0x4e;
/** Where both spellings name a function of numpy, `from...`, and where its name is over. */
const NAME_START = 57;
const NAME_DIFFERS = 63;
const NAME_END = 69;

/**
 * The states from legacy to upgraded, first and last among them; two that follow one another differ on one side of the border only.
 *
 * @param border - how many bytes stand before the border
 * @returns `undefined` where there is no such way
 */
export function respellingStates(border: number): readonly Uint8Array[] | undefined {
  const join = (before: Uint8Array, after: Uint8Array): Uint8Array =>
    Uint8Array.of(...before.subarray(0, border), ...after.subarray(border));
  if (border <= 1 || border >= RESPELLED_SIZE) return [LEGACY, UPGRADED];
  if (border <= FIRST_TEXT_END) {
    // Behind the border a spelling that goes with both beginnings: a text of 22 bytes, or one of 30 that swallows what follows 22.
    const both = UPGRADED.slice();
    both.set([POP, NONE, POP, NONE, POP, NONE, POP, NONE], FIRST_TEXT_END);
    return [LEGACY, join(LEGACY, both), join(UPGRADED, both), UPGRADED];
  }
  // The name of the function, and the opcode that it needs, lie on one side.
  if (border >= NAME_START && border <= NAME_DIFFERS) return [LEGACY, join(LEGACY, UPGRADED), UPGRADED];
  if (border >= NAME_END) return [LEGACY, join(UPGRADED, LEGACY), UPGRADED];
  return undefined;
}

/** A write inside one sector. */
export interface RespellingStep {
  readonly offset: number;
  readonly bytes: Uint8Array;
}

/**
 * The writes that respell the array whose prefix stands at file offset `offset`.
 * @returns `undefined` where a torn write would leave neither spelling
 */
export function respellingSteps(offset: number, to: 'legacy' | 'upgraded'): readonly RespellingStep[] | undefined {
  const border = toSectorEnd(offset);
  const found = respellingStates(border);
  if (found === undefined) return undefined;
  const states = to === 'upgraded' ? found : [...found].reverse();
  // The whole side: it then fits to either state of the other, whichever the step is repeated from after a crash.
  const at = Math.min(border, RESPELLED_SIZE);
  return states.slice(1).map((state, i) => {
    const before = states[i]!;
    const first = state.subarray(0, at).some((byte, pos) => byte !== before[pos]);
    return first ? { offset, bytes: state.slice(0, at) } : { offset: offset + at, bytes: state.slice(at) };
  });
}

/** The bytes of a spelling: what a single write puts there. */
export function respelled(to: 'legacy' | 'upgraded'): Uint8Array {
  return (to === 'upgraded' ? UPGRADED : LEGACY).slice();
}
