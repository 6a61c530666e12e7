/**
 * Benchmark cases are data. The code that runs one side of a case is in `ops/` (Node) and
 * `python/` (CPython), under the case's `op` and the side's name.
 */

export type Params = { readonly [name: string]: number | string | boolean };

/** A figure to reach. Exactly one of `peer` (for the speed ratio of `side` to it) and `metric` is given. */
export interface Goal {
  /** The lane that has to reach it; `ours` if absent. */
  readonly side?: string;
  readonly peer?: string;
  /** A metric of the round, or `ms`, `exponent`, `peakMiB`. */
  readonly metric?: string;
  readonly atLeast?: number;
  readonly atMost?: number;
}

/** One row of the benchmark. */
export interface BenchCase {
  /** `op/shape/dtype`; matched by the filter on the command line. */
  readonly name: string;
  /** Names the module in `ops/` and the functions in `python/`. */
  readonly op: string;
  readonly about: string;
  readonly params: Params;
  /** What `--quick` changes in `params`; `false` leaves out the case. */
  readonly quick: Params | false;
  /** Runs only with `--long`: it takes minutes, or tens of GiB of disk space. */
  readonly long?: true;
  /** The sides, ours first. The entry of that name in {@link PEERS} says what must be installed. */
  readonly sides: readonly string[];
  /** The amount of work in one round with these params; `bytes` if a throughput makes sense. */
  work(params: Params): { readonly count: number; readonly unit: string; readonly bytes?: number };
  readonly goals: readonly Goal[];
  /** Runs every side at each of these values of one param, and fits the growth exponent. */
  readonly growth?: {
    readonly param: string;
    readonly sizes: readonly number[];
    readonly quickSizes: readonly number[];
  };
  /** Largest value of the growth param for a side that would take minutes above it; the table says so. */
  readonly ceilings?: { readonly [side: string]: number };
  /** Bytes of page cache and memory that the case touches, to be warmed up before. */
  touches(params: Params): number;
}

/** The input of one side of a case. */
export interface SideContext {
  readonly op: string;
  readonly side: string;
  readonly params: Params;
  /** A directory for this lane only. */
  readonly dir: string;
  /** The directory shared by all lanes of one size: holds what {@link Operation.inputs} writes. */
  readonly sharedDir: string;
}

export interface Round {
  readonly ns: number;
  /** Processor time of the side's own process, including the kernel and helper threads. */
  readonly cpuNs?: number;
  readonly metrics?: { readonly [name: string]: number };
}

export interface Runner {
  round(index: number): Round | Promise<Round>;
  close?(): void | Promise<void>;
}

export interface Side {
  /** Writes what the rounds read; runs in a separate process, so that its memory is not counted. */
  prepare?(context: SideContext): void | Promise<void>;
  start(context: SideContext): Runner | Promise<Runner>;
}

/** A module in `ops/`. */
export interface Operation {
  /** Writes the inputs that all sides share, once per case (and growth size). */
  readonly inputs?: (context: SideContext) => void | Promise<void>;
  readonly sides: { readonly [side: string]: Side };
}

export function numberParam(params: Params, name: string): number {
  const value = params[name];
  if (typeof value !== 'number') throw new Error(`the case has no number named ${name}`);
  return value;
}

export function textParam(params: Params, name: string): string {
  const value = params[name];
  if (typeof value !== 'string') throw new Error(`the case has no text named ${name}`);
  return value;
}
