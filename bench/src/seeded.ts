/** Test data that is the same on every run, on every machine, for every side. */

/** mulberry32: a 32-bit generator with one word of state; uniform enough for test data. */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

/** Incompressible bytes. `length` must be a multiple of 4. */
export function seededBytes(length: number, seed = 1): Uint8Array {
  const next = seeded(seed);
  const words = new Uint32Array(length / 4);
  for (let i = 0; i < words.length; i++) words[i] = next() * 4294967296;
  return new Uint8Array(words.buffer);
}

/** Numbers in [-1, 1). */
export function seededFloats(count: number, seed = 1): Float64Array {
  const next = seeded(seed);
  const values = new Float64Array(count);
  for (let i = 0; i < count; i++) values[i] = next() * 2 - 1;
  return values;
}

/** A sensor record of five fields, as the small-record cases store it. */
export interface SensorRecord {
  readonly seq: number;
  readonly time: number;
  readonly sensor: string;
  readonly value: number;
  readonly ok: boolean;
}

export function seededRecord(i: number): SensorRecord {
  return {
    seq: i,
    time: 1_700_000_000.25 + i * 0.05,
    sensor: `s${i % 40}`,
    value: ((i * 2654435761) % 1_000_003) / 1_000_003,
    ok: i % 7 !== 0,
  };
}

export function recordKey(i: number): string {
  return `rec/${String(i).padStart(7, '0')}`;
}

export function frameKey(i: number): string {
  return `frame/${String(i).padStart(6, '0')}`;
}
