/**
 * Byte order.
 *
 * @module
 */

/** Reverses the bytes of every word. */
export function swapInPlace(bytes: Uint8Array, word: number): void {
  if (word === 2 || word === 4 || word === 8) {
    swapWords(bytes, word);
    return;
  }
  for (let at = 0; at < bytes.length; at += word) bytes.subarray(at, at + word).reverse();
}

function swapWords(bytes: Uint8Array, word: 2 | 4 | 8): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  if (word === 2) {
    for (let at = 0; at < bytes.length; at += 2) view.setUint16(at, view.getUint16(at, true), false);
  } else if (word === 4) {
    for (let at = 0; at < bytes.length; at += 4) view.setUint32(at, view.getUint32(at, true), false);
  } else {
    for (let at = 0; at < bytes.length; at += 8) {
      const low = view.getUint32(at, true);
      view.setUint32(at, view.getUint32(at + 4, true), false);
      view.setUint32(at + 4, low, false);
    }
  }
}
