/** Turns measured rounds into tables and verdicts. */

import type { BenchCase, Goal } from './case.ts';
import { PEERS } from './peers.ts';
import type { CaseResult, LaneResult } from './runner.ts';
import { bestRatio, growthExponent, median, type Spread, speedRatio, spread } from './stats.ts';
import { digits, formatBytes, formatRate, formatTime, renderTable } from './table.ts';

/** Metrics that count things that must not happen: reported for the worst round, not the median. */
const WORST_COUNTS: ReadonlySet<string> = new Set(['lost', 'missed']);

export interface GoalResult {
  readonly case: string;
  readonly side: string;
  /** The peer, or the metric's name, and the size. */
  readonly beside: string;
  readonly value: Spread;
  /** For goals about a peer: the ratio of the fastest rounds, and of the lowest processor times. */
  readonly best?: number;
  readonly cpu?: number;
  readonly goal: string;
  readonly verdict: 'met' | 'short' | 'not measured';
}

/** The metrics of a lane: those reported by its rounds, and those that every lane has. */
export function metricsOf(lane: LaneResult): Map<string, Spread> {
  const metrics = new Map<string, Spread>();
  metrics.set('ms', scale(spread(lane.rounds.map(({ ns }) => ns)), 1e-6));
  metrics.set('peakMiB', { median: lane.peakRss / 2 ** 20, min: lane.peakRss / 2 ** 20, max: lane.peakRss / 2 ** 20 });
  for (const name of Object.keys(lane.rounds[0]?.metrics ?? {})) {
    const values = lane.rounds.map(({ metrics: found }) => found?.[name] ?? Number.NaN);
    const over = spread(values);
    metrics.set(name, WORST_COUNTS.has(name) ? { ...over, median: over.max } : over);
  }
  return metrics;
}

/** The growth exponent of each side, for cases with sizes. */
export function exponentsOf(result: CaseResult): Map<string, number> {
  const bySide = new Map<string, [number, number][]>();
  for (const { side, size, rounds, state } of result.lanes) {
    if (size === undefined || state !== 'measured') continue;
    bySide.set(side, [...(bySide.get(side) ?? []), [size, median(rounds.map(({ ns }) => ns))]]);
  }
  const exponents = new Map<string, number>();
  for (const [side, points] of bySide) if (points.length > 1) exponents.set(side, growthExponent(points));
  return exponents;
}

/** The result of each goal of a case; a goal other than an exponent is checked at every size. */
export function goalsOf(benchCase: BenchCase, result: CaseResult): GoalResult[] {
  return benchCase.goals.flatMap((goal) => {
    const side = goal.side ?? 'ours';
    const base = { case: result.name, side, goal: describeGoal(goal) };
    const none = { median: Number.NaN, min: Number.NaN, max: Number.NaN };
    const lanes = result.lanes.filter((lane) => lane.side === side);
    if (goal.metric === 'exponent') {
      const value = exponentsOf(result).get(side);
      const over = value === undefined ? none : { median: value, min: value, max: value };
      return [{ ...base, beside: 'exponent', value: over, verdict: verdict(goal, over.median) }];
    }
    return lanes.map((lane): GoalResult => {
      const at = lane.size === undefined ? '' : ` at ${lane.size}`;
      if (goal.metric !== undefined) {
        const value = (lane.rounds.length > 0 ? metricsOf(lane).get(goal.metric) : undefined) ?? none;
        return { ...base, beside: `${goal.metric}${at}`, value, verdict: verdict(goal, value.median) };
      }
      const peer = result.lanes.find((other) => other.side === goal.peer && other.size === lane.size);
      const value = peer === undefined ? none : ratioOf(lane, peer);
      const best = peer === undefined ? Number.NaN : bestRatio(timesOf(lane), timesOf(peer));
      const cpu = peer === undefined ? Number.NaN : bestRatio(cpuOf(lane), cpuOf(peer));
      return { ...base, beside: `${goal.peer}${at}`, value, best, cpu, verdict: verdict(goal, value.median) };
    });
  });
}

function ratioOf(ours: LaneResult, peer: LaneResult): Spread {
  return speedRatio(timesOf(ours), timesOf(peer));
}

function timesOf({ rounds }: LaneResult): number[] {
  return rounds.map(({ ns }) => ns);
}

function cpuOf({ rounds }: LaneResult): number[] {
  return rounds.map(({ cpuNs }) => cpuNs ?? Number.NaN);
}

