/**
 * Elements of any size as whole words, for loops that move them.
 *
 * @module
 */

/** A typed array whose items preserve all bytes: a NaN's payload might not survive a float register. */
export type WordArrayConstructor = new (
  buffer: ArrayBufferLike,
  byteOffset: number,
  length: number,
) => Uint8Array | Uint16Array | Uint32Array;

/**
 * The longest words that all given positions and sizes are multiples of.
 *
 * @param bits - the positions and sizes, joined by `|`, which keeps the low bits of numbers beyond 2^32 too
 */
export function wordsFor(bits: number): { readonly word: 1 | 2 | 4; readonly words: WordArrayConstructor } {
  if ((bits & 3) === 0) return { word: 4, words: Uint32Array };
  return (bits & 1) === 0 ? { word: 2, words: Uint16Array } : { word: 1, words: Uint8Array };
}
