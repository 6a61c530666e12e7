/**
 * Records an operation, enumerates the states a crash can leave, and checks each with this library and stock Python.
 */
import { createHash } from 'node:crypto';
import { MmapDict } from '../../src/dict/index.ts';
import type { DictOptions } from '../../src/dict/options.ts';
import { isTerminator, terminator } from '../../src/format/index.ts';
import { MemoryDisk, type MemoryFile } from '../../src/storage/index.ts';
import {
  CrashFile,
  type CrashLog,
  type CrashState,
  type CrashStateOptions,
  crashStates,
} from '../../src/testing/index.ts';
import { stateText } from './canonical.ts';
import type { Judge } from './judge.ts';
import { type Base, type Operation, openFor } from './operations.ts';

export const NAME = 'dict';

/** The dict's file on a disk of its own, with any other files a crash left there. */
export function restore(files: ReadonlyMap<string, Uint8Array>): MemoryFile {
  const disk = new MemoryDisk();
  for (const [name, bytes] of files) disk.open(name, 'create-new').write(0, bytes);
  return disk.open(NAME, 'r+');
}

/** Runs all steps of an operation and returns the record. */
export function record(operation: Operation, base: Base, options: DictOptions): CrashFile {
  const file = CrashFile.over(restore(new Map([[NAME, base.bytes]])));
  const dict = openFor(operation, file, options);
  for (const [i, { run }] of operation.steps.entries()) {
    run(dict);
    file.log.mark(`step ${i}`);
    if (dict.closed) break;
    expectText(stateText(dict), [stateText(base.models[i + 1]!)], `after step ${i} of ${operation.name}`);
  }
  return file;
}

/**
 * What has been checked, by digests: bytes that occur again, after another step or with another durability, are not read again. Without
 * `writers`, each writer is checked whatever became of the file, as in the long modes.
 */
export interface Checked {
  /** Images with the texts allowed: a reader found one of them, and no error. */
  readonly readers: Set<string>;
  /** What writers left, with how they came to it: the text found, before the append and after it. */
  readonly writers: Map<string, string> | undefined;
}

/** Counts of a run. */
export interface Tally {
  /** States that the record can leave. */
  states: number;
  /** Distinct states. */
  distinct: number;
  /** Distinct states that needed a repair. */
  repaired: number;
  /** States that a crash during such a repair can leave. */
  nested: number;
}

/** Options of {@link checkCrashes}. */
export interface CrashCheck {
  readonly judge: Judge;
  readonly tally: Tally;
  readonly checked: Checked;
  readonly states: CrashStateOptions;
  readonly durability: 'none' | 'commit';
  /** One in this many repairs is also interrupted by a crash and checked. 0: none. */
  readonly nestEvery: number;
}

/** Checks every state that a crash during the operation can leave. */
export async function checkCrashes(operation: Operation, base: Base, check: CrashCheck): Promise<void> {
  const { tally, states, durability, nestEvery } = check;
  const texts = base.models.map((model) => stateText(model));
  const { log } = record(operation, base, { durability });
  const seen = new Set<string>();
  for (const state of crashStates(log, { ...states, power: durability === 'commit' })) {
    tally.states++;
    const image = state.files.get(NAME);
    if (image === undefined) throw new Error(`${operation.name}: ${state.label}: the file is gone`);
    const first = state.acknowledged;
    const allowed = texts.slice(first, first + 2);
    const name = digest(image, String(state.files.size), ...allowed);
    if (seen.has(name)) continue;
    seen.add(name);
    tally.distinct++;
    try {
      const opened = await checkState(operation, state, allowed, allowed, check);
      if (opened.repair === 0) continue;
      if (nestEvery > 0 && tally.repaired % nestEvery === 0) await checkRepair(operation, opened, allowed, check);
      tally.repaired++;
    } catch (error) {
      const where = `${operation.name}, durability ${durability}, ${state.cause}: ${state.label}`;
      throw new Error(`${where}: ${error instanceof Error ? error.stack : String(error)}`, { cause: error });
    }
  }
}