function verdict(goal: Goal, value: number): GoalResult['verdict'] {
  if (!Number.isFinite(value)) return 'not measured';
  const enough = goal.atLeast === undefined || value >= goal.atLeast;
  const little = goal.atMost === undefined || value <= goal.atMost;
  return enough && little ? 'met' : 'short';
}

function describeGoal({ atLeast, atMost }: Goal): string {
  return atLeast !== undefined ? `>= ${atLeast}` : `<= ${atMost}`;
}

function scale({ median: middle, min, max }: Spread, by: number): Spread {
  return { median: middle * by, min: min * by, max: max * by };
}

/** `1.04 (0.98-1.11)` */
export function formatSpread({ median: middle, min, max }: Spread): string {
  if (!Number.isFinite(middle)) return '-';
  return min === max ? digits(middle) : `${digits(middle)} (${digits(min)}-${digits(max)})`;
}

export function caseTable(benchCase: BenchCase, result: CaseResult): string {
  const rows = result.lanes.map((lane) => laneRow(benchCase, result, lane));
  const table = renderTable(
    [
      '  side',
      'median ',
      'min ',
      'max ',
      'rate ',
      'peak RSS ',
      'ours is x times as fast',
      'fastest rounds ',
      'CPU ',
      'other figures',
    ],
    rows,
  );
  const exponents = [...exponentsOf(result)].map(([side, exponent]) => `${side} n^${exponent.toFixed(2)}`);
  const growth = exponents.length === 0 ? '' : `\n  growth: ${exponents.join(', ')}`;
  const absent = result.lanes
    .filter(({ state }) => state !== 'measured')
    .map((lane) => `\n  ${absence(lane)}`)
    .join('');
  const params = Object.entries(result.params).map(([name, value]) => `${name} ${value}`);
  return `${result.name}: ${benchCase.about} (${params.join(', ')})\n${table}${growth}${absent}`;
}

/** Why a lane was not measured, and what to do about it. */
export function absence({ side, size, state, reason }: LaneResult): string {
  const remedy = state === 'missing' ? PEERS[side]?.remedy : undefined;
  const text = (reason ?? '').trim().split('\n').slice(0, 3).join(' | ');
  const what = `${side}${size === undefined ? '' : ` at ${size}`} ${state === 'beyond' ? 'not run' : state}`;
  return `${what}: ${text}${remedy === undefined ? '' : ` (remedy: ${remedy})`}`;
}

function laneRow(benchCase: BenchCase, result: CaseResult, lane: LaneResult): string[] {
  const label = `  ${lane.side}${lane.size === undefined ? '' : ` at ${lane.size}`}`;
  if (lane.state !== 'measured' || lane.rounds.length === 0) {
    return [label, '-', '-', '-', '-', '-', lane.state === 'beyond' ? 'not run' : lane.state];
  }
  const time = spread(lane.rounds.map(({ ns }) => ns));
  const { count, unit, bytes } = benchCase.work(lane.params);
  const rates = [`${formatRate(count / (time.median / 1e9))} ${unit}`];
  if (bytes !== undefined) rates.push(`${formatBytes(bytes / (time.median / 1e9))}/s`);
  const ours = result.lanes.find((other) => other.side === benchCase.sides[0] && other.size === lane.size);
  const figures = [...metricsOf(lane)]
    .filter(([name]) => name !== 'ms' && name !== 'peakMiB')
    .map(([name, value]) => `${name} ${digits(value.median)}`);
  return [
    label,
    formatTime(time.median),
    formatTime(time.min),
    formatTime(time.max),
    rates.join(', '),
    formatBytes(lane.peakRss),
    ...(ours === undefined || ours === lane || ours.state !== 'measured'
      ? ['', '', '']
      : [
          formatSpread(ratioOf(ours, lane)),
          digits(bestRatio(timesOf(ours), timesOf(lane))),
          digits(bestRatio(cpuOf(ours), cpuOf(lane))),
        ]),
    figures.join(', '),
  ];
}

export function goalTable(goals: readonly GoalResult[]): string {
  return renderTable(
    ['case', 'side', 'beside', 'reached (min-max)', 'fastest rounds ', 'CPU ', 'goal', 'verdict'],
    goals.map((goal) => [
      goal.case,
      goal.side,
      goal.beside,
      formatSpread(goal.value),
      goal.best === undefined ? '' : digits(goal.best),
      goal.cpu === undefined ? '' : digits(goal.cpu),
      goal.goal,
      goal.verdict,
    ]),
  );
}
