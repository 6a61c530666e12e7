/**
 * Rows of Python's `datetime` module.
 *
 * @module
 */

import { MmdError } from '../../errors.ts';
import { isZone, PyDate, PyDateTime, PyTime, PyTimeDelta, PyTimeZone } from '../values/datetime.ts';
import { timeOf } from '../values/keys.ts';
import { attempt, bytesOf, reduceCall, row, type TypeRow } from './row.ts';

/** The packed state and the timezone of a datetime or time. */
function stateOf(args: readonly unknown[], length: number): { bytes: Uint8Array; tzinfo: unknown } | undefined {
  const bytes = bytesOf(args[0]);
  if (bytes?.length !== length || args.length < 1 || args.length > 2) return undefined;
  const tzinfo = args.length === 2 ? args[1] : null;
  return tzinfo === null || isZone(tzinfo) ? { bytes, tzinfo } : undefined;
}

const clock = (bytes: Uint8Array, at: number): number[] => [
  bytes[at]!,
  bytes[at + 1]!,
  bytes[at + 2]!,
  (bytes[at + 3]! << 16) | (bytes[at + 4]! << 8) | bytes[at + 5]!,
];

function packClock({ hour, minute, second, microsecond }: PyTime | PyDateTime): number[] {
  return [hour, minute, second, microsecond >> 16, (microsecond >> 8) & 0xff, microsecond & 0xff];
}

const withZone = (bytes: readonly number[], tzinfo: unknown): readonly unknown[] =>
  tzinfo === null ? [Uint8Array.from(bytes)] : [Uint8Array.from(bytes), tzinfo];

// Values are constructed again before they are written: a modified copy has the same class, but was never checked.

function reduceDateTime(given: PyDateTime): ReturnType<typeof reduceCall> {
  const value = new PyDateTime(given);
  const { year, month, day, fold, tzinfo } = value;
  const bytes = [year >> 8, year & 0xff, month | (fold << 7), day, ...packClock(value)];
  return reduceCall('datetime datetime', withZone(bytes, tzinfo));
}

/** Rows of Python's `datetime` module. */
export const DATETIME_ROWS: readonly TypeRow[] = [
  row(
    'datetime.datetime',
    PyDateTime,
    {
      'datetime datetime': (args) => {
        const state = stateOf(args, 10);
        if (state === undefined) return undefined;
        const { bytes, tzinfo } = state;
        const [hour, minute, second, microsecond] = clock(bytes, 4) as [number, number, number, number];
        const year = (bytes[0]! << 8) | bytes[1]!;
        const [month, fold] = [bytes[2]! & 0x7f, bytes[2]! >> 7];
        return attempt(
          () => new PyDateTime({ year, month, day: bytes[3]!, hour, minute, second, microsecond, fold, tzinfo }),
        );
      },
    },
    reduceDateTime,
  ),
  row('datetime.datetime', Date, {}, (value) => {
    const year = new Date(timeOf(value)).getUTCFullYear();
    if (Number.isNaN(year)) throw new MmdError('UNSUPPORTED_VALUE', 'an invalid Date cannot be written as a datetime');
    if (year < 1 || year > 9999) {
      const message = `a Date in the year ${year} cannot be written as a datetime: Python's years are 1 to 9999`;
      throw new MmdError('UNSUPPORTED_VALUE', message, { found: year });
    }
    return reduceDateTime(PyDateTime.fromDate(value));
  }),
  row(
    'datetime.date',
    PyDate,
    {
      'datetime date': (args) => {
        const bytes = bytesOf(args[0]);
        if (bytes?.length !== 4 || args.length !== 1) return undefined;
        return attempt(() => new PyDate((bytes[0]! << 8) | bytes[1]!, bytes[2]!, bytes[3]!));
      },
    },
    (value) => {
      const { year, month, day } = new PyDate(value.year, value.month, value.day);
      return reduceCall('datetime date', [Uint8Array.of(year >> 8, year & 0xff, month, day)]);
    },
  ),
  row(
    'datetime.time',
    PyTime,
    {
      'datetime time': (args) => {
        const state = stateOf(args, 6);
        if (state === undefined) return undefined;
        const { bytes, tzinfo } = state;
        const [first, minute, second, microsecond] = clock(bytes, 0) as [number, number, number, number];
        const [hour, fold] = [first & 0x7f, first >> 7];
        return attempt(() => new PyTime({ hour, minute, second, microsecond, fold, tzinfo }));
      },
    },
    (given) => {
      const value = new PyTime(given);
      const [hour, ...rest] = packClock(value) as [number, ...number[]];
      return reduceCall('datetime time', withZone([hour | (value.fold << 7), ...rest], value.tzinfo));
    },
  ),
  row(
    'datetime.timedelta',
    PyTimeDelta,
    {
      'datetime timedelta': (args) => {
        const [days, seconds, microseconds] = args as number[];
        if (args.length !== 3 || !args.every(Number.isSafeInteger)) return undefined;
        return attempt(() => new PyTimeDelta(days!, seconds, microseconds));
      },
    },
    (value) => {
      const { days, seconds, microseconds } = new PyTimeDelta(value.days, value.seconds, value.microseconds);
      return reduceCall('datetime timedelta', [days, seconds, microseconds]);
    },
  ),
  row(
    'datetime.timezone',
    PyTimeZone,
    {
      'datetime timezone': (args) => {
        const [offset, name] = args;
        const named = args.length === 2 && typeof name === 'string';
        if (!(offset instanceof PyTimeDelta) || !(named || args.length === 1)) return undefined;
        return attempt(() => new PyTimeZone(offset, named ? name : null));
      },
    },
    (value) => {
      const { offset, name } = new PyTimeZone(value.offset, value.name);
      return reduceCall('datetime timezone', name === null ? [offset] : [offset, name]);
    },
  ),
];
