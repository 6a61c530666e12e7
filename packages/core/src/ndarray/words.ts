/**
 * Elements of any size as whole words, for loops that move them.
 *
 * @module
 */

/** A typed array whose items carry bytes as they are: a NaN's payload would not be sure to survive a float register. */
export type WordArrayConstructor = new (
  buffer: ArrayBufferLike,
  byteOffset: number,
  length: number,
) => Uint8Array | Uint16Array | Uint32Array;

/**
 * The longest words whose multiples all places and sizes are.
 *
 * @param bits - those places and sizes, joined by `|`, which keeps the low bits of numbers past 2^32 too
 */
export function wordsFor(bits: number): { readonly word: 1 | 2 | 4; readonly words: WordArrayConstructor } {
  if ((bits & 3) === 0) return { word: 4, words: Uint32Array };
  return (bits & 1) === 0 ? { word: 2, words: Uint16Array } : { word: 1, words: Uint8Array };
}
