/**
 * Every state that a crash can leave behind, computed from a {@link CrashLog}.
 *
 * @module
 */

import { checkOptions, isCount, isFlag, type OptionRow, type OptionTable } from '../options.ts';
import type { CrashLog, CrashOp, DiskImage } from './crash-log.ts';

/** The number of bytes that a disk writes atomically. */
const SECTOR = 512;

/** The content of the disk after a crash. */
export interface CrashState {
  /** `kill`: the process died, the system did not. `power`: the system died; only synced steps are certain. */
  readonly cause: 'kill' | 'power';
  /** A description of which steps reached the disk. */
  readonly label: string;
  /** The named files. The bytes may be shared between states: copy before changing them. */
  readonly files: ReadonlyMap<string, Uint8Array>;
  /** How many of `log.marks` were made before the crash. What they acknowledge must be present after a `kill`. */
  readonly acknowledged: number;
  /** How many of `log.ops` had begun before the crash; the last may be torn. */
  readonly begun: number;
}

/** Options of {@link crashStates}. */
export interface CrashStateOptions {
  /** Whether to include states after a power failure. Default false. */
  readonly power?: boolean;
  /** Up to this many unsynced steps, all subsets are tried; above, a sample. Default 8. */
  readonly allSubsetsUpTo?: number;
  /** How many subsets are sampled if there are more steps. Default 64. */
  readonly samples?: number;
  /** At how many places one write is torn at most: near its ends, and a sample between. Default 64. */
  readonly tears?: number;
  /** Seed of the samples. Default 1. */
  readonly seed?: number;
}

const STATE_OPTIONS: OptionTable = {
  power: isFlag,
  allSubsetsUpTo: isCount('a number of steps'),
  samples: isCount('a number of subsets'),
  tears: isCount('a number of places'),
  seed: isCount('a number'),
} satisfies Record<keyof CrashStateOptions, OptionRow>;

/**
 * Yields the states that a crash during the recorded steps can leave:
 *
 * - `kill`: after each step, and within each write: torn at each sector it overwrites, and at any byte beyond the end of the file.
 * - `power`: at each step, any subset of the steps not yet synced (so any order of reaching the disk), also with
 *   single writes torn at sectors.
 *
 * Equal states may be yielded more than once.
 *
 * @example
 * ```ts
 * import { MemoryFile } from '@mmdpickle/core/storage';
 * import { CrashFile, crashStates } from '@mmdpickle/core/testing';
 *
 * const file = CrashFile.over(MemoryFile.of());
 * file.write(0, new Uint8Array([1, 2]));
 * file.log.mark('written');
 * [...crashStates(file.log)].map(({ files }) => files.get('memory')?.length); // [0, 1, 2]
 * ```
 */
export function* crashStates(log: CrashLog, options: CrashStateOptions = {}): Generator<CrashState> {
  const {
    power = false,
    allSubsetsUpTo = 8,
    samples = 64,
    tears = 64,
    seed = 1,
  } = checkOptions(options, STATE_OPTIONS);
  const random = mulberry32(seed);
  const image = log.initial.clone();
  const marksAt = (begun: number): number => log.marks.filter((mark) => mark.after <= begun).length;

  for (let i = 0; i <= log.ops.length; i++) {
    const op = log.ops[i];
    yield {
      cause: 'kill',
      label: `${i} of ${log.ops.length} steps`,
      files: image.files(),
      acknowledged: marksAt(i),
      begun: i,
    };
    if (power) {
      const unsure = unsynced(log, i);
      for (const kept of subsets(unsure.length, allSubsetsUpTo, samples, random)) {
        const files = survivors(log, i, unsure, kept, random);
        const label = `${i} steps, of the un-synced ${unsure.length} kept: ${kept.join(' ')}`;
        yield { cause: 'power', label, files, acknowledged: marksAt(i), begun: i };
      }
    }
    if (op === undefined) return;
    for (const cut of cuts(op, image, tears, random)) {
      const torn = image.clone();
      torn.apply(cutOff(op, cut));
      const label = `${i} steps and ${cut} bytes of a write`;
      yield { cause: 'kill', label, files: torn.files(), acknowledged: marksAt(i), begun: i + 1 };
    }
    image.apply(op);
  }
}

type Write = Extract<CrashOp, { kind: 'write' | 'store' }>;

