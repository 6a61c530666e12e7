/** `mmdpickle head` and `tail`: the first or last rows of an array. @module */

import { setTimeout as delay } from 'node:timers/promises';
import { isMmdError, MaskedArray } from '@mmdpickle/core';
import { MmapDict } from '@mmdpickle/core/node';
import { type FileIdentity, isSameFile } from '@mmdpickle/core/storage';
import { type AnyArray, dataOf, isArray, requireArray } from '../arrays.ts';
import type { CommandSpec, Invocation, OptionSpec } from '../command.ts';
import { requireKeys } from '../dicts.ts';
import { usageError } from '../errors.ts';
import { parseNatural } from '../option-values.ts';
import { printJson, printRow } from '../terminal.ts';

const POLL_MS = 200;

/** Rows that {@link sampled} takes: few, since they are read at every poll. */
const SAMPLES = 8;

/** Attempts to read an array whose key is set again in the meantime. */
const ATTEMPTS = 100;

const COUNT: OptionSpec = { flags: '-n, --lines <n>', doc: 'how many rows', parse: parseNatural, default: 10 };
const ARGS = {
  args: '<file> <key>',
  argDocs: { file: 'the mmdpickle file', key: "the array's key" },
} as const;

/** `mmdpickle head` */
export const head: CommandSpec = {
  ...ARGS,
  options: [COUNT],
  examples: [{ line: 'mmdpickle head -n 3 run.mmdpickle temperature', doc: 'the first three rows' }],
  async run(invocation) {
    using dict = MmapDict.open(invocation.args[0] ?? '', { mode: 'r' });
    const array = arrayIn(dict, invocation);
    await printRows(invocation, array, 0, Math.min(invocation.options.lines as number, rowsOf(array)));
    return 'ok';
  },
};

/** `mmdpickle tail`: the last rows, and with `-f` the ones that are appended. */
export const tail: CommandSpec = {
  ...ARGS,
  options: [COUNT, { flags: '-f, --follow', doc: 'continue with rows as they are appended, until interrupted' }],
  examples: [{ line: 'mmdpickle tail -n 3 run.mmdpickle temperature', doc: 'the last three rows' }],
  async run(invocation) {
    const { options, terminal } = invocation;
    using dict = MmapDict.open(invocation.args[0] ?? '', { mode: 'r' });
    const first = (rows: number): number => Math.max(0, rows - (options.lines as number));
    if (options.follow !== true) {
      const array = arrayIn(dict, invocation);
      const rows = rowsOf(array);
      await printRows(invocation, array, first(rows), rows);
      return 'ok';
    }
    // Rows that arrive during printing are seen by the next poll: the file is not read again after printing.
    let seen = lookAt(dict, invocation);
    await printRows(invocation, seen.array, first(seen.rows), seen.rows);
    const { signal } = terminal;
    while (!signal.aborted) {
      await delay(POLL_MS, undefined, { signal }).catch(() => undefined);
      if (!isOther(dict, seen)) continue;
      const now = lookAt(dict, invocation);
      // If another array took over the key, all its rows are new.
      await printRows(invocation, now.array, isContinued(seen, now) ? seen.rows : 0, now.rows);
      seen = now;
    }
    return 'ok';
  },
};

/** The file and offset of an entry. */
interface Place {
  readonly file: FileIdentity;
  readonly offset: number | undefined;
}

/** An array as it was seen, with what distinguishes an array that grew from another one in its place. */
interface Seen {
  /** The commit number before anything else was read. */
  readonly commit: number;
  readonly place: Place;
  readonly array: AnyArray;
  readonly rows: number;
  /** The type and shape of its rows, and whether it is masked. */
  readonly kind: string;
  /** The bytes of its first row, its last, and some between: see {@link sampled}. */
  readonly samples: readonly Uint8Array[];
}

function lookAt(dict: MmapDict, invocation: Invocation): Seen {
  for (let attempt = 1; ; attempt += 1) {
    const { commitNumber: commit } = dict;
    const place = placeIn(dict, invocation);
    const array = arrayIn(dict, invocation);
    // Read once only: the next commit may add rows.
    const rows = rowsOf(array);
    const kind = `${dataOf(array).type.name} ${array.shape.slice(1).join()} ${array instanceof MaskedArray}`;
    const samples = sampled(rows).map((row) => rowBytes(array, row));
    const still = isSamePlace(placeIn(dict, invocation), place);
    if (still || attempt === ATTEMPTS) return { commit, place, array, rows, kind, samples };
  }
}

function placeIn(dict: MmapDict, { args }: Invocation): Place {
  const offset = dict.getMeta(args[1] ?? '')?.entryOffset;
  return { file: dict.identity, offset };
}

function isSamePlace(one: Place, other: Place): boolean {
  return one.offset === other.offset && isSameFile(one.file, other.file);
}

/** Whether anything was committed since. A file that has just been created in place of the old one is empty until its first write. */
function isOther(dict: MmapDict, seen: Seen): boolean {
  try {
    return dict.commitNumber !== seen.commit || !isSameFile(dict.identity, seen.place.file);
  } catch (error) {
    if (isMmdError(error, 'TRUNCATED') && error.found === 0) return false;
    throw error;
  }
}

/**
 * Whether it is still the same array. One that outgrew its room, or was moved by a vacuum, is recognized by its rows; one of objects,
 * which never grows, only by its place.
 */
function isContinued(before: Seen, now: Seen): boolean {
  if (now.rows < before.rows || now.kind !== before.kind) return false;
  if (isSamePlace(now.place, before.place)) return true;
  if (dataOf(now.array).type.hasObject) return false;
  const places = sampled(before.rows);
  return before.samples.every((row, i) => Buffer.compare(row, rowBytes(now.array, places[i] as number)) === 0);
}

/** Rows that distinguish an array from another one: the first, the last, and some evenly spaced between. */
function sampled(rows: number): number[] {
  const last = Math.max(0, rows - 1);
  const places = Array.from({ length: rows === 0 ? 0 : SAMPLES }, (_, i) => Math.round((i * last) / (SAMPLES - 1)));
  return [...new Set(places)];
}

/** The bytes of a row, and of its mask; none for arrays of objects. */
function rowBytes(array: AnyArray, row: number): Uint8Array {
  const parts = array instanceof MaskedArray ? [array.data, array.mask] : [array];
  if (dataOf(array).type.hasObject) return new Uint8Array();
  return Buffer.concat(
    parts.flatMap((part) => [
      ...part
        .rows(row, row + 1)
        .copy()
        .bytes(),
    ]),
  );
}

function arrayIn(dict: MmapDict, { args }: Invocation): AnyArray {
  const [path = '', key = ''] = args;
  requireKeys(dict, path, [key]);
  const array = requireArray(dict.get(key), key, 'rows');
  if (array.shape.length === 0) throw usageError(`${JSON.stringify(key)} is a 0-d array and has no rows; use get`);
  return array;
}

function rowsOf(array: AnyArray): number {
  return array.shape[0] ?? 0;
}

async function printRows({ terminal, json }: Invocation, array: AnyArray, start: number, end: number): Promise<void> {
  if (end <= start) return;
  const rows = array.rows(start, end) as AnyArray;
  if (!json) {
    const { csvRows } = await import('../formats/csv.ts');
    for (const line of csvRows(rows)) await printRow(terminal, line);
    return;
  }
  for (let index = 0; index < end - start; index += 1) {
    const row = rows.shape.length === 1 ? rows.get(index) : (rows.slice(index) as AnyArray);
    await printJson(terminal, { row: start + index, data: isArray(row) ? row.toNested() : row });
  }
}
