/** Runs one case: every lane in a process of its own, with rounds interleaved and never at the same time. */

import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { BenchCase, Params, Round, SideContext } from './case.ts';
import { PEERS } from './peers.ts';
import type { Answer } from './protocol.ts';
import { SideProcess } from './side-process.ts';

/** How long a case may take. */
export interface Budget {
  readonly minRounds: number;
  readonly maxRounds: number;
  /** No further round starts after this, once the minimum number is done. */
  readonly seconds: number;
  /** Write a `.cpuprofile` of our sides into this directory. */
  readonly profileDir?: string;
}

export const FULL: Budget = { minRounds: 5, maxRounds: 25, seconds: 20 };
export const QUICK: Budget = { minRounds: 2, maxRounds: 9, seconds: 0.5 };

export type LaneState = 'measured' | 'missing' | 'failed' | 'beyond';

/** One side, at one size if the case has several. */
export interface LaneResult {
  readonly side: string;
  readonly size?: number;
  readonly params: Params;
  readonly state: LaneState;
  /** Why it was not measured. */
  readonly reason?: string;
  readonly rounds: readonly Round[];
  readonly peakRss: number;
}

export interface CaseResult {
  readonly name: string;
  readonly about: string;
  /** The params used: `--quick` makes some of them smaller. */
  readonly params: Params;
  readonly lanes: readonly LaneResult[];
}

interface Lane {
  readonly side: string;
  readonly size?: number;
  readonly params: Params;
  readonly context: SideContext;
  process?: SideProcess;
  state: LaneState;
  reason?: string;
  rounds: Round[];
  peakRss: number;
}

/** The case's params in this mode. */
export function paramsOf(benchCase: BenchCase, quick: boolean): Params {
  return quick && benchCase.quick !== false ? { ...benchCase.params, ...benchCase.quick } : benchCase.params;
}

/**
 * Runs a case.
 * @param dir - an existing directory on the filesystem to measure; what the case writes there is removed afterwards
 */
export async function runCase(benchCase: BenchCase, dir: string, quick: boolean, budget: Budget): Promise<CaseResult> {
  const base = join(dir, benchCase.name.replaceAll('/', '_'));
  mkdirSync(base, { recursive: true });
  const lanes = lanesOf(benchCase, base, quick);
  try {
    await prepare(lanes);
    for (const lane of lanes) await start(lane, budget);
    const began = Date.now();
    for (let round = 0; round <= budget.maxRounds; round++) {
      if (round > budget.minRounds && Date.now() - began > budget.seconds * 1000) break;
      // The starting lane rotates, so that no side always runs first or last.
      for (let i = 0; i < lanes.length; i++) await oneRound(lanes[(i + round) % lanes.length] as Lane, round);
    }
  } finally {
    for (const lane of lanes) await lane.process?.close();
    rmSync(base, { recursive: true, force: true });
  }
  return {
    name: benchCase.name,
    about: benchCase.about,
    params: paramsOf(benchCase, quick),
    lanes: lanes.map(({ side, size, params, state, reason, rounds, peakRss }) => ({
      side,
      params,
      state,
      rounds,
      peakRss,
      ...(size === undefined ? {} : { size }),
      ...(reason === undefined ? {} : { reason }),
    })),
  };
}

function lanesOf(benchCase: BenchCase, base: string, quick: boolean): Lane[] {
  const params = paramsOf(benchCase, quick);
  const growth = benchCase.growth;
  const sizes = growth === undefined ? [undefined] : quick ? growth.quickSizes : growth.sizes;
  return sizes.flatMap((size) =>
    benchCase.sides.map((side): Lane => {
      const laneParams = size === undefined || growth === undefined ? params : { ...params, [growth.param]: size };
      const tag = size === undefined ? '' : `-${size}`;
      const beyond = size !== undefined && size > (benchCase.ceilings?.[side] ?? Number.POSITIVE_INFINITY);
      return {
        side,
        params: laneParams,
        context: {
          op: benchCase.op,
          side,
          params: laneParams,
          dir: join(base, `${side}${tag}`),
          sharedDir: join(base, `shared${tag}`),
        },
        state: beyond ? 'beyond' : 'measured',
        rounds: [],
        peakRss: 0,
        ...(size === undefined ? {} : { size }),
        ...(beyond ? { reason: `would take minutes above ${benchCase.ceilings?.[side]}` } : {}),
      };
    }),
  );
}

/**
 * Writes the inputs of the case and what each side needs. Node sides share one process for that, which saves
 * a third of all processes; the measurements run in a process per side.
 */
async function prepare(lanes: readonly Lane[]): Promise<void> {
  let shared: SideProcess | undefined;
  const done = new Set<string>();
  try {
    for (const { context } of lanes) {
      if (done.has(context.sharedDir)) continue;
      done.add(context.sharedDir);
      mkdirSync(context.sharedDir, { recursive: true });
      shared ??= new SideProcess('inputs');
      const answer = await shared.ask({ do: 'inputs', context: { ...context, dir: context.sharedDir } });
      if ('failed' in answer) throw new Error(`inputs of ${context.op}: ${answer.failed}`);
    }
    for (const lane of lanes) {
      if (lane.state !== 'measured') continue;
      if (PEERS[lane.side]?.runtime === 'python') {
        const own = new SideProcess(lane.side);
        note(lane, await own.ask({ do: 'prepare', context: lane.context }));
        await own.close();
        continue;
      }
      shared ??= new SideProcess('inputs');
      note(lane, await shared.ask({ do: 'prepare', context: lane.context }));
      if (lane.state === 'measured') continue;
      // The failure may have ended the process.
      await shared.close();
      shared = undefined;
    }
  } finally {
    await shared?.close();
  }
}

async function start(lane: Lane, { profileDir }: Budget): Promise<void> {
  if (lane.state !== 'measured') return;
  const profiled = profileDir !== undefined && lane.side.startsWith('ours');
  lane.process = new SideProcess(
    lane.side,
    profiled ? ['--cpu-prof', '--cpu-prof-interval=200', `--cpu-prof-dir=${profileDir}`] : [],
  );
  note(lane, await lane.process.ask({ do: 'start', context: lane.context }));
}

async function oneRound(lane: Lane, round: number): Promise<void> {
  if (lane.state !== 'measured' || lane.process === undefined) return;
  const answer = await lane.process.ask({ do: 'round', index: round });
  note(lane, answer);
  if (!('ok' in answer) || answer.round === undefined) return;
  lane.peakRss = Math.max(lane.peakRss, answer.rss ?? 0);
  // The first round compiles code, faults in pages and fills caches; it counts for memory only.
  if (round > 0) lane.rounds.push(answer.round);
}

function note(lane: Lane, answer: Answer): void {
  if ('missing' in answer) {
    lane.state = 'missing';
    lane.reason = answer.missing;
  } else if ('failed' in answer) {
    lane.state = 'failed';
    lane.reason = answer.failed;
  }
}