/** The lengths at which a step can be torn. */
function cuts(op: CrashOp, image: DiskImage, most: number, random: () => number): number[] {
  if (op.kind === 'store') return isWhole(op) ? [] : Array.from({ length: op.bytes.length - 1 }, (_, i) => i + 1);
  if (op.kind !== 'write') return [];
  const size = image.contents.get(op.file)?.length ?? 0;
  const all: number[] = [];
  for (let cut = 1; cut < op.bytes.length; cut++) {
    const at = op.offset + cut;
    if (at % SECTOR === 0 || at > size) all.push(cut);
  }
  if (all.length <= most) return all;
  const ends = Math.floor(most / 4);
  const middle = all.slice(ends, all.length - ends);
  const picked = Array.from({ length: most - 2 * ends }, () => middle[Math.floor(random() * middle.length)]!);
  return [...all.slice(0, ends), ...picked, ...all.slice(all.length - ends)];
}

function isWhole(store: Write): boolean {
  return store.offset % store.bytes.length === 0;
}

function cutOff(op: CrashOp, length: number): CrashOp {
  return op.kind === 'write' || op.kind === 'store' ? { ...op, bytes: op.bytes.subarray(0, length) } : op;
}

/** The indices of the steps before `end` that no later sync made durable. */
function unsynced(log: CrashLog, end: number): number[] {
  const unsure: number[] = [];
  for (let i = 0; i < end; i++) {
    const op = log.ops[i]!;
    if (op.kind === 'sync' || op.kind === 'sync-names') continue;
    let sure = false;
    for (let j = i + 1; j < end && !sure; j++) sure = makesSure(log.ops[j]!, op);
    if (!sure) unsure.push(i);
  }
  return unsure;
}

function makesSure(sync: CrashOp, op: CrashOp): boolean {
  if (op.kind === 'create' || op.kind === 'rename' || op.kind === 'remove') return sync.kind === 'sync-names';
  return sync.kind === 'sync' && 'file' in op && sync.file === op.file;
}

/** Subsets of `count` steps, as lists of kept positions. A negative position `-1 - p` keeps `p` torn. */
function* subsets(count: number, allUpTo: number, samples: number, random: () => number): Generator<number[]> {
  if (count === 0) return;
  if (count <= allUpTo) {
    for (let mask = 0; mask < 2 ** count; mask++) {
      const kept: number[] = [];
      for (let p = 0; p < count; p++) if (mask & (1 << p)) kept.push(p);
      yield kept;
    }
  }
  const extra = count <= allUpTo ? Math.min(samples, count) : samples;
  for (let i = 0; i < extra; i++) {
    const kept: number[] = [];
    // Each sample drops steps with a probability of its own.
    const doubt = random();
    for (let p = 0; p < count; p++) {
      const roll = random();
      if (roll < doubt * 0.5) continue;
      kept.push(roll > 0.9 ? -1 - p : p);
    }
    yield kept;
  }
}

function survivors(
  log: CrashLog,
  end: number,
  unsure: readonly number[],
  kept: readonly number[],
  random: () => number,
): Map<string, Uint8Array> {
  const image = log.initial.clone();
  const whole = new Set(kept.filter((p) => p >= 0).map((p) => unsure[p]));
  const torn = new Set(kept.filter((p) => p < 0).map((p) => unsure[-1 - p]));
  const doubtful = new Set(unsure);
  for (let i = 0; i < end; i++) {
    const op = log.ops[i]!;
    if (!doubtful.has(i) || whole.has(i)) image.apply(op);
    else if (torn.has(i)) for (const piece of someSectors(op, random)) image.apply(piece);
  }
  return image.files();
}

/** The pieces of a write that reached the disk; an aligned store or a change of size is never torn. */
function someSectors(op: CrashOp, random: () => number): CrashOp[] {
  if (op.kind !== 'write' && (op.kind !== 'store' || isWhole(op))) return [op];
  const pieces: Write[] = [];
  for (let at = 0; at < op.bytes.length; ) {
    const end = Math.min(op.bytes.length, at + SECTOR - ((op.offset + at) % SECTOR));
    if (random() < 0.5) pieces.push({ ...op, offset: op.offset + at, bytes: op.bytes.subarray(at, end) });
    at = end;
  }
  return pieces;
}

/** A small seeded generator of numbers in [0, 1). */
function mulberry32(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
