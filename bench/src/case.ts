/**
 * What a benchmark case is: data. The code that runs one side of it stands in `ops/` (Node) and
 * `python/` (CPython), under the case's `op` and the side's name.
 */

export type Params = { readonly [name: string]: number | string | boolean };

/** A figure to reach. Exactly one of `peer` (a speed ratio of `side` to it) and `metric` is given. */
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
  /** `op/shape/dtype`; what the filter on the command line is matched with. */
  readonly name: string;
  /** Names the module in `ops/` and the functions in `python/`. */
  readonly op: string;
  readonly about: string;
  readonly params: Params;
  /** What `--quick` changes in `params`; `false` leaves the case out of it. */
  readonly quick: Params | false;
  /** Runs only with `--long`: it takes minutes, or tens of GiB of disk. */
  readonly long?: true;
  /** The sides, ours first. The same name in {@link PEERS} tells what has to be installed. */
  readonly sides: readonly string[];
  /** How many of what one round does; `bytes` when a throughput makes sense. Params are the round's. */
  work(params: Params): { readonly count: number; readonly unit: string; readonly bytes?: number };
  readonly goals: readonly Goal[];
  /** Runs every side at each of these values of one param, and fits the exponent. */
  readonly growth?: {
    readonly param: string;
    readonly sizes: readonly number[];
    readonly quickSizes: readonly number[];
  };
  /** Largest value of the growth param for a side that would take minutes beyond it; said in the table. */
  readonly ceilings?: { readonly [side: string]: number };
  /** Bytes of page cache and memory that the case touches, to be warmed before. */
  touches(params: Params): number;
}

/** What one side of a case is told. */
export interface SideContext {
  readonly op: string;
  readonly side: string;
  readonly params: Params;
  /** A directory of this lane alone. */
  readonly dir: string;
  /** What all lanes of the case share: inputs written by `prepare`. */
  readonly sharedDir: string;
}

/** One measured round. */
export interface Round {
  readonly ns: number;
  /** Processor time of the side's own process, in the kernel and in helper threads too. */
  readonly cpuNs?: number;
  readonly metrics?: { readonly [name: string]: number };
}

/** A side that is set up. */
export interface Runner {
  round(index: number): Round | Promise<Round>;
  close?(): void | Promise<void>;
}

/** One side of an operation. */
export interface Side {
  /** Writes what the rounds read; runs in a process of its own, so that its memory is not counted. */
  prepare?(context: SideContext): void | Promise<void>;
  start(context: SideContext): Runner | Promise<Runner>;
}

/** A module in `ops/`. */
export interface Operation {
  /** Writes the inputs that all sides share, once per case (and growth size). */
  readonly inputs?: (context: SideContext) => void | Promise<void>;
  readonly sides: { readonly [side: string]: Side };
}

/** Reads a numeric param. */
export function numberParam(params: Params, name: string): number {
  const value = params[name];
  if (typeof value !== 'number') throw new Error(`the case has no number named ${name}`);
  return value;
}

/** Reads a text param. */
export function textParam(params: Params, name: string): string {
  const value = params[name];
  if (typeof value !== 'string') throw new Error(`the case has no text named ${name}`);
  return value;
}
