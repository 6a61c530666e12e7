/** The few statistics the tables need. All times are nanoseconds. */

/** The middle value, or the mean of the two middle ones. */
export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

/** The quantile `q` (0 to 1), interpolated linearly, as by numpy's default. */
export function quantile(values: readonly number[], q: number): number {
  if (values.length === 0) return Number.NaN;
  const sorted = [...values].sort((a, b) => a - b);
  const at = (sorted.length - 1) * q;
  const low = Math.floor(at);
  const lowValue = sorted[low] as number;
  const highValue = sorted[Math.ceil(at)] as number;
  return lowValue + (highValue - lowValue) * (at - low);
}

/** The summary of a set of rounds. */
export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

export function spread(values: readonly number[]): Spread {
  return { median: median(values), min: quantile(values, 0), max: quantile(values, 1) };
}

/**
 * The speed of `ours` relative to `peer`, round by round: 2 means half the time. Rounds are paired, so that
 * another process that loads the machine for a second affects both.
 */
export function speedRatio(ours: readonly number[], peer: readonly number[]): Spread {
  const pairs = Math.min(ours.length, peer.length);
  const ratios: number[] = [];
  for (let round = 0; round < pairs; round++) ratios.push((peer[round] as number) / (ours[round] as number));
  return spread(ratios);
}

/**
 * The same from the fastest round of each side: the best estimate when others load the machine all the time.
 */
export function bestRatio(ours: readonly number[], peer: readonly number[]): number {
  return quantile(peer, 0) / quantile(ours, 0);
}

/**
 * The exponent b of time = a * n^b, by least squares over the logarithms: 1 means linear, 0 means constant.
 */
export function growthExponent(points: readonly (readonly [n: number, ns: number])[]): number {
  const logs = points.map(([n, ns]) => [Math.log(n), Math.log(ns)] as const);
  const meanX = logs.reduce((sum, [x]) => sum + x, 0) / logs.length;
  const meanY = logs.reduce((sum, [, y]) => sum + y, 0) / logs.length;
  let covariance = 0;
  let variance = 0;
  for (const [x, y] of logs) {
    covariance += (x - meanX) * (y - meanY);
    variance += (x - meanX) ** 2;
  }
  return covariance / variance;
}