/** What a writer found in a state, all that it wrote, and how many of these steps were its repair of the file. */
interface Opened {
  readonly found: string;
  readonly log: CrashLog;
  readonly repair: number;
}

async function checkState(
  operation: Operation,
  state: Pick<CrashState, 'files'>,
  allowed: readonly string[],
  python: readonly string[],
  { judge, checked, durability }: CrashCheck,
): Promise<Opened> {
  const image = state.files.get(NAME)!;
  const read = digest(image, String(state.files.size), ...allowed);
  if (!checked.readers.has(read)) checkReader(state, allowed);
  checked.readers.add(read);
  const file = restore(state.files);
  const recorder = CrashFile.over(file);
  using writer = openFor(operation, recorder, { durability });
  // Most images are repaired to one of a few. What a writer holds then depends on the bytes, and on how it repaired them.
  const how = [operation.name, durability, ...writer.repairs.map(({ kind }) => kind)];
  const once = (bytes: Uint8Array, step: string, text: () => string): string => {
    const key = digest(bytes, step, ...how);
    const known = checked.writers?.get(key) ?? text();
    checked.writers?.set(key, known);
    return known;
  };
  const found = once(file.toBytes(), 'opened', () => stateText(writer));
  const repair = recorder.log.ops.length;
  expectText(found, allowed, 'a writer');
  writer.set('appended later', 1);
  const after = file.toBytes();
  const appended = once(after, 'appended', () => {
    if (writer.fsck().findings.some(({ severity }) => severity === 'error')) throw new Error('fsck after the append');
    return stateText(writer);
  });
  expectText(appended, [withKey(found, 'appended later=i1')], 'an append after the crash');
  if (!isTerminator(after, after.length - terminator().length)) throw new Error('no terminator at the end of the file');
  const claim = python.join('\n');
  const where = `${operation.name}: stock Python`;
  await judge.add(image, claim, (text) => {
    expectText(text, python, where);
  });
  await judge.add(after, found, (text) =>
    expectText(text, [withKey(found, 'appended later=i1')], `${where} after the append`),
  );
  return { found, log: recorder.log, repair };
}

function checkReader({ files }: Pick<CrashState, 'files'>, allowed: readonly string[]): void {
  using reader = MmapDict.over(restore(files), { mode: 'r' });
  expectText(stateText(reader), allowed, 'a reader');
  const findings = [...reader.fsck({ values: false }).findings, ...reader.verify().findings];
  const errors = findings.filter(({ severity }) => severity === 'error');
  if (errors.length > 0) throw new Error(`fsck or verify: ${JSON.stringify(errors)}`);
}

/** A short name of bytes and texts. */
function digest(bytes: Uint8Array, ...texts: string[]): string {
  return createHash('sha1').update(bytes).update(texts.join('\n')).digest('base64');
}

/** Checks every state that a crash during a repair can leave. */
async function checkRepair(
  operation: Operation,
  { found, log, repair }: Opened,
  allowed: readonly string[],
  check: CrashCheck,
): Promise<void> {
  const { tally, durability, states } = check;
  const seen = new Set<string>();
  log.ops.splice(repair);
  for (const nested of crashStates(log, { ...states, power: durability === 'commit' })) {
    const name = digest(nested.files.get(NAME)!);
    if (seen.has(name)) continue;
    seen.add(name);
    tally.nested++;
    // The next recovery must find what the first one found; before that the file may also show the previous state.
    await checkState(operation, nested, nested.begun === 0 ? [found] : allowed, allowed, check);
  }
}

/** Fails unless the text is one of those allowed. */
export function expectText(found: string, allowed: readonly string[], what: string): void {
  if (allowed.includes(found)) return;
  throw new Error(`${what} saw\n  ${found}\ninstead of\n  ${allowed.join('\n  or ')}`);
}

/** The text of a dict with one more key. */
export function withKey(text: string, pair: string): string {
  return [...(text === '' ? [] : text.split(';')), pair].sort().join(';');
}
