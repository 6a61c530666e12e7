/**
 * Selects elements by a mask, as bytes.
 *
 * @module
 */

import { wordsFor } from './words.ts';

/**
 * Copies the elements whose mask is 0, without gaps. Every element is stored, and a masked one is overwritten by the next: a
 * branch on an unpredictable mask would cost more than the store.
 *
 * @param from - packed elements
 * @param mask - one byte per element
 * @param to - has room for the elements that are not masked
 * @param at - the index of the first free element of `to`
 * @returns the index of the first element of `to` that is still free
 */
export function keepVisible(from: Uint8Array, mask: Uint8Array, itemsize: number, to: Uint8Array, at: number): number {
  const { word, words } = wordsFor(itemsize | from.byteOffset | to.byteOffset);
  const source = new words(from.buffer, from.byteOffset, from.length / word);
  const target = new words(to.buffer, to.byteOffset, to.length / word);
  const each = itemsize / word;
  let free = at * each;
  if (each === 1) {
    for (let i = 0; i < mask.length; i += 1) {
      target[free] = source[i] as number;
      free += mask[i] === 0 ? 1 : 0;
    }
  } else if (each === 2) {
    for (let i = 0; i < mask.length; i += 1) {
      target[free] = source[2 * i] as number;
      target[free + 1] = source[2 * i + 1] as number;
      free += mask[i] === 0 ? 2 : 0;
    }
  } else {
    for (let i = 0; i < mask.length; i += 1) {
      for (let b = 0; b < each; b += 1) target[free + b] = source[each * i + b] as number;
      free += mask[i] === 0 ? each : 0;
    }
  }
  return free / each;
}
