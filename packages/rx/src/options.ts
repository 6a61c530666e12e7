/**
 * The values accepted by the options of the operators, the sinks and the watchers.
 *
 * @module
 */

import {
  has,
  isAnything,
  isFlag,
  isFunction,
  isObject,
  isOneOf,
  isPositive,
  isShape,
  isSignal,
  isText,
  isWhole,
  type OptionRow,
  type OptionTable,
  wrongArgument,
} from '@mmdpickle/core/options';

const isFlagOrFunction: OptionRow = {
  takes: (value) => typeof value === 'boolean' || typeof value === 'function',
  expected: 'true, false or a function',
};
const isScheduler: OptionRow = {
  takes: (value) => has(value, 'schedule', 'function') && has(value, 'now', 'function'),
  expected: 'an rxjs scheduler',
};

/** Refuses anything that is not an open dict. Not by `instanceof`: it may come from another copy of the package. */
export function checkDict(what: string, found: unknown): void {
  if (!has(found, 'batch', 'function') || !has(found, 'name', 'string'))
    throw wrongArgument(what, 'an open dict', found);
}

/** Refuses anything that is not a place, such as a dict. */
export function checkPlace(found: unknown): void {
  if (!has(found, 'open', 'function') || !has(found, 'make', 'function'))
    throw wrongArgument('the target', 'a place: framesPlace, rowsPlace or planesPlace of a dict', found);
}

/** Options of every operator and sink. */
export const INGEST_OPTIONS: OptionTable = {
  queue: { within: { frames: isPositive, bytes: isPositive } },
  policy: isOneOf('error', 'drop-newest', 'drop-oldest', 'sample', 'block'),
  batch: { within: { frames: isPositive, bytes: isPositive, ms: isPositive } },
  durability: isOneOf('none', 'commit'),
  lockTimeout: isPositive,
  retry: { within: { count: isWhole, delayMs: isPositive, maxDelayMs: isPositive } },
  drainMs: isPositive,
  signal: isSignal,
  statsMs: isPositive,
  scheduler: isScheduler,
};

export const SINK_OPTIONS: OptionTable = { ...INGEST_OPTIONS, receipts: isObject };

export const FRAMES_OPTIONS: OptionTable = {
  key: {
    takes: (value) => typeof value === 'string' || typeof value === 'function',
    expected: 'a prefix or a function',
  },
  meta: isFlagOrFunction,
  shape: isShape,
  firstSeq: isWhole,
  replace: isFlag,
};

const COMPANION_OPTIONS: OptionTable = { time: isFlagOrFunction, seq: isFlag };

export const ROWS_OPTIONS: OptionTable = {
  ...COMPANION_OPTIONS,
  dtype: isAnything,
  rowShape: isShape,
  schema: isObject,
  records: isOneOf('structured', 'columns'),
  masked: isFlag,
  fillValue: isAnything,
  layout: isFunction,
  capacity: isWhole,
  reserve: isFlag,
};

export const FILL_OPTIONS: OptionTable = { ...COMPANION_OPTIONS, mode: isOneOf('plain', 'stop', 'ring') };

const isAtLeastOne: OptionRow = {
  takes: (value) => value === Infinity || (Number.isSafeInteger(value) && (value as number) > 0),
  expected: 'a whole number, 1 or more',
};

export const CHUNKED_OPTIONS: OptionTable = {
  rows: {
    takes: (value) => Number.isSafeInteger(value) && (value as number) > 0,
    expected: 'a whole number, 1 or more',
  },
};

export const ROLLING_OPTIONS: OptionTable = {
  frames: isPositive,
  bytes: isPositive,
  ms: isPositive,
  keep: isAtLeastOne,
  open: isObject,
};

const LOOK_OPTIONS: OptionTable = { pollMs: isPositive, events: isFlag, scheduler: isScheduler };

/** Cursors are stored as text by others, and may have been cut off or changed. */
function isCursor(value: unknown): boolean {
  if (!has(value, 'live', 'object') || !has(value, 'file', 'object') || !has(value, 'path', 'string')) return false;
  const { live, seq, end, last, file, commitNumber = 0 } = value as Readonly<Record<string, unknown>>;
  const { dev, ino, born = '' } = (file ?? {}) as Readonly<Record<string, unknown>>;
  const { key, offset } = (last ?? { key: '', offset: 0 }) as Readonly<Record<string, unknown>>;
  return (
    [seq, end, offset].every(isWhole.takes) &&
    [key, dev, ino, born].every(isText.takes) &&
    Number.isSafeInteger(commitNumber) &&
    Array.isArray(live) &&
    live.every(
      (entry) =>
        Array.isArray(entry) &&
        typeof entry[0] === 'string' &&
        entry.slice(1, 4).every(isWhole.takes) &&
        entry.length > 3 &&
        // The value lies within its entry, except that the spare room of a growable array may have been trimmed.
        (typeof entry[4] === 'number' || entry[1] + entry[3] < entry[2]) &&
        entry.slice(4).every((count) => count === null || isWhole.takes(count)),
    )
  );
}

export const WATCH_OPTIONS: OptionTable = {
  ...LOOK_OPTIONS,
  from: {
    takes: (value) => value === 'now' || value === 'start' || isWhole.takes(value) || isCursor(value),
    expected: "'now', 'start', a change number or a cursor",
  },
};

export const FOLLOW_OPTIONS: OptionTable = { ...LOOK_OPTIONS, prefix: isText, follow: isFlag };

export const BYTE_STREAM_OPTIONS: OptionTable = {
  dtype: isAnything,
  shape: isShape,
  order: isOneOf('C', 'F'),
  onTail: isFunction,
};

export const NDJSON_OPTIONS: OptionTable = { schema: isObject, onInvalid: isFunction, maxLineBytes: isPositive };

export const MQTT_OPTIONS: OptionTable = {
  qos: { takes: (value) => value === 0 || value === 1 || value === 2, expected: '0, 1 or 2' },
  schema: isObject,
  decode: isFunction,
  onInvalid: isFunction,
  onReady: isFunction,
};
