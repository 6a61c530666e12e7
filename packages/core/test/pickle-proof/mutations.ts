/**
 * Seeded damage: the same seed gives the same mutants on every machine.
 *
 * @module
 */

/** A generator of numbers in [0, limit), from a seed (mulberry32). */
export function seeded(seed: number): (limit: number) => number {
  let state = seed >>> 0;
  return (limit) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % limit;
  };
}

/** A seed from a name. */
export function seedOf(name: string): number {
  let hash = 0x811c9dc5;
  for (const character of name) hash = Math.imul(hash ^ character.charCodeAt(0), 0x01000193);
  return hash >>> 0;
}

/** The most significant byte values in a pickle: lengths, signs, and opcodes that use the stack. */
const TELLING = [0, 1, 0x7f, 0x80, 0xff, 0x28, 0x2e, 0x30, 0x52, 0x62, 0x74, 0x81, 0x86, 0x94, 0x95];

/** A damaged copy: one to four flips, insertions, deletions, overwrites, moves, or a splice with `other`. */
export function mutate(bytes: Uint8Array, other: Uint8Array, draw: (limit: number) => number): Uint8Array {
  let made = [...bytes];
  for (let i = draw(4); i >= 0; i--) {
    const at = draw(made.length + 1);
    const length = 1 + draw(8);
    switch (draw(7)) {
      case 0:
        if (at < made.length) made[at] = (made[at] as number) ^ (1 << draw(8));
        break;
      case 1:
        if (at < made.length) made[at] = draw(2) === 0 ? draw(256) : (TELLING[draw(TELLING.length)] as number);
        break;
      case 2:
        made.splice(at, 0, draw(2) === 0 ? draw(256) : (TELLING[draw(TELLING.length)] as number));
        break;
      case 3:
        made.splice(at, length);
        break;
      case 4:
        made.splice(at, 0, ...made.slice(draw(made.length + 1)).slice(0, length));
        break;
      case 5:
        made.splice(at, 0, ...other.subarray(draw(other.length)).subarray(0, 4 * length));
        break;
      default:
        made = [...made.slice(0, at), ...other.subarray(draw(other.length))];
    }
  }
  return Uint8Array.from(made);
}
