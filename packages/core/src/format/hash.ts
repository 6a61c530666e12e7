/**
 * The hash of keys: HalfSipHash-1-3 (J.-P. Aumasson, D. J. Bernstein), which distributes well even keys that an
 * attacker chose, since the seed is random.
 *
 * @module
 */

/**
 * A 32-bit hash of `bytes[start, end)`.
 * @param seed - both halves of SipHash's 64-bit key
 */
export function hashKey(bytes: Uint8Array, start: number, end: number, seed: number): number {
  let v0 = seed | 0;
  let v1 = seed | 0;
  let v2 = seed ^ 0x6c796765;
  let v3 = seed ^ 0x74656462;
  const length = end - start;
  const whole = end - (length & 3);
  let word = 0;
  let rounds = 1;
  for (let i = start; ; i += 4) {
    if (i < whole) word = bytes[i]! | (bytes[i + 1]! << 8) | (bytes[i + 2]! << 16) | (bytes[i + 3]! << 24);
    else if (i === whole) {
      word = length << 24;
      if ((length & 3) > 2) word |= bytes[i + 2]! << 16;
      if ((length & 3) > 1) word |= bytes[i + 1]! << 8;
      if ((length & 3) > 0) word |= bytes[i]!;
    } else {
      word = 0;
      v2 ^= 0xff;
      rounds = 3;
    }
    v3 ^= word;
    for (let round = rounds; round > 0; round--) {
      v0 = (v0 + v1) | 0;
      v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0;
      v0 = (v0 << 16) | (v0 >>> 16);
      v2 = (v2 + v3) | 0;
      v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2;
      v0 = (v0 + v3) | 0;
      v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0;
      v2 = (v2 + v1) | 0;
      v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2;
      v2 = (v2 << 16) | (v2 >>> 16);
    }
    v0 ^= word;
    if (rounds === 3) return (v1 ^ v3) >>> 0;
  }
}
